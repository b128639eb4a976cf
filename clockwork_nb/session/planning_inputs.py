"""Everything that a plan is made from: what is wanted, what is recorded, and what is there."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field
from msgspec.structs import replace

from clockwork_nb.errors import InvalidInputError
from clockwork_nb.ports import Observation, ObserveContext
from clockwork_nb.session.observing import OBSERVE_TIMEOUT_S, looks_at, observe

if TYPE_CHECKING:
    from clockwork_nb.assembly.plan import Plan
    from clockwork_nb.assembly.prior import PriorResource, PriorState
    from clockwork_nb.diagnostics import Diagnostic, SourceRange
    from clockwork_nb.intake.desired import Desired
    from clockwork_nb.session.options import PlanOptions
    from clockwork_nb.session.session import Session

__all__ = ["Known", "PlanningInputs", "gather", "reconsidered"]


class PlanningInputs(Struct, frozen=True):
    """What a plan is made from.

    ``prior`` is the state as it is recorded; ``observations`` are by today's addresses. ``observed_s``: how long looking
    took, in seconds. ``known`` is what earlier applies found out, and which of it was used.
    """

    desired: Desired
    prior: PriorState
    observations: Mapping[str, Observation]
    warnings: tuple[Diagnostic, ...]
    observed_s: float
    known: Known


def gather(session: Session, options: PlanOptions) -> PlanningInputs:
    """Return what a plan with *options* is made from. Reads only.

    Raises:
        ConfigurationError: the configuration has mistakes, all of them in ``diagnostics``.
    """
    from clockwork_nb.assembly.adoption import rename
    from clockwork_nb.assembly.targets import match

    prior = session.prior()
    moves = {} if options.destroy else session.sources.configuration().moved_from()
    today = rename(prior, moves, session.types).prior
    known = Known(session, today, frozenset(session.allowed(options)))
    desired, warnings = session.evaluate(options, prior, known.attributes)
    if options.imports:
        desired = replace(desired, imports=_named(options.imports, desired))
    started = time.monotonic()
    allow = session.allowed(options)
    anew, _ = match(options.replaced, [*desired.resources], session.types) if options.replaced else (set(), ())
    looks = looks_at(desired, today, session.types, session.workspace, allow=allow, destroy=options.destroy, anew=anew)
    observations = observe(looks)
    seconds = time.monotonic() - started
    return PlanningInputs(desired, prior, observations, tuple(warnings), seconds, known)


def reconsidered(session: Session, options: PlanOptions, made: PlanningInputs, plan: Plan) -> PlanningInputs | None:
    """Return *made* anew when *plan* changes something whose attributes it took for known; None when it does not.

    What refers to something that will be another one must not be planned with what that was before.
    """
    changing = {c.address for c in plan.changes if c.kind in {"create", "update", "replace"}}
    doubtful = (made.known.used & changing) - made.known.doubtful
    if not doubtful:
        return None
    made.known.doubtful |= doubtful
    desired, warnings = session.evaluate(options, made.prior, made.known.attributes)
    if options.imports:
        desired = replace(desired, imports=_named(options.imports, desired))
    return replace(made, desired=desired, warnings=tuple(warnings))


def _named(imports: Sequence[tuple[str, str]], desired: Desired) -> dict[str, tuple[str, SourceRange]]:
    """Return *imports* in the form of ``import`` blocks.

    Raises:
        InvalidInputError: an address that is not declared.
    """
    out = {}
    for address, import_id in imports:
        instance = desired.resources.get(address)
        if instance is None:
            raise InvalidInputError(
                f"{address} is not declared", hint="Declare it, or let the import write it: --write FILE"
            )
        out[address] = (import_id, instance.range)
    return out


class Known(Struct):
    """What earlier applies found out, for as long as it can be relied on."""

    session: Session
    prior: PriorState
    allow: frozenset[str] = frozenset()
    used: set[str] = field(default_factory=set)
    doubtful: set[str] = field(default_factory=set)
    recalled: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    def attributes(self, address: str, config: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the attributes found out about *address*; nothing when it is new, changed or not to be relied on."""
        from clockwork_nb.assembly.diff import diff_config

        entry = self.prior.resources.get(address)
        if entry is None or entry.status != "ok" or address in self.doubtful:
            return {}
        if diff_config(entry.config, config, self.session.secret_key(), ignore=self._open(address, entry)):
            return {}
        self.used.add(address)
        recall = getattr(self.session.types.get(entry.type), "recall", None)
        if recall is None:
            return entry.identity
        if address not in self.recalled:
            place = self.session.workspace
            where = ObserveContext(place.root, place.folder, address, self.allow, OBSERVE_TIMEOUT_S)
            self.recalled[address] = {**entry.identity, **recall(config, entry.identity, where)}
        return self.recalled[address]

    def _open(self, address: str, entry: PriorResource) -> set[str]:
        """Return the attributes that may differ without a change: what is ignored, and what the time of the run decides.

        Whether the latter change all the same is told by the plan (`reconsidered`).
        """
        declared = self.session.sources.configuration().resources.get(address)
        ignored = declared.ignore_changes if declared is not None else ()
        names = entry.config if ignored == ("all",) else ignored
        return {*names, *entry.identity.get("volatile", ())}
