"""What one evaluation leaves for the next of much the same texts: the resources whose text and needs stayed the same.

What a resource is made from is the trees of its attributes, which a `clockwork_nb.intake.syntax.SyntaxCache` keeps, and the
values of what it refers to. Whatever asked for more than that (the time, a port, a file, this machine, the state) is not
kept, so a result with a cache is the one without.
"""

from __future__ import annotations

from decimal import Decimal
from operator import is_
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from clockwork_nb.intake.configuration import ResourceDeclaration
from clockwork_nb.intake.nodes import Attribute, Block
from clockwork_nb.intake.values import Unknown
from clockwork_nb.secrets import Sensitive

__all__ = ["EvaluationCache", "Kept", "identical"]

_SCALARS = frozenset({str, int, bool, type(None)})


class Kept(Struct, frozen=True):
    """A resource that was evaluated: what it was made from, its config, its value, and what that cost of the limits.

    ``known``: no value of the config is Unknown. ``asked``: more than that went into it, so it has to be evaluated again.
    """

    attributes: tuple[Attribute, ...]
    blocks: tuple[Block, ...]
    needs: list[Any]
    referenced: bool
    config: dict[str, Any]
    value: Any
    cost: tuple[int, int]
    known: bool
    asked: bool


class EvaluationCache:
    """Resources by address, and the values of everything else by id, between two evaluations.

    Only what was used in the last evaluation is kept. Nobody may change what comes out of it.
    """

    __slots__ = ("_new", "_old", "_values")

    def __init__(self) -> None:
        self._old: dict[str, Kept] = {}
        self._new: dict[str, Kept] = {}
        self._values: dict[str, Any] = {}

    def get(self, node: ResourceDeclaration, needs: list[Any], *, referenced: bool) -> Kept | None:
        """Return *node* as it was evaluated from the same trees and the same *needs*, or None.

        *needs* are the values of ``node.needs``; the same means the very same objects.
        """
        found = self._old.get(node.id)
        if (
            found is None
            or found.asked
            or found.referenced is not referenced
            or found.attributes != node.attributes
            or found.blocks != node.blocks
            or len(found.needs) != len(needs)
            or not all(map(is_, found.needs, needs))
        ):
            return None
        self._new[node.id] = found
        return found

    def put(self, address: str, made: Kept) -> Kept:
        """Keep the resource *address* and return it, with the earlier config and value where they are identical.

        So one that is evaluated again is no change to those that refer to it, as long as it comes out the same.
        """
        before = self._old.get(address)
        if before is not None:
            config = before.config if identical(before.config, made.config) else made.config
            value = before.value if identical(before.value, made.value) else made.value
            made = replace(made, config=config, value=value)
        self._new[address] = made
        return made

    def settled(self, name: str, value: Any) -> Any:
        """Return the earlier value of node *name* when *value* is identical, so that who refers to it sees no change."""
        before = self._values.get(name)
        self._values[name] = value = before if identical(before, value) else value
        return value

    def finish(self) -> None:
        """Forget what the evaluation that ends now did not use."""
        self._old, self._new = self._new, {}


def identical(one: Any, other: Any) -> bool:
    """Return whether two values cannot be told apart: also in their types and in the order of keys.

    Recursion follows the nesting of the value, which is bounded (``limits.value_depth``).
    """
    if one is other:
        return True
    kind = type(one)
    if kind is not type(other):
        return False
    if kind in _SCALARS:
        return bool(one == other)
    if kind is Decimal:
        return bool(one.as_tuple() == other.as_tuple())
    if kind is dict:
        return list(one) == list(other) and all(map(identical, one.values(), other.values()))
    if isinstance(one, list):
        return len(one) == len(other) and all(map(identical, one, other))
    if kind is Sensitive:
        return identical(one.value, other.value)
    if kind is Unknown:
        return bool(one.why == other.why)
    return False
