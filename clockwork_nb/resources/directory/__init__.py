"""``directory``: a folder of the project."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clockwork_nb.ports import Action, ActionSpec, ChangeKind, CompiledStep, Observation, ObserveContext
from clockwork_nb.resources.directory import templates
from clockwork_nb.resources.directory.attributes import PLAIN

__all__ = ["TYPE", "DirectoryType"]


class DirectoryType:
    """A folder: made when missing, removed when it is no longer declared and empty."""

    name = "directory"
    aliases: tuple[str, ...] = ()
    summary = "a folder"
    verifies = False

    def model(self) -> type[Any]:
        """Return `DirectoryConfig`."""
        from clockwork_nb.resources.directory.config import DirectoryConfig

        return DirectoryConfig

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
        """Return ``path`` when it differs."""
        return frozenset({"path"} if before.get("path") != after["path"] else ())

    def claims(self, config: Mapping[str, Any]) -> Sequence[str]:
        """Return what only one resource can own: the path."""
        path = config.get("path")
        return (f"path:{path}",) if isinstance(path, str) else ()

    def import_id(self, config: Mapping[str, Any]) -> str:
        """Return the path."""
        return str(config["path"])

    def drift(self, config: Mapping[str, Any], observed: Observation) -> Mapping[str, tuple[Any, Any]]:
        """Return ``path`` when it is gone or no folder, ``mode`` when it differs."""
        return templates.drift(config, observed)

    def actions(
        self, change: ChangeKind, config: Mapping[str, Any] | None, recorded: Mapping[str, Any] | None
    ) -> Sequence[ActionSpec]:
        """Return ``create_directory``, ``remove_directory``, or for a replacement both: a new path is made first."""
        return templates.actions(change, config, recorded)

    def risks(
        self,
        change: ChangeKind,
        config: Mapping[str, Any] | None,
        recorded: Mapping[str, Any] | None,
        observed: Observation | None,
    ) -> Sequence[str]:
        """Return ``destroy`` when the folder is to be removed."""
        return ("destroy",) if change in {"delete", "replace"} else ()

    def describe(self, config: Mapping[str, Any]) -> str:
        """Return the path."""
        return str(config.get("path", ""))

    def compile(self, action: Action) -> CompiledStep:
        """Return the script of ``create_directory`` or ``remove_directory``."""
        return templates.compile_action(action)

    def observe(
        self, config: Mapping[str, Any], recorded: Mapping[str, Any] | None, context: ObserveContext
    ) -> Observation:
        """Return whether the folder is there, and its mode."""
        from clockwork_nb.resources.directory.observe import observe

        return observe(config, context)

    def found(self, import_id: str, context: ObserveContext) -> Mapping[str, Any] | None:
        """Return ``path`` and ``mode`` of the folder *import_id*; None when there is none.

        Raises:
            InvalidInputError: E_INVALID_INPUT_SCHEMA, no path of something in the project.
        """
        from clockwork_nb.resources.directory.observe import found

        return found(import_id, context)


TYPE = DirectoryType()
