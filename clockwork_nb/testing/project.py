"""A project folder and the real command run on it, each time as a process of its own."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct, field

__all__ = ["Finished", "Project"]


class Finished(Struct, frozen=True):
    """How one command ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The document on stdout."""
        return json.loads(self.out)

    @property
    def error(self) -> Any:
        """The error envelope on stderr."""
        return json.loads(self.err.strip().splitlines()[-1])


class Project(Struct):
    """A folder with its own job store, keys and output root; nothing of the user's is touched.

    Args:
        root: an empty folder; the project is ``root/project``.
        env: further variables for every command.
    """

    root: Path
    env: dict[str, str] = field(default_factory=lambda: {"NO_COLOR": "1"})

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)

    @property
    def folder(self) -> Path:
        """Where the ``.cw`` files are."""
        return self.root / "project"

    @property
    def store(self) -> Path:
        """The job store."""
        return self.root / "home"

    def environment(self) -> dict[str, str]:
        """Return the variables every command gets: the machine's, without any of ours, with our folders."""
        ours = ("CW_", "CLOCKWORK_", "XDG_CONFIG_HOME")
        env = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
        return env | {
            "CLOCKWORK_HOME": str(self.store),
            "XDG_CONFIG_HOME": str(self.root / "config"),
            **self.env,
        }

    def write(self, files: Mapping[str, str]) -> None:
        """Write *files* (name → text) into the project."""
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def command(self, *words: str) -> list[str]:
        """Return the argv of ``clockwork WORDS``."""
        return [sys.executable, "-m", "clockwork_nb.cli", *words]

    def run(self, *words: str, expect: int | None = 0, stdin: str | None = None, timeout: float = 110) -> Finished:
        """Run ``clockwork WORDS`` in the project and return how it ended.

        Raises:
            AssertionError: the status is not *expect* (None: any).
        """
        done = subprocess.run(
            self.command(*words), cwd=self.folder, env=self.environment(), input=stdin or "", capture_output=True,
            text=True, timeout=timeout, check=False,
        )  # fmt: skip
        finished = Finished(done.returncode, done.stdout, done.stderr)
        if expect is not None and finished.status != expect:
            raise AssertionError(
                f"clockwork {' '.join(words)} left with {finished.status}, not {expect}\n{finished.out}\n{finished.err}"
            )
        return finished

    def converse(
        self,
        *words: str,
        answers: Sequence[tuple[str, str | signal.Signals]] = (),
        expect: int | None = 0,
        timeout: float = 60,
    ) -> Finished:
        """Run ``clockwork WORDS`` at a terminal and return how it ended, everything shown in ``out``.

        Args:
            answers: what to wait for in the output, and what to type or send then, one after the other.

        Raises:
            AssertionError: the status is not *expect* (None: any), or the command did not end in time.
        """
        here, there = os.openpty()
        process = subprocess.Popen(
            self.command(*words), cwd=self.folder, env=self.environment(), stdin=there, stdout=there, stderr=there,
            start_new_session=True,
        )  # fmt: skip
        os.close(there)
        try:
            shown = _talk(here, process, list(answers), time.monotonic() + timeout)
        finally:
            os.close(here)
            if process.poll() is None:
                process.kill()
            status = process.wait()
        finished = Finished(status, shown.replace("\r\n", "\n"), "")
        if expect is not None and status != expect:
            raise AssertionError(f"clockwork {' '.join(words)} left with {status}, not {expect}\n{finished.out}")
        return finished

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start ``clockwork WORDS`` in its own session and return the process."""
        return subprocess.Popen(
            self.command(*words), cwd=self.folder, env=self.environment(), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip

    def jobs(self) -> list[dict[str, Any]]:
        """Return the jobs, newest first."""
        jobs: list[dict[str, Any]] = self.run("job", "list", "--json").json
        return jobs

    def events(self, job: str = "") -> list[dict[str, Any]]:
        """Return the events of *job*, of the newest one by default."""
        events: list[dict[str, Any]] = self.run("job", "show", job or self.jobs()[0]["id"], "--json").json
        return events

    def approve(self, job: str) -> None:
        """Approve the plan that *job* waits with."""
        plan = self.run("job", "status", job, "--json").json["waiting"][0]["plan"]
        self.run("approve", job, "--plan", plan[:8], "--reason", "test")

    def state(self) -> dict[str, Any]:
        """Return the recorded state."""
        state: dict[str, Any] = self.run("show", "--json").json
        return state


def _talk(
    terminal: int,
    process: subprocess.Popen[bytes],
    answers: list[tuple[str, str | signal.Signals]],
    deadline: float,
) -> str:
    """Return what *process* showed on *terminal* until it ended or *deadline* passed, answering on the way."""
    shown, read_to = b"", 0
    while time.monotonic() < deadline:
        ended = process.poll() is not None
        if select.select([terminal], [], [], 0.02)[0]:
            try:
                piece = os.read(terminal, 65_536)
            except OSError:  # Linux says EIO when the other end is closed
                piece = b""
            if not piece:
                process.wait(max(0.1, deadline - time.monotonic()))
                break
            shown += piece
        elif ended:
            break
        if answers and (at := shown.find(answers[0][0].encode(), read_to)) >= 0:
            waited_for, answer = answers.pop(0)
            read_to = at + len(waited_for.encode())
            if isinstance(answer, signal.Signals):
                process.send_signal(answer)
            else:
                os.write(terminal, answer.encode())
    return shown.decode("utf-8", "replace")
