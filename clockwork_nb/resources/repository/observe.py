"""Looks at a checkout. Reads only, asks no remote, and runs nothing that the checkout names.

A repository's own settings can name programs (``core.fsmonitor``, filters, hooks) that git starts when it is merely
asked for the status. So git never sees these settings here: it is given an empty repository of ours, which borrows
the objects, the index and the files of the one that is looked at.
"""

from __future__ import annotations

import os
import posixpath
import re
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from clockwork_nb.patterns import pattern
from clockwork_nb.ports import Observation, ObserveContext
from clockwork_nb.resources.project_paths import path_problem

__all__ = ["found", "observe"]

_COMMIT = pattern(r"(?:[0-9a-f]{40}|[0-9a-f]{64})\Z")
_REF = pattern(r"refs/(?!.*(?:\.\.|//|[\x00-\x20]))[^\x7f]{1,400}\Z")
_CREDENTIALS = pattern(r"^(https?://)[^/@]*@|^(ssh://[^/@:]*):[^/@]*(?=@)")
_MAX_SMALL = 1 << 16
_MAX_PACKED = 64 << 20
_MAX_INDEX = 1 << 30
_KEPT = ("core.filemode", "core.ignorecase", "core.symlinks", "core.precomposeunicode", "core.autocrlf", "core.eol")
"""Settings that say how files are compared, and name no program."""


def observe(config: Mapping[str, Any], recorded: Mapping[str, Any] | None, context: ObserveContext) -> Observation:
    """Return what is at ``path``.

    Of a checkout: ``kind``, ``commit``, ``branch`` (null when detached), ``remote`` (its address, without password),
    ``dirty`` (something is in no commit; left out when that cannot be told), ``shallow``; and against what this tool
    did: ``fetched`` (the commit it checked out), ``same_url``, ``unfinished`` (it was cut off), ``stale`` (the last
    fetch is older than ``refresh``).
    """
    path = config.get("path")
    if not isinstance(path, str):
        return Observation(None, detail="the path is not known yet")
    place = context.root / path
    kind = _kind(place)
    if kind == "absent":
        return Observation(False, detail="not there")
    if kind.startswith("cannot"):
        return Observation(None, detail=kind)
    if kind != "checkout":
        return Observation(True, {"kind": kind}, f"{kind}, no checkout")
    deadline = time.monotonic() + context.timeout_s
    git = place / ".git"
    try:
        settings = _settings(git)
        attributes = _read(git, settings)
        url = config.get("url")
        if isinstance(url, str):
            attributes["same_url"] = attributes["remote"] is not None and (
                attributes["remote"] == _shown(_absolute(url, context.root))
            )
        if attributes["fetched"] is None and recorded is not None:
            attributes["fetched"] = recorded.get("fetched") or recorded.get("commit")
        attributes["stale"] = _stale(git, config.get("refresh"))
        changes, problem = _changes(place, settings, attributes["commit"], deadline)
    except (OSError, ValueError) as error:
        return Observation(None, detail=f"the checkout cannot be read: {error}")
    if not problem:
        attributes["dirty"] = bool(changes)
    return Observation(True, attributes, _detail(attributes, changes, problem))


def found(import_id: str, context: ObserveContext) -> Mapping[str, Any] | None:
    """Return ``url``, ``path`` and ``ref`` (branch or commit) of the checkout at *import_id*; None when there is none.

    The address leaves out a name and password; they go into attributes of their own.
    """
    if path_problem(import_id):
        return None
    place = context.root / import_id
    if _kind(place) != "checkout":
        return None
    try:
        seen = _read(place / ".git", _settings(place / ".git"))
    except (OSError, ValueError):
        return None
    ref = seen["branch"] or seen["commit"]
    if seen["remote"] is None or ref is None:
        return None
    inside = f"{context.root.resolve()}/"
    url = f"./{seen['remote'].removeprefix(inside)}" if seen["remote"].startswith(inside) else seen["remote"]
    return {"url": url, "path": posixpath.normpath(import_id), "ref": ref}


def _kind(place: Path) -> str:
    """Return ``checkout``, ``absent``, what else is there, or why that cannot be told (``cannot …``)."""
    try:
        mode = place.lstat().st_mode
        if stat.S_ISLNK(mode):
            return "symbolic link"
        if not stat.S_ISDIR(mode):
            return "file"
        git = (place / ".git").lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return "folder" if place.is_dir() else "absent"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    # A file or link in the place of .git leads to a repository elsewhere, which is not ours.
    return "checkout" if stat.S_ISDIR(git) else "folder"


def _small(path: Path, limit: int = _MAX_SMALL) -> str:
    """Return the text of the regular file *path*, ``""`` when there is none."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return ""
    with open(handle, "rb") as stream:
        info = os.fstat(stream.fileno())
        if not stat.S_ISREG(info.st_mode) or info.st_size > limit:
            raise ValueError(f"{path.name} is no file of the usual size")
        return stream.read(limit).decode("utf-8", "replace")


def _read(git: Path, settings: Mapping[str, str]) -> dict[str, Any]:
    """Return what the files of *git* and its *settings* say. Raises OSError, ValueError for one that is not as git writes it."""
    head = _small(git / "HEAD").strip()
    branch: str | None = None
    commit: str | None = head if _COMMIT.match(head) else None
    if head.startswith("ref: "):
        name = head[5:].strip()
        if not _REF.match(name):
            raise ValueError("its HEAD names no ref")
        branch = name.removeprefix("refs/heads/")
        commit = _resolve(git, name)
    elif commit is None:
        raise ValueError("its HEAD is neither a branch nor a commit")
    remote = settings.get("remote.origin.url")
    return {
        "kind": "checkout",
        "commit": commit,
        "branch": branch,
        "remote": None if remote is None else _shown(remote),
        "fetched": _resolve(git, "refs/clockwork/commit"),
        "shallow": os.path.lexists(git / "shallow"),
        "unfinished": os.path.lexists(git / "clockwork-unfinished"),
    }


def _resolve(git: Path, name: str) -> str | None:
    """Return the commit that the ref *name* holds, None when there is no such ref. See gitrepository-layout(5)."""
    loose = _small(git / name).strip()
    if _COMMIT.match(loose):
        return loose
    for line in _small(git / "packed-refs", _MAX_PACKED).splitlines():
        commit, _, of = line.partition(" ")
        if of == name and _COMMIT.match(commit):
            return commit
    return None


def _settings(git: Path) -> Mapping[str, str]:
    """Return the checkout's own settings, keys as git-config(1) lists them; what these include is not read.

    Raises ValueError when they cannot be read.
    """
    done = _git(("config", "--file", str(git / "config"), "--no-includes", "--list", "-z"), {}, 5)
    if done.returncode != 0:
        raise ValueError(done.stderr.decode("utf-8", "replace").strip()[:160] or "its settings cannot be read")
    out: dict[str, str] = {}
    for item in done.stdout.decode("utf-8", "replace").split("\0"):
        key, _, value = item.partition("\n")
        out[key] = value
    return out


def _absolute(url: str, root: Path) -> str:
    # As the script writes it down: git itself would take it as relative to the checkout.
    return f"{root.resolve()}/{url.removeprefix('./')}" if url.startswith(("./", "../")) else url


def _shown(url: str) -> str:
    """Return *url* without what could be a password, and for http without a user name, which may be a token."""
    return _CREDENTIALS.sub(lambda found: found[1] or found[2], url)


def _stale(git: Path, refresh: Any) -> bool:
    if not isinstance(refresh, (int, float)) or isinstance(refresh, bool):
        return False
    try:
        return (git / "FETCH_HEAD").lstat().st_mtime < time.time() - refresh
    except OSError:
        return True


def _changes(
    place: Path, settings: Mapping[str, str], commit: str | None, deadline: float
) -> tuple[Sequence[str], str]:
    """Return the lines of the status, and why there are none if that cannot be told."""
    git = place / ".git"
    if commit is None:
        return (), "it has no commit"
    index = git / "index"
    if not index.is_file():
        return ("no index",), ""
    if index.stat().st_size > _MAX_INDEX:
        return (), "its index is too large"
    with tempfile.TemporaryDirectory(prefix="clockwork-git-") as folder:
        ours = Path(folder)
        (ours / "HEAD").write_text(f"{commit}\n")
        for name in ("refs", "info"):
            (ours / name).mkdir()
        (ours / "config").write_text(_harmless(settings, commit))
        (ours / "info" / "exclude").write_text(_small(git / "info" / "exclude"))
        # A copy: git may write to the index when it has looked at the files.
        shutil.copyfile(index, ours / "index")
        for shared in git.glob("sharedindex.*"):
            shutil.copyfile(shared, ours / shared.name)
        env = {
            "GIT_DIR": folder,
            "GIT_OBJECT_DIRECTORY": str(git / "objects"),
            "GIT_WORK_TREE": str(place),
            "GIT_OPTIONAL_LOCKS": "0",
        }
        words = ("status", "--porcelain", "--untracked-files=normal", "--ignore-submodules=dirty", "--no-renames")
        done = _git(words, env, deadline - time.monotonic(), cwd=place)
    if done.returncode != 0:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        return (), lines[-1][:160] if lines else f"git left with {done.returncode}"
    return done.stdout.decode("utf-8", "replace").splitlines(), ""


def _harmless(settings: Mapping[str, str], commit: str) -> str:
    """Return the text of a configuration with what of *settings* says how files are compared."""
    lines = ["[core]", f"repositoryformatversion = {0 if len(commit) == 40 else 1}", "bare = false"]
    for key in _KEPT:
        value = settings.get(key, "")
        if re.fullmatch(r"[a-z]{1,10}", value):
            lines.append(f"{key.partition('.')[2]} = {value}")
    if len(commit) == 64:
        lines += ["[extensions]", "objectFormat = sha256"]
    return "\n".join(lines) + "\n"


def _git(
    words: Sequence[str], env: Mapping[str, str], timeout_s: float, *, cwd: Path | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run git with nothing but our settings. A git that is missing or too slow is a failure like any other."""
    clean = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "LC_ALL": "C.UTF-8",
        "HOME": "/nonexistent",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ALLOW_PROTOCOL": "",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_DIR": "/nonexistent",
        **env,
    }
    argv = ("git", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", *words)
    try:
        return subprocess.run(
            argv, cwd=cwd, env=clean, stdin=subprocess.DEVNULL, capture_output=True, timeout=max(timeout_s, 0.1),
            check=False,
        )  # fmt: skip
    except FileNotFoundError:
        return subprocess.CompletedProcess(argv, 127, b"", b"git is not installed")
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(argv, 124, b"", b"git took too long")
    except OSError as error:
        return subprocess.CompletedProcess(argv, 126, b"", str(error).encode())


def _detail(seen: Mapping[str, Any], changes: Sequence[str], problem: str) -> str:
    commit = seen["commit"]
    words = [f"{seen['branch'] or 'detached'} at {commit[:12]}" if commit else "no commit"]
    if problem:
        words.append(f"whether it is dirty cannot be told: {problem}")
    elif changes:
        words.append(f"{len(changes)} {'change' if len(changes) == 1 else 'changes'} in no commit")
    if seen["unfinished"]:
        words.append("a checkout was cut off")
    if seen.get("stale"):
        words.append("not fetched lately")
    return ", ".join(words)
