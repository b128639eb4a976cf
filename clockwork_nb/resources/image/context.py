"""The digest of a build context: what a build could read, honouring the ignore file.

Standard library only, because it also runs by itself, as ``python3 -I context.py CONTEXT DOCKERFILE``, right before a
build: the image is labelled with what it was built from, and whoever looks later compares that with what is there then.

Ignore files are read as Docker documents them (``.dockerignore``: Go's filepath.Match, ``**``, ``!`` exceptions, the last
match wins); ``.containerignore`` comes first, as for podman. What both engines leave out is left out here; more may be
read than is sent, never less.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import re
import stat
import sys
import time
from pathlib import Path

__all__ = ["build_files", "context_digest", "ignore_rules", "ignored"]

_CHUNK = 1 << 20
_IGNORE_FILES = (".containerignore", ".dockerignore")
_DOCKERFILES = ("Containerfile", "Dockerfile")

Rules = list[tuple[bool, "re.Pattern[str]"]]


def build_files(dockerfile: str) -> tuple[str, ...]:
    """Return where a build file is looked for below the context: *dockerfile*, or the usual names for ``""``."""
    return (dockerfile,) if dockerfile else _DOCKERFILES


def find_dockerfile(context: str, dockerfile: str) -> str:
    """Return the build file's path below *context*: *dockerfile*, or the first usual name that is there.

    Raises:
        FileNotFoundError: there is none.
    """
    for name in build_files(dockerfile):
        if Path(context, name).is_file():
            return name
    raise FileNotFoundError(f"{' or '.join(build_files(dockerfile))} is not in {context}")


def context_digest(context: str, dockerfile: str, *, deadline: float = float("inf")) -> str:
    """Return the SHA-256 (hex) of the build file and of every name, kind, mode and content that is not ignored.

    Times and owners do not count: a fresh checkout of the same files is the same context.

    Args:
        context: the folder.
        dockerfile: the build file below it; ``""`` for the usual names.
        deadline: by the monotonic clock.

    Raises:
        OSError: it cannot be read. TimeoutError: not in time.
    """
    chosen = find_dockerfile(context, dockerfile)
    rules = _rules_in(context)
    whole = hashlib.sha256(b"clockwork context 1\n")
    whole.update(f"{chosen}\0".encode() + _content(str(Path(context, chosen)), deadline))
    for path, kind, content in sorted(_entries(context, rules, deadline)):
        whole.update(os.fsencode(path) + b"\0" + kind + b"\0" + content)
    return whole.hexdigest()


def _entries(context: str, rules: Rules, deadline: float) -> list[tuple[str, bytes, bytes]]:
    found = []
    exceptions = any(excepts for excepts, _ in rules)
    stack = [""]
    while stack:
        folder = stack.pop()
        with os.scandir(Path(context, folder)) as entries:
            for entry in entries:
                path = posixpath.join(folder, entry.name)
                is_folder = entry.is_dir(follow_symlinks=False)
                out = ignored(path, rules)
                if is_folder and not (out and not exceptions):
                    stack.append(path)
                if not out:
                    found.append((path, *_entry(entry, deadline)))
    return found


def _entry(entry: os.DirEntry[str], deadline: float) -> tuple[bytes, bytes]:
    mode = entry.stat(follow_symlinks=False).st_mode
    bits = b"%o" % stat.S_IMODE(mode)
    if stat.S_ISLNK(mode):
        return b"link", os.fsencode(Path(entry.path).readlink())
    if stat.S_ISREG(mode):
        return b"file " + bits, _content(entry.path, deadline)
    return (b"folder " if stat.S_ISDIR(mode) else b"special ") + bits, b""


def _content(path: str, deadline: float) -> bytes:
    digest = hashlib.sha256()
    # O_NONBLOCK: a pipe that took the file's place must not stop us.
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        while chunk := os.read(fd, _CHUNK):
            digest.update(chunk)
            if time.monotonic() > deadline:
                raise TimeoutError("the context is too large to be read in time")
    finally:
        os.close(fd)
    return digest.digest()


# --- what is ignored ----------------------------------------------------------------------------------------------


def _rules_in(context: str) -> Rules:
    for name in _IGNORE_FILES:
        try:
            with Path(context, name).open(encoding="utf-8", errors="surrogateescape") as file:
                return ignore_rules(file.read())
        except FileNotFoundError:
            continue
    return []


def ignore_rules(text: str) -> Rules:
    """Return the rules of an ignore file in order, each with whether it is an exception.

    >>> ignored("a/b.log", ignore_rules("**/*.log")), ignored("keep.log", ignore_rules("*.log\\n!keep.log"))
    (True, False)
    """
    rules = []
    for line in text.lstrip("\ufeff").splitlines():
        pattern = line.strip()
        if not pattern or line.startswith("#"):
            continue
        excepts = pattern.startswith("!")
        plain = posixpath.normpath(pattern.removeprefix("!").strip()).lstrip("/")
        if plain not in {"", "."}:
            rules.append((excepts, _compiled(plain)))
    return rules


def ignored(path: str, rules: Rules) -> bool:
    """Return whether *path* (relative, with ``/``) is left out: the last rule that matches it or a folder above decides."""
    if not rules:
        return False
    parts = path.split("/")
    names = ["/".join(parts[:end]) for end in range(len(parts), 0, -1)]
    for excepts, pattern in reversed(rules):
        if any(pattern.fullmatch(name) for name in names):
            return not excepts
    return False


def _compiled(pattern: str) -> re.Pattern[str]:
    out, at = [], 0
    while at < len(pattern):
        char = pattern[at]
        at += 1
        if char == "*" and pattern.startswith("*", at):
            at += 1
            if pattern.startswith("/", at):
                at += 1
                out.append("(?:.*/)?")
            else:
                out.append(".*")
        elif char == "*":
            out.append("[^/]*")
        elif char == "?":
            out.append("[^/]")
        elif char == "[" and (end := pattern.find("]", at + 1)) > 0:
            inner = pattern[at:end].replace("\\", "\\\\").replace("[", "\\[")
            out.append(f"[^{inner[1:]}]" if inner[0] in "^!" else f"[{inner}]")
            at = end + 1
        elif char == "\\" and at < len(pattern):
            out.append(re.escape(pattern[at]))
            at += 1
        else:
            out.append(re.escape(char))
    try:
        return re.compile("".join(out), re.DOTALL)
    except re.error:  # what is no pattern names a file
        return re.compile(re.escape(pattern))


if __name__ == "__main__":
    try:
        sys.stdout.write(f"{find_dockerfile(*sys.argv[1:3])}\n{context_digest(*sys.argv[1:3])}\n")
    except OSError as error:
        sys.exit(f"the context cannot be read: {error}")
