"""What a magic returns: one value that a terminal, a notebook page and a program can each read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from clockwork_nb.render.html import Child, element, fragment
from clockwork_nb.render.text import columns_of, pad, visible
from clockwork_nb.render.theme import wrap

__all__ = ["Outputs", "Result", "note", "plain", "table"]

_DOCUMENT_LIMIT = 512 * 1024


class Result:
    """A result with its three forms: text, escaped HTML, and a JSON document of type *kind*.

    ``value`` is the object of the Python API behind it (a ``Planned``, a ``Built``, …), None where there is none.
    The JSON travels as ``application/vnd.clockwork.<kind>+json``; under ``application/json`` front ends would show it
    instead of the HTML.
    """

    def __init__(self, kind: str, text: str, html: str, document: Any, value: Any = None) -> None:
        self.kind = kind
        self.text = text
        self.html = html
        self.document = document
        self.value = value

    def __repr__(self) -> str:
        return self.text

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        """Return the three forms by MIME type (IPython calls this)."""
        return {
            "text/plain": self.text,
            "text/html": self.html,
            f"application/vnd.clockwork.{self.kind}+json": self.document,
        }


class Outputs(Result, Mapping[str, Any]):
    """The outputs of the last apply, by name. Sensitive ones are listed but their values are not here."""

    def __init__(self, rows: Sequence[Mapping[str, Any]]) -> None:
        shown = [(r["name"], _value_words(r)) for r in rows]
        view = table("outputs", ("name", "value"), shown, empty="No outputs yet. They appear after %cw_apply.")
        document = {"outputs": [dict(r) if not r.get("sensitive") else {**r, "value": None} for r in rows]}
        super().__init__("outputs", view.text, view.html, document)
        self._values = {r["name"]: r["value"] for r in rows if not r.get("sensitive")}

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def _value_words(row: Mapping[str, Any]) -> str:
    from clockwork_nb.render.values import value_text

    return "(sensitive)" if row.get("sensitive") else value_text(row["value"])


def note(kind: str, text: str, document: Mapping[str, Any] | None = None) -> Result:
    """Return a result of a few lines of text."""
    shown = visible(text, keep="\n")
    html = wrap(element("div", element("pre", shown, class_="cw-words"), class_="cw-card"), label=kind)
    return Result(kind, shown, html, dict(document or {"text": text}))


def table(kind: str, head: Sequence[str], rows: Sequence[Sequence[str]], *, empty: str, value: Any = None) -> Result:
    """Return *rows* of text as an aligned table; *empty* is what is said when there are none."""
    if not rows:
        return note(kind, empty, {"rows": []})
    cells = [[visible(c) for c in row] for row in rows]
    widths = [max(columns_of(row[i]) for row in cells) for i in range(len(head))]
    lines = ["  ".join(pad(c, w) for c, w in zip(row, widths, strict=True)).rstrip() for row in cells]
    body: list[Child] = [
        element("tr", *(element("td", element("code", c), style="text-align:left") for c in row)) for row in cells
    ]
    html = wrap(
        element(
            "div",
            element(
                "table",
                element("thead", element("tr", *(element("th", h, scope="col") for h in head))),
                element("tbody", fragment(body)),
            ),
            class_="cw-card",
        ),
        label=kind,
    )
    document = {"rows": [dict(zip(head, row, strict=True)) for row in rows]}
    return Result(kind, "\n".join(lines), html, document, value)


def plain(value: Any) -> Any:
    """Return *value* as plain JSON types; None when it is larger than an output should carry (512 KiB)."""
    import json

    from clockwork_nb.canonical import canonical_json

    data = canonical_json(value)
    return json.loads(data) if len(data) <= _DOCUMENT_LIMIT else None
