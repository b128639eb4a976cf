"""The one place that turns values into canonical bytes, and bytes into digests.

Canonical JSON is RFC 8785 (JCS): sorted keys by UTF-16 code units, no white space, shortest number form.
"""

from __future__ import annotations

import hashlib
import json
import math
from decimal import Decimal
from typing import Any, NoReturn

import msgspec.json

from clockwork_nb.errors import InvalidInputError

__all__ = ["canonical_json", "digest", "parse_json", "sha256_hex"]

_MAX_SAFE = 2**53 - 1
_COMPACT: dict[str, Any] = {"separators": (",", ":"), "ensure_ascii": False, "allow_nan": False}
_encode_plain = msgspec.json.Encoder(order="sorted").encode


def _number(value: float | Decimal) -> float | int:
    """Return *value* as an int when it is whole, else as a finite float."""
    if not math.isfinite(value):
        raise InvalidInputError(f"{value} has no JSON form")
    if value == int(value):
        return _integer(int(value))
    return float(value)


def _integer(value: int) -> int:
    if abs(value) > _MAX_SAFE:
        raise InvalidInputError(f"the whole number {value} is beyond what JSON numbers keep exactly")
    return value


def _es_float(value: float) -> str:
    """Return the ECMAScript text of a finite fraction (RFC 8785 §3.2.2.3)."""
    text = float.__repr__(value)
    mantissa, _, exponent = text.partition("e")
    if not exponent:
        return text
    sign = "-" if mantissa.startswith("-") else ""
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    power = int(exponent)
    if -7 < power < 0:  # ECMA-262 Number::toString: 0.000001 is spelt out, 1e-7 is not
        return (
            f"{sign}0.{'0' * (-power - 1)}{whole}{fraction.rstrip('0')}"
            if fraction != "0"
            else (f"{sign}0.{'0' * (-power - 1)}{whole}")
        )
    return f"{mantissa}e{power:+d}"


def _prepare(value: Any, fractions: list[float]) -> Any:
    if isinstance(value, str) or value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return _integer(value)
    if isinstance(value, (float, Decimal)):
        number = _number(value)
        if isinstance(number, float):
            fractions.append(number)
        return number
    if isinstance(value, (list, tuple)):
        return [_prepare(v, fractions) for v in value]
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise InvalidInputError(f"{key!r} cannot be a JSON key")
        return {key: _prepare(value[key], fractions) for key in sorted(value, key=_utf16)}
    raise InvalidInputError(f"a {type(value).__name__} has no JSON form")


def _is_plain(value: Any) -> bool:
    """Return whether the encoder's own order and spelling are RFC 8785's for *value*: no fractions, keys of ASCII."""
    stack = [value]
    shapes = set()  # most objects have the keys of another one
    for item in stack:
        kind = type(item)
        if kind is str or item is None or kind is bool:
            continue
        if kind is dict:
            keys = tuple(item)
            if keys not in shapes:
                if not all(type(key) is str and key.isascii() for key in keys):
                    return False
                shapes.add(keys)
            stack += item.values()
        elif kind is list or kind is tuple:
            stack += item
        elif kind is int:
            if not -_MAX_SAFE <= item <= _MAX_SAFE:
                return False
        else:
            return False
    return True


def _utf16(key: str) -> bytes:
    return key.encode("utf-16-be", "surrogatepass")


def _text(value: Any) -> str:
    """Return the JSON text of a prepared value that holds fractions; depth is bounded by the readers' limits."""
    if isinstance(value, float):
        return _es_float(value)
    if isinstance(value, list):
        return "[" + ",".join(map(_text, value)) + "]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(k, ensure_ascii=False)}:{_text(v)}" for k, v in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False)


def canonical_json(value: Any) -> bytes:
    """Return the RFC 8785 bytes of *value*: dicts, lists, strings, booleans, null, ints within ±(2^53-1), floats, Decimals.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA for anything else, a lone surrogate, NaN or infinity.

    >>> canonical_json({"b": 1, "a": [True, None, "é"]})
    b'{"a":[true,null,"\\xc3\\xa9"],"b":1}'
    """
    try:
        if _is_plain(value):
            return _encode_plain(value)
        fractions: list[float] = []
        prepared = _prepare(value, fractions)
        text = _text(prepared) if fractions else json.dumps(prepared, **_COMPACT)
        return text.encode()
    except UnicodeEncodeError:
        raise InvalidInputError("a string holds half of a surrogate pair, which has no UTF-8 form") from None


def sha256_hex(data: bytes) -> str:
    """Return the SHA-256 of *data*, 64 lower-case hex digits."""
    return hashlib.sha256(data).hexdigest()


def digest(value: Any) -> str:
    """Return the SHA-256 of the canonical JSON of *value*, 64 lower-case hex digits."""
    return sha256_hex(canonical_json(value))


def _no_constant(text: str) -> NoReturn:
    raise InvalidInputError(f"{text} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):  # 1e999 is read as infinity, which nothing could write again
        raise InvalidInputError(f"the number {text[:40]} is too large and has no JSON form")
    return number


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise InvalidInputError(f"the key {key!r} appears twice in one object")
            seen.add(key)
    return out


def parse_json(data: bytes | str, *, what: str = "the document") -> Any:
    """Return the value of strict JSON: UTF-8, no duplicate keys, no NaN, no infinity.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA, with line and column.
    """
    try:
        text = data.decode("utf-8") if isinstance(data, bytes) else data
        return json.loads(text, object_pairs_hook=_no_duplicates, parse_constant=_no_constant, parse_float=_finite)
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{what} is not UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise InvalidInputError(
            f"{what} is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from None
    except RecursionError:
        raise InvalidInputError(f"{what} is nested too deeply") from None
    except ValueError:  # an integer of more than sys.get_int_max_str_digits() digits
        raise InvalidInputError(f"{what} holds a number that is too long to read") from None
