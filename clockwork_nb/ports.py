"""What the core asks of the edge, and the small values that cross between rooms.

Protocols and frozen values only; nothing here does anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

from msgspec import Struct, field

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
    "ProjectFiles",
    "Registry",
    "ResourceType",
    "StepClass",
]

ChangeKind = Literal["create", "update", "replace", "delete", "noop", "verify", "forget", "run", "move", "import"]
"""What a plan does to one resource. ``forget`` drops it from the state, ``move`` gives it another address there and
``import`` takes something that is there into it, all three without an action; ``run`` is a step of a job spec, which is no
resource and leaves no state."""

StepClass = Literal["confined", "host", "built-in"]


class ActionSpec(Struct, frozen=True):
    """One action a resource type asks for; the planner gives it an id, its needs and its place.

    ``asks``: it only finds out what the change would have to do. Then nothing else of the change happens and nothing of it is
    recorded; it is planned again, and asked about again, when the action is done. ``reason`` says why.
    """

    name: str
    args: Mapping[str, Any]
    timeout_s: int = 600
    idempotent: bool = False
    risk: tuple[str, ...] = ()
    reason: str = ""
    retries: int = 0
    backoff_s: float = 0
    idle_timeout_s: int = 0
    asks: bool = False


class Action(Struct, frozen=True):
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


class Artifact(Struct, frozen=True):
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


class CompiledStep(Struct, frozen=True):
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
    * ``environment``: names of variables that a host step gets from whoever builds it, as they are then (``HOME``,
      ``DOCKER_HOST``); those that are set become part of ``vars`` and so of what is approved.
    * ``detaches``: what a host step moved out of its process group goes on when the step has ended (the process that
      watches a container).
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
    environment: tuple[str, ...] = ()
    detaches: bool = False


class Observation(Struct, frozen=True):
    """What is really there. ``attributes`` uses the names of the type's config and exports.

    ``exists`` is None when it cannot be told. ``detail`` is one line for people ("running, pid 4711").
    """

    exists: bool | None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    detail: str = ""


class ObserveContext(Struct, frozen=True):
    """Where to look: the project root (configuration paths are relative to it) and the workspace's own folder.

    * ``address``: the resource being looked at; a type that keeps things below the workspace finds them by its slug.
    * ``allow``: what the person or the operator allowed to run while planning: ``command``, ``http``, ``terraform``.
    * ``timeout_s``: how long looking may take; a type that waits for somebody else must give up by then and answer
      ``exists=None`` with the reason in ``detail``.
    * ``wanted``: the config that is declared for it now, with its sensitive values; None when nobody says or none is.
    * ``asked``: what is wanted of it besides that: that it is ``removed``, or made ``anew``; else ``""``.
    * ``made_later``: whether something else that is wanted may make this path of the project, which is missing now.
    """

    root: Path
    workspace: Path
    address: str = ""
    allow: frozenset[str] = frozenset()
    timeout_s: float = 10.0
    wanted: Mapping[str, Any] | None = None
    asked: Literal["", "removed", "anew"] = ""
    made_later: Callable[[str], bool] = lambda path: False


class ProjectFiles(Protocol):
    """The files of the project, as a resource type may read them while a configuration is evaluated.

    Paths are relative to the project root and cannot leave it. *attribute* is the one whose value names the file; a
    problem is reported there.
    """

    def read(self, path: str, *, attribute: str) -> bytes:
        """Return the bytes of *path*."""
        ...

    def render(self, path: str, names: Mapping[str, Any], *, attribute: str) -> Any:
        """Return the text that the template *path* gives with *names*; sensitive or unknown when it uses such a value."""
        ...


class ResourceType(Protocol):
    """One kind of resource. Everything but ``observe`` is pure.

    A *config* is the normalised dict that the type's model made: every declared attribute is present, defaults filled
    in, values plain JSON types, `Sensitive`, or `clockwork_nb.intake.values.Unknown`.

    A computed attribute that is known only once the resource is there is `Unknown` in ``exports`` and has its value in the
    attributes of ``observe``; who refers to it gets that value as long as the resource is as it was recorded.

    A type may also have these, all pure but the last:

    * ``accepts(attributes)`` → the config that the model would make of *attributes*, in the same order and with new lists
      and dicts, when their values are plain and right; None to ask the model. It exists for speed: who has it, and
      `attribute_names`, is used without importing pydantic. It never refuses: the model finds the words for that;
    * ``attribute_names()`` → the names of the model's fields, for a model without aliases;
    * ``claims(config)`` → what only one resource can own at a time, ``path:<path>`` or ``port:<number>``;
    * ``needs_engine(config)`` → whether it has something that a container engine runs or keeps; only then it is found out
      which engine is here;
    * ``mentions(config)`` → addresses that *config* names in quotes: those that are declared are needed, like references;
    * ``with_facts(config, facts)`` → *config* with what this machine decides filled in (``engine = "auto"``), where
      *facts* is the document of `clockwork_nb.intake.desired.EnvFacts`. Raises InvalidInputError with a hint when the
      machine lacks what it needs;
    * ``with_files(config, files)`` → *config* with what it takes from files of the project, where *files* is a
      `ProjectFiles`. So the content is part of the plan and of its approval, and not read again later;
    * ``import_id(config)`` → the id by which an ``import`` block names the thing that *config* describes; types without
      it cannot be imported;
    * ``actions_observed(change, config, recorded, observed)`` → what `actions` would return, for a type whose actions depend
      on what was observed; then `actions` is not asked when there is a plan to make;
    * ``pending(change, config, observed)`` → what a tool of its own would do inside the thing, as ``(path, before, after,
      forces_replacement)``: shown as changed attributes, and any of it makes an update of an unchanged resource. *config* is
      None for a delete. Raises InvalidInputError when that tool could not be asked or refuses the configuration;
    * ``observe_timeout_s``: how long looking may take, for a type that has to ask somebody who is slow;
    * ``bound_to_address``: True when the thing cannot follow its resource to another address;
    * ``recall(config, identity, context)`` → computed attributes that replace those in *identity*, for values that may not be
      recorded because they are sensitive: a `Sensitive`, or `Unknown` where nobody may ask for it;
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


class Draft(Struct, frozen=True):
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

    def put_blobs(self, contents: Sequence[bytes]) -> Sequence[str]:
        """Make each of *contents* durable and return the digests in order; faster than one by one."""
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
