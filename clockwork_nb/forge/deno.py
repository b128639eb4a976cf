"""The permissions a Deno step is started with: what the step declares, in Deno's words.

A second wall inside the first. Deno follows links that stand in an allowed folder, so it never replaces Landlock; it does
say earlier, and in the script's own language, what was not declared. Flags: docs.deno.com, "Security and permissions".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from clockwork_nb.forge.confinement import Grant
from clockwork_nb.patterns import pattern

__all__ = ["DENO_ENVIRONMENT", "deno_flags"]

_ALWAYS: Final = ("--no-prompt", "--no-remote", "--no-npm", "--no-config", "--no-lock", "--cached-only")
_GIVEN: Final = pattern(r"--(?:allow|deny)-(read|write|net|env)=")
_HOSTS: Final = ("127.0.0.1", "localhost", "0.0.0.0", "[::1]")  # noqa: S104 - named, not listened on

DENO_ENVIRONMENT: Final = {"DENO_NO_UPDATE_CHECK": "1", "NO_COLOR": "1"}
"""Variables of every Deno step."""


def deno_flags(
    given: Sequence[str],
    *,
    grants: Iterable[Grant],
    names: Iterable[str],
    network: bool | tuple[int, ...],
) -> list[str]:
    """Return the flags between ``deno run`` and the script.

    Args:
        given: the flags in the step's own command, permissions included; one that it names itself is left as it is.
        grants: what the step may read and write.
        names: the variables it has.
        network: True, False, or the ports of this machine it may use.
    """
    own = {found.group(1) for flag in given if (found := _GIVEN.match(flag))}
    reads, writes = _paths(grants)
    permissions = {
        "read": [*reads, *writes],
        "write": writes,
        "env": sorted(names),
    }
    if isinstance(network, tuple):
        permissions["net"] = [f"{host}:{port}" for port in network for host in _HOSTS]
    flags = [flag for flag in _ALWAYS if flag not in given] + list(given)
    if network is True and "net" not in own:
        flags.append("--allow-net")
    for name, values in permissions.items():
        usable = [v for v in values if "," not in v]  # a comma cannot be written in a list of paths
        if usable and name not in own:
            flags.append(f"--allow-{name}={','.join(dict.fromkeys(usable))}")
    return flags


def _paths(grants: Iterable[Grant]) -> tuple[list[str], list[str]]:
    reads: list[str] = []
    writes: list[str] = []
    for grant in grants:
        (reads if grant.kind in {"read", "children"} else writes).append(grant.path)
    return reads, writes
