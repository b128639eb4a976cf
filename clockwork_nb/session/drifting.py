"""Tell what was changed outside since the last apply. Writes nothing, runs nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from msgspec import Struct

if TYPE_CHECKING:
    from clockwork_nb.session.options import PlanOptions
    from clockwork_nb.session.session import Session

__all__ = ["Drifted", "find"]


class Drifted(Struct, frozen=True):
    """What was found; ``document`` is its JSON form (``clockwork.drift.v1``)."""

    document: Mapping[str, Any]

    @property
    def any(self) -> bool:
        """Whether anything was changed outside."""
        return bool(self.document["drift"])

    def text(self, *, color: bool = False) -> str:
        """Return what was found, for a terminal."""
        from clockwork_nb.render.drift import drift_text

        return drift_text(self.document, color=color)

    def html(self) -> str:
        """Return what was found, for a notebook, escaped."""
        from clockwork_nb.render.drift import drift_html

        return drift_html(self.document)


def find(session: Session, options: PlanOptions) -> Drifted:
    """Return the drift of everything recorded that *options* do not leave out.

    Raises:
        ConfigurationError: the configuration has mistakes.
        InvalidInputError: a target names nothing.
    """
    from clockwork_nb.assembly.adoption import rename
    from clockwork_nb.assembly.drift import find_drift
    from clockwork_nb.assembly.graph import Graph
    from clockwork_nb.assembly.plan_document import drift_document
    from clockwork_nb.assembly.targets import select
    from clockwork_nb.session.planning_inputs import gather

    made = gather(session, options)
    prior = rename(made.prior, made.desired.moves, session.types).prior
    wanted = Graph({a: r.dependencies for a, r in made.desired.resources.items()})
    recorded = Graph({a: r.dependencies for a, r in prior.resources.items()})
    chosen = select(options.targets, options.excluded, wanted, recorded, session.types, destroy=False).chosen
    key = session.secret_key()
    found, unclear = find_drift(prior, made.desired, made.observations, session.types, key)
    document = {
        "schema": "clockwork.drift.v1",
        "lineage": prior.lineage,
        "serial": prior.serial,
        "observed": len(prior.resources.keys() & chosen),
        "drift": drift_document([d for d in found if d.address in chosen], key),
        "unclear": [{"address": a, "detail": d} for a, d in sorted(unclear.items()) if a in chosen],
    }
    return Drifted(document)
