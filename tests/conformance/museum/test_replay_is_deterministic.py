"""The same log and the same configuration give the same bytes whatever hash seed, time zone, locale and umask (P10)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

MUSEUM = Path(__file__).parent

REPLAY = """
import hashlib, json, os, sys
from pathlib import Path
os.umask(int(sys.argv[3], 8))
from clockwork_nb.canonical import canonical_json
from clockwork_nb.jobpack.build import build_jobpack
from clockwork_nb.jobpack.verify import verify_jobpack
from clockwork_nb.signing import SigningKey, TrustStore
from clockwork_nb.store.files import JobStore
from clockwork_nb.store.snapshot import write_runtime, write_snapshot
museum, tmp, _ = sys.argv[1:]
out = {}
for hall in sorted(Path(museum).glob("*/*/jobs")):
    store = JobStore(hall.parent, tool_version="0.1.0")
    (job,) = store.ids()
    view = store.read(job)
    write_snapshot(Path(tmp) / "s", view.state, len(view.raw), version="0.1.0")
    write_runtime(Path(tmp) / "r", view.state, len(view.raw))
    key = SigningKey.from_seed(bytes(range(32)))
    pack = build_jobpack(canonical_json(dict(view.genesis)), view.raw, store.blobs(job).get, key=key)
    digests = [hashlib.sha256((Path(tmp) / n).read_bytes()).hexdigest() for n in "sr"]
    out[f"{hall.parent.parent.name}/{hall.parent.name}"] = [*digests, pack.manifest_sha256, hashlib.sha256(pack.data).hexdigest()]
print(json.dumps(out, sort_keys=True))
"""

MAIN = """
variable "names" {
  type    = set(string)
  default = ["ä", "b", "Ü", "i", "I", "z", "a"]
}

locals {
  tags = { for n in var.names : n => upper(n) }
}

directory "out" {
  path = "out"
}

file "list" {
  path       = "out/list"
  content    = join(",", [for n in var.names : n])
  depends_on = [directory.out]
}

file "map" {
  path    = "out/map"
  content = jsonencode(local.tags)
}
"""

WORLDS = [
    {"PYTHONHASHSEED": "0", "TZ": "UTC", "LC_ALL": "C", "umask": "022"},
    {"PYTHONHASHSEED": "1", "TZ": "Pacific/Kiritimati", "LC_ALL": "C.UTF-8", "umask": "077"},
    {"PYTHONHASHSEED": "4242", "TZ": "America/St_Johns", "LC_ALL": "tr_TR.UTF-8", "umask": "000"},
    {"PYTHONHASHSEED": "random", "TZ": "UTC-14", "LC_ALL": "POSIX", "umask": "027"},
]


def world_env(world: dict[str, str], tmp: Path) -> dict[str, str]:
    env = {k: v for k, v in os.environ.items() if not k.startswith(("CW_", "CLOCKWORK_", "LC_", "LANG"))}
    env |= {k: v for k, v in world.items() if k != "umask"}
    return env | {"CLOCKWORK_HOME": str(tmp / "home"), "XDG_CONFIG_HOME": str(tmp / "config")}


def run(argv: list[str], env: dict[str, str], cwd: Path) -> bytes:
    done = subprocess.run(argv, cwd=cwd, env=env, capture_output=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout


def test_snapshots_views_manifests_and_signed_packs_are_the_same_everywhere(tmp_path: Path) -> None:
    answers = set()
    for number, world in enumerate(WORLDS):
        place = tmp_path / str(number)
        place.mkdir(mode=0o777)
        argv = [sys.executable, "-c", REPLAY, str(MUSEUM), str(place), world["umask"]]
        answers.add(run(argv, world_env(world, tmp_path), tmp_path))
    (answer,) = answers
    assert len(json.loads(answer)) >= 5


@pytest.mark.parametrize("verb", ["plan"])
def test_plans_and_action_lists_are_the_same_everywhere(tmp_path: Path, verb: str) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "main.cw").write_text(MAIN, encoding="utf-8")
    answers = set()
    for world in WORLDS:
        mask = f"import os,sys; os.umask({int(world['umask'], 8)}); os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
        argv = [
            sys.executable,
            "-c",
            mask,
            "-m",
            "clockwork_nb.cli",
            verb,
            "--json",
            "--out",
            str(tmp_path / "plan.json"),
        ]
        run(argv, world_env(world, tmp_path), folder)
        document = json.loads((tmp_path / "plan.json").read_bytes())
        document.pop("created_at", None)
        answers.add(json.dumps(document))  # the order of keys counts
        (tmp_path / "plan.json").unlink()
    (answer,) = answers
    assert "out/list" in answer and "steps" in answer
