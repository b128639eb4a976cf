"""Make a plan: read, look, compare. Writes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from clockwork_nb import __version__

if TYPE_CHECKING:
    from clockwork_nb.assembly.plan import Plan
    from clockwork_nb.assembly.prior import PriorState
    from clockwork_nb.diagnostics import Diagnostic
    from clockwork_nb.intake.desired import Desired

__all__ = ["TOOL_VERSION", "Planned"]

TOOL_VERSION = f"clockwork_nb {__version__}"
"""What a plan names as its maker."""


class Planned(Struct, frozen=True):
    """A plan and what it was made from.

    ``document`` is ``plan.json``; ``digest`` its digest, of which people see 8 digits. ``recorded`` says that the plan
    was answered from the journal of a notebook run instead of being made now; then ``plan`` is None. ``prior`` is the
    state it was made from, None before the first apply.
    """

    document: Mapping[str, Any]
    digest: str
    plan: Plan | None = None
    desired: Desired | None = None
    diagnostics: tuple[Diagnostic, ...] = ()
    prior: PriorState | None = None
    observed_s: float = 0.0
    recorded: bool = False
    next_lines: tuple[str, ...] = ()

    @property
    def state(self) -> Mapping[str, Any] | None:
        """The document of the state it was made from; None before the first apply."""
        return None if self.prior is None else self.prior.to_document()

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
    def deferred(self) -> tuple[str, ...]:
        """Addresses whose change is planned again once what it waits for is known, sorted."""
        return tuple(sorted(c["address"] for c in self.document["changes"] if c.get("deferred")))

    @property
    def risks(self) -> tuple[str, ...]:
        """All risk classes, sorted."""
        return tuple(sorted({r for c in self.document["changes"] for r in c["risk"]}))

    def text(self, *, color: bool = False, width: int = 100) -> str:
        """Return the plan as people read it on a terminal of *width* columns."""
        from clockwork_nb.render.plan import plan_text

        body = plan_text(
            self.document, self.digest, color=color, width=width, observed_s=self.observed_s,
            next_lines=self.next_lines,
        )  # fmt: skip
        if self.recorded:
            body = f"(from this run's journal)\n{body}"
        if self.diagnostics:
            from clockwork_nb.render.diagnostics import render_text

            body = f"{render_text(self.diagnostics, color=color, columns=width)}\n\n{body}"
        return body

    def html(self) -> str:
        """Return the plan as a notebook shows it, escaped."""
        from clockwork_nb.render.diagnostics import render_html
        from clockwork_nb.render.plan import plan_html

        body = plan_html(self.document, self.digest, observed_s=self.observed_s)
        return render_html(self.diagnostics) + body if self.diagnostics else body
