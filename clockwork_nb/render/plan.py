"""A plan as people read it: what will change, why, what it needs, and what to type next.

Works on the plan *document* (``Plan.to_document()`` or a parsed ``plan.json``), so that a saved plan, a plan in a pack
and a plan just made look the same. Sealed and unknown values stay words.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from clockwork_nb.render.html import Child, Markup, element, fragment
from clockwork_nb.render.text import Paint, clip, clip_middle, columns_of, pad, plural, short_digest, visible
from clockwork_nb.render.theme import wrap
from clockwork_nb.render.values import ABSENT, changed_middle, is_sealed, value_text

__all__ = ["SIGNS", "change_words", "needs_approval", "plan_html", "plan_text", "risk_words", "step_words"]

SIGNS: Final = {
    "create": "+", "update": "~", "replace": "±", "delete": "-", "verify": "✓", "forget": "∅", "noop": " ", "run": "▸",
    "move": "→", "import": "↘",
}  # fmt: skip
"""The sign of each kind of change."""

_ORDER: Final = ("create", "update", "replace", "delete", "forget", "move", "import", "run", "verify")
_PLAIN: Final = re.compile(r"[\w./:@+-]{1,64}")
_DIFF_LINES: Final = 400
_STEPS_SHOWN: Final = 100
_ADDRESS_COLUMNS: Final = (28, 48)
_PLAIN_REASONS: Final = frozenset({"new", "everything is removed"})
_DESCRIBE_COLUMNS: Final = 25


def change_words(document: Mapping[str, Any], *, unchanged: bool = True, verb: str = "to ") -> str:
    """Return how many resources each kind of change has: ``2 to create, 1 to update, 7 unchanged``."""
    counts: dict[str, int] = {}
    for change in document["changes"]:
        counts[change["kind"]] = counts.get(change["kind"], 0) + 1
    parts = [f"{counts[kind]:,} {verb}{kind}" for kind in _ORDER if kind in counts]
    later = sum(1 for change in document["changes"] if change.get("deferred"))
    if later:
        parts.append(f"{later:,} of them later")
    if unchanged and "noop" in counts:
        parts.append(f"{counts['noop']:,} unchanged")
    return ", ".join(parts)


def risk_words(document: Mapping[str, Any]) -> str:
    """Return all risk classes of the plan, sorted, ``", "`` between; empty for none."""
    return ", ".join(sorted({visible(risk) for change in document["changes"] for risk in change["risk"]}))


def needs_approval(document: Mapping[str, Any]) -> bool:
    """Return whether the plan changes anything, so that somebody has to agree (contracts: approvals)."""
    return any(change["kind"] not in {"noop", "verify"} for change in document["changes"]) or any(
        output["before"] != output["after"] for output in document["outputs"]
    )


def _is_empty(document: Mapping[str, Any]) -> bool:
    return not needs_approval(document) and not document["actions"]["steps"]


def step_words(step: Mapping[str, Any]) -> str:
    """Return the few words that say what one step of the ActionList looks at: a URL and what it expects, else its reason."""
    args = step.get("args", {})
    words = []
    target = args.get("url", args.get("path"))
    if isinstance(target, str):
        words.append(visible(target))
    expect = args.get("expect", args.get("status"))
    if isinstance(expect, (str, int)) and not isinstance(expect, bool):
        words.append(f"expects {visible(str(expect))}")
    return clip(" ".join(words) or visible(str(step.get("reason", ""))), 100)


def _checks(document: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return address → the checks that follow its change."""
    out: dict[str, list[str]] = {}
    for step in document["actions"]["steps"]:
        if str(step["name"]).startswith("verify"):
            words = f"{visible(step['name'])} {step_words(step)}".rstrip()
            out.setdefault(step["address"], []).append(words)
    return out


def _commands(document: Mapping[str, Any]) -> dict[str, str]:
    """Return address → the command of a job spec's step, on one line."""
    steps = (step for step in document["actions"]["steps"] if step["change"] == "run")
    return {step["address"]: visible(str(step.get("args", {}).get("command", ""))) for step in steps}


def _needs(change: Mapping[str, Any], changing: frozenset[str]) -> str:
    if change["kind"] in {"delete", "forget"}:
        return ""
    names = [visible(name) for name in change["dependencies"] if name in changing]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"needs {', '.join(names[:3])}{more}" if names else ""


def _changing(document: Mapping[str, Any]) -> frozenset[str]:
    return frozenset(c["address"] for c in document["changes"] if c["kind"] not in {"noop", "verify"})


def _title(change: Mapping[str, Any]) -> str:
    # What "+ create" and "- delete" say by themselves is not said twice.
    reason = "" if change["reason"] in _PLAIN_REASONS else visible(change["reason"])
    later = f"later: {visible(change['deferred'])}" if change.get("deferred") else ""
    return ", ".join(filter(None, (visible(change["describe"]), reason, later)))


# --- text -------------------------------------------------------------------------------------------------------


def plan_text(
    document: Mapping[str, Any],
    digest: str,
    *,
    color: bool = False,
    width: int = 100,
    next_lines: Sequence[str] = (),
    observed_s: float | None = None,
) -> str:
    """Return the plan as text without a line end at the end.

    Args:
        document: ``Plan.to_document()``.
        digest: the plan's digest; its first eight characters are shown.
        color: use terminal colours.
        width: columns that values are shortened to fit.
        next_lines: commands to offer, one a line.
        observed_s: how long looking at the real things took, in seconds.
    """
    paint = Paint(color)
    lines = [_headline(document, digest, paint, observed_s)]
    rows = _change_lines(document, paint, width)
    if rows:
        lines += ["", *rows]
    aside = _drift_lines(document, paint) + _not_loaded_lines(document, paint) + _later_lines(document, paint)
    if aside:
        lines += ["", *aside]
    outputs = _output_lines(document, width)
    tail = outputs + [("Next      " if i == 0 else " " * 10) + line for i, line in enumerate(next_lines)]
    if tail:
        lines += ["", *tail]
    return "\n".join(lines)


def _headline(document: Mapping[str, Any], digest: str, paint: Paint, observed_s: float | None) -> str:
    if _is_empty(document):
        return _nothing(document, observed_s)
    parts = [paint.bold(f"Plan {short_digest(digest)}"), change_words(document) or "outputs only"]
    if document["destroy"]:
        parts[0] = paint.bold(f"Destroy plan {short_digest(digest)}")
    if document["targets"]:
        parts.append("only " + clip(", ".join(map(visible, document["targets"])), 60))
    if document.get("excluded"):
        parts.append("without " + clip(", ".join(map(visible, document["excluded"])), 60))
    if needs_approval(document):
        risks = risk_words(document)
        parts.append(paint.warn("needs approval" + (f" ({risks})" if risks else "")))
    return " · ".join(parts)


def _nothing(document: Mapping[str, Any], observed_s: float | None) -> str:
    count = sum(change["kind"] in {"noop", "verify"} for change in document["changes"])
    observed = f" (observed in {observed_s:.1f} s)" if observed_s is not None else ""
    if not count and (document["targets"] or document.get("excluded")):
        return f"Nothing to do. Nothing of what is declared here was chosen{observed}."
    if not count:
        what = "Nothing is left to destroy" if document["destroy"] else "No resource is declared here"
        return f"Nothing to do. {what}{observed}."
    return f"Nothing to do. {plural(count, 'resource')} {'matches' if count == 1 else 'match'}{observed}."


def _change_lines(document: Mapping[str, Any], paint: Paint, width: int) -> list[str]:
    shown = [change for change in document["changes"] if change["kind"] != "noop"]
    if _is_empty(document):
        return []
    widest = max((columns_of(visible(c["address"])) for c in shown), default=0)
    column = min(max(widest + 2, _ADDRESS_COLUMNS[0]), _ADDRESS_COLUMNS[1])
    changing, checks, commands = _changing(document), _checks(document), _commands(document)
    lines: list[str] = []
    for change in shown:
        kind = change["kind"]
        sign = _paint_kind(paint, kind, f"{SIGNS[kind]} {kind:<9}")
        address = clip_middle(visible(change["address"]), column - 2)
        risk = f"risk: {', '.join(map(visible, change['risk']))}" if change["risk"] else ""
        attributes = change["attributes"] if kind != "verify" else []
        carrier = next((a for a in attributes if a.get("forces_replacement")), None)
        extra = [_needs(change, changing), "" if carrier else risk]
        words = f"{pad(_title(change), _DESCRIBE_COLUMNS - 2)}  " + "".join(f"{word}       " for word in extra if word)
        lines.append(f"  {sign}{pad(address, column)}{words}".rstrip())
        for attribute in attributes:
            tail = risk if attribute is carrier else ""
            lines.append(_attribute_line(attribute, attributes, tail, paint, width))
        if kind != "verify":
            lines += [f"             then {words}" for words in checks.get(change["address"], ())]
        if kind == "run" and commands.get(change["address"]):
            lines.append(f"             $ {clip(commands[change['address']], max(20, width - 15))}")
    return lines


def _paint_kind(paint: Paint, kind: str, text: str) -> str:
    painter = {
        "create": paint.good, "verify": paint.good, "update": paint.warn, "replace": paint.other,
        "delete": paint.bad, "forget": paint.bad, "run": paint.other, "move": paint.other, "import": paint.other,
    }  # fmt: skip
    return painter[kind](text)


def _attribute_line(
    attribute: Mapping[str, Any], siblings: Sequence[Mapping[str, Any]], risk: str, paint: Paint, width: int
) -> str:
    column = min(max((columns_of(visible(a["path"])) for a in siblings), default=8), 30) + 2
    room = max(16, (width - 15 - column - 3) // 2)
    before, after = _sides(attribute, room)
    words = f"{paint.bad(''.join(before))} → {paint.good(''.join(after))}"
    plain = columns_of("".join(before)) + columns_of("".join(after)) + 3
    line = f"{' ' * 15}{pad(clip_middle(visible(attribute['path']), 30), max(10, column))}{words}"
    extra = [word for word in ("forces replacement" if attribute.get("forces_replacement") else "", risk) if word]
    if extra:
        line += " " * max(2, 16 - plain) + "       ".join(extra)
    return line


_Side = tuple[str, str, str]


def _sides(attribute: Mapping[str, Any], columns: int) -> tuple[_Side, _Side]:
    """Return (lead, changed, trail) of the value before and after, each in about *columns* columns."""
    before, after = attribute["before"], attribute["after"]
    if is_sealed(before) and is_sealed(after):
        # Equal words on both sides would read as "no change".
        return ("", value_text(before), ""), ("", f"{value_text(after)}, another value", "")
    if isinstance(before, str) and isinstance(after, str) and len(before) + len(after) > 40:
        old, new = changed_middle(before, after, columns - 2)
        return _quoted(old), _quoted(new)
    words = [ABSENT if value is None else value_text(value, columns) for value in (before, after)]
    return ("", words[0], ""), ("", words[1], "")


def _quoted(side: _Side) -> _Side:
    lead, middle, trail = (value_text(part)[1:-1] for part in side)
    return f'"{lead}', middle, f'{trail}"'


def _drift_words(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return (address, sentence) for everything changed outside."""
    kinds = {change["address"]: change["kind"] for change in document["changes"]}
    # What the type says of its own action is nearer to the truth than a general word.
    said = {step["address"]: visible(step["reason"]) for step in document["actions"]["steps"] if step.get("reason")}
    endings = {
        "noop": "it stays as it is",
        "delete": "this plan deletes it",
        "forget": "this plan forgets it",
        "replace": "this plan makes it anew",
    }
    out = []
    for drift in document["drift"]:
        kind = kinds.get(drift["address"], "noop")
        usual = "this plan makes it again" if drift["gone"] else said.get(drift["address"], "this plan puts it back")
        ending = endings.get(kind, usual)
        facts = [f"{visible(a['path'])} {_bare(a['recorded'])} → {_bare(a['observed'])}" for a in drift["attributes"]]
        more = f" and {len(facts) - 3} more" if len(facts) > 3 else ""
        detail = ", ".join(facts[:3]) + more or visible(drift["detail"])
        what = "is gone" if drift["gone"] else "was changed outside"
        out.append((visible(drift["address"]), f"{what}{f' ({detail})' if detail else ''}; {ending}"))
    return out


def _bare(value: Any) -> str:
    if isinstance(value, str) and _PLAIN.fullmatch(value):
        return value
    return ABSENT if value is None else value_text(value, 40)


def _drift_lines(document: Mapping[str, Any], paint: Paint) -> list[str]:
    return [f"  {paint.warn('drift')}      {address} {words}" for address, words in _drift_words(document)]


def _not_loaded_words(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    out = []
    for item in document["not_loaded"]:
        where = item["declared_in"]
        known = f"file '{visible(where)}' was not read here"
        if not where.endswith((".cw", ".cw.json")):
            known = f"cell '{visible(where)}' has not been run here"
        out.append((visible(item["address"]), known))
    return out


def _not_loaded_lines(document: Mapping[str, Any], paint: Paint) -> list[str]:
    return [f"  {paint.dim('not loaded')} {address}: {words}" for address, words in _not_loaded_words(document)]


def _later_words(document: Mapping[str, Any]) -> str:
    """Return what the reader must know when part of the plan waits; empty when nothing does."""
    if not any(change.get("deferred") for change in document["changes"]):
        return ""
    return "what waits is planned again, and asked about again, when what it waits for is known"


def _later_lines(document: Mapping[str, Any], paint: Paint) -> list[str]:
    words = _later_words(document)
    return [f"  {paint.dim('later')}      {words}"] if words else []


def _output_lines(document: Mapping[str, Any], width: int) -> list[str]:
    lines: list[str] = []
    for output in document["outputs"]:
        after = _output_value(output, "after", width - 24)
        was = ""
        if output["before"] is not None and output["before"] != output["after"]:
            was = ", another value" if output["sensitive"] else f"   (was {_output_value(output, 'before', 40)})"
        lead = "Outputs   " if not lines else " " * 10
        lines.append(f"{lead}{visible(output['name'])} = {after}{was}")
    return lines


def _output_value(output: Mapping[str, Any], side: str, columns: int) -> str:
    value = output[side]
    if value is None:
        return "(removed)" if side == "after" else ABSENT
    return "(sensitive)" if output["sensitive"] else value_text(value, max(20, columns))


# --- HTML -------------------------------------------------------------------------------------------------------


def plan_html(
    document: Mapping[str, Any],
    digest: str,
    *,
    next_lines: Sequence[str] = (),
    observed_s: float | None = None,
    graph: bool = True,
) -> str:
    """Return the plan as an HTML fragment: no scripts, every text escaped, the same facts as `plan_text` and more.

    *graph* adds the dependency graph behind a disclosure. Arguments otherwise as `plan_text`.
    """
    body: list[Child] = [_html_header(document, digest, observed_s)]
    if not _is_empty(document):
        body.append(_html_table(document))
    body += [_note("drift", f"{address} {words}", "cw-warn") for address, words in _drift_words(document)]
    body += [_note("not loaded", f"{address}: {words}", "cw-muted") for address, words in _not_loaded_words(document)]
    if _later_words(document):
        body.append(_note("later", _later_words(document), "cw-muted"))
    steps = document["actions"]["steps"]
    if graph and needs_approval(document):
        from clockwork_nb.render.graph import plan_graph_svg

        drawing = element("div", Markup(plan_graph_svg(document)), class_="cw-graph")
        body.append(element("details", element("summary", "graph"), drawing))
    if steps:
        body.append(_html_actions(steps))
    body.append(_html_footer(document, next_lines))
    card = element("div", body, class_="cw-card", data_cw_plan=digest)
    return str(wrap(card, label=f"plan {short_digest(digest)}"))


def _html_header(document: Mapping[str, Any], digest: str, observed_s: float | None) -> Markup:
    if _is_empty(document):
        return element(
            "header", element("b", "Nothing to do"), " ", element("span", _nothing(document, observed_s)[15:])
        )
    risks = risk_words(document)
    title = "Destroy plan" if document["destroy"] else "Plan"
    only = f" · only {clip(', '.join(map(visible, document['targets'])), 60)}" if document["targets"] else ""
    if document.get("excluded"):
        only += f" · without {clip(', '.join(map(visible, document['excluded'])), 60)}"
    pill: Child = None
    if needs_approval(document):
        words = f"needs approval{f': {risks}' if risks else ''}"
        pill = fragment(" ", element("span", words, class_="cw-pill cw-warn cw-right"))
    return element(
        "header",
        element("b", title),
        " ",
        element("code", short_digest(digest), class_="cw-muted", title=digest),
        " ",
        element("span", change_words(document, verb="").replace(", ", " · ") or "outputs only", only),
        pill,
    )


def _html_table(document: Mapping[str, Any]) -> Markup:
    changing, checks = _changing(document), _checks(document)
    head = element("thead", element("tr", element("th", "change"), element("th", "resource")))
    rows = [_html_row(c, changing, checks) for c in document["changes"] if c["kind"] != "noop"]
    return element("table", head, element("tbody", rows), class_="cw-plan")


def _html_row(change: Mapping[str, Any], changing: frozenset[str], checks: Mapping[str, list[str]]) -> Markup:
    kind = change["kind"]
    words = [_title(change), _needs(change, changing)]
    if change["risk"]:
        words.append(f"risk: {', '.join(change['risk'])}")
    attributes = change["attributes"] if kind != "verify" else []
    then = [] if kind == "verify" else [f"then {words}" for words in checks.get(change["address"], ())]
    cell = element(
        "td",
        element("code", change["address"]),
        " ",
        element("span", " · ".join(filter(None, words)), class_="cw-muted"),
        element("div", [_html_attribute(a) for a in attributes], class_="cw-attr") if attributes else None,
        [_html_diff(a) for a in attributes],
        [element("div", words, class_="cw-muted") for words in then],
        _html_values(change),
        style="text-align:left",
    )
    act = element("td", f"{SIGNS[kind]} {kind}", class_="cw-act", style="text-align:left;white-space:nowrap")
    return element("tr", act, cell, class_=f"cw-{kind}")


def _html_attribute(attribute: Mapping[str, Any]) -> Markup:
    before, after = _sides(attribute, 60)
    forces = element("span", " forces replacement", class_="cw-muted") if attribute.get("forces_replacement") else None
    if before[0] and before[::2] == after[::2]:
        value = fragment(before[0], element("del", before[1]), " → ", element("ins", after[1]), before[2])
    else:
        old, new = element("del", "".join(before)), element("ins", "".join(after))
        value = fragment(old, " → ", new)
    return element("div", element("span", attribute["path"]), " ", element("span", value, forces))


def _html_diff(attribute: Mapping[str, Any]) -> Markup | None:
    """Return all changed lines of a text attribute behind a disclosure, None where one line says it all."""
    before, after = attribute["before"], attribute["after"]
    if not (isinstance(before, str) and isinstance(after, str)) or "\n" not in before.strip() + after.strip():
        return None
    old, new = before.splitlines(), after.splitlines()
    if len(old) + len(new) > _DIFF_LINES:  # difflib is quadratic
        return element("div", f"{attribute['path']}: {len(old):,} → {len(new):,} lines", class_="cw-muted")
    lines = list(difflib.unified_diff(old, new, "before", "after", lineterm=""))[2:]
    summary = element("summary", f"{attribute['path']}, line by line")
    return element("details", summary, element("pre", "\n".join(lines)))


def _html_values(change: Mapping[str, Any]) -> Markup | None:
    """Return every attribute of a new resource behind a disclosure: an approval covers what can be looked at."""
    if change["kind"] != "create" or not change["after"]:
        return None
    lines = [f"{name} = {value_text(value, 2_000)}" for name, value in change["after"].items() if value is not None]
    if not lines:
        return None
    return element("details", element("summary", "attributes"), element("pre", "\n".join(lines)))


def _html_actions(steps: Sequence[Mapping[str, Any]]) -> Markup:
    lines = [json.dumps(step, ensure_ascii=False, default=str) for step in steps[:_STEPS_SHOWN]]
    if len(steps) > _STEPS_SHOWN:
        lines.append(f"… {len(steps) - _STEPS_SHOWN:,} more steps")
    summary = element("summary", f"ActionList, {plural(len(steps), 'step')}")
    return element("details", summary, element("pre", "\n".join(lines)))


def _note(word: str, sentence: str, color: str) -> Markup:
    return element("div", element("span", word, class_=color), " ", sentence, class_="cw-note")


def _html_footer(document: Mapping[str, Any], next_lines: Sequence[str]) -> Markup | None:
    parts: list[Child] = [
        element("span", line.removeprefix("Outputs").strip()) for line in _output_lines(document, 100)
    ]
    parts += [element("span", "Next: ", element("code", line)) for line in next_lines]
    if not parts:
        return None
    spaced: list[Child] = []
    for part in parts:
        spaced += [part, " "]
    return element("footer", spaced, class_="cw-muted")
