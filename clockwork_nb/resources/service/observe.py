"""Looks at a supervised process through the state file that its supervisor keeps. Opens no socket, signals nobody."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clockwork_nb.canonical import parse_json
from clockwork_nb.errors import InvalidInputError
from clockwork_nb.ids import slug
from clockwork_nb.ports import Observation, ObserveContext

__all__ = ["is_process", "observe"]

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_STATUSES = frozenset({"starting", "running", "backoff", "exited", "stopped", "failed"})
_MAX_STATE = 1 << 20


def observe(config: Mapping[str, Any], context: ObserveContext) -> Observation:
    """Return ``status``, ``pid``, ``restarts`` and ``spec_digest`` of the service at ``context.address``."""
    if not context.address:
        return Observation(None, detail="nobody said which service this is")
    path = context.workspace / "services" / slug(context.address) / "state.json"
    try:
        with path.open("rb") as stream:
            data = stream.read(_MAX_STATE + 1)
    except (FileNotFoundError, NotADirectoryError):
        if config.get("state") == "stopped" and context.asked != "removed":
            # Nothing runs, and nothing should.
            return Observation(True, {"status": "stopped"}, "stopped, was never started")
        return Observation(False, detail="not started")
    except OSError as error:
        return Observation(None, detail=f"its state cannot be read: {error.strerror}")
    state = _decode(data)
    if state is None:
        return Observation(None, detail=f"its state file is damaged: {path}")
    status, pid = _status(state), state.get("pid")
    seen = {"status": status, "pid": pid if status == "running" else None, "restarts": state.get("restarts", 0)}
    seen["spec_digest"] = state.get("spec_digest")
    return Observation(True, seen, f"running, pid {pid}" if status == "running" else str(status))


def _decode(data: bytes) -> Mapping[str, Any] | None:
    if len(data) > _MAX_STATE:
        return None
    try:
        state = parse_json(data, what="the service's state")
    except InvalidInputError:
        return None
    known = isinstance(state, dict) and isinstance(state.get("status"), str) and state["status"] in _STATUSES
    return state if known else None


def _status(state: Mapping[str, Any]) -> str:
    """Return ``running``, ``exited``, ``stopped`` or ``failed``: what the file says, as far as the processes are there."""
    said = str(state["status"])
    if said not in {"starting", "running", "backoff"}:
        return said
    boot = state.get("boot_id")
    if not is_process(state.get("supervisor_pid"), state.get("supervisor_starttime"), boot):
        return "exited"
    if said == "backoff":
        return "failed"
    return "running" if said == "starting" or is_process(state.get("pid"), state.get("starttime"), boot) else "exited"


def is_process(pid: Any, starttime: Any, boot_id: Any) -> bool:
    """Return whether *pid* is alive and still the process that started at *starttime* (clock ticks) of boot *boot_id*.

    A pid alone says nothing: it is given to another process later. See proc(5), ``/proc/pid/stat`` field 22.
    """
    if not isinstance(pid, int) or isinstance(pid, bool) or pid <= 1:
        return False
    try:
        if boot_id != _BOOT_ID.read_text(encoding="ascii").strip():
            return False
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    # The name in parentheses may hold spaces and parentheses itself; the fields follow its last one.
    fields = stat.rpartition(")")[2].split()
    return len(fields) > 19 and fields[0] not in {"Z", "X"} and str(starttime) == fields[19]
