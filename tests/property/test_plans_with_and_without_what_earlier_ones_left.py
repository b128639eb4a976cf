"""A plan made with what earlier evaluations and plans left is, to the byte, the plan made from nothing."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clockwork_nb.assembly.plan import Plan
from clockwork_nb.assembly.plan_cache import PlanCache
from clockwork_nb.assembly.plan_document import document_and_digest
from clockwork_nb.assembly.planner import make_plan
from clockwork_nb.assembly.prior import PriorResource, PriorState
from clockwork_nb.canonical import canonical_json, digest
from clockwork_nb.errors import ClockworkError
from clockwork_nb.intake.configuration import Source
from clockwork_nb.intake.decode import evaluate, read_configuration
from clockwork_nb.intake.desired import EnvFacts
from clockwork_nb.intake.evaluation_cache import EvaluationCache, identical
from clockwork_nb.intake.expressions import EvaluationContext
from clockwork_nb.intake.syntax import SyntaxCache
from clockwork_nb.intake.values import Unknown
from clockwork_nb.intake.variables import VariableInput
from clockwork_nb.ports import Observation
from clockwork_nb.resources.registry import builtin_types
from clockwork_nb.secrets import Sensitive, seal

TYPES = builtin_types()
FACTS = EnvFacts("linux", "x86_64", "standard", runtimes={"sh": "dash"})
VALUES = ('"a"', '"b"', "1", "true", "1.0", "[1]", "[true]", "[1.0]", "{ a = 1, b = 2 }", "{ b = 2, a = 1 }")
MODES = ("0644", "0600")
PLACES = ('"x"', "file.f0.path")
CONTENTS = (
    '"x"',
    '"y"',
    '"${local.a}"',
    '"${var.v} ${local.b}"',
    '"${file.f0.path} ${file.f0.sha256}"',
    'file("given.txt")',
    '"${timestamp()}"',
    '"${free_port("p")}"',
    "local.a",
    "jsonencode(var.v)",
    "var.s",
    '"${command.c0.id}"',
)


class World:
    """The texts, what is around them, and what is recorded: everything that a plan is made from."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.locals = {"a": '"a"', "b": '"b"'}
        self.variable = '"v"'
        self.blocks: dict[str, str] = {}
        self.given = b"given"
        self.now = "2026-01-01T00:00:00Z"
        self.port = 4000
        self.key = b"k" * 32
        self.prior = PriorState()
        self.observed: dict[str, Observation] = {}
        self.padding = 0
        self.source = "main.cw"
        for _ in range(4):
            self.edit_block()

    def edit_block(self) -> None:
        rng = self.rng
        kind, number = rng.choice(("file", "file", "file", "directory", "command", "check")), rng.randrange(4)
        name = f"{kind[0]}{number}"
        life = rng.choice(("", "", "\n  depends_on = [file.f0]", "\n  lifecycle {\n    prevent_destroy = false\n  }"))
        if name == "f0":
            life = ""
        if kind == "file":
            content = rng.choice(CONTENTS[:4] if name == "f0" else CONTENTS)
            body = f'  path = "out/{name}"\n  content = {content}\n  mode = "{rng.choice(MODES)}"'
        elif kind == "directory":
            body = f'  path = "dir/{rng.randrange(2)}{number}"'
        elif kind == "command":
            body = f'  script = "echo {rng.randrange(2)}"\n  triggers = {{ a = local.a }}'
        else:
            body = f"  file_exists = {rng.choice(PLACES)}"
        self.blocks[f"{kind}.{name}"] = f'resource "{kind}" "{name}" {{\n{body}{life}\n}}\n'

    def change(self) -> None:
        """Change one thing somewhere."""
        rng = self.rng
        what = rng.randrange(13)
        if what < 4:
            self.edit_block()
        elif what == 4 and self.blocks:
            del self.blocks[rng.choice(sorted(self.blocks))]
        elif what == 5:
            self.locals[rng.choice("ab")] = rng.choice(VALUES)
        elif what == 6:
            self.variable = rng.choice(VALUES)
        elif what == 7:
            self.given = rng.choice((b"given", b"other"))
        elif what == 8:
            self.now = rng.choice(("2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"))
            self.port = rng.choice((4000, 4001))
        elif what == 9:
            self.padding = rng.randrange(3)
        elif what == 10 and self.observed:
            address = rng.choice(sorted(self.observed))
            self.observed[address] = Observation(False, detail="not there")
        elif what == 11:
            self.key = rng.choice((b"k" * 32, b"l" * 32))

    def texts(self) -> list[Source]:
        head = "# padding\n" * self.padding + 'variable "v" {\n  type = any\n  default = ' + self.variable + "\n}\n"
        head += 'variable "s" {\n  type = string\n  default = "secret"\n  sensitive = true\n}\n'
        head += "locals {\n" + "".join(f"  {n} = {v}\n" for n, v in self.locals.items()) + "}\n"
        if not any(name == "file.f0" for name in self.blocks):
            head += 'resource "file" "f0" {\n  path = "out/f0"\n  content = "x"\n}\n'
        return [Source(self.source, self.source, (head + "".join(self.blocks.values())).encode())]

    def context(self) -> EvaluationContext:
        def recorded(address: str, config: Mapping[str, Any]) -> Mapping[str, Any]:
            entry = self.prior.resources.get(address)
            return {} if entry is None else entry.identity

        def read(name: str) -> bytes:
            if name != "given.txt":
                raise FileNotFoundError(name)
            return self.given

        return EvaluationContext(self.now, lambda name: self.port, read, lambda engine: FACTS.to_document(), recorded)

    def apply(self, plan: Plan) -> None:
        """Record what *plan* makes, as if it had been applied; not all of it ends well."""
        rng = self.rng
        resources = dict(self.prior.resources)
        for change in plan.changes:
            if change.deferred:
                continue
            if change.kind in {"delete", "forget"}:
                resources.pop(change.address, None)
            elif change.after is not None:
                config = seal(dict(change.after), self.key)
                status = rng.choice(("ok", "ok", "ok", "failed", "tainted"))
                resources[change.address] = PriorResource(
                    change.type, config, change.declared_in, change.dependencies, status, {"id": "made"}
                )
                self.observed[change.address] = Observation(True, {}, "there")
        self.prior = PriorState("lineage", self.prior.serial + 1, resources)


def planned(
    world: World,
    syntax: SyntaxCache | None,
    evaluated: EvaluationCache | None,
    plans: PlanCache | None,
    replaced: tuple[str, ...],
) -> tuple[Plan | None, Any]:
    """Return the plan, and everything that can be seen of it or of the refusal."""
    configuration, found = read_configuration(world.texts(), types=TYPES, cache=syntax)
    if found.has_errors:
        return None, [d.to_dict() for d in found.sorted()]
    desired, found = evaluate(
        configuration, types=TYPES, inputs=list[VariableInput](), context=world.context(), cache=evaluated
    )
    shown = [d.to_dict() for d in found.sorted()]
    if found.has_errors:
        return None, shown
    try:
        plan = make_plan(
            desired, world.prior, world.observed, types=TYPES, facts=FACTS, tool_version="t", secret_key=world.key,
            replaced=replaced, cache=plans,
        )  # fmt: skip
    except ClockworkError as error:
        return None, error.to_dict()
    document, hexdigest = document_and_digest(plan, plans)
    if plans is not None:
        plans.finish()
    assert hexdigest == digest(document)
    return plan, (shown, canonical_json(document), hexdigest)


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32), changes=st.lists(st.integers(0, 9), min_size=1, max_size=8))
def test_what_earlier_plans_left_changes_nothing(seed: int, changes: list[int]) -> None:
    rng = random.Random(seed)
    world = World(rng)
    syntax, evaluated, plans = SyntaxCache(), EvaluationCache(), PlanCache()
    for kind in changes:
        replaced = ("file.f0",) if kind == 9 else ()
        plan, seen = planned(world, syntax, evaluated, plans, replaced)
        _, anew = planned(world, None, None, None, replaced)
        assert seen == anew
        if plan is not None and kind in {7, 8}:
            world.apply(plan)
        world.change()


def _drift(world: World) -> None:
    world.observed["file.f1"] = Observation(True, {"kind": "file", "mode": "0600"}, "mode 0600")


def _other_source(world: World) -> None:
    world.source = "other.cw"


def _other_key(world: World) -> None:
    world.key = b"l" * 32


def _true(world: World) -> None:
    world.locals["b"] = "true"


def _refer(world: World) -> None:
    world.blocks["file.f3"] = 'resource "file" "f3" {\n  path = "out/3"\n  content = "${file.f1.size}"\n}\n'


def _gone(world: World) -> None:
    del world.blocks["file.f2"]  # which another one refers to


def _ignore(world: World) -> None:
    entry = world.prior.resources["file.f1"]
    config = {**entry.config, "mode": "0600"}
    other = PriorResource(entry.type, config, entry.declared_in, entry.dependencies, entry.status, entry.identity)
    world.prior = PriorState("lineage", 9, {**world.prior.resources, "file.f1": other})


def _failed(world: World) -> None:
    entry = world.prior.resources["file.f1"]
    other = PriorResource(entry.type, entry.config, entry.declared_in, entry.dependencies, "failed", entry.identity)
    world.prior = PriorState("lineage", 9, {**world.prior.resources, "file.f1": other})


@pytest.mark.parametrize("change", [_drift, _other_source, _other_key, _true, _refer, _gone, _ignore, _failed])
def test_everything_that_a_plan_depends_on_is_noticed(change: Callable[[World], None]) -> None:
    world = World(random.Random(1))
    world.blocks = {
        "file.f1": 'resource "file" "f1" {\n  path = "out/1"\n  content = "one"\n}\n',
        "file.f2": 'resource "file" "f2" {\n  path = "out/2"\n  content = var.s\n}\n',
        "file.f4": 'resource "file" "f4" {\n  path = "out/4"\n  content = jsonencode(local.b)\n}\n',
    }
    world.blocks["file.f5"] = 'resource "file" "f5" {\n  path = "out/5"\n  content = "from ${file.f2.path}"\n}\n'
    world.locals["b"] = "1"
    caches = SyntaxCache(), EvaluationCache(), PlanCache()
    first, _ = planned(world, *caches, ())
    assert first is not None
    world.prior = PriorState(
        "lineage",
        1,
        {
            c.address: PriorResource(c.type, seal(dict(c.after or {}), world.key), c.declared_in, c.dependencies)
            for c in first.changes
        },
    )
    world.observed = {c.address: Observation(True, {}, "there") for c in first.changes}
    _, before = planned(world, *caches, ())
    change(world)
    _, seen = planned(world, *caches, ())
    assert seen == planned(world, None, None, None, ())[1]
    assert seen != before


def test_what_did_not_change_is_taken_from_the_earlier_plan() -> None:
    world = World(random.Random(1))
    world.blocks = {
        f"file.f{i}": f'resource "file" "f{i}" {{\n  path = "out/{i}"\n  content = "${{local.a}} {i}"\n}}\n'
        for i in range(4)
    }
    syntax, evaluated, plans = SyntaxCache(), EvaluationCache(), PlanCache()
    first, _ = planned(world, syntax, evaluated, plans, ())
    world.blocks["file.f2"] = world.blocks["file.f2"].replace("} 2", "} two")
    second, _ = planned(world, syntax, evaluated, plans, ())
    assert first is not None
    assert second is not None
    before = {c.address: c for c in first.changes}
    kept = {c.address: c is before[c.address] for c in second.changes}
    assert kept == {"file.f0": True, "file.f1": True, "file.f2": False, "file.f3": True}
    actions = {a.id: a for a in first.actions}
    assert [a.address for a in second.actions if a is not actions[a.id]] == ["file.f2"]


def test_values_that_compare_equal_are_told_apart() -> None:
    alike: list[tuple[Any, Any]] = [
        (1, True),
        ([1], [True]),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        (Sensitive(1), Sensitive(True)),
        (Unknown("one"), Unknown("other")),
        ({"a": [Sensitive("x")]}, {"a": [Sensitive("y")]}),
    ]
    for one, other in alike:
        assert not identical(one, other)
        assert identical(one, one)
    assert identical({"a": [1, Sensitive("x"), Unknown("why")]}, {"a": [1, Sensitive("x"), Unknown("why")]})
