"""What a run counts on is durable by then: checked on the system calls of the real commands (P3), not on their code.

`tests/fault/durability_lint.py` has the rules. It is tried first on traces in which something is wrong.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from clockwork_nb.testing.project import Project
from tests.fault.durability_lint import TRACED, Finding, Scope, calls_of, lint

SCOPE = Scope(("/home/jobs",), ("/project/.clockwork/state.json",), ("/out",))
LOG = "/home/jobs/j/events.jsonl"

GOOD = f"""\
10 write(4<{LOG}>, "{{"..., 300) = 300
10 fdatasync(4<{LOG}>) = 0
11 sendmsg(6<socket:[77]>, {{msg_name=NULL}}, 0) = 20
20 execve("/usr/bin/sh", ["/"..., ...], 0x7f9389a18d00 /* 9 vars */) = 0
11 openat(AT_FDCWD</project>, "/home/jobs/j/blobs/sha256/ab/.abc.tmp", O_WRONLY|O_CREAT|O_EXCL, 0600) = 5</home/jobs/j/blobs/sha256/ab/.abc.tmp>
11 write(5</home/jobs/j/blobs/sha256/ab/.abc.tmp>, "x"..., 10) = 10
11 fsync(5</home/jobs/j/blobs/sha256/ab/.abc.tmp>) = 0
11 rename("/home/jobs/j/blobs/sha256/ab/.abc.tmp", "/home/jobs/j/blobs/sha256/ab/abc") = 0
11 fsync(5</home/jobs/j/blobs/sha256/ab>) = 0
10 write(4<{LOG}>, "{{"..., 300) = 300
10 fdatasync(4<{LOG}> <unfinished ...>
12 openat(AT_FDCWD</project>, "/etc/none", O_RDONLY) = -1 ENOENT (No such file or directory)
10 <... fdatasync resumed>) = 0
11 write(1</out>, "o"..., 3) = 3
12 openat(7</project/.clockwork>, ".state.json.1.tmp", O_WRONLY|O_CREAT|O_EXCL, 0600) = 8</project/.clockwork/.state.json.1.tmp>
12 write(8</project/.clockwork/.state.json.1.tmp>, "{{"..., 100) = 100
12 fsync(8</project/.clockwork/.state.json.1.tmp>) = 0
12 renameat(7</project/.clockwork>, ".state.json.1.tmp", 7</project/.clockwork>, "state.json") = 0
12 fsync(7</project/.clockwork>) = 0
12 write(1</out>, "o"..., 3) = 3
12 mkdir("/home/jobs/.new-k", 0700) = 0
12 fsync(9</home/jobs>) = 0
12 openat(AT_FDCWD</project>, "/home/jobs/.new-k/events.jsonl", O_WRONLY|O_CREAT|O_EXCL, 0600) = 9</home/jobs/.new-k/events.jsonl>
12 write(9</home/jobs/.new-k/events.jsonl>, "{{"..., 100) = 100
12 fdatasync(9</home/jobs/.new-k/events.jsonl>) = 0
12 fsync(9</home/jobs/.new-k>) = 0
12 rename("/home/jobs/.new-k", "/home/jobs/k") = 0
12 fsync(9</home/jobs>) = 0
12 unlink("/home/jobs/k/old") = 0
12 fsync(9</home/jobs/k>) = 0
12 write(1</out>, "o"..., 3) = 3
""".splitlines()


def without(text: str, count: int = 1) -> list[str]:
    """Return the good trace without the lines that begin with *text*."""
    kept = [line for line in GOOD if not line.startswith(text)]
    assert len(kept) == len(GOOD) - count
    return kept


def swapped(first: str, second: str) -> list[str]:
    """Return the good trace with two lines, named by how they begin, in each other's place."""
    lines = list(GOOD)
    a, b = (next(i for i, line in enumerate(lines) if line.startswith(text)) for text in (first, second))
    assert a != b
    lines[a], lines[b] = lines[b], lines[a]
    return lines


def test_a_trace_in_which_all_is_well_gives_no_finding() -> None:
    assert lint(GOOD, SCOPE) == []


def test_calls_are_joined_when_threads_interleave_and_failed_ones_left_out() -> None:
    calls = list(calls_of(GOOD))
    assert len(calls) == len(GOOD) - 2
    waited = next(call for call in calls if call.began != call.ended)
    assert (waited.name, waited.path, waited.ended - waited.began) == ("fdatasync", LOG, 2)
    renamed = next(call for call in calls if call.name == "renameat")
    assert renamed.names == ["/project/.clockwork/.state.json.1.tmp", "/project/.clockwork/state.json"]


@pytest.mark.parametrize(
    ("lines", "rule", "path"),
    [
        (without(f"10 fdatasync(4<{LOG}>) "), "log", LOG),
        (swapped(f"10 fdatasync(4<{LOG}>) ", "11 sendmsg"), "log", LOG),
        (swapped(f"10 fdatasync(4<{LOG}>) ", "20 execve"), "log", LOG),
        (swapped("11 write(1</out>", "10 <... fdatasync resumed>"), "log", LOG),
        (without("11 fsync(5</home/jobs/j/blobs/sha256/ab/.abc.tmp>"), "rename", "/home/jobs/j/blobs/sha256/ab/.abc.tmp"),
        (swapped("11 fsync(5</home/jobs/j/blobs/sha256/ab/.abc.tmp>", "11 rename"), "rename", "/home/jobs/j/blobs/sha256/ab/.abc.tmp"),
        (without("11 fsync(5</home/jobs/j/blobs/sha256/ab>"), "name", "/home/jobs/j/blobs/sha256/ab/abc"),
        (without("12 fsync(8<"), "rename", "/project/.clockwork/.state.json.1.tmp"),
        (without("12 fsync(7<"), "name", "/project/.clockwork/state.json"),
        (swapped("12 fsync(7<", "12 mkdir"), "name", "/project/.clockwork/state.json"),
        (without("12 fdatasync(9<"), "rename", "/home/jobs/.new-k/events.jsonl"),
        (without("12 fsync(9</home/jobs/.new-k>"), "rename", "/home/jobs/.new-k/events.jsonl"),
        (without("12 fsync(9</home/jobs>", 2), "name", "/home/jobs/k"),
        (without("12 fsync(9</home/jobs/k>"), "name", "/home/jobs/k/old"),
        ([*GOOD, f'10 write(4<{LOG}>, "{{"..., 300) = 300'], "end", LOG),
        ([*GOOD, '10 mkdir("/home/jobs/j/blobs", 0700) = 0'], "end", "/home/jobs/j/blobs"),
        ([*GOOD, '10 link("/home/jobs/j/a", "/home/jobs/j/b") = 0'], "end", "/home/jobs/j/b"),
    ],
)  # fmt: skip
def test_a_sync_that_is_missing_or_late_is_found(lines: list[str], rule: str, path: str) -> None:
    assert (rule, path) in {(found.rule, found.path) for found in lint(lines, SCOPE)}


def test_a_sync_that_began_before_the_write_ended_does_not_count() -> None:
    lines = [
        f'10 write(4<{LOG}>, "{{"..., 300 <unfinished ...>',
        f"11 fdatasync(4<{LOG}> <unfinished ...>",
        "10 <... write resumed>) = 300",
        "11 <... fdatasync resumed>) = 0",
    ]
    assert lint(lines, SCOPE) == [Finding(4, "end", LOG)]


def test_what_need_not_be_durable_is_left_alone() -> None:
    lines = [
        '10 openat(AT_FDCWD</p>, "/home/jobs/j/append.lock", O_RDWR|O_CREAT, 0600) = 3</home/jobs/j/append.lock>',
        '10 openat(AT_FDCWD</p>, "/tmp/x", O_RDWR|O_CREAT, 0600) = 3</tmp/x>',
        '10 write(3</tmp/x>, "x", 1) = 1',
        '10 write(1</out>, "o"..., 3) = 3',
    ]
    assert lint(lines, SCOPE) == []


# --- the real commands --------------------------------------------------------------------------------------------

SITE = """
directory "out" {
  path = "out"
}

command "one" {
  script     = "echo one >> out/log"
  writes     = ["out"]
  depends_on = [directory.out]
}

command "two" {
  script     = "cat out/log"
  depends_on = [command.one]
}
"""

SPEC = {
    "name": "nightly",
    "inputs": {
        "steps": [
            {"id": "build", "command": "echo built; echo built > built.txt", "artifacts": ["built.txt"]},
            {"id": "ship", "command": "echo shipped >> shipped.txt", "decision_needed": True},
        ]
    },
}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    made = Project(tmp_path)
    made.write({"main.cw": SITE, "spec.json": json.dumps(SPEC)})
    return made


def findings(project: Project, *words: str, expect: int = 0) -> list[str]:
    """Run ``clockwork WORDS`` under strace and return what the lint says about it."""
    trace, told = project.root / "trace", project.root / "told"
    strace = ["strace", "-f", "--seccomp-bpf", "-qq", "-y", "-s", "1", "-e", "signal=none", "-o", str(trace)]
    with told.open("w") as stdout:
        done = subprocess.run(
            [*strace, "-e", f"trace={TRACED}", *project.command(*words)],
            cwd=project.folder, env=project.environment(), stdin=subprocess.DEVNULL, stdout=stdout,
            stderr=subprocess.PIPE, text=True, timeout=110, check=False,
        )  # fmt: skip
    assert done.returncode == expect, done.stderr
    lines = trace.read_text(errors="replace").splitlines()
    own = project.folder / ".clockwork"
    scope = Scope(
        (str(project.store), str(project.root / "config"), str(project.folder / "clockwork-out")),
        tuple(str(own / name) for name in ("state.json", "state.json.backup", "secret.key")),
        (str(told),),
        # Scripts and step logs for people to read: what runs, and what is evidence, lies in blobs.
        tuple(str(path) for work in (own, *project.store.glob("work/*")) for path in (work / "build", work / "logs")),
    )
    found = [f"{f.rule}: {f.path}: {lines[f.line - 1]}" for f in lint(lines, scope)]
    calls = [call for call in calls_of(lines) if call.path.endswith("events.jsonl")]
    assert {call.name for call in calls} >= {"write", "fdatasync"} or words[0] != "apply"
    return found


def test_apply_approve_resume_and_export(project: Project) -> None:
    assert findings(project, "apply", "--auto-approve") == []
    job = project.jobs()[0]["id"]
    assert findings(project, "jobpack", "export", job) == []
    assert findings(project, "destroy", "--auto-approve") == []


def test_a_submitted_job_that_waits_is_approved_and_resumed(project: Project) -> None:
    assert findings(project, "job", "submit", "spec.json", "--job-id", "n1", expect=4) == []
    plan = project.run("job", "status", "n1", "--json").json["waiting"][0]["plan"]
    assert findings(project, "approve", "n1", "--plan", plan[:8], "--reason", "looked at it") == []
    assert findings(project, "job", "resume", "n1") == []
    assert findings(project, "job", "submit", "spec.json", "--job-id", "n2", expect=4) == []
    assert findings(project, "job", "cancel", "n2") == []
