"""Jobs that every version since the first one wrote still open, add up to the same, and export to the same pack (P11)."""

from __future__ import annotations

import json
import shutil
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from clockwork_nb.canonical import canonical_json, sha256_hex
from clockwork_nb.errors import StoreCorruptError
from clockwork_nb.ports import Draft
from clockwork_nb.store.check import check_store
from clockwork_nb.store.files import JobStore
from clockwork_nb.testing import ManualClock
from clockwork_nb.testing.project import Project
from tests.conformance.museum.record import expected

MUSEUM = Path(__file__).parent
HALLS = sorted(path.parent for path in MUSEUM.glob("*/*/expected.json"))


def covers(now: Any, then: Any) -> bool:
    """Return whether *now* says everything that *then* says; within v1 things may be added."""
    if isinstance(then, dict):
        return isinstance(now, dict) and all(key in now and covers(now[key], value) for key, value in then.items())
    if isinstance(then, list):
        return isinstance(now, list) and len(now) == len(then) and all(map(covers, now, then))
    return bool(now == then)


@pytest.fixture(params=HALLS, ids=lambda path: f"{path.parent.name}-{path.name}")
def hall(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[JobStore, str, dict[str, Any], Path]:
    """Return a store with a copy of a recorded job, the job's id, what is expected of it, and the recording."""
    recorded: Path = request.param
    home = tmp_path / "home"
    shutil.copytree(recorded / "jobs", home / "jobs")
    for path in (home, *home.rglob("*")):
        path.chmod(0o700 if path.is_dir() else 0o600)
    document = json.loads((recorded / "expected.json").read_text())
    store = JobStore(home, tool_version="9.9.9", clock=ManualClock(), heartbeat=False)
    return store, document["state"]["job_id"], document, recorded


Hall = tuple[JobStore, str, dict[str, Any], Path]


def test_there_is_something_to_see() -> None:
    assert {path.name for path in HALLS} >= {"completed", "waiting", "resumed", "notebook", "torn"}
    assert all(path.stat().st_size < 32_000 for hall in HALLS for path in hall.rglob("*") if path.is_file())


def test_a_recorded_job_reads_and_exports_as_it_did(hall: Hall) -> None:
    store, job_id, document, _ = hall
    now = expected(store.home, job_id)
    assert covers(now["state"], document["state"])
    assert now["torn"] == document["torn"]
    assert now["pack"] == document["pack"], "an old job exports to another pack; before a release: record anew"
    assert now["manifest_sha256"] == document["manifest_sha256"]
    assert now["files"] == document["files"], "a recording was edited"
    assert store.state(job_id) == store.read(job_id).state
    assert check_store(store, job_id).ok
    assert store.summary(job_id).status == document["state"]["status"]


def test_a_recorded_job_can_be_owned_and_gone_on_with(hall: Hall) -> None:
    store, job_id, document, _ = hall
    before = store.read(job_id)
    with store.open(job_id) as job:
        assert job.epoch == document["state"]["epoch"] + 1
        if not before.state.finished:
            job.append([Draft("checkpoint", {"kind": "progress", "summary": "gone on", "reason_codes": []})])
    after = store.read(job_id)
    assert after.raw.startswith(before.raw)
    assert [event.type for event in after.events if event.type == "log.recovered"] == ["log.recovered"] * bool(
        before.torn
    )


def _newer(line: bytes, **changes: Any) -> bytes:
    """Return the record a newer version might write after *line*: another type or schema, chained and hashed by its rule."""
    record = json.loads(line)
    record.update(seq=record["seq"] + 1, prev=record["hash"], **changes)
    schema = str(record["schema"])
    record.pop("hash")
    record["hash"] = sha256(f"{schema}\n".encode() + canonical_json(record)).hexdigest()
    return canonical_json(record) + b"\n"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"type": "step.teleported", "payload": {}}, "not an event type of this version"),
        ({"schema": "clockwork.event.v2"}, "clockwork.event.v2"),
        ({"type": "cell.started", "payload": {"cell": "c", "index": 1, "colour": "red"}}, "colour"),
    ],
)
def test_what_a_newer_version_wrote_stops_everything_before_any_effect(
    hall: Hall, changes: dict[str, Any], says: str
) -> None:
    store, job_id, document, _ = hall
    log = store.folder(job_id) / "events.jsonl"
    whole = log.read_bytes()[: -document["torn"] or None]
    log.write_bytes(whole + _newer(whole.splitlines()[-1], **changes))
    before = {path: path.read_bytes() for path in store.home.rglob("*") if path.is_file()}
    pause = Draft("control.requested", {"action": "pause", "by": "ann", "reason": ""})
    for attempt in (
        lambda: store.read(job_id),
        lambda: store.open(job_id),
        lambda: store.append_control(job_id, pause),
        lambda: store.state(job_id),
    ):
        with pytest.raises(StoreCorruptError, match=says):
            attempt()
    assert {path: path.read_bytes() for path in store.home.rglob("*") if path.is_file() and path in before} == before
    assert not check_store(store, job_id).ok


def test_the_command_runs_nothing_of_a_job_it_does_not_understand(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.write({"main.cw": 'command "c" {\n  script = "touch out/c"\n  writes = ["out"]\n}\n'})
    project.run("apply", expect=4)
    job = project.jobs()[0]["id"]
    project.approve(job)
    log = project.store / "jobs" / job / "events.jsonl"
    log.write_bytes(log.read_bytes() + _newer(log.read_bytes().splitlines()[-1], schema="clockwork.event.v2"))
    known = sha256_hex(log.read_bytes())
    for words in (["job", "resume", job], ["job", "cancel", job], ["job", "status", job], ["jobpack", "export", job]):
        assert "E_STORE_CORRUPT" in project.run(*words, expect=10).err
    assert not (project.folder / "out/c").exists()
    assert sha256_hex(log.read_bytes()) == known
