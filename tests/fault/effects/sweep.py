"""Three steps with a visible effect, run by the real command, killed at a system call, and brought to their end.

Every step appends one line, ``<step> <job>:<epoch>``, to a file by a single write, so the file tells what really
happened, whatever the log says.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from clockwork_nb.session.jobs import Jobs
from clockwork_nb.session.packs import Packs
from clockwork_nb.session.stores import Stores
from clockwork_nb.settings import Settings, load_settings
from clockwork_nb.testing.project import Finished, Project

__all__ = ["STEPS", "TRACER", "Sweep"]

STEPS = ("s0", "s1", "s2")
TRACER = Path(__file__).with_name("tracer.py")
_EFFECT = "echo {name} $CW_FENCING_TOKEN >> out/log"
_TURNS = 8


def _configuration(*, idempotent: bool) -> str:
    blocks = []
    for before, name in zip(("", *STEPS), STEPS, strict=False):
        blocks.append(
            f'command "{name}" {{\n  script     = "{_EFFECT.format(name=name)}"\n  writes     = ["out/log"]\n'
            f"  depends_on = [{f'command.{before}' if before else ''}]\n  idempotent = {json.dumps(idempotent)}\n}}\n"
        )
    return "\n".join(blocks)


def _spec(*, idempotent: bool) -> str:
    steps = [{"id": name, "command": _EFFECT.format(name=name), "idempotent": idempotent} for name in STEPS]
    return json.dumps({"name": "effects", "objective": "three lines", "inputs": {"steps": steps}})


@dataclass(frozen=True, slots=True)
class Sweep:
    """One kind of run: ``verb`` is ``apply`` or ``submit``; its steps may run again unasked, or not (``idempotent``)."""

    verb: str
    idempotent: bool

    @property
    def words(self) -> tuple[str, ...]:
        """The command that starts it."""
        if self.verb == "apply":
            return ("apply", "--auto-approve")
        return ("job", "submit", "spec.json", "--job-id", "effects")

    def step(self, name: str) -> str:
        """Return the id of the step *name* in the log."""
        return f"command.{name}:run_command" if self.verb == "apply" else f"step.{name}:run"

    def prepare(self, root: Path) -> Project:
        """Make its project in the empty folder *root*."""
        project = Project(root)
        (project.folder / "out").mkdir()
        if self.verb == "apply":
            project.write({"main.cw": _configuration(idempotent=self.idempotent)})
        else:
            project.write({"spec.json": _spec(idempotent=self.idempotent)})
        return project

    def start(self, project: Project, point: int) -> list[str]:
        """Start the run, kill it right before its call number *point* (0: never); return the calls up to there."""
        report = project.root / "calls.json"
        command = [sys.executable, "-I", "-S", str(TRACER), str(point), str(report), *project.command(*self.words)]
        done = subprocess.run(
            command, cwd=project.folder, env=project.environment(), stdin=subprocess.DEVNULL, capture_output=True,
            text=True, timeout=110, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        found = json.loads(report.read_text())
        assert found["status"] == (-9 if 0 < point <= len(found["calls"]) else 0), done.stdout + done.stderr
        calls: list[str] = found["calls"]
        return calls

    def bring_to_end(self, project: Project) -> tuple[str, set[str]]:
        """Do what the command's own hints say until the work is done; return the job and the steps it asked about.

        Raises:
            AssertionError: it does not get there.
        """
        settings = _settings(project)
        jobs = sorted(path.name for path in (settings.home / "jobs").glob("[!.]*"))
        assert len(jobs) <= 1
        if not jobs:
            assert effects(project) == Counter(), "a step ran before there was a job"
            project.run(*self.words)
            return next(path.name for path in (settings.home / "jobs").glob("[!.]*")), set()
        asked: set[str] = set()
        rerun: list[str] = []
        for _ in range(_TURNS):
            done = project.run("job", "resume", jobs[0], *rerun, expect=None)
            assert "Traceback" not in done.err
            if done.status == 0 or (done.status == 1 and "E_INVALID_STATE_TRANSITION" in done.err):
                return jobs[0], asked
            rerun = []
            if done.status == 4:  # it was killed before its approval was recorded
                project.approve(jobs[0])
            elif done.status == 9:
                step = _named(done)
                asked.add(step)
                rerun = ["--rerun", step]
            else:
                break
        raise AssertionError(f"resume left with {done.status}\n{done.out}\n{done.err}")

    def check(self, project: Project, job: str, asked: set[str]) -> None:
        """Check what became of it: P1 and P2, the log, the pack.

        Raises:
            AssertionError: naming the promise.
        """
        settings = _settings(project)
        checked = Stores(settings, out=project.root / "packs").check()
        assert checked.ok, checked.to_document()
        events = Jobs(settings).events(job)
        ran = effects(project)
        started, cut, completed = (
            Counter(e["payload"]["step_id"] for e in events if e["type"] == f"step.{kind}")
            for kind in ("started", "interrupted", "completed")
        )
        for name in STEPS:
            step = self.step(name)
            assert completed[step] == 1, f"P1: {name} is completed {completed[step]} times"
            assert started[step] == 1 + cut[step], f"P1: {name} was started {started[step]} times, cut {cut[step]}"
            assert 1 <= ran[name] <= 1 + cut[step], f"P1: {name} ran {ran[name]} times, and was cut {cut[step]} times"
        assert not [e for e in events if e["type"] in {"step.skipped", "step.failed"}]
        assert asked == (set() if self.idempotent else set(cut)), f"P2: cut off {set(cut)}, asked about {asked}"
        ended = [e["payload"]["status"] for e in events if e["type"] == "job.finished"]
        assert ended == ["completed"], f"the job is at its end, and not finished: {events[-1]['type']}"
        packs = Packs(settings, project.root / "packs")
        report = packs.verify(str(packs.export(job).path))
        assert report.ok, report


def _settings(project: Project) -> Settings:
    return load_settings(project.environment())


def _named(done: Finished) -> str:
    assert "E_STEP_INTERRUPTED" in done.err, done.err
    return re.findall(r"--rerun '([^']+)'", done.err)[0]


def effects(project: Project) -> Counter[str]:
    """Return how often each step really ran."""
    log = project.folder / "out/log"
    return Counter(line.split()[0] for line in log.read_text().splitlines()) if log.exists() else Counter()
