"""Looks at a schedule: the user's crontab, or the user's units of systemd. Reads only."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from clockwork_nb.ports import Observation, ObserveContext
from clockwork_nb.resources.schedule.entries import (
    PROJECT,
    backend_of,
    cron_block,
    markers,
    service_unit,
    timer_unit,
    unit_name,
)
from clockwork_nb.resources.schedule.templates import name_of, words_of

__all__ = ["observe"]

_CRONS = frozenset({"cron", "crond", "fcron", "dcron", "cronie"})
_MAX_UNIT = 1 << 20
_PATH = "/usr/local/bin:/usr/bin:/bin"


def observe(config: Mapping[str, Any], context: ObserveContext, clockwork: Sequence[str]) -> Observation:
    """Return ``entry`` (what is written, as text), ``as_written`` (whether it is what *config* says), ``scheduler``.

    ``scheduler`` says whether something is there that starts it: true, false, or null when that cannot be told. Of a
    timer whose systemd answers there is also ``timer``: whether it is active.
    """
    needed = ("cron", "on_calendar", "command", "runbook", "env", "working_dir", "log", "enabled", "name", "backend")
    parts = [config.get(name) for name in needed]
    if any(not _known(part) for part in parts):
        return Observation(None, detail="not known yet")
    name, project = name_of(config, context.address), str(context.root.resolve())
    deadline = time.monotonic() + context.timeout_s
    words = words_of(config, clockwork)
    if backend_of(config) == "cron":
        return _observe_cron(cron_block(config, words, name, project), markers(name, project), config, deadline)
    texts = {"service": service_unit(config, words, name), "timer": timer_unit(config, name)}
    place = project.replace("%", "%%")
    wanted = {kind: text.replace(PROJECT, place) for kind, text in texts.items()}
    return _observe_units(wanted, unit_name(name, project), config, deadline)


def _known(value: Any) -> bool:
    items = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else (value,)
    return all(item is None or isinstance(item, (str, bool)) for item in items)


# --- crontab ----------------------------------------------------------------------------------------------------------


def _observe_cron(wanted: str, around: tuple[str, str], config: Mapping[str, Any], deadline: float) -> Observation:
    # Debian's crontab leaves out the first comments, and ours could be among them.
    done = _run(("crontab", "-l"), {"CRONTAB_NOHEADER": "N"}, deadline)
    problem = done.stderr.decode("utf-8", "replace").strip()
    if done.returncode != 0:
        if "no crontab for" in problem or "No such file" in problem:
            return Observation(False, detail="there is no crontab")
        return Observation(None, detail=f"the crontab cannot be read: {problem[:160]}")
    blocks = _blocks(done.stdout.decode("utf-8", "surrogateescape"), *around)
    if not blocks:
        return Observation(False, detail="not in the crontab")
    entry = "\n".join(blocks)
    runs = _cron_runs()
    seen = {"entry": _text(entry), "as_written": entry == wanted, "scheduler": runs}
    return Observation(True, seen, _detail("in the crontab", seen, config, "cron is not started"))


def _blocks(crontab: str, begin: str, end: str) -> list[str]:
    """Return the lines between each pair of markers, these included; of a pair that is not closed, all the rest.

    A marker with a carriage return after it counts, also as Debian's crontab lists that: as a backslash and an r.
    """
    out: list[str] = []
    lines: list[str] | None = None
    for line in crontab.split("\n"):
        if lines is None and _plain(line) == begin:
            lines = []
        if lines is not None:
            lines.append(line)
            if _plain(line) == end:
                out.append("\n".join(lines) + "\n")
                lines = None
    if lines is not None:
        out.append("\n".join(lines))
    return out


def _plain(line: str) -> str:
    return line.removesuffix("\r").removesuffix("\\r")


def _cron_runs() -> bool | None:
    """Return whether a cron is among the processes, None when other users' processes cannot be seen."""
    try:
        names = [entry.name for entry in os.scandir("/proc") if entry.name.isdigit()]
    except OSError:
        return None
    for name in names:
        try:
            if Path(f"/proc/{name}/comm").read_text(errors="replace").strip() in _CRONS:
                return True
        except OSError:
            continue  # it ended, or is hidden
    return False if Path("/proc/1/comm").exists() else None


# --- systemd ----------------------------------------------------------------------------------------------------------


def _observe_units(wanted: Mapping[str, str], unit: str, config: Mapping[str, Any], deadline: float) -> Observation:
    home = os.environ.get("HOME", "")
    base = os.environ.get("XDG_CONFIG_HOME") or (f"{home}/.config" if home else "")
    if not base:
        return Observation(None, detail="there is no home folder to look for units in (HOME)")
    folder = Path(base, "systemd", "user")
    found: dict[str, str] = {}
    for kind in wanted:
        try:
            with (folder / f"{unit}.{kind}").open("rb") as stream:
                found[kind] = stream.read(_MAX_UNIT).decode("utf-8", "surrogateescape")
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            return Observation(None, detail=f"{unit}.{kind} cannot be read: {error.strerror}")
    if not found:
        return Observation(False, detail="there are no units of it")
    timer = _timer_runs(unit, deadline)
    seen: dict[str, Any] = {
        "entry": _text(found.get("timer", "")),
        "as_written": found == dict(wanted),
        "scheduler": timer is not None,
    }
    if timer is not None:
        seen["timer"] = timer
    return Observation(True, seen, _detail(f"{unit}.timer", seen, config, "no systemd of this user"))


def _timer_runs(unit: str, deadline: float) -> bool | None:
    """Return whether the timer is active, None when no systemd of this user answers."""
    if not Path("/run/systemd/system").is_dir():
        return None
    kept = ("XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS", "HOME")
    env = {name: os.environ[name] for name in kept if name in os.environ}
    done = _run(("systemctl", "--user", "is-active", f"{unit}.timer"), env, deadline)
    state = done.stdout.decode("utf-8", "replace").strip()
    return state == "active" if state in {"active", "inactive", "failed", "activating", "deactivating"} else None


# --- both -------------------------------------------------------------------------------------------------------------


def _run(argv: Sequence[str], env: Mapping[str, str], deadline: float) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(
            argv, env={"PATH": _PATH, "LC_ALL": "C", **env}, stdin=subprocess.DEVNULL, capture_output=True,
            timeout=max(deadline - time.monotonic(), 0.1), check=False,
        )  # fmt: skip
    except FileNotFoundError:
        return subprocess.CompletedProcess(argv, 127, b"", f"{argv[0]} is not installed here".encode())
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(argv, 124, b"", f"{argv[0]} took too long".encode())
    except OSError as error:
        return subprocess.CompletedProcess(argv, 126, b"", str(error).encode())


def _text(raw: str) -> str:
    return raw.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _detail(where: str, seen: Mapping[str, Any], config: Mapping[str, Any], why: str) -> str:
    words = [where if seen["as_written"] else f"{where}, changed"]
    if not config["enabled"]:
        words.append("resting")
    elif seen["scheduler"] is False:
        words.append(f"written but not active: no scheduler is running ({why})")
    return ", ".join(words)
