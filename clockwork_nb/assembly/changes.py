"""What happens to one resource: compares what is wanted, recorded and observed. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from clockwork_nb.assembly.claims import Claims, claims_of
from clockwork_nb.assembly.diff import diff_config, with_known_secrets
from clockwork_nb.assembly.drift import drift_of
from clockwork_nb.assembly.plan import AttributeChange, Drift, ResourceChange
from clockwork_nb.assembly.prior import PriorResource
from clockwork_nb.canonical import digest
from clockwork_nb.intake.desired import ResourceInstance
from clockwork_nb.intake.values import Unknown, contains_unknown
from clockwork_nb.ports import ActionSpec, ChangeKind, Observation, ResourceType
from clockwork_nb.secrets import Sensitive, seal

__all__ = ["Decision", "decide_check", "decide_unwanted", "decide_wanted", "effective"]

_AGAIN = {
    "failed": "failed last time",
    "unknown": "it is not known whether the last run finished",
    "tainted": "marked as not to be relied on",
}


class Decision(Struct, frozen=True):
    """A change, the actions its type asks for, and the drift that was found on the way."""

    change: ResourceChange
    specs: tuple[ActionSpec, ...] = ()
    drift: Drift | None = None


def effective(instance: ResourceInstance, prior: PriorResource | None, key: bytes) -> ResourceInstance:
    """Return *instance* with the config that will be recorded: ignored attributes keep their recorded value, and so do
    those that would differ only because this run happens at another time (``timestamp()``)."""
    if instance.known and not (instance.volatile or instance.ignore_changes):
        return instance
    config = instance.config
    times = _volatile(instance, key) if instance.volatile else {}
    if prior is not None and times:
        before = prior.identity.get("volatile", {})
        kept = {
            name: prior.config[name]
            for name, fixed in times.items()
            if before.get(name) == fixed and name in prior.config and not _holds_digest(prior.config[name])
        }
        config = {**config, **kept}
    if prior is not None and instance.ignore_changes:
        # A sensitive value is recorded as a digest only; then the wanted one is used when something else changes.
        kept = {
            name: prior.config[name]
            for name in instance.ignore_changes
            if name in prior.config and name in config and not _holds_digest(prior.config[name])
        }
        config = {**config, **kept}
    if not instance.known and contains_unknown(config):
        config = _without_sealed_unknowns(config)
    unchanged = config is instance.config and not instance.volatile
    return instance if unchanged else replace(instance, config=config, volatile=times)


def decide_wanted(
    instance: ResourceInstance,
    kind: ResourceType,
    prior: PriorResource | None,
    observed: Observation | None,
    key: bytes,
    claims: Claims,
    *,
    replace_because: str = "",
) -> Decision:
    """Return what happens to a resource that is wanted and changes something (no check).

    Args:
        instance: what is wanted, as `effective` made it.
        prior: what is recorded of it, if anything.
        observed: what is really there, of the recorded thing if one is recorded; None when nobody looked.
        key: the workspace's key for sensitive values.
        replace_because: why it is to be made anew though nothing of it forces that; else ``""``.
    """
    config = instance.config
    if prior is None:
        inside = _pending(kind, "create", config, observed)
        specs = _actions(kind, "create", config, None, observed)
        risk = _risks(kind, "create", config, None, observed, specs)
        return Decision(_change(instance, kind, "create", config, None, "new", risk, attributes=inside), specs)

    recorded = with_known_secrets(prior.config, config, key)
    gone = observed is not None and observed.exists is False
    # What is gone does not have to be removed before something else takes its place.
    forces: frozenset[str] = frozenset() if gone else kind.replaces(recorded, config) - set(instance.ignore_changes)
    differences = diff_config(prior.config, config, key, ignore=instance.ignore_changes, forces=forces)
    anew = "" if gone else replace_because or ("tainted" if prior.status == "tainted" else "")
    replaced = bool(anew) or any(change.forces_replacement for change in differences)
    drift = drift_of(instance.address, kind, recorded, observed, instance.ignore_changes)

    reasons = []
    if prior.status in _AGAIN:
        # It may never have been as recorded, so nobody can be said to have changed it outside.
        reasons.append(_AGAIN[prior.status])
        drift = None
    elif drift is not None:
        reasons.append("gone" if gone else _moved_outside(drift))
    again = bool(reasons)
    if replace_because and not gone:
        reasons.append(replace_because)
    if differences:
        reasons.append(_named(differences))
    change_kind: ChangeKind = "replace" if replaced else "create" if gone else "update"
    inside = _pending(kind, change_kind, config, observed)
    if inside:
        reasons.append(f"{len(inside)} {'change' if len(inside) == 1 else 'changes'} inside")
    if change_kind == "update" and not (again or differences or inside):
        return Decision(_change(instance, kind, "noop", config, prior.config, "", ()))

    specs = _actions(kind, change_kind, config, None if again and not replaced else recorded, observed)
    if replaced:
        specs = _in_chosen_order(specs, instance, kind, prior)
    if replaced and claims.taken_over(instance.address, instance.type, claims_of(kind, prior.config)):
        specs = tuple(s for s in specs if not s.name.startswith("remove_"))
    risk = _risks(kind, change_kind, config, recorded, observed, specs)
    change = _change(
        instance, kind, change_kind, config, prior.config, "; ".join(reasons), risk, attributes=(*differences, *inside)
    )
    return Decision(change, specs, drift)


def _actions(
    kind: ResourceType,
    change: ChangeKind,
    config: Mapping[str, Any] | None,
    recorded: Mapping[str, Any] | None,
    observed: Observation | None,
) -> tuple[ActionSpec, ...]:
    own = getattr(kind, "actions_observed", None)
    return tuple(kind.actions(change, config, recorded) if own is None else own(change, config, recorded, observed))


def _pending(
    kind: ResourceType, change: ChangeKind, config: Mapping[str, Any] | None, observed: Observation | None
) -> tuple[AttributeChange, ...]:
    """Return what a tool of the type's own would change inside the thing."""
    own = getattr(kind, "pending", None)
    if own is None or observed is None:
        return ()
    return tuple(AttributeChange(*row) for row in own(change, config, observed))


def _in_chosen_order(
    specs: tuple[ActionSpec, ...], instance: ResourceInstance, kind: ResourceType, prior: PriorResource
) -> tuple[ActionSpec, ...]:
    """Return the actions of a replacement as ``create_before_destroy`` asks for.

    Where both want the same path or port the old one always goes first: making the new one and removing the old one
    then would leave nothing.
    """
    if instance.create_before_destroy is None:
        return specs
    removes = tuple(s for s in specs if s.name.startswith("remove_"))
    makes = tuple(s for s in specs if not s.name.startswith("remove_"))
    shared = set(claims_of(kind, prior.config)) & set(claims_of(kind, instance.config))
    return (*removes, *makes) if shared or not instance.create_before_destroy else (*makes, *removes)


def decide_check(
    instance: ResourceInstance, kind: ResourceType, prior: PriorResource | None, key: bytes, because: str
) -> Decision:
    """Return whether a check is due: new, changed, not passed last time, or behind something that changes (*because*)."""
    config = instance.config
    differences: list[AttributeChange] = []
    if prior is None:
        reason = "new"
    else:
        differences = diff_config(prior.config, config, key, ignore=instance.ignore_changes)
        reason = _AGAIN.get(prior.status, "") or (_named(differences) if differences else "")
    reason = reason or (f"{because} changes" if because else "")
    before = None if prior is None else prior.config
    if not reason:
        return Decision(_change(instance, kind, "noop", config, before, "", ()))
    specs = tuple(kind.actions("verify", config, None))
    risk = _risks(kind, "verify", config, before, None, specs)
    change = _change(instance, kind, "verify", config, before, reason, risk, attributes=tuple(differences))
    return Decision(change, specs)


def decide_unwanted(
    address: str,
    kind: ResourceType,
    prior: PriorResource,
    observed: Observation | None,
    claims: Claims,
    reason: str,
    *,
    destroy: bool = True,
) -> Decision:
    """Return what happens to a recorded resource that is wanted no more: it is removed, or forgotten if nothing is left.

    Args:
        reason: why it is wanted no more.
        destroy: whether it is removed; otherwise it is only forgotten.
    """
    owner = claims.taken_over(address, prior.type, claims_of(kind, prior.config))
    specs: tuple[ActionSpec, ...] = ()
    inside: tuple[AttributeChange, ...] = ()
    if owner:
        reason = f"{owner} has it now"
    elif not destroy:
        pass
    elif observed is not None and observed.exists is False:
        reason = f"{reason}; it is gone already"
    else:
        inside = _pending(kind, "delete", None, observed)
        specs = _actions(kind, "delete", None, prior.config, observed)
    asking = tuple(spec for spec in specs if spec.asks)
    specs = asking or specs
    change_kind: ChangeKind = "delete" if specs else "forget"
    change = ResourceChange(
        address=address,
        type=prior.type,
        kind=change_kind,
        describe=kind.describe(prior.config),
        declared_in=prior.declared_in,
        dependencies=prior.dependencies,
        attributes=inside,
        before=prior.config,
        reason=reason,
        risk=_risks(kind, change_kind, None, prior.config, observed, specs),
        deferred=asking[0].reason if asking else "",
    )
    return Decision(change, specs)


def _change(
    instance: ResourceInstance,
    kind: ResourceType,
    change_kind: ChangeKind,
    config: Mapping[str, Any],
    before: Mapping[str, Any] | None,
    reason: str,
    risk: tuple[str, ...],
    *,
    attributes: tuple[AttributeChange, ...] = (),
) -> ResourceChange:
    return ResourceChange(
        address=instance.address,
        type=instance.type,
        kind=change_kind,
        describe=kind.describe(config),
        declared_in=instance.declared_in,
        dependencies=instance.dependencies,
        attributes=attributes,
        before=before,
        after=config,
        reason=reason,
        risk=risk,
        volatile=instance.volatile,
    )


def _volatile(instance: ResourceInstance, key: bytes) -> dict[str, str]:
    """Return attribute → digest of the value it has at a fixed time, for each that depends on the time of the run."""
    return {
        name: digest(seal(value, key))
        for name, value in sorted(instance.volatile.items())
        if not contains_unknown(value)
    }


def _without_sealed_unknowns(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return *config* with each sensitive value that is not known yet as unknown: it has no digest to record."""
    out = dict(config)
    stack: list[Any] = [out]
    while stack:
        node = stack.pop()
        for name, value in list(node.items() if isinstance(node, dict) else enumerate(node)):
            if isinstance(value, Sensitive) and contains_unknown(value.value):
                node[name] = Unknown("a sensitive value that is known only after apply")
            elif isinstance(value, dict):
                node[name] = dict(value)
                stack.append(node[name])
            elif isinstance(value, (list, tuple)):
                node[name] = list(value)
                stack.append(node[name])
    return out


def _holds_digest(value: Any) -> bool:
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            if set(item) == {"$sensitive"}:
                return True
            stack.extend(item.values())
        elif isinstance(item, (list, tuple)):
            stack.extend(item)
    return False


def _risks(
    kind: ResourceType,
    change_kind: ChangeKind,
    config: Mapping[str, Any] | None,
    recorded: Mapping[str, Any] | None,
    observed: Observation | None,
    specs: Sequence[ActionSpec],
) -> tuple[str, ...]:
    if not specs:
        return ()
    found = {*kind.risks(change_kind, config, recorded, observed)}
    for spec in specs:
        found.update(spec.risk)
    return tuple(sorted(found)) if found else ()


def _moved_outside(drift: Drift) -> str:
    missing = [name for name, _, now in drift.attributes if now is None]
    changed = [name for name, _, now in drift.attributes if now is not None]
    parts = [f"changed outside: {', '.join(changed)}"] if changed else []
    return "; ".join([*parts, f"gone: {', '.join(missing)}"] if missing else parts)


def _named(differences: Sequence[AttributeChange]) -> str:
    names = sorted({change.path.partition(".")[0].partition("[")[0] for change in differences})
    if len(names) > 3:
        return f"{', '.join(names[:3])} and {len(names) - 3} more changed"
    return f"{', '.join(names)} changed"
