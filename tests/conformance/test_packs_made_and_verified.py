"""An honest pack: the same bytes everywhere, accepted, and described truly."""

from __future__ import annotations

import functools
import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from clockwork_nb.canonical import parse_json, sha256_hex
from clockwork_nb.errors import (
    ChainBrokenError,
    EvidenceInconsistentError,
    InvalidInputError,
    SignatureInvalidError,
)
from clockwork_nb.jobpack.build import build_jobpack, signer_line
from clockwork_nb.jobpack.crate import CRATE_FORMS, build_crate
from clockwork_nb.jobpack.layout import APPROVALS, CHECKPOINTS, MANIFEST, SIGNER, STATEMENT
from clockwork_nb.jobpack.manifest import footer, parse_footer
from clockwork_nb.jobpack.verify import signer_of
from clockwork_nb.render.verification import report_text
from tests.conformance.packs import rawzip, samples
from tests.conformance.packs.tamper import code, pack, remanifest, unpack, verify, zipped

ROOT = Path(__file__).resolve().parents[2]

# The bytes of the sample's pack are the format. A change here is a new line, and the older lines go on verifying.
SAMPLE_MANIFESTS = {
    1: "0e826b4d004c81cdfa0325c683a72763221aa0574d6fd0b905dcd1ce3bc81a35",
    2: "a47288ec38dd9904025ae4993a5648ae46653e1bfe897dd5d53762f65d491ff7",
}


def test_the_sample_pack_verifies_and_the_report_tells_its_story() -> None:
    made = pack(samples.sample_job())
    report = verify(made.data, file_name=made.name)
    assert (report.headline, report.exit_code, report.level) == ("VERIFIED signed", 0, "signed")
    assert report.failure is None
    assert {c.name for c in report.checks if c.status != "passed"} == {"memory", "end"}  # nobody asked for these
    assert (report.job_id, report.status, report.final, report.tainted) == (samples.JOB_ID, "completed", True, False)
    assert report.manifest_sha256 == made.manifest_sha256 == parse_json(unpack(made.data)[MANIFEST])["manifest_sha256"]
    assert report.counts == {
        "files": len(unpack(made.data)), "events": made.count, "cells": 3, "steps": 3, "failed": 0, "sections": 2,
        "approvals": 2,
    }  # fmt: skip
    assert [(a.by, a.via, a.used) for a in report.approvals] == [("ops", "button", True), ("schedule", "auto", True)]
    json.dumps(report.to_document())


@pytest.mark.parametrize("form", sorted(SAMPLE_MANIFESTS))
def test_the_bytes_of_every_form_are_frozen_and_verify(form: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clockwork_nb.jobpack.build.build_crate", functools.partial(build_crate, form=form))
    made = pack(samples.sample_job())
    assert made.manifest_sha256 == SAMPLE_MANIFESTS[form]
    assert verify(made.data).headline == "VERIFIED signed"
    assert (form == CRATE_FORMS[0]) == (form == max(SAMPLE_MANIFESTS))


@pytest.mark.parametrize(
    "surroundings",
    [
        {"TZ": "Pacific/Kiritimati", "LC_ALL": "C", "PYTHONHASHSEED": "1"},
        {"TZ": "America/St_Johns", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "4242", "SOURCE_DATE_EPOCH": "1"},
    ],
    ids=["east", "west"],
)
def test_two_builds_are_byte_identical_whatever_the_surroundings(surroundings: dict[str, str], tmp_path: Path) -> None:
    script = (
        "import os, sys; os.umask(0o077)\n"
        "from tests.conformance.packs import samples, tamper\n"
        "sys.stdout.buffer.write(tamper.pack(samples.sample_job()).data)\n"
    )
    env = {**os.environ, **surroundings, "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)}
    again = subprocess.run([sys.executable, "-c", script], env=env, cwd=tmp_path, check=True, capture_output=True)
    assert again.stdout == pack(samples.sample_job()).data


def test_another_key_changes_the_signature_the_key_and_the_manifest_only() -> None:
    job = samples.sample_job()
    one, two = unpack(pack(job).data), unpack(pack(job, samples.OTHER_KEY).data)
    assert {name for name in one if one[name] != two[name]} == {SIGNER, STATEMENT, MANIFEST}


def test_the_archive_is_what_the_standard_library_and_the_raw_writer_write() -> None:
    made = pack(samples.sample_job())
    assert rawzip.write(rawzip.files_of(unpack(made.data))) == made.data
    with zipfile.ZipFile(io.BytesIO(made.data)) as archive:
        infos = archive.infolist()
    assert [info.filename for info in infos] == sorted(info.filename for info in infos)
    assert {(i.compress_type, i.date_time, i.external_attr >> 16, i.extra, i.flag_bits) for i in infos} == {
        (zipfile.ZIP_STORED, (1980, 1, 1, 0, 0, 0), 0o100644, b"", 0)
    }


def test_an_unsigned_pack_is_intact_only_when_that_is_asked_for() -> None:
    made = pack(samples.sample_job(), key=None)
    assert code(verify(made.data)) == "E_SIG_REQUIRED"
    report = verify(made.data, require="integrity")
    assert (report.headline, report.exit_code, report.level, report.signer) == ("INTACT", 0, "integrity", None)


def test_an_unfinished_job_exports_under_another_name_and_says_so() -> None:
    job = samples.open_job()
    samples.apply_section(job, 1, samples.STEPS, serial=0)
    made = pack(job)
    assert (made.final, made.name) == (False, f"jobpack_{samples.JOB_ID}.at{job.seq}.zip")
    report = verify(made.data, file_name=made.name)
    assert (report.headline, report.final, report.status) == ("VERIFIED signed", False, "running")


def test_a_log_that_was_repaired_by_hand_is_called_tainted() -> None:
    job = samples.small_job()
    job.add("job.tainted", reason="cut at 4711 after a disk error", offset=4711)
    report = verify(pack(job).data)
    assert (report.headline, report.tainted) == ("VERIFIED signed", True)
    assert "repaired by hand: cut at 4711 after a disk error" in report_text(report.to_document())
    assert "repaired by hand" in unpack(pack(job).data)["clockwork/report.html"].decode()


def test_files_that_have_nothing_to_say_are_absent() -> None:
    job = samples.open_job()
    samples.close_job(job)
    files = unpack(pack(job).data)
    assert APPROVALS not in files
    assert "accept/accept_result.json" not in files
    assert files[CHECKPOINTS].count(b"\n") == 1
    assert verify(pack(job).data).headline == "VERIFIED signed"


def test_a_failed_step_its_log_and_a_retry_are_in_the_pack() -> None:
    job = samples.open_job()
    step = samples.Step("service.db", "ensure_service", b"", fails=3)
    job.add("section.opened", section=1, verb="apply", cell="", call=0, inputs="0" * 64)
    binds = samples.bind(job, 1, (step,), serial=0)
    approval, checkpoint = samples.ask(job, 1, binds)
    samples.grant(job, approval, checkpoint, binds, reason="go")
    samples.run_steps(job, 1, (step,), approval)
    job.add("step.retried", section=1, step_id=step.id, attempt=1, reason="port is free now")
    good = samples.Step("service.db", "ensure_service", b"up\n")
    samples.run_step(job, 1, 0, good, attempt=2)
    job.add("section.closed", section=1, outcome="completed", done=1, failed=0, skipped=0)
    samples.close_job(job)
    files = unpack(pack(job).data)
    assert files["clockwork/logs/1-0000.2.out"] == b"up\n"
    report = verify(pack(job).data)
    assert (report.counts["steps"], report.counts["failed"]) == (1, 0)
    page = files["clockwork/report.html"].decode()
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "\u202e" not in page


def test_documents_bound_and_then_replaced_are_kept_as_blobs() -> None:
    job = samples.open_job()
    job.add("section.opened", section=1, verb="apply", cell="", call=0, inputs="0" * 64)
    old_steps = (samples.Step("file.old", "write_file"),)
    old = samples.bind(job, 1, old_steps, serial=0)
    samples.ask(job, 1, old)
    binds = samples.bind(job, 1, samples.STEPS[:1], serial=3)
    approval, checkpoint = samples.ask(job, 1, binds)
    samples.grant(job, approval, checkpoint, binds, reason="the new one")
    samples.run_steps(job, 1, samples.STEPS[:1], approval)
    job.add("section.closed", section=1, outcome="completed", done=1, failed=0, skipped=0)
    samples.close_job(job)
    files = unpack(pack(job).data)
    assert files[f"clockwork/blobs/{old['plan']}"] == job.blobs[old["plan"]]
    assert files[f"clockwork/blobs/{sha256_hex(old_steps[0].script)}"] == old_steps[0].script
    assert sha256_hex(files["clockwork/sections/1/plan.json"]) == binds["plan"]
    assert verify(pack(job).data).headline == "VERIFIED signed"


def test_artifact_paths_that_no_zip_may_hold_become_blobs() -> None:
    job = samples.open_job()
    steps = tuple(samples.Step(address, "run") for address in ("file.A", "file.a", "con", "tmp:x"))
    samples.apply_section(job, 1, steps, serial=0)
    samples.close_job(job)
    files = unpack(pack(job).data)
    assert "clockwork/artifacts/1/scripts/file.A/run.sh" in files
    for step in steps[1:]:
        assert files[f"clockwork/blobs/{sha256_hex(step.script)}"] == step.script
    assert verify(pack(job).data).headline == "VERIFIED signed"


@pytest.mark.parametrize("damage", ["cut", "edited", "blob"])
def test_a_damaged_job_is_not_exported(damage: str) -> None:
    job = samples.small_job()
    log, blobs = job.log, dict(job.blobs)
    expected: type[Exception] = ChainBrokenError
    if damage == "cut":
        log = log[:-1]
    elif damage == "edited":
        log = log.replace(b"port move agreed", b"port move refuse", 1)
    else:
        blobs = dict.fromkeys(blobs, b"something else")
        expected = EvidenceInconsistentError
    with pytest.raises(expected):
        build_jobpack(job.genesis, log, blobs.__getitem__, key=samples.KEY)


def test_the_footer_pins_the_pack() -> None:
    made = pack(samples.sample_job())
    line = footer(made.job_id, made.manifest_sha256, made.name)
    said = parse_footer(line)
    assert (said.job_id, said.manifest_sha256, said.target) == (made.job_id, made.manifest_sha256, made.name)
    assert verify(made.data, expect_job=said.job_id, expect_manifest=said.manifest_sha256).exit_code == 0
    other = pack(samples.small_job())
    assert code(verify(other.data, expect_manifest=said.manifest_sha256)) == "E_VERIFY_HASH_MISMATCH"


@pytest.mark.parametrize(
    ("old", "new"),
    [("CLOCKWORK", "WRKR"), ("sha256:", "sha1:"), ("job_id=", "job="), ("\n", ""), ('zip"', 'zip" '), ('zip"', "zip")],
)
def test_a_line_that_is_almost_a_footer_is_none(old: str, new: str) -> None:
    line = footer("job_1", "0" * 64, "jobpack_job_1.zip")
    with pytest.raises(InvalidInputError):
        parse_footer(line.replace(old, new) if old in line else line + old)
    with pytest.raises(InvalidInputError):
        footer("job_1", "0" * 64, 'x" && evil "')


@pytest.mark.parametrize(
    ("name", "refused"),
    [
        ("jobpack_{id}.zip", False),
        ("jobpack_{id}.at{count}.zip", False),
        ("jobpack_{id}.0123456789ab.zip", False),
        ("evidence for ticket 7.zip", False),
        ("jobpack_{id} (1).zip", False),
        ("jobpack_job_other.zip", True),
        ("jobpack_{id}.at7.zip", True),
    ],
)
def test_a_file_name_that_says_another_job_is_refused(name: str, refused: bool) -> None:
    made = pack(samples.small_job())
    report = verify(made.data, file_name=name.format(id=made.job_id, count=made.count))
    assert code(report) == ("E_EVIDENCE_INCONSISTENT" if refused else "")


def test_the_signer_of_a_pack_is_read_only_when_the_signature_fits() -> None:
    made = pack(samples.small_job())
    assert signer_of(made.data) == samples.KEY.public
    assert signer_of(pack(samples.small_job(), key=None).data) is None
    foreign = remanifest({**unpack(made.data), SIGNER: signer_line(samples.OTHER_KEY.public)})
    with pytest.raises(SignatureInvalidError):
        signer_of(zipped(foreign))


def test_a_given_key_is_the_only_one_that_counts() -> None:
    made = pack(samples.small_job())
    assert verify(made.data, key=samples.KEY.public).headline == "VERIFIED signed"
    assert code(verify(made.data, key=samples.OTHER_KEY.public)) == "E_SIG_UNTRUSTED"
