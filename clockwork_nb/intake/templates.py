"""Templates: quoted texts and heredocs with interpolations and directives (HCL specification, "Templates").

Strip markers and the indentation of ``<<-`` work on the pieces between line ends, as in the reference implementation:
a marker takes white space up to and with the next line end, and no further. Heredocs always have LF line ends.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from clockwork_nb.intake.lexer import FIRST_LETTER, KEYWORDS, NAME, OPERATOR, WORD_LETTER, SyntaxFailure
from clockwork_nb.intake.nodes import Expression, Literal, Reference, Template, TemplateFor, TemplateIf
from clockwork_nb.patterns import pattern

if TYPE_CHECKING:
    from clockwork_nb.intake.expression_syntax import ExpressionParser

__all__ = ["heredoc", "parse_template", "quoted"]

_PLAIN: Final = r"\$\$\{|%%\{|[$%](?!\{)"
_QUOTED = pattern(rf'((?:[^"\\\r\n$%]+|\\[^\r\n]|{_PLAIN})+)|(\$\{{~?)|(%\{{~?)|(")|()', re.DOTALL)
_LINES = pattern(rf"((?:[^\n$%]+|{_PLAIN})+\n?|\n)|(\$\{{~?)|(%\{{~?)|()")
_REFERENCE = pattern(r"\$\{[ \t]*([A-Za-z_][\w-]*(?:\.[A-Za-z_][\w-]*)*)[ \t]*\}", re.ASCII)
_SIMPLE_QUOTED = pattern(rf'"(?:[^"\\\r\n$%]++|{_REFERENCE.pattern})*"', re.ASCII)
_MARKER = pattern(rf"({FIRST_LETTER}{WORD_LETTER}*)\r?\n")
_ESCAPE = pattern(r"\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))|([$%])\4\{", re.DOTALL)
_SIMPLE: Final = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\"}


class _Text(Struct, frozen=True):
    text: str


class _Directive(Struct, frozen=True):
    word: str
    names: tuple[str, str]
    subject: Expression | None
    start: int
    end: int


_Piece = _Text | Expression | _Directive


def _unescape(raw: str, at: int) -> str:
    """Return the text that *raw* (found at offset *at*) stands for in quotes."""
    if "\\" not in raw and "{" not in raw:
        return raw

    def one(found: re.Match[str]) -> str:
        if found.group(4):
            return found.group(4) + "{"
        code = found.group(1) or found.group(2)
        char = _SIMPLE.get(found.group(3) or "")
        if code:
            point = int(code, 16)
            char = chr(point) if point < 0x110000 and not 0xD800 <= point < 0xE000 else None
        if char is None:
            start = at + found.start()
            raise SyntaxFailure(
                f"{found.group()[:12]} is not an escape",
                start,
                start + len(found.group()),
                note=_escape_note(found.group(), code),
                detail=r"The escapes are \n \r \t \" \\ \uNNNN \UNNNNNNNN, and $${ or %%{ for a literal ${ or %{.",
            )
        return char

    return _ESCAPE.sub(one, raw)


def _escape_note(escape: str, code: str | None) -> str:
    if code:
        return "not a character"
    if escape[1] in "uU":
        return r"\u takes four hex digits, \U eight"
    return r"write \\ for a backslash"


def _unescape_heredoc(raw: str) -> str:
    return raw.replace("$${", "${").replace("%%{", "%{") if "{" in raw else raw


class _Reader:
    """The pieces of one template, in text order."""

    __slots__ = ("loops", "parser", "pieces", "strip")

    def __init__(self, parser: ExpressionParser) -> None:
        self.parser = parser
        self.pieces: list[_Piece] = []
        self.loops: list[str] = []  # key names of the open %{ for }, so that %{ endfor } can unbind them
        self.strip = False

    def text(self, text: str) -> None:
        self.pieces.append(_Text(text.lstrip() if self.strip else text))
        self.strip = False

    def sequence(self, marker: str, start: int) -> int:
        """Read one ``${ }`` or ``%{ }``; return where the text goes on."""
        parser = self.parser
        if marker.endswith("~") and self.pieces and isinstance(self.pieces[-1], _Text):
            self.pieces[-1] = _Text(self.pieces[-1].text.rstrip())
        parser.skip_lines = True
        parser.enter()
        parser.seek(start + len(marker))
        self.pieces.append(parser.expression() if marker[0] == "$" else self.directive(start))
        if parser.kind != OPERATOR or parser.word not in {"}", "~}"}:
            raise parser.unexpected(f'expected "}}" at the end of {marker[:2]}')
        parser.depth -= 1
        self.strip = parser.word == "~}"
        return parser.stop

    def directive(self, start: int) -> _Directive:
        parser = self.parser
        word = parser.word if parser.kind == NAME else ""
        names, subject = ("", ""), None
        if word == "for":
            *pair, subject = parser.for_header()
            names = (pair[0], pair[1])
            self.loops.append(names[0])
        elif word == "if":
            parser.advance()
            subject = parser.expression()
        elif word in {"else", "endif", "endfor"}:
            parser.advance()
            if word == "endfor" and self.loops:
                parser.unbind(self.loops.pop())
        else:
            raise parser.unexpected(
                "expected if, else, endif, for or endfor", detail="Write %%{ for the two characters %{."
            )
        return _Directive(word, names, subject, start, parser.stop)


def _simply_quoted(parser: ExpressionParser, start: int) -> Template | None:
    """Return the quoted text at *start* if it is like most: plain characters around ``${name.name}``; else None."""
    found = _SIMPLE_QUOTED.match(parser.text, start)
    if found is None or parser.depth >= parser.limits.depth:
        return None
    position, end = start + 1, found.end() - 1
    parts: list[str | Expression] = []
    references: list[Reference] = []
    for place in _REFERENCE.finditer(parser.text, position, end):
        names = tuple(place.group(1).split("."))
        if names[0] in KEYWORDS:
            return None
        if place.start() > position:
            parts.append(parser.text[position : place.start()])
        node = Reference(names, *place.span(1))
        if names[0] not in parser.bound:
            references.append(node)
        parts.append(node)
        position = place.end()
    if position < end:
        parts.append(parser.text[position:end])
    if len(parts) < 2:
        return None  # "${x}" is x itself
    parser.references.extend(references)
    return Template(tuple(parts), start, end + 1)


def quoted(parser: ExpressionParser) -> Expression:
    """Return the expression of the quoted text that starts at the current token; the next token is current then."""
    start, outside = parser.start, parser.skip_lines
    simple = _simply_quoted(parser, start)
    if simple is not None:
        _go_on(parser, simple.end, outside)
        return simple
    reader = _Reader(parser)
    position = start + 1
    while True:
        found = _QUOTED.match(parser.text, position)
        assert found is not None
        position = found.end()
        if found.lastindex == 1:
            reader.text(_unescape(found.group(), found.start()))
        elif found.lastindex in {2, 3}:
            position = reader.sequence(found.group(), found.start())
        elif found.lastindex == 4:
            break
        else:
            raise SyntaxFailure(
                "this text is never closed",
                start,
                position,
                note='put a " at its end',
                detail="A text ends on its line. For several lines use a heredoc: <<EOT.",
            )
    node = _assemble(parser, reader.pieces, start, position)
    _go_on(parser, position, outside)
    return node


def _go_on(parser: ExpressionParser, position: int, outside: bool) -> None:
    parser.skip_lines = outside
    parser.stop = position
    parser.advance()


def heredoc(parser: ExpressionParser) -> Expression:
    """Return the expression of the heredoc that starts at the current token; the next token is current then."""
    start, outside, flush = parser.start, parser.skip_lines, parser.word == "<<-"
    marker = _MARKER.match(parser.text, parser.stop)
    if marker is None:
        raise SyntaxFailure(
            "a heredoc starts with a name", start, parser.stop, note="like <<EOT", detail="Nothing may follow it."
        )
    last_line = re.compile(rf"[ \t]*{re.escape(marker.group(1))}(?=[ \t]*(?:\r?\n|\Z))")
    reader = _Reader(parser)
    position, at_line_start = marker.end(), True
    try:
        while True:
            if at_line_start and (found := last_line.match(parser.text, position)):
                position = found.end()
                break
            found = _LINES.match(parser.text, position)
            assert found is not None
            position = found.end()
            at_line_start = False
            if found.lastindex == 1:
                line = found.group()
                at_line_start = line.endswith("\n")
                if line.endswith("\r\n"):
                    line = line[:-2] + "\n"
                reader.text(_unescape_heredoc(line))
            elif found.lastindex in {2, 3}:
                position = reader.sequence(found.group(), found.start())
            else:
                name = marker.group(1)
                raise SyntaxFailure(
                    "this heredoc is never closed", start, marker.end(1), note=f"put {name} on a line of its own"
                )
        if flush:
            _flush(reader.pieces)
        node = _assemble(parser, reader.pieces, start, position)
    except SyntaxFailure as failure:
        if failure.resume < 0 and (
            close := re.compile(rf"^{last_line.pattern}", re.MULTILINE).search(parser.text, start)
        ):
            failure.resume = close.end()
        raise
    _go_on(parser, position, outside)
    return node


def _flush(pieces: list[_Piece]) -> None:
    """Take the smallest indentation of all lines off each of them; blank lines neither count nor change."""
    smallest: int | None = None
    starts: list[int] = []
    at_line_start = True
    for index, piece in enumerate(pieces):
        if at_line_start:
            if not isinstance(piece, _Text):
                smallest = 0
            elif not (piece.text.isspace() and piece.text.endswith("\n")):
                indent = len(piece.text) - len(piece.text.lstrip())
                smallest = indent if smallest is None else min(smallest, indent)
                starts.append(index)
        at_line_start = isinstance(piece, _Text) and piece.text.endswith("\n")
    for index in starts if smallest else ():
        piece = pieces[index]
        assert isinstance(piece, _Text)
        pieces[index] = _Text(piece.text[smallest:])


class _Frame:
    """An open directive while the pieces are put together."""

    __slots__ = ("directive", "parts", "then")

    def __init__(self, directive: _Directive | None) -> None:
        self.directive = directive
        self.parts: list[str | Expression] = []
        self.then: Template | None = None

    def template(self, end: int) -> Template:
        assert self.directive is not None
        return Template(_merged(self.parts), self.directive.end, end)


def _merged(parts: list[str | Expression]) -> tuple[str | Expression, ...]:
    """Return *parts* with neighbouring texts joined and empty ones left out."""
    out: list[str | Expression] = []
    texts: list[str] = []
    for part in parts:
        if isinstance(part, str):
            texts.append(part)
            continue
        if text := "".join(texts):
            out.append(text)
        texts = []
        out.append(part)
    if text := "".join(texts):
        out.append(text)
    return tuple(out)


def _assemble(parser: ExpressionParser, pieces: list[_Piece], start: int, end: int) -> Expression:
    if not pieces:
        return Literal("", start, end)
    if len(pieces) == 1 and isinstance(pieces[0], Expression):
        return pieces[0]  # "${x}" is x itself, whatever its type
    frames = [_Frame(None)]
    for piece in pieces:
        if isinstance(piece, _Text):
            frames[-1].parts.append(piece.text)
        elif isinstance(piece, Expression):
            frames[-1].parts.append(piece)
        else:
            _nest(parser, frames, piece)
    if len(frames) > 1:
        opened = frames[-1].directive
        assert opened is not None
        raise SyntaxFailure(
            f"this %{{ {opened.word} }} is never closed", opened.start, opened.end, note=f"put %{{ end{opened.word} }}"
        )
    parts = _merged(frames[0].parts)
    if not parts:
        return Literal("", start, end)
    if len(parts) == 1 and isinstance(parts[0], str):
        return Literal(parts[0], start, end)
    return Template(parts, start, end)


def _nest(parser: ExpressionParser, frames: list[_Frame], piece: _Directive) -> None:
    if piece.word in {"if", "for"}:
        if len(frames) + parser.depth > parser.limits.depth:
            parser.start, parser.stop = piece.start, piece.end
            parser.depth = parser.limits.depth
            parser.enter()
        frames.append(_Frame(piece))
        return
    frame = frames[-1]
    opened = frame.directive
    wanted = "for" if piece.word == "endfor" else "if"
    if opened is None or opened.word != wanted or (piece.word == "else" and frame.then is not None):
        raise SyntaxFailure(f"this %{{ {piece.word} }} belongs to no %{{ {wanted} }}", piece.start, piece.end)
    if piece.word == "else":
        frame.then = frame.template(piece.start)
        frame.parts = []
        return
    frames.pop()
    body = frame.template(piece.start)
    assert opened.subject is not None
    node: Expression
    if wanted == "for":
        node = TemplateFor(*opened.names, opened.subject, body, opened.start, piece.end)
    else:
        then, otherwise = (body, Template((), piece.start, piece.start)) if frame.then is None else (frame.then, body)
        node = TemplateIf(opened.subject, then, otherwise, opened.start, piece.end)
    frames[-1].parts.append(node)


def parse_template(parser: ExpressionParser) -> Expression:
    """Return the expression of a whole text that is a template (``templatefile``); LF line ends.

    Raises:
        SyntaxFailure: with offsets into the text.
    """
    reader = _Reader(parser)
    position = 0
    while True:
        found = _LINES.match(parser.text, position)
        assert found is not None
        position = found.end()
        if found.lastindex == 1:
            reader.text(_unescape_heredoc(found.group()))
        elif found.lastindex in {2, 3}:
            position = reader.sequence(found.group(), found.start())
        else:
            return _assemble(parser, reader.pieces, 0, position)
