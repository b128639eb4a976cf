"""Which notebook cell speaks for which key of the configuration."""

from __future__ import annotations

from msgspec import Struct, field

__all__ = ["CellKeys", "Claim", "checked_name"]

import re

from clockwork_nb.errors import InvalidInputError
from clockwork_nb.patterns import pattern

_NAME = pattern(r"[A-Za-z][A-Za-z0-9_-]{0,63}\Z")


def checked_name(name: str) -> str:
    """Return *name* when a cell may be called so.

    Raises:
        InvalidInputError: it is not a plain name, or looks like the key of an unnamed cell.
    """
    if not _NAME.match(name) or re.match(r"h-[0-9a-f]{8}\Z", name):
        raise InvalidInputError(
            f"{name!r} is not a cell name", hint="Use a letter, then letters, digits, _ or -: %%cw web"
        )
    return name


class Claim(Struct, frozen=True):
    """What follows from running a cell: keys that are no longer said, and a warning or the empty string."""

    drop: tuple[str, ...] = ()
    warning: str = ""


class CellKeys(Struct):
    """Key → the cell that said it last. A cell is known by its id; without ids nothing is replaced or dropped."""

    _owner: dict[str, tuple[str, int]] = field(default_factory=dict)

    def claim(self, key: str, cell_id: str, count: int) -> Claim:
        """Let the cell *cell_id*, whose prompt number is *count*, speak for *key*."""
        before_id, before_count = self._owner.get(key, ("", 0))
        warning = ""
        if before_id and cell_id and before_id != cell_id:
            warning = f"replaces cell {key!r} (cell {before_count})"
        drop = tuple(k for k, (owner, _) in self._owner.items() if cell_id and owner == cell_id and k != key)
        for old in drop:
            del self._owner[old]
        self._owner[key] = (cell_id, count)
        return Claim(drop, warning)

    def clear(self) -> None:
        """Forget every cell."""
        self._owner.clear()
