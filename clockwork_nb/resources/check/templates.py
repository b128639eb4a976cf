"""What becomes of a declared check: its one action. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clockwork_nb.intake.values import Unknown
from clockwork_nb.ports import ActionSpec, ChangeKind
from clockwork_nb.resources.probes import probe_action
from clockwork_nb.resources.scripts import comment

__all__ = ["actions", "describe"]


def describe(config: Mapping[str, Any]) -> str:
    """Return what is checked, in a few words."""
    for kind, words in (("http", "url"), ("tcp", "port"), ("file_matches", "path")):
        value = config.get(kind)
        if isinstance(value, Mapping):
            return comment(f"{kind} {value.get(words)}" if kind != "file_matches" else f"{value.get(words)} matches")
        if isinstance(value, Unknown):
            return f"{kind} {value!r}"
    return comment(f"{config.get('file_exists')} exists")


def actions(change: ChangeKind, config: Mapping[str, Any] | None) -> Sequence[ActionSpec]:
    """Return the action of *change*: every change but a removal is one run of the check."""
    if config is None or change in {"delete", "forget", "noop"}:
        return ()
    tries = {"retries": config["retries"], "interval": config["interval"], "timeout": config["timeout"]}
    if config["http"] is not None:
        return (_probe("verify_http", config["http"], tries),)
    if config["tcp"] is not None:
        return (_probe("verify_tcp", config["tcp"], tries),)
    if config["file_matches"] is not None:
        return (_probe("verify_file", config["file_matches"], tries),)
    return (_probe("verify_file", {"path": config["file_exists"]}, tries),)


def _probe(name: str, target: Any, tries: Mapping[str, Any]) -> ActionSpec:
    # While the whole target is unknown there is nothing to take apart; such a step is never compiled.
    own = dict(target) if isinstance(target, Mapping) else {"target": target}
    return probe_action(name, {**own, **tries})
