"""P20: the same job and key give the same bytes, whoever exports where and when."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.packs import samples
from tests.conformance.packs.tamper import pack

ROOT = Path(__file__).resolve().parents[2]
NOBODY = 65534
# As another user the interpreter may not be able to import anything any more: everything is used once before.
_EXPORT = """
import os, sys
os.umask(int(sys.argv[1], 8))
from clockwork_nb.cli.main import main
words = ["jobpack", "export", "job_01k9x0000000000000000000aa", *sys.argv[3:]]
if sys.argv[2]:
    home = os.environ["CLOCKWORK_HOME"]
    os.environ["CLOCKWORK_HOME"] = home + "-before"
    assert main([*words, "--out-dir", home + "-before"]) == 0
    os.environ["CLOCKWORK_HOME"] = home
    os.chown(os.environ["XDG_CONFIG_HOME"] + "/clockwork/keys/default.key", int(sys.argv[2]), -1)
    os.setgroups([])
    os.setgid(int(sys.argv[2]))
    os.setuid(int(sys.argv[2]))
    assert os.getuid() != 0
sys.exit(main(words))
"""

SURROUNDINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "east": {"env": {"TZ": "Pacific/Kiritimati", "LC_ALL": "C", "PYTHONHASHSEED": "1"}, "umask": "077"},
    "west": {"env": {"TZ": "America/St_Johns", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "4242"}, "umask": "000"},
    "turkish": {"env": {"LC_ALL": "tr_TR.UTF-8", "LANGUAGE": "tr", "SOURCE_DATE_EPOCH": "1"}},
    "optimised": {"env": {"PYTHONOPTIMIZE": "2", "PYTHONUTF8": "0", "COLUMNS": "20"}},
    "other user": {"user": NOBODY},
    "other host": {"prefix": ["unshare", "-u", "sh", "-c", 'hostname elsewhere; exec "$@"', "sh"]},
    "other folder": {"folder": "a folder with ünusual letters"},
}


def can(prefix: list[str]) -> bool:
    """Return whether this machine allows a process behind *prefix*; where it does not, the test goes without."""
    try:
        return subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def export(root: Path, surroundings: dict[str, Any], *flags: str) -> bytes:
    """Export the sample job out of a fresh copy of its folder and of the key, and return the pack."""
    prefix = surroundings.get("prefix", [])
    prefix = prefix if can(prefix) else []
    user = surroundings.get("user") if os.getuid() == 0 else None
    base = root / surroundings.get("folder", "x")
    base.mkdir(parents=True)
    samples.write_folder(samples.sample_job(), base / "home")
    keys = base / "config" / "clockwork" / "keys"
    keys.mkdir(parents=True, mode=0o700)
    (keys / "default.key").write_bytes(samples.KEY.to_pem())
    (keys / "default.key").chmod(0o600)
    if user is not None:
        samples.write_folder(samples.sample_job(), base / "home-before")
        for path in (base, *base.rglob("*")):
            if path.name != "default.key":
                os.chown(path, user, user)
        for path in (root, *list(root.parents)[:3]):
            path.chmod(path.stat().st_mode | 0o111)
    done = subprocess.run(
        [*prefix, sys.executable, "-c", _EXPORT, surroundings.get("umask", "022"), str(user or ""), *flags],
        cwd=base, capture_output=True, text=True, check=False,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": str(base), "PYTHONDONTWRITEBYTECODE": "1",
             "CLOCKWORK_HOME": str(base / "home"), "XDG_CONFIG_HOME": str(base / "config"), **surroundings.get("env", {})},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return next((base / "clockwork-out" / "jobpacks").glob("*.zip")).read_bytes()


@pytest.mark.parametrize("name", list(SURROUNDINGS))
def test_the_bytes_are_the_same_whatever_the_surroundings(tmp_path: Path, name: str) -> None:
    assert export(tmp_path, SURROUNDINGS[name]) == pack(samples.sample_job()).data


@pytest.mark.parametrize("name", ["east", "other user"])
def test_unsigned_bytes_are_the_same_everywhere(tmp_path: Path, name: str) -> None:
    assert export(tmp_path, SURROUNDINGS[name], "--unsigned") == pack(samples.sample_job(), None).data
