"""Die at every durable call of a whole apply, quickly: a warm process forks a child for each point.

``python -m tests.fault.effects.forkserver FOLDER STEPS IDEMPOTENT FIRST STRIDE AGAIN`` prints one JSON document:
``points``, ``seconds`` and ``failures``. It is a program of its own because it forks, which no process with threads of
others should.

For each point the folder is made anew, a child runs the apply and leaves with ``os._exit`` right before its call number
*point* of `clockwork_nb.fs.RealFileSystem` that changes something, or right before or after a step has its effect. A
second child resumes it as the commands' hints say and checks P1 and P2. With AGAIN above 0 the second child dies as
well, at that point of its own run, and a third one goes on.

Unlike in the sweep over system calls (`tracer.py`), a step is no process here but one append to a file, so that a point
costs some hundredths of a second.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, Literal

from clockwork_nb.errors import ApprovalRequiredError, InvalidTransitionError, StepInterruptedError
from clockwork_nb.forge import launch
from clockwork_nb.forge.launch_spec import LaunchResult, LaunchSpec
from clockwork_nb.fs import RealFileSystem
from clockwork_nb.session import Session
from clockwork_nb.session.jobs import Jobs
from clockwork_nb.session.packs import Packs
from clockwork_nb.session.stores import Stores
from clockwork_nb.settings import Settings, load_settings

__all__ = ["Sweep", "main"]

DIED: Final = 9
_DURABLE: Final = (
    "create", "write", "truncate", "sync", "rename", "link", "unlink", "make_dir", "remove_dir", "sync_dir",
)  # fmt: skip
_TURNS: Final = 8


class Mortal:
    """Counts what changes something, over all threads, and ends the process right before call number *point*."""

    def __init__(self, point: int) -> None:
        self.point = point
        self.count = 0
        self._lock = threading.Lock()

    def step(self) -> None:
        """Count one call; may not return."""
        with self._lock:
            self.count += 1
            if self.count == self.point:
                os._exit(DIED)

    def watch(self) -> None:
        """Count every durable call of this process from now on."""
        for name in _DURABLE:
            setattr(RealFileSystem, name, self._counted(getattr(RealFileSystem, name)))

    def _counted(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **more: Any) -> Any:
            self.step()
            return call(*args, **more)

        return counted


class Effects:
    """Stands for `clockwork_nb.forge.launch.Launcher`: a step is one line in a file, and nothing else."""

    def __init__(self, mortal: Mortal) -> None:
        self._mortal = mortal

    def __call__(self, confinement: Any) -> contextlib.AbstractContextManager[Effects]:
        return contextlib.nullcontext(self)

    def run(
        self,
        spec: LaunchSpec,
        *,
        on_output: Callable[[Literal["out", "err"], bytes], None],
        cancel: threading.Event | None = None,
    ) -> LaunchResult:
        """Have the effect, with a point before it and one after it."""
        self._mortal.step()
        step = spec.env["CW_IDEMPOTENCY_KEY"].split(":", 1)[1].rpartition(":")[0]
        handle = os.open(Path(spec.cwd, "effects"), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(handle, f"{step} {spec.env['CW_FENCING_TOKEN']}\n".encode())
        os.close(handle)
        self._mortal.step()
        on_output("out", f"{step} did it\n".encode())
        return LaunchResult(exit_code=0)


class Sweep:
    """A chain of *steps* commands below *folder*, tried at one point after the other."""

    def __init__(self, folder: Path, steps: int, *, idempotent: bool) -> None:
        self.folder = folder
        self.idempotent = idempotent
        self.steps = [f"command.n{i}:run_command" for i in range(steps)]
        self.template = folder / "template"
        self.place = folder / "run"
        (self.template / "project").mkdir(parents=True)
        blocks = [
            f'command "n{i}" {{\n  script     = "true"\n  depends_on = [{f"command.n{i - 1}" if i else ""}]\n'
            f"  idempotent = {json.dumps(idempotent)}\n}}\n"
            for i in range(steps)
        ]
        (self.template / "project/main.cw").write_text("\n".join(blocks))
        self.settings = self._settings()

    def _settings(self) -> Settings:
        place = {"CLOCKWORK_HOME": "home", "XDG_CONFIG_HOME": "config", "CLOCKWORK_OUT": "out"}
        return load_settings(
            {"HOME": str(self.place), "CW_SINGLE_HOST": "1", **{k: str(self.place / v) for k, v in place.items()}}
        )

    def warm(self) -> None:
        """Do it all once in this process, so that every child finds its modules loaded."""
        shutil.copytree(self.template, self.place)
        self._apply(None)
        self._check()

    def point(self, point: int, again: int = 0) -> str:
        """Try one point (0: nobody dies) and return what is wrong then; ``"over"`` when the run has fewer points."""
        shutil.rmtree(self.place, ignore_errors=True)
        shutil.copytree(self.template, self.place)
        died, problem = self._child(lambda: self._apply(Mortal(point)))
        if not died:
            return problem or "over"
        if again:
            died, problem = self._child(lambda: self._bring_to_end(Mortal(again)))
            if problem:
                return problem
        return self._child(self._finish)[1]

    def _child(self, work: Callable[[], object]) -> tuple[bool, str]:
        """Run *work* in a child; return whether it died at its point, and what it raised."""
        told, tell = os.pipe()
        child = os.fork()
        if not child:
            try:
                work()
            except BaseException:
                os.write(tell, traceback.format_exc().encode()[-4000:])
            os._exit(0)
        os.close(tell)
        with open(told, "rb") as ending:
            problem = ending.read().decode()
        _, status = os.waitpid(child, 0)
        return os.waitstatus_to_exitcode(status) == DIED, problem

    # --- in a child -----------------------------------------------------------------------------------------------

    def _mortal(self, mortal: Mortal | None) -> None:
        if mortal is not None:
            mortal.watch()
        setattr(launch, "Launcher", Effects(mortal or Mortal(0)))  # a class there, a stand-in here

    def _apply(self, mortal: Mortal | None) -> None:
        self._mortal(mortal)
        section = Session.for_folder(self.place / "project", settings=self.settings).begin("apply")
        section.decide("granted", via="auto")
        section.run().raise_if_failed()

    def _bring_to_end(self, mortal: Mortal) -> None:
        """Do what the hints say until the work is done; ``asked`` gets the steps that a person is asked about."""
        if not (self.settings.home / "jobs").is_dir() or not Jobs(self.settings).summaries():
            assert not self._effects(), "a step ran before there was a job"
            self._apply(mortal)
            return
        self._mortal(mortal)
        jobs = Jobs(self.settings)
        (job,) = (summary["id"] for summary in jobs.summaries())
        asked: set[str] = set()
        for _ in range(_TURNS):
            try:
                jobs.resume_pipeline(job, rerun=sorted(asked)).raise_if_failed()
            except ApprovalRequiredError:
                jobs.approve(job, plan=jobs.plan_document(job)[1], reason="sweep")
            except StepInterruptedError as error:
                assert error.exit_code == 9
                asked |= set(error.details["steps"])
                with open(self.place / "asked", "a", encoding="utf-8") as told:
                    told.writelines(f"{step}\n" for step in error.details["steps"])
            except InvalidTransitionError:
                return  # it died after the end
            else:
                return
        raise AssertionError(f"{job} does not come to its end")

    def _finish(self) -> None:
        self._bring_to_end(Mortal(0))
        self._check()

    def _effects(self) -> Counter[str]:
        return _words(self.place / "project/effects")

    def _check(self) -> None:
        stores = Stores(self.settings)
        (job,) = (summary["id"] for summary in Jobs(self.settings).summaries())
        checked = stores.check()
        assert checked.ok, checked.to_document()
        events = Jobs(self.settings).events(job)
        of = {
            kind: Counter(e["payload"]["step_id"] for e in events if e["type"] == f"step.{kind}")
            for kind in ("started", "interrupted", "completed", "failed", "skipped")
        }
        ran, cut = self._effects(), of["interrupted"]
        for step in self.steps:
            assert of["completed"][step] == 1, f"P1: {step} is completed {of['completed'][step]} times"
            assert of["started"][step] == 1 + cut[step], f"P1: {step} was started {of['started'][step]} times"
            assert 1 <= ran[step] <= 1 + cut[step], f"P1: {step} ran {ran[step]} times, and was cut {cut[step]} times"
        assert not of["failed"] and not of["skipped"]
        asked = set(_words(self.place / "asked"))
        assert asked == (set() if self.idempotent else set(cut)), f"P2: cut off {set(cut)}, asked about {asked}"
        ended = [e["payload"]["status"] for e in events if e["type"] == "job.finished"]
        assert ended == ["completed"], f"the job is at its end, and not finished: {events[-1]['type']}"
        packs = Packs(self.settings)
        assert packs.verify(str(packs.export(job, signed=False).path), require="integrity").ok


def _words(path: Path) -> Counter[str]:
    return Counter(line.split()[0] for line in path.read_text().splitlines()) if path.exists() else Counter()


def _points(first: int, stride: int) -> Iterator[int]:
    point = first
    while True:
        yield point
        point += stride


def main(words: list[str]) -> None:
    """Do what the command line says."""
    folder, (steps, idempotent, first, stride, again) = Path(words[0]), map(int, words[1:])
    sweep = Sweep(folder, steps, idempotent=bool(idempotent))
    sweep.warm()
    began, tried, failures = time.monotonic(), 0, []
    for point in _points(first, stride):
        problem = sweep.point(point, again)
        if problem == "over":
            break
        tried += 1
        if problem:
            failures.append(f"point {point}: {problem}")
    print(json.dumps({"points": tried, "seconds": time.monotonic() - began, "failures": failures}))


if __name__ == "__main__":
    main(sys.argv[1:])
