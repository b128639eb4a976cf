"""What happened in a section before this run of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from msgspec import Struct, field

from clockwork_nb.ports import Draft, EventView

__all__ = ["SectionHistory"]


class SectionHistory(Struct):
    """What the log says about a section so far.

    ``seq`` is the log's last event. ``status`` maps step ids to the last word of their latest event ("completed"),
    ``attempts`` to how often they were started.
    """

    seq: int = 0
    approved: bool = False
    status: dict[str, str] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)

    @classmethod
    def read(cls, events: Sequence[EventView], section: int) -> SectionHistory:
        """Return the history of *section* from the job's events."""
        out = cls(seq=events[-1].seq if events else 0)
        for event in events:
            if event.payload.get("section") != section:
                continue
            if event.type == "approval.used":
                out.approved = True
            elif event.type.startswith("step.") and event.type != "step.output":
                name = event.payload["step_id"]
                out.status[name] = event.type.removeprefix("step.")
                if event.type == "step.started":
                    out.attempts[name] = event.payload["attempt"]
        return out

    def retries(self, done: Collection[str], attempts: Mapping[str, int], section: int) -> list[Draft]:
        """Return the events that say which failed or interrupted steps start again; skipped ones need none."""
        return [
            Draft("step.retried", {"section": section, "step_id": i, "attempt": attempts[i] + 1, "reason": "resumed"})
            for i, status in self.status.items()
            if status in {"failed", "interrupted"} and i not in done and i in attempts
        ]
