"""The plan: what will change, why, in which order. A value; its document form is ``plan.json``."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from msgspec import Struct, field

from clockwork_nb.assembly.plan_document import plan_document
from clockwork_nb.canonical import canonical_json, digest
from clockwork_nb.intake.desired import EnvFacts
from clockwork_nb.ports import Action, ChangeKind
from clockwork_nb.secrets import repr_without

__all__ = ["AttributeChange", "Drift", "OutputChange", "Plan", "ResourceChange"]


class AttributeChange(Struct, frozen=True):
    """One attribute: dotted ``path``, ``before``, ``after`` (None = absent), and what makes it special."""

    path: str
    before: Any
    after: Any
    forces_replacement: bool = False


_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


class ResourceChange(Struct, frozen=True):
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
    volatile: Mapping[str, str] = _NOTHING
    """Attribute → digest of its value at a fixed time, for those that depend on the time of the run."""
    moved_from: str = ""
    imported: str = ""
    identity: Mapping[str, Any] = _NOTHING
    deferred: str = ""


class Drift(Struct, frozen=True):
    """Something changed outside since the last apply: attribute → (recorded, observed)."""

    address: str
    attributes: tuple[tuple[str, Any, Any], ...]
    detail: str = ""
    gone: bool = False


class OutputChange(Struct, frozen=True):
    """An output's value after this plan, and before."""

    name: str
    before: Any
    after: Any
    sensitive: bool = False


class Plan(Struct, frozen=True):
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
    secret_key: bytes = b""

    def __repr__(self) -> str:
        return repr_without(self, "secret_key")

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
        return plan_document(self)

    def document_bytes(self) -> bytes:
        """Return the canonical bytes of the document."""
        return canonical_json(self.to_document())

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical document, 64 hex; people see the first 8."""
        return digest(self.to_document())
