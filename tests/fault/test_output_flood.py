"""A step that prints without end costs bounded memory, and all of it is counted and hashed (P29)."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
MIB = 1 << 20

# Says how much memory it needed at most, which only a process of its own can tell.
RUN = """
import json, resource, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from clockwork_nb.forge.confinement import read_roots
from clockwork_nb.forge.launch import Launcher, LaunchSpec
from clockwork_nb.forge.logs import LogFolder
from clockwork_nb.secrets import Redactor
folder = Path(sys.argv[2])
redactor = Redactor()
if sys.argv[4]:
    redactor.register(sys.argv[4])
log = LogFolder(folder / "logs").step("command.flood", "run", redactor)
spec = LaunchSpec(("sh", "s"), "/bin/sh", {"PATH": "/usr/bin:/bin"}, folder, script=sys.argv[3].encode(),
                  script_name="s", read_roots=read_roots(folder), timeout_s=100)
with Launcher() as launcher:
    result = launcher.run(spec, on_output=log.write)
log.close()
peak = [l for l in open("/proc/self/status") if l.startswith("VmHWM")][0].split()[1]
print(json.dumps({"code": result.exit_code, "signal": result.signal, "total": log.out.total, "err": log.err.total,
                  "truncated": log.out.truncated, "whole": log.out.whole_sha256(), "kept": len(log.out.content()),
                  "file": log.out.path.stat().st_size if log.out.total else 0, "peak_mib": int(peak) / 1024}))
"""


def flood(folder: Path, script: str, secret: str = "") -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(PROJECT), str(folder), script, secret],
        capture_output=True, text=True, check=True, timeout=110,
    )  # fmt: skip
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_a_flood_is_counted_and_hashed_whole_but_kept_in_part(tmp_path: Path) -> None:
    size = 192 * MIB
    found = flood(tmp_path, f"yes | head -c {size}; yes e | head -c {16 * MIB} >&2")
    assert (found["code"], found["total"], found["err"]) == (0, size, 16 * MIB)
    expected = hashlib.sha256()
    block = b"y\n" * (MIB // 2)
    for _ in range(size // MIB):
        expected.update(block)
    assert found["whole"] == expected.hexdigest()
    assert found["truncated"] is True
    assert found["kept"] == found["file"]
    assert 8 * MIB <= int(str(found["kept"])) < 8 * MIB + 200
    assert float(str(found["peak_mib"])) < 64


def test_one_endless_line_with_secrets_in_it_is_bounded_too(tmp_path: Path) -> None:
    secret = "flood-canary-5e5ame"
    script = f"yes | tr -d '\\n' | head -c {24 * MIB}; yes {secret} | tr -d '\\n' | head -c {16 * MIB}"
    found = flood(tmp_path, script, secret)
    assert found["code"] == 0
    assert float(str(found["peak_mib"])) < 64
    assert secret.encode() not in (tmp_path / "logs/command.flood-run.out").read_bytes()


def test_a_step_that_fills_its_memory_is_stopped_by_its_own_limit(tmp_path: Path) -> None:
    found = flood(tmp_path, 'x=0123456789abcdef; while :; do x="$x$x"; done')  # 1 GiB of data at most
    assert (found["code"], found["signal"]) != (0, None)
    assert float(str(found["peak_mib"])) < 64


@pytest.mark.slow
def test_ten_gibibytes(tmp_path: Path) -> None:
    found = flood(tmp_path, f"head -c {10 << 30} /dev/zero")
    assert found["total"] == 10 << 30
    assert float(str(found["peak_mib"])) < 64
