"""A job with one section, bound and asked for, ready to be decided on."""

from __future__ import annotations

from typing import Any

import pytest

from clockwork_nb.jobs import approval, commands
from clockwork_nb.ports import Draft
from clockwork_nb.testing import ManualClock, MemoryJob

ENVIRONMENT = "e" * 64
BINDS: dict[str, Any] = approval.binds(
    configuration="c" * 64,
    plan="a" * 64,
    bundle="b" * 64,
    policy="d" * 64,
    environment=ENVIRONMENT,
    lineage="lin",
    serial=4,
)


class Story:
    """A `MemoryJob` and the few moves the tests need."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.binds = dict(BINDS)
        self.job = MemoryJob(clock=self.clock)
        self.job.append(
            [
                Draft("env.captured", {"rules": [{"rule": "os", "value": "linux"}], "hash": ENVIRONMENT}),
                commands.move(self.job.state, "running"),
            ]
        )

    def section(self) -> int:
        number, opened = commands.open_section(self.job.state, verb="apply", cell="", call=0, inputs="f" * 64)
        bound = commands.bind_plan(
            number,
            plan="a" * 64,
            configuration="c" * 64,
            lineage="lin",
            serial=4,
            changes=2,
            bundle="b" * 64,
            policy="d" * 64,
        )
        self.job.append([opened, *bound])
        return number

    def ask(self, section: int = 1, approval_id: str = "ap1", **more: Any) -> int:
        drafts = commands.request_approval(
            self.job.state,
            section,
            approval_id=approval_id,
            binds=self.binds,
            summary="2 to create",
            instructions="approve",
            **more,
        )
        return self.job.append(drafts)[0].seq

    def grant(self, which: str | int | None = None, **more: Any) -> None:
        values: dict[str, Any] = {"seen": self.binds, "by": "ann", "via": "cli", "reason": "looks right", **more}
        self.job.append([approval.grant(self.job.state, which, now=self.clock.now(), **values)])

    def use(self, section: int = 1, **changed: Any) -> Draft | None:
        current = {**self.binds, **changed}
        return approval.use(self.job.state, section, current, step_id="s:1", attempt=1, now=self.clock.now())

    def start(self, name: str = "s:1", attempt: int = 1, section: int = 1) -> Draft:
        payload: dict[str, Any] = {
            "section": section,
            "step_id": name,
            "index": 0,
            "attempt": attempt,
            "summary": "write",
            "command": "sh x",
            "argv": "1" * 64,
            "idempotent": False,
            "timeout_ms": 1000,
            "confinement": "standard",
            "class": "confined",
        }
        return Draft("step.started", payload)

    def done(self, name: str = "s:1", attempt: int = 1, section: int = 1, **more: Any) -> Draft:
        payload = {
            "section": section,
            "step_id": name,
            "attempt": attempt,
            "exit_code": 0,
            "duration_ms": 1,
            "note": "",
        }
        return Draft("step.completed", {**payload, **more})


@pytest.fixture
def story() -> Story:
    """A running job without a section."""
    return Story()


@pytest.fixture
def approved(story: Story) -> Story:
    """A running job whose first section is approved and not started."""
    story.section()
    story.ask()
    story.grant()
    return story
