"""Canonical JSON at full speed, for documents of text, integers, booleans and ASCII keys only.

For such values the standard encoder with sorted keys gives exactly the bytes of RFC 8785; it does not walk the value in
Python as `clockwork_nb.canonical` must to be right for every value.
"""

from __future__ import annotations

import json
from typing import Any, Final, NoReturn

from clockwork_nb.errors import InvalidInputError

__all__ = ["parse_plain", "plain_json", "plain_text"]

plain_text: Final = json.JSONEncoder(
    ensure_ascii=False, sort_keys=True, separators=(",", ":"), check_circular=False, allow_nan=False
).encode
"""``plain_text(value)`` is the text of `plain_json`."""


def plain_json(value: Any) -> bytes:
    """Return the canonical bytes of *value*, which holds no float and no key outside ASCII.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA: half of a surrogate pair.
    """
    try:
        return plain_text(value).encode()
    except UnicodeEncodeError:
        raise InvalidInputError("a string holds half of a surrogate pair, which has no UTF-8 form") from None


def _refuse(text: str) -> NoReturn:
    raise InvalidInputError(f"the number {text[:40]} is not allowed here")


_decode: Final = json.JSONDecoder(parse_float=_refuse, parse_constant=_refuse).decode


def parse_plain(data: bytes, *, what: str) -> Any:
    """Return the value that *data* spells canonically.

    That the value's own text is the text read excludes duplicate keys, other orders, spaces and other spellings.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA.
    """
    try:
        value = _decode(data.decode())
        canonical = plain_json(value) == data
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{what} is not UTF-8 at byte {error.start}") from None
    except RecursionError:
        raise InvalidInputError(f"{what} is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise InvalidInputError(
            f"{what} is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from None
    except ValueError:  # an integer of more than sys.get_int_max_str_digits() digits
        raise InvalidInputError(f"{what} holds a number that is too long to read") from None
    if not canonical:
        raise InvalidInputError(f"{what} is not in canonical form")
    return value
