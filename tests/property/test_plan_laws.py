"""Laws of plans: the same inputs give the same bytes, an applied plan leaves nothing to do, order is always safe."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from clockwork_nb.assembly.plan import Plan
from clockwork_nb.assembly.planfile import decode_plan, encode_plan
from clockwork_nb.assembly.planner import make_plan
from clockwork_nb.assembly.prior import PriorResource, PriorState
from clockwork_nb.canonical import canonical_json, parse_json
from clockwork_nb.diagnostics import SourceRange, SourceText
from clockwork_nb.intake.desired import Desired, EnvFacts, Output, ResourceInstance, VariableValue
from clockwork_nb.ports import Observation
from clockwork_nb.resources.registry import builtin_types
from clockwork_nb.secrets import Sensitive, seal

KEY = b"k" * 32
TYPES = builtin_types()
MODELS = {name: TYPES[name].model() for name in ("file", "directory", "command", "service", "check")}
PLACE = SourceRange(SourceText("main.cw", "x"), 0, 1)
CELLS = ("one", "two")
STATUSES = ("ok", "ok", "ok", "failed", "unknown", "tainted")


def attributes(kind: str, i: int, place: int, rng: random.Random) -> dict[str, Any]:
    text = rng.choice(["a", "b"])
    if kind == "file":
        content = Sensitive(text) if rng.random() < 0.2 else text
        return {"path": f"d{place % 3}/f{place}", "content": content, "mode": rng.choice(["0644", "0600"])}
    if kind == "directory":
        return {"path": f"d{place}"}
    if kind == "command":
        creates = {"creates": f"made/{place}"} if rng.random() < 0.5 else {}
        return {"script": text, "timeout": rng.choice([5, 6]), **creates}
    if kind == "service":
        ports = {"port": 8000 + place} if rng.random() < 0.5 else {}
        return {"command": ["w"], "env": {"S": Sensitive(text)}, "state": rng.choice(["running", "stopped"]), **ports}
    return {"tcp": {"port": 1 + rng.randrange(2)}}


def configuration(rng: random.Random) -> Desired:
    """Return a configuration without cycles in which no two resources want the same path or port."""
    addresses: list[str] = []
    out: dict[str, ResourceInstance] = {}
    for kind, model in MODELS.items():
        numbers = rng.sample(range(5), rng.randrange(5))
        places = rng.sample(range(5), 5)
        addresses += [f"{kind}.r{n}" for n in numbers]
        for n in numbers:
            address = f"{kind}.r{n}"
            config = model.model_validate(attributes(kind, n, places[n], rng)).model_dump()
            out[address] = ResourceInstance(
                address,
                kind,
                f"r{n}",
                config,
                rng.choice(CELLS),
                (),
                PLACE,
                ignore_changes=("mode",) if kind == "file" and rng.random() < 0.2 else (),
            )
    rng.shuffle(addresses)
    for i, address in enumerate(addresses):
        needs = tuple(sorted(rng.sample(addresses[:i], min(i, rng.randrange(3)))))
        old = out[address]
        out[address] = ResourceInstance(
            old.address, old.type, old.name, old.config, old.declared_in, needs, PLACE,
            ignore_changes=old.ignore_changes,
        )  # fmt: skip
    return Desired(
        out,
        tuple(Output(f"o{i}", rng.choice([1, "x", Sensitive("s"), [1.5]])) for i in range(rng.randrange(3))),
        tuple(VariableValue(f"v{i}", rng.randrange(2), "--var", rng.random() < 0.3) for i in range(rng.randrange(3))),
        frozenset(CELLS if rng.random() < 0.7 else CELLS[:1]),
        f"{rng.randrange(4):064x}",
    )


def shuffled(mapping: Mapping[str, Any], rng: random.Random) -> dict[str, Any]:
    items = list(mapping.items())
    rng.shuffle(items)
    return dict(items)


def plan_of(desired: Desired, prior: PriorState, observed: Mapping[str, Observation], **options: Any) -> Plan:
    return make_plan(
        desired, prior, observed, types=TYPES, facts=EnvFacts("linux", "x86_64", "standard"), tool_version="1",
        secret_key=KEY, **options,
    )  # fmt: skip


def after(plan: Plan, prior: PriorState, rng: random.Random | None = None) -> PriorState:
    """Return the state that applying *plan* leaves; with *rng*, some steps ended badly."""
    resources = dict(prior.resources)
    for c in plan.changes:
        if c.kind in {"delete", "forget"}:
            resources.pop(c.address, None)
        elif c.after is not None:
            config = parse_json(canonical_json(seal(dict(c.after), KEY)))
            status = rng.choice(STATUSES) if rng else "ok"
            resources[c.address] = PriorResource(c.type, config, c.declared_in, c.dependencies, status)
    outputs = {o.name: parse_json(canonical_json(seal(o.after, KEY))) for o in plan.outputs if o.after is not None}
    return PriorState("l", prior.serial + 1, resources, outputs)


def look(state: PriorState, rng: random.Random) -> dict[str, Observation]:
    """Return observations: mostly nothing, sometimes gone or changed."""
    seen = (
        Observation(False),
        Observation(None, {"created": False}),
        Observation(True, {"mode": "0666", "status": "exited", "sha256": "0" * 64}),
    )
    return {a: rng.choice(seen) for a in state.resources if rng.random() < 0.3}


def situation(seed: int) -> tuple[random.Random, Desired, PriorState, dict[str, Observation]]:
    rng = random.Random(seed)
    prior = PriorState()
    if rng.random() < 0.85:
        prior = after(plan_of(configuration(rng), PriorState(), {}), PriorState(), rng)
    return rng, configuration(rng), prior, look(prior, rng)


seeds = st.integers(0, 2**32)


@settings(max_examples=150, deadline=None)
@given(seeds)
def test_the_order_of_the_inputs_does_not_matter(seed: int) -> None:
    rng, desired, prior, observed = situation(seed)
    destroy = rng.random() < 0.2
    targets = rng.sample(sorted(desired.resources), min(2, len(desired.resources))) if rng.random() < 0.3 else []
    plan = plan_of(desired, prior, observed, destroy=destroy, targets=targets)
    other = Desired(
        shuffled(desired.resources, rng),
        tuple(rng.sample(desired.outputs, len(desired.outputs))),
        tuple(rng.sample(desired.variables, len(desired.variables))),
        desired.loaded,
        desired.digest,
    )
    mixed = PriorState(prior.lineage, prior.serial, shuffled(prior.resources, rng), shuffled(prior.outputs, rng))
    again = plan_of(other, mixed, shuffled(observed, rng), destroy=destroy, targets=targets[::-1])
    assert again.document_bytes() == plan.document_bytes()
    assert decode_plan(encode_plan(plan, "2026-01-02T03:04:05.000006Z")).digest == plan.digest


@settings(max_examples=150, deadline=None)
@given(seeds)
def test_an_applied_plan_leaves_nothing_to_do(seed: int) -> None:
    rng, desired, prior, observed = situation(seed)
    options = {"destroy": rng.random() < 0.2, "prune": rng.random() < 0.3}
    state = after(plan_of(desired, prior, observed, **options), prior)
    second = plan_of(desired, state, {}, **options)
    assert second.is_empty, [(c.address, c.kind, c.reason) for c in second.changes if c.kind != "noop"]
    assert all(o.before == o.after for o in second.outputs)


@settings(max_examples=150, deadline=None)
@given(seeds)
def test_actions_come_after_what_they_need_and_removals_after_what_used_it(seed: int) -> None:
    rng, desired, prior, observed = situation(seed)
    plan = plan_of(desired, prior, observed, destroy=rng.random() < 0.3)
    at = {a.id: i for i, a in enumerate(plan.actions)}
    assert len(at) == len(plan.actions)
    for action in plan.actions:
        assert all(at[need] < at[action.id] for need in action.needs)
    removed = {a.address: a for a in plan.actions if a.change == "delete"}
    waits = transitive_needs(plan)
    for address, action in removed.items():
        for user, resource in prior.resources.items():
            if address in resource.dependencies and user in removed:
                assert removed[user].id in waits[action.id], "a user of it must be removed first"
    made = {a.address: a for a in plan.actions if a.change != "delete" and not a.name.startswith("remove_")}
    for address, action in made.items():
        first = next(a for a in plan.actions if a.address == address)
        for need in desired.resources[address].dependencies:
            if need in made:
                assert made[need].id in waits[action.id] and made[need].id in waits[first.id] | {first.id}


def transitive_needs(plan: Plan) -> dict[str, set[str]]:
    out: dict[str, set[str]] = {}
    for action in plan.actions:
        out[action.id] = set(action.needs).union(*(out[n] for n in action.needs))
    return out


@settings(max_examples=150, deadline=None)
@given(seeds)
def test_in_any_allowed_order_what_is_wanted_is_there_in_the_end(seed: int) -> None:
    """A model of a file system carries the actions out in a random order that respects the needs."""
    rng, desired, prior, _ = situation(seed)
    disk = {str(r.config["path"]): r.type for r in prior.resources.values() if r.type in {"file", "directory"}}
    for path in [p for p, kind in disk.items() if kind == "file"]:
        disk.setdefault(path.rpartition("/")[0], "made on the way")
    plan = plan_of(desired, prior, {}, prune=True)
    waiting = {a.id: (a, set(a.needs)) for a in plan.actions}
    while waiting:
        ready = sorted(step for step, (_, needs) in waiting.items() if not needs)
        assert ready, "the needs have a cycle"
        action, _ = waiting.pop(rng.choice(ready))
        for _, needs in waiting.values():
            needs.discard(action.id)
        carry_out(action.name, str(action.args.get("path")), disk)
    for address, resource in desired.resources.items():
        if resource.type in {"file", "directory"}:
            assert str(resource.config["path"]) in disk, f"{address} was lost"
    wanted = {str(r.config["path"]) for r in desired.resources.values() if r.type == "file"}
    assert {p for p, kind in disk.items() if kind == "file"} == wanted


def carry_out(name: str, path: str, disk: dict[str, str]) -> None:
    if name == "write_file":
        disk.setdefault(path.rpartition("/")[0], "made on the way")
        disk[path] = "file"
    elif name == "remove_file":
        disk.pop(path, None)
    elif name == "create_directory":
        disk[path] = "directory"
    elif name == "remove_directory" and not any(p.startswith(f"{path}/") for p in disk):
        disk.pop(path, None)
