"""``service``: something that runs for long, as a container or as a supervised process, with the same words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clockwork_nb.ports import Action, ActionSpec, ChangeKind, CompiledStep, Observation, ObserveContext
from clockwork_nb.resources.service import templates
from clockwork_nb.resources.service.plain import PLAIN

__all__ = ["TYPE", "ServiceType"]


class ServiceType:
    """A container where it has an image, else a supervised process."""

    name = "service"
    aliases: tuple[str, ...] = ()
    summary = "a long-running container or process"
    verifies = False
    bound_to_address = True
    """A container is labelled with its address, a process has its folder by it."""

    def model(self) -> type[Any]:
        """Return `ServiceConfig`."""
        from clockwork_nb.resources.service.config import ServiceConfig

        return ServiceConfig

    def attribute_names(self) -> frozenset[str]:
        """Return what may be set, without the model."""
        return PLAIN.names

    def accepts(self, attributes: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the config of *attributes* that are plain and right, None to ask the model."""
        return PLAIN.accepts(attributes)

    def needs_engine(self, config: Mapping[str, Any]) -> bool:
        """Return whether this service needs a container engine, so that it is worth finding out which one is here."""
        return templates.is_container(config)

    def with_facts(self, config: Mapping[str, Any], facts: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return *config* with its engine decided.

        Raises:
            InvalidInputError: E_INVALID_INPUT_SCHEMA, it needs a container engine that is not here.
        """
        return templates.with_facts(config, facts)

    def exports(self, config: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the config with ``port`` (the first external one or null), ``url``, ``container_id``, ``image_id``."""
        return templates.exports(config)

    def export_names(self) -> frozenset[str]:
        """Return ``port``, ``url``, ``container_id`` and ``image_id``."""
        return frozenset({"port", "url", "container_id", "image_id"})

    def replaces(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> frozenset[str]:
        """Return the engine or a container's name when they differ, and a process's ports."""
        return templates.replaces(before, after)

    def claims(self, config: Mapping[str, Any]) -> Sequence[str]:
        """Return what only one resource can own: its ports, while it is to run, and its container's name."""
        return templates.claims(config)

    def drift(self, config: Mapping[str, Any], observed: Observation) -> Mapping[str, tuple[Any, Any]]:
        """Return ``status`` when it does not run although it should, ``container`` when that is not the one applied,
        and the limits that differ."""
        return templates.drift(config, observed)

    def actions(
        self, change: ChangeKind, config: Mapping[str, Any] | None, recorded: Mapping[str, Any] | None
    ) -> Sequence[ActionSpec]:
        """Return ``pull_image``, ``ensure_service`` and a check, ``stop_service``, or ``remove_service``."""
        return templates.actions(change, config, recorded)

    def actions_observed(
        self,
        change: ChangeKind,
        config: Mapping[str, Any] | None,
        recorded: Mapping[str, Any] | None,
        observed: Observation | None,
    ) -> Sequence[ActionSpec]:
        """Return the same; an image that was seen to be here is not fetched."""
        return templates.actions(change, config, recorded, observed)

    def risks(
        self,
        change: ChangeKind,
        config: Mapping[str, Any] | None,
        recorded: Mapping[str, Any] | None,
        observed: Observation | None,
    ) -> Sequence[str]:
        """Return ``destroy``, ``ports``, ``mounts``, ``privileged``; fetching an image adds ``network``."""
        return templates.risks(change, config, recorded)

    def describe(self, config: Mapping[str, Any]) -> str:
        """Return the engine, the image and the ports."""
        return templates.describe(config)

    def compile(self, action: Action) -> CompiledStep:
        """Return the engine's script, the spec for the supervisor, or the script of a check."""
        return templates.compile_action(action)

    def observe(
        self, config: Mapping[str, Any], recorded: Mapping[str, Any] | None, context: ObserveContext
    ) -> Observation:
        """Return ``status``, ``restarts`` and what tells which one runs: from the engine, or the supervisor's files."""
        if templates.is_container(config):
            from clockwork_nb.resources.service.observe_container import observe_container

            return observe_container(config, recorded, context)
        from clockwork_nb.resources.service.observe import observe

        return observe(config, context)


TYPE = ServiceType()
