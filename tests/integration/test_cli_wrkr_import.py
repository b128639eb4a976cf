"""``job import`` and ``jobpack export FOLDER``: a Wrkr job folder is read, shown and exported, and never touched."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from clockwork_nb.errors import InvalidInputError
from clockwork_nb.session.imports import import_document, read_folder
from clockwork_nb.testing.project import Project
from tests.conformance.wrkr.folders import SAMPLES, WrkrFolder, decision, demo, poisoned, torn
from tests.conformance.wrkr.wrkr_verify import wrkr_verify


def laid(root: Path, folder: WrkrFolder) -> Path:
    """Put *folder* on the disk as Wrkr has it and return where it is."""
    path = root / "wrkr" / "jobs" / folder.job_id
    path.mkdir(mode=0o750, parents=True)
    for name, data in folder.files().items():
        (path / name).write_bytes(data)
        (path / name).chmod(0o600)
    return path


def fingerprint(path: Path) -> list[tuple[str, int, int, int, bytes]]:
    found = [(p.name, p.stat()) for p in sorted(path.iterdir())]
    return [(name, s.st_mode, s.st_mtime_ns, s.st_ino, (path / name).read_bytes()) for name, s in found]


def test_a_waiting_job_is_shown_like_one_of_ours(project: Project) -> None:
    path = laid(project.root, decision("waiting", until="blocked"))
    out = project.run("job", "import", str(path)).out
    assert out.startswith("waiting  blocked_decision · a Wrkr job, read only · reference · 2 of 3 steps\n")
    assert "\n  open      cp_11 request manager approval (review and approve step review)\n" in out
    assert "\n  budget    wall s at most 3600 · steps 2 / 20 · retries 0 / 2 · tool calls 1 / 200\n" in out
    assert 'Next   wrkr approve waiting --checkpoint cp_11 --reason "…"\n       wrkr resume waiting\n' in out
    assert f"       clockwork jobpack export {path}/\n" in out
    document = project.run("job", "import", str(path), "--json").json
    assert (document["status"], document["read_only"], document["findings"]) == ("blocked_decision", True, [])
    assert project.jobs() == []  # it never becomes a job here


def test_what_is_wrong_with_a_folder_is_shown_with_its_place(project: Project) -> None:
    folder = poisoned()
    path = laid(project.root, folder)
    (path / "append.lock").write_text("pid=1;ts=1")
    (path / "notes.txt").write_text("x")
    out = project.run("job", "import", str(path)).out
    assert "\n  broken    Wrkr itself cannot read this job any more\n" in out
    assert "[broken_line]\n" in out
    assert "events.jsonl event 14, byte 3,085: a whole record (status_changed) is glued to a partial one" in out
    assert "readable up to byte 3,040 of" in out
    assert "\n  folder    append.lock is there: Wrkr is writing now, or was killed while it did\n" in out
    assert "\n  folder    not Wrkr's, and not read: notes.txt\n" in out
    assert "wrkr approve" not in out  # Wrkr could not
    race = laid(project.root, SAMPLES["cancel-race"]())
    assert (
        "status is 'blocked_decision'; at event 15 the log says 'canceled'"
        in project.run("job", "import", str(race)).out
    )


def test_export_writes_a_pack_that_both_verifiers_accept(project: Project) -> None:
    path = laid(project.root, decision())
    exported = project.run("jobpack", "export", f"{path}/", "--json").json
    pack = Path(exported["path"])
    assert pack == project.folder / "clockwork-out" / "jobpacks" / "jobpack_dec.zip"
    assert wrkr_verify(pack.read_bytes())[0] == 0
    shown = project.run("jobpack", "verify", str(pack)).out
    assert shown.startswith("VERIFIED  signed import   jobpack_dec.zip")
    assert "a chained log: this shows what default imported, not that nobody edited it before" in shown
    assert project.run("jobpack", "verify", "dec").out == shown
    again = project.run("job", "import", str(path), "--export", "--json").json
    assert again["pack"] == exported
    assert sorted(p.name for p in pack.parent.iterdir()) == ["jobpack_dec.zip"]  # the same bytes, nothing set aside
    assert exported["footer"].startswith("CLOCKWORK job_id=dec manifest=sha256:")


def test_export_is_the_same_for_everybody_but_for_the_signature(project: Project) -> None:
    path = laid(project.root, decision(until="blocked"))
    copy = project.root / "elsewhere" / "dec"
    shutil.copytree(path, copy)
    packs = []
    for number, source in enumerate((path, copy)):
        project.env |= {"TZ": ("Asia/Tokyo", "UTC")[number], "LC_ALL": "C", "PYTHONHASHSEED": str(number)}
        out = project.root / f"out{number}"
        exported = project.run("jobpack", "export", f"{source}/", "--unsigned", "--out-dir", str(out), "--json").json
        assert exported["path"].endswith("jobpack_dec.at13.zip")
        assert not exported["final"]
        packs.append(Path(exported["path"]).read_bytes())
    assert packs[0] == packs[1]
    assert "INTACT" in project.run("jobpack", "verify", exported["path"], "--require", "integrity").out
    assert "E_SIG_REQUIRED" in project.run("jobpack", "verify", exported["path"], expect=2).out


def test_the_other_verbs_for_packs_take_an_import_too(project: Project) -> None:
    blocked = project.run(
        "jobpack", "export", f"{laid(project.root / 'a', decision(until='blocked'))}/", "--json"
    ).json["path"]
    done = project.run("jobpack", "export", f"{laid(project.root / 'b', decision())}/", "--json").json["path"]
    events = project.run("jobpack", "inspect", done, "--events").out.splitlines()[-22:]
    assert [line.split()[0] for line in events] == [str(number) for number in range(1, 23)]
    assert "status_changed" in events[2]
    assert project.run("jobpack", "inspect", blocked, "--file", "clockwork/imported/events.jsonl").out.count("\n") == 13
    changed = project.run("jobpack", "diff", blocked, done, "--json", expect=None).json["differences"]
    assert changed["outcome"]["b"] == {"status": "completed", "final": True}
    assert "CLOCKWORK job_id=dec" in project.run("jobpack", "receipt", done).out
    project.run("jobpack", "unpack", done, "out")
    original = project.folder / "out" / "clockwork" / "imported" / "events.jsonl"
    assert original.read_bytes() == (project.root / "b/wrkr/jobs/dec/events.jsonl").read_bytes()


def test_an_id_that_our_footer_cannot_name_exports_without_one(project: Project) -> None:
    exported = project.run("jobpack", "export", f"{laid(project.root, demo('My_Job'))}/", "--json").json
    assert exported["footer"] == ""
    assert project.run("jobpack", "verify", exported["path"]).status == 0
    assert project.run("jobpack", "export", f"{project.root}/wrkr/jobs/My_Job/").out.count("\n") == 1


@pytest.mark.parametrize("words", [("job", "import"), ("jobpack", "export"), ("job", "import", "--export")])
def test_nothing_in_the_folder_is_written_or_locked(project: Project, words: tuple[str, ...]) -> None:
    path = laid(project.root, torn())
    path.chmod(0o500)
    before = fingerprint(path)
    assert project.run(*words, f"{path}/").status == 0
    assert fingerprint(path) == before


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_no_file_of_the_folder_is_opened_for_writing(project: Project) -> None:
    path = laid(project.root, decision())
    trace = project.root / "trace"
    command = ["strace", "-f", "-y", "-e", "trace=%file,flock,fcntl", "-o", str(trace)]
    done = subprocess.run(
        [*command, *project.command("jobpack", "export", f"{path}/")], cwd=project.folder, env=project.environment(),
        capture_output=True, check=False, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    calls = [line for line in trace.read_text(errors="replace").splitlines() if "/wrkr/jobs/dec" in line]
    opened = [line for line in calls if re.match(r"\d+ +open(?:at2?)?\(", line)]
    assert len(opened) >= 5
    assert all("O_RDONLY" in line for line in opened)
    assert all("O_NOFOLLOW" in line for line in opened if "O_DIRECTORY" not in line)
    forbidden = ("flock", "F_SETLK", "rename", "unlink", "link(", "chmod", "utime", "truncate", "mkdir")
    assert not [line for line in calls if any(word in line for word in forbidden)]


def spoil_link(path: Path) -> None:
    (path / "real").write_bytes((path / "events.jsonl").read_bytes())
    (path / "events.jsonl").unlink()
    (path / "events.jsonl").symlink_to("real")


def spoil_fifo(path: Path) -> None:
    (path / "snapshot.json").unlink()
    os.mkfifo(path / "snapshot.json")


def spoil_folder(path: Path) -> None:
    (path / "events.jsonl").unlink()
    (path / "events.jsonl").mkdir()


def spoil_size(path: Path) -> None:
    with (path / "events.jsonl").open("r+b") as log:
        log.truncate((64 << 20) + 1)


def spoil_snapshot_size(path: Path) -> None:
    with (path / "snapshot.json").open("r+b") as file:
        file.truncate((8 << 20) + 1)


def spoil_all(path: Path) -> None:
    for file in path.iterdir():
        file.unlink()


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (spoil_link, "events.jsonl is a link"),
        (spoil_fifo, "snapshot.json is not a file"),
        (spoil_folder, "events.jsonl is not a file"),
        (spoil_size, "more than 67,108,864 bytes"),
        (spoil_snapshot_size, "more than 8,388,608 bytes"),
        (spoil_all, "is not a Wrkr job"),
    ],
)
def test_a_hostile_folder_is_refused_clearly(tmp_path: Path, spoil: object, says: str) -> None:
    path = laid(tmp_path, decision())
    assert callable(spoil)
    spoil(path)
    with pytest.raises(InvalidInputError, match=says):
        read_folder(path)


def test_what_is_no_folder_leaves_with_6_and_says_what_to_name(project: Project) -> None:
    for target in ("nowhere", str(project.root), "/dev/null"):
        done = project.run("job", "import", target, "--json", expect=6)
        assert (done.error["code"], "~/.wrkr/jobs" in done.error["hint"]) == ("E_INVALID_INPUT_SCHEMA", True)
    project.run("jobpack", "export", "./nowhere", expect=6)
    folder = demo()
    folder.log = bytearray(b"x\n")
    path = laid(project.root, folder)
    assert "nothing to export" in project.run("jobpack", "export", f"{path}/", expect=6).err
    assert "broken_line" in project.run("job", "import", str(path)).out


def test_a_link_to_the_folder_itself_may_be_named(tmp_path: Path) -> None:
    path = laid(tmp_path, demo())
    link = tmp_path / path.name
    link.symlink_to(path)
    assert import_document(read_folder(link))["status"] == "completed"


def test_control_characters_in_a_folder_do_not_reach_the_terminal(project: Project) -> None:
    folder = decision("evil", until="blocked")
    folder.checkpoint("decision-needed", "\x1b[2J\u202e", action={"kind": "\x07", "instructions": ""})
    folder.append("\x1b]0;x\x07")
    out = project.run("job", "import", str(laid(project.root, folder))).out
    assert not set("\x1b\x07\u202e") & set(out)


def test_a_folder_is_read_while_wrkr_writes(tmp_path: Path) -> None:
    """Only what is usual while somebody writes is found: a torn tail, a snapshot behind; nothing is ever lost."""
    folder = decision(until="blocked")
    path = laid(tmp_path, folder)
    stop = threading.Event()

    def write() -> None:  # as Wrkr does: append to the log, then replace the snapshot
        while not stop.is_set() and folder.seq < 1500:
            at = len(folder.log)
            folder.checkpoint("progress", "x" * 300)
            with (path / "events.jsonl").open("ab", buffering=0) as log:
                for piece in (bytes(folder.log[at : at + 150]), bytes(folder.log[at + 150 :])):
                    log.write(piece)
            temporary = path / "snapshot.json.tmp"
            temporary.write_bytes(folder.files()["snapshot.json"])
            temporary.rename(path / "snapshot.json")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        seen = [import_document(read_folder(path)) for _ in range(25)]
    finally:
        stop.set()
        writer.join()
    codes = {finding["code"] for document in seen for finding in document["findings"]}
    assert codes <= {"torn_tail", "snapshot_behind"}
    counts = [document["events"] for document in seen]
    assert counts == sorted(counts)


def test_ten_thousand_events_are_read_with_their_order_of_size(tmp_path: Path) -> None:
    folder = decision("long", until="blocked")
    folder.save = False
    for _ in range(10_000):
        folder.checkpoint("progress", "still at it", added=["reports/plan.md"])
    folder.save_snapshot()
    document = import_document(read_folder(laid(tmp_path, folder)))
    assert (document["events"], document["findings"], document["checkpoints"]) == (10_013, [], 10_003)
    assert json.dumps(document).count("\n") == 0
