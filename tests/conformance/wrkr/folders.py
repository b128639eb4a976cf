"""Wrkr job folders, byte for byte as Wrkr's Go program writes them, for every behaviour of it that matters.

``REAL_…`` are lines that a real Wrkr printed. The rest is generated: a small writer with Wrkr's record forms, its
adapters' order of events, and its ways to fail.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from clockwork_nb.canonical import canonical_json

REAL_LEASE = (
    b'{"seq":5,"created_at":"2026-11-21T23:35:31.48064661Z","type":"lease_set","payload":{"worker_id":"dispatch-28499",'
    b'"lease_id":"lease-28499-1795304131480344229","acquired_at":"2026-11-21T23:35:31.480644538Z","heartbeat_at":'
    b'"2026-11-21T23:35:31.480644538Z","expires_at":"2026-11-21T23:36:01.480644538Z"}}\n'
)
REAL_FINGERPRINT = (
    b'{"seq":2,"created_at":"2026-11-21T23:34:03.814707543Z","type":"env_fingerprint_set","payload":{"rules":["arch",'
    b'"go_version","os"],"values":{"arch":"amd64","go_version":"go1.27.3","os":"linux"},"hash":'
    b'"2790f36f5dc6c3ff8f21ed033395be4680996ae7ce2ce60cefad6cda72f4eaca","captured_at":"2026-11-21T23:34:03.798112688Z"}}\n'
)
REAL_SNAPSHOT = json.loads(
    '{"last_seq":7,"created_at":"2026-11-21T23:34:03.885673059Z","state":{"job_id":"job_demo_1795304043","status":'
    '"completed","retry_count":0,"step_count":0,"tool_call_count":0,"idempotency_keys":{},"last_applied_seq":7,'
    '"started_at":"2026-11-21T23:34:03.798112688Z","env_fingerprint_hash":'
    '"2790f36f5dc6c3ff8f21ed033395be4680996ae7ce2ce60cefad6cda72f4eaca","env_fingerprint_rules":["arch","go_version",'
    '"os"],"env_fingerprint_values":{"arch":"amd64","go_version":"go1.27.3","os":"linux"}}}'
)
REAL_ARTIFACTS = (
    b'{"artifacts":[{"path":"reports/demo.md","sha256":"d3be897ea5e96f3e05da6ec32449a9f25fdf30ce6548e8b2e09a55c250f5e9b7"}],'
    b'"capture_mode":"reference-only","created_at":"2026-11-21T23:34:03.887814487Z","job_id":"job_demo_1795304043",'
    b'"producer_version":"dev","schema_id":"wrkr.artifacts_manifest","schema_version":"v1"}'
)
REAL_JOB = (
    b'{"budgets":{"retry_count":0,"step_count":3,"tool_call_count":2},"created_at":"2026-11-21T23:53:16.439693678Z",'
    b'"job_id":"dec","name":"dec","producer_version":"dev","schema_id":"wrkr.job","schema_version":"v1","status":"completed"}'
)
REAL_STEP_EVENT = (
    b'{"created_at":"2026-11-21T23:35:31.494154587Z","event_id":"evt_6","executed":true,"job_id":"dec","payload":'
    b'{"adapter":"reference","artifacts":["reports/plan.md"],"command":"true","executed":true,"step_id":"plan",'
    b'"step_index":0,"summary":"analyze repository and draft plan"},"producer_version":"dev","schema_id":"wrkr.event",'
    b'"schema_version":"v1","type":"adapter_step"}\n'
)
REAL_CHECKPOINT = (
    b'{"artifacts_delta":{"added":[],"changed":[],"removed":[]},"budget_state":{"retry_count":0,"step_count":2,'
    b'"tool_call_count":1,"wall_time_seconds":0},"checkpoint_id":"cp_11","created_at":"2026-11-21T23:35:31.564931122Z",'
    b'"job_id":"dec","producer_version":"dev","reason_codes":[],"required_action":{"instructions":'
    b'"review and approve step review","kind":"approve"},"schema_id":"wrkr.checkpoint","schema_version":"v1","status":'
    b'"blocked_decision","summary":"request manager approval before final write","type":"decision-needed"}\n'
)
REAL_APPROVAL = (
    b'{"approved_by":"alice","checkpoint_id":"cp_11","created_at":"2026-11-21T23:35:31.822617907Z","job_id":"dec",'
    b'"producer_version":"dev","reason":"ok","schema_id":"wrkr.approval_record","schema_version":"v1"}\n'
)
REAL_ACCEPT = (
    b'{"checks_passed":2,"checks_run":5,"created_at":"2026-11-21T23:53:12.984717666Z","failures":[{"artifact":'
    b'"reports/absent.md","check":"required_artifacts","message":"missing required artifacts: reports/absent.md"},'
    b'{"check":"path_constraints","message":"artifact path count 2 exceeds max_artifact_paths=1"},{"check":'
    b'"test_command","message":"command failed (exit=4): hello"}],"job_id":"dec","producer_version":"dev",'
    b'"reason_codes":["E_ACCEPT_MISSING_ARTIFACT","E_ACCEPT_TEST_FAIL"],"schema_id":"wrkr.accept_result",'
    b'"schema_version":"v1"}'
)
REAL_CONFIG = json.loads(
    '{"schema_id":"wrkr.runtime_config","schema_version":"v1","created_at":"2026-11-21T23:35:31.575896714Z","updated_at":'
    '"2026-11-21T23:35:31.575896714Z","producer_version":"dev","adapter":"reference","inputs":{"steps":[{"id":"plan",'
    '"command":"true","executed":true}],"workspace":"."},"budgets":{"MaxWallTimeSeconds":3600,"MaxRetries":2,'
    '"MaxStepCount":20,"MaxToolCalls":200,"MaxEstimatedCost":null,"MaxTokens":null},"next_step_index":2}'
)

Files = dict[str, bytes]
RULES = {"arch": "amd64", "go_version": "go1.27.3", "os": "linux"}


def go_json(value: Any, *, indent: bool = False) -> bytes:
    """Return what Go's encoding/json prints: keys in the order given, ``< > &`` and two line ends escaped."""
    text = json.dumps(
        value, ensure_ascii=False, indent=2 if indent else None, separators=None if indent else (",", ":")
    )
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text.encode()


def fingerprint(values: dict[str, str]) -> str:
    return hashlib.sha256(canonical_json({"rules": sorted(values), "values": values})).hexdigest()


@dataclass
class WrkrFolder:
    """One job folder while Wrkr writes it. Every method does what the Go program does, its defects included."""

    job_id: str
    log: bytearray = field(default_factory=bytearray)
    state: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] | None = None
    accept: bytes | None = None
    seq: int = 0
    ticks: int = 0
    save: bool = True
    """Whether a snapshot is written after each event."""
    snapshot: dict[str, Any] | None = None

    def now(self) -> str:
        """Return the next time in Go's form: nanoseconds, no trailing zeros."""
        self.ticks += 1
        moment = datetime(2026, 11, 21, 23, 35, 31, tzinfo=UTC) + timedelta(milliseconds=self.ticks * 70)
        digits = f"{moment.microsecond:06d}{self.ticks % 1000:03d}".rstrip("0")
        return moment.strftime("%Y-%m-%dT%H:%M:%S") + (f".{digits}Z" if digits else "Z")

    def append(self, kind: str, payload: dict[str, Any] | None = None, *, at: str = "") -> int:
        self.seq += 1
        record: dict[str, Any] = {"seq": self.seq, "created_at": at or self.now(), "type": kind}
        if payload is not None:
            record["payload"] = payload
        self.log += go_json(record) + b"\n"
        self.state["last_applied_seq"] = self.seq
        if self.save:
            self.save_snapshot()
        return self.seq

    def save_snapshot(self, state: dict[str, Any] | None = None, last_seq: int = 0) -> None:
        chosen = json.loads(json.dumps(state or self.state))
        seq = last_seq or self.seq
        self.snapshot = {"last_seq": seq, "created_at": self.now(), "state": {**chosen, "last_applied_seq": seq}}

    # --- the runner's verbs ------------------------------------------------------------------------------------

    def init(self, values: dict[str, str] | None = None) -> None:
        values = RULES if values is None else values
        started = self.now()
        self.state = {
            "job_id": self.job_id, "status": "queued", "retry_count": 0, "step_count": 0, "tool_call_count": 0,
            "idempotency_keys": {}, "last_applied_seq": 0, "started_at": started,
        }  # fmt: skip
        self.append("job_initialized", {"status": "queued", "started_at": started})
        self.state["env_fingerprint_hash"] = fingerprint(values)
        self.append(
            "env_fingerprint_set",
            {"rules": sorted(values), "values": values, "hash": fingerprint(values), "captured_at": started},
        )

    def move(self, to: str) -> int:
        before, self.state["status"] = self.state["status"], to
        return self.append("status_changed", {"from": before, "to": to})

    def lease(self) -> None:
        now = self.now()
        ids = {"worker_id": "dispatch-28499", "lease_id": f"lease-28499-{self.ticks}"}
        lease = {**ids, "acquired_at": now, "heartbeat_at": now, "expires_at": "2026-11-21T23:59:31.480644538Z"}
        self.state["lease"] = lease
        self.append("lease_set", lease)

    def release(self) -> None:
        lease = self.state.pop("lease")
        self.append("lease_released", {name: lease[name] for name in ("worker_id", "lease_id")})

    def count(self, *, command: bool) -> None:
        self.state["step_count"] += 1
        self.state["tool_call_count"] += command
        self.append("counters_updated", {k: self.state[k] for k in ("retry_count", "step_count", "tool_call_count")})

    def checkpoint(
        self,
        kind: str,
        summary: str,
        *,
        added: list[str] | None = None,
        action: dict[str, str] | None = None,
        status: str = "",
        codes: list[str] | None = None,
    ) -> str:
        budget = {k: self.state[k] for k in ("retry_count", "step_count", "tool_call_count")}
        payload = {
            "type": kind, "summary": summary, "status": status or self.state["status"],
            "budget_state": {"wall_time_seconds": 0, **budget},
            "artifacts_delta": {"added": added or [], "changed": [], "removed": []},
            "required_action": action, "reason_codes": codes or [],
        }  # fmt: skip
        return f"cp_{self.append('checkpoint_emitted', payload)}"

    def approve(self, checkpoint: str, by: str = "alice", reason: str = "ok", **fields: Any) -> None:
        now = self.now()
        record = {
            "schema_id": "wrkr.approval_record", "schema_version": "v1", "created_at": now, "producer_version": "dev",
            "job_id": self.job_id, "checkpoint_id": checkpoint, "reason": reason, "approved_by": by, **fields,
        }  # fmt: skip
        self.append("approval_recorded", record)

    def step(self, index: int, name: str, *, command: str = "true", artifacts: tuple[str, ...] = ()) -> None:
        self.append(
            "adapter_step",
            {
                "adapter": "reference", "step_id": name, "step_index": index, "summary": f"do {name}",
                "command": command, "executed": True, "artifacts": list(artifacts),
            },
        )  # fmt: skip

    def configure(self, steps: list[str], cursor: int) -> None:
        items = [{"id": name, "command": "true", "executed": True} for name in steps]
        self.config = {**REAL_CONFIG, "inputs": {"steps": items, "workspace": "."}, "next_step_index": cursor}

    # --- the bytes ---------------------------------------------------------------------------------------------

    def files(self) -> Files:
        out = {"events.jsonl": bytes(self.log)}
        if self.snapshot is not None:
            out["snapshot.json"] = go_json(self.snapshot, indent=True)
        if self.config is not None:
            out["runtime_config.json"] = go_json(self.config, indent=True)
        if self.accept is not None:
            out["accept_result.json"] = self.accept
        return out


def demo(job_id: str = "job_demo_1795304043") -> WrkrFolder:
    """``wrkr demo``: seven events, three checkpoints, no lease, no cursor."""
    job = WrkrFolder(job_id)
    job.init()
    job.move("running")
    job.checkpoint("plan", "demo plan")
    job.checkpoint("progress", "demo progress", added=["reports/demo.md"])
    job.checkpoint("completed", "demo completed")
    job.move("completed")
    return job


def decision(job_id: str = "dec", *, until: str = "completed") -> WrkrFolder:
    """``wrkr submit`` of three steps, of which the second asks; approved, resumed, finished.

    *until*: ``blocked`` stops where it waits, ``approved`` before the resume.
    """
    job = WrkrFolder(job_id)
    names = ["plan", "review", "write <final> & go"]
    job.init()
    job.move("running")
    job.checkpoint("plan", "review a change")
    job.configure(names, 0)
    job.lease()
    job.step(0, names[0], artifacts=("reports/plan.md",))
    job.count(command=True)
    job.checkpoint("progress", "plan drafted", added=["reports/plan.md"])
    job.configure(names, 1)
    job.step(1, names[1], command="")
    job.count(command=False)
    action = {"kind": "approve", "instructions": "review and approve step review"}
    asked = job.checkpoint("decision-needed", "request manager approval", action=action, status="blocked_decision")
    job.configure(names, 2)
    job.move("blocked_decision")
    job.release()
    if until == "blocked":
        return job
    job.approve(asked)
    if until == "approved":
        return job
    job.move("running")
    job.lease()
    job.step(2, names[2], artifacts=("reports/final.md",))
    job.count(command=True)
    job.checkpoint("progress", "written", added=["reports/final.md"])
    job.configure(names, 3)
    job.checkpoint("completed", "all steps done")
    job.move("completed")
    job.release()
    job.accept = REAL_ACCEPT.replace(b'"job_id":"dec"', b'"job_id":"%b"' % job_id.encode())
    return job


def wrap(job_id: str = "job_wrap_1", *, failed: bool = False) -> WrkrFolder:
    """``wrkr wrap -- make test``: no lease, no cursor, the command line in the plan's summary."""
    job = WrkrFolder(job_id)
    job.init()
    job.move("running")
    job.checkpoint("plan", "wrap: make test")
    job.checkpoint("progress", "command finished", added=["out/log.txt"])
    if failed:
        job.checkpoint("blocked", "command failed", codes=["E_ADAPTER_FAIL"])
        job.move("blocked_error")
    else:
        job.checkpoint("completed", "command ok")
        job.move("completed")
    return job


def cancel_race(job_id: str = "race") -> WrkrFolder:
    """``cancel`` while a checkpoint is emitted: the emitter saves a snapshot made of the older state (a lost update)."""
    job = decision(job_id, until="blocked")
    stale = dict(job.state)
    job.move("canceled")
    job.checkpoint("progress", "emitted meanwhile", status="blocked_decision")
    job.save_snapshot(stale)
    return job


def canceled_too_late(job_id: str = "late") -> WrkrFolder:
    """A job that went on after ``cancel``: Wrkr's loop never looks at the status."""
    job = WrkrFolder(job_id)
    job.init()
    job.move("running")
    job.configure(["a", "b"], 0)
    job.step(0, "a")
    job.move("canceled")
    job.count(command=True)
    job.configure(["a", "b"], 1)
    job.step(1, "b")
    return job


def passed_over(job_id: str = "over") -> WrkrFolder:
    """Two decisions, of which only the later, trivial one was approved: Wrkr resumes."""
    job = decision(job_id, until="blocked")
    job.approve(job.checkpoint("decision-needed", "is the sky blue?", action={"kind": "approve"}))
    job.move("running")
    job.move("completed")
    return job


PARTIAL = b'{"seq":15,"created_at":"2026-11-21T23:35:33.1'


def torn(job_id: str = "torn") -> WrkrFolder:
    """A crash in the middle of an append."""
    job = decision(job_id, until="blocked")
    job.log += PARTIAL
    return job


def poisoned(job_id: str = "poisoned") -> WrkrFolder:
    """The next append after `torn`: it is glued to the partial line, and its snapshot is saved all the same."""
    job = torn(job_id)
    job.move("canceled")
    return job


def restarted(job_id: str = "again") -> WrkrFolder:
    """The log was deleted under a snapshot at 7: Wrkr numbers from 1 again and hides what it appends."""
    job = demo(job_id)
    job.log.clear()
    job.seq, job.save = 0, False
    job.state["status"] = "running"
    job.move("paused")
    job.move("canceled")
    return job


SAMPLES: dict[str, Callable[[], WrkrFolder]] = {
    "demo": demo,
    "decision": decision,
    "blocked": lambda: decision("waiting", until="blocked"),
    "approved": lambda: decision("settled", until="approved"),
    "wrap": wrap,
    "wrap-failed": lambda: wrap("job_wrap_2", failed=True),
    "cancel-race": cancel_race,
    "canceled-too-late": canceled_too_late,
    "passed-over": passed_over,
    "torn": torn,
    "poisoned": poisoned,
    "restarted": restarted,
}
"""Name → what makes one folder of that kind."""
