"""``jobpack verify|inspect|diff|receipt|unpack`` and ``keys …`` as a person and as a script use them."""

from __future__ import annotations

import base64
import json
import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from clockwork_nb.session.packs import Packs
from clockwork_nb.settings import load_settings
from clockwork_nb.signing import SigningKey, keys_folder, trust_key
from clockwork_nb.testing.project import Project
from tests.conformance.packs import evidence_cases, samples
from tests.conformance.packs.samples import Job
from tests.conformance.packs.tamper import pack


@pytest.fixture
def trusting(project: Project) -> Project:
    """A project that trusts the key of the samples."""
    trust_key(project.root / "config" / "clockwork", samples.KEY.public, "ops")
    return project


def put(project: Project, job: Job, name: str = "", key: SigningKey | None = samples.KEY) -> Path:
    made = pack(job, key)
    path = project.folder / (name or made.name)
    path.write_bytes(made.data)
    return path


def prefix(job: Job, events: int) -> Job:
    """Return *job* as it was after *events* events."""
    out = Job(job_id=job.job_id, name=job.name)
    out.lines, out.events, out.blobs = job.lines[:events], job.events[:events], job.blobs
    return out


# --- verify -----------------------------------------------------------------------------------------------------


def test_every_check_is_in_the_document_with_its_result(trusting: Project) -> None:
    path = put(trusting, samples.sample_job())
    document = trusting.run("jobpack", "verify", str(path), "--require", "final", "--json").json
    checks = {check["name"]: check["status"] for check in document["checks"]}
    assert checks == {
        "archive": "passed", "manifest": "passed", "files": "passed", "signature": "passed", "history": "passed",
        "contents": "passed", "contract": "passed", "agreement": "passed", "identity": "passed", "memory": "not run",
        "trust": "passed", "end": "passed",
    }  # fmt: skip
    assert all(check["detail"] for check in document["checks"] if check["status"] == "passed")
    cut = trusting.folder / "cut.zip"
    cut.write_bytes(path.read_bytes().replace(b"echo", b"evil", 1))
    document = trusting.run("jobpack", "verify", str(cut), "--json", expect=2).json
    statuses = [check["status"] for check in document["checks"]]
    assert statuses == ["passed", "passed", "failed", *["not run"] * 9]
    assert document["failure"]["code"] == "E_VERIFY_HASH_MISMATCH"


def test_a_job_that_goes_on_is_verified_but_not_final(trusting: Project) -> None:
    path = put(trusting, prefix(samples.sample_job(), 30))
    assert "NOT FINISHED" in trusting.run("jobpack", "verify", str(path)).out
    done = trusting.run("jobpack", "verify", str(path), "--require", "final", expect=2)
    assert "[E_PACK_NOT_FINAL]" in done.out
    assert "The files are intact" in done.out


def test_pins_of_job_footer_and_manifest(trusting: Project) -> None:
    path, other = put(trusting, samples.sample_job()), put(trusting, samples.small_job())
    line = trusting.run("jobpack", "receipt", str(path)).out.strip()
    assert trusting.run("jobpack", "verify", str(path), "--footer", line, "--job", samples.JOB_ID).status == 0
    assert "E_EVIDENCE_INCONSISTENT" in trusting.run("jobpack", "verify", str(other), "--footer", line, expect=2).out
    assert "another job" in trusting.run("jobpack", "verify", str(other), "--job", samples.JOB_ID, expect=2).out
    manifest = line.partition("sha256:")[2][:64]
    wrong = trusting.run("jobpack", "verify", str(path), "--manifest", manifest[::-1], expect=2)
    assert "E_VERIFY_HASH_MISMATCH" in wrong.out
    assert trusting.run("jobpack", "verify", str(path), "--footer", "hello", expect=6)


def test_a_name_of_another_job_is_refused(trusting: Project) -> None:
    path = put(trusting, samples.sample_job(), "jobpack_job_small.zip")
    assert "name of another pack" in trusting.run("jobpack", "verify", str(path), expect=2).out


def test_what_was_remembered_shows_older_packs_and_forks(trusting: Project) -> None:
    job = samples.sample_job()
    early, whole = put(trusting, prefix(job, 8), "early.zip"), put(trusting, job, "whole.zip")
    run = trusting.run
    memory = trusting.root / "config" / "clockwork" / "remembered.jsonl"
    assert run("jobpack", "verify", str(early), "--json").json["relation"] == ""
    assert not memory.exists()
    run("jobpack", "verify", str(early), "--remember")
    assert run("jobpack", "verify", str(early), "--json").json["relation"] == "same"
    assert run("jobpack", "verify", str(whole), "--json", "--remember").json["relation"] == "extends"
    assert stat.S_IMODE(memory.stat().st_mode) == 0o600
    run("jobpack", "verify", str(whole), "--remember")
    assert memory.read_bytes().count(b"\n") == 2
    older = run("jobpack", "verify", str(early), "--json", expect=2).json
    assert (older["relation"], older["failure"]["code"]) == ("older", "E_EVIDENCE_INCONSISTENT")
    assert older["headline"] == "NOT VERIFIED"
    forked = Job(job_id=job.job_id, name=job.name)
    forked.lines, forked.events, forked.blobs, forked.clock = job.lines[:4], job.events[:4], job.blobs, 9_000
    samples.apply_section(forked, 1, samples.STEPS, serial=0)
    samples.close_job(forked)
    fork = put(trusting, forked, "fork.zip")
    for asked in ("signed", "integrity"):
        found = run("jobpack", "verify", str(fork), "--json", "--require", asked, expect=2).json
        assert found["relation"] == "forked"
    run("jobpack", "verify", str(fork), "--remember", expect=2)
    assert memory.read_bytes().count(b"\n") == 2
    other = put(trusting, samples.small_job(), "other.zip")
    assert run("jobpack", "verify", str(other), "--json").json["relation"] == ""
    memory.write_text("{}\n")
    assert "line 1, is damaged" in run("jobpack", "verify", str(whole), expect=10).err
    memory.chmod(0o666)
    run("jobpack", "verify", str(whole), expect=8)


def test_a_job_of_the_same_name_with_another_beginning_is_a_fork(trusting: Project) -> None:
    put(trusting, samples.small_job(), "one.zip")
    trusting.run("jobpack", "verify", str(trusting.folder / "one.zip"), "--remember")
    twin = Job(job_id="job_small", name="another")
    twin.add("job.created", name="another", adapter="notebook", objective="", spec="")
    path = put(trusting, twin, "two.zip")
    assert trusting.run("jobpack", "verify", str(path), "--json", expect=2).json["relation"] == "forked"


@pytest.mark.parametrize("kind", ["folder", "fifo", "device", "missing", "dangling", "socket"])
def test_what_is_no_file_is_a_usage_error_and_never_waited_for(trusting: Project, kind: str) -> None:
    path = trusting.folder / "odd.zip"
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "device":
        path = Path("/dev/zero")
    elif kind == "dangling":
        path.symlink_to("nowhere")
    elif kind == "socket":
        import socket

        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
    assert trusting.run("jobpack", "verify", str(path), expect=6).err


# --- inspect ----------------------------------------------------------------------------------------------------


def test_inspect_shows_who_what_when_and_one_file(trusting: Project) -> None:
    path = put(trusting, samples.sample_job())
    text = trusting.run("jobpack", "inspect", str(path)).out
    assert text.startswith("VERIFIED  signed")
    assert "by ops (button)" in text
    assert "NO PERSON (auto, schedule)" in text
    assert "Section 1  apply web, completed" in text
    assert "skipped      file.motd:write_file" in text
    document = trusting.run("jobpack", "inspect", str(path), "--events", "--json").json
    assert [event["seq"] for event in document["timeline"]] == list(range(1, document["job"]["count"] + 1))
    assert {f["path"] for f in document["files"]} >= {"manifest.json", "clockwork/events.jsonl"}
    shown = trusting.run("jobpack", "inspect", str(path), "--file", "clockwork/environment.json").out
    assert json.loads(shown)["schema"] == "clockwork.environment.v1"
    document = trusting.run("jobpack", "inspect", str(path), "--file", "clockwork/genesis.json", "--json").json
    assert base64.b64decode(document["content"]) == samples.sample_job().genesis
    missing = trusting.run("jobpack", "inspect", str(path), "--file", "genesis.json", expect=6)
    assert "Did you mean clockwork/genesis.json" in missing.err


@pytest.mark.parametrize("verb", ["inspect", "receipt"])
def test_nothing_is_shown_of_a_pack_that_is_not_verified_unless_asked(trusting: Project, verb: str) -> None:
    path = put(trusting, samples.sample_job(), key=samples.OTHER_KEY)
    refused = trusting.run("jobpack", verb, str(path), expect=2)
    assert refused.out == ""
    assert "E_SIG_UNTRUSTED" in refused.err
    shown = trusting.run("jobpack", verb, str(path), "--unverified", expect=2)
    assert samples.JOB_ID in shown.out
    settled = trusting.run("jobpack", verb, str(path), "--require", "integrity")
    assert "verified" not in settled.out.lower().replace("unverified", "").replace("jobpack verify", "")


def test_of_broken_evidence_only_what_was_read_is_shown(trusting: Project) -> None:
    cases = {case.id: case.data for case in evidence_cases.evidence()}
    path = trusting.folder / "broken.zip"
    path.write_bytes(cases["S-edited-record"])
    text = trusting.run("jobpack", "inspect", str(path), "--unverified", expect=2).out
    assert text.startswith("NOT VERIFIED")
    assert "What it claims:" in text
    assert "clockwork/events.jsonl" in text
    path.write_bytes(b"PK hello")
    trusting.run("jobpack", "inspect", str(path), "--unverified", expect=2)
    trusting.run("jobpack", "receipt", str(path), "--unverified", expect=2)


def test_what_is_shown_is_what_was_verified_whatever_becomes_of_the_file(
    trusting: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P19: the file is swapped for another one right after it was verified."""
    from clockwork_nb.jobpack import verify as room
    from clockwork_nb.jobpack.inspection import entry_bytes, inspect_pack

    path = put(trusting, samples.sample_job(), "pack.zip")
    evil = pack(samples.small_job(), samples.OTHER_KEY).data
    real = room.examine_jobpack

    def swapping(data: bytes, **asked: object) -> room.Examination:
        found = real(data, **asked)  # type: ignore[arg-type]
        path.write_bytes(evil)
        return found

    monkeypatch.setattr(room, "examine_jobpack", swapping)
    packs = Packs(load_settings(trusting.environment()))
    found, folder = packs.unpack(str(path), trusting.root / "unpacked")
    assert path.read_bytes() == evil
    assert inspect_pack(found)["job"]["id"] == samples.JOB_ID
    assert entry_bytes(found, "clockwork/genesis.json") == samples.sample_job().genesis
    assert (folder / "clockwork/genesis.json").read_bytes() == samples.sample_job().genesis
    assert samples.JOB_ID in packs.receipt(found)


# --- diff -------------------------------------------------------------------------------------------------------


def test_diff_says_which_log_is_longer_and_what_changed(trusting: Project) -> None:
    job = samples.sample_job()
    early, whole = put(trusting, prefix(job, 30), "early.zip"), put(trusting, job, "whole.zip")
    document = trusting.run("jobpack", "diff", str(early), str(whole), "--json").json
    assert (document["same_job"], document["relation"], document["common"]) == (True, "extends", 30)
    assert document["differences"]["outcome"]["b"]["status"] == "completed"
    assert any(item["name"] == "accept/accept_result.json" for item in document["differences"]["files"]["added"])
    text = trusting.run("jobpack", "diff", str(whole), str(early)).out
    assert "B is the shorter log of the same job; the first 30 events are the same" in text
    assert "identical" in trusting.run("jobpack", "diff", str(whole), str(whole)).out
    other = trusting.run("jobpack", "diff", str(whole), str(put(trusting, samples.small_job()))).out
    assert "two different jobs" in other


def test_two_histories_of_one_job_are_not_a_success(trusting: Project) -> None:
    job = samples.small_job()
    forked = Job(job_id=job.job_id, name=job.name)
    forked.lines, forked.events, forked.blobs, forked.clock = job.lines[:4], job.events[:4], job.blobs, 9_000
    samples.close_job(forked)
    a, b = put(trusting, job, "a.zip"), put(trusting, forked, "b.zip")
    done = trusting.run("jobpack", "diff", str(a), str(b), expect=2)
    assert "TWO HISTORIES" in done.out
    assert "the first 4 events are the same" in done.out
    unknown = put(trusting, job, "c.zip", key=samples.OTHER_KEY)
    assert trusting.run("jobpack", "diff", str(a), str(unknown), expect=2).out == ""
    trusting.run("jobpack", "diff", str(a), str(unknown), "--require", "integrity")


# --- receipt and unpack -----------------------------------------------------------------------------------------


def test_the_receipt_is_one_line_and_says_what_it_proves(trusting: Project) -> None:
    path = put(trusting, samples.sample_job())
    done = trusting.run("jobpack", "receipt", str(path))
    assert done.out.count("\n") == 1
    assert done.out.startswith(f"CLOCKWORK job_id={samples.JOB_ID} manifest=sha256:")
    assert "signed by ops" in done.err
    assert "does not" in done.err
    odd = put(trusting, samples.sample_job(), 'a "b" $(c).zip')
    assert f"verify jobpack_{samples.JOB_ID}.zip" in trusting.run("jobpack", "receipt", str(odd)).out


def test_unpack_writes_exactly_the_verified_files(trusting: Project) -> None:
    path = put(trusting, samples.sample_job())
    target = trusting.root / "out"
    done = trusting.run("jobpack", "unpack", str(path), str(target), "--json").json
    found = {str(p.relative_to(target)): p for p in target.rglob("*")}
    files = {name: p for name, p in found.items() if p.is_file()}
    assert len(files) == done["files"] == len(trusting.run("jobpack", "inspect", str(path), "--json").json["files"])
    assert {stat.S_IMODE(p.stat().st_mode) for p in files.values()} == {0o600}
    assert {stat.S_IMODE(p.stat().st_mode) for p in (target, *found.values()) if p.is_dir()} == {0o700}
    again = trusting.run("jobpack", "unpack", str(path), str(target), expect=8)
    assert "never overwrites" in again.err
    unknown = put(trusting, samples.small_job(), key=samples.OTHER_KEY)
    trusting.run("jobpack", "unpack", str(unknown), str(trusting.root / "no"), expect=2)
    assert not (trusting.root / "no").exists()
    trusting.run("jobpack", "unpack", str(unknown), str(trusting.root / "no"), "--unverified", expect=6)


# --- keys -------------------------------------------------------------------------------------------------------


def test_keys_from_the_first_to_the_rotated_one(project: Project, tmp_path: Path) -> None:
    run = project.run
    assert "no key yet" in run("keys", "list").err
    assert "keys init" in run("keys", "export", expect=6).err
    made = run("keys", "init", "--json").json
    assert made["created"]
    assert not run("keys", "init", "--json").json["created"]
    line = run("keys", "export").out
    assert line.startswith("ssh-ed25519 AAAA")
    (tmp_path / "me.pub").write_text(line)
    if shutil.which("ssh-keygen"):
        shown = subprocess.run(
            ["ssh-keygen", "-lf", tmp_path / "me.pub"], check=True, capture_output=True, text=True
        ).stdout
        assert made["fingerprint"] in shown
    assert run("keys", "export", "--allowed-signers", "ann").out.startswith('ann namespaces="clockwork-jobpack" ssh-')
    samples.write_folder(samples.small_job(), project.store)
    old_pack = Path(run("jobpack", "export", "job_small", "--json").json["path"])
    copied = tmp_path / "old.zip"
    shutil.copyfile(old_pack, copied)
    rotated = run("keys", "rotate", "--json").json
    assert rotated["old"] == made["fingerprint"]
    run("jobpack", "export", "job_small")
    assert run("jobpack", "verify", "job_small").status == 0
    assert run("jobpack", "verify", str(copied)).status == 0
    roles = [key["role"] for key in run("keys", "list", "--json").json]
    assert roles == ["own", "former"]
    receiver = Project(tmp_path / "receiver")
    assert receiver.run("jobpack", "verify", str(copied), expect=2).out.startswith("UNKNOWN SIGNER")
    wrong = receiver.run("keys", "trust", str(copied), "--fingerprint", rotated["fingerprint"], expect=2)
    assert "E_SIG_UNTRUSTED" in wrong.err
    receiver.run("keys", "trust", "--rotation", rotated["statement"], expect=2)
    receiver.run("keys", "trust", str(copied), "--fingerprint", made["fingerprint"], "--name", "ann")
    receiver.run("keys", "trust", "--rotation", rotated["statement"])
    assert "ann (ed25519" in receiver.run("jobpack", "verify", str(old_pack)).out
    receiver.run("keys", "revoke", rotated["fingerprint"])
    refused = receiver.run("jobpack", "verify", str(old_pack), expect=2)
    assert "[E_SIG_REVOKED]" in refused.out
    assert receiver.run("keys", "list").out.count("revoked") == 1


def test_keys_trust_wants_everything_it_needs(project: Project, tmp_path: Path) -> None:
    (tmp_path / "a.pub").write_text(samples.KEY.public.line("a"))
    path, told = str(tmp_path / "a.pub"), samples.KEY.public.fingerprint
    run = project.run
    asked = run("keys", "trust", path, expect=6)
    assert f"clockwork keys trust {path} --fingerprint {told}" in asked.err and "another way" in asked.err
    assert run("keys", "list", "--json").json == []
    assert "which key" in run("keys", "trust", "--fingerprint", told, expect=6).err
    assert "a public key file has one line" in run("keys", "trust", "/etc/passwd", expect=6).err
    run("keys", "trust", path, "--fingerprint", told, "--valid-before", "soon", expect=6)
    run("keys", "trust", path, "--rotation", path, expect=6)
    run("keys", "trust", path, "--fingerprint", told, "--name", "ann", "--valid-before", "20261101Z")
    pack_path = put(project, samples.small_job())
    assert "[E_SIG_EXPIRED]" in run("jobpack", "verify", str(pack_path), expect=2).out
    run("keys", "revoke", path)
    assert "already" in run("keys", "revoke", told).out
    run("keys", "revoke", "SHA256:x", expect=6)
    assert not keys_folder(project.root / "config" / "clockwork").exists()


# --- export -----------------------------------------------------------------------------------------------------


def test_a_pack_of_a_job_that_went_on_is_kept_under_its_manifest(project: Project) -> None:
    job = samples.small_job()
    folder = samples.write_folder(job, project.store)
    first = project.run("jobpack", "export", "job_small", "--json").json
    again = project.run("jobpack", "export", "job_small", "--unsigned", "--json").json
    assert again["path"] == first["path"]
    kept = Path(first["path"]).with_name(f"jobpack_job_small.{first['manifest_sha256'][:12]}.zip")
    assert project.run("jobpack", "verify", str(kept)).status == 0
    (folder / "events.jsonl").write_bytes(prefix(job, 12).log)
    (folder / "lease.json").unlink()
    samples.write_folder(prefix(job, 12), project.store)
    running = project.run("jobpack", "export", "job_small")
    assert "jobpack_job_small.at12.zip   the job is not finished" in running.out


def test_a_published_file_above_the_limit_is_named_and_not_included(trusting: Project) -> None:
    job = samples.open_job(job_id="job_large")
    job.add("artifact.published", path="data/large.bin", op="added", blob=job.blob(b"x" * 5000))
    job.add("artifact.published", path="data/small.bin", op="added", blob=job.blob(b"y" * 50))
    samples.close_job(job)
    samples.write_folder(job, trusting.store)
    whole = trusting.run("jobpack", "export", "job_large", "--json").json
    assert whole["not_included"] == []
    less = trusting.run("jobpack", "export", "job_large", "--max-artifact-bytes", "4999", "--json").json
    assert [item["size"] for item in less["not_included"]] == [5000]
    report = trusting.run("jobpack", "verify", "job_large")
    assert "not included  1 published file of 4.9 KiB, listed by digest only" in report.out
    assert "NOT INCLUDED" in trusting.run("jobpack", "inspect", "job_large").out
    trusting.run("jobpack", "export", "job_large", "--max-artifact-bytes", "-1", expect=6)
