"""The words that start a step of the tier ``strict``: bubblewrap with the step's grants as mounts.

The mounts are as wide as the narrowest that bubblewrap can express; Landlock inside (`clockwork_nb.forge.inside`) narrows
them to what the grants say: folders may be made but nothing written, these ports and no others.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from clockwork_nb.forge import inside
from clockwork_nb.forge.confinement import Grant

__all__ = ["FILTER_FD", "ORDER_FD", "bubblewrap_words", "inner_words"]

ORDER_FD: Final = 63
"""Where `clockwork_nb.forge.inside` finds what to start; above the step's data."""
FILTER_FD: Final = 64
"""Where bubblewrap finds the seccomp program."""

_LINKS: Final = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_HOME: Final = "/run/clockwork"


def bubblewrap_words(
    bwrap: str, grants: Sequence[Grant], *, network: bool, cwd: str, names: str = "", filter_fd: int = FILTER_FD
) -> list[str]:
    """Return ``[bwrap, …, "--"]`` for a step with *grants*; the words of what to start come after.

    *network*: whether it sees this machine's network at all. *names*: the folder with the names of scripts.
    """
    words = [bwrap, "--unshare-all", *(["--share-net"] if network else [])]
    words += ["--die-with-parent", "--cap-drop", "ALL", "--seccomp", str(filter_fd), "--proc", "/proc", "--dev", "/dev"]
    for path in _LINKS:
        if os.path.islink(path):
            words += ["--symlink", os.readlink(path), path]
    for path in _readable(grants):
        words += ["--ro-bind", path, path]
    for path in _writable(grants):
        words += ["--bind", path, path]
    for path in _hidden(grants):
        words += ["--tmpfs", path, "--remount-ro", path] if os.path.isdir(path) else ["--ro-bind", os.devnull, path]
    for module in (inside.__file__, os.path.join(os.path.dirname(inside.__file__), "landlock.py")):
        words += ["--ro-bind", module, f"{_HOME}/{os.path.basename(module)}"]
    if names:
        words += ["--ro-bind", names, names]
    return [*words, "--dir", cwd, "--remount-ro", "/", "--chdir", cwd, "--"]


def inner_words() -> list[str]:
    """Return the words that start `clockwork_nb.forge.inside` within the mounts of `bubblewrap_words`."""
    return [os.path.realpath(sys.executable), "-I", "-S", f"{_HOME}/inside.py", str(ORDER_FD)]


def _readable(grants: Sequence[Grant]) -> list[str]:
    wanted = [g.path for g in grants if g.kind in {"read", "children"} and not g.path.startswith("/dev/")]
    wanted += [sys.base_prefix, sys.base_exec_prefix]  # of the program that becomes the step
    found: list[str] = []
    for path in sorted({p for p in wanted if p not in _LINKS or not os.path.islink(p)}):
        below = any(path == top or path.startswith(f"{top.rstrip('/')}/") for top in found)
        if not below and os.path.exists(path):
            found.append(path)
    return found


def _writable(grants: Sequence[Grant]) -> list[str]:
    paths = {g.path for g in grants if g.kind in {"write", "mkdir", "rmdir"} and not g.path.startswith("/dev/")}
    return sorted(paths, key=lambda p: (p.count("/"), p))


def _hidden(grants: Sequence[Grant]) -> list[str]:
    opened = {Path(g.path) for g in grants if g.kind == "children"}
    on_the_way = opened | {p for folder in opened for p in folder.parents}
    hidden = [Path(g.path) / name for g in grants if g.kind == "children" for name in g.hidden]
    return sorted(str(p) for p in hidden if p not in on_the_way and p.exists())
