"""Which resources a plan is limited to. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from fnmatch import fnmatchcase

from msgspec import Struct

from clockwork_nb.assembly.graph import Graph
from clockwork_nb.errors import InvalidInputError
from clockwork_nb.ports import Registry

__all__ = ["Selection", "made_anew", "match", "select"]

_WILD = frozenset("*?")


class Selection(Struct, frozen=True):
    """What a plan is about: ``chosen`` addresses, and the patterns that said so under their proper names, sorted."""

    chosen: set[str]
    targets: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()


def select(
    targets: Sequence[str],
    excluded: Sequence[str],
    wanted: Graph,
    recorded: Graph,
    types: Registry,
    *,
    destroy: bool,
) -> Selection:
    """Return the addresses the plan is about.

    Without targets that is everything. Making something includes all it needs; removing something includes everything
    recorded that needs it and is wanted no more either. What is excluded is left alone together with everything that
    would stand on it, and nothing is removed that what is left alone stands on.

    Args:
        targets: addresses, ``type.name`` for all its instances, or patterns with ``*`` and ``?``.
        excluded: the same.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA, one of them matches nothing; the nearest name is given.
    """
    known = {*wanted, *recorded}
    leaving = recorded if destroy else Graph({a: recorded.needs(a) for a in recorded if a not in wanted})
    chosen: set[str] = known
    names: tuple[str, ...] = ()
    if targets:
        starts, names = match(targets, known, types)
        chosen = set() if destroy else wanted.closure(starts)
        chosen |= leaving.closure(starts, dependents=True)
    if not excluded:
        return Selection(chosen, names)
    out, left_out = match(excluded, known, types)
    if destroy:
        return Selection(chosen - recorded.closure(out), names, left_out)
    kept = out | wanted.closure(out, dependents=True)
    # What is left alone uses what it used at the last apply, also where it is declared differently by now.
    kept |= {address for address in recorded.closure(kept) if address not in wanted}
    return Selection(chosen - kept, names, left_out)


def made_anew(
    patterns: Sequence[str],
    wanted: Collection[str],
    checks: Collection[str],
    selection: Selection,
    types: Registry,
    *,
    destroy: bool,
) -> tuple[set[str], tuple[str, ...]]:
    """Return the addresses of *wanted* that *patterns* ask to make anew, and the patterns under their proper names.

    Args:
        checks: those of *wanted* that only check, and make nothing.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA, one of them matches nothing, or nothing that this plan can make anew.
    """
    if not patterns:
        return set(), ()
    if destroy:
        raise InvalidInputError("what is destroyed is not made anew", hint="Leave --replace out.")
    found, names = match(patterns, wanted, types)
    for name in names:
        hits = match([name], found, types)[0]
        if not hits & selection.chosen - set(checks):
            raise _not_made_anew(name, only_checks=hits <= set(checks))
    return found, names


def _not_made_anew(name: str, *, only_checks: bool) -> InvalidInputError:
    why = "a check makes nothing" if only_checks else "this plan leaves it out"
    hint = "Run it again with: clockwork verify" if only_checks else "Compare --replace with --target and --exclude."
    return InvalidInputError(f'"{name}" cannot be replaced: {why}', hint=hint, details={"replace": name})


def match(patterns: Sequence[str], known: Collection[str], types: Registry) -> tuple[set[str], tuple[str, ...]]:
    """Return the addresses of *known* that *patterns* name, and the patterns under their proper names, sorted, each once.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA, a pattern matches nothing; the nearest name is given.
    """
    instances: dict[str, list[str]] = {}
    for address in known:
        instances.setdefault(address.partition("[")[0], []).append(address)
    names: set[str] = set()
    found: set[str] = set()
    for pattern in patterns:
        name = _proper_name(pattern, types)
        if name in known:
            hits = [name]
        elif name in instances:
            hits = instances[name]
        elif _WILD & set(name):
            # A bracket belongs to an address and starts no set of characters.
            shell = name.replace("[", "[[]")
            hits = [address for address in known if fnmatchcase(address, shell)]
        else:
            hits = []
        if not hits:
            raise _unknown(pattern, known)
        names.add(name)
        found.update(hits)
    return found, tuple(sorted(names))


def _proper_name(target: str, types: Registry) -> str:
    prefix, dot, rest = target.strip().partition(".")
    kind = types.get(prefix) if dot and not _WILD & set(prefix) else None
    return f"{kind.name}.{rest}" if kind is not None else target.strip()


def _unknown(target: str, known: Collection[str]) -> InvalidInputError:
    from difflib import get_close_matches

    near = get_close_matches(target, sorted(known), n=1, cutoff=0.5)
    what = "no resource matches" if _WILD & set(target) else "there is no resource"
    return InvalidInputError(
        f'{what} "{target}"',
        hint=f"Did you mean {near[0]}?" if near else "clockwork plan shows the addresses of all resources.",
        details={"target": target, "near": near},
    )
