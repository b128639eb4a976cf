"""How much the reader and the evaluator take before they say no. One table; tests vary it through parameters."""

from __future__ import annotations

from msgspec import Struct

__all__ = ["LIMITS", "Limits"]


class Limits(Struct, frozen=True):
    """The bounds of one configuration.

    Attributes:
        file_bytes: one file or cell, bytes of UTF-8.
        total_bytes: all files and cells together.
        depth: nesting of blocks, brackets, templates and operators inside one another.
        blocks: blocks of all kinds, nested ones included, in the whole configuration.
        syntax_errors: after so many the reader stops looking in that file.
        number_digits: digits of a number, the ones its exponent stands for included.
        text: characters of one text value.
        total_text: characters of all texts that one evaluation makes.
        elements: elements of one list or object, nested ones included.
        value_depth: nesting of one value.
        loop_steps: rounds of all ``for`` loops of one evaluation.
    """

    file_bytes: int = 16 * 2**20
    total_bytes: int = 64 * 2**20
    depth: int = 64
    blocks: int = 200_000
    syntax_errors: int = 100
    number_digits: int = 1_000
    text: int = 16 * 2**20
    total_text: int = 256 * 2**20
    elements: int = 1_000_000
    value_depth: int = 100
    loop_steps: int = 5_000_000


LIMITS = Limits()
