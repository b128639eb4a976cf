"""Every value of every type, at any depth, may be known only after apply: a plan is made all the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from clockwork_nb.intake.values import Unknown, contains_unknown
from clockwork_nb.ports import ChangeKind, Observation, ResourceType
from clockwork_nb.resources.registry import builtin_types
from clockwork_nb.secrets import Sensitive

TYPES = builtin_types()
LATER = Unknown("known after apply")
HTTP = {
    "url": "http://localhost:1/", "method": "GET", "headers": {"a": "b"}, "expect_status": 200, "contains": "x",
}  # fmt: skip
TRIES = {"retries": 2, "interval": 1, "timeout": 1}
CONFIGS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "file": ("file", {"path": "out/a", "content": "x", "mode": "0644", "backup": True}),
    "file of bytes": ("file", {"path": "out/a", "content_base64": "eA=="}),
    "directory": ("directory", {"path": "out", "mode": "0755"}),
    "command": (
        "command",
        {
            "command": ["a", "b"], "creates": "out/a", "unless": "x", "destroy": "x", "stdin": "x", "writes": ["out"],
            "network": [80], "triggers": {"a": "b"}, "idempotent": True, "timeout": 5, "idle_timeout": 5, "retries": 2,
            "retry_delay": 2, "env": {"A": "b"}, "working_dir": "out",
        },
    ),
    "script": ("command", {"script": "x", "interpreter": "sh", "network": True}),
    "image": (
        "image",
        {
            "context": "web", "tags": ["a:1", "b:1"], "engine": "podman", "dockerfile": "F", "build_args": {"A": "b"},
            "target": "x", "network": False,
        },
    ),
    "container": (
        "service",
        {
            "engine": "podman", "image": "a:1", "pull": "missing", "name": "n", "command": ["a", "b"],
            "ports": [{"external": 8080, "internal": 80, "host_ip": "127.0.0.1"}], "env": {"A": "b"},
            "volumes": [{"path": "a", "target": "/a", "mode": "ro"}, {"volume": "v", "target": "/b"}],
            "working_dir": "/", "user": "u", "network": "host", "read_only": True, "privileged": True,
            "labels": {"a": "b"}, "logging": {"driver": "json-file", "max_size": 2048, "max_file": 2},
            "health_check": {"path": "/", "expect_status": 200, "start_period": 2, **TRIES},
            "restart": "no", "memory": 64 << 20, "cpus": 1, "pids": 5, "state": "running", "stop_timeout": 3,
        },
    ),
    "container asked inside": ("service", {"image": "a:1", "health_check": {"command": ["a", "b"], **TRIES}}),
    "container stopped": ("service", {"engine": "podman", "image": "a:1", "state": "stopped", "stop_timeout": 3}),
    "process": (
        "service",
        {
            "command": ["a", "b"], "ports": [8080], "env": {"A": "b"}, "working_dir": "out", "restart": "always",
            "logging": {"max_size": 2048, "max_file": 2}, "memory": 64 << 20, "stop_timeout": 3, "state": "running",
            "health_check": {"url": "http://localhost:1/", "start_period": 2, **TRIES},
        },
    ),
    "repository": (
        "repository",
        {
            "url": "https://example.org/a", "path": "src/a", "ref": "main", "depth": 1, "submodules": True,
            "refresh": 60, "timeout": 60, "username": "u", "password": Sensitive("p"),
        },
    ),
    "schedule of cron": (
        "schedule",
        {
            "cron": "@daily", "command": ["a", "b"], "env": {"A": "b"}, "working_dir": "out", "backend": "cron",
            "log": "out/l", "enabled": True, "name": "n",
        },
    ),
    "schedule of systemd": ("schedule", {"on_calendar": "daily", "runbook": "r.ipynb", "backend": "systemd"}),
    "terraform": (
        "terraform",
        {
            "source": "tf", "vars": {"a": {"b": [1]}}, "var_files": ["a.tfvars"], "workspace": "w", "env": {"A": "b"},
            "output_names": ["o"], "binary": "tofu", "parallelism": 2, "timeout": 60,
        },
    ),
    **{
        f"check of {kind}": ("check", {kind: value, **TRIES})
        for kind, value in {
            "http": HTTP,
            "response_time": {**HTTP, "max_ms": 5},
            "tcp": {"host": "h", "port": 1},
            "port_accessible": {"host": "h", "port": 1, "protocol": "udp"},
            "file_exists": "a",
            "file_permissions": {"path": "a", "mode": "0644", "owner": "u", "group": "g"},
            "file_size": {"path": "a", "min": 1, "max": 2},
            "file_matches": {"path": "a", "pattern": "x"},
            "log_contains": {"container": "c", "engine": "podman", "pattern": "x", "lines": 5},
            "service_status": {"name": "service.a", "expect": "running"},
            "container_running": {"name": "c", "engine": "podman"},
            "container_healthy": {"name": "c"},
            "process_running": {"name": "p", "min_count": 1},
            "process_not_running": {"name": "p"},
            "memory_usage": {"max_mb": 5, "process": "p"},
            "cpu_usage": {"max_percent": 5, "window": 1, "process": "p"},
            "disk_usage": {"path": "a", "max_percent": 5},
            "command": {"command": ["a", "b"], "expect_exit": 0, "contains": "x", "working_dir": "a", "network": [80]},
        }.items()
    },
}  # fmt: skip


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to everything in *value*, itself left out."""
    todo = [(value, at)]
    while todo:
        part, way = todo.pop()
        if way:
            yield way
        inside = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
        todo += [(child, (*way, key)) for key, child in inside]


def with_later(value: dict[str, Any], way: tuple[Any, ...]) -> dict[str, Any]:
    """Return a copy of *value* in which what is at *way* is known only after apply."""
    out = dict(value)
    part: Any = out
    for key in way[:-1]:
        child = part[key]
        part[key] = dict(child) if isinstance(child, dict) else list(child)
        part = part[key]
    part[way[-1]] = LATER
    return out


def normal(kind: ResourceType, attributes: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = kind.model().model_validate(dict(attributes)).model_dump()
    if hasattr(kind, "with_facts"):
        return dict(kind.with_facts(made, {"engine": "podman 4"}))
    return made


CASES = [(name, way) for name, (_, given) in CONFIGS.items() for way in places(given)]


@pytest.mark.parametrize(("name", "way"), CASES, ids=lambda v: v if isinstance(v, str) else ".".join(map(str, v)))
def test_a_plan_is_made_whatever_is_known_only_later(name: str, way: tuple[Any, ...]) -> None:
    kind, given = TYPES[CONFIGS[name][0]], CONFIGS[name][1]
    before, after = normal(kind, given), normal(kind, with_later(given, way))
    assert contains_unknown(after)
    assert isinstance(kind.describe(after), str)
    kind.exports(after)
    for optional in ("claims", "needs_engine"):
        if hasattr(kind, optional):
            getattr(kind, optional)(after)
    kind.replaces(before, after)
    for observed in (Observation(None), Observation(False), Observation(True)):
        kind.drift(before, observed)
        if hasattr(kind, "pending"):
            kind.pending("noop", after, observed)
    verbs: tuple[ChangeKind, ...] = ("verify",) if kind.verifies else ("create", "update", "replace")
    for change in verbs:
        recorded = None if change in {"create", "verify"} else before
        kind.risks(change, after, recorded, None)
        for spec in kind.actions(change, after, recorded):
            for number in (spec.timeout_s, spec.retries, spec.backoff_s, spec.idle_timeout_s):
                assert isinstance(number, (int, float)), f"{spec.name} is limited by {number!r}"


def test_every_attribute_is_among_them() -> None:
    for kind in {t.name: t for t in TYPES.values()}.values():
        fields = {n for n, f in kind.model().model_fields.items() if not f.exclude}
        tried = {n for name, given in CONFIGS.values() if TYPES[name] is kind for n in given}
        left = fields - tried
        # Read while a configuration is evaluated, or sensitive.
        assert left <= {"source", "template", "vars"}, f"{kind.name}: {sorted(left)}"
