"""What is left to ask for once a section has told what others of its plan waited for. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from clockwork_nb.errors import InvalidInputError

if TYPE_CHECKING:
    from clockwork_nb.intake.configuration import Configuration
    from clockwork_nb.ports import Registry
    from clockwork_nb.session.options import PlanOptions

__all__ = ["check_known", "check_progress", "options_after"]

_CHANGING = frozenset({"create", "update", "replace"})


def options_after(
    options: PlanOptions, document: Mapping[str, Any], configuration: Configuration, types: Registry
) -> PlanOptions:
    """Return the options of the section that follows one which was planned with *options* as *document*, and ran.

    What was made anew is not made anew once more. What waited is: when it was asked for, and when what it names in
    ``replace_triggered_by`` changed meanwhile, which the next plan cannot see any more.
    """
    from clockwork_nb.assembly.targets import match

    asked = match(options.replaced, [*configuration.resources], types)[0] if options.replaced else set[str]()
    changes = {c["address"]: c for c in document["changes"]}
    left = []
    for address, change in sorted(changes.items()):
        if not change.get("deferred") or change["kind"] != "replace":
            continue
        declared = configuration.resources.get(address)
        triggers = [(t.need.target, t.attribute) for t in declared.triggers] if declared is not None else []
        if address in asked or _fired(triggers, changes):
            left.append(address)
    return replace(options, replaced=tuple(left))


def _fired(triggers: Sequence[tuple[str, str]], changes: Mapping[str, Mapping[str, Any]]) -> bool:
    """Return whether one of *triggers* changed with *changes*, and did not wait itself."""
    for address, attribute in triggers:
        change = changes.get(address)
        if change is None or change["kind"] not in _CHANGING or change.get("deferred"):
            continue
        names = {a["path"].partition(".")[0].partition("[")[0] for a in change["attributes"]}
        if not attribute or change["kind"] == "create" or attribute in names:
            return True
    return False


def _waits(document: Mapping[str, Any]) -> dict[str, str]:
    return {c["address"]: c["deferred"] for c in document["changes"] if c.get("deferred")}


def check_known(document: Mapping[str, Any]) -> None:
    """Check that something of a plan can be done when something of it waits.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA, all of it waits for what none of its steps will tell.
    """
    waits = _waits(document)
    does = any(c["kind"] not in {"noop", "verify"} and not c.get("deferred") for c in document["changes"])
    if waits and not does and not document["actions"]["steps"]:
        raise _stuck(waits, "no step of this plan makes it known")


def check_progress(before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Check that after the plan *before* was carried out, less waits in the plan *now*: otherwise it would never end.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA, everything that waited still waits for the same.
    """
    waits = _waits(now)
    if waits and _waits(before).items() <= waits.items():
        raise _stuck(waits, "what this job did has not made it known")


def _stuck(waits: Mapping[str, str], why: str) -> InvalidInputError:
    address, reason = min(waits.items())
    return InvalidInputError(
        f"{address} cannot be planned: {reason}, and {why}",
        hint="Apply what it refers to as well, or give it a value of its own.",
        details={"deferred": dict(waits)},
    )
