"""What was changed outside, as people read it. Works on the document of ``clockwork drift``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clockwork_nb.patterns import pattern
from clockwork_nb.render.html import Markup, element
from clockwork_nb.render.text import Paint, clip, columns_of, pad, plural, visible
from clockwork_nb.render.theme import wrap
from clockwork_nb.render.values import ABSENT, value_text

__all__ = ["drift_html", "drift_text"]

_ADDRESS_COLUMNS = 40
_PLAIN = pattern(r"[\w./:@+-]{1,64}")


def drift_text(document: Mapping[str, Any], *, color: bool = False) -> str:
    """Return the drift as text without a line end at the end."""
    paint = Paint(color)
    lines = [_headline(document, paint)]
    rows = _rows(document)
    column = min(max((columns_of(address) for address, _, _ in rows), default=0) + 2, _ADDRESS_COLUMNS)
    for address, word, facts in rows:
        painted = paint.bad(f"{word:<8}") if word == "gone" else paint.warn(f"{word:<8}")
        lines.append(f"  {painted}  {pad(address, column)}{facts[0] if facts else ''}".rstrip())
        lines += [f"{' ' * (12 + column)}{fact}" for fact in facts[1:]]
    if document["drift"]:
        lines += ["", "Next      clockwork plan      shows what apply would do about it; nothing was written"]
    return "\n".join(lines)


def _headline(document: Mapping[str, Any], paint: Paint) -> str:
    observed = plural(document["observed"], "resource")
    if not document["drift"]:
        unclear = len(document["unclear"])
        words = f"No drift. {observed} looked at"
        return f"{words}, {unclear} of them cannot be told\n" if unclear else f"{words}."
    return f"{paint.bold('Drift')} · {len(document['drift'])} of {observed} changed outside since the last apply\n"


def _rows(document: Mapping[str, Any]) -> list[tuple[str, str, Sequence[str]]]:
    rows: list[tuple[str, str, Sequence[str]]] = []
    for item in document["drift"]:
        facts = [f"{visible(a['path'])}  {_value(a['recorded'])} → {_value(a['observed'])}" for a in item["attributes"]]
        word = "gone" if item["gone"] else "changed"
        shown = [visible(item["detail"])] if item["gone"] or not facts else facts
        rows.append((visible(item["address"]), word, shown))
    rows += [(visible(i["address"]), "unclear", [clip(visible(i["detail"]), 100)]) for i in document["unclear"]]
    return rows


def _value(value: Any) -> str:
    if isinstance(value, str) and _PLAIN.fullmatch(value):
        return value
    return ABSENT if value is None else value_text(value, 40)


def drift_html(document: Mapping[str, Any]) -> str:
    """Return the drift as an HTML fragment, every text escaped."""
    rows = [
        element(
            "tr",
            element("td", word, class_="cw-act", style="text-align:left"),
            element(
                "td", element("code", address), [element("div", fact, class_="cw-muted") for fact in facts],
                style="text-align:left",
            ),
            class_="cw-delete" if word == "gone" else "cw-update",
        )
        for address, word, facts in _rows(document)
    ]  # fmt: skip
    head = element("thead", element("tr", element("th", "what"), element("th", "resource")))
    body: list[Markup] = [element("header", element("b", _headline(document, Paint(False)).strip()))]
    if rows:
        body.append(element("table", head, element("tbody", rows), class_="cw-plan"))
    return str(wrap(element("div", body, class_="cw-card"), label="drift"))
