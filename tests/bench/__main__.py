"""``make bench``: plan beside ``terraform plan`` of the same graphs, apply, second apply, imports and start-up.

Prints a table, writes ``test-results/bench.json``. CPU seconds of the whole process tree and peak memory, because
wall time on a shared machine is noise; where Terraform is not installed its columns are empty.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.bench.graphs import SHAPES, clockwork, shell_steps, terraform
from tests.bench.jobs import job_rows
from tests.bench.live import live_rows
from tests.bench.peers import peer_rows

CLOCKWORK = [sys.executable, "-m", "clockwork_nb.cli"]
_RUNNER = """
import json, os, resource, subprocess, sys, time
start = time.monotonic()
status = subprocess.call(sys.argv[2:], stdout=subprocess.DEVNULL, stderr=open(sys.argv[1], "w"))
wall = time.monotonic() - start
use = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps({"status": status, "wall": wall, "cpu": use.ru_utime + use.ru_stime, "mib": use.ru_maxrss / 1024}))
"""


def measure(argv: list[str], *, cwd: Path, env: dict[str, str], expect: int = 0, runs: int = 1) -> dict[str, float]:
    """Run *argv* in a process of its own and return the median CPU seconds, wall seconds and peak MiB of its tree."""
    results = []
    for _ in range(runs):
        with tempfile.NamedTemporaryFile("r", suffix=".err") as errors:
            out = subprocess.run(
                [sys.executable, "-c", _RUNNER, errors.name, *argv], cwd=cwd, env=env, capture_output=True, check=True
            ).stdout
            result = json.loads(out)
            if result["status"] != expect:
                sys.exit(f"{' '.join(argv)} left with {result['status']}:\n{errors.read()[-2000:]}")
            results.append(result)
    results.sort(key=lambda r: r["cpu"])
    return dict(results[len(results) // 2])


def environment(base: Path) -> dict[str, str]:
    env = {k: v for k, v in os.environ.items() if not k.startswith(("CW_", "CLOCKWORK_"))}
    env |= {"CLOCKWORK_HOME": str(base / "home"), "XDG_CONFIG_HOME": str(base / "config"), "CHECKPOINT_DISABLE": "1"}
    env["PYTHONPATH"] = str(Path(__file__).resolve().parents[2])
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    return env


def plan_rows(base: Path, env: dict[str, str], sizes: list[int], terraform_limit: int) -> list[dict[str, Any]]:
    rows = []
    peer = shutil.which("terraform")
    for shape in SHAPES:
        for count in sizes:
            ours = base / f"cw-{shape}-{count}"
            ours.mkdir()
            (ours / "main.cw").write_text(clockwork(shape, count))
            row: dict[str, Any] = {"shape": shape, "nodes": count}
            row["clockwork"] = measure(
                [*CLOCKWORK, "plan", "--json"], cwd=ours, env=env, runs=3 if count <= 1000 else 1
            )
            if peer and (count <= terraform_limit or (shape == "independent" and count <= 10 * terraform_limit)):
                theirs = base / f"tf-{shape}-{count}"
                theirs.mkdir()
                (theirs / "main.tf").write_text(terraform(shape, count))
                subprocess.run([peer, "init", "-input=false"], cwd=theirs, env=env, check=True, capture_output=True)
                row["terraform"] = measure(
                    [peer, "plan", "-input=false", "-out=p.bin"], cwd=theirs, env=env, runs=3 if count <= 100 else 1
                )
            rows.append(row)
            ratio = f"{row['terraform']['cpu'] / row['clockwork']['cpu']:6.1f}x" if "terraform" in row else "      -"
            theirs_text = (
                f"{row['terraform']['cpu']:8.2f} {row['terraform']['mib']:6.0f}"
                if "terraform" in row
                else "       -      -"
            )
            ours_row = row["clockwork"]
            print(
                f"plan   {shape:<12} {count:>6}   {ours_row['cpu']:8.2f} {ours_row['mib']:6.0f}   {theirs_text}   {ratio}",
                flush=True,
            )
    return rows


def shell_ms() -> float:
    """Return the CPU milliseconds of one ``bash -c true`` here and now: the yardstick for a step on another machine."""
    before, count = resource.getrusage(resource.RUSAGE_CHILDREN), 50
    for _ in range(count):
        subprocess.run(["bash", "-c", "true"], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1000 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / count


def apply_rows(base: Path, env: dict[str, str], sizes: list[int]) -> list[dict[str, Any]]:
    """Apply so many shell steps in a new folder, several times where that is quick; the median by CPU is told."""
    rows = []
    for count in sizes:
        runs: list[dict[str, Any]] = []
        for attempt in range({100: 5, 1_000: 3}.get(count, 1)):
            folder = base / f"steps-{count}-{attempt}"
            folder.mkdir()
            (folder / "main.cw").write_text(shell_steps(count))
            shell = shell_ms()
            first = measure([*CLOCKWORK, "apply", "--auto-approve", "--json"], cwd=folder, env=env)
            runs.append({"steps": count, "apply": first, "folder": str(folder), "shell_ms": (shell + shell_ms()) / 2})
        runs.sort(key=lambda run: run["apply"]["cpu"])
        row = runs[len(runs) // 2]
        folder = Path(row.pop("folder"))
        row["second"] = measure([*CLOCKWORK, "apply", "--auto-approve", "--json"], cwd=folder, env=env)
        row["steps_per_s"] = count / _seconds_of_steps(folder, env)
        row["cpu_of_runs"] = [run["apply"]["cpu"] for run in runs]
        rows.append(row)
        first, step = row["apply"], 1000 * row["apply"]["cpu"] / count
        print(
            f"apply  {count:>6} sh steps   whole {first['wall']:6.2f} s wall {first['cpu']:6.2f} s CPU   "
            f"steps alone {row['steps_per_s']:6.0f}/s   {step:5.1f} ms CPU a step, {step / row['shell_ms']:.1f}x bash -c true "
            f"({row['shell_ms']:.2f} ms)   second apply {row['second']['cpu']:5.2f} s CPU   "
            f"of {' '.join(f'{cpu:.2f}' for cpu in row['cpu_of_runs'])}",
            flush=True,
        )
    return rows


def _seconds_of_steps(folder: Path, env: dict[str, str]) -> float:
    """Return the seconds from the first step's start to the last one's end in the first job that applied in *folder*."""
    jobs = subprocess.run([*CLOCKWORK, "job", "list", "--json"], cwd=folder, env=env, capture_output=True, check=True)
    for job in json.loads(jobs.stdout):
        shown = [*CLOCKWORK, "job", "show", job["id"], "--json"]
        events = json.loads(subprocess.run(shown, cwd=folder, env=env, capture_output=True, check=True).stdout)
        stamps = [e["created_at"] for e in events if e["type"] in {"step.started", "step.completed"}]
        if stamps and job["name"] == f"apply {folder.name}":
            return _seconds(stamps[0], stamps[-1])
    sys.exit(f"no job has steps of {folder}")


def _seconds(first: str, last: str) -> float:
    from datetime import datetime

    return max(1e-6, (datetime.fromisoformat(last) - datetime.fromisoformat(first)).total_seconds())


def start_rows(base: Path, env: dict[str, str]) -> dict[str, dict[str, float]]:
    folder = base / "start"
    folder.mkdir()
    (folder / "main.cw").write_text(clockwork("independent", 3))
    python = sys.executable
    commands = {
        "python -c pass": [python, "-c", "pass"],
        "import clockwork_nb": [python, "-c", "import clockwork_nb"],
        "clockwork --version": [*CLOCKWORK, "--version"],
        "clockwork job list": [*CLOCKWORK, "job", "list"],
        "clockwork validate": [*CLOCKWORK, "validate"],
        "clockwork plan": [*CLOCKWORK, "plan"],
    }
    rows = {name: measure(argv, cwd=folder, env=env, runs=5) for name, argv in commands.items()}
    for name, row in rows.items():
        print(f"start  {name:<24} {1000 * row['cpu']:6.0f} ms CPU   {row['mib']:5.0f} MiB", flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 1_000, 10_000])
    parser.add_argument("--steps", type=int, nargs="+", default=[100, 1_000])
    parser.add_argument("--terraform-limit", type=int, default=1_000, help="largest connected graph Terraform plans")
    parser.add_argument("--out", type=Path, default=Path("test-results/bench.json"))
    args = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    base = Path(tempfile.mkdtemp(prefix="cw-bench-"))
    try:
        env = environment(base)
        print(
            f"       {'graph':<12} {'nodes':>6}   {'CPU s':>8} {'MiB':>6}   {'tf CPU s':>8} {'MiB':>6}   {'ratio':>7}"
        )
        applied = apply_rows(base, env, args.steps)
        report = {
            "machine": {"python": platform.python_version(), "cores": os.cpu_count(), "kernel": platform.release()},
            "load": os.getloadavg(),
            "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "start": start_rows(base, env),
            "apply": applied,
            "peers": peer_rows(base, env, measure, args.steps, applied),
            "jobs": job_rows(base, env, measure),
            "plan": plan_rows(base, env, args.sizes, args.terraform_limit),
            "live": live_rows(base),
        }
    finally:
        shutil.rmtree(base, ignore_errors=True)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(report, indent=2) + "\n")
    print(f"written {args.out}")


if __name__ == "__main__":
    main()
