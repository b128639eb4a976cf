"""Records the museum's job folders of the present version: ``python -m tests.conformance.museum.record``.

Everything is fixed (ids, times, contents), so recording twice gives the same bytes. Run it once for a version, before
its release; what a released version wrote is never recorded again.
"""

from __future__ import annotations

import io
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from clockwork_nb import __version__
from clockwork_nb.canonical import canonical_json, digest, sha256_hex
from clockwork_nb.jobpack.build import build_jobpack
from clockwork_nb.jobs.state import replay
from clockwork_nb.store.files import JobStore
from clockwork_nb.store.lease import Holder, LeaseFile, write_lease
from clockwork_nb.store.log import Watermark
from clockwork_nb.store.snapshot import write_runtime, write_snapshot
from tests.conformance.packs import samples

MUSEUM: Final = Path(__file__).parent
HOLDER: Final = Holder("run_1", "host_1", "there", "", 4711, 12345)


def _begin(job_id: str, name: str) -> samples.Job:
    job = samples.Job(job_id=job_id, name=name, adapter="pipeline")
    job.add("job.created", name=name, adapter="pipeline", objective="", spec="{}")
    job.add("lease.taken", runner_id="run_1", host_id="host_1", ttl_ms=30_000, tool_version="0.1.0", takeover=False)
    job.add("env.captured", rules=[{"rule": "arch", "value": "x86_64"}], hash=digest({"environment": 1}))
    job.add("job.status", from_="queued", to="running")
    return job


def _release(job: samples.Job, outcome: str) -> None:
    job.add("lease.released", runner_id="run_1", outcome=outcome)


def completed() -> samples.Job:
    """Return a pipeline job that ran to its end."""
    job = _begin("job_completed", "apply site")
    samples.apply_section(job, 1, samples.STEPS, serial=0)
    job.add("budget.charged", retry_count=0, step_count=2, tool_call_count=0, active_ms=900, tokens=0, cost="0")
    samples.close_job(job)
    return job


def waiting() -> samples.Job:
    """Return a pipeline job that waits for an approval."""
    job = _begin("job_waiting", "apply site")
    job.add("section.opened", section=1, verb="apply", cell="", call=1, inputs=digest({"inputs": 1}))
    samples.ask(job, 1, samples.bind(job, 1, samples.STEPS[:2], serial=0))
    job.add("job.status", from_="running", to="blocked_decision")
    _release(job, "blocked_decision")
    return job


def resumed() -> samples.Job:
    """Return a pipeline job whose step failed, then ran again in a second lease."""
    steps = (samples.Step("command.build", "run", b"building\n"),)
    job = _begin("job_resumed", "apply build")
    job.add("section.opened", section=1, verb="apply", cell="", call=1, inputs=digest({"inputs": 1}))
    binds = samples.bind(job, 1, steps, serial=0)
    approval, checkpoint = samples.ask(job, 1, binds)
    samples.grant(job, approval, checkpoint, binds, reason="go")
    job.add("approval.used", approval_id=approval, section=1, step_id=steps[0].id, attempt=1)
    samples.run_step(job, 1, 0, samples.Step("command.build", "run", b"building\n", fails=2))
    job.add("checkpoint", kind="blocked", summary="1 step failed", reason_codes=["E_ADAPTER_FAIL"], section=1)
    job.add("job.status", from_="running", to="blocked_error", reason="E_ADAPTER_FAIL")
    _release(job, "blocked_error")
    job.epoch = 2
    job.add("lease.taken", runner_id="run_1", host_id="host_1", ttl_ms=30_000, tool_version="0.1.0", takeover=False)
    job.add("job.status", from_="blocked_error", to="running")
    job.add("step.retried", section=1, step_id=steps[0].id, attempt=2, reason="resumed")
    samples.run_step(job, 1, 0, steps[0], attempt=2)
    after = job.blob(canonical_json({"serial": 1, "resources": ["command.build"]}))
    job.add("section.closed", section=1, outcome="completed", done=1, failed=0, skipped=0, state_after=after)
    samples.close_job(job)
    return job


def notebook() -> samples.Job:
    """Return a notebook run with two sections."""
    return samples.sample_job()


def torn() -> samples.Job:
    """Return a job whose last line is half a record: a process died in the middle of a write."""
    job = _begin("job_torn", "apply site")
    job.add("section.opened", section=1, verb="apply", cell="", call=1, inputs=digest({"inputs": 1}))
    samples.bind(job, 1, samples.STEPS[:1], serial=0)
    job.add("checkpoint", kind="progress", summary="half of this record is lost", reason_codes=[])
    return job


JOBS: Final[dict[str, Callable[[], samples.Job]]] = {
    "completed": completed,
    "waiting": waiting,
    "resumed": resumed,
    "notebook": notebook,
    "torn": torn,
}


def write(job: samples.Job, folder: Path, *, half_last: bool) -> None:
    """Write the job's folder as the store leaves it: released, or with *half_last* as a crash leaves it."""
    (folder / "blobs" / "sha256").mkdir(parents=True)
    kept = job.events[:-1] if half_last else job.events
    log = job.log[: -len(job.lines[-1]) // 2] if half_last else job.log
    covered = b"".join(job.lines[: len(kept)])
    state = replay(job.header, kept)
    (folder / "job.json").write_bytes(job.genesis)
    (folder / "events.jsonl").write_bytes(log)
    write_snapshot(folder / "snapshot.json", state, len(covered), version=__version__, log_sha256=sha256_hex(covered))
    write_runtime(folder / "runtime_config.json", state, len(covered))
    stamp = samples.Job.stamp(0)
    mark = Watermark(kept[-1].seq, kept[-1].hash)
    lease = LeaseFile(job.job_id, job.epoch, "free", HOLDER, 3, 30_000, mark, acquired_at=stamp)
    write_lease(folder / "lease.json", lease)
    for name, data in job.blobs.items():
        path = folder / "blobs" / "sha256" / name[:2] / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
    for name in ("append.lock", "owner.lock"):
        (folder / name).write_bytes(b"")


def expected(home: Path, job_id: str) -> dict[str, object]:
    """Return what the job adds up to: state, torn bytes, the digests of its pack's manifest and entries, and of its files."""
    store = JobStore(home, tool_version=__version__)
    view = store.read(job_id)
    pack = build_jobpack(canonical_json(dict(view.genesis)), view.raw, store.blobs(job_id).get, key=None)
    folder = store.folder(job_id)
    entries = zipfile.ZipFile(io.BytesIO(pack.data))
    return {
        "state": view.state.to_document(),
        "torn": view.torn,
        "manifest_sha256": pack.manifest_sha256,
        "pack": {name: sha256_hex(entries.read(name)) for name in entries.namelist()},
        "files": {
            str(path.relative_to(folder)): sha256_hex(path.read_bytes())
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        },
    }


def main() -> None:
    """Record every job of this version."""
    import json

    version = MUSEUM / __version__
    if version.exists():
        shutil.rmtree(version)
    for name, make in JOBS.items():
        job = make()
        home = version / name
        write(job, home / "jobs" / job.job_id, half_last=name == "torn")
        document = expected(home, job.job_id)
        (home / "expected.json").write_text(json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
        print(f"{home.relative_to(MUSEUM)}: {job.seq} records, {len(job.blobs)} blobs")


if __name__ == "__main__":
    main()
