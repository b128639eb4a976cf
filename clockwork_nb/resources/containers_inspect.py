"""Asks a container engine what is there. Reads only; every question has a time limit."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Mapping
from typing import Any

from clockwork_nb.errors import AdapterFailedError
from clockwork_nb.ports import Observation
from clockwork_nb.resources.containers import ENGINE_PATH, ENGINE_VARIABLES, silent_engine_hint

__all__ = ["SilentEngineError", "ask", "engine_environment", "inspect", "unanswered"]

_MAX_ANSWER = 8 << 20
_PATIENCE_S = 5.0  # who had so long and gave no answer hangs; a short rest of somebody's time says nothing
_PAUSE_S = 30.0
_silent: dict[tuple[str, ...], tuple[float, float]] = {}
"""Engines that hang → when that was seen, and how long it was waited for. Hundreds of resources do not each wait for the
same one."""


class SilentEngineError(AdapterFailedError):
    """E_ADAPTER_FAIL: an engine that is installed gave no answer in time."""

    def __init__(self, engine: str, waited_s: float) -> None:
        super().__init__(f"{engine} does not answer within {waited_s:g} s", hint=silent_engine_hint(engine))


def unanswered(error: AdapterFailedError, address: str) -> Observation:
    """Return what is observed of *address* when its engine could not be asked; see `containers.require_answer`."""
    if isinstance(error, SilentEngineError):
        seen = {"problem": f"{address}: {error.message}", "hint": error.hint}
        return Observation(None, seen, error.message)
    return Observation(None, detail=error.message)


def engine_environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the variables an engine is called with: what says where it is, a fixed path, plain messages."""
    environ = os.environ if environ is None else environ
    kept = {name: environ[name] for name in ENGINE_VARIABLES if environ.get(name)}
    return {**kept, "PATH": ENGINE_PATH, "LC_ALL": "C"}


def inspect(engine: str, kind: str, name: str, *, timeout_s: float) -> dict[str, Any] | None:
    """Return what *engine* says of the container or image *name*, None when there is none.

    Args:
        kind: ``container`` or ``image``.

    Raises:
        AdapterFailedError: E_ADAPTER_FAIL, the engine is not there, does not answer in time, or fails.
    """
    done = ask(engine, kind, "inspect", "--", name, timeout_s=timeout_s)
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").lower()
        if "no such" in said or "not known" in said:  # "no such container", "image not known"
            return None
        raise AdapterFailedError(f"{engine} cannot say what {name} is: {_last_line(done.stderr)}")
    try:
        found = json.loads(done.stdout[:_MAX_ANSWER])
        first = found[0]
    except (ValueError, LookupError, TypeError) as error:
        raise AdapterFailedError(f"{engine} answers something else than JSON about {name}") from error
    if not isinstance(first, dict):
        raise AdapterFailedError(f"{engine} answers something else than an object about {name}")
    return first


def ask(engine: str, *words: str, timeout_s: float) -> subprocess.CompletedProcess[bytes]:
    """Run *engine* with *words*, a question that changes nothing, and return how it ended.

    One that gave no answer is not asked again for 30 seconds.

    Raises:
        AdapterFailedError: E_ADAPTER_FAIL, it is not there; `SilentEngineError`, it does not answer in time.
    """
    program = shutil.which(engine, path=ENGINE_PATH)
    if program is None:
        raise AdapterFailedError(f"{engine} is not installed", hint=f"Looked in {ENGINE_PATH}.")
    environment = engine_environment()
    which = (program, *(f"{name}={environment[name]}" for name in sorted(environment)))
    seen, waited_s = _silent.get(which, (float("-inf"), 0.0))
    if time.monotonic() - seen < _PAUSE_S:
        raise SilentEngineError(engine, waited_s)
    try:
        return subprocess.run(
            [program, *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=environment,
            cwd="/",
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        if timeout_s >= _PATIENCE_S:
            _silent[which] = time.monotonic(), timeout_s
        raise SilentEngineError(engine, timeout_s) from error
    except OSError as error:
        raise AdapterFailedError(f"{engine} cannot be started: {error.strerror}") from error


def _last_line(said: bytes) -> str:
    lines = said.decode("utf-8", "replace").strip().splitlines()
    return lines[-1][:300] if lines else "it gives no reason"
