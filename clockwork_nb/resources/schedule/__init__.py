"""``schedule``: something that runs again and again, by cron or by a systemd timer."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from clockwork_nb.ports import Action, ActionSpec, ChangeKind, CompiledStep, Observation, ObserveContext
from clockwork_nb.resources.schedule import templates
from clockwork_nb.resources.schedule.attributes import PLAIN

__all__ = ["TYPE", "ScheduleType"]


class ScheduleType:
    """A few lines in the user's crontab, or a timer of the user's systemd; nothing else in there is touched."""

    name = "schedule"
    aliases: tuple[str, ...] = ()
    summary = "something that runs at given times"
    verifies = False
    bound_to_address = True
    """Without a name of its own it is kept under its address."""

    def model(self) -> type[Any]:
        """Return `ScheduleConfig`."""
        from clockwork_nb.resources.schedule.config import ScheduleConfig

        return ScheduleConfig

    def attribute_names(self) -> frozenset[str]:
        """Return what may be set, without the model."""
        return PLAIN.names

    def accepts(self, attributes: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the config of *attributes* that are plain and right, None to ask the model."""
        return PLAIN.accepts(attributes)

    def exports(self, config: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the config."""
        return dict(config)

    def export_names(self) -> frozenset[str]:
        """Return nothing: there are no computed attributes."""
        return frozenset()

    def replaces(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> frozenset[str]:
        """Return ``name`` when it differs, ``backend`` when something else is to start it."""
        return templates.replaces(before, after)

    def claims(self, config: Mapping[str, Any]) -> Sequence[str]:
        """Return its name, if it has one: two schedules of one project cannot share it."""
        name = config.get("name")
        return (f"schedule:{name}",) if isinstance(name, str) else ()

    def drift(self, config: Mapping[str, Any], observed: Observation) -> Mapping[str, tuple[Any, Any]]:
        """Return ``entry`` when what is written is gone or changed, ``enabled`` when the timer does not do as told."""
        return templates.drift(config, observed)

    def actions(
        self, change: ChangeKind, config: Mapping[str, Any] | None, recorded: Mapping[str, Any] | None
    ) -> Sequence[ActionSpec]:
        """Return ``ensure_schedule``, ``remove_schedule``, or for a replacement both, the old one's removal first."""
        return templates.actions(change, config, recorded)

    def risks(
        self,
        change: ChangeKind,
        config: Mapping[str, Any] | None,
        recorded: Mapping[str, Any] | None,
        observed: Observation | None,
    ) -> Sequence[str]:
        """Return ``schedule``, with ``destroy`` for a removal."""
        return templates.risks(change)

    def describe(self, config: Mapping[str, Any]) -> str:
        """Return when, and what runs."""
        return templates.describe(config)

    def compile(self, action: Action) -> CompiledStep:
        """Return the script of ``ensure_schedule`` or ``remove_schedule``."""
        return templates.compile_action(action, _clockwork())

    def observe(
        self, config: Mapping[str, Any], recorded: Mapping[str, Any] | None, context: ObserveContext
    ) -> Observation:
        """Return what is written, whether it is as declared, and whether a scheduler runs."""
        from clockwork_nb.resources.schedule.observe import observe

        return observe(config, context, _clockwork())


def _clockwork() -> tuple[str, ...]:
    """Return how the clockwork that runs here is started from anywhere, with absolute paths."""
    program = Path(sys.executable).with_name("clockwork")
    return (str(program),) if program.is_file() else (sys.executable, "-m", "clockwork_nb.cli")


TYPE = ScheduleType()
