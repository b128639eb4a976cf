"""``terraform``: a root module of Terraform or OpenTofu, planned and applied as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clockwork_nb.ports import Action, ActionSpec, ChangeKind, CompiledStep, Observation, ObserveContext
from clockwork_nb.resources.terraform import templates
from clockwork_nb.resources.terraform.attributes import PLAIN

__all__ = ["TYPE", "TerraformType"]


class TerraformType:
    """A root module: what terraform would do in it is part of the plan, and exactly that is applied."""

    name = "terraform"
    aliases: tuple[str, ...] = ()
    summary = "a Terraform or OpenTofu root module"
    verifies = False
    observe_timeout_s = 600.0
    """Planning asks clouds; the time that other types get to be looked at in is too short for that."""

    def model(self) -> type[Any]:
        """Return `TerraformConfig`."""
        from clockwork_nb.resources.terraform.config import TerraformConfig

        return TerraformConfig

    def attribute_names(self) -> frozenset[str]:
        """Return what may be set, without the model."""
        return PLAIN.names

    def accepts(self, attributes: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the config of *attributes* that are plain and right, None to ask the model."""
        return PLAIN.accepts(attributes)

    def exports(self, config: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the config with ``outputs``, unknown till after apply."""
        return templates.exports(config)

    def export_names(self) -> frozenset[str]:
        """Return ``outputs``."""
        return frozenset({"outputs"})

    def replaces(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> frozenset[str]:
        """Return ``source`` and ``workspace`` as far as they differ: there is another state then."""
        return templates.replaces(before, after)

    def claims(self, config: Mapping[str, Any]) -> Sequence[str]:
        """Return the module with its workspace, which only one block can own."""
        return templates.claims(config)

    def import_id(self, config: Mapping[str, Any]) -> str:
        """Return ``<source>`` or ``<source>:<workspace>``."""
        return templates.import_id(config)

    def drift(self, config: Mapping[str, Any], observed: Observation) -> Mapping[str, tuple[Any, Any]]:
        """Return what terraform would put back, by its address; only known where terraform was asked just now."""
        return templates.drift(config, observed)

    def pending(
        self, change: ChangeKind, config: Mapping[str, Any] | None, observed: Observation
    ) -> Sequence[tuple[str, Any, Any, bool]]:
        """Return a row for each of terraform's own changes."""
        return templates.pending(change, config, observed)

    def actions(
        self, change: ChangeKind, config: Mapping[str, Any] | None, recorded: Mapping[str, Any] | None
    ) -> Sequence[ActionSpec]:
        """Return the actions when nobody looked: their plan is unknown."""
        return templates.actions(change, config, recorded, None)

    def actions_observed(
        self,
        change: ChangeKind,
        config: Mapping[str, Any] | None,
        recorded: Mapping[str, Any] | None,
        observed: Observation | None,
    ) -> Sequence[ActionSpec]:
        """Return ``terraform_apply`` or ``terraform_destroy`` of the plan that was seen, else ``terraform_plan``."""
        return templates.actions(change, config, recorded, observed)

    def risks(
        self,
        change: ChangeKind,
        config: Mapping[str, Any] | None,
        recorded: Mapping[str, Any] | None,
        observed: Observation | None,
    ) -> Sequence[str]:
        """Return ``network``, and ``destroy`` when terraform removes or replaces something."""
        return templates.risks(change, config, recorded, observed)

    def describe(self, config: Mapping[str, Any]) -> str:
        """Return the module's folder, and its workspace."""
        return templates.describe(config)

    def compile(self, action: Action) -> CompiledStep:
        """Return the script that drives terraform, with its variables beside it."""
        return templates.compile_action(action)

    def observe(
        self, config: Mapping[str, Any], recorded: Mapping[str, Any] | None, context: ObserveContext
    ) -> Observation:
        """Return the outputs and, where terraform may be asked, what it would do."""
        from clockwork_nb.resources.terraform.observe import observe

        return observe(config, recorded, context)

    def recall(
        self, config: Mapping[str, Any], identity: Mapping[str, Any], context: ObserveContext
    ) -> Mapping[str, Any]:
        """Return ``outputs`` with the sensitive ones, which are not recorded."""
        from clockwork_nb.resources.terraform.observe import recall

        return recall(config, identity, context)


TYPE = TerraformType()
