"""Jobs as people read them: one with everything that matters now, or many in a list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NotRequired, TypedDict

from clockwork_nb.render.html import Child, Markup, element, fragment
from clockwork_nb.render.text import Paint, clip, clip_middle, columns_of, duration, pad, plural, short_digest, visible
from clockwork_nb.render.theme import wrap

__all__ = [
    "BudgetView",
    "JobView",
    "WaitingView",
    "budget_text",
    "job_list_html",
    "job_list_text",
    "job_status_html",
    "job_status_text",
]

_LIST_HEAD: Final = ("job", "status", "name", "progress", "last moved")
_COLORS: Final = {"completed": "ok", "running": "info", "canceled": "muted", "queued": "muted", "paused": "warn"}


class BudgetView(TypedDict):
    """One budget: its name, what is used and the limit, both as people read them; ``touched`` when any is used."""

    name: str
    used: str
    limit: str
    touched: bool


class WaitingView(TypedDict):
    """The decision a job waits for. ``since`` is the time of day people see ("14:02"), ``for_ms`` how long ago.

    ``quorum`` is how many persons must approve, ``approved_by`` who did.
    """

    plan: str
    since: str
    for_ms: int
    quorum: NotRequired[int]
    approved_by: NotRequired[Sequence[str]]


class JobView(TypedDict):
    """What the views of this module read of a job; plain JSON of this shape does as well. Only ``id`` and ``status`` must be there.

    ``cells`` and ``steps`` are (done, total); ``lease`` is "free" or who holds it; ``events`` counts the log,
    ``snapshot`` how many of them a snapshot covers. ``age`` is when it last moved, in words.
    """

    id: str
    status: str
    reason: NotRequired[str]
    name: NotRequired[str]
    adapter: NotRequired[str]
    cells: NotRequired[tuple[int, int]]
    steps: NotRequired[tuple[int, int]]
    waiting: NotRequired[Sequence[WaitingView]]
    budgets: NotRequired[Sequence[BudgetView]]
    lease: NotRequired[str]
    events: NotRequired[int]
    snapshot: NotRequired[int]
    age: NotRequired[str]
    doing: NotRequired[Sequence[str]]
    message: NotRequired[str]
    tainted: NotRequired[bool]


def _facts(view: Mapping[str, Any]) -> list[str]:
    facts = [visible(view["status"]) + (f" ({visible(view['reason'])})" if view.get("reason") else "")]
    if view.get("name"):
        facts.append(visible(view["name"]))
    for key, noun in (("cells", "cell"), ("steps", "step")):
        pair: Any = view.get(key)
        if pair is not None and pair[1]:
            facts.append(f"{pair[0]:,} of {plural(pair[1], noun)}")
    budgets = view.get("budgets", ())
    if any(budget["limit"] for budget in budgets):
        touched = sum(budget["touched"] for budget in budgets)
        facts.append(f"{touched} of {plural(len(budgets), 'budget')} touched")
    return facts


def _persons(waiting: Mapping[str, Any]) -> str:
    if waiting.get("quorum", 1) < 2:
        return ""
    names = ", ".join(visible(name) for name in waiting["approved_by"])
    return f", {len(waiting['approved_by'])} of {waiting['quorum']} persons{f' ({names})' if names else ''}"


def _rows(view: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the further facts: a word and a sentence each."""
    rows = []
    for waiting in view.get("waiting", ()):
        since = f"since {visible(waiting['since'])} ({_ago(waiting['for_ms'])})"
        rows.append(("waiting", f"{since} for approval of plan {short_digest(waiting['plan'])}{_persons(waiting)}"))
        if "edited by hand" in waiting.get("summary", ""):
            rows.append(("asks", visible(waiting["summary"])))
    if view.get("doing"):
        doing = [clip(visible(name), 60) for name in view["doing"]]
        rows.append(("doing", ", ".join(doing[:3]) + (f" and {len(doing) - 3} more" if len(doing) > 3 else "")))
    if view.get("message"):
        rows.append(("says", visible(view["message"], keep="\n").replace("\n", "\n" + " " * 12)))
    used = [b for b in view.get("budgets", ()) if b["touched"] or b["limit"]]
    if used:
        words = [
            f"{visible(b['name'])} {visible(b['used'])}" + (f" / {visible(b['limit'])}" if b["limit"] else "")
            for b in used
        ]
        rows.append(("budget", " · ".join(words)))
    last = [f"{visible(view['lease'])}"] if view.get("lease") else []
    if "events" in view:
        covered = view.get("snapshot", 0)
        how = f" (snapshot {covered:,} + {view['events'] - covered:,} checked)" if covered else ""
        last.append(f"log {plural(view['events'], 'event')}{how}")
    if last:
        rows.append(("lease", " · ".join(last)))
    if view.get("tainted"):
        rows.append(("tainted", "the log was repaired; evidence from this job says so"))
    return rows


def budget_text(view: Mapping[str, Any]) -> str:
    """Return the budgets of a job (``{job, budgets, exceeded}``) as a table without a line end at the end."""
    rows = [
        (visible(b["name"]), visible(b["used"]), visible(b["limit"]) if b["limit"] else "no limit")
        for b in view["budgets"]
    ]
    widths = [max(columns_of(row[i]) for row in rows) for i in range(3)]
    lines = [
        f"{visible(view['job'])}  {'over: ' + ', '.join(view['exceeded']) if view['exceeded'] else 'within budget'}"
    ]
    lines += [f"  {pad(name, widths[0])}  {used.rjust(widths[1])}  of  {limit}" for name, used, limit in rows]
    return "\n".join(lines)


def _ago(milliseconds: int) -> str:
    if milliseconds < 60_000:
        return f"{milliseconds // 1000} s"
    if milliseconds < 3_600_000:
        return f"{milliseconds // 60_000} min"
    return duration(milliseconds) if milliseconds < 172_800_000 else f"{milliseconds // 86_400_000} days"


def job_status_text(view: Mapping[str, Any], *, color: bool = False, next_lines: Sequence[str] = ()) -> str:
    """Return one job as text without a line end at the end."""
    paint = Paint(color)
    lines = [f"{paint.bold(visible(view['id']))}  {' · '.join(_facts(view))}"]
    for word, sentence in _rows(view):
        # "waiting since …" is one sentence; the other words are names of rows.
        lines.append(f"  {paint.warn(word)} {sentence}" if word == "waiting" else f"  {pad(word, 10)}{sentence}")
    lines += [("Next   " if i == 0 else " " * 7) + line for i, line in enumerate(next_lines)]
    return "\n".join(lines)


def job_status_html(view: Mapping[str, Any], *, next_lines: Sequence[str] = ()) -> str:
    """Return one job as an HTML fragment, every text escaped."""
    status, *rest = _facts(view)
    color = _COLORS.get(view["status"], "bad" if view["status"].startswith("blocked") else "muted")
    header = element(
        "header",
        element("b", view["id"]),
        " ",
        element("span", " · ".join(rest), class_="cw-muted"),
        " ",
        element("span", status, class_=f"cw-pill cw-{color} cw-right"),
    )
    rows = [
        element("tr", element("td", word, class_="cw-muted", style="text-align:left"), element("td", sentence, style="text-align:left"))
        for word, sentence in _rows(view)
    ]  # fmt: skip
    table = element("table", element("tbody", rows)) if rows else None
    foot: list[Child] = [fragment(element("span", "Next: ", element("code", line)), " ") for line in next_lines]
    footer = element("footer", foot, class_="cw-muted") if foot else None
    return str(wrap(element("div", header, table, footer, class_="cw-card"), label=f"job {visible(view['id'])}"))


def _columns(view: Mapping[str, Any]) -> tuple[str, str, str, str]:
    done: Any = view.get("cells") or view.get("steps")
    unit = "cells" if view.get("cells") else "steps"
    progress = f"{done[0]:,} of {done[1]:,} {unit}" if done and done[1] else ""
    status = visible(view["status"]) + (f" ({visible(view['reason'])})" if view.get("reason") else "")
    name = clip_middle(visible(view.get("name", "")), 32)
    return clip(status, 36), name, progress, visible(view.get("age", ""))


def job_list_text(views: Sequence[Mapping[str, Any]], *, color: bool = False) -> str:
    """Return jobs as a table with a head, one a line, in the order given; a sentence when there are none."""
    if not views:
        return "No jobs yet."
    paint = Paint(color)
    rows = [_LIST_HEAD, *((visible(view["id"]), *_columns(view)) for view in views)]
    widths = [max(columns_of(row[i]) for row in rows) for i in range(5)]
    head, *jobs = [[pad(cell, width) for cell, width in zip(row, widths, strict=True)] for row in rows]
    lines = ["  ".join((paint.bold(cells[0]), *cells[1:])).rstrip() for cells in jobs]
    return "\n".join([paint.dim("  ".join(head).rstrip()), *lines])


def job_list_html(views: Sequence[Mapping[str, Any]]) -> str:
    """Return jobs as an HTML table, every text escaped."""
    if not views:
        return str(
            wrap(element("div", element("div", "No jobs yet.", class_="cw-note"), class_="cw-card"), label="jobs")
        )
    head = element("thead", element("tr", [element("th", name, scope="col") for name in _LIST_HEAD]))
    body = element("tbody", [_list_row(view) for view in views])
    return str(wrap(element("div", element("table", head, body, class_="cw-plan"), class_="cw-card"), label="jobs"))


def _list_row(view: Mapping[str, Any]) -> Markup:
    cells: list[Child] = [element("td", element("code", view["id"]), style="text-align:left")]
    cells += [element("td", words, style="text-align:left") for words in _columns(view)]
    return element("tr", cells)
