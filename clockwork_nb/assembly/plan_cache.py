"""What one plan leaves for the next: decisions, actions and their JSON forms, for the resources that stay as they are.

Everything in it follows from its own inputs alone, so a plan made with it is the plan made without it, to the byte.
Nobody may change what comes out of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from clockwork_nb.assembly.changes import Decision
from clockwork_nb.assembly.graph import Graph
from clockwork_nb.assembly.prior import PriorResource
from clockwork_nb.canonical import canonical_json
from clockwork_nb.intake.desired import ResourceInstance
from clockwork_nb.ports import Action, ActionSpec, ChangeKind, Observation

__all__ = ["Form", "PlanCache"]


class Form(Struct, frozen=True):
    """The JSON form of a change or an action, and its canonical bytes. ``item`` keeps the identity in use."""

    item: object
    document: Mapping[str, Any]
    data: bytes


class _Decided(Struct, frozen=True):
    config: Mapping[str, Any]
    about: tuple[Any, ...]
    prior: PriorResource | None
    observed: Observation | None
    because: str
    decision: Decision


class PlanCache:
    """Decisions by address, actions by id and JSON forms by identity, between two plans of one workspace.

    Only what was used for the last plan is kept.
    """

    __slots__ = (
        "_actions",
        "_decided",
        "_forms",
        "_graphs",
        "_key",
        "_old_actions",
        "_old_decided",
        "_old_forms",
        "_order",
    )

    def __init__(self) -> None:
        self._key: bytes | None = None
        self._graphs: dict[str, tuple[dict[str, tuple[str, ...]], Graph]] = {}
        self._order: tuple[Mapping[str, set[str]], Mapping[str, tuple[str, int]], list[str]] = {}, {}, []
        self._old_decided: dict[str, _Decided] = {}
        self._decided: dict[str, _Decided] = {}
        self._old_actions: dict[str, tuple[ActionSpec, Action]] = {}
        self._actions: dict[str, tuple[ActionSpec, Action]] = {}
        self._old_forms: dict[int, Form] = {}
        self._forms: dict[int, Form] = {}

    def begin(self, key: bytes) -> None:
        """Begin a plan whose sensitive values are sealed with *key*; forget everything when it was another one before."""
        if self._key != key:
            self.finish()
            self.finish()
            self._key = key

    def decision(
        self, instance: ResourceInstance, prior: PriorResource | None, observed: Observation | None, because: str
    ) -> Decision | None:
        """Return what was decided about *instance* from the same inputs, or None. Config and *prior* are the very same."""
        found = self._old_decided.get(instance.address)
        if (
            found is None
            or found.config is not instance.config
            or found.prior is not prior
            or found.because != because
            or found.observed != observed
            or found.about != _about(instance)
        ):
            return None
        self._decided[instance.address] = found
        return found.decision

    def keep(
        self,
        instance: ResourceInstance,
        prior: PriorResource | None,
        observed: Observation | None,
        because: str,
        decision: Decision,
    ) -> None:
        """Keep *decision*. One that replaces something is not kept: it depends on what others want too."""
        if decision.change.kind != "replace":
            self._decided[instance.address] = _Decided(
                instance.config, _about(instance), prior, observed, because, decision
            )

    def graph(self, name: str, needs: dict[str, tuple[str, ...]]) -> Graph:
        """Return the graph of *needs*; the one that was last asked for under *name* when it is of the same needs."""
        found = self._graphs.get(name)
        if found is None or found[0] != needs or list(found[0]) != list(needs):
            found = self._graphs[name] = needs, Graph(needs)
        return found[1]

    def order(self, needs: Mapping[str, set[str]], position: Mapping[str, tuple[str, int]]) -> list[str]:
        """Return the steps of *needs* in order, among those that are ready by *position*."""
        if self._order[0] != needs or self._order[1] != position:
            self._order = needs, position, Graph(needs).order(key=position.__getitem__)
        return self._order[2]

    def action(
        self, step: str, spec: ActionSpec, change: ChangeKind, reason: str, needs: tuple[str, ...]
    ) -> Action | None:
        """Return the action *step* as it was made from the very same *spec*, or None."""
        found = self._old_actions.get(step)
        if found is None or found[0] is not spec:
            return None
        action = found[1]
        if action.change != change or action.reason != reason or action.needs != needs:
            return None
        self._actions[step] = found
        return action

    def keep_action(self, spec: ActionSpec, action: Action) -> None:
        """Keep *action*, which was made from *spec*."""
        self._actions[action.id] = spec, action

    def form(self, item: object, make: Callable[[Any], dict[str, Any]]) -> Form:
        """Return the JSON form of *item*, made by *make* unless it is known."""
        found = self._forms.get(id(item)) or self._old_forms.get(id(item))
        if found is None:
            document = make(item)
            found = Form(item, document, canonical_json(document))
        self._forms[id(item)] = found
        return found

    def finish(self) -> None:
        """Forget what the plan that is done now did not use."""
        self._old_decided, self._decided = self._decided, {}
        self._old_actions, self._actions = self._actions, {}
        self._old_forms, self._forms = self._forms, {}


def _about(instance: ResourceInstance) -> tuple[Any, ...]:
    """Return what a decision depends on besides the config; its place in the text is not part of it."""
    return (
        instance.declared_in,
        instance.dependencies,
        instance.ignore_changes,
        instance.create_before_destroy,
        instance.volatile,
    )
