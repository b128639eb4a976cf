"""How a supervised service is: its state file, and whether the processes named there are really there and really ours.

A process is ours by id *and* start time *and* boot id, so one that merely got a number we remember is never taken for it.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct

from clockwork_nb.errors import AdapterFailedError
from clockwork_nb.forge import supervisor

__all__ = [
    "Condition",
    "ServiceStatus",
    "check_port_free",
    "our_process",
    "port_holder",
    "read_object",
    "read_state",
    "status",
    "status_of",
]

Condition = Literal["absent", "starting", "running", "backoff", "stopped", "exited", "failed", "lost"]

_STATE: Mapping[str, type | tuple[type, ...]] = {
    "service": str,
    "address": str,
    "pid": int,
    "starttime": int,
    "boot_id": str,
    "spec_digest": str,
    "instance": str,
    "status": str,
    "restarts": int,
    "last_exit": (dict, type(None)),
    "supervisor_pid": int,
    "supervisor_starttime": int,
    "started_at": str,
    "ports": list,
}
_WRITTEN = frozenset({"starting", "running", "backoff", "stopped", "exited", "failed"})


class ServiceStatus(Struct, frozen=True):
    """How a service is now.

    ``status``: ``absent`` (never started here), ``starting``, ``running``, ``backoff`` (waits before a restart),
    ``stopped`` (by us), ``exited`` (by itself, code 0), ``failed`` (gave up), ``lost`` (its supervisor is gone).
    ``pid`` is 0 unless that process is really there and really ours.
    """

    status: Condition
    pid: int = 0
    restarts: int = 0
    spec_digest: str = ""
    address: str = ""
    started_at: str = ""
    ports: tuple[int, ...] = ()
    last_exit: Mapping[str, int | None] | None = None


def read_object(path: Path) -> dict[str, Any]:
    """Return the JSON object in *path*; empty when there is none, or none that can be read."""
    try:
        value = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):  # cut off by a crash of the machine; then nothing of it runs either
        return {}
    return value if isinstance(value, dict) else {}


def read_state(directory: Path) -> dict[str, Any]:
    """Return ``state.json`` of *directory*, or nothing when it is not there or not one of ours."""
    state = read_object(directory / "state.json")
    good = all(isinstance(state.get(name), kind) for name, kind in _STATE.items())
    return state if good and state.get("version") == "1" and state["status"] in _WRITTEN else {}


@contextlib.contextmanager
def our_process(state: Mapping[str, Any], which: Literal["", "supervisor_"]) -> Iterator[int]:
    """Give a pidfd of the service's process (or its supervisor), -1 when that process is gone or is not ours."""
    pid, started = state.get(f"{which}pid", 0), state.get(f"{which}starttime", 0)
    fd = -1
    if pid and started and state.get("boot_id") == supervisor.boot_id():
        with contextlib.suppress(OSError, OverflowError):
            fd = os.pidfd_open(pid)
            if supervisor.start_time(pid) != started:  # asked after the open: the descriptor cannot change its process
                os.close(fd)
                fd = -1
    try:
        yield fd
    finally:
        if fd >= 0:
            os.close(fd)


def status(directory: Path) -> ServiceStatus:
    """Return how the service of *directory* is; reads files and ``/proc``, touches nothing."""
    return status_of(read_state(directory))


def status_of(state: Mapping[str, Any]) -> ServiceStatus:
    """Return how the service is that *state* (of `read_state`) speaks of."""
    if not state:
        return ServiceStatus("absent")
    condition: Condition = state["status"]
    with our_process(state, "supervisor_") as overseer, our_process(state, "") as process:
        if overseer < 0 and condition in {"starting", "running", "backoff"}:
            condition = "lost"
        pid = state["pid"] if process >= 0 else 0
    return ServiceStatus(
        status=condition,
        pid=pid,
        restarts=state["restarts"],
        spec_digest=state["spec_digest"],
        address=state["address"],
        started_at=state["started_at"],
        ports=tuple(state["ports"]),
        last_exit=state["last_exit"],
    )


def port_holder(port: int) -> str:
    """Return who listens on TCP *port* here: ``pid 812 (postgres)``, or a phrase when that cannot be seen."""
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(table).read_text(encoding="ascii").splitlines()[1:]:
                fields = line.split()
                if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:  # 0A: TCP_LISTEN
                    inodes.add(f"socket:[{fields[9]}]")
    if inodes:
        for process in Path("/proc").iterdir():
            if process.name.isdigit() and _holds(process, inodes):
                with contextlib.suppress(OSError):
                    return f"pid {process.name} ({(process / 'comm').read_text(errors='replace').strip()})"
    return "a process of another user"


def _holds(process: Path, inodes: set[str]) -> bool:
    with contextlib.suppress(OSError):
        for fd in (process / "fd").iterdir():
            with contextlib.suppress(OSError):
                if os.readlink(fd) in inodes:
                    return True
    return False


def check_port_free(port: int) -> None:
    """Refuse a TCP *port* of the loopback address that somebody listens on.

    Raises:
        AdapterFailedError: E_ADAPTER_FAIL, with the holder in ``details["holder"]``.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", port))
        except PermissionError as error:
            raise AdapterFailedError(
                f"port {port} may not be opened by this user", hint="Choose a port from 1024.", details={"port": port}
            ) from error
        except OSError as error:
            holder = port_holder(port)
            raise AdapterFailedError(
                f"port {port} is held by {holder}",
                hint="Stop that process, or give the service another port.",
                details={"port": port, "holder": holder},
            ) from error
