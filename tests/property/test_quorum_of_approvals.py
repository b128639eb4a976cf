"""Whatever is said in whatever order: a step starts only when enough different persons said yes, and nobody said no."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from clockwork_nb.clock import rfc3339
from clockwork_nb.errors import ClockworkError
from clockwork_nb.jobs import approval, commands
from clockwork_nb.jobs.model import JobState
from clockwork_nb.ports import Draft
from clockwork_nb.testing import ManualClock, MemoryJob

USERS = st.sampled_from(["ann", "bob", "cy"])
KEYS = st.sampled_from(["", "K1", "K2"])
BINDS: dict[str, Any] = approval.binds(
    configuration="c" * 64, plan="a" * 64, bundle="b" * 64, policy="d" * 64, environment="e" * 64, lineage="l", serial=1
)


class Decided(RuleBasedStateMachine):
    """A job with one question; its own account of who said what is kept beside the fold's."""

    @initialize(quorum=st.integers(1, 3))
    def begin(self, quorum: int) -> None:
        self.clock = ManualClock()
        self.job = MemoryJob(clock=self.clock)
        self.quorum = quorum
        self.yes: list[tuple[str, str, datetime]] = []
        self.used = self.denied = False
        self.job.append([commands.move(self.job.state, "running")])
        self.job.append([commands.open_section(self.job.state, verb="apply", cell="", call=0, inputs="f" * 64)[1]])
        self.job.append(
            commands.bind_plan(
                1,
                plan="a" * 64,
                configuration="c" * 64,
                lineage="l",
                serial=1,
                changes=1,
                bundle="b" * 64,
                policy="d" * 64,
            )
        )
        self.job.append(
            commands.request_approval(
                self.job.state, 1, approval_id="ap", binds=BINDS, summary="s", instructions="i", quorum=quorum
            )
        )

    def write(self, *drafts: Draft) -> bool:
        try:
            self.job.append(drafts)
        except ClockworkError:
            return False
        return True

    @rule(seconds=st.sampled_from([60, 60, 3600, 3600, 90_000]))
    def time_passes(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @rule(user=USERS, key=KEYS, via=st.sampled_from(["cli", "button", "auto", "policy"]), hours=st.integers(1, 30))
    def one_says_yes(self, user: str, key: str, via: str, hours: int) -> None:
        self.say_yes(user, key, via, hours)

    def say_yes(self, user: str, key: str, via: str, hours: int) -> None:
        """Write a yes as anybody could who can write to the log, past the rules of `approval.grant`."""
        until = self.clock.now() + timedelta(hours=hours)
        made = {
            "approval_id": "ap", "checkpoint_seq": self.asked, "binds": BINDS, "reason": "r",
            "expires_at": rfc3339(until), "max_uses": 1,
        }  # fmt: skip
        by = f"{user} with SHA256:{key}" if key else user
        payload = {**made, "by": by, "via": via, **({"signer": "s", "signature": "s"} if key else {})}
        if self.write(Draft("approval.granted", payload)):
            self.yes.append((user, key, until))
            assert self.quorum == 1 or via not in {"auto", "policy"}

    @rule(persons=st.lists(st.tuples(USERS, KEYS), min_size=2, max_size=4))
    def several_say_yes(self, persons: list[tuple[str, str]]) -> None:
        for user, key in persons:
            self.say_yes(user, key, "cli", 24)

    @rule(user=USERS, rarely=st.integers(0, 9))
    def say_no(self, user: str, rarely: int) -> None:
        if rarely != 9:  # one no ends it, and most runs are to get further
            return
        payload = {"approval_id": "ap", "checkpoint_seq": self.asked, "by": user, "via": "cli", "reason": ""}
        if self.write(Draft("approval.denied", payload)):
            assert not self.used
            self.denied = True

    @property
    def asked(self) -> int:
        return self.job.state.decisions["ap"].checkpoint_seq

    def persons(self) -> int:
        """Return how many different persons the yeses that have not expired can be told to be, at the most."""
        now = self.clock.now()
        counting = [(user, key) for user, key, until in self.yes if now < until]
        keys = {key for _, key in counting if key}
        unsigned = {user for user, key in counting if not key}
        return len(keys) + len(unsigned)

    @rule()
    def use_it(self) -> None:
        used = Draft("approval.used", {"approval_id": "ap", "section": 1, "step_id": "s:1", "attempt": 1})
        if self.write(used):
            assert not self.denied
            assert self.persons() >= self.quorum
            self.used = True

    @rule()
    def start(self) -> None:
        payload = {
            "section": 1, "step_id": "s:1", "index": 0, "attempt": 1, "summary": "", "command": "", "argv": "1" * 64,
            "idempotent": True, "timeout_ms": 1, "confinement": "", "class": "host",
        }  # fmt: skip
        if self.write(Draft("step.started", payload)):
            assert self.used

    @invariant()
    def the_rules_and_the_fold_agree(self) -> None:
        state = self.job.state
        assert JobState.from_document(state.to_document()) == state
        try:
            approval.check_granted(state, 1, BINDS, now=self.clock.now())
        except ClockworkError:
            return
        assert self.used or (self.persons() >= self.quorum and not self.denied)


TestDecided = Decided.TestCase
TestDecided.settings = settings(max_examples=100, stateful_step_count=25, deadline=None)
