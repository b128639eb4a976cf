"""The plan: what will change, why, in which order. A value; its document form is ``plan.json``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from clockwork_nb.canonical import canonical_json, digest
from clockwork_nb.intake.desired import EnvFacts
from clockwork_nb.ports import Action, ChangeKind
from clockwork_nb.secrets import seal

__all__ = ["AttributeChange", "Drift", "OutputChange", "Plan", "ResourceChange"]


@dataclass(frozen=True, slots=True)
class AttributeChange:
    """One attribute: dotted ``path``, ``before``, ``after`` (None = absent), and what makes it special."""

    path: str
    before: Any
    after: Any
    forces_replacement: bool = False


@dataclass(frozen=True, slots=True)
class ResourceChange:
    """What happens to one resource.

    ``after`` is the whole new config (None for delete and forget), ``before`` the recorded one (None for create).
    ``identity`` are facts for the state entry that are known at plan. ``reason`` is a short sentence without full stop.
    """

    address: str
    type: str
    kind: ChangeKind
    describe: str
    declared_in: str
    dependencies: tuple[str, ...] = ()
    attributes: tuple[AttributeChange, ...] = ()
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None
    reason: str = ""
    risk: tuple[str, ...] = ()
    volatile: Mapping[str, str] = field(default_factory=dict)
    """Attribute → digest of its value at a fixed time, for those that depend on the time of the run."""


@dataclass(frozen=True, slots=True)
class Drift:
    """Something changed outside since the last apply: attribute → (recorded, observed)."""

    address: str
    attributes: tuple[tuple[str, Any, Any], ...]
    detail: str = ""
    gone: bool = False


@dataclass(frozen=True, slots=True)
class OutputChange:
    """An output's value after this plan, and before."""

    name: str
    before: Any
    after: Any
    sensitive: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan. Two plans of the same inputs have the same bytes (``to_document``, canonical JSON).

    ``changes`` are sorted by the order they happen in, unchanged ones last and by address. ``not_loaded`` maps the
    address of each resource that is left alone to the cell or file that was not read. ``secret_key`` is the
    workspace's key that sensitive values are sealed with; it is in no document.
    """

    configuration_digest: str
    lineage: str | None
    serial: int
    facts: EnvFacts
    tool_version: str
    changes: tuple[ResourceChange, ...]
    actions: tuple[Action, ...]
    drift: tuple[Drift, ...] = ()
    outputs: tuple[OutputChange, ...] = ()
    not_loaded: Mapping[str, str] = field(default_factory=dict)
    variables: tuple[Mapping[str, Any], ...] = ()
    ports: Mapping[str, int] = field(default_factory=dict)
    destroy: bool = False
    targets: tuple[str, ...] = ()
    prune: bool = False
    compiler: str = "template"
    secret_key: bytes = field(default=b"", repr=False)

    @property
    def has_changes(self) -> bool:
        """Whether applying would do or record anything but checks; a changed output is recorded."""
        return any(c.kind not in {"noop", "verify"} for c in self.changes) or any(
            o.before != o.after for o in self.outputs
        )

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing at all to run or record: no change and no check that is due."""
        return not self.has_changes and not self.actions

    @property
    def risks(self) -> tuple[str, ...]:
        """All risk classes of the plan, sorted."""
        return tuple(sorted({r for c in self.changes for r in c.risk}))

    def counts(self) -> dict[str, int]:
        """Return how many resources each kind of change has; kinds with none are absent."""
        out: dict[str, int] = {}
        for c in self.changes:
            out[c.kind] = out.get(c.kind, 0) + 1
        return out

    def to_document(self) -> dict[str, Any]:
        """Return ``plan.json`` without ``created_at``; sensitive values are sealed."""
        doc = {
            "schema": "clockwork.plan.v1",
            "tool_version": self.tool_version,
            "configuration": self.configuration_digest,
            "lineage": self.lineage,
            "serial": self.serial,
            "facts": self.facts.to_document(),
            "compiler": self.compiler,
            "destroy": self.destroy,
            "targets": list(self.targets),
            "prune": self.prune,
            "variables": [dict(v) for v in self.variables],
            "ports": [{"name": k, "port": v} for k, v in sorted(self.ports.items())],
            "changes": [
                {
                    "address": c.address,
                    "type": c.type,
                    "kind": c.kind,
                    "describe": c.describe,
                    "declared_in": c.declared_in,
                    "dependencies": list(c.dependencies),
                    "attributes": [
                        {
                            "path": a.path,
                            "before": a.before,
                            "after": a.after,
                            **({"forces_replacement": True} if a.forces_replacement else {}),
                        }
                        for a in c.attributes
                    ],
                    "before": c.before,
                    "after": c.after,
                    "reason": c.reason,
                    "risk": list(c.risk),
                    **({"volatile": dict(c.volatile)} if c.volatile else {}),
                }
                for c in self.changes
            ],
            "actions": {"version": "1", "steps": [a.to_document() for a in self.actions]},
            "drift": [
                {
                    "address": d.address,
                    "gone": d.gone,
                    "detail": d.detail,
                    "attributes": [{"path": p, "recorded": r, "observed": o} for p, r, o in d.attributes],
                }
                for d in self.drift
            ],
            "outputs": [
                {"name": o.name, "before": o.before, "after": o.after, "sensitive": o.sensitive} for o in self.outputs
            ],
            "not_loaded": [{"address": a, "declared_in": w} for a, w in sorted(self.not_loaded.items())],
        }
        sealed: dict[str, Any] = _plain(seal(doc, self.secret_key))
        return sealed

    def document_bytes(self) -> bytes:
        """Return the canonical bytes of the document."""
        return canonical_json(self.to_document())

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical document, 64 hex; people see the first 8."""
        return digest(self.to_document())


def _plain(value: Any) -> Any:
    from clockwork_nb.intake.values import Unknown

    if isinstance(value, Unknown):
        return {"$unknown": value.why}
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return value
