"""What the parts of a ``service`` may be: published ports, mounts, health checks, logging, sizes."""

from __future__ import annotations

import math
import posixpath
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

from clockwork_nb.patterns import pattern
from clockwork_nb.resources.containers import parse_size
from clockwork_nb.resources.probes import url_problem
from clockwork_nb.resources.rules import Refused

__all__ = [
    "MAX_BYTES",
    "below_root",
    "container_path",
    "distinct_ports",
    "distinct_targets",
    "hundredths",
    "in_bytes",
    "ip_address",
    "log_driver",
    "memory_limit",
    "no_colon",
    "not_too_often",
    "one_source",
    "one_way",
    "probe_path",
    "volume_name",
    "written_mounts",
    "written_ports",
]

MAX_BYTES: Final = 1 << 50

_MIN_MEMORY = 6 << 20  # docker's own lower limit; below it nothing starts
_VOLUME_NAME = pattern(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}\Z")
_DRIVER = pattern(r"[a-z][a-z0-9-]{0,30}\Z")
_PUBLISHED = pattern(
    r"(?:(?P<ip>\d{1,3}(?:\.\d{1,3}){3}|\[[0-9a-fA-F:.]+\]):)?(?P<external>\d{1,5})(?::(?P<internal>\d{1,5}))?\Z"
)


# --- ports --------------------------------------------------------------------------------------------------------


def ip_address(value: str) -> str:
    """Return *value*, an IP address, in its usual spelling."""
    import ipaddress  # few services need it, and it takes a millisecond

    try:
        return str(ipaddress.ip_address(value.strip("[]")))
    except ValueError:
        raise Refused(
            "host_ip", 'host_ip is an IP address: "127.0.0.1" for this machine alone, "0.0.0.0" for all'
        ) from None


def written_ports(value: Any) -> Any:
    """Return the list of blocks that one block, numbers and texts are short for. Stands before the check of the type."""
    if isinstance(value, dict):
        value = [value]
    return [_written_port(v) for v in value] if isinstance(value, list) else value


def _written_port(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        return {"external": value}
    if not isinstance(value, str):
        return value
    found = _PUBLISHED.match(value)
    if found is None:
        raise Refused("ports", f'"{value[:60]}" is no port: write 8080, "8080:80" or "127.0.0.1:8080:80" (host first)')
    out: dict[str, Any] = {"external": int(found["external"])}
    if found["internal"]:
        out["internal"] = int(found["internal"])
    if found["ip"]:
        out["host_ip"] = found["ip"]
    return out


def distinct_ports(external: Iterable[Any]) -> None:
    """Refuse a port that is given twice."""
    twice = _twice(external)
    if twice:
        raise Refused("ports", f"port {twice[0]} is given twice")


def _twice(values: Iterable[Any]) -> list[Any]:
    return sorted(value for value, count in Counter(values).items() if count > 1)


# --- mounts -------------------------------------------------------------------------------------------------------


def container_path(value: str) -> str:
    """Return *value*, a path inside a container, normalised; it is absolute and holds nothing a mount cannot say."""
    if not value.startswith("/") or ".." in value.split("/"):
        raise Refused("path", 'a path inside a container is absolute and without ".."')
    if any(ord(c) < 32 or ord(c) == 127 or c == ":" for c in value):
        raise Refused("path", "a path inside a container cannot hold a colon or a control character")
    return posixpath.normpath(value)


def below_root(value: str) -> str:
    """As `container_path`, but not the root."""
    plain = container_path(value)
    if plain == "/":
        raise Refused("target", "nothing can be mounted over the root of a container")
    return plain


def no_colon(value: Any) -> Any:
    """Refuse a path that the engines would take apart. Stands before the check of the type."""
    if isinstance(value, str) and ":" in value:
        raise Refused("path", "a path with a colon cannot be mounted")
    return value


def volume_name(value: str) -> str:
    """Refuse what cannot be the name of a volume."""
    if not _VOLUME_NAME.match(value):
        raise Refused("volume", "the name of a volume is 1 to 100 letters, digits, dots, dashes or underscores")
    return value


def one_source(config: Mapping[str, Any], _given: Collection[str] = ()) -> None:
    """Refuse a mount of nothing, or of two things."""
    if (config["path"] is None) == (config["volume"] is None):
        raise Refused("volumes", 'a mount has either "path" (of the project) or "volume" (a name)')


def written_mounts(value: Any) -> Any:
    """Return the list of blocks that one block and texts are short for. Stands before the check of the type."""
    if isinstance(value, dict):
        value = [value]
    return [_written_mount(v) for v in value] if isinstance(value, list) else value


def _written_mount(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    parts = value.split(":")
    if len(parts) not in {2, 3}:
        raise Refused("volumes", f'"{value[:60]}" is no mount: write "./folder:/inside:ro" or "volume:/inside"')
    # As for both engines: a name without a slash is a volume, "./data" is a folder.
    kind = "path" if "/" in parts[0] or parts[0].startswith(".") else "volume"
    return {kind: parts[0], "target": parts[1], **({"mode": parts[2]} if len(parts) == 3 else {})}


def distinct_targets(targets: Iterable[str]) -> None:
    """Refuse two mounts at one path."""
    twice = _twice(targets)
    if twice:
        raise Refused("volumes", f"two things are mounted at {twice[0]}")


# --- sizes --------------------------------------------------------------------------------------------------------


def in_bytes(value: Any) -> Any:
    """Return the bytes that a text such as ``64m`` means. Stands before the check of the type."""
    if isinstance(value, str):
        try:
            value = parse_size(value)
        except (ValueError, OverflowError):
            raise Refused("size", 'a size is a number of bytes, or text such as "64m", "512k", "2g"') from None
    if isinstance(value, Decimal) and value == value.to_integral_value():
        value = int(value)
    return value


def memory_limit(value: int) -> int:
    """Refuse a limit under which nothing starts."""
    if value < _MIN_MEMORY:
        raise Refused("memory", "a memory limit is at least 6m; a smaller one starts nothing")
    return value


def hundredths(value: Any) -> Any:
    """Return *value* as float; more than two decimals are refused. Stands before the check of the type."""
    if isinstance(value, (Decimal, int)) and not isinstance(value, bool):
        try:
            value = float(value)
        except OverflowError:
            value = math.inf
    if isinstance(value, float) and round(value, 2) != value:
        raise Refused("cpus", "cpus is a number with at most two decimals, such as 0.5 or 1.25")
    return value


# --- health and logging -------------------------------------------------------------------------------------------


def probe_path(value: str) -> str:
    """Refuse what is no path of a URL."""
    if not value.startswith("/") or url_problem(f"http://localhost{value}"):
        raise Refused("path", 'the path of a health check starts with "/" and is plain ASCII')
    return value


def not_too_often(value: Any) -> Any:
    """Refuse an interval without rest."""
    if isinstance(value, (int, float)) and value < 0.01:
        raise Refused("interval", "an interval is at least 10ms")
    return value


def one_way(config: Mapping[str, Any], _given: Collection[str] = ()) -> None:
    """Refuse a health check that asks in two ways."""
    given = [n for n in ("url", "tcp", "command") if config[n] not in (None, False)]
    if len(given) > 1:
        raise Refused("health_check", f'a health check asks in one way; "{given[0]}" and "{given[1]}" are two')


def log_driver(value: str) -> str:
    """Refuse what cannot be the name of a log driver."""
    if not _DRIVER.match(value):
        raise Refused("driver", 'a log driver is a word such as "json-file", "k8s-file", "journald", "none"')
    return value
