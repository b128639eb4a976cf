"""What was changed outside since the last apply. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from clockwork_nb.assembly.diff import with_known_secrets
from clockwork_nb.assembly.plan import Drift
from clockwork_nb.assembly.prior import PriorState
from clockwork_nb.intake.desired import Desired
from clockwork_nb.ports import Observation, Registry, ResourceType

__all__ = ["drift_of", "find_drift"]


def drift_of(
    address: str,
    kind: ResourceType,
    recorded: Mapping[str, Any],
    observed: Observation | None,
    ignored: Collection[str] = (),
) -> Drift | None:
    """Return how *observed* differs from what was *recorded*; None when it does not, or nobody looked.

    Args:
        ignored: attributes that may differ, as long as the thing is there.
    """
    if observed is None:
        return None
    gone = observed.exists is False
    found = kind.drift(recorded, observed)
    attributes = tuple((name, *found[name]) for name in sorted(found) if gone or name.split(".", 1)[0] not in ignored)
    return Drift(address, attributes, observed.detail, gone) if attributes or gone else None


def find_drift(
    prior: PriorState, desired: Desired, observations: Mapping[str, Observation], types: Registry, key: bytes
) -> tuple[list[Drift], dict[str, str]]:
    """Return every drift, by address, and address → why it cannot be told, for what could not be looked at.

    A resource whose last step did not end well is among the latter: what it should be is not known.

    Args:
        prior: what is recorded, under today's addresses.
        desired: what is declared; its ``ignore_changes`` hold, and its secrets are what recorded digests are of.
    """
    found: list[Drift] = []
    unclear: dict[str, str] = {}
    for address, entry in sorted(prior.resources.items()):
        kind, observed, instance = types.get(entry.type), observations.get(address), desired.resources.get(address)
        if kind is None:
            unclear[address] = f'its type "{entry.type}" is not installed'
            continue
        if kind.verifies:
            continue
        if entry.status != "ok":
            unclear[address] = f"its last run ended as {entry.status}"
            continue
        config = entry.config if instance is None else with_known_secrets(entry.config, instance.config, key)
        drift = drift_of(address, kind, config, observed, instance.ignore_changes if instance is not None else ())
        if drift is not None:
            found.append(drift)
        elif observed is None or (observed.exists is None and not observed.attributes):
            detail = observed.detail if observed is not None else "nobody looked"
            if detail != "nothing to look at":
                unclear[address] = detail
    return found, unclear
