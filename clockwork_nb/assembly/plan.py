"""The plan: what will change, why, in which order. A value; its document form is ``plan.json``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from clockwork_nb.canonical import canonical_json, digest
from clockwork_nb.intake.desired import EnvFacts
from clockwork_nb.ports import Action, ChangeKind
from clockwork_nb.secrets import seal

__all__ = ["AttributeChange", "Drift", "OutputChange", "Plan", "ResourceChange", "drift_document"]

_RARE = ("volatile", "moved_from", "imported", "identity", "deferred")
"""Fields of a change that stand in the document only when they say something."""


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
    ``reason`` is a short sentence without full stop. ``moved_from`` is the address it is recorded at so far, ``imported`` the
    id of the existing thing that is taken over, ``identity`` what was observed of that. ``deferred`` says what it waits for:
    then nothing of this change happens yet, and it is planned again once that is known.
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
    moved_from: str = ""
    imported: str = ""
    identity: Mapping[str, Any] = field(default_factory=dict)
    deferred: str = ""


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

    ``excluded`` and ``replaced`` are what the caller left out and what is to be made anew, ``changes`` are sorted by the order they happen in, unchanged ones last and by address. ``not_loaded`` maps the
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
    excluded: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()
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
    def deferred(self) -> tuple[str, ...]:
        """The addresses whose change waits for something that this plan finds out, sorted."""
        return tuple(sorted(c.address for c in self.changes if c.deferred))

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
            **({"excluded": list(self.excluded)} if self.excluded else {}),
            **({"replace": list(self.replaced)} if self.replaced else {}),
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
                    **{name: value for name in _RARE if (value := getattr(c, name))},
                }
                for c in self.changes
            ],
            "actions": {"version": "1", "steps": [a.to_document() for a in self.actions]},
            "drift": _drift(self.drift),
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


def drift_document(drift: Iterable[Drift], key: bytes) -> list[dict[str, Any]]:
    """Return the JSON form of *drift*; sensitive values are sealed with *key*."""
    sealed: list[dict[str, Any]] = _plain(seal(_drift(drift), key))
    return sealed


def _drift(drift: Iterable[Drift]) -> list[dict[str, Any]]:
    return [
        {
            "address": d.address,
            "gone": d.gone,
            "detail": d.detail,
            "attributes": [{"path": p, "recorded": r, "observed": o} for p, r, o in d.attributes],
        }
        for d in drift
    ]


def _plain(value: Any) -> Any:
    from clockwork_nb.intake.values import Unknown

    if isinstance(value, Unknown):
        return {"$unknown": value.why}
    if isinstance(value, dict):
        return {k: v if type(v) in _SCALARS else _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [v if type(v) in _SCALARS else _plain(v) for v in value]
    return value


_SCALARS = frozenset({str, int, bool, float, type(None)})
