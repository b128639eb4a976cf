"""Makes the plan: what is wanted, recorded and observed in, what to do and why out. Pure and deterministic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from clockwork_nb.assembly.adoption import Adopted, adopt, rename
from clockwork_nb.assembly.changes import Decision, decide_check, decide_unwanted, decide_wanted, effective
from clockwork_nb.assembly.claims import Claims
from clockwork_nb.assembly.diff import same_value
from clockwork_nb.assembly.graph import Graph
from clockwork_nb.assembly.ordering import order_actions
from clockwork_nb.assembly.plan import OutputChange, Plan, ResourceChange
from clockwork_nb.assembly.plan_cache import PlanCache
from clockwork_nb.assembly.prior import PriorResource, PriorState
from clockwork_nb.assembly.targets import Selection, made_anew, select
from clockwork_nb.errors import ClockworkError, InvalidInputError, UnsafeOperationError
from clockwork_nb.intake.desired import Desired, EnvFacts, ResourceInstance
from clockwork_nb.intake.values import contains_unknown, first_unknown
from clockwork_nb.ports import Action, ChangeKind, Observation, Registry, ResourceType
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
    excluded: Sequence[str] = (),
    replaced: Sequence[str] = (),
    only_import: bool = False,
    prune: bool = False,
    cache: PlanCache | None = None,
) -> Plan:
    """Return the plan that takes the world from what was recorded and observed to what is wanted.

    The result depends on the values alone, not on the order they come in. A change that needs a value which only another
    change of this plan will tell is *deferred*: it has no action, and is planned again when that is done.

    Args:
        observations: address → what is there: where it was recorded if it is recorded, else where it would be. An
            address that is missing was not looked at. What was moved is found at its new address.
        secret_key: the workspace's key; sensitive values are compared and shown by their digests under it.
        destroy: remove everything recorded instead.
        targets: addresses (or ``type.name`` for all its instances, or patterns) that the plan is limited to, with all
            they need; when destroying, with all that needs them.
        excluded: the same, of what is left alone, with all that stands on it.
        replaced: the same, of what is made anew though nothing of it changed.
        only_import: take what ``desired.imports`` names into the state, and do nothing else.
        prune: also remove what was declared in files or cells that were not read.
        cache: what an earlier plan with the same *types* and *secret_key* left; the plan is the same without it.

    Raises:
        UnsafeOperationError: E_UNSAFE_OPERATION, a resource with ``prevent_destroy`` would be removed or replaced.
        InvalidInputError: E_INVALID_INPUT_SCHEMA, an unknown target, something to replace that is no part of the plan, a
            type that is not installed, a cycle.
        ConfigurationError: two resources want the same path or port, or something cannot be imported.
    """
    if cache is not None:
        cache.begin(secret_key)
    renamed = rename(prior, desired.moves, types)
    adopted = rename(prior, {}, types) if destroy else renamed
    wanted = _graph(cache, "wanted", {a: r.dependencies for a, r in desired.resources.items()})
    recorded = _graph(cache, "recorded", {a: r.dependencies for a, r in adopted.prior.resources.items()})
    selection = select(targets, excluded, wanted, recorded, types, destroy=destroy)
    if not destroy:
        adopted = adopt(adopted, desired, selection.chosen, observations, types, secret_key)
        recorded = _graph(cache, "adopted", {a: r.dependencies for a, r in adopted.prior.resources.items()})
    if only_import:
        selection = replace(selection, chosen=set(adopted.imported))
    checks = [a for a, r in desired.resources.items() if _type(types, r.type, a).verifies] if replaced else []
    anew, replaced_names = made_anew(replaced, [*wanted], checks, selection, types, destroy=destroy)
    resources = {
        a: effective(r, adopted.prior.resources.get(a), secret_key) for a, r in desired.resources.items() if not destroy
    }
    claims = Claims(resources.values(), types)

    decisions: dict[str, Decision] = {}
    if resources:
        world = _World(adopted, observations, types, secret_key, claims, only_import, cache)
        decisions = _wanted(resources, world, wanted, selection.chosen, dict.fromkeys(anew, "asked for with --replace"))
    not_loaded = _unwanted(
        desired, adopted, observations, types, claims, selection, decisions, destroy=destroy, prune=prune
    )

    _defer_removals(decisions, recorded)
    _refuse_protected(desired, decisions, {**{old: new for new, old in renamed.moved.items()}, **renamed.replaced_by})
    actions = order_actions(decisions, Graph({}) if destroy else wanted, recorded, types, cache)
    return Plan(
        configuration_digest=desired.digest,
        lineage=prior.lineage,
        serial=prior.serial,
        facts=facts,
        tool_version=tool_version,
        changes=_in_order(decisions, actions),
        actions=actions,
        drift=tuple(d.drift for _, d in sorted(decisions.items()) if d.drift is not None),
        outputs=_outputs(
            desired,
            prior,
            secret_key,
            destroy=destroy,
            partial=bool(targets or excluded) or only_import,
            idle=all(d.change.kind == "noop" for d in decisions.values()),
        ),
        not_loaded=not_loaded,
        variables=_variables(desired),
        ports=dict(desired.ports),
        destroy=destroy,
        targets=selection.targets,
        excluded=selection.excluded,
        replaced=replaced_names,
        prune=prune,
        secret_key=secret_key,
    )


def _graph(cache: PlanCache | None, name: str, needs: dict[str, tuple[str, ...]]) -> Graph:
    return Graph(needs) if cache is None else cache.graph(name, needs)


class _World(Struct, frozen=True):
    """What decisions are made from, besides what is wanted."""

    adopted: Adopted
    observations: Mapping[str, Observation]
    types: Registry
    key: bytes
    claims: Claims
    only_import: bool
    cache: PlanCache | None = None


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
    world: _World,
    graph: Graph,
    chosen: set[str],
    anew: Mapping[str, str],
) -> dict[str, Decision]:
    decisions: dict[str, Decision] = {}
    # address → the nearest thing it stands on that changes; its checks are due then.
    moved: dict[str, str] = {}
    # address → the nearest thing that waits, which it stands on or is itself.
    waiting: dict[str, str] = {}
    for address in graph.order():
        needs = graph.needs(address)
        below = next((moved[need] for need in needs if need in moved), "") if needs else ""
        if address not in chosen:
            continue
        instance = resources[address]
        kind = _type(world.types, instance.type, address)
        before = world.adopted.prior.resources.get(address)
        observed = world.observations.get(address)
        because = below if kind.verifies else anew.get(address) or _triggered(instance, decisions)
        decision = _decided(instance, kind, before, observed, because, world)
        decision = _adopted(decision, world.adopted, observed, only=world.only_import)
        decision = _deferred(decision, needs, waiting, known=instance.known)
        decisions[address] = decision
        if decision.change.kind in _CHANGING and (decision.specs or decision.change.deferred):
            moved[address] = address
        elif below:
            moved[address] = below
    return decisions


def _decided(
    instance: ResourceInstance,
    kind: ResourceType,
    before: PriorResource | None,
    observed: Observation | None,
    because: str,
    world: _World,
) -> Decision:
    cache = world.cache
    known = cache.decision(instance, before, observed, because) if cache is not None else None
    if known is not None:
        return known
    try:
        if kind.verifies:
            decision = decide_check(instance, kind, before, world.key, because)
        else:
            decision = decide_wanted(instance, kind, before, observed, world.key, world.claims, replace_because=because)
    except ClockworkError as error:
        error.source = error.source or instance.range  # a type does not know where its resource is declared
        raise
    if cache is not None:
        cache.keep(instance, before, observed, because, decision)
    return decision


def _triggered(instance: ResourceInstance, decisions: Mapping[str, Decision]) -> str:
    """Return why *instance* is replaced: one of the things that it names for that changes."""
    for address, attribute in instance.triggers:
        change = decisions[address].change if address in decisions else None
        if change is None or change.kind not in _CHANGING:
            continue
        if not attribute:
            return f"{address} changes"
        names = {a.path.partition(".")[0].partition("[")[0] for a in change.attributes}
        if change.kind == "create" or attribute in names:
            return f"{attribute} of {address} changes"
    return ""


def _adopted(decision: Decision, adopted: Adopted, observed: Observation | None, *, only: bool) -> Decision:
    """Return *decision* as one about something that moved or is imported, if it is."""
    change = decision.change
    old, import_id = adopted.moved.get(change.address, ""), adopted.imported.get(change.address, "")
    if old:
        kind: ChangeKind = "move" if change.kind == "noop" else change.kind
        reason = f"moved from {old}" + (f"; {change.reason}" if change.reason else "")
        return replace(decision, change=replace(change, kind=kind, moved_from=old, reason=reason))
    if import_id:
        if only:
            decision = replace(decision, specs=())
        kind = "import" if only or change.kind == "noop" else change.kind
        reason = f"taken over, {change.reason}" if change.reason else "taken over as it is"
        seen = {} if observed is None else _plain_facts(observed, change.after or {})
        # Nothing of it was made here, so whatever is put right is somebody else's.
        theirs = {"overwrite"} if change.kind == "update" and decision.specs else set()
        risk = tuple(sorted({*change.risk, *theirs}))
        change = replace(change, kind=kind, imported=import_id, reason=reason, identity=seen, risk=risk)
        return replace(decision, change=change)
    return decision


def _plain_facts(observed: Observation, config: Mapping[str, Any]) -> dict[str, Any]:
    return {n: v for n, v in sorted(observed.attributes.items()) if n not in config and not isinstance(v, Sensitive)}


def _deferred(decision: Decision, needs: Sequence[str], waiting: dict[str, str], *, known: bool = False) -> Decision:
    """Return *decision* without its actions when it is about what is not known yet, or follows one that waits for that.

    *waiting* (see `_wanted`) is what is known of its needs, and is added to. *known*: every value of it is known.
    """
    change = decision.change
    behind = next((waiting[need] for need in needs if need in waiting), "") if waiting else ""
    if behind:
        waiting[change.address] = behind  # also what stands on an unchanged one that stands on it waits
    if change.kind in {"noop", "move", "import"}:
        return decision
    below = behind if decision.specs else ""
    unknown = None if below or known else first_unknown(change.after)
    asking = tuple(spec for spec in decision.specs if spec.asks)
    if asking and unknown is None and not below:
        waiting[change.address] = change.address
        return replace(decision, specs=asking, change=replace(change, deferred=asking[0].reason))
    if unknown is None and not below:
        return decision
    waiting[change.address] = change.address
    why = f"after {below}" if unknown is None else unknown.why or "a value is known only after apply"
    return _waiting(decision, why)


def _waiting(decision: Decision, why: str) -> Decision:
    return replace(decision, specs=(), change=replace(decision.change, deferred=why))


def _defer_removals(decisions: dict[str, Decision], recorded: Graph) -> None:
    """Let what is removed wait too while something that used it waits: that may use it until then."""
    waiting = {a for a, d in decisions.items() if d.change.deferred}
    if not waiting:
        return
    used = recorded.closure(waiting)
    for address in sorted((used & decisions.keys()) - waiting):
        decision = decisions[address]
        if decision.change.kind in {"delete", "forget"}:
            user = min(waiting & recorded.closure([address], dependents=True))
            decisions[address] = _waiting(decision, f"after {user}")


def _unwanted(
    desired: Desired,
    adopted: Adopted,
    observations: Mapping[str, Observation],
    types: Registry,
    claims: Claims,
    selection: Selection,
    decisions: dict[str, Decision],
    *,
    destroy: bool,
    prune: bool,
) -> dict[str, str]:
    """Add to *decisions* what happens to everything recorded that is wanted no more; return what was not read."""
    not_loaded: dict[str, str] = {}
    for address, resource in sorted(adopted.prior.resources.items()):
        if address not in selection.chosen or (address in desired.resources and not destroy):
            continue
        named = address in desired.removals or address in adopted.replaced_by
        if address not in desired.resources and resource.declared_in not in desired.loaded and not (prune or named):
            not_loaded[address] = resource.declared_in
            continue
        kind = _type(types, resource.type, address)
        keep = desired.removals.get(address) is False
        if keep:
            reason = "left as it is, no longer managed here"
        elif destroy:
            reason = "everything is removed"
        elif address in adopted.replaced_by:
            reason = f"moved to {adopted.replaced_by[address]}, which is made anew"
        else:
            reason = "removed" if named else f"no longer declared in {resource.declared_in}"
        decisions[address] = decide_unwanted(
            address, kind, resource, observations.get(address), claims, reason, destroy=not keep
        )
    return not_loaded


def _type(types: Registry, name: str, address: str) -> ResourceType:
    kind = types.get(name)
    if kind is None:
        raise InvalidInputError(
            f'{address} is of the type "{name}", which is not installed',
            hint="Install the package that brings this resource type, then plan again.",
            details={"address": address, "type": name},
        )
    return kind


def _refuse_protected(desired: Desired, decisions: Mapping[str, Decision], moves: Mapping[str, str]) -> None:
    """Refuse to lose what has ``prevent_destroy``, also when it is still recorded under an address it had before."""
    declared = {a: desired.resources.get(a) or desired.resources.get(moves.get(a, "")) for a in decisions}
    hit = [
        address
        for address, decision in sorted(decisions.items())
        if decision.change.kind in {"delete", "replace"}
        and (instance := declared[address]) is not None
        and instance.prevent_destroy
    ]
    if hit:
        first = declared[hit[0]]
        what = {a: "removed" if decisions[a].change.kind == "delete" else "replaced" for a in hit}
        raise UnsafeOperationError(
            f"{hit[0]} would be {what[hit[0]]}, but it has prevent_destroy"
            + (f" (and {len(hit) - 1} more)" if len(hit) > 1 else ""),
            hint="Take prevent_destroy out of its lifecycle block if that is really wanted.",
            source=first.range if first is not None else None,
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
    desired: Desired, prior: PriorState, key: bytes, *, destroy: bool, partial: bool, idle: bool
) -> tuple[OutputChange, ...]:
    """Return every output, also those that stay as they are; one that goes away has ``after`` None.

    A partial plan leaves all outputs alone: it cannot tell which of them will hold. What is not known keeps its value
    where nothing happens (*idle*) that could make it known.
    """
    if partial:
        return tuple(OutputChange(n, v, v, _is_digest(v)) for n, v in sorted(prior.outputs.items()))
    out: dict[str, OutputChange] = {}
    for name, before in prior.outputs.items():
        out[name] = OutputChange(name, before, None, _is_digest(before))
    for output in () if destroy else desired.outputs:
        after = Sensitive(output.value) if output.sensitive else output.value
        before = prior.outputs.get(output.name)
        if contains_unknown(output.value):
            # The old value does not hold any more, the new one is recorded when it is known.
            known = before if idle else output.value
            out[output.name] = OutputChange(output.name, before, known, output.sensitive)
            continue
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
