"""How a log stands to what was seen of it before."""

from __future__ import annotations

from typing import Any

import pytest

from clockwork_nb.jobpack.compare import compare_packs
from clockwork_nb.jobpack.relation import KnownHead, relation_of
from clockwork_nb.jobpack.verify import Examination, examine_jobpack
from tests.conformance.packs import samples
from tests.conformance.packs.samples import Job
from tests.conformance.packs.tamper import TRUST, code, pack, verify

JOB = samples.small_job()
GENESIS = str(JOB.header["genesis"])


def head(count: int, job: Job = JOB, *, says: int = 0, **fields: Any) -> KnownHead:
    """Return what is remembered of *job* after *count* events; with *says* it claims another count."""
    known = {"job_id": job.job_id, "genesis": str(job.header["genesis"]), "count": says or count}
    return KnownHead(**{**known, "head": job.events[count - 1].hash if count else GENESIS, **fields})


def forked(at: int, events: int = 0) -> Job:
    """Return a job that shares its first *at* events with the small one."""
    out = Job(job_id=JOB.job_id, name=JOB.name)
    out.lines, out.events, out.blobs, out.clock = JOB.lines[:at], JOB.events[:at], dict(JOB.blobs), 9_000
    for _ in range(events):
        out.add("log.recovered", offset=1, bytes=1, saved="x")
    return out


@pytest.mark.parametrize(
    ("known", "relation"),
    [
        (head(JOB.seq), "same"),
        (head(JOB.seq - 1), "extends"),
        (head(1), "extends"),
        (head(0), "extends"),
        (head(JOB.seq, says=JOB.seq + 1), "older"),
        (head(JOB.seq, head="0" * 64), "forked"),
        (head(5, head="0" * 64), "forked"),
        (head(5, genesis="0" * 64), "other job"),
    ],
)
def test_each_relation(known: KnownHead, relation: str) -> None:
    assert relation_of(GENESIS, JOB.seq, lambda seq: JOB.events[seq - 1].hash, known) == relation


@pytest.mark.parametrize(
    ("known", "relation", "refused"),
    [
        ([], "", False),
        ([head(3, samples.sample_job())], "", False),
        ([head(3), head(JOB.seq)], "same", False),
        ([head(3), head(9)], "extends", False),
        ([head(JOB.seq), head(JOB.seq, says=99)], "older", True),
        ([head(JOB.seq), head(7, head="0" * 64)], "forked", True),
        ([head(JOB.seq, says=99), head(7, head="0" * 64)], "forked", True),
        ([head(3, genesis="0" * 64)], "forked", True),
    ],
)
@pytest.mark.parametrize("require", ["signed", "integrity", "final"])
def test_the_worst_of_what_is_known_decides(known: list[KnownHead], relation: str, refused: bool, require: str) -> None:
    report = verify(pack(JOB).data, known=known, require=require)
    assert report.relation == relation
    assert code(report) == ("E_EVIDENCE_INCONSISTENT" if refused else "")
    assert (report.headline == "NOT VERIFIED") == refused


def examined(job: Job) -> Examination:
    return examine_jobpack(pack(job).data, trust=TRUST)


@pytest.mark.parametrize("at", [4, 5, 9, JOB.seq - 1])
def test_the_place_where_two_histories_part_is_found(at: int) -> None:
    for more in (1, 2, 30):
        found = compare_packs(examined(JOB), examined(forked(at, more)))
        assert (found["relation"], found["common"]) == ("forked", at)
    assert compare_packs(examined(JOB), examined(forked(at)))["relation"] == "older"
    assert compare_packs(examined(forked(at)), examined(JOB))["relation"] == "extends"


def test_only_what_differs_is_listed() -> None:
    assert compare_packs(examined(JOB), examined(JOB))["differences"] == {}
    found = compare_packs(examined(samples.sample_job()), examined(JOB))["differences"]
    assert set(found) == {"acceptance", "cells", "sections", "decisions", "files", "outcome"} - {"outcome"}
    changed = {name for section in found["sections"] for name in section.get("changed", {})}
    assert "plan" in changed or "bundle" in changed
    assert {section["only_in"] for section in found["sections"] if "only_in" in section} == {"a"}


def test_another_environment_and_another_outcome_are_named() -> None:
    other = Job(job_id=JOB.job_id, name=JOB.name)
    other.blobs = dict(JOB.blobs)
    for event in JOB.events[:3]:
        payload = dict(event.payload)
        if event.type == "env.captured":
            payload["rules"] = [{"rule": "arch", "value": "arm64"}, {"rule": "os", "value": "linux"}]
        other.add(event.type, **payload)
    other.add("job.status", from_="queued", to="running")
    samples.close_job(other, "canceled")
    found = compare_packs(examined(JOB), examined(other))
    assert (found["relation"], found["common"]) == ("forked", 2)
    environment = found["differences"]["environment"]
    assert environment["changed"] == [{"name": "arch", "a": "x86_64", "b": "arm64"}]
    assert [item["name"] for item in environment["added"]] == ["os"]
    assert [item["name"] for item in environment["removed"]] == ["env:HOME"]
    assert found["differences"]["outcome"]["b"]["status"] == "canceled"


def test_packs_without_a_chain_are_not_compared_by_one() -> None:
    broken = examine_jobpack(pack(JOB).data[:-1], trust=TRUST)
    assert compare_packs(broken, examined(JOB))["relation"] == ""
