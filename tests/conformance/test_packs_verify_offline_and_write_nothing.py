"""Watched from outside (strace): verifying opens no socket and opens no file for writing, whatever the pack is."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from clockwork_nb.signing import trust_key
from tests.conformance.packs import corpus, samples
from tests.conformance.packs.tamper import pack

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")

_WRITING = re.compile(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC|O_APPEND|O_TMPFILE")
_CHANGING = re.compile(
    r"^\d*\s*(mkdir|rename|unlink|rmdir|link|symlink|chmod|fchmod|chown|truncate|mknod|utime|setxattr)"
)
_BATCH = """
import sys
from pathlib import Path
from clockwork_nb.jobpack.verify import verify_jobpack
from clockwork_nb.signing import TrustStore
for path in sorted(Path(sys.argv[1]).iterdir()):
    verify_jobpack(path.read_bytes(), trust=TrustStore(), require="integrity")
"""


def traced(tmp_path: Path, command: Sequence[str], *, expect: Sequence[int] = (0,)) -> list[str]:
    """Run *command* where every network call fails, and return its system calls about files and sockets."""
    trace = tmp_path / "trace"
    done = subprocess.run(
        ["strace", "-f", "-qq", "-o", trace, "-e", "trace=%file,%network,ftruncate,fchmod,fchown",
         "-e", "inject=%network:error=EPERM", *command],
        cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "XDG_CONFIG_HOME": str(tmp_path / "config"),
             "CLOCKWORK_HOME": str(tmp_path / "home")},
    )  # fmt: skip
    assert done.returncode in expect, done.stderr[-2000:]
    return trace.read_text().splitlines()


def check(calls: list[str]) -> None:
    assert len(calls) > 100  # the trace is one
    writing = [c for c in calls if _WRITING.search(c) and "/dev/null" not in c and "/dev/tty" not in c]
    assert writing == []
    assert [c for c in calls if _CHANGING.match(c)] == []
    sockets = [c for c in calls if re.search(r"\b(socket|connect|bind|sendto|recvfrom|socketpair)\(", c)]
    assert sockets == []


def test_the_watcher_sees_a_write_and_a_socket(tmp_path: Path) -> None:
    script = f"import socket\nopen({str(tmp_path / 'x')!r}, 'w')\ntry:\n    socket.socket()\nexcept PermissionError:\n    pass\n"
    calls = traced(tmp_path, [sys.executable, "-c", script])
    with pytest.raises(AssertionError):
        check(calls)
    assert any("socket(" in call and "EPERM" in call for call in calls)


def test_every_class_of_the_corpus_is_verified_without_a_trace(tmp_path: Path) -> None:
    folder = tmp_path / "cases"
    folder.mkdir()
    for letter in corpus.CLASSES:
        small = [case for case in corpus.cases_of(letter) if len(case.data) < 1_000_000]
        for case in small[::3]:
            (folder / case.id).write_bytes(case.data)
    before = sorted(folder.iterdir())
    check(traced(tmp_path, [sys.executable, "-c", _BATCH, str(folder)]))
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize("good", [True, False], ids=["good", "bad"])
def test_the_command_leaves_no_trace(tmp_path: Path, good: bool) -> None:
    trust_key(tmp_path / "config" / "clockwork", samples.KEY.public, "ops")
    made = pack(samples.small_job()).data
    path = tmp_path / "pack.zip"
    path.write_bytes(made if good else made[:-1])
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")}
    for words in (["verify"], ["inspect", "--unverified"], ["receipt", "--unverified"]):
        command = [sys.executable, "-m", "clockwork_nb.cli", "jobpack", words[0], str(path), *words[1:]]
        check(traced(tmp_path, command, expect=(0,) if good else (2,)))
    after = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.name != "trace"}
    assert after.keys() == before.keys()
    assert {p for p in after if p.is_file() and after[p] != before[p]} == set()
