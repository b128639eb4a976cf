"""What the attributes of a ``check`` are when they are plain."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from clockwork_nb.resources import rules
from clockwork_nb.resources.check import attributes as own
from clockwork_nb.resources.plain import (
    REQUIRED,
    NotPlain,
    PlainAttributes,
    Rule,
    block,
    later,
    line,
    mode,
    network_ports,
    one_of,
    port,
    project_folder,
    project_path,
    seconds,
    text,
    text_map,
    time,
    tries,
    whole_number,
    words,
)
from clockwork_nb.resources.probes import http_url

__all__ = ["PLAIN"]


def _percent(value: Any) -> Any:
    if type(value) is not int and type(value) is not float:
        return later(value)
    if not 0 <= value <= 100_000:
        raise NotPlain
    return rules.shortest(value)


def _kind(
    attributes: dict[str, tuple[Rule, Any]],
    whole: Callable[..., None] | None = None,
    *,
    first: Rule = rules.single_block,
) -> tuple[Rule, None]:
    """Return the rule for one kind of check, and that it is not there by default."""
    return block(PlainAttributes(attributes, whole=whole), first), None


_COUNT = whole_number(1, 1_000_000)
_SIZE = whole_number(0, 2**62)
_HOST = (text(own.host_name), "127.0.0.1")
_ENGINE = (one_of("auto", "podman", "docker"), "auto")
_ACCOUNT = text(own.account)
_CONTAINER = text(own.container_name)
_SERVICE = text(own.service_address)
_PROCESS = text(own.process_name)
_PATTERN = text(own.pattern_of_python)
_HTTP: dict[str, tuple[Rule, Any]] = {
    "url": (text(http_url), REQUIRED),
    "method": (one_of("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"), "GET"),
    "headers": (lambda value: own.header_lines(text_map(value)), {}),
    "expect_status": (whole_number(100, 599), 200),
    "contains": (line, None),
}
_OF_CONTAINER = _kind({"name": (_CONTAINER, REQUIRED), "engine": _ENGINE}, first=own.named_block)

PLAIN = PlainAttributes(
    {
        "http": _kind(_HTTP, own.no_body_for_head),
        "response_time": _kind({**_HTTP, "max_ms": (_COUNT, REQUIRED)}, own.no_body_for_head),
        "tcp": _kind({"host": _HOST, "port": (port, REQUIRED)}),
        "port_accessible": _kind({"host": _HOST, "port": (port, REQUIRED), "protocol": (one_of("tcp", "udp"), "tcp")}),
        "file_exists": (project_path, None),
        "file_permissions": _kind(
            {
                "path": (project_path, REQUIRED),
                "mode": (mode, None),
                "owner": (_ACCOUNT, None),
                "group": (_ACCOUNT, None),
            },
            own.some_permission,
        ),
        "file_size": _kind(
            {"path": (project_path, REQUIRED), "min": (_SIZE, None), "max": (_SIZE, None)}, own.size_range
        ),
        "file_matches": _kind(
            {"path": (project_path, REQUIRED), "pattern": (_PATTERN, None), "sha256": (text(own.digest), None)},
            own.one_proof,
        ),
        "log_contains": _kind(
            {
                "path": (project_path, None),
                "service": (_SERVICE, None),
                "container": (_CONTAINER, None),
                "engine": _ENGINE,
                "pattern": (_PATTERN, REQUIRED),
                "lines": (_COUNT, 100),
            },
            own.one_log,
        ),
        "service_status": _kind(
            {
                "name": (_SERVICE, REQUIRED),
                "expect": (one_of("running", "stopped", "exited", "failed", "backoff"), "running"),
            },
            first=own.named_block,
        ),
        "container_running": _OF_CONTAINER,
        "container_healthy": _OF_CONTAINER,
        "process_running": _kind({"name": (_PROCESS, REQUIRED), "min_count": (_COUNT, 1)}, first=own.named_block),
        "process_not_running": _kind({"name": (_PROCESS, REQUIRED)}, first=own.named_block),
        "memory_usage": _kind(
            {"max_mb": (_COUNT, None), "max_percent": (_percent, None), "process": (_PROCESS, None)}, own.one_measure
        ),
        "cpu_usage": _kind(
            {
                "max_percent": (_percent, REQUIRED),
                "window": (time(rules.shortest, also=own.longer_than_nothing), 1),
                "process": (_PROCESS, None),
            }
        ),
        "disk_usage": _kind(
            {
                "path": (project_folder, "."),
                "max_percent": (_percent, None),
                "min_free_mb": (_SIZE, None),
                "max_mb": (_SIZE, None),
            },
            own.one_limit,
        ),
        "command": _kind(
            {
                "command": (words, None),
                "script": (line, None),
                "interpreter": (one_of("sh", "bash", "python3"), "sh"),
                "expect_exit": (whole_number(0, 255), 0),
                "contains": (line, None),
                "working_dir": (project_folder, "."),
                "network": (network_ports, False),
            },
            own.one_program,
            first=own.command_block,
        ),
        "retries": (tries, 10),
        "interval": (seconds, 0.5),
        "timeout": (seconds, 5),
    },
    whole=own.one_kind,
)
