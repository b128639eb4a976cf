"""A small world to plan in: declare resources, plan, pretend that the plan was applied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from clockwork_nb.assembly.plan import Plan, ResourceChange
from clockwork_nb.assembly.planner import make_plan
from clockwork_nb.assembly.prior import PriorResource, PriorState
from clockwork_nb.canonical import canonical_json, parse_json
from clockwork_nb.diagnostics import SourceRange, SourceText
from clockwork_nb.intake.desired import Desired, EnvFacts, Output, ResourceInstance, VariableValue
from clockwork_nb.intake.values import contains_unknown
from clockwork_nb.ports import Observation
from clockwork_nb.resources.registry import builtin_types
from clockwork_nb.secrets import seal

KEY = b"k" * 32
_SOURCE = SourceText("main.cw", "resource\n" * 8)


class World:
    """Builds inputs of the planner and plans."""

    def __init__(self) -> None:
        self.types: Mapping[str, Any] = builtin_types()
        self.facts = EnvFacts("linux", "x86_64", "standard", runtimes={"sh": "1"})
        self.key = KEY

    def resource(self, address: str, needs: Sequence[str] = (), **attributes: Any) -> ResourceInstance:
        """Return a resource; attributes beginning with ``_`` are fields of the instance (``_declared_in="web"``)."""
        type_name, _, name = address.partition(".")
        fields = {k[1:]: v for k, v in attributes.items() if k.startswith("_")}
        raw = {k: v for k, v in attributes.items() if not k.startswith("_")}
        config = self.types[type_name].model().model_validate(raw).model_dump()
        place = {"declared_in": "main.cw", "range": SourceRange(_SOURCE, 0, 8), **fields}
        return ResourceInstance(address, type_name, name, config, dependencies=tuple(sorted(needs)), **place)

    def file(self, name: str, content: Any = "x", needs: Sequence[str] = (), **more: Any) -> ResourceInstance:
        """Return ``file.<name>`` at ``out/<name>`` unless *more* says otherwise."""
        return self.resource(f"file.{name}", needs, **{"path": f"out/{name}", "content": content, **more})

    def desired(
        self,
        *resources: ResourceInstance,
        outputs: Sequence[Output] = (),
        variables: Sequence[VariableValue] = (),
        loaded: Sequence[str] = ("main.cw",),
        digest: str = "0" * 64,
        **more: Any,
    ) -> Desired:
        """Return a configuration; *more* are ``moves``, ``imports`` (address → id) and ``removals``."""
        if "imports" in more:
            more["imports"] = {a: (import_id, SourceRange(_SOURCE, 0, 8)) for a, import_id in more["imports"].items()}
        return Desired(
            {r.address: r for r in resources}, tuple(outputs), tuple(variables), frozenset(loaded), digest, **more
        )

    def plan(
        self,
        desired: Desired,
        prior: PriorState | None = None,
        observations: Mapping[str, Observation] | None = None,
        **options: Any,
    ) -> Plan:
        """Return the plan."""
        return make_plan(
            desired,
            prior or PriorState(),
            observations or {},
            types=self.types,
            facts=self.facts,
            tool_version="0.1.0",
            secret_key=self.key,
            **options,
        )

    def applied(self, plan: Plan, prior: PriorState | None = None) -> PriorState:
        """Return the state after *plan*, as it is when it was written to a file and read again."""
        prior = prior or PriorState()
        resources = dict(prior.resources)
        for c in plan.changes:
            if c.moved_from:
                resources[c.address] = resources.pop(c.moved_from)
            if c.deferred:
                continue
            if c.kind in {"delete", "forget"}:
                resources.pop(c.address, None)
            elif c.after is not None:
                config = parse_json(canonical_json(seal(dict(c.after), self.key)))
                resources[c.address] = PriorResource(
                    c.type, config, c.declared_in, c.dependencies, identity=dict(c.identity)
                )
        outputs = {
            o.name: parse_json(canonical_json(seal(o.before if contains_unknown(o.after) else o.after, self.key)))
            for o in plan.outputs
            if o.after is not None and (o.before is not None or not contains_unknown(o.after))
        }
        return PriorState.from_document(
            PriorState(prior.lineage or "lineage", prior.serial + 1, resources, outputs).to_document()
        )

    def apply(self, desired: Desired, prior: PriorState | None = None, **options: Any) -> PriorState:
        """Plan and pretend that it was applied."""
        return self.applied(self.plan(desired, prior, **options), prior)

    def change(self, plan: Plan, address: str) -> ResourceChange:
        """Return the change of *address*."""
        return next(c for c in plan.changes if c.address == address)

    def kinds(self, plan: Plan) -> dict[str, str]:
        """Return address → kind of change."""
        return {c.address: c.kind for c in plan.changes}

    def order(self, plan: Plan) -> list[str]:
        """Return the ids of the actions in order, after checking that each comes after what it needs."""
        seen: set[str] = set()
        for action in plan.actions:
            assert set(action.needs) <= seen, f"{action.id} comes before something it needs"
            assert list(action.needs) == sorted(action.needs)
            seen.add(action.id)
        return [a.id for a in plan.actions]


@pytest.fixture
def world() -> World:
    """Return a world with the built-in resource types."""
    return World()
