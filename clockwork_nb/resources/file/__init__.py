"""``file``: a file of the project with this content and this mode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clockwork_nb.ports import (
    Action,
    ActionSpec,
    ChangeKind,
    CompiledStep,
    Observation,
    ObserveContext,
    ProjectFiles,
)
from clockwork_nb.resources.file import templates
from clockwork_nb.resources.file.attributes import PLAIN

__all__ = ["TYPE", "FileType"]


class FileType:
    """A file: written in one move, removed when it is no longer declared."""

    name = "file"
    aliases: tuple[str, ...] = ()
    summary = "a file with given content"
    verifies = False

    def model(self) -> type[Any]:
        """Return `FileConfig`."""
        from clockwork_nb.resources.file.config import FileConfig

        return FileConfig

    def attribute_names(self) -> frozenset[str]:
        """Return what may be set, without the model."""
        return PLAIN.names

    def accepts(self, attributes: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the config of *attributes* that are plain and right, None to ask the model."""
        return PLAIN.accepts(attributes)

    def with_files(self, config: Mapping[str, Any], files: ProjectFiles) -> Mapping[str, Any]:
        """Return *config* with the content that ``source`` or ``template`` lead to."""
        return templates.with_files(config, files)

    def exports(self, config: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the config with ``sha256`` (hex) and ``size`` (bytes) of the content."""
        return templates.exports(config)

    def export_names(self) -> frozenset[str]:
        """Return ``sha256`` and ``size``."""
        return frozenset({"sha256", "size"})

    def replaces(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> frozenset[str]:
        """Return ``path`` when it differs: a moved file is another file."""
        return frozenset({"path"} if before.get("path") != after["path"] else ())

    def claims(self, config: Mapping[str, Any]) -> Sequence[str]:
        """Return what only one resource can own: the path."""
        path = config.get("path")
        return (f"path:{path}",) if isinstance(path, str) else ()

    def import_id(self, config: Mapping[str, Any]) -> str:
        """Return the path."""
        return str(config["path"])

    def drift(self, config: Mapping[str, Any], observed: Observation) -> Mapping[str, tuple[Any, Any]]:
        """Return ``path`` when it is gone or no regular file, else ``content`` (digests) and ``mode`` if they differ."""
        return templates.drift(config, observed)

    def actions(
        self, change: ChangeKind, config: Mapping[str, Any] | None, recorded: Mapping[str, Any] | None
    ) -> Sequence[ActionSpec]:
        """Return ``write_file``, ``remove_file``, or for a replacement both, the old path first."""
        return templates.actions(change, config, recorded)

    def risks(
        self,
        change: ChangeKind,
        config: Mapping[str, Any] | None,
        recorded: Mapping[str, Any] | None,
        observed: Observation | None,
    ) -> Sequence[str]:
        """Return ``destroy`` when a file is removed, ``overwrite`` when one is there that is not ours."""
        return templates.risks(change, config, observed)

    def describe(self, config: Mapping[str, Any]) -> str:
        """Return the path."""
        return str(config.get("path", ""))

    def compile(self, action: Action) -> CompiledStep:
        """Return the script of ``write_file`` or ``remove_file``."""
        return templates.compile_action(action)

    def observe(
        self, config: Mapping[str, Any], recorded: Mapping[str, Any] | None, context: ObserveContext
    ) -> Observation:
        """Return whether the file is there, its mode, and its digest (for sensitive content: whether it matches)."""
        from clockwork_nb.resources.file.observe import observe

        return observe(config, context)

    def found(self, import_id: str, context: ObserveContext) -> Mapping[str, Any] | None:
        """Return ``path``, ``content`` (or ``content_base64``) and ``mode`` of the regular file *import_id*.

        Raises:
            InvalidInputError: E_INVALID_INPUT_SCHEMA, no path of a file of the project, or one that cannot be read.
        """
        from clockwork_nb.resources.file.observe import found

        return found(import_id, context)


TYPE = FileType()
