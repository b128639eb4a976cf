"""Which container engine this machine offers: the order of looking, and one question for its version."""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from clockwork_nb.errors import AdapterFailedError
from clockwork_nb.resources.containers import ENGINE_PATH
from clockwork_nb.resources.containers_inspect import SilentEngineError, ask

__all__ = ["PROCESS", "engine_candidates", "find_engine"]

PROCESS: Final = "process"
"""The engine of a machine without one: services are supervised processes. What follows it says why there is none."""

_TIMEOUT_S: Final = 10.0
_PODMAN_SOCKET: Final = "podman/podman.sock"
_DOCKER_SOCKETS: Final = ("/run/docker.sock", "/var/run/docker.sock")


def find_engine(environ: Mapping[str, str] | None = None) -> str:
    """Return the engine and its major version, ``podman 4`` or ``docker 28``; ``process`` when there is none.

    The first of `engine_candidates` that says its version. A docker command that has no daemon is none. Where one hangs and
    no other answers, that is said: ``process (podman does not answer within 10 s)``.
    """
    silent = ""
    for engine in engine_candidates(os.environ if environ is None else environ):
        try:
            major = _major(engine)
        except SilentEngineError as error:
            silent = silent or f" ({error.message})"
            continue
        if major:
            return f"{engine} {major}"
    return PROCESS + silent


def engine_candidates(environ: Mapping[str, str]) -> list[str]:
    """Return the engines to ask, in order, each once: what ``DOCKER_HOST`` names, one whose socket is there (podman's
    first), the podman command, the docker command. Only what is installed is in it."""
    installed = [name for name in ("podman", "docker") if shutil.which(name, path=ENGINE_PATH)]
    order = []
    if environ.get("DOCKER_HOST"):
        order.append("docker")
    runtime = environ.get("XDG_RUNTIME_DIR")
    if any(_is_socket(Path(folder, _PODMAN_SOCKET)) for folder in ("/run", *((runtime,) if runtime else ()))):
        order.append("podman")
    if any(_is_socket(Path(path)) for path in _DOCKER_SOCKETS):
        order.append("docker")
    order += ["podman", "docker"]
    return [name for name in dict.fromkeys(order) if name in installed]


def _is_socket(path: Path) -> bool:
    try:
        return stat.S_ISSOCK(path.stat().st_mode)
    except OSError:
        return False


def _major(engine: str) -> str:
    # podman needs no daemon, so its own version is the engine's; docker's is that of the daemon, if one answers.
    words = ("--version",) if engine == "podman" else ("version", "--format", "{{.Server.Version}}")
    try:
        done = ask(engine, *words, timeout_s=_TIMEOUT_S)
    except SilentEngineError:
        raise
    except AdapterFailedError:
        return ""
    found = re.search(r"(\d+)\.\d+", done.stdout[:4096].decode("utf-8", "replace"))
    return found.group(1) if found is not None and done.returncode == 0 else ""
