"""A plan as people read it: what will change, why, what it needs, and what to type next.

Works on the plan *document* (``Plan.to_document()`` or a parsed ``plan.json``), so that a saved plan, a plan in a pack
and a plan just made look the same. Sealed and unknown values stay words.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from clockwork_nb.render.html import Child, Markup, element, fragment
from clockwork_nb.render.plan_words import (
    SIGNS,
    change_words,
    changing_addresses,
    checks_of,
    commands_of,
    drift_words,
    is_empty,
    later_words,
    needs_approval,
    needs_words,
    not_loaded_words,
    nothing_words,
    output_value,
    risk_words,
    sides_of,
    title_of,
)
from clockwork_nb.render.text import Paint, clip, clip_middle, columns_of, folded, pad, plural, short_digest, visible
from clockwork_nb.render.theme import wrap
from clockwork_nb.render.values import value_text

__all__ = ["plan_html", "plan_text"]

_DIFF_LINES: Final = 400
_STEPS_SHOWN: Final = 100
_ADDRESS_COLUMNS: Final = (28, 48)
_TITLE_COLUMNS: Final = (25, 40)
_INDENT: Final = 15
"""Where the lines begin that go on with a change."""


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
    aside = _drift_lines(document, paint, width) + _not_loaded_lines(document, paint) + _later_lines(document, paint)
    if aside:
        lines += ["", *aside]
    outputs = _output_lines(document, width)
    tail = outputs + [("Next      " if i == 0 else " " * 10) + line for i, line in enumerate(next_lines)]
    if tail:
        lines += ["", *tail]
    return "\n".join(lines)


def _headline(document: Mapping[str, Any], digest: str, paint: Paint, observed_s: float | None) -> str:
    if is_empty(document):
        return nothing_words(document, observed_s)
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


def _change_lines(document: Mapping[str, Any], paint: Paint, width: int) -> list[str]:
    shown = [change for change in document["changes"] if change["kind"] != "noop"]
    if is_empty(document):
        return []
    changing, checks, commands = changing_addresses(document), checks_of(document), commands_of(document)
    widest = max((columns_of(visible(c["address"])) for c in shown), default=0)
    least, most = _ADDRESS_COLUMNS
    column = min(max(widest + 2, least), max(least, min(most, width - 52)))
    cells = [_cells(change, changing, width - 13 - column) for change in shown]
    least, most = _TITLE_COLUMNS
    second = max([least, *(wide for row in cells if row[1:] and (wide := columns_of(row[0]) + 2) <= most)])
    lines: list[str] = []
    for change, row in zip(shown, cells, strict=True):
        kind = change["kind"]
        sign = _paint_kind(paint, kind, f"{SIGNS[kind]} {kind:<9}")
        address = clip_middle(visible(change["address"]), column - 2)
        first, *more = _laid_out(row, 13 + column, second, width)
        lines.append(f"  {sign}{pad(address, column)}{first}".rstrip())
        lines += [" " * _INDENT + line for line in more]
        attributes = change["attributes"] if kind != "verify" else []
        carrier = _carrier(change)
        for attribute in attributes:
            tail = _risk(change) if attribute is carrier else ""
            lines += _attribute_lines(attribute, attributes, tail, paint, width)
        if kind != "verify":
            lines += [f"             then {clip(words, width - 18)}" for words in checks.get(change["address"], ())]
        if kind == "run" and commands.get(change["address"]):
            lines.append(f"             $ {clip(commands[change['address']], max(20, width - 15))}")
    return lines


def _carrier(change: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the attribute that forces a replacement, and beside which the risk is told; None when none does."""
    if change["kind"] == "verify":
        return None
    return next((a for a in change["attributes"] if a.get("forces_replacement")), None)


def _risk(change: Mapping[str, Any]) -> str:
    return f"risk: {', '.join(map(visible, change['risk']))}" if change["risk"] else ""


def _cells(change: Mapping[str, Any], changing: frozenset[str], room: int) -> list[str]:
    """Return what stands behind the address: what it is and why it changes, what it needs, its risk.

    What and why are two cells where they do not fit in *room* columns together.
    """
    what, why = title_of(change)
    cells = [
        ", ".join(filter(None, (what, why))),
        needs_words(change, changing),
        "" if _carrier(change) else _risk(change),
    ]
    if why and columns_of(cells[0]) > room:
        cells[:1] = [what, why]
    return [cell for n, cell in enumerate(cells) if cell or not n]


def _laid_out(cells: Sequence[str], start: int, second: int, width: int) -> list[str]:
    """Return *cells* side by side in lines of at most *width* columns: the first from column *start*, others indented.

    The second cell begins *second* columns after the first where that leaves room. A first cell that is too long is
    shortened, the others go on below.
    """
    lines = [clip_middle(cells[0], max(width - start, _TITLE_COLUMNS[0]))]
    used = start + columns_of(lines[0])
    for n, cell in enumerate(cells[1:]):
        gap = max(2, second - columns_of(lines[0])) if not n else 7
        if used + gap + columns_of(cell) <= width:
            lines[-1] += " " * gap + cell
            used += gap + columns_of(cell)
        else:
            lines += folded(cell, width - _INDENT)
            used = _INDENT + columns_of(lines[-1])
    return lines


def _paint_kind(paint: Paint, kind: str, text: str) -> str:
    painter = {
        "create": paint.good, "verify": paint.good, "update": paint.warn, "replace": paint.other,
        "delete": paint.bad, "forget": paint.bad, "run": paint.other, "move": paint.other, "import": paint.other,
    }  # fmt: skip
    return painter[kind](text)


def _attribute_lines(
    attribute: Mapping[str, Any], siblings: Sequence[Mapping[str, Any]], risk: str, paint: Paint, width: int
) -> list[str]:
    column = max(10, min(max((columns_of(visible(a["path"])) for a in siblings), default=8), 30) + 2)
    room = max(16, (width - _INDENT - column - 3) // 2)
    before, after = sides_of(attribute, room)
    words = f"{paint.bad(''.join(before))} → {paint.good(''.join(after))}"
    plain = columns_of("".join(before)) + columns_of("".join(after)) + 3
    line = f"{' ' * _INDENT}{pad(clip_middle(visible(attribute['path']), 30), column)}{words}"
    tail = "       ".join(filter(None, ("forces replacement" if attribute.get("forces_replacement") else "", risk)))
    if not tail:
        return [line]
    gap = max(2, 16 - plain)
    if _INDENT + column + plain + gap + columns_of(tail) > width:
        return [line, " " * (_INDENT + column) + tail]
    return [line + " " * gap + tail]


def _drift_lines(document: Mapping[str, Any], paint: Paint, width: int) -> list[str]:
    lines = []
    for address, words in drift_words(document):
        first, *more = folded(f"{address} {words}", width - 13)
        lines += [f"  {paint.warn('drift')}      {first}", *(" " * 13 + line for line in more)]
    return lines


def _not_loaded_lines(document: Mapping[str, Any], paint: Paint) -> list[str]:
    return [f"  {paint.dim('not loaded')} {address}: {words}" for address, words in not_loaded_words(document)]


def _later_lines(document: Mapping[str, Any], paint: Paint) -> list[str]:
    words = later_words(document)
    return [f"  {paint.dim('later')}      {words}"] if words else []


def _output_lines(document: Mapping[str, Any], width: int) -> list[str]:
    lines: list[str] = []
    for output in document["outputs"]:
        after = output_value(output, "after", width - 24)
        was = ""
        if output["before"] is not None and output["before"] != output["after"]:
            was = ", another value" if output["sensitive"] else f"   (was {output_value(output, 'before', 40)})"
        lead = "Outputs   " if not lines else " " * 10
        line = f"{lead}{visible(output['name'])} = {after}"
        fits = columns_of(line) + columns_of(was) <= width
        lines += [line + was] if fits else [line, " " * 10 + was]
    return lines


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
    if not is_empty(document):
        body.append(_html_table(document))
    body += [_note("drift", f"{address} {words}", "cw-warn") for address, words in drift_words(document)]
    body += [_note("not loaded", f"{address}: {words}", "cw-muted") for address, words in not_loaded_words(document)]
    if later_words(document):
        body.append(_note("later", later_words(document), "cw-muted"))
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
    if is_empty(document):
        return element(
            "header", element("b", "Nothing to do"), " ", element("span", nothing_words(document, observed_s)[15:])
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
    changing, checks = changing_addresses(document), checks_of(document)
    head = element("thead", element("tr", element("th", "change"), element("th", "resource")))
    rows = [_html_row(c, changing, checks) for c in document["changes"] if c["kind"] != "noop"]
    return element("table", head, element("tbody", rows), class_="cw-plan")


def _html_row(change: Mapping[str, Any], changing: frozenset[str], checks: Mapping[str, list[str]]) -> Markup:
    kind = change["kind"]
    words = [", ".join(filter(None, title_of(change))), needs_words(change, changing)]
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
    before, after = sides_of(attribute, 60)
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
    import difflib

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
