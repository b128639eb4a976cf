"""Bytes to a tree: encoding, blocks and attributes, and going on after an error (HCL specification, "Structural Elements").

`parse` reads a whole file. Each top-level item is read on its own, so one that has not changed can come from a
`SyntaxCache`, whatever happened around it.
"""

from __future__ import annotations

import re
from typing import Final

from clockwork_nb.diagnostics import Diagnostics, SourceRange, SourceText
from clockwork_nb.intake.expression_syntax import KEYWORDS, ExpressionParser
from clockwork_nb.intake.lexer import END, LINE, NAME, OPERATOR, QUOTE, TEXT, SyntaxFailure
from clockwork_nb.intake.limits import LIMITS, Limits
from clockwork_nb.intake.nodes import (
    Attribute,
    Block,
    Body,
    Call,
    Document,
    Expression,
    Item,
    Literal,
    Origin,
    Placed,
    Reference,
)
from clockwork_nb.intake.templates import quoted

__all__ = ["SyntaxCache", "decode_text", "parse", "parse_expression"]

_WORD: Final = r"[A-Za-z_][\w-]*"
_QUOTED_LABEL: Final = r'"[^"\\\r\n$%]*"'
# The two fast paths: an attribute with a plain value, a block header, each alone on its line. What they do not match
# is read token by token, with the same result.
_ATTRIBUTE = re.compile(
    rf'[ \t]*({_WORD})[ \t]*=[ \t]*(?:("[^"\\\r\n$%]*")|(0|[1-9][0-9]{{0,14}})|(true|false|null)|({_WORD}(?:\.{_WORD})+))'
    r"[ \t]*\r?\n",
    re.ASCII,
)
_HEADER = re.compile(
    rf"[ \t]*({_WORD})((?:[ \t]+(?:{_QUOTED_LABEL}|{_WORD}))*)[ \t]*\{{[ \t]*(?:(?:\#|//)[^\n]*|\r?)\n", re.ASCII
)
_LABEL = re.compile(rf"{_QUOTED_LABEL}|{_WORD}", re.ASCII)
# A top-level block in the usual layout: everything up to the first line that starts with "}" is indented.
_CHUNK = re.compile(r"[A-Za-z_][^\n{]*\{[ \t]*\r?\n(?:[ \t][^\n]*\n|\r?\n)*+\}[ \t]*(?:\r?\n|\Z)")
_COMMENT: Final = r"/\*(?:[^*]|\*(?!/))*+\*/"
_NOTHING = re.compile(
    rf"(?:[ \t]*(?:{_COMMENT}[ \t]*)*+(?:(?:\#|//)[^\n]*|\r?)\n)*+"  # lines with nothing but comments
    rf"(?:[ \t]*{_COMMENT})*+(?:[ \t]*(?:\#|//)[^\n]*\Z)?[ \t]*"
)
_ITEM_START = re.compile(
    rf"([ \t]*)(?:({_WORD})[ \t]*=(?!=)|({_WORD})(?:[ \t]+(?:{_QUOTED_LABEL}|{_WORD}))*[ \t]*\{{|(\}}))"
)
_TOP_BLOCK = re.compile(rf"^{_WORD}(?:[ \t]+{_QUOTED_LABEL})*[ \t]*\{{", re.MULTILINE | re.ASCII)
_NO_REFERENCES: Final[tuple[Reference, ...]] = ()
_NO_CALLS: Final[tuple[Call, ...]] = ()


class SyntaxCache:
    """Trees of top-level blocks by their text, kept in memory between two readings of a configuration.

    Only blocks that were used in the last reading are kept.
    """

    __slots__ = ("_new", "_old")

    def __init__(self) -> None:
        self._old: dict[str, tuple[Block, int]] = {}
        self._new: dict[str, tuple[Block, int]] = {}

    def get(self, text: str) -> tuple[Block, int] | None:
        """Return the tree of *text* and how many blocks it has, or None."""
        found = self._new.get(text)
        if found is None:
            found = self._old.get(text)
            if found is not None:
                self._new[text] = found
        return found

    def put(self, text: str, block: Block, count: int) -> None:
        """Keep *block*, which has *count* blocks with those inside it, as the tree of *text*."""
        self._new[text] = (block, count)

    def finish(self) -> None:
        """Forget what the reading that ends now did not use."""
        self._old, self._new = self._new, {}


class _Unclosed(SyntaxFailure):
    """A block without its closing brace; it reaches to the end of the text."""


class _Parser(ExpressionParser):
    """Reads items. Errors inside a body are kept in ``failures`` and reading goes on after them."""

    __slots__ = ("blocks", "failures")

    def __init__(self, text: str, position: int = 0, *, limits: Limits = LIMITS) -> None:
        super().__init__(text, position, limits=limits)
        self.failures: list[SyntaxFailure] = []
        self.blocks = 0

    def item(self, position: int, *, alone: bool = True) -> tuple[Item, int]:
        """Return the item at *position* and where the next one may start.

        *alone* items end with their line; the one attribute of a block on one line does not.
        """
        text = self.text
        if alone:
            if found := _ATTRIBUTE.match(text, position):
                return self._plain_attribute(found), found.end()
            if found := _HEADER.match(text, position):
                return self._block(found)
        self.skip_lines = False
        self.seek(position)
        start, word, stop = self.start, self.word, self.stop
        if self.kind != NAME:
            raise self.unexpected("expected an attribute or a block")
        if "." in word:
            raise SyntaxFailure("the name of an attribute or block has no dots", start, stop)
        self.advance()
        item = (
            self._attribute(word, start, stop)
            if self.word == "=" and self.kind == OPERATOR
            else self._slow_block(word, start, stop)
        )
        if alone:
            if self.kind not in {LINE, END}:
                raise self._not_alone(item)
            return item, self.stop
        return item, self.start

    def _not_alone(self, item: Item) -> SyntaxFailure:
        if self.word == "}":
            failure = self.unexpected("a closing brace starts a line of its own")
            failure.closes = self.stop
            return failure
        what = f'the attribute "{item.name}"' if isinstance(item, Attribute) else f'the block "{item.kind}"'
        return self.unexpected(
            f"expected the end of the line after {what}", detail="Put each item on a line of its own."
        )

    def _plain_attribute(self, found: re.Match[str]) -> Attribute:
        group = found.lastindex
        assert group is not None
        start, end = found.span(group)
        word = found.group(group)
        references = _NO_REFERENCES
        value: Expression
        if group == 2:
            value = Literal(word[1:-1], start, end)
        elif group == 5 and word.partition(".")[0] not in KEYWORDS:
            node = Reference(tuple(word.split(".")), start, end)
            references = (node,)
            value = node
        elif group == 3:
            value = Literal(int(word), start, end)
        elif group == 4:
            value = Literal(KEYWORDS[word], start, end)
        else:
            raise SyntaxFailure(f"{word.partition('.')[0]} has no attributes", start, end)
        at, name_end = found.span(1)
        return Attribute(found.group(1), value, references, _NO_CALLS, at, name_end, end)

    def _attribute(self, name: str, start: int, name_end: int) -> Attribute:
        self.references, self.calls = [], []
        self.bound.clear()
        self.advance()
        value = self.expression()
        return Attribute(
            name,
            value,
            tuple(self.references) or _NO_REFERENCES,
            tuple(self.calls) or _NO_CALLS,
            start,
            name_end,
            self.last,
        )

    def _block(self, found: re.Match[str]) -> tuple[Block, int]:
        start, kind_end = found.span(1)
        labels: tuple[Literal, ...] = ()
        if found.end(2) > kind_end:
            labels = tuple(
                Literal(m.group().strip('"'), *m.span()) for m in _LABEL.finditer(self.text, kind_end, found.end(2))
            )
        header_end = found.end(2)
        return self._rest_of_block(found.group(1), labels, start, kind_end, header_end, found.end())

    def _slow_block(self, kind: str, start: int, kind_end: int) -> Block:
        labels: list[Literal] = []
        while self.word != "{" or self.kind != OPERATOR:
            if self.kind == TEXT:
                labels.append(Literal(self.word[1:-1], self.start, self.stop))
                self.advance()
            elif self.kind == NAME and "." not in self.word:
                labels.append(Literal(self.word, self.start, self.stop))
                self.advance()
            elif self.kind == QUOTE:
                label = quoted(self)
                if not isinstance(label, Literal):
                    raise SyntaxFailure("a label is a plain text", label.start, label.end)
                labels.append(label)
            elif labels:
                raise self.unexpected(f'expected "{{" after the labels of "{kind}"')
            else:
                raise self.unexpected(f'expected "=" or "{{" after "{kind}"')
        header_end = labels[-1].end if labels else kind_end
        position = self.stop
        self.advance()
        if self.kind in {LINE, END}:
            block, after = self._rest_of_block(kind, tuple(labels), start, kind_end, header_end, self.stop)
            self.seek(after)
            self.last = block.end
            return block
        items: tuple[Item, ...] = ()
        if self.word != "}":
            self.enter()
            item, _ = self.item(position, alone=False)
            if isinstance(item, Block):
                raise SyntaxFailure("a block inside a block needs lines of its own", item.start, item.kind_end)
            if self.word != "}":
                raise self.unexpected(f'expected "}}" after the attribute "{item.name}"', detail=_ONE_LINE)
            self.depth -= 1
            items = (item,)
        self._count()
        self.advance()
        return Block(kind, tuple(labels), Body(items), start, kind_end, header_end, self.last)

    def _count(self) -> None:
        self.blocks += 1

    def _rest_of_block(
        self, kind: str, labels: tuple[Literal, ...], start: int, kind_end: int, header_end: int, position: int
    ) -> tuple[Block, int]:
        """Read the lines of a block up to its brace; return it and where the next item may start."""
        self._count()
        self.start, self.stop = start, header_end
        self.enter()
        known = len(self.failures)
        items, position, closed = self._body(position)
        self.depth -= 1
        if not closed and not any(isinstance(f, _Unclosed) for f in self.failures):
            self.failures.append(_Unclosed("this block is never closed", start, header_end, note='no "}" for its "{"'))
        end = position
        self.skip_lines = False
        if closed:
            try:
                self.seek(position)
                if self.kind not in {LINE, END}:
                    what = f'the block "{kind}"'
                    failure = self.unexpected(f"expected the end of the line after {what}", detail=_ONE_LINE)
                    self.failures.append(failure)
                    position = self._line_after(position)
                else:
                    position = self.stop
            except SyntaxFailure as failure:
                self._keep(failure)
                position = self._line_after(position)
        broken = len(self.failures) > known
        return Block(kind, labels, Body(tuple(items)), start, kind_end, header_end, end, broken), position

    def _body(self, position: int) -> tuple[list[Item], int, bool]:
        """Read items up to a closing brace; return them, where the brace ends, and whether there was one."""
        text, size = self.text, len(self.text)
        items: list[Item] = []
        names: dict[str, Attribute] = {}
        depth = self.depth
        while True:
            found = _ATTRIBUTE.match(text, position)
            if found is not None:
                attribute = self._plain_attribute(found)
                position = found.end()
                self._add(attribute, items, names)
                continue
            found = _NOTHING.match(text, position)
            assert found is not None
            at = found.end()
            if at >= size:
                return items, size, False
            if text[at] == "}":
                return items, at + 1, True
            try:
                item, position = self.item(found.end())
                self._add(item, items, names)
            except SyntaxFailure as failure:
                self._keep(failure)
                self.depth = depth
                if failure.closes >= 0:
                    return items, failure.closes, True
                position = self._resume(at, failure)

    def _add(self, item: Item, items: list[Item], names: dict[str, Attribute]) -> None:
        if isinstance(item, Attribute):
            if item.name in names:
                self.failures.append(
                    SyntaxFailure(
                        f'the attribute "{item.name}" is there twice', item.start, item.name_end, code="cw-duplicate"
                    )
                )
                return
            names[item.name] = item
        items.append(item)

    def _keep(self, failure: SyntaxFailure) -> None:
        if failure.fatal:
            raise failure
        self.failures.append(failure)
        if len(self.failures) >= self.limits.syntax_errors:
            raise SyntaxFailure(
                f"more than {self.limits.syntax_errors} errors; the rest was not read",
                failure.start,
                failure.end,
                code="cw-limit",
                fatal=True,
            )

    def _line_after(self, position: int) -> int:
        at = self.text.find("\n", position)
        return len(self.text) if at < 0 else at + 1

    def _resume(self, item: int, failure: SyntaxFailure) -> int:
        """Return the next place that looks like an item as far to the left as the one at *item*, or like its end."""
        text = self.text
        column = item - (text.rfind("\n", 0, item) + 1)
        position = self._line_after(max(failure.resume, failure.start, item))
        while position < len(text):
            found = _ITEM_START.match(text, position)
            if found is not None:
                indent = found.end(1) - position
                if indent < column or (indent == column and not found.group(4)):
                    return position
            position = self._line_after(position)
        return position


_ONE_LINE: Final = "A block on one line holds one attribute at most; otherwise put each item on a line of its own."


def decode_text(data: bytes, name: str, diagnostics: Diagnostics, *, max_bytes: int) -> SourceText | None:
    """Return *data* as text, or None when it cannot be text: too large, not UTF-8, with NUL. A byte order mark is an error.

    The errors are put into *diagnostics* (cw-limit, cw-encoding).
    """
    if len(data) > max_bytes:
        source = SourceText(name, "")
        diagnostics.error(
            "cw-limit",
            "this file is too large",
            SourceRange(source, 0, 0),
            detail=f"{name} has {len(data):,} bytes, the limit is {max_bytes:,}. Split it into several files.",
        )
        return None
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        source = SourceText(name, data[: error.start].decode("utf-8") + "\ufffd")
        at = len(source.text) - 1
        kind = "UTF-16" if data[:2] in {b"\xff\xfe", b"\xfe\xff"} else f"byte 0x{data[error.start]:02x}"
        diagnostics.error(
            "cw-encoding", "this is not UTF-8", SourceRange(source, at, at + 1), note=kind, detail="Save it as UTF-8."
        )
        return None
    source = SourceText(name, text)
    if text.startswith("\ufeff"):
        diagnostics.error(
            "cw-encoding",
            "a byte order mark stands at the beginning",
            SourceRange(source, 0, 1),
            detail="Save it as UTF-8 without a byte order mark.",
        )
        return None
    at = text.find("\0")
    if at >= 0:
        diagnostics.error(
            "cw-encoding", "a NUL character", SourceRange(source, at, at + 1), detail="This is not a text file."
        )
        return None
    return source


def _report(failures: list[SyntaxFailure], origin: Origin, diagnostics: Diagnostics) -> None:
    size = len(origin.source.text)
    for failure in failures:
        start = min(origin.base + failure.start, size)
        end = max(start, min(origin.base + failure.end, size))
        diagnostics.error(
            failure.code,
            failure.summary,
            SourceRange(origin.source, start, end),
            note=failure.note,
            detail=failure.detail,
        )


def parse(
    source: bytes,
    *,
    filename: str,
    max_bytes: int | None = None,
    limits: Limits = LIMITS,
    cache: SyntaxCache | None = None,
    blocks_left: int | None = None,
) -> tuple[Document, Diagnostics]:
    """Return the tree of a ``.cw`` text and everything that is wrong with its syntax.

    The tree holds what could be read. Never raises, whatever the bytes.

    Args:
        source: UTF-8, LF or CRLF line ends.
        filename: what people see ("main.cw", "cell web").
        max_bytes: at most so many bytes; ``limits.file_bytes`` when None.
        limits: all other bounds.
        cache: trees of an earlier reading.
        blocks_left: at most so many blocks; ``limits.blocks`` when None.
    """
    diagnostics = Diagnostics()
    most = limits.file_bytes if max_bytes is None else max_bytes
    text = decode_text(source, filename, diagnostics, max_bytes=most)
    if text is None:
        return Document(SourceText(filename, ""), ()), diagnostics
    most_blocks = limits.blocks if blocks_left is None else blocks_left
    reader = _DocumentReader(text, limits, cache, most_blocks, diagnostics)
    reader.read()
    return Document(text, tuple(reader.items), most_blocks - reader.blocks), diagnostics


class _DocumentReader:
    """Splits a text into top-level items and reads each."""

    def __init__(
        self, source: SourceText, limits: Limits, cache: SyntaxCache | None, blocks: int, diagnostics: Diagnostics
    ) -> None:
        self.source = source
        self.limits = limits
        self.cache = cache
        self.blocks = blocks
        self.diagnostics = diagnostics
        self.items: list[Placed] = []
        self.names: dict[str, Attribute] = {}

    def read(self) -> None:
        text, size = self.source.text, len(self.source.text)
        position = 0
        whole: Origin | None = None
        while True:
            found = _NOTHING.match(text, position)
            assert found is not None
            position = found.end()
            if position >= size or self.blocks < 0:
                break
            chunk = _CHUNK.match(text, position)
            if chunk is not None and self._chunk(chunk.group(), position):
                position = chunk.end()
                continue
            if whole is None:
                whole = Origin(self.source)
            position = self._slowly(position, whole)
            if position < 0:
                return
        if self.blocks < 0:
            at = self.items[-1].origin.range(self.items[-1].item) if self.items else None
            self.diagnostics.error(
                "cw-limit",
                f"more than {self.limits.blocks:,} blocks",
                at,
                detail="The rest was not read. Split the configuration.",
            )

    def _chunk(self, text: str, position: int) -> bool:
        """Read a block in the usual layout; return False when it is anything but that, and nothing was done."""
        known = self.cache.get(text) if self.cache is not None else None
        if known is None:
            parser = _Parser(text, limits=self.limits)
            try:
                item, end = parser.item(0)
            except SyntaxFailure:
                return False
            if parser.failures or end != len(text) or not isinstance(item, Block):
                return False
            known = (item, parser.blocks)
            if self.cache is not None:
                self.cache.put(text, *known)
        self.blocks -= known[1]
        self.items.append(Placed(known[0], Origin(self.source, position)))
        return True

    def _slowly(self, position: int, origin: Origin) -> int:
        """Read the item at *position* in place; return where the next one may start, -1 to stop."""
        parser = _Parser(self.source.text, limits=self.limits)
        after = -1
        try:
            item, after = parser.item(position)
        except SyntaxFailure as failure:
            parser.failures.append(failure)
            if not failure.fatal:
                after = parser._resume(position, failure)
        else:
            self._place(item, origin, parser)
        self.blocks -= parser.blocks
        for found_failure in parser.failures:
            if isinstance(found_failure, _Unclosed):
                # The next line that looks like a top-level block is where its author meant the block to be over.
                header = self.source.text.find("\n", position)
                found = _TOP_BLOCK.search(self.source.text, header + 1) if header >= 0 else None
                after = found.start() if found is not None else len(self.source.text)
                parser.failures = [f for f in parser.failures if f.start < after]
                break
        _report(parser.failures, origin, self.diagnostics)
        if len(self.diagnostics) >= self.limits.syntax_errors:
            return -1
        return after

    def _place(self, item: Item, origin: Origin, parser: _Parser) -> None:
        if isinstance(item, Attribute):
            if item.name in self.names:
                parser.failures.append(
                    SyntaxFailure(
                        f'the attribute "{item.name}" is there twice', item.start, item.name_end, code="cw-duplicate"
                    )
                )
                return
            self.names[item.name] = item
        self.items.append(Placed(item, origin))


def parse_expression(text: str, *, name: str, limits: Limits = LIMITS) -> tuple[Attribute | None, Origin, Diagnostics]:
    """Return *text* read as one expression (wrapped in an `Attribute` named "value"), its origin, and the errors."""
    source = SourceText(name, text)
    origin = Origin(source)
    diagnostics = Diagnostics()
    parser = ExpressionParser(text, limits=limits)
    try:
        parser.skip_lines = True
        parser.advance()
        value = parser.expression()
        if parser.kind != END:
            raise parser.unexpected("expected the end of the text")
    except SyntaxFailure as failure:
        _report([failure], origin, diagnostics)
        return None, origin, diagnostics
    return (
        Attribute("value", value, tuple(parser.references), tuple(parser.calls), 0, 0, len(text)),
        origin,
        diagnostics,
    )
