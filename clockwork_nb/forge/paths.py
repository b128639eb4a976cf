"""The grammar of artifact paths. One grammar for every platform: a bundle that is fine here is fine anywhere."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

from clockwork_nb.forge.bundle_limits import MAX_PART_BYTES, MAX_PARTS, MAX_PATH_BYTES
from clockwork_nb.patterns import pattern

__all__ = ["collisions", "path_problem"]

# Names that open a device on Windows whatever their extension (Microsoft, "Naming Files, Paths, and Namespaces").
_DEVICES = frozenset(
    {"con", "prn", "aux", "nul", "conin$", "conout$"}
    | {f"{name}{digit}" for name in ("com", "lpt") for digit in "0123456789¹²³"}
)
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_PLAIN = pattern(r"[ -~]*\Z")
"""Text in which nothing is invisible: nearly every path, and asking about each character is slow."""
_FORBIDDEN = pattern(r'[<>:"|?*\\]')


def path_problem(path: str) -> str:
    """Return why *path* cannot be an artifact's path, or ``""`` when it can.

    An artifact path is relative, its parts joined by ``/``, at most 240 bytes of UTF-8 and 8 parts of 100, and names
    the same file on every file system we know: no ``..``, drive, device, control or invisible character, trailing dot or
    space.

    >>> path_problem("scripts/file.index/write_file.sh"), path_problem("../x")
    ('', 'it leaves the build folder')
    """
    if not path:
        return "it is empty"
    try:
        size = len(path.encode())
    except UnicodeEncodeError:
        return "it holds half of a surrogate pair"
    if size > MAX_PATH_BYTES:
        return f"it is {size} bytes long, {MAX_PATH_BYTES} are allowed"
    if path.startswith("/"):
        return "it is absolute"
    if re.match(r"[A-Za-z]:", path):
        return "it names a drive"
    if not _PLAIN.match(path) and any(unicodedata.category(c) in _INVISIBLE for c in path):
        return "it holds a control or invisible character"
    if found := _FORBIDDEN.search(path):
        return f"it holds {found.group()!r}"
    parts = path.split("/")
    if len(parts) > MAX_PARTS:
        return f"it has {len(parts)} parts, {MAX_PARTS} are allowed"
    for part in parts:
        if problem := _part_problem(part):
            return problem
    if unicodedata.normalize("NFC", path) != path:
        return "it is not in Unicode normal form C"
    return ""


@lru_cache(maxsize=1024)  # most parts of a bundle's paths are the same few
def _part_problem(part: str) -> str:
    if part == "..":
        return "it leaves the build folder"
    if part in {"", "."}:
        return "it has an empty part"
    if part.startswith("."):
        return f"the name {part!r} is hidden, and hidden names of the build folder are ours"
    if part.startswith("-"):
        return f"the name {part!r} looks like an option"
    if part.startswith("~"):
        return f"the name {part!r} looks like a home folder"
    if len(part.encode()) > MAX_PART_BYTES:
        return f"a name in it is {len(part.encode())} bytes long, {MAX_PART_BYTES} are allowed"
    if part[-1] in ". " or part[0] == " ":
        return f"the name {part!r} begins or ends with a space, or ends with a dot"
    if part.split(".", maxsplit=1)[0].rstrip().casefold() in _DEVICES:
        return f"the name {part!r} is a device on some systems"
    return ""


def collisions(paths: Iterable[str]) -> list[tuple[str, str, str]]:
    """Return ``(path, earlier path, why)`` for each path that would share a file, or sit below a file, of an earlier one.

    Two paths are the same file when they are equal after NFC and case folding. Linear in the text.
    """
    out: list[tuple[str, str, str]] = []
    files: dict[str, str] = {}
    folders: dict[str, str] = {}
    for path in paths:
        key = _fold(path)
        if key in files:
            same = files[key] == path
            out.append((path, files[key], "is there twice" if same else "is the same file on some systems"))
            continue
        if key in folders:
            out.append((path, folders[key], "is also a folder"))
        parts = key.split("/")
        for end in range(1, len(parts)):
            parent = "/".join(parts[:end])
            if parent in files:
                out.append((path, files[parent], "lies below a file"))
            folders.setdefault(parent, path)
        files[key] = path
    return out


def _fold(path: str) -> str:
    if path.isascii():
        return path.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())
