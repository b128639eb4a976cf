"""What a mutant is: one deliberate fault in the code, the promise it breaks, and the tests that have to notice."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """One replacement of text in one file.

    ``name`` is unique over all lists (kebab-case). ``file`` is relative to the root of the project. ``old`` has to
    occur exactly once in the file as it stands; ``new`` takes its place. ``promise`` is the id in the list of promises
    (``"P1"`` … ``"P12"``, or another list's own ids). ``tests`` are arguments for pytest, relative to the root: files,
    or ``file::test`` to keep a campaign short. The mutant is caught when that run fails.
    """

    name: str
    file: str
    old: str
    new: str
    promise: str
    tests: tuple[str, ...]
