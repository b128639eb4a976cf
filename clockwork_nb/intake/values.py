"""The values an expression can have.

``str``, ``bool``, ``None``, numbers (``int``, or ``Decimal`` when there is a fraction), ``list``, ``dict`` with text
keys, `Unknown`, and `clockwork_nb.secrets.Sensitive` around any of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["SetValue", "Unknown", "contains_unknown", "first_unknown"]


class Unknown:
    """A value that is known only after apply. ``why`` says what makes it so, for people."""

    __slots__ = ("why",)

    def __init__(self, why: str = "") -> None:
        self.why = why

    def __repr__(self) -> str:
        return "(known after apply)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Unknown)

    def __hash__(self) -> int:
        return hash(Unknown)


_SCALARS = frozenset({str, bool, int, type(None)})


def contains_unknown(value: Any) -> bool:
    """Return whether *value* is or holds an `Unknown` (iterative)."""
    return first_unknown(value) is not None


def first_unknown(value: Any) -> Unknown | None:
    """Return an `Unknown` that *value* is or holds; None when there is none (iterative)."""
    stack = [value]
    while stack:
        item = stack.pop()
        kind = type(item)
        if kind in _SCALARS:
            continue
        if kind is Unknown:
            found: Unknown = item
            return found
        # Most of what values hold is plain or empty: it is passed over here, not put on the stack and taken off again.
        if kind is dict:
            stack.extend([v for v in item.values() if type(v) not in _SCALARS and v])
        elif isinstance(item, (list, tuple)):
            stack.extend([v for v in item if type(v) not in _SCALARS and v])
        elif isinstance(item, Mapping):
            stack.extend(item.values())
        elif kind.__name__ == "Sensitive":
            stack.append(item.value)
    return None


class SetValue(list[Any]):
    """A set: distinct elements, sorted. It compares and serialises as a list; in ``for k, v in`` both are the element."""

    __slots__ = ()
