"""Services as supervised processes: start one, change one, remove one.

Each service has a folder of its own with the files that `forge.supervisor` describes. Only processes that
`forge.service_status` knows to be ours are ever signalled.
"""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import json
import os
import secrets as random
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct

from clockwork_nb.canonical import digest
from clockwork_nb.errors import (
    AdapterFailedError,
    InterruptedByUserError,
    InvalidInputError,
    StepTimeoutError,
)
from clockwork_nb.forge import supervisor
from clockwork_nb.forge.service_spec import check_spec
from clockwork_nb.forge.service_status import (
    ServiceStatus,
    check_port_free,
    our_process,
    port_holder,
    read_object,
    read_state,
    status,
    status_of,
)

__all__ = ["ServiceResult", "ServiceStatus", "check_spec", "ensure", "port_holder", "remove", "status"]

_POLL_S = 0.05
_ALIVE_S = 0.3
_PROBE_EVERY_S = 0.2
_TAIL_BYTES = 2000
_FILES = (
    "lock",
    "service.json",
    "state.json",
    "state.json.tmp",
    "service.new",
    "out.log",
    "supervisor.log",
)


class ServiceResult(Struct, frozen=True):
    """What `ensure` or `remove` did. ``pid`` is 0 when nothing runs; ``note`` is one line for people."""

    pid: int
    changed: bool
    note: str


# --- ending -----------------------------------------------------------------------------------------------------


def _stop(directory: Path, timeout_s: float) -> bool:
    """End the service of *directory* and its supervisor; returns whether there was something to end."""
    state = read_state(directory)
    found = False
    with our_process(state, "supervisor_") as overseer:
        if overseer >= 0:
            found = True
            signal.pidfd_send_signal(overseer, signal.SIGTERM)
            if not _wait_gone(overseer, timeout_s):
                signal.pidfd_send_signal(overseer, signal.SIGKILL)
                _wait_gone(overseer, 5)
    with our_process(state, "") as process:
        if process >= 0:
            found = True
            signal.pidfd_send_signal(process, signal.SIGKILL)
            _wait_gone(process, 5)
    return _kill_instance(state.get("instance", "")) or found


def _wait_gone(pidfd: int, seconds: float) -> bool:
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    return bool(poller.poll(seconds * 1000))


def _kill_instance(instance: str) -> bool:
    """Kill what a killed supervisor left: every process that still carries this start's mark in its environment."""
    if not instance:
        return False
    mark = f"{supervisor.INSTANCE_VARIABLE}={instance}".encode()
    found = True
    killed = False
    for _ in range(10):  # a process may fork while we look
        if not found:
            break
        found = False
        for name in os.listdir("/proc"):
            if not name.isdigit():
                continue
            with contextlib.suppress(OSError):
                fd = os.pidfd_open(int(name))
                try:
                    if mark in Path(f"/proc/{name}/environ").read_bytes().split(b"\0"):
                        signal.pidfd_send_signal(fd, signal.SIGKILL)
                        found = killed = True
                        _wait_gone(fd, 5)
                finally:
                    os.close(fd)
    return killed


# --- starting ---------------------------------------------------------------------------------------------------


def ensure(
    spec: Mapping[str, Any],
    *,
    directory: Path,
    root: Path,
    secrets: Mapping[str, str],
    timeout_s: float,
    cancel: threading.Event | None = None,
) -> ServiceResult:
    """Make the service be as *spec* says, and return what was done.

    The same spec already running: nothing. Another one: it is stopped first, but not before the ports that only the new
    one has were found free. The new one must become healthy within *timeout_s*: the health URL answers 2xx (or
    ``expect_status``), else the first port accepts a connection, else the process lives for 0.3 s. What does not is
    stopped again; a start that fails leaves nothing running. ``retries`` and ``start_period_s`` of ``health`` are for
    watching a service that is up; a start has *timeout_s*.

    Args:
        spec: version, service, address, command, env, secret_env (variable → name of a secret), cwd (relative to
            *root*), ports, restart, stop_timeout_s, health, state.
        directory: the service's own folder; made with mode 0700.
        root: the project root.
        secrets: name of a secret → its text; handed to the process, written nowhere.
        timeout_s: for the whole start.
        cancel: set to give up; the new process is stopped then.

    Raises:
        BundleSchemaError: E_BUNDLE_SCHEMA, *spec* is not a service spec.
        AdapterFailedError: E_ADAPTER_FAIL, a port is taken, or the process ended; ``details["tail"]`` is its log's end.
        StepTimeoutError: E_TIMEOUT, not healthy in time.
        InterruptedByUserError: E_INTERRUPTED, *cancel* was set.
    """
    wanted = check_spec(spec)
    new_digest = digest(wanted)
    now = status(directory)
    if wanted["state"] == "stopped":
        stopped = _stop(directory, timeout_s)
        return ServiceResult(0, stopped, "stopped" if stopped else "not running")
    if now.status == "running" and now.spec_digest == new_digest and now.pid:
        return ServiceResult(now.pid, False, f"already running, pid {now.pid}")
    environment = _secret_environment(wanted, secrets)
    cwd = (root / wanted["cwd"]).resolve()
    if not cwd.is_dir():
        raise AdapterFailedError(f"the service's folder {cwd} does not exist", hint="Declare it as a directory.")
    for port in wanted["ports"]:
        if port not in now.ports:
            check_port_free(port)
    replaced = _stop(directory, _stop_time(directory))
    for port in wanted["ports"]:
        check_port_free(port)
    log = directory / "out.log"
    log_from = log.stat().st_size if log.exists() else 0
    instance = _start(wanted, new_digest, directory, cwd, environment)
    try:
        pid = _await_health(wanted, directory, instance, log_from, timeout_s, cancel)
    except BaseException:
        _stop(directory, wanted["stop_timeout_s"] + 6)
        raise
    return ServiceResult(pid, True, f"{'restarted' if replaced else 'started'}, pid {pid}")


def _stop_time(directory: Path) -> float:
    """How long the supervisor of *directory* may take to end: its spec's grace, and time to clear up."""
    spec = read_object(directory / "service.json").get("spec", {})
    return float(spec.get("stop_timeout_s", 10)) + 6


def _secret_environment(spec: Mapping[str, Any], secrets: Mapping[str, str]) -> dict[str, str]:
    missing = sorted(name for name in spec["secret_env"].values() if name not in secrets)
    if missing:
        raise InvalidInputError(
            f"the secret {missing[0]!r} of {spec['address']} has no value", details={"missing": missing}
        )
    return {variable: secrets[name] for variable, name in spec["secret_env"].items()}


def _start(spec: dict[str, Any], spec_digest: str, directory: Path, cwd: Path, environment: Mapping[str, str]) -> str:
    """Start the supervisor; returns the mark of this start."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    instance = random.token_hex(16)
    order = {"version": "1", "spec": spec, "spec_digest": spec_digest, "cwd": str(cwd), "instance": instance}
    place = directory / "service.json"
    place.with_suffix(".new").unlink(missing_ok=True)  # never follow a link that came with somebody's folder
    fd = os.open(place.with_suffix(".new"), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with open(fd, "w", encoding="utf-8") as file:
        json.dump(order, file, indent=1, sort_keys=True)
    place.with_suffix(".new").replace(place)
    kept = {k: os.environ[k] for k in ("PATH", "LANG", "TZ", "LD_LIBRARY_PATH") if k in os.environ}
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-S", supervisor.__file__, str(directory)],
            input=json.dumps(dict(environment)).encode() + b"\n",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=kept,
            cwd="/",
            start_new_session=True,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise AdapterFailedError(f"the supervisor of {spec['address']} did not start: {error}") from error
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise AdapterFailedError(
            f"the supervisor of {spec['address']} did not start: {said[-1] if said else f'code {done.returncode}'}",
            details={"directory": str(directory)},
        )
    return instance


def _await_health(
    spec: Mapping[str, Any],
    directory: Path,
    instance: str,
    log_from: int,
    timeout_s: float,
    cancel: threading.Event | None,
) -> int:
    """Wait until the service is healthy; returns its pid."""
    begun = time.monotonic()
    found = "its supervisor has not started it yet"
    asked = -_PROBE_EVERY_S
    while True:
        now = status_of(_this_start(directory, instance))
        passed = time.monotonic() - begun
        if now.status not in {"absent", "starting", "running"} or now.restarts:
            raise _ended(spec, directory, now, log_from)
        if now.status == "running" and now.pid and passed - asked >= _PROBE_EVERY_S:
            asked = passed
            found = _problem(spec, passed)
            if not found and status_of(_this_start(directory, instance)).pid == now.pid:
                return now.pid
        if now.status == "absent" and _lock_is_free(directory) and not _this_start(directory, instance):
            raise _ended(spec, directory, now, log_from)
        if cancel is not None and cancel.is_set():
            raise InterruptedByUserError(f"{spec['address']} was stopped while it started")
        if passed >= timeout_s:
            raise StepTimeoutError(
                f"{spec['address']} was not healthy after {timeout_s:g} s: {found}",
                hint=f"Look at {directory / 'out.log'}; give it more time with a longer timeout if it is only slow.",
                details={"tail": _tail(directory, log_from), "log": str(directory / "out.log")},
            )
        time.sleep(_POLL_S)


def _this_start(directory: Path, instance: str) -> dict[str, Any]:
    state = read_state(directory)
    return state if state.get("instance") == instance else {}


def _lock_is_free(directory: Path) -> bool:
    with open(directory / "lock", "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def _ended(spec: Mapping[str, Any], directory: Path, now: ServiceStatus, log_from: int) -> AdapterFailedError:
    last = now.last_exit or {}
    how = "its supervisor died"
    if last.get("signal") is not None:
        how = f"it was killed by signal {last['signal']}"
    elif last.get("code") is not None:
        how = f"it ended with exit code {last['code']}"
    tail = _tail(directory, log_from)
    last_line = f": {tail.splitlines()[-1]}" if tail else ""
    return AdapterFailedError(
        f"{spec['address']} did not stay up; {how}{last_line}",
        hint=f"A service must stay in the foreground. Its output is in {directory / 'out.log'}.",
        details={"tail": tail, "log": str(directory / "out.log"), "exit_code": last.get("code")},
    )


def _tail(directory: Path, log_from: int) -> str:
    try:
        with open(directory / "out.log", "rb") as file:
            size = file.seek(0, os.SEEK_END)
            begin = log_from if log_from <= size else 0  # turned over meanwhile
            file.seek(max(begin, size - _TAIL_BYTES))
            return file.read().decode("utf-8", "replace").strip()
    except FileNotFoundError:
        return ""


def _problem(spec: Mapping[str, Any], passed: float) -> str:
    """Return why the service is not healthy yet, or ``""`` when it is."""
    health = spec["health"] or {}
    if health.get("url"):
        return _ask(health["url"], health.get("expect_status"), float(health.get("timeout_s") or 5))
    if spec["ports"]:
        try:
            socket.create_connection(("127.0.0.1", spec["ports"][0]), timeout=1).close()
        except OSError as error:
            return f"port {spec['ports'][0]}: {error.strerror or error}"
        return ""
    return "" if passed >= _ALIVE_S else "it only just started"


def _ask(url: str, expected: int | None, timeout_s: float) -> str:
    """Ask *url* once, directly: no proxy, no redirect followed."""
    parts = urlsplit(url)
    make = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = make(parts.hostname or "127.0.0.1", parts.port, timeout=timeout_s)
    try:
        connection.request("GET", (parts.path or "/") + (f"?{parts.query}" if parts.query else ""))
        code = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return f"{url}: {error}"
    finally:
        connection.close()
    good = code == expected if expected is not None else 200 <= code < 300
    return "" if good else f"{url} answered {code}"


def remove(spec_or_slug: Mapping[str, Any] | str, *, directory: Path, timeout_s: float) -> ServiceResult:
    """Stop the service and delete the files in *directory*; returns whether there was anything.

    Args:
        spec_or_slug: the spec or the service's name on disk; must be the one that *directory* belongs to.
        directory: the service's own folder. Files in it that are not ours stay, and the folder with them.
        timeout_s: how long it may take to stop by itself, then it is killed.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA, the folder belongs to another service.
    """
    wanted = spec_or_slug if isinstance(spec_or_slug, str) else spec_or_slug.get("service", "")
    holder = read_state(directory) or read_object(directory / "service.json").get("spec", {})
    if holder and holder.get("service") != wanted:
        raise InvalidInputError(f"{directory} belongs to the service {holder.get('service')!r}, not to {wanted!r}")
    existed = directory.is_dir()
    stopped = _stop(directory, timeout_s)
    older = [path.name for path in directory.glob("out.log.*") if path.suffix[1:].isdecimal()]
    for name in (*_FILES, *older):
        (directory / name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        directory.rmdir()
    return ServiceResult(0, existed, "stopped and removed" if stopped else "removed" if existed else "not there")
