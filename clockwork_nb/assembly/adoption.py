"""What is recorded, under the names it has from now on: moved resources, and existing things that are imported. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from clockwork_nb.assembly.prior import PriorResource, PriorState
from clockwork_nb.diagnostics import Diagnostic, Severity
from clockwork_nb.errors import ConfigurationError
from clockwork_nb.intake.desired import Desired, ResourceInstance
from clockwork_nb.intake.values import contains_unknown
from clockwork_nb.ports import Observation, Registry, ResourceType
from clockwork_nb.secrets import seal

__all__ = ["Adopted", "adopt", "rename"]


class Adopted(Struct, frozen=True):
    """A state as the plan sees it.

    ``moved`` maps an address to the one it is recorded at so far; ``replaced_by`` an address that is wanted no more to the
    one that takes its place with a new thing, because this one cannot follow; ``imported`` an address to the id of what is
    taken over.
    """

    prior: PriorState
    moved: Mapping[str, str]
    replaced_by: Mapping[str, str]
    imported: Mapping[str, str]


def rename(prior: PriorState, moves: Mapping[str, Sequence[str]], types: Registry) -> Adopted:
    """Return *prior* with each resource under its new address.

    What is recorded at the new address already stays what it is; then the old one is a resource of its own.

    Args:
        moves: new address → the addresses it had before, the latest first; of those that are recorded it counts.
    """
    resources = dict(prior.resources)
    moved: dict[str, str] = {}
    replaced_by: dict[str, str] = {}
    for new, olds in moves.items():
        old = next((o for o in olds if o in resources), "")
        if not old or new in resources:
            continue
        if getattr(types.get(resources[old].type), "bound_to_address", False):
            replaced_by[old] = new
            continue
        resources[new] = resources.pop(old)
        moved[new] = old
    if moved:
        now = {old: new for new, old in moved.items()}
        for address, entry in resources.items():
            if any(need in now for need in entry.dependencies):
                needs = tuple(sorted({now.get(need, need) for need in entry.dependencies}))
                resources[address] = replace(entry, dependencies=needs)
    return Adopted(replace(prior, resources=resources) if moved else prior, moved, replaced_by, {})


def adopt(
    adopted: Adopted,
    desired: Desired,
    chosen: Collection[str],
    observations: Mapping[str, Observation],
    types: Registry,
    key: bytes,
) -> Adopted:
    """Return *adopted* with everything that ``import`` blocks name recorded as it is wanted; what differs is drift then.

    What is recorded already is imported already, and is left alone, as is what the plan is not about (*chosen*).

    Raises:
        ConfigurationError: E_INVALID_INPUT_SCHEMA, one of the things is not there, is named otherwise by its block, or
            cannot be imported; a diagnostic for each.
    """
    todo = {
        a: item
        for a, item in desired.imports.items()
        if a in desired.resources and a in chosen and a not in adopted.prior.resources
    }
    if not todo:
        return adopted
    resources = dict(adopted.prior.resources)
    findings: list[Diagnostic] = []
    imported: dict[str, str] = {}
    for address, (import_id, place) in sorted(todo.items()):
        instance = desired.resources[address]
        problem = _problem(instance, types[instance.type], import_id, observations.get(address))
        if problem:
            summary, detail = problem
            findings.append(
                Diagnostic(Severity.ERROR, "cw-import", summary, detail=detail, subject=place, address=address)
            )
            continue
        resources[address] = PriorResource(
            type=instance.type,
            config=seal(dict(instance.config), key),
            declared_in=instance.declared_in,
            dependencies=instance.dependencies,
        )
        imported[address] = import_id
    if findings:
        count = len(findings)
        raise ConfigurationError(
            f"{count} import{'s' if count > 1 else ''} cannot be made; nothing was planned.", diagnostics=findings
        )
    return replace(adopted, prior=replace(adopted.prior, resources=resources), imported=imported)


def _problem(
    instance: ResourceInstance, kind: ResourceType, import_id: str, observed: Observation | None
) -> tuple[str, str] | None:
    """Return what is wrong with an import, in a few words and at length; None when nothing is."""
    own = getattr(kind, "import_id", None)
    if own is None:
        return f"a {kind.name} cannot be imported", f"Take the import block away; apply makes {instance.address}."
    if contains_unknown(dict(instance.config)):
        return f"{instance.address} is not known yet", "Apply what it refers to first, then import it."
    expected = own(instance.config)
    if expected != import_id:
        return (
            f"the block is about another {kind.name}",
            f'{instance.address} describes "{expected}", and the id to import is "{import_id}". They must be the same.',
        )
    if observed is None or observed.exists is not True:
        detail = observed.detail if observed is not None else "nobody looked"
        return f'there is no {kind.name} "{import_id[:40]}"', f"It was looked for: {detail}. Apply makes it."
    return None
