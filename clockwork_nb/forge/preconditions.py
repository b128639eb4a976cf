"""What must still hold right before a section runs: the interpreters that were approved, the state it was planned from."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clockwork_nb.assembly.prior import PriorState
from clockwork_nb.canonical import sha256_hex
from clockwork_nb.errors import ArtifactChangedError, PlanStaleError

if TYPE_CHECKING:
    from clockwork_nb.forge.bundle import Bundle

__all__ = ["check_interpreters", "check_state", "check_unmoved"]


def check_interpreters(bundle: Bundle, done: Collection[str]) -> None:
    """Return when every interpreter of the steps that are left is the file that was approved.

    Raises:
        ArtifactChangedError: E_ARTIFACT_CHANGED: one was updated or is gone.
    """
    approved = {(s.interpreter, s.interpreter_sha256) for s in bundle.steps if s.interpreter and s.id not in done}
    for path, sha256 in sorted(approved):
        try:
            same = sha256_hex(Path(path).read_bytes()) == sha256
        except OSError:
            same = False
        if not same:
            raise ArtifactChangedError(
                f"the interpreter {path} is not the one that was approved",
                hint="Nothing ran. It was updated or removed meanwhile: plan and approve again.",
                details={"paths": [path]},
            )


def check_state(plan: Mapping[str, Any], document: Mapping[str, Any] | None, *, job: str, section: int) -> None:
    """Return when the state *document* is the one that *plan* was made from, or one that this section made of it.

    Raises:
        PlanStaleError: E_PLAN_STALE.
    """
    found = (document["lineage"], document["serial"]) if document else (None, 0)
    last = document["last"] if document else None
    if last and last["job"] == job and last["section"] == section:
        return  # what moved it was this section
    planned = (plan["lineage"], plan["serial"])
    if found != planned:
        raise PlanStaleError(
            f"the state is at serial {found[1]}, the plan was made from {planned[1]}",
            hint="Nothing was run. Plan again, look, and apply that.",
            details={"state": list(found), "plan": list(planned)},
        )


def check_unmoved(
    before: Mapping[str, Any] | None, document: Mapping[str, Any] | None, *, job: str, section: int
) -> None:
    """Return when the state *document* says what *before* says, which the section was planned from, or when it is this
    section's own doing.

    The serial alone does not tell: it rises when a section begins, so a plan that was made while another section ran has
    the same one as the state after it.

    Raises:
        PlanStaleError: E_PLAN_STALE.
    """
    if before is None or document is None:
        return
    last = document["last"]
    if last and last["job"] == job and last["section"] == section:
        return
    then, now = (PriorState.from_document({**state, "last": None}) for state in (before, document))
    if then != now:
        raise PlanStaleError(
            "another process changed the state while this plan waited",
            hint="Nothing was run. Plan again, look, and apply that.",
            details={"serial": document["serial"]},
        )
