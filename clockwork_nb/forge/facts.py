"""The facts of this machine that a plan may depend on."""

from __future__ import annotations

import os
import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from clockwork_nb.forge.confinement import probe
from clockwork_nb.forge.runtimes import FIXED_PATH, RUNTIMES, find_runtime
from clockwork_nb.intake.desired import EnvFacts
from clockwork_nb.patterns import pattern

if TYPE_CHECKING:
    from clockwork_nb.assembly.prior import PriorState
    from clockwork_nb.intake.desired import Desired
    from clockwork_nb.ports import Registry

__all__ = ["collect_facts", "needs_engine", "runtime_version"]

_VERSION = pattern(r"\d+(?:\.\d+)+")
_TIMEOUT_S = 5


def collect_facts(*, engine: bool = False) -> EnvFacts:
    """Return this machine's facts, collected once a process.

    Args:
        engine: whether to look for a container engine too, which costs starting it; otherwise ``engine`` is ``process``,
            which is right wherever nothing needs one.
    """
    return replace(_facts(), engine=_engine()) if engine else _facts()


def needs_engine(types: Registry, desired: Desired, prior: PriorState) -> bool:
    """Return whether anything that is wanted or recorded needs a container engine."""
    pairs = [(r.type, r.config) for r in desired.resources.values()]
    pairs += [(r.type, r.config) for r in prior.resources.values()]
    for name, config in pairs:
        asked = getattr(types.get(name), "needs_engine", None)
        if asked is not None and asked(config):
            return True
    return False


def _engine() -> str:
    try:
        return _found_engine(os.environ.get("DOCKER_HOST", ""))
    except LookupError as none:
        return str(none.args[0])


@lru_cache(maxsize=8)
def _found_engine(_docker_host: str) -> str:
    # An exception is not cached: who installs or mends an engine meanwhile need not start a new kernel.
    from clockwork_nb.forge.engines import PROCESS, find_engine

    found = find_engine()
    if found.startswith(PROCESS):
        raise LookupError(found)
    return found


@lru_cache(maxsize=1)
def _facts() -> EnvFacts:
    found = {name: path for name in RUNTIMES if (path := find_runtime(name))}
    system = os.uname()
    return EnvFacts(
        os=system.sysname.lower(),
        arch=system.machine,
        confinement=probe().tier,
        runtimes={name: runtime_version(name, path) for name, path in found.items()},
    )


def runtime_version(name: str, path: str) -> str:
    """Return the version text of the runtime at *path*, ``unknown`` when it does not tell.

    Where a file name or a file tells, nothing is started: ``sh`` is the shell behind the link (``dash``), a system
    Python is ``python3.11``, Go keeps a ``VERSION`` file.
    """
    real = os.path.realpath(path)
    base = os.path.basename(real)
    if name == "sh" and base != "bash":
        return base
    if name == "python3" and re.fullmatch(r"python3\.\d+", base):
        return base.removeprefix("python")
    if name == "go":
        return _go_version(Path(real))
    return _asked(real)


def _go_version(real: Path) -> str:
    try:
        first = (real.parent.parent / "VERSION").read_text(encoding="utf-8").split("\n", 1)[0]
    except (OSError, UnicodeDecodeError):
        return _asked(str(real), "version")
    return first.strip().removeprefix("go") or "unknown"


def _asked(path: str, *words: str) -> str:
    import subprocess

    try:
        done = subprocess.run(
            [path, *(words or ("--version",))],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT_S,
            env={"PATH": FIXED_PATH, "LC_ALL": "C", "DENO_NO_UPDATE_CHECK": "1"},
            cwd="/",
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    found = _VERSION.search(done.stdout[:4096].decode("utf-8", "replace"))
    return found.group() if found else "unknown"
