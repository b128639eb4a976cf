"""Make a plan: read, look, compare. Writes nothing."""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from clockwork_nb.diagnostics import Diagnostic
from clockwork_nb.ports import Observation, ObserveContext

if TYPE_CHECKING:
    from clockwork_nb.assembly.plan import Plan
    from clockwork_nb.assembly.prior import PriorState
    from clockwork_nb.intake.desired import Desired
    from clockwork_nb.ports import Registry
    from clockwork_nb.workspace import Workspace

__all__ = ["Planned", "observe_all"]

_OBSERVERS = 8


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan and what it was made from.

    ``document`` is ``plan.json``; ``digest`` its digest, of which people see 8 digits. ``recorded`` says that the plan
    was answered from the journal of a notebook run instead of being made now; then ``plan`` is None.
    """

    document: Mapping[str, Any]
    digest: str
    plan: Plan | None = None
    desired: Desired | None = None
    diagnostics: tuple[Diagnostic, ...] = ()
    observed_s: float = 0.0
    recorded: bool = False
    next_lines: tuple[str, ...] = field(default=())

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to run and nothing to record."""
        return not self.has_changes and not self.document["actions"]["steps"]

    @property
    def has_changes(self) -> bool:
        """Whether anything but checks would happen or be recorded."""
        return any(c["kind"] not in {"noop", "verify"} for c in self.document["changes"]) or any(
            o["before"] != o["after"] for o in self.document["outputs"]
        )

    @property
    def risks(self) -> tuple[str, ...]:
        """All risk classes, sorted."""
        return tuple(sorted({r for c in self.document["changes"] for r in c["risk"]}))

    def text(self, *, color: bool = False) -> str:
        """Return the plan as people read it on a terminal."""
        from clockwork_nb.render.diagnostics import render_text
        from clockwork_nb.render.plan import plan_text

        body = plan_text(
            self.document, self.digest, color=color, observed_s=self.observed_s, next_lines=self.next_lines
        )
        if self.recorded:
            body = f"(from this run's journal)\n{body}"
        if self.diagnostics:
            body = f"{render_text(self.diagnostics, color=color)}\n\n{body}"
        return body

    def html(self) -> str:
        """Return the plan as a notebook shows it, escaped."""
        from clockwork_nb.render.diagnostics import render_html
        from clockwork_nb.render.plan import plan_html

        body = plan_html(self.document, self.digest, observed_s=self.observed_s)
        return render_html(self.diagnostics) + body if self.diagnostics else body


def observe_all(
    desired: Desired | None, prior: PriorState, types: Registry, workspace: Workspace
) -> tuple[dict[str, Observation], float]:
    """Return what is really there for every resource wanted or recorded, and how many seconds looking took.

    Reads only. A recorded resource is looked at where it was recorded, a new one where it would be.
    """
    wanted = desired.resources if desired is not None else {}
    addresses = sorted({*wanted, *prior.resources})
    started = time.monotonic()

    def look(address: str) -> Observation:
        recorded = prior.resources.get(address)
        instance = wanted.get(address)
        kind = types[recorded.type if recorded is not None else address.split(".", 1)[0]]
        config = recorded.config if recorded is not None else (instance.config if instance is not None else {})
        where = ObserveContext(workspace.root, workspace.folder, address)
        return kind.observe(config, recorded.identity if recorded is not None else None, where)

    if len(addresses) <= _OBSERVERS:
        found = {a: look(a) for a in addresses}
    else:
        with ThreadPoolExecutor(_OBSERVERS, thread_name_prefix="observe") as pool:
            found = dict(zip(addresses, pool.map(look, addresses), strict=True))
    return found, time.monotonic() - started
