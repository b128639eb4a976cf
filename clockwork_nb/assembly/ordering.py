"""The order of actions. Pure, iterative, and linear in resources, dependencies and the needs that come out.

Two kinds of action: *makes* (create, update, replace, verify) follow what their resource needs; *removals* (a delete,
and the last ``remove_…`` of a replacement) follow everything that uses the resource. A make never waits for a removal,
so the two cannot lock each other up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct, field

from clockwork_nb.assembly.changes import Decision
from clockwork_nb.assembly.claims import claims_of
from clockwork_nb.assembly.graph import Graph
from clockwork_nb.assembly.plan_cache import PlanCache
from clockwork_nb.errors import InvalidInputError
from clockwork_nb.ids import step_id
from clockwork_nb.ports import Action, ActionSpec, Registry

__all__ = ["order_actions"]

_WIDE = 256
"""From so many actions behind an unchanged resource on, its users wait for one that waits for the others."""


def order_actions(
    decisions: Mapping[str, Decision],
    wanted: Graph,
    recorded: Graph,
    types: Registry,
    cache: PlanCache | None = None,
) -> tuple[Action, ...]:
    """Return the actions of *decisions*, each after everything it needs, otherwise by address.

    Args:
        decisions: address → what happens.
        wanted: dependencies of the wanted resources, without cycle.
        recorded: dependencies at the time of the last apply; may have cycles, which are then cut somewhere.
        cache: actions of an earlier plan.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA, a resource type asks for one action twice.
    """
    steps = _Steps(decisions)
    rank = _wait_for_needs(steps, wanted)
    _wait_for_users(steps, recorded, rank)
    _add_claim_order(steps, types)
    if cache is None:
        order = Graph(steps.needs).order(key=steps.position.__getitem__)
    else:
        order = cache.order(steps.needs, steps.position)
    return tuple([steps.action(step, cache) for step in order])


class _Steps(Struct):
    """Every action by its id: which are makes and which removals, in which order a resource has them, what they need."""

    decisions: Mapping[str, Decision]
    makes: dict[str, list[str]] = field(default_factory=dict)
    removals: dict[str, list[str]] = field(default_factory=dict)
    position: dict[str, tuple[str, int]] = field(default_factory=dict)
    needs: dict[str, set[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for address, decision in self.decisions.items():
            if not decision.specs:
                continue
            ids: list[str] = []
            for i, spec in enumerate(decision.specs):
                step = step_id(address, spec.name)
                if step in self.position:
                    raise InvalidInputError(f'the resource type {decision.change.type} asks for "{spec.name}" twice')
                self.position[step] = (address, i)
                self.needs[step] = {ids[-1]} if ids else set()
                ids.append(step)
            cut = _removals_from(decision)
            if cut:
                self.makes[address] = ids[:cut]
            if cut < len(ids):
                self.removals[address] = ids[cut:]

    def spec(self, step: str) -> ActionSpec:
        address, i = self.position[step]
        return self.decisions[address].specs[i]

    def action(self, step: str, cache: PlanCache | None) -> Action:
        address, i = self.position[step]
        decision = self.decisions[address]
        spec, change = decision.specs[i], decision.change
        wanted = self.needs[step]
        needs = tuple(sorted(wanted)) if wanted else ()
        reason = spec.reason or change.reason
        known = cache.action(step, spec, change.kind, reason, needs) if cache is not None else None
        if known is not None:
            return known
        made = Action(
            id=step,
            name=spec.name,
            address=address,
            args=spec.args,
            needs=needs,
            change=change.kind,
            timeout_s=spec.timeout_s,
            idempotent=spec.idempotent,
            risk=tuple(sorted(spec.risk)) if spec.risk else (),
            reason=reason,
            retries=spec.retries,
            backoff_s=spec.backoff_s,
            idle_timeout_s=spec.idle_timeout_s,
        )
        if cache is not None:
            cache.keep_action(spec, made)
        return made


def _removals_from(decision: Decision) -> int:
    """Return where the removals begin among the actions of *decision*."""
    if decision.change.kind == "delete":
        return 0
    cut = len(decision.specs)
    if decision.change.kind == "replace":
        while cut > 1 and decision.specs[cut - 1].name.startswith("remove_"):
            cut -= 1
    return cut


def _wait_for_needs(steps: _Steps, wanted: Graph) -> dict[str, int]:
    """Let the first make of each resource wait for the last makes of what it needs, also behind unchanged ones.

    Returns the rank of each resource's last make: a make only ever waits for makes of a lower rank.
    """
    behind: dict[str, tuple[str, ...]] = {}
    rank: dict[str, int] = {}
    for address in wanted.order():
        before = [behind[need] for need in wanted.needs(address)]
        makes = steps.makes.get(address)
        if makes:
            steps.needs[makes[0]].update(*before)
            rank[makes[-1]] = len(rank)
            behind[address] = (makes[-1],)
        else:
            behind[address] = _merged(before, steps, rank)
    return rank


def _wait_for_users(steps: _Steps, recorded: Graph, rank: dict[str, int]) -> None:
    """Let the first removal of each resource wait for the last actions of all that used it, also behind unchanged ones.

    Only recorded dependencies count: who uses it from now on uses what takes its place.
    """
    behind: dict[str, tuple[str, ...]] = {}
    for address in reversed(recorded.order(break_cycles=True)):
        # A user that comes later here is on a cycle that was cut.
        users = [behind[user] for user in recorded.dependents(address) if user in behind]
        removals, makes = steps.removals.get(address), steps.makes.get(address)
        if removals:
            steps.needs[removals[0]].update(*users)
            rank[removals[-1]] = len(rank)
            behind[address] = (removals[-1],)
        else:
            behind[address] = (makes[-1],) if makes else _merged(users, steps, rank)


def _merged(parts: Sequence[tuple[str, ...]], steps: _Steps, rank: Mapping[str, int]) -> tuple[str, ...]:
    """Return all ids of *parts*, or, when they are many, the last one after making it wait for the others.

    Without that, 5,000 actions on both sides of one unchanged resource would mean 25,000,000 needs.
    """
    parts = [part for part in parts if part]
    if len(parts) <= 1:
        return parts[0] if parts else ()
    ids = sorted({step for part in parts for step in part}, key=rank.__getitem__)
    if len(ids) <= _WIDE:
        return tuple(ids)
    # A make's last action stands for all of its resource, so it is the first that has to wait.
    last = ids[-1]
    steps.needs[last].update(ids[:-1])
    return (last,)


def _add_claim_order(steps: _Steps, types: Registry) -> None:
    """Let what takes a path or port wait for what releases it, and a folder's removal for the removals inside it."""
    released, taken = _moved_claims(steps, types)
    pairs = [(step, released[claim]) for claim, step in taken.items() if claim in released]
    for claim, step in released.items():
        what, _, path = claim.partition(":")
        while what == "path" and "/" in path:
            path = path.rpartition("/")[0]
            if f"path:{path}" in released:
                pairs.append((released[f"path:{path}"], step))
    pairs = [(step, first) for step, first in pairs if step != first]
    if not pairs:
        return
    trial = {step: set(needs) for step, needs in steps.needs.items()}
    for step, first in pairs:
        trial[step].add(first)
    # Two services that swap their ports would wait for each other: then neither order is right, and none is kept.
    stuck = Graph(trial).stuck()
    for step, first in pairs:
        if step not in stuck or first not in stuck:
            steps.needs[step].add(first)


def _moved_claims(steps: _Steps, types: Registry) -> tuple[dict[str, str], dict[str, str]]:
    """Return claim → the action that releases it, and claim → the action that takes it."""
    released: dict[str, str] = {}
    taken: dict[str, str] = {}
    moves = [a for a, d in steps.decisions.items() if d.specs and d.change.before is not None]
    for address in sorted(moves):
        before, after, ids = _claims(steps, address, types)
        last = steps.decisions[address].change.kind == "delete"
        for claim in sorted(before - after):
            released[claim] = ids[-1] if last else ids[0]
    if not released:
        return {}, {}  # then nothing that is taken has to wait
    for address in sorted(a for a, d in steps.decisions.items() if d.specs):
        before, after, ids = _claims(steps, address, types)
        # By convention the names of actions that take something away begin with "remove_".
        makes = [step for step in ids if not steps.spec(step).name.startswith("remove_")]
        for claim in sorted(after - before) if makes else ():
            taken[claim] = makes[0]
    return released, taken


def _claims(steps: _Steps, address: str, types: Registry) -> tuple[set[str], set[str], list[str]]:
    """Return what the resource *address* owns before and after its change, and the ids of its actions in order."""
    change = steps.decisions[address].change
    kind = types[change.type]
    ids = [*steps.makes.get(address, ()), *steps.removals.get(address, ())]
    return set(claims_of(kind, change.before)), set(claims_of(kind, change.after)), ids
