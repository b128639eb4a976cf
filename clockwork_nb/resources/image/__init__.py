"""``image``: a container image that is built from a folder of the project."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clockwork_nb.ports import Action, ActionSpec, ChangeKind, CompiledStep, Observation, ObserveContext
from clockwork_nb.resources.containers import chosen_engine
from clockwork_nb.resources.image import templates
from clockwork_nb.resources.image.attributes import PLAIN

__all__ = ["TYPE", "ImageType"]


class ImageType:
    """An image: built again when its build file, arguments or context change."""

    name = "image"
    aliases: tuple[str, ...] = ()
    summary = "a container image built from a folder"
    verifies = False
    bound_to_address = True
    """It is labelled with its address."""

    def model(self) -> type[Any]:
        """Return `ImageConfig`."""
        from clockwork_nb.resources.image.config import ImageConfig

        return ImageConfig

    def attribute_names(self) -> frozenset[str]:
        """Return what may be set, without the model."""
        return PLAIN.names

    def accepts(self, attributes: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the config of *attributes* that are plain and right, None to ask the model."""
        return PLAIN.accepts(attributes)

    def needs_engine(self, config: Mapping[str, Any]) -> bool:
        """Return True: nothing else builds an image."""
        return True

    def with_facts(self, config: Mapping[str, Any], facts: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return *config* with its engine decided.

        Raises:
            InvalidInputError: E_INVALID_INPUT_SCHEMA, there is no container engine, or not the wanted one.
        """
        wanted = config["engine"]
        return (
            {**config, "engine": chosen_engine(wanted, facts, what="an image")} if isinstance(wanted, str) else config
        )

    def exports(self, config: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the config with ``tag`` (the first), ``id`` and ``digest``."""
        return templates.exports(config)

    def export_names(self) -> frozenset[str]:
        """Return ``id``, ``digest`` and ``tag``."""
        return frozenset({"id", "digest", "tag"})

    def replaces(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> frozenset[str]:
        """Return ``engine`` when it differs: engines do not share their images."""
        return frozenset({"engine"} if after["engine"] not in ("auto", before.get("engine")) else ())

    def claims(self, config: Mapping[str, Any]) -> Sequence[str]:
        """Return what only one resource can own: its names."""
        tags = config.get("tags")
        return tuple(f"image:{t}" for t in tags if isinstance(t, str)) if isinstance(tags, (list, tuple)) else ()

    def drift(self, config: Mapping[str, Any], observed: Observation) -> Mapping[str, tuple[Any, Any]]:
        """Return ``id`` when it is gone, ``image`` when another one has its name, ``tags`` when a name is missing."""
        return templates.drift(config, observed)

    def pending(
        self, change: ChangeKind, config: Mapping[str, Any] | None, observed: Observation
    ) -> Sequence[tuple[str, Any, Any, bool]]:
        """Return the context as changed when its files are not those that the image was built from."""
        return templates.pending(config, observed)

    def actions(
        self, change: ChangeKind, config: Mapping[str, Any] | None, recorded: Mapping[str, Any] | None
    ) -> Sequence[ActionSpec]:
        """Return ``build_image``, ``remove_image``, or both."""
        return templates.actions(change, config, recorded)

    def actions_observed(
        self,
        change: ChangeKind,
        config: Mapping[str, Any] | None,
        recorded: Mapping[str, Any] | None,
        observed: Observation | None,
    ) -> Sequence[ActionSpec]:
        """Return the same, where its engine answers and there is something to build from.

        Raises:
            AdapterFailedError: E_ADAPTER_FAIL, the engine hangs.
            InvalidInputError: E_INVALID_INPUT_SCHEMA, its context or build file is missing, and nothing makes it.
        """
        return templates.actions(change, config, recorded, observed)

    def risks(
        self,
        change: ChangeKind,
        config: Mapping[str, Any] | None,
        recorded: Mapping[str, Any] | None,
        observed: Observation | None,
    ) -> Sequence[str]:
        """Return ``network`` for a build that may use it, ``destroy`` for a removal, ``overwrite`` for a taken name."""
        return templates.risks(change, config, observed)

    def describe(self, config: Mapping[str, Any]) -> str:
        """Return the first tag and the context."""
        return templates.describe(config)

    def compile(self, action: Action) -> CompiledStep:
        """Return the script of ``build_image`` or ``remove_image``."""
        return templates.compile_action(action)

    def observe(
        self, config: Mapping[str, Any], recorded: Mapping[str, Any] | None, context: ObserveContext
    ) -> Observation:
        """Return what the engine has under its names, and the digest of the context as it is now."""
        from clockwork_nb.resources.image.observe import observe

        return observe(config, context)


TYPE = ImageType()
