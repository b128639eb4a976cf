"""The spec of a supervised service: the JSON that is built, may be edited by hand, is approved and carried out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from clockwork_nb.errors import BundleSchemaError
from clockwork_nb.patterns import pattern

__all__ = ["check_spec"]

_RESTART = pattern(r"(?:no|always|unless-stopped|on-failure(?::[1-9]\d{0,4})?)\Z")
_VARIABLE = pattern(r"[A-Za-z_][A-Za-z0-9_]{0,127}\Z")


def check_spec(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return *spec* as a plain dict when it is a service spec of version 1.

    Raises:
        BundleSchemaError: E_BUNDLE_SCHEMA, every finding in ``details["findings"]``.
    """
    rules: dict[str, tuple[Callable[[Any], bool], str]] = {
        "version": (lambda v: v == "1", 'must be "1"'),
        "service": (lambda v: _text(v) and "/" not in v, "must be the service's name on disk"),
        "address": (_text, "must be the resource's address"),
        "command": (lambda v: _texts(v) and bool(v) and bool(v[0]), "must be a list of words"),
        "env": (_environment, "must map variable names to text"),
        "secret_env": (_environment, "must map variable names to names of secrets"),
        "cwd": (_text, "must be a folder"),
        "ports": (_ports, "must be a list of at most 64 port numbers, 1 to 65535"),
        "restart": (lambda v: isinstance(v, str) and bool(_RESTART.match(v)), "must be no, always or on-failure[:N]"),
        "stop_timeout_s": (lambda v: _number(v) and v <= 3600, "must be seconds, 0 to 3600"),
        "health": (_health, "must be null or an object with url, expect_status and times"),
        "state": (lambda v: v in ("running", "stopped"), 'must be "running" or "stopped"'),
    }
    findings = [f"{name} is missing" for name in rules if name not in spec]
    rules |= _OPTIONAL
    findings += [f"{name!r} is not a part of a service spec" for name in spec if name not in rules]
    findings += [f"{name} {text}" for name, (good, text) in rules.items() if name in spec and not good(spec[name])]
    if findings:
        raise BundleSchemaError(
            f"the service spec is not usable: {findings[0]}",
            hint="Correct the JSON file, or build again.",
            details={"findings": findings},
        )
    return dict(spec)


def _whole(value: object, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


_OPTIONAL: dict[str, tuple[Callable[[Any], bool], str]] = {
    "memory_bytes": (lambda v: _whole(v, 1 << 20, 1 << 50), "must be bytes, from 1 MiB"),
    "log_bytes": (lambda v: _whole(v, 1024, 1 << 50), "must be bytes, from 1024"),
    "log_files": (lambda v: _whole(v, 1, 100), "must be 1 to 100"),
}
"""What a spec need not have: how much data each process may hold, when the log is turned over, how many are kept."""


def _text(value: object) -> bool:
    return isinstance(value, str) and bool(value) and "\0" not in value


def _texts(value: object) -> bool:
    return isinstance(value, (list, tuple)) and all(isinstance(v, str) and "\0" not in v for v in value)


def _environment(value: object) -> bool:
    return isinstance(value, dict) and all(_VARIABLE.match(k) for k in value) and _texts(list(value.values()))


def _number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0


def _ports(value: object) -> bool:
    return (
        isinstance(value, (list, tuple))
        and len(value) <= 64
        and all(isinstance(p, int) and not isinstance(p, bool) and 0 < p < 65536 for p in value)
    )


def _health(value: object) -> bool:
    if value is None:
        return True
    if not isinstance(value, dict) or not set(value) <= _HEALTH_KEYS:
        return False
    url, expected = value.get("url"), value.get("expect_status")
    if url is not None and (not isinstance(url, str) or urlsplit(url).scheme not in {"http", "https"}):
        return False
    times = (value.get(k, 1) for k in _HEALTH_KEYS - {"url", "expect_status"})
    return (expected is None or (_number(expected) and 100 <= expected <= 599)) and all(_number(t) for t in times)


_HEALTH_KEYS = frozenset({"url", "expect_status", "interval_s", "timeout_s", "retries", "start_period_s"})
