"""``command`` (also ``custom``, ``script``): something a script or a program does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clockwork_nb.ports import Action, ActionSpec, ChangeKind, CompiledStep, Observation, ObserveContext
from clockwork_nb.resources.command import templates
from clockwork_nb.resources.command.attributes import PLAIN

__all__ = ["TYPE", "CommandType"]


class CommandType:
    """A command: runs when it is new, when what it depends on changed, or when what it made is gone."""

    name = "command"
    aliases: tuple[str, ...] = ("custom", "script")
    summary = "a script or program that is run"
    verifies = False

    def model(self) -> type[Any]:
        """Return `CommandConfig`."""
        from clockwork_nb.resources.command.config import CommandConfig

        return CommandConfig

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
        """Return nothing: a changed command runs again."""
        return frozenset()

    def claims(self, config: Mapping[str, Any]) -> Sequence[str]:
        """Return the path it creates, if it says so."""
        creates = config.get("creates")
        return (f"path:{creates}",) if isinstance(creates, str) else ()

    def drift(self, config: Mapping[str, Any], observed: Observation) -> Mapping[str, tuple[Any, Any]]:
        """Return ``creates`` when that path is gone."""
        creates = config.get("creates")
        gone = bool(creates) and observed.attributes.get("created") is False
        return {"creates": (creates, None)} if gone else {}

    def actions(
        self, change: ChangeKind, config: Mapping[str, Any] | None, recorded: Mapping[str, Any] | None
    ) -> Sequence[ActionSpec]:
        """Return ``run_command``, nothing when only its limits changed; for a removal ``remove_effect`` (the script of
        ``destroy``) and ``remove_created``, as far as there is something to undo.
        """
        return templates.actions(change, config, recorded)

    def risks(
        self,
        change: ChangeKind,
        config: Mapping[str, Any] | None,
        recorded: Mapping[str, Any] | None,
        observed: Observation | None,
    ) -> Sequence[str]:
        """Return ``network`` when the command may use it, ``destroy`` when what it did is undone."""
        return templates.risks(change, config, recorded)

    def describe(self, config: Mapping[str, Any]) -> str:
        """Return what it creates, or how it is run."""
        return templates.describe(config)

    def compile(self, action: Action) -> CompiledStep:
        """Return the guard script and the author's script as data, or the removal of what the command made."""
        return templates.compile_action(action)

    def observe(
        self, config: Mapping[str, Any], recorded: Mapping[str, Any] | None, context: ObserveContext
    ) -> Observation:
        """Return whether the path of ``creates`` is there; otherwise nothing can be told."""
        from clockwork_nb.resources.command.observe import observe

        return observe(config, context)


TYPE = CommandType()
