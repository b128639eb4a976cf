"""``service``: a long-running process, started, supervised and checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clockwork_nb.ports import Action, ActionSpec, ChangeKind, CompiledStep, Observation, ObserveContext
from clockwork_nb.resources.service import templates

__all__ = ["TYPE", "ServiceType"]


class ServiceType:
    """A supervised process. Containers are not built yet."""

    name = "service"
    aliases: tuple[str, ...] = ()
    summary = "a long-running process"
    verifies = False

    def model(self) -> type[Any]:
        """Return `ServiceConfig`."""
        from clockwork_nb.resources.service.config import ServiceConfig

        return ServiceConfig

    def exports(self, config: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the config with ``port`` (the first external one or null) and ``url``."""
        return templates.exports(config)

    def export_names(self) -> frozenset[str]:
        """Return ``port`` and ``url``."""
        return frozenset({"port", "url"})

    def replaces(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> frozenset[str]:
        """Return ``ports`` when they differ: who used the old address must look elsewhere."""
        return frozenset({"ports"} if before.get("ports") != after["ports"] else ())

    def claims(self, config: Mapping[str, Any]) -> Sequence[str]:
        """Return what only one resource can own: its ports, while it is to run."""
        return templates.claims(config)

    def drift(self, config: Mapping[str, Any], observed: Observation) -> Mapping[str, tuple[Any, Any]]:
        """Return ``status`` when it does not run although it should, or the other way round."""
        return templates.drift(config, observed)

    def actions(
        self, change: ChangeKind, config: Mapping[str, Any] | None, recorded: Mapping[str, Any] | None
    ) -> Sequence[ActionSpec]:
        """Return ``ensure_service`` and ``verify_http``, ``stop_service``, or ``remove_service``."""
        return templates.actions(change, config, recorded)

    def risks(
        self,
        change: ChangeKind,
        config: Mapping[str, Any] | None,
        recorded: Mapping[str, Any] | None,
        observed: Observation | None,
    ) -> Sequence[str]:
        """Return ``destroy`` for a removal, ``ports`` when ports are opened."""
        return templates.risks(change, config, recorded)

    def describe(self, config: Mapping[str, Any]) -> str:
        """Return the engine and the ports."""
        return templates.describe(config)

    def compile(self, action: Action) -> CompiledStep:
        """Return the spec for the supervisor, or the script of ``verify_http``."""
        return templates.compile_action(action)

    def observe(
        self, config: Mapping[str, Any], recorded: Mapping[str, Any] | None, context: ObserveContext
    ) -> Observation:
        """Return ``status``, ``pid``, ``restarts`` and ``spec_digest`` from the supervisor's state file."""
        from clockwork_nb.resources.service.observe import observe

        return observe(config, context)


TYPE = ServiceType()
