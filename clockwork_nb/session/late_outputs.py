"""Outputs that are recorded after the steps: those that only the steps told, and what holds of a section that failed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from clockwork_nb.errors import ClockworkError
from clockwork_nb.session.options import PlanOptions

if TYPE_CHECKING:
    from clockwork_nb.intake.configuration import Configuration
    from clockwork_nb.session.sections import Section
    from clockwork_nb.session.session import Session

__all__ = ["late_outputs", "settled_outputs"]


def late_outputs(session: Session, section: Section, state: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the outputs to record after *section*, which made *state*: those that only its steps told, too.

    What still cannot be told keeps the value it had.
    """
    from clockwork_nb.forge.fold import has_unknown

    outputs = {o["name"]: dict(o) for o in state["outputs"]}
    asked = {o["name"] for o in section.planned.document["outputs"] if has_unknown(o["after"])}
    if asked:
        outputs |= _evaluated(session, section, state, asked)
    return [outputs[name] for name in sorted(outputs)]


def settled_outputs(
    session: Session, section: Section, state: Mapping[str, Any], done: Collection[str]
) -> list[dict[str, Any]]:
    """Return the outputs to record after *section*, which made *state* and was not finished.

    Those that stand on nothing that is left undone have their new value; the others keep the one they had.

    Args:
        done: ids of the steps that are done, also by earlier attempts.
    """
    from clockwork_nb.forge.fold import has_unknown

    document = section.planned.document
    configuration, undone = session.sources.configuration(), _undone(document, done)
    outputs = {o["name"]: dict(o) for o in state["outputs"]}
    asked = set()
    for output in document["outputs"]:
        name, after = output["name"], output["after"]
        if output["before"] == after or name not in configuration.outputs or _stands_on(configuration, name) & undone:
            continue
        if has_unknown(after):
            asked.add(name)
        else:
            outputs[name] = {"name": name, "value": after, "sensitive": output["sensitive"]}
    if asked:
        try:
            outputs |= _evaluated(session, section, state, asked)
        except ClockworkError:
            pass  # why the section failed is what matters; what cannot be told now is told by the next apply
    return [outputs[name] for name in sorted(outputs)]


def _undone(document: Mapping[str, Any], done: Collection[str]) -> set[str]:
    """Return the addresses of the plan's changes that did not happen, or not all of them."""
    steps: dict[str, list[str]] = {}
    for step in document["actions"]["steps"]:
        steps.setdefault(step["address"], []).append(step["id"])
    return {
        change["address"]
        for change in document["changes"]
        if change["kind"] != "noop"
        and (
            change.get("deferred") or not steps.get(change["address"]) or not set(steps[change["address"]]) <= set(done)
        )
    }


def _stands_on(configuration: Configuration, name: str) -> set[str]:
    """Return the addresses of the resources that the value of output *name* is made from, through locals as well."""
    found: set[str] = set()
    seen: set[str] = set()
    todo = [need.target for need in configuration.outputs[name].needs]
    declared = configuration.declarations()
    while todo:
        target = todo.pop()
        if target in seen:
            continue
        seen.add(target)
        if target in configuration.resources:
            found.add(target)
        elif target in declared:
            todo += [need.target for need in declared[target].needs]
    return found


def _evaluated(
    session: Session, section: Section, state: Mapping[str, Any], names: Collection[str]
) -> dict[str, dict[str, Any]]:
    """Return the outputs *names* as they are with *state*, sealed; those that cannot be told are absent."""
    from clockwork_nb.assembly.prior import PriorState
    from clockwork_nb.intake.values import contains_unknown
    from clockwork_nb.secrets import Sensitive, seal
    from clockwork_nb.session.planning_inputs import Known

    prior = PriorState.from_document(dict(state))
    desired, _ = session.evaluate(section.options or PlanOptions(), prior, Known(session, prior).attributes)
    found = {}
    for output in desired.outputs:
        if output.name in names and not contains_unknown(output.value):
            sensitive = output.sensitive or isinstance(output.value, Sensitive)
            value = output.value if isinstance(output.value, Sensitive) or not sensitive else Sensitive(output.value)
            sealed = seal(value, session.secret_key())
            found[output.name] = {"name": output.name, "value": sealed, "sensitive": sensitive}
    return found
