"""YAML or JSON text as plain values that know their place, so that a mistake can be shown where it stands.

YAML is read as its core schema (YAML 1.2 §10.3): ``yes`` and ``12:30`` are text. Tags, keys that are no text and second
documents are refused; an alias counts with all it stands for. JSON is RFC 8259. Both become one stream of parts, which
one builder puts together without recursion.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any, Final, Literal

from msgspec import Struct, field

from clockwork_nb.diagnostics import Diagnostics, SourceRange, SourceText
from clockwork_nb.intake.names import shown, summary
from clockwork_nb.patterns import pattern

__all__ = ["MAX_BYTES", "MAX_DEPTH", "MAX_NODES", "Findings", "Node", "read_document"]

MAX_BYTES: Final = 1 << 20
MAX_DEPTH: Final = 64
"""Lists and objects inside one another, the outermost counted."""
MAX_NODES: Final = 100_000
"""Values of one document, each alias counted with all it stands for."""
_MAX_FINDINGS: Final = 100
_MAX_NUMBER: Final = 40
_EXACT: Final = 2**53 - 1
"""The largest whole number that every JSON reader keeps exactly (RFC 7493 §2.2)."""


class Node(Struct, frozen=True):
    """One value and where it is written, in code points from 0.

    ``value`` is the plain JSON value, lists and dicts included. ``items`` are the elements of a list, ``entries`` the
    members of an object: key → (where the key begins, where it ends, the value). ``size`` counts the values in it,
    ``depth`` the lists and objects inside one another.
    """

    value: Any
    start: int
    end: int
    items: tuple[Node, ...] = ()
    entries: dict[str, tuple[int, int, Node]] = field(default_factory=dict)
    size: int = 1
    depth: int = 0


class Findings:
    """What there is to say about one text. After a hundred findings the rest is left out."""

    def __init__(self, source: SourceText) -> None:
        self.source = source
        self.found = Diagnostics()

    def range(self, start: int, end: int) -> SourceRange:
        """Return that stretch of the text, at least one character."""
        return SourceRange(self.source, start, max(end, start + 1))

    def error(
        self,
        code: str,
        says: str,
        start: int,
        end: int,
        *,
        note: str = "",
        detail: str = "",
        trail: tuple[tuple[str, SourceRange | None], ...] = (),
    ) -> None:
        """Add an error."""
        if len(self.found) < _MAX_FINDINGS:
            self.found.error(code, summary(says), self.range(start, end), note=note, detail=detail, trail=trail)

    def warning(self, code: str, says: str, start: int, end: int, *, note: str = "", detail: str = "") -> None:
        """Add a warning."""
        if len(self.found) < _MAX_FINDINGS:
            self.found.warning(code, summary(says), self.range(start, end), note=note, detail=detail)


def read_document(findings: Findings, *, as_json: bool) -> Node | None:
    """Return the one value of the text, None when it cannot be read; what is wrong is in *findings*.

    A key that stands twice is a finding, and its first value counts.
    """
    try:
        if len(findings.source.text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
            raise _Stop("spec-limit", f"the text has more than {MAX_BYTES:,} bytes", 0, 0)
        builder = _Builder(findings)
        for part in _json_parts(findings.source.text) if as_json else _yaml_parts(findings.source.text):
            builder.take(part)
        if builder.root is None:
            raise _Stop("spec-syntax", "the text is empty", 0, 0)
        return builder.root
    except _Stop as stop:
        findings.error(stop.code, stop.says, stop.start, stop.end, note=stop.note)
        return None


class _Stop(Exception):
    """The text cannot be read beyond this place."""

    def __init__(self, code: str, says: str, start: int, end: int, note: str = "") -> None:
        super().__init__(says)
        self.code, self.says, self.start, self.end, self.note = code, says, start, end, note


class _Part(Struct, frozen=True):
    """A piece of a document, in the order of the text. ``anchor`` names what begins here, or what an alias means."""

    kind: Literal["list", "object", "close", "scalar", "alias"]
    start: int
    end: int
    value: Any = None
    anchor: str = ""


class _Open(Struct):
    """A list or object whose end has not come yet; ``key`` waits for its value."""

    is_object: bool
    start: int
    anchor: str
    items: list[Node] = field(default_factory=list)
    entries: dict[str, tuple[int, int, Node]] = field(default_factory=dict)
    key: _Part | None = None


class _Builder:
    """Puts parts together; ``root`` is the document once it is whole."""

    def __init__(self, findings: Findings) -> None:
        self.root: Node | None = None
        self._findings = findings
        self._stack: list[_Open] = []
        self._anchors: dict[str, Node] = {}
        self._count = 0

    def take(self, part: _Part) -> None:
        """Take the next part in.

        Raises:
            _Stop: nothing after it can be understood, or a limit is passed.
        """
        inside = self._stack[-1] if self._stack else None
        if inside is not None and inside.is_object and inside.key is None and part.kind != "close":
            if part.kind != "scalar" or type(part.value) is not str:
                raise _Stop("spec-syntax", "a key must be text", part.start, part.end, 'put it in "quotes"')
            inside.key = part
            return
        if part.kind in {"list", "object"}:
            if len(self._stack) == MAX_DEPTH:
                raise _too_deep(part)
            self._stack.append(_Open(part.kind == "object", part.start, part.anchor))
            return
        node, anchor = self._node(part)
        if anchor:
            self._anchors[anchor] = node
        self._count += node.size if part.kind == "alias" else 1
        if self._count > MAX_NODES:
            raise _Stop("spec-limit", f"more than {MAX_NODES:,} values", part.start, part.end)
        self._put(node)

    def _node(self, part: _Part) -> tuple[Node, str]:
        if part.kind == "scalar":
            return Node(part.value, part.start, part.end), part.anchor
        if part.kind == "close":
            opened = self._stack.pop()
            return _closed(opened, part.end), opened.anchor
        meant = self._anchors.get(part.anchor)
        if meant is None:  # an anchor counts once its value is whole, so nothing can hold itself
            raise _Stop("spec-syntax", f"the alias *{part.anchor} stands for nothing yet", part.start, part.end)
        if len(self._stack) + meant.depth > MAX_DEPTH:
            raise _too_deep(part)
        return Node(meant.value, part.start, part.end, meant.items, meant.entries, meant.size, meant.depth), ""

    def _put(self, node: Node) -> None:
        if not self._stack:
            self.root = node
            return
        inside = self._stack[-1]
        if not inside.is_object:
            inside.items.append(node)
            return
        key, inside.key = inside.key, None
        assert key is not None
        first = inside.entries.get(key.value)
        if first is None:
            inside.entries[key.value] = (key.start, key.end, node)
            return
        self._findings.error(
            "spec-duplicate",
            f"{shown(key.value)} stands here twice",
            key.start,
            key.end,
            note="remove one of the two",
            trail=(("first here", self._findings.range(first[0], first[1])),),
        )


def _too_deep(part: _Part) -> _Stop:
    return _Stop("spec-limit", f"nested more than {MAX_DEPTH} deep", part.start, part.end)


def _closed(opened: _Open, end: int) -> Node:
    inner = [node for _, _, node in opened.entries.values()] if opened.is_object else opened.items
    size = 1 + sum(node.size for node in inner)
    depth = 1 + max((node.depth for node in inner), default=0)
    if opened.is_object:
        value = {key: node.value for key, (_, _, node) in opened.entries.items()}
        return Node(value, opened.start, end, (), opened.entries, size, depth)
    return Node([node.value for node in inner], opened.start, end, tuple(inner), {}, size, depth)


# --- JSON --------------------------------------------------------------------------------------------------------

_JSON_PART: Final = pattern(
    r'(?P<text>"(?:[^"\\]|\\.)*+")|(?P<open>[{\[])|(?P<close>[}\]])|(?P<word>[^\s,:{}\[\]"]+)', re.DOTALL
)


def _json_parts(text: str) -> Iterator[_Part]:
    # The library says whether it is JSON; what it accepts has no structure left to doubt.
    try:
        json.loads(text, parse_int=str, parse_float=str, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise _Stop("spec-syntax", f"not JSON: {error.msg}", error.pos, error.pos) from None
    except _NoConstant as error:
        at = max(0, text.find(str(error)))
        raise _Stop("spec-syntax", f"{error} is not JSON", at, at + len(str(error))) from None
    except RecursionError:
        raise _Stop("spec-limit", f"nested more than {MAX_DEPTH} deep", 0, 0) from None
    for found in _JSON_PART.finditer(text):
        start, end, written = found.start(), found.end(), found[0]
        if found["text"]:
            yield _Part("scalar", start, end, _whole(json.loads(written, strict=False), start, end))
        elif found["open"]:
            yield _Part("object" if written == "{" else "list", start, end)
        elif found["close"]:
            yield _Part("close", start, end)
        else:
            yield _Part("scalar", start, end, _plain(written, start, end))


class _NoConstant(Exception):
    """NaN or an infinity."""


def _no_constant(name: str) -> None:
    raise _NoConstant(name)


# --- YAML --------------------------------------------------------------------------------------------------------


def _yaml_parts(text: str) -> Iterator[_Part]:
    import yaml

    # The C reader where the library was built with it; both are safe: events only, no object is ever made.
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    documents = 0
    try:
        for event in yaml.parse(text, Loader=loader):
            start, end = event.start_mark.index, event.end_mark.index
            if getattr(event, "tag", None):
                raise _Stop("spec-syntax", f"the tag {shown(event.tag)} is not taken", start, end, "remove it")
            anchor = getattr(event, "anchor", None) or ""
            match type(event).__name__:
                case "DocumentStartEvent":
                    documents += 1
                    if documents > 1:
                        raise _Stop("spec-syntax", "a second document begins here", start, end, "one spec, one file")
                case "MappingStartEvent":
                    yield _Part("object", start, end, anchor=anchor)
                case "SequenceStartEvent":
                    yield _Part("list", start, end, anchor=anchor)
                case "MappingEndEvent" | "SequenceEndEvent":
                    yield _Part("close", start, end)
                case "AliasEvent":
                    yield _Part("alias", start, end, anchor=anchor)
                case "ScalarEvent":
                    value = _plain(event.value, start, end) if event.implicit[0] else _whole(event.value, start, end)
                    yield _Part("scalar", start, end, value, anchor)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = mark.index if mark is not None else 0
        raise _Stop("spec-syntax", "not YAML", at, at, str(error.problem or error.context or "")) from None
    except yaml.YAMLError as error:  # the reader's own: a character that YAML does not have
        at = getattr(error, "position", 0)
        raise _Stop("spec-syntax", "not YAML", at, at, str(getattr(error, "reason", "") or error)) from None


# --- scalars (YAML 1.2 §10.3.2; JSON's are among them) -------------------------------------------------------------

_WORDS: Final[dict[str, Any]] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_INT: Final = pattern(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT: Final = pattern(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")


def _plain(written: str, start: int, end: int) -> Any:
    """Return the value of a scalar without quotes."""
    if written in _WORDS:
        return _WORDS[written]
    if _INT.fullmatch(written):
        whole = int(written, {"0o": 8, "0x": 16}.get(written[:2], 10)) if len(written) <= _MAX_NUMBER else _EXACT + 1
        if abs(whole) > _EXACT:
            raise _Stop("spec-limit", "the number is too long to be kept exactly", start, end, "put it in quotes")
        return whole
    if _FLOAT.fullmatch(written):
        number = float(written)
        if math.isinf(number) or len(written) > _MAX_NUMBER:
            raise _Stop("spec-limit", "the number is too long to be kept exactly", start, end, "put it in quotes")
        return number
    return _whole(written, start, end)


def _whole(written: str, start: int, end: int) -> str:
    if not written.isascii():
        try:
            written.encode()
        except UnicodeEncodeError:
            raise _Stop("spec-syntax", "half of a surrogate pair is no character", start, end) from None
    return written
