"""Values that must not be shown: the mark that travels with them, and the redactor for text."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any
from urllib.parse import quote, quote_plus

from msgspec import Struct

from clockwork_nb.canonical import canonical_json
from clockwork_nb.patterns import pattern

__all__ = ["MASK", "Redactor", "Sensitive", "repr_without", "seal", "unseal"]

MASK = "(sensitive)"


class Sensitive:
    """A value that is never shown. ``value`` is the only way to it; text forms say ``(sensitive)``."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value: Any = value.value if isinstance(value, Sensitive) else value

    def __repr__(self) -> str:
        return MASK

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return MASK

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sensitive) and bool(self.value == other.value)

    def __hash__(self) -> int:
        return hash(("Sensitive", repr(self.value)))

    def __reduce__(self) -> Any:
        raise TypeError("a sensitive value cannot be pickled")


def repr_without(value: Struct, *hidden: str) -> str:
    """Return the usual repr of *value* with the fields named in *hidden* masked: they may hold secrets."""
    shown = (f"{name}={MASK if name in hidden else repr(getattr(value, name))}" for name in value.__struct_fields__)
    return f"{type(value).__name__}({', '.join(shown)})"


def seal(value: Any, key: bytes) -> Any:
    """Return *value* with every `Sensitive` in it replaced by ``{"$sensitive": HMAC-SHA-256 hex}`` under *key*."""
    if isinstance(value, Sensitive):
        return {"$sensitive": hmac.new(key, canonical_json(unseal(value.value)), hashlib.sha256).hexdigest()}
    # Most values of a large document are plain: a call for each of them would be most of what this costs.
    if isinstance(value, dict):
        return {k: v if type(v) in _PLAIN else seal(v, key) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [v if type(v) in _PLAIN else seal(v, key) for v in value]
    return value


_PLAIN = frozenset({str, int, bool, float, type(None)})


def unseal(value: Any) -> Any:
    """Return *value* with every `Sensitive` replaced by what it holds. For the moment of use only."""
    if isinstance(value, Sensitive):
        return unseal(value.value)
    if isinstance(value, dict):
        return {k: unseal(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [unseal(v) for v in value]
    return value


_ENCODED_CHARS = 8


def _forms(text: str, raw: bytes) -> set[bytes]:
    """Return how a value may stand in a text: as it is, line by line, in hex, URL, JSON and base64."""
    escaped = {json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}
    escaped |= {e.replace("/", "\\/") for e in escaped}
    quoted = {quote(text, safe=""), quote(text), quote_plus(text)}
    quoted |= {_PERCENT.sub(lambda found: found.group().lower(), q) for q in quoted}
    forms = {raw, raw.hex().encode(), raw.hex().upper().encode()}
    forms |= {form.encode() for form in escaped | quoted}
    forms |= {line for line in raw.splitlines() if len(line) >= _ENCODED_CHARS}
    return forms | _base64_forms(raw)


def _base64_forms(raw: bytes) -> set[bytes]:
    """Return *raw* in base64: alone, and the characters it alone decides where it is part of something longer."""
    whole = base64.b64encode(raw)
    found = {whole, whole.rstrip(b"=")}
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + raw)
        inner = encoded[-(-8 * before // 6) : 8 * (before + len(raw)) // 6]
        if len(inner) >= _ENCODED_CHARS:
            found.add(inner)
    return found | {form.translate(_URL_SAFE) for form in found}


_PERCENT = pattern("%[0-9A-F]{2}")
_URL_SAFE = bytes.maketrans(b"+/", b"-_")


class Redactor:
    """Replaces registered secret values in text, also in the usual encodings, also across chunk borders."""

    def __init__(self) -> None:
        self._needles: set[bytes] = set()
        self._sorted: list[bytes] = []

    def register(self, value: Any) -> None:
        """Remember *value* (and each string inside it). Strings under 4 characters are not searched for."""
        if isinstance(value, Sensitive):
            value = value.value
        if isinstance(value, dict):
            for item in value.values():
                self.register(item)
            return
        if isinstance(value, (list, tuple)):
            for item in value:
                self.register(item)
            return
        if value is None or isinstance(value, bool):
            return
        text = value if isinstance(value, str) else str(value)
        raw = text.encode()
        if len(raw) < 4:
            return
        self._needles |= {f for f in _forms(text, raw) if len(f) >= 4}
        self._sorted = sorted(self._needles, key=lambda n: (-len(n), n))

    @property
    def active(self) -> bool:
        """Whether any value is registered."""
        return bool(self._sorted)

    @property
    def overlap(self) -> int:
        """How many bytes of a chunk's end must be held back so that no value is cut in two."""
        return len(self._sorted[0]) - 1 if self._sorted else 0

    def safe_cut(self, data: bytes) -> int:
        """Return the largest place in *data* where it may be cut: no registered value lies across it, nor may begin there.

        What stands before the cut can be redacted and passed on; the rest waits for the bytes that follow.
        """
        cut = max(0, len(data) - self.overlap)
        moved = True
        while moved and cut:
            moved = False
            for needle in self._sorted:
                start = data.find(needle, max(0, cut - len(needle) + 1), cut + len(needle) - 1)
                if 0 <= start < cut:
                    cut, moved = start, True
        return cut

    def redact_bytes(self, data: bytes) -> bytes:
        """Return *data* with every registered value replaced by ``(sensitive)``."""
        for needle in self._sorted:
            if needle in data:
                data = data.replace(needle, MASK.encode())
        return data

    def redact(self, text: str) -> str:
        """Return *text* with every registered value replaced by ``(sensitive)``."""
        if not self._sorted:
            return text
        return self.redact_bytes(text.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")
