"""A project whose commands run in the process of the tests: several times faster than a process for each."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout

from clockwork_nb.testing.project import Finished, Project

__all__ = ["Inside"]


class Inside(Project):
    """A `Project` whose ``run`` calls the command line in this process.

    For commands that end at once and whose process does not matter: what is killed, asked at a terminal or started in the
    background is for `Project`.
    """

    def run(self, *words: str, expect: int | None = 0, stdin: str | None = None, timeout: float = 110) -> Finished:
        """See `Project.run`; *timeout* does nothing."""
        from clockwork_nb.cli.main import main

        out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
        with self._place(stdin or ""), redirect_stdout(out), redirect_stderr(err):
            status = main(words)
        finished = Finished(status, _text(out), _text(err))
        if expect is not None and status != expect:
            raise AssertionError(
                f"clockwork {' '.join(words)} left with {status}, not {expect}\n{finished.out}\n{finished.err}"
            )
        return finished

    @contextmanager
    def _place(self, stdin: str) -> Iterator[None]:
        environment, typed = dict(os.environ), sys.stdin
        try:
            os.environ.clear()
            os.environ.update(self.environment())
            sys.stdin = io.StringIO(stdin)
            with chdir(self.folder):
                yield
        finally:
            sys.stdin = typed
            os.environ.clear()
            os.environ.update(environment)


def _text(stream: io.TextIOWrapper) -> str:
    stream.flush()
    found = stream.buffer
    assert isinstance(found, io.BytesIO)
    return found.getvalue().decode("utf-8", "replace")
