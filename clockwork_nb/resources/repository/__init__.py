"""``repository``: a checkout of a git repository."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clockwork_nb.ports import Action, ActionSpec, ChangeKind, CompiledStep, Observation, ObserveContext
from clockwork_nb.resources.repository import templates
from clockwork_nb.resources.repository.attributes import PLAIN

__all__ = ["TYPE", "RepositoryType"]


class RepositoryType:
    """A git checkout: cloned whole, moved to what its ref names, never at the cost of work that is nowhere else."""

    name = "repository"
    aliases: tuple[str, ...] = ()
    summary = "a git checkout"
    verifies = False

    def model(self) -> type[Any]:
        """Return `RepositoryConfig`."""
        from clockwork_nb.resources.repository.config import RepositoryConfig

        return RepositoryConfig

    def attribute_names(self) -> frozenset[str]:
        """Return what may be set, without the model."""
        return PLAIN.names

    def accepts(self, attributes: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the config of *attributes* that are plain and right, None to ask the model."""
        return PLAIN.accepts(attributes)

    def exports(self, config: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the config with ``commit`` (hex), known after apply."""
        return templates.exports(config)

    def export_names(self) -> frozenset[str]:
        """Return ``commit``."""
        return frozenset({"commit"})

    def replaces(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> frozenset[str]:
        """Return ``path`` when it differs, ``submodules`` when they are no longer wanted."""
        return templates.replaces(before, after)

    def claims(self, config: Mapping[str, Any]) -> Sequence[str]:
        """Return what only one resource can own: the path."""
        path = config.get("path")
        return (f"path:{path}",) if isinstance(path, str) else ()

    def drift(self, config: Mapping[str, Any], observed: Observation) -> Mapping[str, tuple[Any, Any]]:
        """Return ``path`` when it is gone, else ``url``, ``commit``, ``dirty``, ``unfinished``, ``ref`` if they differ."""
        return templates.drift(config, observed)

    def actions(
        self, change: ChangeKind, config: Mapping[str, Any] | None, recorded: Mapping[str, Any] | None
    ) -> Sequence[ActionSpec]:
        """Return ``fetch_repo``, ``remove_repo``, or for a replacement both, the old one's removal first."""
        return templates.actions(change, config, recorded)

    def actions_observed(
        self,
        change: ChangeKind,
        config: Mapping[str, Any] | None,
        recorded: Mapping[str, Any] | None,
        observed: Observation | None,
    ) -> Sequence[ActionSpec]:
        """Return the same; where something was seen to be in no commit, with the reason why it will stop."""
        return templates.actions_observed(change, config, recorded, observed)

    def risks(
        self,
        change: ChangeKind,
        config: Mapping[str, Any] | None,
        recorded: Mapping[str, Any] | None,
        observed: Observation | None,
    ) -> Sequence[str]:
        """Return ``destroy`` for a removal, ``overwrite`` for another address, ``network`` when it comes from one."""
        return templates.risks(change, config, recorded)

    def describe(self, config: Mapping[str, Any]) -> str:
        """Return the path and the ref."""
        return templates.describe(config)

    def compile(self, action: Action) -> CompiledStep:
        """Return the script of ``fetch_repo`` or ``remove_repo``."""
        return templates.compile_action(action)

    def observe(
        self, config: Mapping[str, Any], recorded: Mapping[str, Any] | None, context: ObserveContext
    ) -> Observation:
        """Return commit, branch, remote and whether it is dirty; asks no remote and runs nothing the checkout names."""
        from clockwork_nb.resources.repository.observe import observe

        return observe(config, recorded, context)

    def import_id(self, config: Mapping[str, Any]) -> str:
        """Return the path."""
        return str(config["path"])

    def found(self, import_id: str, context: ObserveContext) -> Mapping[str, Any] | None:
        """Return ``url``, ``path`` and ``ref`` of the checkout at *import_id*; None when there is none."""
        from clockwork_nb.resources.repository.observe import found

        return found(import_id, context)


TYPE = RepositoryType()
