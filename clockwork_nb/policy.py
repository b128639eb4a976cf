"""The operator's policy: ``policy.json`` beside the keys, read strictly.

What it says binds every run of this user. It is a file of the operator alone: one that somebody else owns or may write
is refused, and so is one with a key that is not known, since a misspelt rule is a rule that does not hold.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from msgspec import Struct, field

from clockwork_nb.canonical import digest, parse_json
from clockwork_nb.errors import InvalidInputError, UnsafeOperationError
from clockwork_nb.patterns import pattern

__all__ = ["DATA_KINDS", "POLICY_NAME", "TIERS", "Policy", "parse_policy", "read_policy", "strongest"]

POLICY_NAME: Final = "policy.json"
TIERS: Final = ("basic", "standard", "strict")
"""The tiers of confinement, from weak to strong."""
DATA_KINDS: Final = ("command", "http", "terraform")
"""What may be allowed to run while planning."""


def strongest(*tiers: str) -> str:
    """Return the strongest of *tiers*, where ``""`` stands for no demand.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA, the name of no tier.
    """
    for tier in tiers:
        if tier and tier not in TIERS:
            raise InvalidInputError(
                f"{tier[:80]!r} is no tier of confinement", hint=f"One of: {', '.join(TIERS)}; see clockwork doctor."
            )
    return max(tiers, key=lambda t: TIERS.index(t) if t else -1, default="")


_RISK: Final = pattern(r"[a-z][a-z0-9_-]{0,63}\Z")
_MOST_BYTES: Final = 64 << 10
_MOST_ENTRIES: Final = 256
_MOST_FIXES: Final = 1000


class Policy(Struct, frozen=True):
    """What the operator laid down. The default is what holds without a file.

    Attributes:
        auto_approve: risk classes; a plan all of whose classes are among them needs no person, so one without any class
            needs none either. Empty: every plan does.
        allowed_roots: absolute folders outside a project that steps may write below, when they declare it.
        require_confinement: the weakest tier that steps may run under, ``""`` for what the machine offers.
        allow_data: what may run while planning.
        runtimes: the only runtimes steps may use; None for all that are allowed at all.
        max_auto_fixes_per_hour: how often a daemon may repair drift by itself; None for its own limit.
        digest: SHA-256 of what the file says, that of the empty policy without a file; approvals are bound to it.
        source: the file, None without one.
    """

    auto_approve: frozenset[str] = frozenset()
    allowed_roots: tuple[Path, ...] = ()
    require_confinement: str = ""
    allow_data: frozenset[str] = frozenset()
    runtimes: frozenset[str] | None = None
    max_auto_fixes_per_hour: int | None = None
    digest: str = field(default_factory=lambda: digest({}))
    source: Path | None = None


def read_policy(path: Path) -> Policy:
    """Return the policy at *path*, or the default one when there is no such file.

    Raises:
        UnsafeOperationError: E_UNSAFE_OPERATION, the file or its folder is somebody else's or others may write it.
        InvalidInputError: E_INVALID_INPUT_SCHEMA, it cannot be read or says something unknown; with the key's name.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        if path.is_symlink():
            raise InvalidInputError(
                f"{path} is a link to nothing", hint="Remove it, or put the policy there."
            ) from None
        return Policy()
    except OSError as error:
        raise InvalidInputError(
            f"{path} cannot be read: {error.strerror}", hint="It is the operator's policy."
        ) from error
    try:
        _check_owner(path, os.fstat(handle), path.parent.stat())
        data = b""
        while len(data) <= _MOST_BYTES and (chunk := os.read(handle, _MOST_BYTES)):
            data += chunk
    finally:
        os.close(handle)
    if len(data) > _MOST_BYTES:
        raise InvalidInputError(f"{path} is longer than {_MOST_BYTES} bytes")
    return parse_policy(data, path)


def _check_owner(path: Path, info: os.stat_result, folder: os.stat_result) -> None:
    if not stat.S_ISREG(info.st_mode):
        raise UnsafeOperationError(f"{path} is not a file", hint="Remove it; no policy can be read from it.")
    for place, found in ((path, info), (path.parent, folder)):
        if found.st_uid not in {os.geteuid(), 0}:
            raise UnsafeOperationError(
                f"{place} belongs to another user (uid {found.st_uid}), so what it says is not the operator's policy",
                hint="Make it your own, or remove it.",
                details={"path": str(place), "uid": found.st_uid},
            )
        if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise UnsafeOperationError(
                f"{place} can be written by others, so what it says is not the operator's policy",
                hint=f"chmod go-w {place}",
                details={"path": str(place), "mode": f"{stat.S_IMODE(found.st_mode):04o}"},
            )


def parse_policy(data: bytes, source: Path | None = None) -> Policy:
    """Return the policy that the JSON object *data* lays down; *source* names it in errors.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA, with the key's name.
    """
    what = str(source or POLICY_NAME)
    document = parse_json(data, what=what)
    if not isinstance(document, dict):
        raise InvalidInputError(f"{what} is not a JSON object", hint=f"Keys: {', '.join(_KEYS)}.")
    values: dict[str, Any] = {}
    for key, value in document.items():
        if key not in _KEYS:
            import difflib

            near = difflib.get_close_matches(key, _KEYS, 1)
            raise InvalidInputError(
                f"{what}: {key[:80]!r} is no key of a policy" + (f"; did you mean {near[0]!r}?" if near else ""),
                hint=f"Keys: {', '.join(_KEYS)}.",
                details={"key": key[:80]},
            )
        try:
            values[key] = _KEYS[key](value)
        except ValueError as error:
            raise InvalidInputError(f"{what}: {key} {error}", details={"key": key}) from None
    return Policy(**values, digest=digest(document), source=source)


def _words(value: object) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        raise ValueError("is not a list of words")
    if len(value) > _MOST_ENTRIES or len(set(value)) != len(value):
        raise ValueError(f"has a word twice, or more than {_MOST_ENTRIES}")
    return value


def _risks(value: object) -> frozenset[str]:
    for word in (words := _words(value)):
        if not _RISK.match(word):
            raise ValueError(f"has {word[:80]!r}, which is no risk class; write each class as a plan shows it")
    return frozenset(words)


def _roots(value: object) -> tuple[Path, ...]:
    for word in (words := _words(value)):
        if not word.startswith("/") or "\0" in word or os.path.normpath(word) != word or word == "/":
            raise ValueError(f"has {word[:200]!r}, which is not an absolute folder below / in its shortest form")
    return tuple(Path(word) for word in words)


def _one_of(*choices: str) -> Callable[[object], str]:
    def check(value: object) -> str:
        if not isinstance(value, str) or value not in choices:
            raise ValueError(f"is {str(value)[:80]!r}, not one of {', '.join(choices)}")
        return value

    return check


def _some_of(*choices: str) -> Callable[[object], frozenset[str]]:
    def check(value: object) -> frozenset[str]:
        for word in (words := _words(value)):
            if word not in choices:
                raise ValueError(f"has {word[:80]!r}, not one of {', '.join(choices)}")
        return frozenset(words)

    return check


def _runtimes(value: object) -> frozenset[str]:
    words = _words(value)
    if not words:
        raise ValueError("is empty, so that nothing could run; leave it out to allow every runtime")
    return frozenset(words)


def _fixes(value: object) -> int:
    if type(value) is not int or not 0 <= value <= _MOST_FIXES:
        raise ValueError(f"is not a whole number from 0 to {_MOST_FIXES}")
    return value


_KEYS: Final[Mapping[str, Callable[[object], Any]]] = {
    "auto_approve": _risks,
    "allowed_roots": _roots,
    "require_confinement": _one_of(*TIERS),
    "allow_data": _some_of(*DATA_KINDS),
    "runtimes": _runtimes,
    "max_auto_fixes_per_hour": _fixes,
}
