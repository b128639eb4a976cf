"""How large a bundle may be: the one table of its limits (contracts.md, "Limits"). Each is the largest accepted value."""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

__all__ = ["AGENT_LIMITS", "MAX_PARTS", "MAX_PART_BYTES", "MAX_PATH_BYTES", "TEMPLATE_LIMITS", "BundleLimits", "Source"]

Source = Literal["template", "agent"]
"""Who made a bundle: our own templates, with a person's edits, or a model."""

MAX_PATH_BYTES: Final = 240
MAX_PARTS: Final = 8
MAX_PART_BYTES: Final = 100
"""Of an artifact's path as a whole, how many names it joins, and of each of these; a slug has at most 100."""


class BundleLimits(Struct, frozen=True):
    """Sizes of one bundle, in bytes where nothing else is said.

    * ``document_bytes``, ``depth``: the JSON it comes as, and how deep that may nest;
    * ``files``, ``steps``, ``total_bytes``, ``file_bytes``: artifacts, steps, contents together and each;
    * ``vars_bytes``: a step's variables, names and all; ``inputs``: its data artifacts and secrets, each a descriptor;
    * ``word_bytes``, ``words_bytes``: a word of a command line, and all of them (execve(2): MAX_ARG_STRLEN).
    """

    files: int
    steps: int
    total_bytes: int
    file_bytes: int
    document_bytes: int
    depth: int = 16
    vars_bytes: int = 64 * 1024
    word_bytes: int = 128 * 1024 - 1
    words_bytes: int = 1024 * 1024
    inputs: int = 32
    write_roots: int = 256
    purpose_bytes: int = 1024


TEMPLATE_LIMITS: Final = BundleLimits(
    files=20_000, steps=20_000, total_bytes=64 << 20, file_bytes=64 << 20, document_bytes=256 << 20
)
AGENT_LIMITS: Final = BundleLimits(
    files=256, steps=512, total_bytes=16 << 20, file_bytes=1 << 20, document_bytes=4 << 20
)
