"""``check`` (also ``verification``): something that must hold; it changes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clockwork_nb.ports import Action, ActionSpec, ChangeKind, CompiledStep, Observation, ObserveContext
from clockwork_nb.resources.check import templates
from clockwork_nb.resources.check.plain import PLAIN

__all__ = ["TYPE", "CheckType"]


class CheckType:
    """An assertion about the world: an answer, a port, a file, a log, a service, a process, the machine, a command."""

    name = "check"
    aliases: tuple[str, ...] = ("verification",)
    summary = "something that must hold"
    verifies = True

    def model(self) -> type[Any]:
        """Return `CheckConfig`."""
        from clockwork_nb.resources.check.config import CheckConfig

        return CheckConfig

    def attribute_names(self) -> frozenset[str]:
        """Return what may be set, without the model."""
        return PLAIN.names

    def accepts(self, attributes: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the config of *attributes* that are plain and right, None to ask the model."""
        return PLAIN.accepts(attributes)

    def needs_engine(self, config: Mapping[str, Any]) -> bool:
        """Return whether it asks a container engine, and leaves open which."""
        return templates.needs_engine(config)

    def with_facts(self, config: Mapping[str, Any], facts: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return *config* with the container engine that is here, if there is one."""
        return templates.with_facts(config, facts)

    def mentions(self, config: Mapping[str, Any]) -> Sequence[str]:
        """Return the service that is looked at."""
        return templates.mentions(config)

    def exports(self, config: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the config."""
        return dict(config)

    def export_names(self) -> frozenset[str]:
        """Return nothing: there are no computed attributes."""
        return frozenset()

    def replaces(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> frozenset[str]:
        """Return nothing: there is nothing to replace."""
        return frozenset()

    def drift(self, config: Mapping[str, Any], observed: Observation) -> Mapping[str, tuple[Any, Any]]:
        """Return nothing: a check leaves nothing behind."""
        return {}

    def actions(
        self, change: ChangeKind, config: Mapping[str, Any] | None, recorded: Mapping[str, Any] | None
    ) -> Sequence[ActionSpec]:
        """Return ``verify_http``, ``_tcp``, ``_file``, ``_service`` or ``_command``; nothing for a delete."""
        return templates.actions(change, config)

    def risks(
        self,
        change: ChangeKind,
        config: Mapping[str, Any] | None,
        recorded: Mapping[str, Any] | None,
        observed: Observation | None,
    ) -> Sequence[str]:
        """Return ``command`` for a check that runs one; the others change nothing and run nothing of the author's."""
        return templates.risks(change, config)

    def describe(self, config: Mapping[str, Any]) -> str:
        """Return what is checked."""
        return templates.describe(config)

    def compile(self, action: Action) -> CompiledStep:
        """Return the script of the check."""
        return templates.compile_action(action)

    def observe(
        self, config: Mapping[str, Any], recorded: Mapping[str, Any] | None, context: ObserveContext
    ) -> Observation:
        """Return that there is nothing to look at: a check is run, not observed."""
        return Observation(None, detail="checked when it runs")


TYPE = CheckType()
