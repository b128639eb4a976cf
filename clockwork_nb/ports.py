"""What the core asks of the edge, and the small values that cross between rooms.

Protocols and frozen values only; nothing here does anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

__all__ = [
    "Action",
    "ActionSpec",
    "Artifact",
    "ChangeKind",
    "CompiledStep",
    "Draft",
    "EventView",
    "JobWriter",
    "Observation",
    "ObserveContext",
    "Registry",
    "ResourceType",
    "StepClass",
]

ChangeKind = Literal["create", "update", "replace", "delete", "noop", "verify", "forget", "run"]
"""What a plan does to one resource. ``forget`` drops it from the state without an action; ``run`` is a step of a job
spec, which is no resource and leaves no state."""

StepClass = Literal["confined", "host", "built-in"]


@dataclass(frozen=True, slots=True)
class ActionSpec:
    """One action a resource type asks for; the planner gives it an id, its needs and its place."""

    name: str
    args: Mapping[str, Any]
    timeout_s: int = 600
    idempotent: bool = False
    risk: tuple[str, ...] = ()
    reason: str = ""
    retries: int = 0
    backoff_s: float = 0
    idle_timeout_s: int = 0


@dataclass(frozen=True, slots=True)
class Action:
    """One step of the ActionList. ``args`` may hold `Sensitive` values in memory, never on disk.

    ``id`` is ``<address>:<name>``; ``needs`` are ids of earlier steps, sorted. ``retries``: how often it is started again
    after a failure within one run; ``backoff_s``: seconds before the first of these, doubled with each, 0 for the runner's
    own. ``idle_timeout_s``: it is stopped when it has said nothing for so long; 0 for never.
    """

    id: str
    name: str
    address: str
    args: Mapping[str, Any]
    needs: tuple[str, ...] = ()
    change: ChangeKind = "create"
    timeout_s: int = 600
    idempotent: bool = False
    risk: tuple[str, ...] = ()
    reason: str = ""
    retries: int = 0
    backoff_s: float = 0
    idle_timeout_s: int = 0

    def to_document(self) -> dict[str, Any]:
        """Return the ActionList form of this step (contracts.md); sensitive values are still marked."""
        out: dict[str, Any] = {
            "id": self.id,
            "name": self.name,
            "address": self.address,
            "args": dict(self.args),
            "change": self.change,
            "timeout_s": self.timeout_s,
            "idempotent": self.idempotent,
        }
        if self.needs:
            out["needs"] = list(self.needs)
        if self.risk:
            out["risk"] = list(self.risk)
        if self.reason:
            out["reason"] = self.reason
        if self.retries:
            out["retries"] = self.retries
        if self.backoff_s:
            out["backoff_s"] = self.backoff_s
        if self.idle_timeout_s:
            out["idle_timeout_s"] = self.idle_timeout_s
        return out


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file of a bundle. ``path`` is relative to the build folder, with ``/``.

    ``secret`` names the sensitive value that is the content of a data artifact; then ``content`` is empty and
    nothing is written to disk.
    """

    path: str
    content: bytes
    mode: Literal["0644", "0755"]
    purpose: str
    lang: str
    secret: str = ""


@dataclass(frozen=True, slots=True)
class CompiledStep:
    """What a resource type's template makes of one action.

    * ``cmd``: argv; the script is named by its artifact path, e.g. ``("sh", "scripts/file.index/write_file.sh")``,
      or ``("cw:service", "ensure", "scripts/service.web/ensure_service.json")`` for a built-in.
    * ``vars``: environment of the step, text only.
    * ``secret_vars``: variable name → name of a sensitive value in ``secrets``; the step finds a path to read it from.
    * ``data``: variable name → artifact path; the step finds a readable file-descriptor path in the variable.
    * ``secrets``: name → the sensitive value itself (memory only).
    * ``write``: paths the step may write to (relative to the project root, or absolute). A file or folder; for one
      that does not exist yet its nearest existing parent is meant.
    * ``network``: True, False, or the TCP ports it may use.
    """

    artifacts: tuple[Artifact, ...]
    cmd: tuple[str, ...]
    vars: Mapping[str, str] = field(default_factory=dict)
    secret_vars: Mapping[str, str] = field(default_factory=dict)
    data: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, Any] = field(default_factory=dict)
    write: tuple[str, ...] = ()
    network: bool | tuple[int, ...] = False
    cls: StepClass = "confined"
    cwd: str = "."


@dataclass(frozen=True, slots=True)
class Observation:
    """What is really there. ``attributes`` uses the names of the type's config and exports.

    ``exists`` is None when it cannot be told. ``detail`` is one line for people ("running, pid 4711").
    """

    exists: bool | None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ObserveContext:
    """Where to look: the project root (configuration paths are relative to it) and the workspace's own folder.

    * ``address``: the resource being looked at; a type that keeps things below the workspace finds them by its slug.
    * ``allow``: what the person or the operator allowed to run while planning: ``command``, ``http``, ``terraform``.
    * ``timeout_s``: how long looking may take; a type that waits for somebody else must give up by then and answer
      ``exists=None`` with the reason in ``detail``.
    """

    root: Path
    workspace: Path
    address: str = ""
    allow: frozenset[str] = frozenset()
    timeout_s: float = 10.0


class ResourceType(Protocol):
    """One kind of resource. Everything but ``observe`` is pure.

    A *config* is the normalised dict that the type's model made: every declared attribute is present, defaults filled
    in, values plain JSON types, `Sensitive`, or `clockwork_nb.intake.values.Unknown`.

    A computed attribute that is known only once the resource is there is `Unknown` in ``exports`` and has its value in the
    attributes of ``observe``; who refers to it gets that value as long as the resource is as it was recorded.

    A type may also have these, all pure but the last:

    * ``claims(config)`` → what only one resource can own at a time, ``path:<path>`` or ``port:<number>``;
    * ``with_facts(config, facts)`` → *config* with what this machine decides filled in (``engine = "auto"``), where
      *facts* is the document of `clockwork_nb.intake.desired.EnvFacts`. Raises InvalidInputError with a hint when the
      machine lacks what it needs;
    * ``import_id(config)`` → the id by which an ``import`` block names the thing that *config* describes; types without
      it cannot be imported;
    * ``bound_to_address``: True when the thing cannot follow its resource to another address;
    * ``found(import_id, context)`` → the attributes that describe the existing thing, for the text of a new block; None
      when there is no such thing.
    """

    name: str
    aliases: tuple[str, ...]
    summary: str
    verifies: bool
    """True for types whose action only checks something (``check``): their change is ``verify``, never create."""

    def model(self) -> type[Any]:
        """Return the strict Pydantic model of the attributes (imports pydantic on first use)."""
        ...

    def exports(self, config: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the attributes other blocks may reference: the config plus computed ones, `Unknown` till after apply."""
        ...

    def export_names(self) -> frozenset[str]:
        """Return the names of computed attributes, for static checks and "did you mean"."""
        ...

    def replaces(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> frozenset[str]:
        """Return the attributes whose change from *before* to *after* forces a replacement."""
        ...

    def drift(self, config: Mapping[str, Any], observed: Observation) -> Mapping[str, tuple[Any, Any]]:
        """Return attribute → (recorded, observed) for what was changed outside; empty when it matches."""
        ...

    def actions(
        self, change: ChangeKind, config: Mapping[str, Any] | None, recorded: Mapping[str, Any] | None
    ) -> Sequence[ActionSpec]:
        """Return the actions of *change* in order.

        *config* is None for a delete. *recorded* is None for a create, and for an update that must do everything again
        because what is recorded does not hold (drift, a failure before). Sensitive values that did not change are
        equal in both.
        """
        ...

    def risks(
        self,
        change: ChangeKind,
        config: Mapping[str, Any] | None,
        recorded: Mapping[str, Any] | None,
        observed: Observation | None,
    ) -> Sequence[str]:
        """Return the risk classes of *change*, e.g. ``ports``, ``destroy``, ``network``, ``overwrite``; may be empty."""
        ...

    def describe(self, config: Mapping[str, Any]) -> str:
        """Return the few words shown beside the address in a plan ("out/site", "process")."""
        ...

    def compile(self, action: Action) -> CompiledStep:
        """Return the script and its surroundings for one of this type's actions. Deterministic."""
        ...

    def observe(
        self, config: Mapping[str, Any], recorded: Mapping[str, Any] | None, context: ObserveContext
    ) -> Observation:
        """Return what is there now. Reads only; loopback sockets at most; never runs a command of the configuration."""
        ...


Registry = Mapping[str, ResourceType]
"""Type name (and alias) → resource type."""


@dataclass(frozen=True, slots=True)
class Draft:
    """An event that has not been written yet: a type of `clockwork_nb.jobs.events` and its payload."""

    type: str
    payload: Mapping[str, Any]


class EventView(Protocol):
    """A written event, as readers see it."""

    @property
    def seq(self) -> int:
        """Position in the log, from 1."""
        ...

    @property
    def created_at(self) -> str:
        """RFC 3339, UTC, six digits."""
        ...

    @property
    def type(self) -> str:
        """One of the closed list."""
        ...

    @property
    def payload(self) -> Mapping[str, Any]:
        """Its facts."""
        ...


class JobWriter(Protocol):
    """The one way to write to a job, whoever owns its log."""

    @property
    def job_id(self) -> str:
        """The job's id."""
        ...

    @property
    def epoch(self) -> int:
        """The fencing token of the current lease."""
        ...

    def append(self, drafts: Sequence[Draft]) -> Sequence[EventView]:
        """Make *drafts* durable as one unit and return them as written. Thread-safe.

        Raises:
            LeaseLostError: somebody else owns the job now.
            StoreIOError, StoreFullError: not durable; this writer refuses everything from now on.
        """
        ...

    def put_blob(self, data: bytes) -> str:
        """Make *data* durable under its SHA-256 and return that (64 hex)."""
        ...

    def get_blob(self, sha256: str) -> bytes:
        """Return the bytes named *sha256*.

        Raises:
            StoreCorruptError: missing, or the content does not have that digest.
        """
        ...

    def events(self) -> Sequence[EventView]:
        """Return every event so far, control events of other processes included."""
        ...

    def stop_requested(self) -> str:
        """Return ``"cancel"``, ``"pause"``, ``"drain"``, ``"lost"`` when the run must stop, else ``""``.

        ``drain``: what runs may end, nothing more starts. Cheap; called often.
        """
        ...

    def limits(self) -> Mapping[str, str]:
        """Return budget dimension → limit as far as this writer knows, decimal text. Cheap; called often."""
        ...


Progress = Callable[[EventView], None]
"""Called for each event as it becomes durable; must not block."""
