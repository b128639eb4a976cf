"""Attributes and blocks: one item of a text, and how to go on after a mistake in it."""

from __future__ import annotations

import re
from typing import Final

from clockwork_nb.intake.expression_syntax import ExpressionParser
from clockwork_nb.intake.lexer import END, KEYWORDS, LINE, NAME, OPERATOR, QUOTE, TEXT, SyntaxFailure
from clockwork_nb.intake.limits import LIMITS, Limits
from clockwork_nb.intake.nodes import Attribute, Block, Body, Call, Expression, Item, Literal, Reference
from clockwork_nb.intake.templates import quoted
from clockwork_nb.patterns import pattern

__all__ = ["NOTHING", "QUOTED_LABEL", "WORD", "ItemParser", "UnclosedBlock"]

WORD: Final = r"[A-Za-z_][\w-]*"
QUOTED_LABEL: Final = r'"[^"\\\r\n$%]*"'
# The two fast paths: an attribute with a plain value, a block header, each alone on its line. What they do not match
# is read token by token, with the same result.
_ATTRIBUTE = pattern(
    rf'[ \t]*({WORD})[ \t]*=[ \t]*(?:("[^"\\\r\n$%]*")|(0|[1-9][0-9]{{0,14}})|(true|false|null)|({WORD}(?:\.{WORD})+))'
    r"[ \t]*\r?\n",
    re.ASCII,
)
_HEADER = pattern(
    rf"[ \t]*({WORD})((?:[ \t]+(?:{QUOTED_LABEL}|{WORD}))*)[ \t]*\{{[ \t]*(?:(?:\#|//)[^\n]*|\r?)\n", re.ASCII
)
_LABEL = pattern(rf"{QUOTED_LABEL}|{WORD}", re.ASCII)
_COMMENT: Final = r"/\*(?:[^*]|\*(?!/))*+\*/"
NOTHING = pattern(
    rf"(?:[ \t]*(?:{_COMMENT}[ \t]*)*+(?:(?:\#|//)[^\n]*|\r?)\n)*+"  # lines with nothing but comments
    rf"(?:[ \t]*{_COMMENT})*+(?:[ \t]*(?:\#|//)[^\n]*\Z)?[ \t]*"
)
_ITEM_START = pattern(rf"([ \t]*)(?:({WORD})[ \t]*=(?!=)|({WORD})(?:[ \t]+(?:{QUOTED_LABEL}|{WORD}))*[ \t]*\{{|(\}}))")
_NO_REFERENCES: Final[tuple[Reference, ...]] = ()
_NO_CALLS: Final[tuple[Call, ...]] = ()


class UnclosedBlock(SyntaxFailure):
    """A block without its closing brace; it reaches to the end of the text."""


class ItemParser(ExpressionParser):
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
        if not closed and not any(isinstance(f, UnclosedBlock) for f in self.failures):
            self.failures.append(
                UnclosedBlock("this block is never closed", start, header_end, note='no "}" for its "{"')
            )
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
            found = NOTHING.match(text, position)
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
                position = self.resume(at, failure)

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

    def resume(self, item: int, failure: SyntaxFailure) -> int:
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
