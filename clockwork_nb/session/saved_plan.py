"""Apply exactly the plan that ``plan --out`` saved, or refuse."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from clockwork_nb.assembly.planfile import decode_plan, explain_stale
from clockwork_nb.errors import InvalidInputError, PlanStaleError
from clockwork_nb.workspace import read_input

if TYPE_CHECKING:
    from clockwork_nb.session.options import PlanOptions
    from clockwork_nb.session.planning import Planned
    from clockwork_nb.session.session import Session

__all__ = ["plan_from_file"]


def plan_from_file(session: Session, path: Path, given: PlanOptions) -> tuple[Planned, PlanOptions]:
    """Return the plan in the file *path*, made anew from what is true now, and the options it was made with.

    Its variables come from the file, but the sensitive ones, which it does not hold, from *given*.

    Raises:
        PlanStaleError: it is not what would happen now; ``details["moved"]`` says what moved.
        InvalidInputError: it is no plan, or a sensitive value is missing. ConfigurationError: as `Session.plan`.
    """
    saved = decode_plan(read_input(path))
    named = {name for name, _ in given.variables}
    for item in saved.document["variables"]:
        if item["name"] in named or item["source"] == "default":
            continue
        if not item["sensitive"]:
            session.sources.set_variable(item["name"], item["value"], item["source"], raw=False)
        elif item["source"] == "--var":
            raise InvalidInputError(
                f"{path.name} was made with a sensitive value for {item['name']}, which no file keeps",
                hint=f"Give it again: clockwork apply {path.name} --var {item['name']}=…",
            )
    options = replace(
        given,
        destroy=bool(saved.document["destroy"]),
        targets=tuple(saved.document["targets"]),
        excluded=tuple(saved.document.get("excluded", ())),
        replaced=tuple(saved.document.get("replace", ())),
        prune=bool(saved.document["prune"]),
    )
    planned = session.make_plan(options)
    if planned.digest != saved.digest:
        moved = explain_stale(saved.document, planned.document)
        raise PlanStaleError(
            f"{path.name} is not what would happen now: {'; '.join(moved) or 'the plan differs'}",
            hint="Nothing was run. Plan again, look, and apply that: clockwork plan --out plan.json",
            details={"saved": saved.digest, "now": planned.digest, "moved": moved},
        )
    return planned, options
