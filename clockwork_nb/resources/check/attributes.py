"""What the attributes of a ``check`` may be."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from clockwork_nb.intake.values import Unknown
from clockwork_nb.patterns import pattern
from clockwork_nb.resources import rules
from clockwork_nb.resources.rules import Refused
from clockwork_nb.secrets import Sensitive

__all__ = [
    "account",
    "command_block",
    "container_name",
    "digest",
    "header_lines",
    "host_name",
    "longer_than_nothing",
    "named_block",
    "no_body_for_head",
    "one_kind",
    "one_limit",
    "one_log",
    "one_measure",
    "one_program",
    "one_proof",
    "pattern_of_python",
    "process_name",
    "service_address",
    "size_range",
    "some_permission",
]

_HEADER = pattern(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_LINE = pattern(r"[\r\n\x00]")
_ACCOUNT = pattern(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}\Z")
_CONTAINER = pattern(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,254}\Z")
_SERVICE = pattern(r"[A-Za-z0-9_.\-\[\]\" ]{1,200}\Z")
_HOST = pattern(r"(?:[A-Za-z0-9]([A-Za-z0-9.-]{0,252}[A-Za-z0-9])?|[0-9A-Fa-f:]{2,45})\Z")
_SHA256 = pattern(r"[0-9a-f]{64}\Z")
_NO_KIND = frozenset({"retries", "interval", "timeout"})


# --- one attribute ------------------------------------------------------------------------------------------------


def pattern_of_python(value: str) -> str:
    """Refuse what is no regular expression of Python."""
    try:
        re.compile(value)
    except (re.error, OverflowError, RecursionError) as error:
        raise Refused("pattern", f"this is not a regular expression: {error}") from None
    return value


def host_name(value: str) -> str:
    """Refuse what is neither the name of a host nor an IP address."""
    if not _HOST.match(value):
        raise Refused("host", "a host is a name or an IP address")
    return value


def digest(value: str) -> str:
    """Return *value*, a SHA-256 digest, as 64 small hexadecimal digits."""
    plain = value.removeprefix("sha256:").lower()
    if not _SHA256.match(plain):
        raise Refused("sha256", "a SHA-256 digest is 64 hexadecimal digits")
    return plain


def account(value: str) -> str:
    """Refuse what cannot be the name or number of a user or group."""
    if not _ACCOUNT.match(value):
        raise Refused("account", "this is the name or the number of a user or group")
    return value


def container_name(value: str) -> str:
    """Refuse what cannot be the name or the id of a container."""
    if not _CONTAINER.match(value):
        raise Refused("container", "this is the name or the id of a container")
    return value


def service_address(value: str) -> str:
    """Return the address of the service that *value* names, with or without its type."""
    if not _SERVICE.match(value):
        raise Refused("service", 'this is the address of a service, such as "service.web"')
    return value if value.startswith("service.") else f"service.{value}"


def process_name(value: str) -> str:
    """Refuse what cannot be the name of a program without its folder."""
    if not value or "/" in value or _LINE.search(value):
        raise Refused("process", "this is the name of a program, without its folder")
    return value


def header_lines(value: Any) -> Any:
    """Refuse names and values that cannot stand in a header."""
    if isinstance(value, Unknown):
        return value
    for name, content in value.items():
        if not _HEADER.match(name):
            raise Refused("headers", f"{name!r} cannot be the name of a header (RFC 9110, section 5.1)")
        plain = content.value if isinstance(content, Sensitive) else content
        if isinstance(plain, str) and _LINE.search(plain):
            raise Refused("headers", f"the header {name} holds a line break or a NUL")
    return value


def longer_than_nothing(value: Any) -> Any:
    """Refuse a window of no time."""
    if isinstance(value, (int, float)) and value <= 0:
        raise Refused("window", "a window is longer than 0")
    return value


# --- other spellings of a block -----------------------------------------------------------------------------------


def named_block(value: Any) -> Any:
    """Return the block that a bare name is short for."""
    return {"name": value} if isinstance(value, str) else rules.single_block(value)


def command_block(value: Any) -> Any:
    """Return the block that a list of words or the text of a script is short for."""
    if isinstance(value, str):
        return {"script": value}
    if isinstance(value, list) and not (len(value) == 1 and isinstance(value[0], dict)):
        return {"command": value}
    return rules.single_block(value)


# --- a block as a whole -------------------------------------------------------------------------------------------


def no_body_for_head(config: Mapping[str, Any], _given: Collection[str] = ()) -> None:
    """Refuse to look for a text in an answer that has none."""
    if config["method"] == "HEAD" and config["contains"]:
        raise Refused("contains", "the answer to HEAD has no text; ask with GET")


def some_permission(config: Mapping[str, Any], _given: Collection[str] = ()) -> None:
    """Refuse a look at permissions that asks for none."""
    if config["mode"] is None and config["owner"] is None and config["group"] is None:
        raise Refused("file_permissions", "give at least one of mode, owner, group")


def size_range(config: Mapping[str, Any], _given: Collection[str] = ()) -> None:
    """Refuse a size without limits, and limits that nothing fits."""
    low, high = config["min"], config["max"]
    if low is None and high is None:
        raise Refused("file_size", "give at least one of min, max")
    if isinstance(low, int) and isinstance(high, int) and low > high:
        raise Refused("file_size", "min is greater than max")


def _exactly_one(code: str, *names: str) -> Callable[..., None]:
    """Return the rule that exactly one of *names* is given."""

    def judge(config: Mapping[str, Any], _given: Collection[str] = ()) -> None:
        if sum(config[name] is not None for name in names) != 1:
            raise Refused(code, f"give exactly one of {', '.join(names)}")

    return judge


one_proof = _exactly_one("file_matches", "pattern", "sha256")
one_log = _exactly_one("log_contains", "path", "service", "container")
one_measure = _exactly_one("memory_usage", "max_mb", "max_percent")
one_limit = _exactly_one("disk_usage", "max_percent", "min_free_mb", "max_mb")


def one_program(config: Mapping[str, Any], _given: Collection[str] = ()) -> None:
    """Refuse a command that is none or two."""
    if (config["script"] is None) == (config["command"] is None):
        raise Refused("command", 'give exactly one of "script" (a text) and "command" (a list)')


def one_kind(config: Mapping[str, Any], _given: Collection[str] = ()) -> None:
    """Refuse a check of nothing, or of two things."""
    kinds = [name for name in config if name not in _NO_KIND]
    if sum(config[kind] is not None for kind in kinds) != 1:
        raise Refused("check", f"give exactly one of {', '.join(kinds)}")
