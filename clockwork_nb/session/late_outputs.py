"""Outputs that only the steps of a section told: evaluated again with the state that they made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from clockwork_nb.session.options import PlanOptions

if TYPE_CHECKING:
    from clockwork_nb.session.sections import Section
    from clockwork_nb.session.session import Session

__all__ = ["late_outputs"]


def late_outputs(session: Session, section: Section, state: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the outputs to record after *section*, which made *state*: those that only its steps told, too.

    What still cannot be told keeps the value it had.
    """
    from clockwork_nb.assembly.prior import PriorState
    from clockwork_nb.forge.fold import has_unknown
    from clockwork_nb.intake.values import contains_unknown
    from clockwork_nb.secrets import Sensitive, seal
    from clockwork_nb.session.planning_inputs import Known

    outputs = {o["name"]: dict(o) for o in state["outputs"]}
    asked = {o["name"] for o in section.planned.document["outputs"] if has_unknown(o["after"])}
    if not asked:
        return list(outputs.values())
    prior = PriorState.from_document(dict(state))
    desired, _ = session.evaluate(section.options or PlanOptions(), prior, Known(session, prior).attributes)
    for output in desired.outputs:
        if output.name in asked and not contains_unknown(output.value):
            sensitive = output.sensitive or isinstance(output.value, Sensitive)
            value = output.value if isinstance(output.value, Sensitive) or not sensitive else Sensitive(output.value)
            sealed = seal(value, session.secret_key())
            outputs[output.name] = {"name": output.name, "value": sealed, "sensitive": sensitive}
    return [outputs[name] for name in sorted(outputs)]
