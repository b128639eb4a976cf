"""What one run in the launcher consists of, and what comes back. Values and checks only."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

from msgspec import Struct, field

from clockwork_nb.errors import InvalidInputError
from clockwork_nb.forge import launcher
from clockwork_nb.forge.confinement import Grant
from clockwork_nb.patterns import pattern
from clockwork_nb.secrets import repr_without

__all__ = [
    "DEFAULT_LIMITS",
    "FIRST_DATA_FD",
    "GRACE_S",
    "HOST_GRACE_S",
    "MAX_DATA",
    "Killed",
    "LaunchResult",
    "LaunchSpec",
    "check_launch",
    "landlock_rules",
    "link_name",
]

Killed = Literal["timeout", "idle", "cancelled"]

FIRST_DATA_FD: Final = launcher.SCRIPT_FD + 1
"""The lowest number a data descriptor may have; the highest is 32 above."""

MAX_DATA: Final = 32

DEFAULT_LIMITS: Final[Mapping[str, int]] = {"CORE": 0, "DATA": 1 << 30, "NOFILE": 4096}
"""Limits of a step by the names of setrlimit(2): no core files, 1 GiB of data, 4096 descriptors. Deno needs 2 GiB."""

GRACE_S: Final = 5.0
"""How long a step may take from SIGTERM to SIGKILL."""

HOST_GRACE_S: Final = 30.0
"""The same for a host step of a resource: it drives a tool that has a lock to give back and a record to
write (terraform, a container engine)."""

_NAME = pattern(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z")


class LaunchSpec(Struct, frozen=True):
    """One step, completely: nothing is inherited from this process.

    * ``argv``: the words; the first becomes ``exe``, the one equal to ``script_name`` the name the script is started by.
    * ``exe``: absolute path of the interpreter; ``""`` runs the script itself (a binary, or a text with ``#!``).
    * ``script``: its bytes, on descriptor 30; None for no script. ``script_name`` is its artifact path.
    * ``data``: descriptor number (31 to 62) → bytes, readable at ``/proc/self/fd/N``.
    * ``stdin``: what the step reads; None is ``/dev/null``.
    * ``write_roots``, ``read_roots``: see `clockwork_nb.forge.confinement`; paths absolute and without links.
    * ``network``: True, False, or the TCP ports it may connect to and listen on. UDP and unix sockets with a path are
      not limited.
    * ``confined``: False for the host class: no Landlock, and set-uid programs keep working.
    * ``timeout_s``: until SIGTERM goes to the step's process group; ``grace_s`` later follows SIGKILL.
      ``idle_timeout_s``: the same after so long without output.
    * ``limits``: by the names of setrlimit(2) without ``RLIMIT_``; cut to this process's hard limits.
    * ``detaches``: what left the step's process group on purpose goes on when the step has ended. Not for a confined step.
    """

    argv: tuple[str, ...]
    exe: str
    env: Mapping[str, str]
    cwd: str | Path
    script: bytes | None = None
    script_name: str = ""
    data: Mapping[int, bytes] = field(default_factory=dict)
    stdin: bytes | None = None
    write_roots: tuple[Grant, ...] = ()
    read_roots: tuple[Grant, ...] = ()
    network: bool | tuple[int, ...] = False
    confined: bool = True
    timeout_s: float = 600.0
    grace_s: float = GRACE_S
    idle_timeout_s: float | None = None
    limits: Mapping[str, int] = field(default_factory=lambda: DEFAULT_LIMITS)
    umask: int = 0o022
    detaches: bool = False

    def __repr__(self) -> str:
        return repr_without(self, "data", "stdin")


class LaunchResult(Struct, frozen=True):
    """How a step ended.

    ``exit_code`` and ``signal`` are None when it was not that way; both are None when the step never ran, and then
    ``error`` says why or ``killed`` is set. ``strays`` counts processes that it left running and that were killed;
    ``stuck`` those that even SIGKILL did not end. ``max_rss`` is in KiB, with a floor of about 10 MiB that is the
    launcher's own.
    """

    exit_code: int | None = None
    signal: int | None = None
    killed: Killed | None = None
    error: str = ""
    duration_ms: int = 0
    strays: int = 0
    stuck: int = 0
    max_rss: int = 0
    user_ms: int = 0
    system_ms: int = 0

    @property
    def ok(self) -> bool:
        """Whether it ran to its own end with exit code 0."""
        return self.exit_code == 0 and self.killed is None and not self.error


def link_name(script_name: str) -> str:
    """Return the file name a script is started by: that of its artifact path, or ``script`` when that is unusual."""
    name = os.path.basename(script_name)
    return name if _NAME.match(name) else "script"


def landlock_rules(spec: LaunchSpec) -> dict[str, Any]:
    """Return the grants and ports of *spec* as the launcher's ``rules``; ``net`` is None for an open network."""
    rules: dict[str, Any] = {"read": [], "children": [], "write": [], "mkdir": [], "rmdir": []}
    for grant in (*spec.read_roots, *spec.write_roots):
        rules[grant.kind].append([grant.path, list(grant.hidden)] if grant.kind == "children" else grant.path)
    if spec.network is True:
        rules["net"] = None
    else:
        rules["net"] = list(spec.network) if spec.network else []
    return rules


def check_launch(spec: LaunchSpec) -> None:
    """Refuse what the launcher could not carry out as it stands.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA.
    """
    if not spec.argv:
        raise InvalidInputError("the step has no command")
    if spec.script is not None and spec.argv.count(spec.script_name) != 1:
        raise InvalidInputError(f"the script {spec.script_name!r} must stand exactly once among the step's words")
    if not spec.exe and spec.script is None:
        raise InvalidInputError("the step has neither an interpreter nor a script")
    if spec.exe and not os.path.isabs(spec.exe):
        raise InvalidInputError(f"{spec.exe!r} is not an absolute path of an interpreter")
    for number in spec.data:
        if not FIRST_DATA_FD <= number < FIRST_DATA_FD + MAX_DATA:
            raise InvalidInputError(
                f"{number} cannot be a data descriptor",
                hint=f"Use {FIRST_DATA_FD} to {FIRST_DATA_FD + MAX_DATA - 1}.",
            )
    words = (*spec.argv, *spec.env, *spec.env.values())
    if any("\0" in word for word in words):
        raise InvalidInputError("a word or variable of the step holds a zero byte")
