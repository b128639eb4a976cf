"""The result of a verification: one frozen value and its document."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct, field

from clockwork_nb.jobpack.contents import LeftOut
from clockwork_nb.jobpack.relation import Relation

__all__ = [
    "ApprovalSummary",
    "Check",
    "Failure",
    "Headline",
    "Level",
    "Signer",
    "VerificationReport",
]

Headline = Literal["VERIFIED signed", "VERIFIED signed import", "INTACT", "UNKNOWN SIGNER intact", "NOT VERIFIED"]
Level = Literal["signed", "integrity", "none"]


class Check(Struct, frozen=True):
    """One step of the verification. ``not run``: an earlier one failed, or nobody asked for it."""

    name: str
    status: Literal["passed", "failed", "not run"]
    detail: str = ""


class Signer(Struct, frozen=True):
    """Whose signature it is. ``name`` is empty when the key is not trusted here; ``standing`` says why it is not.

    ``standing`` is one of ``trusted, unknown, revoked, expired, not yet valid``.
    """

    fingerprint: str
    name: str = ""
    standing: str = "unknown"

    def to_document(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "name": self.name,
            "fingerprint": self.fingerprint,
            "trusted": bool(self.name),
            "standing": self.standing,
        }


class ApprovalSummary(Struct, frozen=True):
    """One granted approval that the log holds. ``used`` says whether a section ran under it, ``signers`` who signed it."""

    plan: str
    by: str
    via: str
    reason: str
    at: str
    used: bool
    signers: tuple[Signer, ...] = ()


class Failure(Struct, frozen=True):
    """Why a pack is not verified. ``path`` is the entry, ``expected`` and ``found`` are set where two things differ.

    ``hint`` is what to do next, where there is something.
    """

    code: str
    message: str
    path: str = ""
    expected: str = ""
    found: str = ""
    hint: str = ""


class VerificationReport(Struct, frozen=True):
    """What is known about one pack.

    Facts about the job are empty until the evidence they come from has passed. ``level`` is what was proven:
    ``signed`` (intact, and signed by a trusted key), ``integrity`` (intact) or ``none``. ``missing`` says what a pack
    of this kind cannot prove, ``notes`` what else must be known about it. ``created_at`` is the time of the last event.
    ``relation`` is how the log stands to what was remembered of this job, ``left_out`` what the pack names and does not
    hold.
    """

    headline: Headline
    exit_code: int
    level: Level
    profile: str
    file_name: str = ""
    signer: Signer | None = None
    job_id: str = ""
    name: str = ""
    status: str = ""
    final: bool = False
    tainted: bool = False
    taint_reason: str = ""
    count: int = 0
    head: str = ""
    manifest_sha256: str = ""
    created_at: str = ""
    relation: Relation = ""
    left_out: tuple[LeftOut, ...] = ()
    counts: dict[str, int] = field(default_factory=dict)
    approvals: tuple[ApprovalSummary, ...] = ()
    checks: tuple[Check, ...] = ()
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    failure: Failure | None = None

    @property
    def ok(self) -> bool:
        """Whether what was asked for was proven."""
        return self.exit_code == 0

    def to_document(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "schema": "clockwork.verification.v1",
            "headline": self.headline,
            "exit_code": self.exit_code,
            "level": self.level,
            "profile": self.profile,
            "file_name": self.file_name,
            "signer": None if self.signer is None else self.signer.to_document(),
            "job_id": self.job_id,
            "name": self.name,
            "status": self.status,
            "final": self.final,
            "tainted": self.tainted,
            "taint_reason": self.taint_reason,
            "count": self.count,
            "head": self.head,
            "manifest_sha256": self.manifest_sha256,
            "created_at": self.created_at,
            "relation": self.relation,
            "not_included": [{"path": f.name, "sha256": f.sha256, "size": f.size} for f in self.left_out],
            "counts": dict(self.counts),
            "approvals": [
                {
                    "plan": a.plan,
                    "by": a.by,
                    "via": a.via,
                    "reason": a.reason,
                    "at": a.at,
                    "used": a.used,
                    "signers": [signer.to_document() for signer in a.signers],
                }
                for a in self.approvals
            ],
            "checks": [{"name": c.name, "status": c.status, "detail": c.detail} for c in self.checks],
            "missing": list(self.missing),
            "notes": list(self.notes),
            "failure": None
            if self.failure is None
            else {
                "code": self.failure.code,
                "message": self.failure.message,
                "path": self.failure.path,
                "expected": self.failure.expected,
                "found": self.failure.found,
                "hint": self.failure.hint,
            },
        }
