"""What one ``%%cw`` cell (or one file) declares, in a line or two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clockwork_nb.render.html import Child, element, fragment
from clockwork_nb.render.text import clip, pad, plural, visible
from clockwork_nb.render.theme import wrap
from clockwork_nb.render.values import value_text

__all__ = ["declared_html", "declared_text"]

_NAMES_SHOWN = 8


def _variables(declared: Mapping[str, Any]) -> str:
    items = declared.get("variables", ())
    if not items:
        return ""
    words = []
    for item in items[:_NAMES_SHOWN]:
        name = visible(item["name"])
        if item.get("sensitive"):
            value = "(sensitive)"
        elif "value" in item:
            value = value_text(item["value"], 40)
        else:
            value = "(not set)"
        source = item.get("source", "default")
        origin = "" if source in {"", "default"} else f" from {visible(source)}"
        words.append(f"{name} = {value}{origin}")
    return f"{plural(len(items), 'variable')} ({', '.join(words)}{_more(len(items))})"


def _more(count: int) -> str:
    return f" and {count - _NAMES_SHOWN:,} more" if count > _NAMES_SHOWN else ""


def _names(items: Sequence[Any]) -> str:
    shown = [visible(item if isinstance(item, str) else item["name"]) for item in items[:_NAMES_SHOWN]]
    return ", ".join(shown) + _more(len(items))


def _sentence(declared: Mapping[str, Any]) -> str:
    parts = [_variables(declared)]
    if declared.get("locals"):
        parts.append(plural(len(declared["locals"]), "local"))
    if declared.get("resources"):
        parts.append(_names(declared["resources"]))
    for key, noun in (("settings", "setting"), ("policies", "policy rule")):
        if declared.get(key):
            parts.append(plural(len(declared[key]), noun))
    words = ", ".join(filter(None, parts))
    outputs = declared.get("outputs", ())
    if outputs:
        noun = "output" if len(outputs) == 1 else "outputs"
        words = f"{words}{' ' if words else ''}→ {noun} {_names(outputs)}"
    return words or "nothing"


def declared_text(key: str, declared: Mapping[str, Any], *, column: int = 11) -> str:
    """Return one line: the cell's key and what it declares.

    *declared* has lists ``variables`` (``{name, value?, source?, sensitive?}``), ``locals``, ``resources`` (addresses)
    and ``outputs`` (names, or ``{name}``); any may be missing. *column* is where the sentence starts.

    >>> declared_text("web", {"resources": ["service.web"], "outputs": ["url"]})
    'web        service.web → output url'
    """
    return f"{pad(clip(visible(key), 60), column - 1)} {_sentence(declared)}"


def declared_html(key: str, declared: Mapping[str, Any], *, note: str = "") -> str:
    """Return the same as a small HTML fragment, every text escaped; *note* is one more sentence (``replaces cell …``)."""
    line: list[Child] = [element("b", key), " ", element("span", _sentence(declared))]
    extra = element("div", note, class_="cw-warn") if note else None
    card = element("div", element("div", fragment(line), extra, class_="cw-note", style="border:0"), class_="cw-card")
    return str(wrap(card, label=f"declared in {visible(key)}"))
