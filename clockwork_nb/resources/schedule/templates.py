"""What becomes of a declared schedule: drift, actions, steps. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clockwork_nb.errors import InvalidInputError
from clockwork_nb.ids import slug
from clockwork_nb.ports import Action, ActionSpec, ChangeKind, CompiledStep, Observation
from clockwork_nb.resources.schedule.entries import backend_of, cron_command, service_unit, timer_unit
from clockwork_nb.resources.schedule.scripts import ENSURE_CRON, ENSURE_SYSTEMD, REMOVE_CRON, REMOVE_SYSTEMD
from clockwork_nb.resources.scripts import comment, data_artifact, require_known, safe_operand, sh_script

__all__ = ["actions", "compile_action", "describe", "drift", "name_of", "replaces", "risks", "words_of"]

_ENTRY = ("cron", "on_calendar", "command", "runbook", "env", "working_dir", "backend", "log", "enabled", "name")

_ABOUT_THE_USER = ("HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS")
"""What tells where the user's units are, and how to talk to the user's systemd."""


def name_of(config: Mapping[str, Any], address: str) -> str:
    """Return under which name the schedule is kept: its own, or its address as a file name."""
    return str(config["name"] or slug(address))


def words_of(config: Mapping[str, Any], clockwork: Sequence[str]) -> tuple[str, ...]:
    """Return the program and its arguments; *clockwork* starts this tool, for a runbook."""
    if config["runbook"] is not None:
        return (*clockwork, "runbook", "run", safe_operand(config["runbook"]))
    return tuple(config["command"])


def describe(config: Mapping[str, Any]) -> str:
    """Return when, and what runs."""
    when = config.get("cron") or config.get("on_calendar")
    command = config.get("command")
    what = config.get("runbook") or (command[0] if isinstance(command, list) and command else "")
    return ", ".join(comment(part) for part in (when, what) if isinstance(part, str) and part)


def replaces(before: Mapping[str, Any], after: Mapping[str, Any]) -> frozenset[str]:
    """Return ``name`` when it differs, and what moved the schedule from cron to systemd or back."""
    out = {"name"} if before.get("name") != after["name"] else set()
    if backend_of(before) != backend_of(after):
        moved = {n for n in ("backend", "on_calendar") if before.get(n) != after[n]}
        out |= {"backend"} if "backend" in moved else moved
    return frozenset(out)


def drift(config: Mapping[str, Any], observed: Observation) -> Mapping[str, tuple[Any, Any]]:
    """Return ``entry`` when the lines or units are gone or not as they were written, ``enabled`` when a timer rests."""
    if observed.exists is None:
        return {}
    if not observed.exists:
        return {"entry": ("written", None)}
    out: dict[str, tuple[Any, Any]] = {}
    if observed.attributes.get("as_written") is False:
        out["entry"] = ("as written", "changed")
    timer = observed.attributes.get("timer")
    if timer is not None and timer != config.get("enabled"):
        out["enabled"] = (config.get("enabled"), timer)
    return out


def actions(
    change: ChangeKind, config: Mapping[str, Any] | None, recorded: Mapping[str, Any] | None
) -> Sequence[ActionSpec]:
    """Return the actions of *change*."""
    specs: list[ActionSpec] = []
    if change in {"delete", "replace"} and recorded is not None:
        args = {"backend": backend_of(recorded), "name": recorded["name"]}
        specs.append(ActionSpec("remove_schedule", args, timeout_s=120, idempotent=True))
    if change in {"create", "update", "replace"} and config is not None:
        args = {name: config[name] for name in _ENTRY} | {"ours": change == "update"}
        specs.append(ActionSpec("ensure_schedule", args, timeout_s=120, idempotent=True))
    return specs


def risks(change: ChangeKind) -> Sequence[str]:
    """Return the risk classes of *change*."""
    if change == "delete":
        return ("destroy", "schedule")
    return ("schedule",) if change in {"create", "update", "replace"} else ()


def compile_action(action: Action, clockwork: Sequence[str]) -> CompiledStep:
    """Return the step of *action*; *clockwork* starts this tool, for a runbook."""
    require_known(action)
    args = action.args
    name = str(args["name"] or slug(action.address))
    if action.name == "remove_schedule":
        systemd = args["backend"] == "systemd"
        script = sh_script(action, f"remove the schedule {name}", REMOVE_SYSTEMD if systemd else REMOVE_CRON)
        return CompiledStep(
            (script,),
            ("sh", script.path),
            vars={"CW_NAME": name},
            cls="host",
            environment=_ABOUT_THE_USER if systemd else (),
        )
    if action.name != "ensure_schedule":
        raise InvalidInputError(f'a schedule has no action "{action.name}"')
    return _ensure(action, args, name, words_of(args, clockwork))


def _ensure(action: Action, args: Mapping[str, Any], name: str, words: Sequence[str]) -> CompiledStep:
    values = {
        "CW_NAME": name,
        "CW_WORKING_DIR": args["working_dir"],
        "CW_RUNBOOK": args["runbook"] or "",
        "CW_LOG": args["log"] or "",
        "CW_ENABLED": "1" if args["enabled"] else "0",
        "CW_OURS": "1" if args["ours"] else "0",
    }
    if backend_of(args) == "cron":
        values |= {"CW_WHEN": args["cron"], "CW_COMMAND": cron_command(args, words)}
        script = sh_script(action, f"write the schedule {name} into the crontab", ENSURE_CRON)
        return CompiledStep((script,), ("sh", script.path), vars=values, cls="host")
    script = sh_script(action, f"write the timer and the service of the schedule {name}", ENSURE_SYSTEMD)
    service, _ = data_artifact(action, "unit.service", service_unit(args, words, name), "the unit that runs it")
    timer, _ = data_artifact(action, "unit.timer", timer_unit(args, name), "the unit that says when")
    return CompiledStep(
        (script, service, timer),
        ("sh", script.path),
        vars=values,
        data={"CW_SERVICE": service.path, "CW_TIMER": timer.path},
        cls="host",
        environment=_ABOUT_THE_USER,
    )
