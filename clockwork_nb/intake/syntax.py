"""Bytes to a tree: encoding, blocks and attributes, and going on after an error (HCL specification, "Structural Elements").

`parse` reads a whole file. Each top-level item is read on its own, so one that has not changed can come from a
`SyntaxCache`, whatever happened around it.
"""

from __future__ import annotations

import re

from clockwork_nb.diagnostics import Diagnostics, SourceRange, SourceText
from clockwork_nb.intake.configuration import Need
from clockwork_nb.intake.expression_syntax import ExpressionParser
from clockwork_nb.intake.items import NOTHING, QUOTED_LABEL, WORD, ItemParser, UnclosedBlock
from clockwork_nb.intake.lexer import END, SyntaxFailure
from clockwork_nb.intake.limits import LIMITS, Limits
from clockwork_nb.intake.nodes import (
    Attribute,
    Block,
    Document,
    Item,
    Origin,
    Placed,
)
from clockwork_nb.patterns import pattern

__all__ = ["SyntaxCache", "decode_text", "parse", "parse_expression"]

# A top-level block in the usual layout: everything up to the first line that starts with "}" is indented.
_CHUNK = pattern(r"[A-Za-z_][^\n{]*\{[ \t]*\r?\n(?:[ \t][^\n]*\n|\r?\n)*+\}[ \t]*(?:\r?\n|\Z)")
_TOP_BLOCK = pattern(rf"^{WORD}(?:[ \t]+{QUOTED_LABEL})*[ \t]*\{{", re.MULTILINE | re.ASCII)


class SyntaxCache:
    """Trees of top-level blocks by their text, and what their attributes need, between two readings of a configuration.

    Only what was used in the last reading is kept.
    """

    __slots__ = ("_needs", "_new", "_old", "_old_needs")

    def __init__(self) -> None:
        self._old_needs: dict[int, tuple[Attribute, tuple[Need, ...]]] = {}
        self._needs: dict[int, tuple[Attribute, tuple[Need, ...]]] = {}
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

    def needs(self, attribute: Attribute) -> tuple[Need, ...] | None:
        """Return what the references in *attribute* need, all of which was found right; None when that is not known."""
        found = self._old_needs.get(id(attribute))
        if found is None or found[0] is not attribute:
            return None
        self._needs[id(attribute)] = found
        return found[1]

    def keep_needs(self, attribute: Attribute, needs: tuple[Need, ...]) -> None:
        """Keep *needs* as what the references in *attribute* need."""
        self._needs[id(attribute)] = attribute, needs

    def finish(self) -> None:
        """Forget what the reading that ends now did not use."""
        self._old, self._new = self._new, {}
        self._old_needs, self._needs = self._needs, {}


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
            found = NOTHING.match(text, position)
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
            parser = ItemParser(text, limits=self.limits)
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
        parser = ItemParser(self.source.text, limits=self.limits)
        after = -1
        try:
            item, after = parser.item(position)
        except SyntaxFailure as failure:
            parser.failures.append(failure)
            if not failure.fatal:
                after = parser.resume(position, failure)
        else:
            self._place(item, origin, parser)
        self.blocks -= parser.blocks
        for found_failure in parser.failures:
            if isinstance(found_failure, UnclosedBlock):
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

    def _place(self, item: Item, origin: Origin, parser: ItemParser) -> None:
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
