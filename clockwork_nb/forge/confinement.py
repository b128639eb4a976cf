"""What a step may touch: the tier this machine offers, and the rights that a step's declarations turn into.

Rights are *grants* on existing paths. Landlock knows no exception below a granted folder, so a folder that holds the
workspace's own files (or anything else of ``forbidden``) is never granted as a whole; `resolve_write_roots` says
which narrower right is given instead. The launcher opens the granted paths, without following links, right before the
step starts.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal

from msgspec import Struct

from clockwork_nb.errors import UnsafeOperationError
from clockwork_nb.forge.landlock import landlock_abi

__all__ = [
    "Confinement",
    "Grant",
    "GrantKind",
    "Tier",
    "WriteBounds",
    "grants_within",
    "interpreter_read_roots",
    "prepare_write_roots",
    "probe",
    "read_roots",
    "remove_prepared",
    "resolve_write_roots",
    "resolver_roots",
]

Tier = Literal["strict", "standard", "basic"]
GrantKind = Literal["read", "children", "write", "mkdir", "rmdir"]

_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/nix/store", "/gnu/store")
_RESOLVER = "/etc/resolv.conf"
_DEVICES = ("/dev/urandom", "/dev/random", "/dev/zero")


class Confinement(Struct, frozen=True):
    """What this machine offers.

    ``tier`` is ``strict`` (bubblewrap, seccomp, limits and Landlock), ``standard`` (Landlock, no_new_privs, limits, clean
    environment) or ``basic`` (the same without Landlock: writes outside the declared paths are not blocked). ``abi`` is
    the Landlock ABI, 0 for none. ``reason`` is one sentence for people: what is missing, or empty when nothing is.
    ``bwrap`` is the path of bubblewrap, for ``strict`` alone.
    """

    tier: Tier
    abi: int
    reason: str
    bwrap: str = ""


class Grant(Struct, frozen=True):
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
    """Return the tier that steps run under unless more is demanded; asked once a process. See `tiers` for ``strict``."""
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
    grants = [Grant(path, "read") for path in (*_system_trees(), *_DEVICES)]
    grants.append(Grant(os.devnull, "write"))
    seen = set(_SYSTEM)
    for exe in interpreters:
        for prefix in interpreter_read_roots(exe):
            if prefix not in seen:
                seen.add(prefix)
                grants.append(Grant(prefix, "read"))
    return (*grants, *_read_project(root, hidden))


def resolver_roots() -> tuple[Grant, ...]:
    """Return what a step with a network may read besides, so that it finds hosts by name.

    ``/etc/resolv.conf`` is often a link to a file that a service of the system keeps below ``/run`` (systemd-resolved,
    NetworkManager, resolvconf). Only that file is meant, and it is looked up each time: these services write it anew.
    """
    real = os.path.realpath(_RESOLVER)
    return () if _in_system(real) or not os.path.isfile(real) else (Grant(real, "read"),)


@lru_cache(maxsize=1)
def _system_trees() -> tuple[str, ...]:
    """Return those of `_SYSTEM` that this system has, without those that only lead into another of them."""
    found: list[str] = []
    for path in _SYSTEM:
        real = os.path.realpath(path)
        if os.path.exists(real) and not any(real == tree or real.startswith(f"{tree}/") for tree in found):
            found.append(path)
    return tuple(found)


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
    import subprocess

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


class WriteBounds(Struct, frozen=True):
    """Where steps may write at all, links followed: below ``tops``, the project root first, and not in ``closed``."""

    tops: tuple[str, ...]
    closed: tuple[str, ...]

    @classmethod
    def of(cls, root: Path, forbidden: Iterable[Path], allowed: Iterable[Path] = ()) -> WriteBounds:
        """Return the bounds of the project *root*: *forbidden* is closed, *allowed* is open besides where it is a folder.

        Raises:
            UnsafeOperationError: E_UNSAFE_OPERATION, a path that cannot be resolved.
        """
        more = [real for path in allowed if os.path.isdir(real := _real(str(path), str(path)))]
        closed = tuple(_real(str(path), str(path)) for path in forbidden)
        return cls((os.path.realpath(root), *more), closed)


def resolve_write_roots(
    declared: Sequence[str], root: Path, forbidden: Sequence[Path], allowed: Sequence[Path] = ()
) -> list[Grant]:
    """Return the grants that the *declared* paths of a step come to; see `grants_within`."""
    return grants_within(WriteBounds.of(root, forbidden, allowed), declared)


def grants_within(bounds: WriteBounds, declared: Sequence[str]) -> list[Grant]:
    """Return the grants that the *declared* paths of a step come to.

    Paths are absolute or relative to the project root. With P the declared path after following links:

    =====================  ============================================================================================
    ``P/`` (a folder is    P is there: ``write`` on P and ``rmdir`` on its parent.
    made or removed)       P is missing: ``mkdir`` on its nearest existing parent; nothing can be written into it yet.
    ``P`` (a file or tree  P is a folder: ``write`` on P.
    is written)            P is a file or missing: ``write`` on its parent, so that a new version can be renamed into
                           place. A missing parent is granted all the same: `prepare_write_roots` makes it.
    =====================  ============================================================================================

    Args:
        bounds: what is closed are the workspace's folder, the job store, the notebook. A folder that is, contains or
            lies below one of them gets no ``write``. ``mkdir`` and ``rmdir`` on such a folder can only make or remove
            *empty* folders in it, and that is accepted.
        declared: the ``write`` list of a bundle step.

    Raises:
        UnsafeOperationError: E_UNSAFE_OPERATION, a path that leaves the project or whose grant would open what is closed.
    """
    grants: dict[Grant, None] = {}
    for text in declared:
        grants.update(dict.fromkeys(_grants_for(text, bounds)))
    return _without_rename(list(grants), bounds.closed)


def _without_rename(grants: list[Grant], closed: Sequence[str]) -> list[Grant]:
    """Leave out an ``rmdir`` that would meet a ``mkdir`` of the same step in a folder that holds a protected one."""
    makes = [g.path for g in grants if g.kind == "mkdir"]

    def renames_protected(place: str) -> bool:
        # The deeper of the two is where both rights hold.
        shared = [max(m, place, key=len) for m in makes if _within(m, place) or _within(place, m)]
        return any(_within(c, s) for s in shared for c in closed)

    return [g for g in grants if g.kind != "rmdir" or not renames_protected(g.path)]


def _within(path: str, folder: str) -> bool:
    """Return whether *path* is *folder* or lies below it; both absolute and without links."""
    return path == folder or path.startswith(folder if folder.endswith("/") else f"{folder}/")


def _real(path: str, text: str) -> str:
    """Return *path* with its links followed, as far as it exists."""
    real = os.path.realpath(path)
    try:
        os.lstat(real)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise _loop(text) from error
        return real  # not there yet, or no right to look: whoever opens it is told
    if os.path.islink(real):
        raise _loop(text)
    return real


def _loop(text: str) -> UnsafeOperationError:
    return UnsafeOperationError(f"{text} cannot be resolved: it is a loop of links", hint="Remove the loop.")


def _grants_for(text: str, bounds: WriteBounds) -> list[Grant]:
    top = bounds.tops[0]
    bare = text.rstrip("/")
    leaf = os.path.basename(bare)
    if leaf in {"", ".", ".."} or "\0" in text:
        raise UnsafeOperationError(f"{text!r} is not a path a step may write to", hint="Name a path in the project.")
    parent = _real(os.path.join(top, os.path.dirname(bare)), text)
    place = os.path.join(parent, leaf)
    target = _real(place, text) if os.path.islink(place) else place
    for path in (place, target):
        if not any(_within(path, t) and path != t for t in bounds.tops):
            raise UnsafeOperationError(
                f"{text} is outside the project: it leads to {path}",
                hint=f"A step may only write below {top}, and below what allowed_roots in policy.json names.",
                details={"path": text, "resolved": path},
            )
    _refuse_inside(text, target, bounds.closed)
    if os.path.isdir(target):
        _refuse_around(text, target, bounds.closed)
        tree = Grant(target, "write")
        return [tree, Grant(os.path.dirname(target), "rmdir")] if text.endswith("/") else [tree]
    if text.endswith("/"):
        above = os.path.dirname(target)
        while not os.path.isdir(above):
            above = os.path.dirname(above)
        return [Grant(above, "mkdir")]
    # A link is replaced where it stands, so its own folder counts, not its target's.
    _refuse_around(text, parent, bounds.closed)
    return [Grant(parent, "write")]


def _refuse_inside(text: str, path: str, closed: Sequence[str]) -> None:
    for protected in closed:
        if _within(path, protected):
            raise UnsafeOperationError(
                f"{text} may not be written by a step: {protected} is one of clockwork's own files",
                hint="Choose another path.",
                details={"path": text, "protected": protected},
            )


def _refuse_around(text: str, folder: str, closed: Sequence[str]) -> None:
    _refuse_inside(text, folder, closed)
    for protected in closed:
        if _within(protected, folder):
            raise UnsafeOperationError(
                f"{text} may not be written by a step: that needs the right to write in {folder}, "
                f"which also holds {os.path.basename(protected)}, and that no step may change",
                hint=f"Put it in a folder of its own, for example out/{os.path.basename(text.rstrip('/'))}.",
                details={"path": text, "folder": folder, "protected": protected},
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
