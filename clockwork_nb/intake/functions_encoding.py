"""Functions that encode, decode and hash (Terraform's results)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import json
from decimal import Decimal
from typing import Any, Final
from urllib.parse import quote_plus, unquote_plus

from clockwork_nb.intake.function_kit import FunctionError, Table
from clockwork_nb.intake.limits import LIMITS
from clockwork_nb.intake.operators import number_text

__all__ = ["ENCODING_FUNCTIONS", "json_text", "utf8"]

ENCODING_FUNCTIONS: Final = Table()
_add = ENCODING_FUNCTIONS.add

_HTML: Final = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})
_NAMESPACES: Final = ("dns", "url", "oid", "x500")


class _Pieces(list[str]):
    """The pieces of a JSON text; stops when they get too many or too long."""

    def __init__(self) -> None:
        super().__init__()
        self.size = 0

    def put(self, text: str) -> None:
        self.size += len(text)
        if len(self) > 4 * LIMITS.elements or self.size > LIMITS.text:
            raise FunctionError("this text grows too large", code="cw-limit", shows_value=False)
        self.append(text)


def json_text(value: Any, *, html: bool = True) -> str:
    """Return *value* as JSON with sorted keys and no white space; exact numbers; ``<>&`` escaped when *html*."""
    pieces = _Pieces()
    _write_json(value, pieces, html)
    return "".join(pieces)


def _write_json(value: Any, pieces: _Pieces, html: bool) -> None:
    # Recursion: values are nested at most limits.value_depth deep.
    if isinstance(value, str):
        text = json.dumps(value, ensure_ascii=False)
        pieces.put(text.translate(_HTML) if html else text)
    elif value is None or isinstance(value, bool):
        pieces.put("null" if value is None else "true" if value else "false")
    elif isinstance(value, (int, Decimal)):
        pieces.put(number_text(value))
    elif isinstance(value, dict):
        mark = "{"
        for key in sorted(value):
            pieces.put(mark)
            _write_json(key, pieces, html)
            pieces.put(":")
            _write_json(value[key], pieces, html)
            mark = ","
        pieces.put("}" if mark == "," else "{}")
    else:
        mark = "["
        for item in value:
            pieces.put(mark)
            _write_json(item, pieces, html)
            mark = ","
        pieces.put("]" if mark == "," else "[]")


@_add("any?")
def jsonencode(value: Any) -> str:
    return json_text(value)


@_add("text")
def jsondecode(text: str) -> Any:
    from clockwork_nb.intake.lexer import number

    def parse(word: str) -> Any:
        found = number(word)
        if found is None:
            raise ValueError("a number has too many digits")
        return found

    def constant(word: str) -> Any:
        raise ValueError(f"{word} is not JSON")

    depth = deepest = 0
    for char in text:
        if char in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif char in "]}":
            depth -= 1
    if deepest > LIMITS.value_depth:  # brackets in texts count too: a bound, not a measure
        raise FunctionError(f"nested more than {LIMITS.value_depth} deep", 0, code="cw-limit", shows_value=False)
    try:
        return json.loads(text, parse_int=parse, parse_float=parse, parse_constant=constant)
    except json.JSONDecodeError as error:
        raise FunctionError(f"not JSON: {error.msg}, line {error.lineno}, column {error.colno}", 0) from None
    except ValueError as error:
        raise FunctionError(f"not JSON: {error}", 0) from None


def utf8(text: str, argument: int = 0) -> bytes:
    """Return the UTF-8 of *text*; raise `FunctionError` when it holds half of a surrogate pair."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise FunctionError("the text holds half of a surrogate pair", argument) from None


@_add("text")
def base64encode(text: str) -> str:
    return base64.b64encode(utf8(text)).decode()


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise FunctionError("this is not Base64", 0, shows_value=False) from None


@_add("text")
def base64decode(text: str) -> str:
    try:
        return _decoded(text).decode()
    except UnicodeDecodeError:
        raise FunctionError("the bytes are not UTF-8 text", 0, shows_value=False) from None


@_add("text")
def urlencode(text: str) -> str:
    return quote_plus(utf8(text), safe="~").replace("%7E", "~")


@_add("text")
def urldecode(text: str) -> str:
    try:
        return unquote_plus(text, errors="strict")
    except UnicodeDecodeError:
        raise FunctionError("the bytes are not UTF-8 text", 0) from None


@_add("text")
def csvdecode(text: str) -> list[dict[str, str]]:
    import csv

    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        raise FunctionError(f"not CSV: {error}", 0) from None
    rows = [row for row in rows if row]
    if not rows:
        raise FunctionError("there is no line with the names of the columns", 0)
    header = rows[0]
    if len(set(header)) < len(header):
        raise FunctionError("two columns have the same name", 0)
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(header):
            raise FunctionError(f"line {number} has {len(row)} columns, the first has {len(header)}", 0)
    return [dict(zip(header, row, strict=True)) for row in rows[1:]]


@_add("text")
def md5(text: str) -> str:
    return hashlib.md5(utf8(text), usedforsecurity=False).hexdigest()


@_add("text")
def sha1(text: str) -> str:
    return hashlib.sha1(utf8(text), usedforsecurity=False).hexdigest()


@_add("text")
def sha256(text: str) -> str:
    return hashlib.sha256(utf8(text)).hexdigest()


@_add("text")
def sha512(text: str) -> str:
    return hashlib.sha512(utf8(text)).hexdigest()


@_add("text")
def base64sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(utf8(text)).digest()).decode()


@_add("text")
def base64sha512(text: str) -> str:
    return base64.b64encode(hashlib.sha512(utf8(text)).digest()).decode()


@_add("text", "text")
def uuidv5(namespace: str, name: str) -> str:
    import uuid

    if namespace in _NAMESPACES:
        space: uuid.UUID = getattr(uuid, f"NAMESPACE_{namespace.upper()}")
    else:
        try:
            space = uuid.UUID(namespace)
        except ValueError:
            raise FunctionError('a namespace is "dns", "url", "oid", "x500" or a UUID', 0) from None
    return str(uuid.uuid5(space, name))
