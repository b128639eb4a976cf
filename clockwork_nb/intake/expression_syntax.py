"""Tokens to expressions: precedence climbing (HCL native syntax specification, "Expressions").

Nesting is bounded by ``limits.depth``; chains of operators, arms of conditionals and steps of a traversal are read in
loops, so their length is bounded only by the size of the text.
"""

from __future__ import annotations

from typing import Final

from clockwork_nb.intake import templates
from clockwork_nb.intake.lexer import (
    FIRST_LETTER,
    HEREDOC,
    KEYWORDS,
    LINE,
    NAME,
    NUMBER,
    OPERATOR,
    QUOTE,
    TEXT,
    Lexer,
    SyntaxFailure,
    number,
)
from clockwork_nb.intake.limits import LIMITS, Limits
from clockwork_nb.intake.nodes import (
    AttributeStep,
    Call,
    Chain,
    Conditional,
    Expression,
    ForExpression,
    IndexStep,
    List,
    Literal,
    Object,
    ObjectItem,
    Reference,
    SplatStep,
    Step,
    Traversal,
    Unary,
)
from clockwork_nb.patterns import pattern

__all__ = ["ExpressionParser"]


_LEVELS: Final = {
    "||": 1,
    "&&": 2,
    "==": 3,
    "!=": 3,
    "<": 4,
    ">": 4,
    "<=": 4,
    ">=": 4,
    "+": 5,
    "-": 5,
    "*": 6,
    "/": 6,
    "%": 6,
}
_FOR = pattern(rf"for[ \t\r\n]+{FIRST_LETTER}")


class ExpressionParser(Lexer):
    """Reads expressions and remembers the references and calls it meets.

    ``bound`` are the names that ``for`` gives a meaning at this place.
    """

    __slots__ = ("bound", "calls", "references")

    def __init__(self, text: str, position: int = 0, *, limits: Limits = LIMITS) -> None:
        super().__init__(text, position, limits=limits)
        self.bound: list[str] = []
        self.references: list[Reference] = []
        self.calls: list[Call] = []

    def expression(self) -> Expression:
        """Return the expression that starts at the current token; the token after it is current then."""
        start = self.start
        first = self._binary(0)
        if self.word != "?" or self.kind != OPERATOR:
            return first
        arms: list[tuple[Expression, Expression]] = []
        while self.word == "?" and self.kind == OPERATOR:
            self.advance()
            self.enter()
            then = self.expression()
            self.depth -= 1
            arms.append((first, then))
            self.expect(":", "between the two values of a condition")
            first = self._binary(0)
        return Conditional(tuple(arms), first, start, self.last)

    def _binary(self, floor: int) -> Expression:
        start = self.start
        left = self._term()
        level = _LEVELS.get(self.word, 0)
        while level > floor:
            rest: list[tuple[str, Expression]] = []
            self.enter()
            while _LEVELS.get(self.word, 0) == level:
                operator = self.word
                self.advance()
                rest.append((operator, self._binary(level)))
            self.depth -= 1
            left = Chain(left, tuple(rest), start, self.last)
            level = _LEVELS.get(self.word, 0)
        return left

    def _term(self) -> Expression:
        kind, word, start = self.kind, self.word, self.start
        node: Expression
        if kind == TEXT:
            node = Literal(word[1:-1], start, self.stop)
            self.advance()
        elif kind == NAME:
            node = self._name()
        elif kind == NUMBER:
            value = number(word, self.limits)
            if value is None:
                raise SyntaxFailure(
                    f"a number has at most {self.limits.number_digits} digits", start, self.stop, code="cw-limit"
                )
            node = Literal(value, start, self.stop)
            self.advance()
        elif kind == QUOTE:
            node = templates.quoted(self)
        elif kind == HEREDOC:
            node = templates.heredoc(self)
        elif word == "[":
            node = self._list()
        elif word == "{":
            node = self._object()
        elif word == "(":
            node = self._group()
        elif word in {"-", "!"}:
            return self._unary()
        else:
            raise self.unexpected("expected a value")
        if self.word in {".", "["} and self.kind == OPERATOR:
            return self._traversal(node)
        return node

    def _unary(self) -> Expression:
        start, operator = self.start, self.word
        self.advance()
        self.enter()
        operand = self._term()
        self.depth -= 1
        return Unary(operator, operand, start, self.last)

    def _name(self) -> Expression:
        word, start, stop = self.word, self.start, self.stop
        self.advance()
        if self.kind == OPERATOR:
            if self.word == "(":
                return self._call(word, start, stop)
            if self.word == "::":
                while self.word == "::" and self.kind == OPERATOR:
                    self.advance()
                    if self.kind != NAME:
                        raise self.unexpected('expected a function name after "::"')
                    word, stop = f"{word}::{self.word}", self.stop
                    self.advance()
                if self.word != "(":
                    raise self.unexpected('expected "(" after a function name')
                return self._call(word, start, stop)
        if word in KEYWORDS:
            return Literal(KEYWORDS[word], start, stop)
        parts = tuple(word.split("."))
        if parts[0] in KEYWORDS:
            raise SyntaxFailure(f"{parts[0]} has no attributes", start, stop)
        node = Reference(parts, start, stop)
        if parts[0] not in self.bound:
            self.references.append(node)
        return node

    def _call(self, name: str, start: int, name_end: int) -> Expression:
        if "." in name:
            raise SyntaxFailure("a function name has no dots", start, name_end)
        outside = self._open()
        arguments: list[Expression] = []
        expand = False
        while self.word != ")":
            arguments.append(self.expression())
            if self.word == "...":
                expand = True
                self.advance()
                if self.word != ")":
                    raise self.unexpected('"..." may only follow the last argument')
                break
            if self.word != ",":
                break
            self.advance()
        self._close(")", outside, f'after the arguments of "{name}"', start)
        node = Call(name, tuple(arguments), expand, name_end, start, self.last)
        self.calls.append(node)
        return node

    def _open(self, *, lines: bool = False) -> bool:
        """Pass over an opening bracket; return what ``skip_lines`` was."""
        outside = self.skip_lines
        self.enter()
        self.skip_lines = not lines
        self.advance()
        return outside

    def _close(self, word: str, outside: bool, what: str, start: int) -> None:
        """Pass over the closing bracket *word*; *start* is where its construct started."""
        if self.word != word or self.kind != OPERATOR:
            above = self.text.count("\n", start, self.start)
            where = f"It was opened {above} line{'s' if above > 1 else ''} above." if above else ""
            raise self.unexpected(f'expected "{word}" {what}', detail=where)
        self.depth -= 1
        self.skip_lines = outside
        self.advance()

    def _group(self) -> Expression:
        start = self.start
        outside = self._open()
        node = self.expression()
        self._close(")", outside, "after the expression", start)
        return node

    def _list(self) -> Expression:
        start = self.start
        outside = self._open()
        if self.word == "for" and _FOR.match(self.text, self.start):
            return self._for(start, outside, "]")
        items: list[Expression] = []
        while self.word != "]":
            items.append(self.expression())
            if self.word != ",":
                break
            self.advance()
        self._close("]", outside, 'or "," in a list', start)
        return List(tuple(items), start, self.last)

    def _object(self) -> Expression:
        start = self.start
        outside = self._open(lines=True)
        self._skip_line_ends()
        if self.word == "for" and _FOR.match(self.text, self.start):
            self.skip_lines = True
            return self._for(start, outside, "}")
        items: list[ObjectItem] = []
        names: set[str] = set()
        while self.word != "}":
            item = self._object_item()
            if type(item.key) is Literal:
                if item.key.value in names:
                    raise SyntaxFailure(
                        f'the key "{item.key.value}" is there twice', item.key.start, item.key.end, code="cw-duplicate"
                    )
                names.add(item.key.value)
            items.append(item)
            if self.word == ",":
                self.advance()
            elif self.kind != LINE:
                break
            self._skip_line_ends()
        self._close("}", outside, 'or a new line or "," in an object', start)
        return Object(tuple(items), start, self.last)

    def _skip_line_ends(self) -> None:
        while self.kind == LINE:
            self.advance()

    def _object_item(self) -> ObjectItem:
        start = self.start
        key: Expression
        if self.kind == NAME:
            name, stop = self.word, self.stop
            self.advance()
            if self.word not in {"=", ":"}:
                raise self.unexpected('expected "=" after a key', detail='Put a computed key in "( )".')
            if "." in name:
                raise SyntaxFailure("a computed key needs brackets", start, stop, note=f"write ({name})")
            key = Literal(name, start, stop)
        elif self.kind in {TEXT, QUOTE, NUMBER} or self.word == "(":
            key = self._term()
            if type(key) is Literal and not isinstance(key.value, str):
                key = Literal(self.text[key.start : key.end], key.start, key.end)
        else:
            raise self.unexpected("expected a key")
        if self.word not in {"=", ":"} or self.kind != OPERATOR:
            raise self.unexpected('expected "=" after a key')
        self.advance()
        value = self.expression()
        return ObjectItem(key, value, start, self.last)

    def for_header(self) -> tuple[str, str, Expression]:
        """Read ``for k, v in c``; return the two names (the first may be empty) and the collection.

        The names are bound from here on; the caller unbinds them with `unbind`.
        """
        self.advance()
        names = [self._plain_name("for")]
        if self.word == ",":
            self.advance()
            names.append(self._plain_name("for"))
        if self.word != "in":
            raise self.unexpected('expected "in" after the names of a for')
        self.advance()
        collection = self.expression()
        self.bound.extend(names)
        return (names[0], names[1], collection) if len(names) > 1 else ("", names[0], collection)

    def unbind(self, key_name: str) -> None:
        """Forget the names of the innermost ``for``."""
        del self.bound[-2 if key_name else -1 :]

    def _plain_name(self, where: str) -> str:
        if self.kind != NAME or "." in self.word or self.word in KEYWORDS:
            raise self.unexpected(f"expected a name after {where}")
        name = self.word
        self.advance()
        return name

    def _for(self, start: int, outside: bool, close: str) -> Expression:
        key_name, value_name, collection = self.for_header()
        self.expect(":", "after the collection of a for")
        key: Expression | None = None
        value = self.expression()
        grouping = False
        if close == "}":
            self.expect("=>", "between key and value of a for")
            key, value = value, self.expression()
            if self.word == "...":
                grouping = True
                self.advance()
        condition: Expression | None = None
        if self.word == "if" and self.kind == NAME:
            self.advance()
            condition = self.expression()
        self.unbind(key_name)
        self._close(close, outside, "at the end of a for", start)
        return ForExpression((key_name, value_name), collection, key, value, condition, grouping, start, self.last)

    def _traversal(self, root: Expression) -> Expression:
        steps: list[Step] = []
        while self.word in {".", "["} and self.kind == OPERATOR:
            self._step(steps)
        return Traversal(root, tuple(steps), root.start, self.last)

    def _step(self, steps: list[Step], *, in_attribute_splat: bool = False) -> None:
        """Read one step, or several attributes that are one token, onto *steps*."""
        start = self.start
        if self.word == "[":
            outside = self._open()
            if self.word == "*" and self.kind == OPERATOR:
                self.advance()
                self._close("]", outside, 'after "*"', start)
                steps.append(self._splat(start, self.last, full=True))
                return
            key = self.expression()
            self._close("]", outside, "after an index", start)
            steps.append(IndexStep(key, start, self.last))
            return
        self.advance()
        if self.kind == NAME:
            at = self.start
            for name in self.word.split("."):
                steps.append(AttributeStep(name, at, at + len(name)))
                at += len(name) + 1
            self.advance()
        elif self.kind == NUMBER and self.word.isdigit():
            steps.append(AttributeStep(self.word, self.start, self.stop))
            self.advance()
        elif self.word == "*" and not in_attribute_splat:
            self.advance()
            steps.append(self._splat(start, self.last, full=False))
        else:
            raise self.unexpected('expected an attribute name after "."', detail="Write an index in brackets: x[0].")

    def _splat(self, start: int, end: int, *, full: bool) -> SplatStep:
        each: list[Step] = []
        self.enter()
        while self.kind == OPERATOR and (self.word == "." or (full and self.word == "[")):
            self._step(each, in_attribute_splat=not full)
        self.depth -= 1
        return SplatStep(tuple(each), start, end)
