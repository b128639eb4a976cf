"""Makes the plan: what is wanted, recorded and observed in, what to do and why out. Pure and deterministic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clockwork_nb.assembly.changes import Decision, decide_check, decide_unwanted, decide_wanted, effective
from clockwork_nb.assembly.claims import Claims
from clockwork_nb.assembly.diff import same_value
from clockwork_nb.assembly.graph import Graph
from clockwork_nb.assembly.ordering import order_actions
from clockwork_nb.assembly.plan import OutputChange, Plan, ResourceChange
from clockwork_nb.assembly.prior import PriorState
from clockwork_nb.assembly.targets import select
from clockwork_nb.errors import InvalidInputError, UnsafeOperationError
from clockwork_nb.intake.desired import Desired, EnvFacts, ResourceInstance
from clockwork_nb.ports import Action, Observation, Registry, ResourceType
from clockwork_nb.secrets import Sensitive

__all__ = ["make_plan", "verify_actions"]

_CHANGING = frozenset({"create", "update", "replace"})


def make_plan(
    desired: Desired,
    prior: PriorState,
    observations: Mapping[str, Observation],
    *,
    types: Registry,
    facts: EnvFacts,
    tool_version: str,
    secret_key: bytes,
    destroy: bool = False,
    targets: Sequence[str] = (),
    prune: bool = False,
) -> Plan:
    """Return the plan that takes the world from what was recorded and observed to what is wanted.

    The result depends on the values alone, not on the order they come in.

    Args:
        observations: address → what is there: where it was recorded if it is recorded, else where it would be. An
            address that is missing was not looked at.
        secret_key: the workspace's key; sensitive values are compared and shown by their digests under it.
        destroy: remove everything recorded instead.
        targets: addresses (or ``type.name`` for all its instances) that the plan is limited to, with all they need;
            when destroying, with all that needs them.
        prune: also remove what was declared in files or cells that were not read.

    Raises:
        UnsafeOperationError: E_UNSAFE_OPERATION, a resource with ``prevent_destroy`` would be removed or replaced.
        InvalidInputError: E_INVALID_INPUT_SCHEMA, an unknown target, a type that is not installed, a cycle.
        ConfigurationError: two resources want the same path or port.
    """
    wanted = Graph({a: r.dependencies for a, r in desired.resources.items()})
    recorded = Graph({a: r.dependencies for a, r in prior.resources.items()})
    chosen, names = select(targets, wanted, recorded, types, destroy=destroy)
    resources = {
        a: effective(r, prior.resources.get(a), secret_key) for a, r in desired.resources.items() if not destroy
    }
    claims = Claims(resources.values(), types)

    decisions: dict[str, Decision] = {}
    if resources:
        decisions = _wanted(resources, prior, observations, types, secret_key, claims, wanted, chosen)
    not_loaded: dict[str, str] = {}
    for address, resource in sorted(prior.resources.items()):
        if address not in chosen or (address in desired.resources and not destroy):
            continue
        if address not in desired.resources and resource.declared_in not in desired.loaded and not prune:
            not_loaded[address] = resource.declared_in
            continue
        kind = _type(types, resource.type, address)
        reason = "everything is removed" if destroy else f"no longer declared in {resource.declared_in}"
        decisions[address] = decide_unwanted(address, kind, resource, observations.get(address), claims, reason)

    _refuse_protected(desired, decisions)
    actions = order_actions(decisions, Graph({}) if destroy else wanted, recorded, types)
    return Plan(
        configuration_digest=desired.digest,
        lineage=prior.lineage,
        serial=prior.serial,
        facts=facts,
        tool_version=tool_version,
        changes=_in_order(decisions, actions),
        actions=actions,
        drift=tuple(d.drift for _, d in sorted(decisions.items()) if d.drift is not None),
        outputs=_outputs(desired, prior, secret_key, destroy=destroy, partial=bool(targets)),
        not_loaded=not_loaded,
        variables=_variables(desired),
        ports=dict(desired.ports),
        destroy=destroy,
        targets=names,
        prune=prune,
        secret_key=secret_key,
    )


def verify_actions(desired: Desired, types: Registry) -> tuple[Action, ...]:
    """Return only what checks: every ``check``, and the health checks of services, in dependency order.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA, a type that is not installed, or a cycle.
    """
    wanted = Graph({a: r.dependencies for a, r in desired.resources.items()})
    decisions: dict[str, Decision] = {}
    for address, instance in sorted(desired.resources.items()):
        kind = _type(types, instance.type, address)
        specs = tuple(kind.actions("verify", instance.config, None))
        if specs:
            change = ResourceChange(
                address=address,
                type=instance.type,
                kind="verify",
                describe=kind.describe(instance.config),
                declared_in=instance.declared_in,
                dependencies=instance.dependencies,
                before=instance.config,
                after=instance.config,
                reason="asked for",
            )
            decisions[address] = Decision(change, specs)
    return order_actions(decisions, wanted, Graph({}), types)


def _wanted(
    resources: Mapping[str, ResourceInstance],
    prior: PriorState,
    observations: Mapping[str, Observation],
    types: Registry,
    key: bytes,
    claims: Claims,
    graph: Graph,
    chosen: set[str],
) -> dict[str, Decision]:
    decisions: dict[str, Decision] = {}
    # address → the nearest thing it stands on that changes; its checks are due then.
    moved: dict[str, str] = {}
    for address in graph.order():
        below = next((moved[need] for need in graph.needs(address) if need in moved), "")
        if address not in chosen:
            continue
        instance = resources[address]
        kind = _type(types, instance.type, address)
        before = prior.resources.get(address)
        if kind.verifies:
            decision = decide_check(instance, kind, before, key, below)
        else:
            decision = decide_wanted(instance, kind, before, observations.get(address), key, claims)
        decisions[address] = decision
        if decision.change.kind in _CHANGING and decision.specs:
            moved[address] = address
        elif below:
            moved[address] = below
    return decisions


def _type(types: Registry, name: str, address: str) -> ResourceType:
    kind = types.get(name)
    if kind is None:
        raise InvalidInputError(
            f'{address} is of the type "{name}", which is not installed',
            hint="Install the package that brings this resource type, then plan again.",
            details={"address": address, "type": name},
        )
    return kind


def _refuse_protected(desired: Desired, decisions: Mapping[str, Decision]) -> None:
    hit = [
        address
        for address, decision in sorted(decisions.items())
        if decision.change.kind in {"delete", "replace"}
        and address in desired.resources
        and desired.resources[address].prevent_destroy
    ]
    if hit:
        what = {a: "removed" if decisions[a].change.kind == "delete" else "replaced" for a in hit}
        raise UnsafeOperationError(
            f"{hit[0]} would be {what[hit[0]]}, but it has prevent_destroy"
            + (f" (and {len(hit) - 1} more)" if len(hit) > 1 else ""),
            hint="Take prevent_destroy out of its lifecycle block if that is really wanted.",
            source=desired.resources[hit[0]].range,
            details={"addresses": hit},
        )


def _in_order(decisions: Mapping[str, Decision], actions: Sequence[Action]) -> tuple[ResourceChange, ...]:
    first: dict[str, int] = {}
    for i, action in enumerate(actions):
        first.setdefault(action.address, i)

    def place(change: ResourceChange) -> tuple[bool, int, str]:
        return change.kind == "noop", first.get(change.address, len(actions)), change.address

    return tuple(sorted((d.change for d in decisions.values()), key=place))


def _outputs(
    desired: Desired, prior: PriorState, key: bytes, *, destroy: bool, partial: bool
) -> tuple[OutputChange, ...]:
    """Return every output, also those that stay as they are; one that goes away has ``after`` None.

    A partial plan leaves all outputs alone: it cannot tell which of them will hold.
    """
    if partial:
        return tuple(OutputChange(n, v, v, _is_digest(v)) for n, v in sorted(prior.outputs.items()))
    out: dict[str, OutputChange] = {}
    for name, before in prior.outputs.items():
        out[name] = OutputChange(name, before, None, _is_digest(before))
    for output in () if destroy else desired.outputs:
        after = Sensitive(output.value) if output.sensitive else output.value
        before = prior.outputs.get(output.name)
        if output.name in prior.outputs and same_value(before, after, key):
            before = after
        out[output.name] = OutputChange(output.name, before, after, isinstance(after, Sensitive))
    return tuple(change for _, change in sorted(out.items()))


def _variables(desired: Desired) -> tuple[Mapping[str, Any], ...]:
    return tuple(
        {
            "name": v.name,
            "value": Sensitive(v.value) if v.sensitive else v.value,
            "source": v.source,
            "sensitive": v.sensitive,
        }
        for v in sorted(desired.variables, key=lambda v: v.name)
    )


def _is_digest(value: Any) -> bool:
    return isinstance(value, dict) and set(value) == {"$sensitive"}
