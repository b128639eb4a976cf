"""HTML that is escaped unless it was made here.

`element` builds a tag from a name, children and attributes. A child that is a plain ``str`` is text and is escaped;
only `Markup`, which nothing but this module creates from parts, is taken as HTML. Attribute names are checked, attribute
values escaped, and URLs and event handlers have no way in.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeAlias

from clockwork_nb.patterns import pattern
from clockwork_nb.render.text import visible

__all__ = ["Child", "Markup", "document", "element", "fragment", "text"]


class Markup(str):
    """HTML that is already safe."""

    __slots__ = ()


Child: TypeAlias = "str | Markup | Iterable[Child] | None"

_VOID: Final = frozenset({"br", "hr", "input", "meta", "col"})
_TAG: Final = pattern(r"[a-z][a-zA-Z0-9]{0,15}")
_FORBIDDEN: Final = frozenset({"script", "iframe", "object", "embed", "link", "base", "form"})
_ATTRIBUTE: Final = pattern(r"(?!on)[a-zA-Z][a-zA-Z0-9:-]*")


def text(value: str) -> Markup:
    """Return *value* as text: HTML characters escaped, hidden characters shown as escapes, line ends and tabs kept."""
    from html import escape  # the table of all entities comes with it, and no terminal needs that

    return Markup(escape(visible(value, keep="\n\t"), quote=True))


def fragment(*children: Child) -> Markup:
    """Return *children* one after the other; plain strings are escaped, None is nothing."""
    out: list[str] = []
    stack: list[Child] = list(reversed(children))
    while stack:
        child = stack.pop()
        if child is None:
            continue
        if isinstance(child, Markup):
            out.append(child)
        elif isinstance(child, str):
            out.append(text(child))
        else:
            stack.extend(reversed(list(child)))
    return Markup("".join(out))


def element(tag: str, *children: Child, **attributes: str | int | bool | None) -> Markup:
    """Return ``<tag …>children</tag>``.

    Attribute names: a trailing ``_`` is dropped (``class_``), other ``_`` become ``-`` (``aria_label``). False and None
    leave the attribute out, True writes it without a value.

    Raises:
        ValueError: a tag or attribute that must not come from here (a script, an event handler, a URL).
    """
    if not _TAG.fullmatch(tag) or tag in _FORBIDDEN:
        raise ValueError(f"the tag {tag!r} is not allowed")
    parts = [f"<{tag}"]
    for key, value in attributes.items():
        name = key.rstrip("_").replace("_", "-")
        if not _ATTRIBUTE.fullmatch(name) or name in {"href", "src", "srcdoc", "action"}:
            raise ValueError(f"the attribute {name!r} is not allowed")
        if value is None or value is False:
            continue
        parts.append(f" {name}" if value is True else f' {name}="{text(str(value))}"')
    if tag in _VOID:
        return Markup("".join(parts) + ">")
    return Markup("".join(parts) + f">{fragment(*children)}</{tag}>")


def document(title: str, body: Markup, style: Markup) -> str:
    """Return a whole page with *title*, the CSS *style* and *body*: no scripts, nothing fetched."""
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    head = fragment(
        Markup('<meta charset="utf-8">'),
        Markup('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        Markup('<meta name="color-scheme" content="light dark">'),
        Markup(f'<meta http-equiv="Content-Security-Policy" content="{policy}">'),
        element("title", title),
        style,
    )
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{body}</body></html>\n'
