"""The facts an environment fingerprint is made of, read from this machine.

Secret values become keyed digests before they leave this module. A rule that cannot be answered here is an error when a
job starts; what is merely absent (a file, a repository) has a value that says so.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from clockwork_nb.canonical import digest, parse_json
from clockwork_nb.errors import InvalidInputError
from clockwork_nb.jobs.fingerprint import KEYED, normalize_rules

__all__ = ["MAX_FILE", "Override", "Place", "collect", "installed_packages", "package_changes", "place_of"]

MAX_FILE: Final = 256 << 20
"""Bytes of a file that a rule may name."""
_GIT_TIMEOUT_S: Final = 60
_MOST_CHANGES: Final = 20


class Place(Struct, frozen=True):
    """Where a job's environment is looked at.

    Attributes:
        root: what ``file:`` paths are relative to, and where ``git`` looks.
        key: makes the key of keyed digests; called only when a rule needs it.
        notebook: the notebook that the job runs, when it runs one.
    """

    root: Path
    key: Callable[[], bytes]
    notebook: Path | None = None


class Override(Struct, frozen=True):
    """Somebody's word that another environment will do for one resume."""

    by: str
    reason: str


def place_of(spec: Any, key: Callable[[], bytes]) -> Place | None:
    """Return where the job of *spec* (what ``job.created`` keeps) is looked at; None when it has no folder."""
    match spec:
        case {"notebook": str(notebook), "cwd": str(root)}:
            return Place(Path(root), key, Path(notebook))
        case {"workspace": {"root": str(root)}} | {"root": str(root)}:
            return Place(Path(root), key)
        case _:
            return None


def collect(rules: Iterable[str] = (), place: Place | None = None) -> list[dict[str, str]]:
    """Return *rules* (default: arch, os, python) with this machine's values, sorted by rule.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA: an unknown rule, or one that cannot be answered here.
    """
    return [{"rule": rule, "value": _value(rule, place)} for rule in normalize_rules(rules)]


def _value(rule: str, place: Place | None) -> str:
    kind, _, name = rule.partition(":")
    if kind in _PLAIN:
        return _PLAIN[kind]()
    if place is None:
        raise InvalidInputError(f"the fingerprint rule {rule!r} needs a job with a folder")
    return _PLACED[kind](place, name)


# --- the machine and this process --------------------------------------------------------------------------------


def installed_packages() -> str:
    """Return what is installed for this Python, one ``name==version`` a line, sorted; names as PEP 503 has them."""
    import re
    from importlib.metadata import distributions

    found = set()
    for distribution in distributions():
        name = distribution.metadata["Name"]
        if name:  # half-removed packages leave a folder without one
            found.add(f"{re.sub(r'[-_.]+', '-', name).lower()}=={distribution.version}\n")
    return "".join(sorted(found))


def package_changes(before: str, after: str) -> list[str]:
    """Return what differs between two lists of `installed_packages`, at most twenty lines and how many more there are.

    >>> package_changes("a==1\\nb==1\\n", "a==2\\nc==1\\n")
    ['a: 1 -> 2', 'b: 1 -> (gone)', 'c: (new) -> 1']
    """
    old, new = (dict(line.split("==", 1) for line in text.splitlines() if "==" in line) for text in (before, after))
    lines = [
        f"{name}: {old.get(name, '(new)')} -> {new.get(name, '(gone)')}"
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    ]
    more = len(lines) - _MOST_CHANGES
    return [*lines[:_MOST_CHANGES], f"and {more} more"] if more > 0 else lines


def _packages() -> str:
    return hashlib.sha256(installed_packages().encode()).hexdigest()


def _cwd() -> str:
    try:
        return str(Path.cwd())
    except FileNotFoundError:
        return "(gone)"


_PLAIN: Final[Mapping[str, Callable[[], str]]] = {
    "arch": lambda: os.uname().machine,
    "os": lambda: sys.platform,
    "python": lambda: sys.version.split(maxsplit=1)[0],
    "packages": _packages,
    "cwd": _cwd,
    "hostname": lambda: os.uname().nodename,
}


# --- what a rule names -------------------------------------------------------------------------------------------


def _variable(place: Place, name: str) -> str:
    value = os.environ.get(name)
    if value is None:
        return "(unset)"
    # The name is part of it, so that two variables with one value cannot be told to have it.
    data = f"{name}={value}".encode("utf-8", "surrogateescape")
    return KEYED + hmac.new(place.key(), data, hashlib.sha256).hexdigest()


def _file(place: Place, name: str) -> str:
    root = place.root.resolve()
    path = (root / name).resolve()
    if not path.is_relative_to(root):
        raise InvalidInputError(f"file:{name} is not below {root}", hint="Name a file relative to the job's folder.")
    try:
        if not path.exists():
            return "(missing)"
        if not path.is_file():
            return "(not a file)"
        size = path.stat().st_size
        if size > MAX_FILE:
            raise InvalidInputError(f"file:{name} has {size:,} bytes; a rule takes at most {MAX_FILE:,}")
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InvalidInputError(f"file:{name} cannot be read: {error.strerror}") from error


def _notebook(place: Place, _: str) -> str:
    from clockwork_nb.workspace import read_input

    if place.notebook is None:
        raise InvalidInputError("the fingerprint rule 'notebook' is for jobs that run a notebook")
    document: Any = parse_json(read_input(place.notebook, most=MAX_FILE), what=place.notebook.name)
    cells = document.get("cells") if isinstance(document, dict) else None
    if not isinstance(cells, list):
        raise InvalidInputError(f"{place.notebook.name} is not a notebook of format 4")
    sources = [
        "".join(source) if isinstance(source := cell.get("source", ""), list) else source
        for cell in cells
        if isinstance(cell, dict) and cell.get("cell_type") == "code"
    ]
    return digest(sources)


def _runtime(_: Place, name: str) -> str:
    from clockwork_nb.forge.facts import runtime_version
    from clockwork_nb.forge.runtimes import RUNTIMES, find_runtime

    if name not in RUNTIMES:
        raise InvalidInputError(f"runtime:{name} is no runtime", hint=f"Runtimes: {', '.join(RUNTIMES)}.")
    path = find_runtime(name)
    if not path:
        return "(not installed)"
    with Path(path).open("rb") as file:
        content = hashlib.file_digest(file, "sha256").hexdigest()
    return f"{runtime_version(name, path)} {path} {content}"


# --- git ---------------------------------------------------------------------------------------------------------

# A repository may be somebody else's: nothing its configuration names is started.
_GIT: Final = (
    "git", "--no-optional-locks", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null",
    "-c", "core.attributesFile=/dev/null", "-c", "diff.external=", "-c", "core.pager=cat",
)  # fmt: skip


def _git(place: Place, _: str) -> str:
    """Return the commit and, when tracked files differ from it, a digest of how; untracked files do not count."""
    if _ask_git(place.root, "rev-parse", "--is-inside-work-tree") != b"true\n":
        return "(no repository)"
    commit = _ask_git(place.root, "rev-parse", "--verify", "--quiet", "HEAD").decode("ascii", "replace").strip()
    if not commit:
        return "(no commit)"
    changed = _changes(place.root)
    return f"{commit} with changes {changed}" if changed else commit


def _changes(root: Path) -> str:
    """Return a digest over what is staged and what tracked files hold; empty when both are as in the commit.

    git itself is not asked about the files: comparing them it would start the filters that the repository names.
    """
    top = Path(os.fsdecode(_ask_git(root, "rev-parse", "--show-toplevel").rstrip(b"\n")))
    staged = _ask_git(root, "diff-index", "--cached", "--raw", "-z", "--no-renames", "--no-abbrev", "HEAD")
    changes = [hashlib.sha256(staged).hexdigest()] if staged else []
    for entry in _ask_git(root, "ls-tree", "-r", "-z", "--full-tree", "HEAD").split(b"\0"):
        about, _, name = entry.partition(b"\t")
        if not name:
            continue
        mode, kind, recorded = about.decode("ascii").split(" ")
        if kind != "blob":
            continue  # a submodule, whose commit stands in the tree
        found = _content_id(top / os.fsdecode(name), len(recorded))
        if found != f"{mode} {recorded}":
            changes.append(f"{os.fsdecode(name)!a} {found}")
    return digest(changes) if changes else ""


def _content_id(path: Path, digits: int) -> str:
    """Return mode and id that git gives a file: the digest of ``blob <size>\\0`` and its content, without any filter."""
    made = hashlib.sha1(usedforsecurity=False) if digits == 40 else hashlib.sha256()
    try:
        found = path.lstat()
        if stat.S_ISLNK(found.st_mode):
            target = os.fsencode(path.readlink())
            made.update(b"blob %d\0%b" % (len(target), target))
            return f"120000 {made.hexdigest()}"
        if not stat.S_ISREG(found.st_mode):
            return "(not a file)"
        made.update(b"blob %d\0" % found.st_size)
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                made.update(block)
    except (FileNotFoundError, NotADirectoryError):
        return "(missing)"
    except OSError as error:
        raise InvalidInputError(f"{path} cannot be read: {error.strerror}") from error
    return f"{'100755' if found.st_mode & 0o100 else '100644'} {made.hexdigest()}"


def _ask_git(root: Path, *words: str) -> bytes:
    """Return what git answers, nothing when it refuses or there is no git."""
    environment = {
        "PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_NOSYSTEM": "1",
        "HOME": os.environ.get("HOME", "/"),
    }  # fmt: skip
    try:
        done = subprocess.run(
            [*_GIT, "-C", str(root), *words],
            stdin=subprocess.DEVNULL, capture_output=True, timeout=_GIT_TIMEOUT_S, env=environment, check=False,
        )  # fmt: skip
    except FileNotFoundError:
        return b""
    except subprocess.TimeoutExpired:
        raise InvalidInputError(f"git did not answer in {_GIT_TIMEOUT_S} s in {root}") from None
    return done.stdout if done.returncode == 0 else b""


_PLACED: Final[Mapping[str, Callable[[Place, str], str]]] = {
    "env": _variable,
    "file": _file,
    "git": _git,
    "notebook": _notebook,
    "runtime": _runtime,
}
