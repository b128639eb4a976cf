"""What a job's events add up to: plain values, and their form in a snapshot.

`clockwork_nb.jobs.state` holds the rules that build them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from msgspec import Struct, field, to_builtins
from msgspec.structs import replace

from clockwork_nb.errors import InvalidInputError
from clockwork_nb.jobs.budget import Counters

__all__ = ["BY_KEY", "TERMINAL", "Checkpoint", "Decision", "Grant", "JobState", "Lease", "SectionState", "StepState"]

TERMINAL: Final = frozenset({"completed", "canceled"})


class StepState(Struct):
    """One step of an open section.

    ``status`` is ``started``, ``completed``, ``failed``, ``interrupted``, ``skipped`` or ``compensated``; ``attempts``
    counts the starts. ``entry`` is the resource's new state entry as canonical JSON text, ``entry_blob`` its digest
    when it was too large for the event.
    """

    status: str
    index: int
    attempts: int = 0
    idempotent: bool = False
    entry: str = ""
    entry_blob: str = ""


class SectionState(Struct):
    """One apply, destroy or verify of the job.

    ``steps`` is emptied when the section closes: then ``done``, ``failed`` and ``skipped`` tell the rest, and a job of
    many sections stays small. ``approval`` is the id of the approval that was used.
    """

    number: int
    verb: str
    cell: str
    call: int
    inputs: str
    outcome: str = ""
    plan: str = ""
    configuration: str = ""
    bundle: str = ""
    policy: str = ""
    lineage: str = ""
    serial: int = 0
    changes: int = 0
    state_before: str = ""
    state_after: str = ""
    approval: str = ""
    done: int = 0
    failed: int = 0
    skipped: int = 0
    steps: dict[str, StepState] = field(default_factory=dict)

    @property
    def open(self) -> bool:
        """Whether the section is still being worked on."""
        return not self.outcome


class Grant(Struct, frozen=True):
    """One person's yes to a decision that asks for several. Times are in the event form, empty for never."""

    by: str
    via: str
    reason: str
    at: str
    expires_at: str

    @property
    def person(self) -> tuple[str, str]:
        """The user and the key's fingerprint; the latter is empty when it was not signed."""
        user, _, key = self.by.partition(BY_KEY)
        return user, key

    def counted_with(self, earlier: Iterable[Grant]) -> list[Grant] | None:
        """Return which of the *earlier* grants count together with this one, itself last; None when its giver said yes.

        Two persons are two users, or two keys: users share accounts. A signed yes takes the place of an unsigned one of
        the same user, who may be the same person; an unsigned one says nothing new beside any of its user.
        """
        user, key = self.person
        out = []
        for grant in earlier:
            if grant.expires_at and grant.expires_at <= self.at:
                continue
            other_user, other_key = grant.person
            if key and other_key:
                if key == other_key:
                    return None
            elif user == other_user:
                if not key:
                    return None
                continue
            out.append(grant)
        return [*out, self]


BY_KEY: Final = " with SHA256:"
"""What stands in ``by`` between the user and the fingerprint of the key they signed with."""


class Decision(Struct):
    """One question put to a person (or to a rule standing in for one), and the answer.

    ``status`` is ``open``, ``granted``, ``denied`` or ``superseded`` (the plan it was about is not the plan any more).
    ``expires_at`` belongs to the grant once there is one. Times are in the event form and compare as text.
    ``quorum`` is how many persons must say yes; with more than one, ``grants`` are those who did and still count.
    """

    approval_id: str
    checkpoint_seq: int
    section: int
    binds: dict[str, Any]
    status: str = "open"
    by: str = ""
    via: str = ""
    reason: str = ""
    granted_at: str = ""
    expires_at: str = ""
    max_uses: int = 0
    uses: int = 0
    quorum: int = 1
    grants: list[Grant] = field(default_factory=list)

    @property
    def missing(self) -> int:
        """How many persons still have to say yes."""
        return max(0, self.quorum - len(self.grants)) if self.status == "open" else 0


class Checkpoint(Struct):
    """The latest checkpoint of its kind, or a decision that is still asked for."""

    seq: int
    kind: str
    summary: str
    reason_codes: list[str]
    created_at: str


class Lease(Struct):
    """Who runs the job, by the last ``lease.taken``; None in the state when it was released."""

    runner_id: str
    host_id: str
    ttl_ms: int
    tool_version: str


class JobState(Struct):
    """The fold of a job's events up to ``seq``.

    ``stop`` is ``"cancel"`` or ``"pause"`` while somebody asked for it and the job has not moved there yet; a resume
    answers a pause, nothing but the end answers a cancel.
    ``limits`` are the budget limits in force (dimension → decimal text). ``cells`` maps a cell to its last status.
    ``published`` maps an artifact's path to the digest of its content, empty when it has no blob.
    """

    job_id: str
    lineage: str
    genesis: str
    seq: int = 0
    hash: str = ""
    epoch: int = 0
    created_at: str = ""
    updated_at: str = ""
    name: str = ""
    adapter: str = ""
    objective: str = ""
    spec: str = ""
    status: str = ""
    reason: str = ""
    reason_codes: list[str] = field(default_factory=list)
    stop: str = ""
    env_rules: list[dict[str, str]] = field(default_factory=list)
    env_hash: str = ""
    env_accepted: str = ""
    """Digest of the other environment that somebody accepted for the present resume, empty for none."""
    limits: dict[str, str] = field(default_factory=dict)
    counters: Counters = field(default_factory=Counters)
    lease: Lease | None = None
    tool_version: str = ""
    tainted: bool = False
    finished: bool = False
    sections: dict[int, SectionState] = field(default_factory=dict)
    decisions: dict[str, Decision] = field(default_factory=dict)
    asked: dict[int, str] = field(default_factory=dict)
    """``decision-needed`` checkpoints by seq → the approval id that asks there, empty before it does."""
    checkpoints: dict[str, Checkpoint] = field(default_factory=dict)
    """Kind → the latest checkpoint of that kind."""
    cells: dict[str, str] = field(default_factory=dict)
    published: dict[str, str] = field(default_factory=dict)

    @property
    def open_decisions(self) -> list[Decision]:
        """The decisions nobody has settled, oldest first."""
        return [decision for decision in self.decisions.values() if decision.status == "open"]

    @property
    def open_sections(self) -> list[SectionState]:
        """The sections not closed yet, in order."""
        return [section for section in self.sections.values() if section.open]

    @property
    def environment(self) -> str:
        """The digest of the environment in force: the recorded one, or the one accepted for this resume."""
        return self.env_accepted or self.env_hash

    @property
    def final(self) -> bool:
        """Whether the job is at its end and may not run again."""
        return self.status in TERMINAL

    def decision_for(self, section: int) -> Decision | None:
        """Return the decision in force for the section's present plan, None when none was asked for."""
        for decision in reversed(self.decisions.values()):
            if decision.section == section and decision.status != "superseded":
                return decision
        return None

    def copy(self) -> JobState:
        """Return a state of its own: later events change only one of the two."""
        out = replace(self)
        out.reason_codes, out.env_rules = list(self.reason_codes), list(self.env_rules)
        out.limits, out.cells, out.published = dict(self.limits), dict(self.cells), dict(self.published)
        out.asked, out.checkpoints = dict(self.asked), dict(self.checkpoints)
        out.decisions = {
            name: replace(decision, grants=list(decision.grants)) for name, decision in self.decisions.items()
        }
        out.sections = {
            number: replace(section, steps={name: replace(step) for name, step in section.steps.items()})
            for number, section in self.sections.items()
        }
        return out

    def to_document(self) -> dict[str, Any]:
        """Return the JSON form kept in a snapshot; `from_document` reads it back to an equal state."""
        out = {name: getattr(self, name) for name in self.__struct_fields__}
        out["counters"] = self.counters.to_payload()
        out["lease"] = None if self.lease is None else to_builtins(self.lease)
        out["sections"] = [_section_document(section) for section in self.sections.values()]
        out["decisions"] = [to_builtins(decision) for decision in self.decisions.values()]
        out["asked"] = [[seq, approval_id] for seq, approval_id in self.asked.items()]
        out["checkpoints"] = [to_builtins(checkpoint) for checkpoint in self.checkpoints.values()]
        for name in ("cells", "published", "limits"):
            out[name] = [list(pair) for pair in out[name].items()]
        return out

    @classmethod
    def from_document(cls, document: Any) -> JobState:
        """Return the state that `to_document` wrote.

        Raises:
            InvalidInputError: E_INVALID_INPUT_SCHEMA: it is not such a document.
        """
        try:
            values = dict(document)
            values["counters"] = Counters(**values["counters"])
            values["lease"] = None if values["lease"] is None else Lease(**values["lease"])
            sections = [_section_from(item) for item in values["sections"]]
            values["sections"] = {section.number: section for section in sections}
            decisions = [_decision_from(item) for item in values["decisions"]]
            values["decisions"] = {decision.approval_id: decision for decision in decisions}
            checkpoints = [Checkpoint(**item) for item in values["checkpoints"]]
            values["checkpoints"] = {checkpoint.kind: checkpoint for checkpoint in checkpoints}
            values["asked"] = {int(seq): str(approval_id) for seq, approval_id in values["asked"]}
            for name in ("cells", "published", "limits"):
                values[name] = {str(key): str(value) for key, value in values[name]}
            return cls(**values)
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise InvalidInputError(f"not a job state: {error}") from error


def _decision_from(document: dict[str, Any]) -> Decision:
    values = dict(document)
    values["grants"] = [Grant(**item) for item in values.get("grants", ())]
    return Decision(**values)


def _section_document(section: SectionState) -> dict[str, Any]:
    out = {name: getattr(section, name) for name in section.__struct_fields__}
    # One short list a step: ten thousand steps stay a few hundred kilobytes.
    out["steps"] = [
        [name, step.status, step.index, step.attempts, step.idempotent, step.entry, step.entry_blob]
        for name, step in section.steps.items()
    ]
    return out


def _section_from(document: dict[str, Any]) -> SectionState:
    values = dict(document)
    values["steps"] = {
        str(name): StepState(status, index, attempts, idempotent, entry, blob)
        for name, status, index, attempts, idempotent, entry, blob in values["steps"]
    }
    return SectionState(**values)
