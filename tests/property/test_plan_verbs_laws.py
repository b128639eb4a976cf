"""Laws of plans with moves, imports, removals, excludes and values that are known only after apply."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from clockwork_nb.assembly.adoption import rename
from clockwork_nb.assembly.plan import Plan
from clockwork_nb.assembly.planfile import decode_plan, encode_plan
from clockwork_nb.assembly.prior import PriorResource, PriorState
from clockwork_nb.canonical import canonical_json, parse_json
from clockwork_nb.errors import InvalidInputError
from clockwork_nb.intake.desired import Desired, ResourceInstance
from clockwork_nb.intake.values import Unknown, contains_unknown
from clockwork_nb.ports import Observation
from clockwork_nb.secrets import seal
from tests.property.test_plan_laws import (
    KEY,
    PLACE,
    TYPES,
    configuration,
    plan_of,
    shuffled,
    situation,
    transitive_needs,
)

seeds = st.integers(0, 2**32)
LATER = Unknown("known after apply")


@dataclass
class Case:
    """What is declared, recorded and seen; ``known`` is what is declared once every value is known."""

    rng: random.Random
    desired: Desired
    known: Desired
    prior: PriorState
    observed: dict[str, Observation]
    options: dict[str, Any]

    def plan(self, desired: Desired | None = None, prior: PriorState | None = None, **options: Any) -> Plan:
        chosen = {**self.options, **options}
        if options.get("destroy"):
            chosen.pop("replaced", None)
        try:
            return plan_of(desired or self.desired, prior or self.prior, self.observed, **chosen)
        except InvalidInputError as error:
            if "replace" not in error.details:
                raise
            del chosen["replaced"]  # it is left out by what else was asked for
            return plan_of(desired or self.desired, prior or self.prior, self.observed, **chosen)


def case(seed: int) -> Case:
    rng, known, prior, observed = situation(seed)
    known = replace(known, moves=moves(known, prior, rng), removals=removals(known, prior, rng))
    today = rename(prior, known.moves, TYPES).prior
    observed = {a: seen for a, seen in observed.items() if a in today.resources}
    imports = {}
    for address, instance in known.resources.items():
        if instance.type in {"file", "directory"} and address not in today.resources and rng.random() < 0.3:
            imports[address] = (str(instance.config["path"]), PLACE)
            observed[address] = Observation(True, {"mode": rng.choice([instance.config["mode"], "0666"])})
    known = replace(known, imports=imports)
    waiting = {
        a: replace(r, config={**r.config, "content": LATER})
        for a, r in known.resources.items()
        if r.type == "file" and a not in imports and rng.random() < 0.3
    }
    desired = replace(known, resources={**known.resources, **waiting})
    names = sorted({*known.resources, *today.resources})
    options: dict[str, Any] = {"prune": rng.random() < 0.3}
    if names and rng.random() < 0.4:
        options["excluded"] = (
            rng.sample(names, 1) if rng.random() < 0.7 else [f"{rng.choice(names).partition('.')[0]}.*"]
        )
    makes = [a for a in sorted(known.resources) if not a.startswith("check.")]
    if makes and rng.random() < 0.3:
        options["replaced"] = rng.sample(makes, 1)
    made = Case(rng, desired, known, prior, observed, options)
    if made.plan().replaced != tuple(options.get("replaced", ())):
        del options["replaced"]
    return made


def moves(desired: Desired, prior: PriorState, rng: random.Random) -> dict[str, tuple[str, ...]]:
    """Return moves of recorded resources that are declared no more to some that are."""
    free = [a for a in sorted(prior.resources) if a not in desired.resources]
    out = {}
    for address in sorted(desired.resources):
        olds = [a for a in free if a.partition(".")[0] == address.partition(".")[0]]
        if olds and rng.random() < 0.5:
            chosen = rng.sample(olds, min(len(olds), rng.choice([1, 1, 2])))
            out[address] = tuple(chosen)
            free = [a for a in free if a not in chosen]
    return out


def removals(desired: Desired, prior: PriorState, rng: random.Random) -> dict[str, bool]:
    return {a: rng.random() < 0.5 for a in sorted(prior.resources) if a not in desired.resources and rng.random() < 0.3}


def after(plan: Plan, prior: PriorState) -> PriorState:
    """Return the state that *plan* leaves when all its steps succeed."""
    names = {c.moved_from: c.address for c in plan.changes if c.moved_from}
    resources = {
        names.get(a, a): replace(r, dependencies=tuple(sorted({names.get(n, n) for n in r.dependencies})))
        for a, r in prior.resources.items()
    }
    for c in plan.changes:
        if c.deferred:
            continue
        if c.kind in {"delete", "forget"}:
            resources.pop(c.address, None)
        elif c.after is not None:
            config = parse_json(canonical_json(seal(dict(c.after), KEY)))
            resources[c.address] = PriorResource(c.type, config, c.declared_in, c.dependencies)
    outputs = {o.name: parse_json(canonical_json(seal(o.after, KEY))) for o in plan.outputs if o.after is not None}
    return PriorState("l", prior.serial + 1, resources, outputs)


@settings(max_examples=80, deadline=None)
@given(seeds)
def test_the_order_of_the_inputs_does_not_matter(seed: int) -> None:
    c = case(seed)
    plan = c.plan()
    other = replace(
        c.desired,
        resources=shuffled(c.desired.resources, c.rng),
        moves=shuffled(c.desired.moves, c.rng),
        imports=shuffled(c.desired.imports, c.rng),
        removals=shuffled(c.desired.removals, c.rng),
    )
    prior = PriorState(c.prior.lineage, c.prior.serial, shuffled(c.prior.resources, c.rng), c.prior.outputs)
    again = plan_of(
        other,
        prior,
        shuffled(c.observed, c.rng),
        **{k: v[::-1] if isinstance(v, list) else v for k, v in c.options.items()},
    )
    assert again.document_bytes() == plan.document_bytes()
    saved = decode_plan(encode_plan(plan, "2026-01-02T03:04:05.000006Z"))
    assert saved.digest == plan.digest


@settings(max_examples=80, deadline=None)
@given(seeds)
def test_once_all_is_known_a_second_plan_ends_it_and_a_third_is_empty(seed: int) -> None:
    c = case(seed)
    options = {"prune": c.options["prune"]}
    first = plan_of(c.desired, c.prior, c.observed, **options, replaced=c.options.get("replaced", ()))
    state = after(first, c.prior)
    assert not contains_unknown([dict(r.config) for r in state.resources.values()])
    left = {a: c.observed[a] for a in c.known.imports if a not in state.resources}
    second = plan_of(c.known, state, left, **options)
    done = {x.address for x in first.changes if not x.deferred and x.kind not in {"noop", "verify"}}
    again = {x.address: x.kind for x in second.changes if x.address in done and x.kind != "noop"}
    assert not again, "what was done in the first section is not done again in the second"
    third = plan_of(c.known, after(second, state), {}, **options)
    assert third.is_empty, [(x.address, x.kind, x.reason) for x in third.changes if x.kind != "noop"]


@settings(max_examples=80, deadline=None)
@given(seeds)
def test_nothing_happens_to_what_is_excluded_or_stands_on_it(seed: int) -> None:
    c = case(seed)
    excluded = c.options.setdefault("excluded", sorted(c.desired.resources)[:1])
    if not excluded:
        return
    prefix = excluded[0].removesuffix("*")
    plan = c.plan()
    for change in plan.changes:
        assert change.address != excluded[0]
        assert not (excluded[0].endswith("*") and change.address.startswith(prefix))
    touched = {x.address for x in plan.changes}
    for address in touched & c.desired.resources.keys():
        assert set(c.desired.resources[address].dependencies) <= touched, "it stands on something that is left out"
    assert touched <= {x.address for x in c.plan(excluded=()).changes}


@settings(max_examples=80, deadline=None)
@given(seeds)
def test_targets_and_excludes_of_the_same_names_part_a_plan(seed: int) -> None:
    c = case(seed)
    names = c.rng.sample(sorted(c.desired.resources), min(2, len(c.desired.resources)))
    if not names:
        return
    whole, only = ({x.address for x in c.plan(targets=t, excluded=()).changes} for t in ((), names))
    rest = {x.address for x in c.plan(excluded=names).changes}
    assert set(names) <= only <= whole and rest <= whole and not rest & set(names)
    both = {x.address for x in c.plan(targets=names, excluded=names).changes}
    assert both == only & rest


@settings(max_examples=80, deadline=None)
@given(seeds)
def test_what_is_removed_goes_after_its_users_and_not_while_one_is_left_with_it(seed: int) -> None:
    c = case(seed)
    destroy = c.rng.random() < 0.2
    plan = c.plan(destroy=destroy)
    today = c.prior if destroy else rename(c.prior, c.desired.moves, TYPES).prior
    changes = {x.address: x for x in plan.changes}
    waits = transitive_needs(plan)
    removed = {a.address: a for a in plan.actions if a.change == "delete"}
    users = [
        (u, n) for u, r in today.resources.items() for n in r.dependencies if n in changes and u not in plan.not_loaded
    ]
    for user, need in users:
        if changes[need].kind not in {"delete", "forget"} or changes[need].deferred:
            continue
        assert user in changes, f"{user} is left alone, and {need} is taken away from it"
        assert not changes[user].deferred, f"{user} waits, and {need} is taken away from it"
        if user in removed and need in removed:
            assert removed[user].id in waits[removed[need].id]


@settings(max_examples=80, deadline=None)
@given(seeds)
def test_what_waits_has_no_action_and_nothing_that_follows_it_has_one(seed: int) -> None:
    c = case(seed)
    plan = c.plan()
    waiting = {x.address for x in plan.changes if x.deferred}
    assert not waiting & {a.address for a in plan.actions}
    assert {x.address for x in plan.changes if contains_unknown(x.after) and x.kind != "noop"} <= waiting
    behind = set(waiting)
    for address in _ordered(c.desired.resources):
        if set(c.desired.resources[address].dependencies) & behind:
            behind.add(address)
    assert not behind & {a.address for a in plan.actions}


def _ordered(resources: Any) -> list[str]:
    out: list[str] = []
    left: dict[str, ResourceInstance] = dict(resources)
    while left:
        ready = [a for a, r in left.items() if not set(r.dependencies) & left.keys()]
        out += ready
        for address in ready:
            del left[address]
    return out


@settings(max_examples=80, deadline=None)
@given(seeds)
def test_a_move_never_makes_or_removes_what_did_not_change(seed: int) -> None:
    rng = random.Random(seed)
    before = configuration(rng)
    prior = after(plan_of(before, PriorState(), {}, prune=True), PriorState())
    new = {a: f"{a}_new" for a in before.resources if rng.random() < 0.5}
    moved = {
        new.get(a, a): replace(r,
            address=new.get(a, a), name=new.get(a, a).partition(".")[2],
            dependencies=tuple(sorted(new.get(n, n) for n in r.dependencies)),
        )
        for a, r in before.resources.items()
    }  # fmt: skip
    desired = replace(before, resources=moved, moves={n: (o,) for o, n in new.items()})
    plan = plan_of(desired, prior, {})
    follows = {a for a in new if not getattr(TYPES[a.partition(".")[0]], "bound_to_address", False)}
    kinds = {c.address: c.kind for c in plan.changes}
    for address in follows:
        # A check is due when something below it could not follow and is made anew.
        assert kinds[new[address]] == "move" or (kinds[new[address]] == "verify" and address.startswith("check."))
    assert all(kinds[a] in {"noop", "verify"} for a in before.resources if a not in new)
