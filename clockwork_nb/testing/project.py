"""A project folder and the real command run on it, each time as a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Finished", "Project"]


@dataclass(frozen=True, slots=True)
class Finished:
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


@dataclass(slots=True)
class Project:
    """A folder with its own job store, keys and output root; nothing of the user's is touched.

    Args:
        root: an empty folder; the project is ``root/project``.
        env: further variables for every command.
    """

    root: Path
    env: dict[str, str] = field(default_factory=dict)

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
            "NO_COLOR": "1",
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

    def state(self) -> dict[str, Any]:
        """Return the recorded state."""
        state: dict[str, Any] = self.run("show", "--json").json
        return state
