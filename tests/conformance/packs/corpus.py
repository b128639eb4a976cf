"""Malicious archives, generated. Each case is one lie in an otherwise good pack, and names the codes it may end with.

Classes (letters as in the threat model): N names, D duplicates, H header mismatch, L layout, E end records, Z zip64,
B bombs, T types, C compression and encryption, X extra fields, M manifest, F files, S evidence, G signatures, O other
containers. A class is a generator function; more cases are more ``yield`` lines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Final

from tests.conformance.packs.archive_cases import (
    compression,
    duplicates,
    end_records,
    extras,
    headers,
    layout,
    names,
    types,
)
from tests.conformance.packs.bomb_cases import bombs, others, zip64
from tests.conformance.packs.cases import Case
from tests.conformance.packs.content_cases import contents, manifests
from tests.conformance.packs.evidence_cases import evidence
from tests.conformance.packs.signature_cases import signatures

__all__ = ["CLASSES", "LEAST", "cases_of", "every_case"]

CLASSES: Final[dict[str, Callable[[], Iterator[Case]]]] = {
    "N": names, "D": duplicates, "H": headers, "L": layout, "E": end_records, "Z": zip64, "B": bombs, "T": types,
    "C": compression, "X": extras, "M": manifests, "F": contents, "S": evidence, "G": signatures, "O": others,
}  # fmt: skip

LEAST: Final = {
    "N": 32, "D": 14, "H": 20, "L": 16, "E": 18, "Z": 12, "B": 16, "T": 10, "C": 10, "X": 8, "M": 28, "F": 14, "S": 30,
    "G": 26, "O": 10,
}  # fmt: skip
"""How many cases each class has at least: 264 in all."""


@cache
def cases_of(letter: str) -> tuple[Case, ...]:
    """Return every case of a class; made once, for several tests ask for them."""
    return tuple(CLASSES[letter]())


def every_case() -> Iterator[Case]:
    """Yield every case of every class."""
    for letter in CLASSES:
        yield from cases_of(letter)
