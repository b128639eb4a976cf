"""A small real job as bytes: header, log and blobs, made by the same functions the store uses.

The job is a notebook run with two sections: an apply of three steps (one is skipped) that a person approved, and a
destroy that nobody approved in person. Everything is fixed, so every byte of its pack is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clockwork_nb.canonical import canonical_json, digest, sha256_hex
from clockwork_nb.jobs.events import Event, encode_record, genesis_document
from clockwork_nb.signing import SigningKey

JOB_ID = "job_01k9x0000000000000000000aa"
LINEAGE = "lin_0001"
KEY = SigningKey.from_seed(bytes(range(32)))
OTHER_KEY = SigningKey.from_seed(bytes(range(1, 33)))


@dataclass
class Job:
    """A job folder in memory. ``add`` appends an event, ``blob`` stores content."""

    job_id: str = JOB_ID
    name: str = "quickstart.ipynb"
    adapter: str = "notebook"
    genesis: bytes = b""
    lines: list[bytes] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    blobs: dict[str, bytes] = field(default_factory=dict)
    epoch: int = 1
    clock: int = 0
    skip: int = 0
    """How many numbers the events from now on leave out."""

    def __post_init__(self) -> None:
        self.header = genesis_document(
            job_id=self.job_id,
            name=self.name,
            adapter=self.adapter,
            lineage=LINEAGE,
            created_at=self.stamp(0),
            producer_version="clockwork_nb 0.1.0",
        )
        self.genesis = canonical_json(self.header)

    @staticmethod
    def stamp(milliseconds: int) -> str:
        seconds, rest = divmod(milliseconds, 1000)
        minutes, seconds = divmod(seconds, 60)
        hours, minutes = divmod(minutes, 60)
        return f"2026-11-22T{hours:02d}:{minutes:02d}:{seconds:02d}.{rest:03d}000Z"

    @property
    def log(self) -> bytes:
        return b"".join(self.lines)

    @property
    def seq(self) -> int:
        return len(self.lines)

    def blob(self, data: bytes) -> str:
        self.blobs[sha256_hex(data)] = data
        return sha256_hex(data)

    def add(self, event_type: str, **payload: Any) -> int:
        """Append an event and return its seq. A trailing underscore of a key is dropped (``from_``)."""
        self.clock += 130
        event, line = encode_record(
            seq=self.seq + 1 + self.skip,
            created_at=self.stamp(self.clock),
            event_type=event_type,
            payload={key.rstrip("_"): value for key, value in payload.items()},
            epoch=self.epoch,
            prev=self.events[-1].hash if self.events else str(self.header["genesis"]),
            job_id=self.job_id,
        )
        self.events.append(event)
        self.lines.append(line)
        return event.seq


@dataclass(frozen=True)
class Step:
    """One step of a sample section. *output* is what it prints; *fails* gives its exit code."""

    address: str
    action: str
    output: bytes = b""
    fails: int = 0
    skipped: str = ""

    @property
    def id(self) -> str:
        return f"{self.address}:{self.action}"

    @property
    def path(self) -> str:
        return f"scripts/{self.address}/{self.action}.sh"

    @property
    def script(self) -> bytes:
        return f"#!/bin/sh\n# {self.action} of {self.address}\necho {self.address}\n".encode()


STEPS = (
    Step("directory.site", "create_directory", b"made out/site\n"),
    Step("file.index", "write_file"),
    Step("file.motd", "write_file", skipped="needs nothing"),
)


def configuration_digest(number: int) -> str:
    return digest({"configuration": number})


def plan_document(steps: tuple[Step, ...], *, section: int, serial: int) -> dict[str, Any]:
    return {
        "schema": "clockwork.plan.v1",
        "tool_version": "0.1.0",
        "configuration": configuration_digest(section),
        "lineage": LINEAGE if serial else None,
        "serial": serial,
        "changes": [{"address": step.address, "kind": "create"} for step in steps],
        "actions": {"version": "1", "steps": [{"id": step.id, "name": step.action, "args": {}} for step in steps]},
    }


def bundle_document(steps: tuple[Step, ...]) -> dict[str, Any]:
    artifacts: list[dict[str, Any]] = [
        {
            "path": step.path,
            "mode": "0755",
            "purpose": step.action,
            "lang": "sh",
            "sha256": sha256_hex(step.script),
            "size": len(step.script),
        }
        for step in steps
    ]
    artifacts.append(
        {"path": "data/token.txt", "mode": "0644", "purpose": "a secret", "lang": "data", "secret": "token"}
    )
    return {
        "version": "1",
        "artifacts": artifacts,
        "steps": [
            {"id": step.id, "purpose": step.action, "address": step.address, "run": {"cmd": ["sh", step.path]}}
            for step in steps
        ],
    }


def bind(job: Job, section: int, steps: tuple[Step, ...], *, serial: int) -> dict[str, Any]:
    """Bind plan, bundle and policy of a section and return what an approval of it binds."""
    plan = job.blob(canonical_json(plan_document(steps, section=section, serial=serial)))
    bundle = job.blob(canonical_json(bundle_document(steps)))
    for step in steps:
        job.blob(step.script)
    lineage = LINEAGE if serial else ""
    policy = digest({"policy": 1})
    job.add(
        "plan.bound",
        section=section,
        plan=plan,
        configuration=configuration_digest(section),
        lineage=lineage,
        serial=serial,
        changes=len(steps),
        state_before=job.blob(canonical_json({"serial": serial, "resources": []})),
    )
    job.add("bundle.bound", section=section, bundle=bundle)
    job.add("policy.bound", section=section, policy=policy)
    return {
        "configuration": configuration_digest(section),
        "plan": plan,
        "bundle": bundle,
        "policy": policy,
        "environment": digest({"environment": 1}),
        "lineage": lineage,
        "serial": serial,
    }


def ask(job: Job, section: int, binds: Mapping[str, Any]) -> tuple[str, int]:
    """Ask for an approval; return its id and the seq of the checkpoint."""
    approval_id = f"ap_{section}_{job.seq}"
    checkpoint = job.add(
        "checkpoint",
        kind="decision-needed",
        summary=f"section {section} needs a decision",
        reason_codes=["E_CHECKPOINT_APPROVAL_REQUIRED"],
        required_action={"kind": "approve", "instructions": "look at the plan"},
        section=section,
    )
    job.add(
        "approval.requested", approval_id=approval_id, checkpoint_seq=checkpoint, section=section, binds=dict(binds)
    )
    return approval_id, checkpoint


def grant(
    job: Job, approval_id: str, checkpoint: int, binds: Mapping[str, Any], *, via: str = "button", reason: str
) -> None:
    job.add(
        "approval.granted",
        approval_id=approval_id,
        checkpoint_seq=checkpoint,
        binds=dict(binds),
        by="ops" if via == "button" else "schedule",
        via=via,
        reason=reason,
        max_uses=1,
    )


def run_steps(job: Job, section: int, steps: tuple[Step, ...], approval_id: str) -> None:
    first = True
    for index, step in enumerate(steps):
        if step.skipped:
            job.add(
                "step.skipped",
                section=section,
                step_id=step.id,
                index=index,
                summary=step.action,
                reason=step.skipped,
            )
            continue
        if first and approval_id:
            job.add("approval.used", approval_id=approval_id, section=section, step_id=step.id, attempt=1)
        first = False
        run_step(job, section, index, step)


def run_step(job: Job, section: int, index: int, step: Step, *, attempt: int = 1) -> None:
    place = {"section": section, "step_id": step.id, "attempt": attempt}
    job.add(
        "step.started",
        **place,
        index=index,
        summary=f"{step.action} {step.address}",
        command=f"sh {step.path}",
        argv=digest(["sh", step.path]),
        artifact=step.path,
        artifact_sha256=sha256_hex(step.script),
        idempotent=True,
        timeout_ms=600_000,
        confinement="standard",
        class_="confined",
    )
    if step.output:
        job.add(
            "step.output", **place, stream="out", blob=job.blob(step.output), bytes=len(step.output), truncated=False
        )
    if step.fails:
        job.add(
            "step.failed",
            **place,
            exit_code=step.fails,
            duration_ms=2100,
            code="E_ADAPTER_FAIL",
            note="",
            tail="FATAL: <script>alert(1)</script> \u202eaddress in use",
            log=f"{step.address}.err",
        )
    else:
        entry = canonical_json({"address": step.address, "status": "ok"}).decode()
        job.add("step.completed", **place, exit_code=0, duration_ms=3 + index, note="", entry=entry)


def open_job(*, job_id: str = JOB_ID, name: str = "quickstart.ipynb") -> Job:
    """Return a job that has just begun to run."""
    job = Job(job_id=job_id, name=name)
    job.add("job.created", name=job.name, adapter=job.adapter, objective="Make the site.", spec="")
    job.add("lease.taken", runner_id="run_1", host_id="host_1", ttl_ms=30_000, tool_version="0.1.0", takeover=False)
    job.add(
        "env.captured",
        rules=[{"rule": "arch", "value": "x86_64"}, {"rule": "env:HOME", "value": "hmac:é"}],
        hash=digest({"environment": 1}),
    )
    job.add("job.status", from_="queued", to="running")
    return job


def close_job(job: Job, status: str = "completed") -> None:
    job.add("job.status", from_="running", to=status)
    job.add("checkpoint", kind="completed", summary="2 sections done", reason_codes=[])
    job.add("job.finished", status=status, reason_codes=[])
    job.add("lease.released", runner_id="run_1", outcome=status)
    job.add("job.sealed", count=job.seq, head=job.events[-1].hash)


def apply_section(job: Job, section: int, steps: tuple[Step, ...], *, serial: int, via: str = "button") -> None:
    job.add("section.opened", section=section, verb="apply", cell="web", call=1, inputs=digest({"inputs": section}))
    binds = bind(job, section, steps, serial=serial)
    approval_id, checkpoint = ask(job, section, binds)
    grant(job, approval_id, checkpoint, binds, via=via, reason="port move agreed")
    run_steps(job, section, steps, approval_id)
    failed = sum(bool(step.fails) for step in steps)
    skipped = sum(bool(step.skipped) for step in steps)
    job.add(
        "section.closed",
        section=section,
        outcome="failed" if failed else "completed",
        done=len(steps) - failed - skipped,
        failed=failed,
        skipped=skipped,
        state_after=job.blob(canonical_json({"serial": serial + 1, "resources": [s.address for s in steps]})),
    )


def notebook(text: str) -> bytes:
    return json.dumps({"cells": [{"source": text}], "nbformat": 4}).encode()


def sample_job() -> Job:
    """Return the finished sample job."""
    job = open_job()
    job.add("artifact.published", path="notebook/input.ipynb", op="added", blob=job.blob(notebook("in")))
    job.add("cell.started", cell="settings", index=0)
    job.add("cell.completed", cell="settings", index=0, duration_ms=4)
    job.add("artifact.published", path="notebook/output.ipynb", op="added", blob=job.blob(notebook("half")))
    job.add("cell.started", cell="web", index=1)
    apply_section(job, 1, STEPS, serial=0)
    job.add("cell.completed", cell="web", index=1, duration_ms=950)
    job.add("checkpoint", kind="progress", summary="1 of 2 sections", reason_codes=[])
    job.add("budget.charged", retry_count=0, step_count=2, tool_call_count=0, active_ms=2500, tokens=0, cost="0")
    job.add("cell.restored", cell="extra", index=2)
    apply_section(job, 2, STEPS[:1], serial=1, via="auto")
    job.add("artifact.published", path="notebook/output.ipynb", op="changed", blob=job.blob(notebook("out")))
    job.add("artifact.published", path="reports/ünïcode.md", op="added", blob=job.blob("# Grüße\n".encode()))
    job.add(
        "accept.recorded",
        checks_run=2,
        checks_passed=1,
        failures=[{"check": "path_constraints", "message": "too many paths"}],
        reason_codes=["E_ACCEPT_TEST_FAIL"],
    )
    close_job(job)
    return job


def small_job() -> Job:
    """Return the smallest finished job that has a section, for campaigns over every byte."""
    job = open_job(job_id="job_small", name="small")
    apply_section(job, 1, STEPS[:1], serial=0)
    close_job(job)
    return job


def long_job(events: int) -> Job:
    """Return a finished job with at least *events* events, most of them steps of one section."""
    job = open_job(job_id="job_long", name="long")
    steps = tuple(Step(f"file.f{n}", "write_file", b"x" if n % 10 == 0 else b"") for n in range(events // 2))
    apply_section(job, 1, steps, serial=0)
    close_job(job)
    return job


def write_folder(job: Job, store: Path) -> Path:
    """Write *job* as a folder of the job store at *store*, as the product would have, and return the folder."""
    folder = store / "jobs" / job.job_id
    for digest_of, data in job.blobs.items():
        path = folder / "blobs" / "sha256" / digest_of[:2] / digest_of
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "job.json").write_bytes(job.genesis)
    (folder / "events.jsonl").write_bytes(job.log)
    holder = {"boot_id": "", "host": "host", "host_id": "host_1", "pid": 1, "runner_id": "run_1", "start_ticks": 0}
    lease = {
        "schema": "clockwork.lease.v1",
        "job_id": job.job_id,
        "state": "free",
        "epoch": job.epoch,
        "holder": holder,
        "acquired_at": job.stamp(0),
        "beat": 1,
        "locked": True,
        "ttl_ms": 30_000,
        "watermark": {"hash": job.events[-1].hash, "seq": job.seq},
    }
    (folder / "lease.json").write_bytes(canonical_json(lease))
    return folder
