"""Which resources a plan is limited to. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from clockwork_nb.assembly.graph import Graph
from clockwork_nb.errors import InvalidInputError
from clockwork_nb.ports import Registry

__all__ = ["select"]


def select(
    targets: Sequence[str], wanted: Graph, recorded: Graph, types: Registry, *, destroy: bool
) -> tuple[set[str], tuple[str, ...]]:
    """Return the addresses the plan is about, and the targets under their proper names, sorted, each once.

    Without targets that is everything. Making something includes all it needs; removing something includes everything
    recorded that needs it and is wanted no more either.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA, a target is neither declared nor recorded; the nearest name is given.
    """
    known = {*wanted, *recorded}
    if not targets:
        return known, ()
    instances: dict[str, list[str]] = {}
    for address in known:
        instances.setdefault(address.partition("[")[0], []).append(address)
    names: set[str] = set()
    starts: set[str] = set()
    for target in targets:
        name = _proper_name(target, types)
        found = [name] if name in known else instances.get(name, [])
        if not found:
            raise _unknown(target, known)
        names.add(name)
        starts.update(found)
    chosen = set() if destroy else wanted.closure(starts)
    leaving = recorded if destroy else Graph({a: recorded.needs(a) for a in recorded if a not in wanted})
    chosen |= leaving.closure(starts, dependents=True)
    return chosen, tuple(sorted(names))


def _proper_name(target: str, types: Registry) -> str:
    prefix, dot, rest = target.strip().partition(".")
    kind = types.get(prefix) if dot else None
    return f"{kind.name}.{rest}" if kind is not None else target.strip()


def _unknown(target: str, known: set[str]) -> InvalidInputError:
    from difflib import get_close_matches

    near = get_close_matches(target, sorted(known), n=1, cutoff=0.5)
    return InvalidInputError(
        f'there is no resource "{target}"',
        hint=f"Did you mean {near[0]}?" if near else "clockwork plan shows the addresses of all resources.",
        details={"target": target, "near": near},
    )
