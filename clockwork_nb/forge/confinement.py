"""What a step may touch: the tier this machine offers, and the rights that a step's declarations turn into.

Rights are *grants* on existing paths. Landlock knows no exception below a granted folder, so a folder that holds the
workspace's own files (or anything else of ``forbidden``) is never granted as a whole; `resolve_write_roots` says
which narrower right is given instead. The launcher opens the granted paths, without following links, right before the
step starts.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from clockwork_nb.errors import UnsafeOperationError
from clockwork_nb.forge.launcher import landlock_abi

__all__ = [
    "Confinement",
    "Grant",
    "GrantKind",
    "interpreter_read_roots",
    "prepare_write_roots",
    "probe",
    "read_roots",
    "remove_prepared",
    "resolve_write_roots",
]

GrantKind = Literal["read", "children", "write", "mkdir", "rmdir"]

_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/nix/store", "/gnu/store")
_DEVICES = ("/dev/urandom", "/dev/random", "/dev/zero")


@dataclass(frozen=True, slots=True)
class Confinement:
    """What this machine offers.

    ``tier`` is ``standard`` (Landlock, no_new_privs, limits, clean environment) or ``basic`` (the same without
    Landlock: writes outside the declared paths are not blocked). ``abi`` is the Landlock ABI, 0 for none. ``reason``
    is one sentence for people: what is missing, or empty when nothing is.
    """

    tier: Literal["standard", "basic"]
    abi: int
    reason: str


@dataclass(frozen=True, slots=True)
class Grant:
    """One right on one absolute path.

    * ``read``: read and execute it and everything below; ignored when it does not exist.
    * ``children``: the same for each entry but those named in ``hidden``; symlinks are not followed; names (not
      contents) may be listed everywhere below.
    * ``write``: everything but making devices, on it and below; on a file: read, write, truncate, execute.
    * ``mkdir``: make folders anywhere below, nothing else.
    * ``rmdir``: remove empty folders anywhere below, nothing else. Never together with ``mkdir`` on one path: both
      rights together allow a folder to be *renamed*, the workspace's own too.
    """

    path: str
    kind: GrantKind
    hidden: tuple[str, ...] = ()


@lru_cache(maxsize=1)
def probe() -> Confinement:
    """Return what this machine offers; asked once a process. The tier ``strict`` (bubblewrap) is not offered."""
    abi = landlock_abi()
    if abi < 1:
        return Confinement(
            "basic",
            0,
            f"Landlock is not offered by this system ({os.strerror(-abi)}); writes outside the declared paths "
            "are not blocked",
        )
    missing = []
    if abi < 3:
        missing.append("truncating a file outside the declared paths is not blocked (needs ABI 3)")
    if abi < 4:
        missing.append("the network is not limited (needs ABI 4)")
    if abi < 6:
        missing.append("a step can signal this tool's processes (needs ABI 6)")
    reason = f"Landlock ABI {abi}: {'; '.join(missing)}" if missing else ""
    return Confinement("standard", abi, reason)


# --- reading ----------------------------------------------------------------------------------------------------


def read_roots(root: Path, *, hidden: Iterable[Path] = (), interpreters: Iterable[str] = ()) -> tuple[Grant, ...]:
    """Return what every step of a project may read.

    The system's programs and ``/etc``, the random devices, ``/dev/null`` (also for writing), the prefixes of the
    *interpreters* (absolute paths), and *root* without the *hidden* paths in it: the workspace's own folder with its
    key and its logs. Not ``/proc``: with it a step run by root could read the environment of this process.
    """
    grants = [Grant(path, "read") for path in (*_SYSTEM, *_DEVICES)]
    grants.append(Grant(os.devnull, "write"))
    seen = set(_SYSTEM)
    for exe in interpreters:
        for prefix in interpreter_read_roots(exe):
            if prefix not in seen:
                seen.add(prefix)
                grants.append(Grant(prefix, "read"))
    return (*grants, *_read_project(root, hidden))


def _read_project(root: Path, hidden: Iterable[Path]) -> list[Grant]:
    top = root.resolve()
    skip: dict[Path, set[str]] = {}
    for secret in hidden:
        place = secret.resolve()
        if place == top:
            return []
        if top not in place.parents:
            continue
        # Every folder on the way down is opened entry by entry, and leaves out the next one.
        while place != top:
            skip.setdefault(place.parent, set()).add(place.name)
            place = place.parent
    if not skip:
        return [Grant(str(top), "read")]
    closed = {s.resolve() for s in hidden}
    return [
        Grant(str(folder), "children", tuple(sorted(names)))
        for folder, names in sorted(skip.items())
        # What is hidden need not exist yet, and neither do the folders on the way to it.
        if folder.is_dir() and not any(folder == c or c in folder.parents for c in closed)
    ]


@lru_cache(maxsize=64)
def interpreter_read_roots(exe: str) -> tuple[str, ...]:
    """Return the folders outside the system's that the interpreter *exe* needs to run; empty for a system one.

    A Python says itself where its library is (also behind a version manager's shim); another program gets the folder
    above its ``bin`` (or a version manager's ``shims``). The home folder and ``/`` are never returned; then it is the program's file alone.
    """
    real = os.path.realpath(exe)
    found: list[str] = []
    if not _in_system(exe):
        found.append(_prefix(exe))
    if not _in_system(real):
        found.append(_prefix(real))
    if found and os.path.basename(exe).startswith("python"):
        found += _python_prefixes(exe)
    return tuple(dict.fromkeys(p for p in found if not _in_system(p)))


def _in_system(path: str) -> bool:
    return any(path == place or path.startswith(place + "/") for place in _SYSTEM)


def _prefix(exe: str) -> str:
    folder, prefix = os.path.dirname(exe), os.path.dirname(os.path.dirname(exe))
    return prefix if os.path.basename(folder) in {"bin", "shims"} and not _too_wide(prefix) else exe


def _too_wide(path: str) -> bool:
    home = os.path.realpath(os.path.expanduser("~"))
    return path in {"/", home} or home.startswith(path.rstrip("/") + "/")


def _python_prefixes(exe: str) -> list[str]:
    code = "import sys; print(sys.base_prefix, sys.base_exec_prefix, sep=chr(10))"
    try:
        done = subprocess.run(
            [exe, "-I", "-S", "-c", code],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return []
    return [p for p in done.stdout.splitlines() if p.startswith("/") and not _too_wide(p)]


# --- writing ----------------------------------------------------------------------------------------------------


def resolve_write_roots(declared: Sequence[str], root: Path, forbidden: Sequence[Path]) -> list[Grant]:
    """Return the grants that the *declared* paths of a step come to.

    Paths are relative to *root* or absolute. With P the declared path after following links:

    =====================  ============================================================================================
    ``P/`` (a folder is    P is there: ``write`` on P and ``rmdir`` on its parent.
    made or removed)       P is missing: ``mkdir`` on its nearest existing parent; nothing can be written into it yet.
    ``P`` (a file or tree  P is a folder: ``write`` on P.
    is written)            P is a file or missing: ``write`` on its parent, so that a new version can be renamed into
                           place. A missing parent is granted all the same: `prepare_write_roots` makes it.
    =====================  ============================================================================================

    Args:
        declared: the ``write`` list of a bundle step.
        root: the project root.
        forbidden: what no step may change: the workspace's folder, the job store, the notebook. A folder that is,
            contains or lies below one of them gets no ``write``. ``mkdir`` and ``rmdir`` on such a folder can only make
            or remove *empty* folders in it, and that is accepted.

    Raises:
        UnsafeOperationError: E_UNSAFE_OPERATION, a path that leaves the project or whose grant would open *forbidden*.
    """
    top = root.resolve()
    closed = [_resolve(p, str(p)) for p in forbidden]
    grants: dict[Grant, None] = {}
    for text in declared:
        grants.update(dict.fromkeys(_grants_for(text, top, closed)))
    return _without_rename(list(grants), closed)


def _without_rename(grants: list[Grant], closed: list[Path]) -> list[Grant]:
    """Leave out an ``rmdir`` that would meet a ``mkdir`` of the same step in a folder that holds a protected one."""
    makes = [Path(g.path) for g in grants if g.kind == "mkdir"]

    def renames_protected(grant: Grant) -> bool:
        place = Path(grant.path)
        shared = [
            m if place in (m, *m.parents) else place for m in makes if place in (m, *m.parents) or m in place.parents
        ]
        return any(s in (c, *c.parents) for s in shared for c in closed)

    return [g for g in grants if g.kind != "rmdir" or not renames_protected(g)]


def _grants_for(text: str, top: Path, closed: list[Path]) -> list[Grant]:
    leaf = Path(text)
    if not leaf.name or leaf.name == ".." or "\0" in text:
        raise UnsafeOperationError(f"{text!r} is not a path a step may write to", hint="Name a path in the project.")
    place = _resolve(top / leaf.parent, text) / leaf.name
    target = _resolve(place, text)
    for path in (place, target):
        if top not in path.parents:
            raise UnsafeOperationError(
                f"{text} is outside the project: it leads to {path}",
                hint=f"A step may only write below {top}.",
                details={"path": text, "resolved": str(path)},
            )
    _refuse_inside(text, target, closed)
    if target.is_dir():
        _refuse_around(text, target, closed)
        tree = Grant(str(target), "write")
        return [tree, Grant(str(target.parent), "rmdir")] if text.endswith("/") else [tree]
    if text.endswith("/"):
        parent = target.parent
        while not parent.is_dir():
            parent = parent.parent
        return [Grant(str(parent), "mkdir")]
    # A link is replaced where it stands, so its own folder counts, not its target's.
    _refuse_around(text, place.parent, closed)
    return [Grant(str(place.parent), "write")]


def _resolve(path: Path, text: str) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError) as error:  # a loop of links is a RuntimeError before Python 3.13
        raise UnsafeOperationError(f"{text} cannot be resolved: {error}", hint="Remove the loop of links.") from error


def _refuse_inside(text: str, path: Path, closed: list[Path]) -> None:
    for protected in closed:
        if path == protected or protected in path.parents:
            raise UnsafeOperationError(
                f"{text} may not be written by a step: {protected} is one of clockwork's own files",
                hint="Choose another path.",
                details={"path": text, "protected": str(protected)},
            )


def _refuse_around(text: str, folder: Path, closed: list[Path]) -> None:
    _refuse_inside(text, folder, closed)
    for protected in closed:
        if folder in protected.parents:
            raise UnsafeOperationError(
                f"{text} may not be written by a step: that needs the right to write in {folder}, "
                f"which also holds {protected.name}, and that no step may change",
                hint=f"Put it in a folder of its own, for example out/{Path(text).name}.",
                details={"path": text, "folder": str(folder), "protected": str(protected)},
            )


def prepare_write_roots(grants: Iterable[Grant]) -> list[Path]:
    """Make the folders that ``write`` grants name but that do not exist yet, mode 0755 less the umask.

    Returns those that were made, outermost first, for `remove_prepared`.

    Raises:
        UnsafeOperationError: E_UNSAFE_OPERATION, a folder that cannot be made.
    """
    made: list[Path] = []
    for grant in grants:
        if grant.kind != "write":
            continue
        missing = []
        place = Path(grant.path)
        while not os.path.lexists(place):
            missing.append(place)
            place = place.parent
        for folder in reversed(missing):
            try:
                folder.mkdir(mode=0o755)
            except FileExistsError:
                continue  # another step of this run was faster
            except OSError as error:
                raise UnsafeOperationError(
                    f"the folder {folder} cannot be made: {error.strerror}",
                    hint="A step needs it to put its file there.",
                    details={"path": str(folder)},
                ) from error
            made.append(folder)
    return made


def remove_prepared(made: Sequence[Path]) -> None:
    """Remove those of *made* that are still empty. Only when no other step runs: one may have been granted such a folder."""
    for folder in reversed(made):
        try:
            folder.rmdir()
        except OSError:
            continue  # in use, or gone: both are fine
