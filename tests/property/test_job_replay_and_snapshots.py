"""Whatever happens to a job: replaying gives the same state, a snapshot anywhere in between changes nothing (P9)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from clockwork_nb.errors import ClockworkError
from clockwork_nb.jobs import approval, commands
from clockwork_nb.jobs.events import STATUSES, decode_record
from clockwork_nb.jobs.model import JobState
from clockwork_nb.jobs.state import allowed, evolve, replay
from clockwork_nb.ports import Draft
from clockwork_nb.store.log import Watermark, scan
from clockwork_nb.testing import ManualClock, MemoryJob

STEPS = st.sampled_from(["s:1", "s:2", "s:3"])
SECTIONS = st.integers(1, 3)


class AnyJob(RuleBasedStateMachine):
    """Random events, sensible and not; the rules of the fold decide which are written."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        self.job = MemoryJob(clock=self.clock)
        self.snapshots: list[tuple[int, dict[str, Any]]] = []
        self.asked = 0

    def try_append(self, *drafts: Draft) -> bool:
        before = self.job.state
        try:
            self.job.append(drafts)
        except ClockworkError:
            assert self.job.state == before
            return False
        return True

    @rule(seconds=st.sampled_from([1, 3600, 90_000]))
    def time_passes(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @rule(to=st.sampled_from(STATUSES))
    def move(self, to: str) -> None:
        before = self.job.state.status
        assert self.try_append(Draft("job.status", {"from": before, "to": to})) == (
            allowed(before, to) and not self.job.state.finished
        )

    @rule()
    def open_section(self) -> None:
        if not self.job.state.final and len(self.job.state.sections) < 3:
            self.try_append(commands.open_section(self.job.state, verb="apply", cell="", call=0, inputs="0" * 64)[1])

    @rule(section=SECTIONS, plan=st.sampled_from("ab"))
    def bind(self, section: int, plan: str) -> None:
        self.try_append(
            *commands.bind_plan(
                section,
                plan=plan * 64,
                configuration="c" * 64,
                lineage="l",
                serial=1,
                changes=1,
                bundle="b" * 64,
                policy="d" * 64,
            )
        )

    def binds(self, section: int) -> dict[str, Any]:
        found = self.job.state.sections.get(section)
        return approval.binds(
            configuration="c" * 64,
            plan=found.plan if found and found.plan else "a" * 64,
            bundle="b" * 64,
            policy="d" * 64,
            environment="e" * 64,
            lineage="l",
            serial=1,
        )

    @rule(section=SECTIONS, hours=st.sampled_from([None, 1]))
    def ask(self, section: int, hours: int | None) -> None:
        self.asked += 1
        try:
            drafts = commands.request_approval(
                self.job.state,
                section,
                approval_id=f"ap{self.asked}",
                binds=self.binds(section),
                summary="s",
                instructions="i",
                expires_at=None if hours is None else self.clock.now() + timedelta(hours=hours),
            )
        except ClockworkError:
            return
        self.try_append(*drafts)

    @precondition(lambda self: self.asked)
    @rule(data=st.data(), say=st.sampled_from(["grant", "deny"]))
    def decide(self, data: st.DataObject, say: str) -> None:
        which = f"ap{data.draw(st.integers(1, self.asked))}"
        decision = self.job.state.decisions.get(which)
        now = self.clock.now()
        try:
            draft = (
                approval.deny(self.job.state, which, by="a", via="cli", reason="r", now=now)
                if say == "deny" or decision is None
                else approval.grant(self.job.state, which, seen=decision.binds, by="a", via="cli", reason="r", now=now)
            )
        except ClockworkError:
            return
        assert self.try_append(draft) or self.job.state.finished  # what decide allows, the fold allows

    @rule(section=SECTIONS, step=STEPS)
    def use_and_start(self, section: int, step: str) -> None:
        drafts = []
        if section in self.job.state.sections:
            try:
                used = approval.use(
                    self.job.state, section, self.binds(section), step_id=step, attempt=1, now=self.clock.now()
                )
            except ClockworkError:
                return
            drafts = [] if used is None else [used]
        found = self.job.state.sections.get(section)
        attempts = found.steps[step].attempts if found and step in found.steps else 0
        payload = {
            "section": section,
            "step_id": step,
            "index": 0,
            "attempt": attempts + 1,
            "summary": "",
            "command": "",
            "argv": "0" * 64,
            "idempotent": False,
            "timeout_ms": 1,
            "confinement": "",
            "class": "confined",
        }
        self.try_append(*drafts, Draft("step.started", payload))

    @rule(section=SECTIONS, step=STEPS, attempt=st.integers(1, 2), end=st.sampled_from(["completed", "interrupted"]))
    def end_step(self, section: int, step: str, attempt: int, end: str) -> None:
        payload: dict[str, Any] = {"section": section, "step_id": step, "attempt": attempt}
        if end == "completed":
            payload |= {"exit_code": 0, "duration_ms": 1, "note": "", "entry": "{}"}
        else:
            payload["found"] = ""
        self.try_append(Draft(f"step.{end}", payload))

    @rule(section=SECTIONS)
    def close_section(self, section: int) -> None:
        try:
            draft = commands.close_section(self.job.state, section, "completed")
        except ClockworkError:
            return
        assert self.try_append(draft) or self.job.state.finished

    @rule(action=st.sampled_from(["pause", "cancel"]))
    def ask_to_stop(self, action: str) -> None:
        self.try_append(Draft("control.requested", {"action": action, "by": "a", "reason": ""}))

    @rule(path=st.sampled_from("pq"), op=st.sampled_from(["added", "changed", "removed"]))
    def publish(self, path: str, op: str) -> None:
        self.try_append(Draft("artifact.published", {"path": path, "op": op}))

    @rule(status=st.sampled_from(["completed", "canceled"]))
    def finish(self, status: str) -> None:
        self.try_append(Draft("job.finished", {"status": status, "reason_codes": []}))

    @rule()
    def snapshot(self) -> None:
        self.snapshots.append((self.job.state.seq, self.job.state.to_document()))

    @invariant()
    def the_log_says_the_same(self) -> None:
        state = self.job.state
        assert scan(self.job.raw, self.job.genesis, watermark=Watermark(state.seq, state.hash)).state == state

    def teardown(self) -> None:
        events = [decode_record(line[:-1]) for line in self.job.lines]
        assert replay(self.job.genesis, events) == self.job.state
        for seq, document in self.snapshots:
            state = JobState.from_document(document)
            for event in events[seq:]:
                state = evolve(state, event)
            assert state == self.job.state


TestAnyJob = AnyJob.TestCase
TestAnyJob.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
