"""Which tier of confinement a run has: asked of the machine, and refused where it is weaker than demanded.

``strict``: bubblewrap, a seccomp program, limits, and Landlock inside. ``standard``: Landlock, no_new_privs, limits,
clean environment; the default. ``basic``: the same without Landlock, where the kernel offers no more.
"""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Final

from clockwork_nb.errors import UnsafeOperationError
from clockwork_nb.forge.confinement import Confinement, Grant, probe
from clockwork_nb.policy import TIERS, strongest

__all__ = ["TIERS", "choose", "probe_strict"]

_TIMEOUT_S: Final = 20


@lru_cache(maxsize=1)
def probe_strict() -> Confinement | str:
    """Return the tier ``strict`` when this machine offers it, else one sentence why not. Tried for real, once a process."""
    import shutil
    import subprocess

    from clockwork_nb.forge.launch import sealed_memfd
    from clockwork_nb.forge.runtimes import FIXED_PATH
    from clockwork_nb.forge.sandbox import bubblewrap_words
    from clockwork_nb.forge.syscall_filter import ARCHITECTURES, filter_program

    machine = os.uname().machine
    if machine not in ARCHITECTURES:
        return f"there is no seccomp program for {machine}"
    bwrap = shutil.which("bwrap", path=FIXED_PATH)
    if bwrap is None:
        return f"bubblewrap is not installed (no bwrap in {FIXED_PATH})"
    program = sealed_memfd(filter_program(machine))
    try:
        words = bubblewrap_words(bwrap, (Grant("/usr", "read"),), network=False, cwd="/", filter_fd=program)
        done = subprocess.run(
            [*words, "/usr/bin/true"],
            pass_fds=(program,),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env={"PATH": FIXED_PATH, "LC_ALL": "C"},
            cwd="/",
            timeout=_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        return f"bubblewrap cannot be started: {error}"
    finally:
        os.close(program)
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines() or [f"exit {done.returncode}"]
        return f"bubblewrap does not work here: {said[-1][:200]}"
    inner = probe()
    reason = "" if inner.tier == "standard" else f"bubblewrap without Landlock inside: {inner.reason}"
    return Confinement("strict", inner.abi, reason, bwrap)


def choose(demand: str = "") -> Confinement:
    """Return the tier that steps run under: ``standard`` where there is Landlock, more only when *demand* asks for it.

    Raises:
        UnsafeOperationError: E_UNSAFE_OPERATION, this machine offers less than *demand*; with the probe's reason.
        InvalidInputError: *demand* is no tier.
    """
    strongest(demand)
    usual = probe()
    if demand == "strict":
        found = probe_strict()
        if isinstance(found, Confinement):
            return found
        raise _too_weak(demand, usual.tier, found)
    if demand and TIERS.index(usual.tier) < TIERS.index(demand):
        raise _too_weak(demand, usual.tier, usual.reason)
    return usual


def _too_weak(demand: str, tier: str, reason: str) -> UnsafeOperationError:
    return UnsafeOperationError(
        f"confinement {demand} is demanded and this machine offers {tier}: {reason}",
        hint="Nothing was run. Run it on another machine, or demand less: require_confinement in policy.json,\n"
        "--confinement, CW_CONFINEMENT. See: clockwork doctor",
        details={"demanded": demand, "offered": tier, "reason": reason},
    )
