"""JSON as people read it: two spaces deep for each level, keys sorted."""

from __future__ import annotations

import json
from json.encoder import encode_basestring_ascii
from typing import Any

import msgspec.json

from clockwork_nb.patterns import pattern

__all__ = ["indented"]

_sorted = msgspec.json.Encoder(order="sorted").encode
_NOT_PRINTABLE_ASCII = pattern(r"[^\x00-\x7e]+")


def indented(value: Any, *, ascii_only: bool = False) -> str:
    """Return what ``json.dumps(value, indent=2, sort_keys=True, ensure_ascii=ascii_only)`` returns, but fractions spelt
    as msgspec spells them (1e16, not 1e+16).

    Args:
        value: JSON types; keys are strings.
        ascii_only: whether characters beyond ASCII are escaped.
    """
    try:
        text = msgspec.json.format(_sorted(value), indent=2).decode()
    except UnicodeEncodeError:  # half of a surrogate pair: a file name that is no text
        return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=ascii_only)
    if ascii_only:
        return _NOT_PRINTABLE_ASCII.sub(lambda found: encode_basestring_ascii(found[0])[1:-1], text)
    return text
