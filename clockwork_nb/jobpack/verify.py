"""Verifies a jobpack: bytes in, a report out. Offline, pure, and closed: what is not proven is not verified.

The order is fixed. First the archive, then every digest against the manifest, then the signature and that it is about
exactly these files; only then is evidence parsed. The contract files, the manifest, the statement, the report and the
crate are recomputed from the native log and compared byte for byte, so no field of a pack is free. Last comes what the
reader asks for: this job, nothing older than what they have seen, a key they trust, a finished job.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final, Literal

from msgspec import Struct

from clockwork_nb.errors import (
    ClockworkError,
    EvidenceInconsistentError,
    HashMismatchError,
    PackNotFinalError,
    SignatureInvalidError,
    SignatureRequiredError,
    SignatureUntrustedError,
)
from clockwork_nb.jobpack.approvals import check_approval_signatures
from clockwork_nb.jobpack.archive import CLOCKWORK, Archive, read_archive
from clockwork_nb.jobpack.checks import (
    check_contents,
    check_contract,
    check_files,
    check_statement,
    distrusted,
    entry_of,
    manifest_of,
    moment_of,
    pack_named,
    signer_key,
    subjects_of,
)
from clockwork_nb.jobpack.contents import LeftOut
from clockwork_nb.jobpack.crosscheck import cross_check
from clockwork_nb.jobpack.history import History, read_history
from clockwork_nb.jobpack.layout import GENESIS, MANIFEST, MAX_EVENT_BYTES, NATIVE_EVENTS, SIGNER, STATEMENT
from clockwork_nb.jobpack.log import read_log
from clockwork_nb.jobpack.manifest import Manifest
from clockwork_nb.jobpack.relation import BAD_RELATIONS, KnownHead, Relation, relation_to_all
from clockwork_nb.jobpack.report import ApprovalSummary, Check, Failure, Headline, Level, Signer, VerificationReport
from clockwork_nb.jobpack.statement import build_statement, check_subjects
from clockwork_nb.jobpack.wrkr import verify_wrkr
from clockwork_nb.jobpack.wrkr_imported import IMPORT_PROFILE, is_import, verify_import
from clockwork_nb.jobs.events import MAX_LINE, Event
from clockwork_nb.signing import Envelope, PublicKey, Standing, Trust, open_envelope

__all__ = ["Examination", "Require", "VerificationReport", "examine_jobpack", "signer_of", "verify_jobpack"]

Require = Literal["signed", "integrity", "final"]

_CHECKS: Final = (
    "archive", "manifest", "files", "signature", "history", "contents", "contract", "agreement", "identity", "memory",
    "trust", "end",
)  # fmt: skip


class Examination(Struct, frozen=True):
    """A verification and the very bytes it was about. What was not reached is None or empty.

    Whoever shows or unpacks something takes it from here and never reads the file again. ``error`` is why the pack is
    not verified.
    """

    report: VerificationReport
    archive: Archive | None = None
    manifest: Manifest | None = None
    history: History | None = None
    events: Sequence[Event] = ()
    error: ClockworkError | None = None


def verify_jobpack(
    data: bytes,
    *,
    trust: Trust,
    require: Require = "signed",
    file_name: str | None = None,
    expect_job: str | None = None,
    key: PublicKey | None = None,
    expect_manifest: str | None = None,
    known: Sequence[KnownHead] = (),
) -> VerificationReport:
    """Return what can be said about the pack in *data*. Never raises for what the bytes are.

    Args:
        data: the whole file.
        trust: whose signatures count.
        require: ``signed`` needs the signature of a trusted key; ``final`` also a job at its end; ``integrity`` settles
            for a pack that is intact.
        file_name: what the file is called, without folders; a jobpack's name for another job is refused.
        expect_job: the job it must be.
        key: when given, the only key whose signature counts.
        expect_manifest: the manifest hash it must have (64 hex, as in a footer).
        known: what is remembered of packs; one of this job that is newer or disagrees refuses the pack.
    """
    return examine_jobpack(
        data,
        trust=trust,
        require=require,
        file_name=file_name,
        expect_job=expect_job,
        key=key,
        expect_manifest=expect_manifest,
        known=known,
    ).report


def examine_jobpack(
    data: bytes,
    *,
    trust: Trust,
    require: Require = "signed",
    file_name: str | None = None,
    expect_job: str | None = None,
    key: PublicKey | None = None,
    expect_manifest: str | None = None,
    known: Sequence[KnownHead] = (),
) -> Examination:
    """Return the verification of *data* (see `verify_jobpack`) together with what was read on the way."""
    run = _Verification(data, trust, require, file_name or "", expect_job, key, expect_manifest, known)
    try:
        run.verify()
    except ClockworkError as error:
        run.fail(error)
    except (RecursionError, MemoryError) as error:  # a document nested or sized to break its reader
        run.fail(EvidenceInconsistentError(f"the pack cannot be read: {type(error).__name__}"))
    return Examination(run.report(), run.archive, run.manifest, run.history, run.events, run.failure)


def signer_of(data: bytes) -> PublicKey | None:
    """Return the key that the pack in *data* says it is signed with, None when it is not signed.

    The signature fits the key; whose key that is, nothing inside the pack can tell.

    Raises:
        PackError: E_PACK_…, E_SIG_INVALID.
    """
    archive = read_archive(data)
    if STATEMENT not in archive.entries:
        return None
    public = signer_key(archive)
    if not open_envelope(archive.read(STATEMENT)).signed_by(public):
        raise SignatureInvalidError(f"the signature does not fit the key {public.fingerprint}")
    return public


class _Verification:
    """One run. Attributes are filled in the order of the checks; what is still empty was not reached."""

    def __init__(
        self,
        data: bytes,
        trust: Trust,
        require: Require,
        file_name: str,
        expect_job: str | None,
        key: PublicKey | None,
        expect_manifest: str | None,
        known: Sequence[KnownHead],
    ) -> None:
        self.data, self.trust, self.require, self.file_name = data, trust, require, file_name
        self.expect_job, self.key, self.expect_manifest, self.known = expect_job, key, expect_manifest, known
        self.checks: list[Check] = []
        self.profile: str = CLOCKWORK.name
        self.signer: Signer | None = None
        self.standing = Standing("unknown")
        self.intact = False
        self.archive: Archive | None = None
        self.manifest: Manifest | None = None
        self.history: History | None = None
        self.events: Sequence[Event] = ()
        self.relation: Relation = ""
        self.approvers: Mapping[str, tuple[Signer, ...]] = {}
        self.left_out: tuple[LeftOut, ...] = ()
        self.failure: ClockworkError | None = None
        self.facts: dict[str, Any] = {}
        self.missing: tuple[str, ...] = ()
        self.notes: tuple[str, ...] = ()

    # --- the order ---------------------------------------------------------------------------------------------

    def verify(self) -> None:
        with self._check("archive") as said:
            self.archive = archive = read_archive(self.data)
            self.profile = archive.profile.name
            said.append(f"{len(archive.entries)} entries, every byte accounted for")
        with self._check("manifest") as said:
            self.manifest = manifest = manifest_of(archive)
            said.append(f"lists {len(manifest.files)} files")
        with self._check("files") as said:
            digests = check_files(archive, manifest)
            said.append(f"{len(archive.entries)} files have the content that was declared")
        if archive.profile is not CLOCKWORK:
            self._verify_wrkr(archive, manifest)
            return
        with self._check("signature") as said:
            envelope, public = self._check_signature(archive, digests)
            said.append(self._signature_detail())
        if is_import(archive):
            self._verify_import(archive, manifest, digests, envelope, public)
            return
        with self._check("history") as said:
            genesis = entry_of(archive, GENESIS, MAX_LINE)
            header, events = read_log(genesis, entry_of(archive, NATIVE_EVENTS, MAX_EVENT_BYTES))
            history = read_history(header, events)
            said.append(f"{history.count} events chained")
        with self._check("contents") as said:
            contents = check_contents(archive, history, digests, signed=envelope is not None)
            said.append("every file is named by an event")
        with self._check("contract") as said:
            check_contract(header, events, manifest, digests, contents.left_out)
            if envelope is not None and public is not None:
                check_statement(envelope, build_statement(history, subjects_of(digests), public.keyid))
            said.append("recomputed from the events, byte for byte")
        with self._check("agreement") as said:
            by_digest = {sha256: name for name, sha256 in digests.items() if name.startswith("clockwork/")}
            cross_check(history, contents.bundles, lambda sha256: archive.read(by_digest[sha256]))
            self.approvers = check_approval_signatures(history, self.trust.standing_of)
            said.append("steps ⇔ plan ⇔ bundle ⇔ artifacts, approvals ⇔ digests used")
        self.history, self.events, self.left_out = history, events, contents.left_out
        with self._check("identity") as said:
            self._check_identity(history.job_id, history.count, manifest.sha256)
            said.append(history.job_id)
        self.intact = True
        if self.known:
            with self._check("memory") as said:
                self._check_memory(history, events)
                said.append(self.relation or "nothing is remembered of this job")
        self._judge(signed=envelope is not None, final=history.finished)

    def _verify_wrkr(self, archive: Archive, manifest: Manifest) -> None:
        with self._check("contract") as said:
            facts = verify_wrkr(archive, manifest)
            said.append("records have the contract's fields and fit together")
        self.facts, self.missing = facts.to_facts(), facts.missing
        with self._check("identity") as said:
            self._check_identity(manifest.job_id, None, manifest.sha256)
            said.append(manifest.job_id)
        self.intact = True
        self._judge(signed=False, final=bool(self.facts["final"]))

    def _verify_import(
        self,
        archive: Archive,
        manifest: Manifest,
        digests: Mapping[str, str],
        envelope: Envelope | None,
        public: PublicKey | None,
    ) -> None:
        self.profile = IMPORT_PROFILE
        with self._check("contract") as said:
            who = self.signer.name or self.signer.fingerprint if self.signer else ""
            facts = verify_import(archive, manifest, digests, who)
            if envelope is not None and public is not None:
                check_statement(envelope, facts.statement(subjects_of(digests), public.keyid))
            said.append("recomputed from the imported files, byte for byte")
        self.facts, self.missing, self.notes = facts.to_facts(), facts.missing, facts.notes
        with self._check("identity") as said:
            self._check_identity(manifest.job_id, facts.events, manifest.sha256)
            said.append(manifest.job_id)
        self.intact = True
        self._judge(signed=envelope is not None, final=bool(self.facts["final"]))

    def _judge(self, *, signed: bool, final: bool) -> None:
        """Decide whether what was proven is what was asked for."""
        if self.require == "integrity":
            return
        with self._check("trust") as said:
            if not signed:
                raise _unsigned("It is intact; --require integrity settles for that.")
            assert self.signer is not None
            if not self.signer.name:
                raise distrusted(self.signer.fingerprint, self.standing)
            said.append(f"{self.signer.name}, {self.signer.fingerprint}")
        if self.require != "final":
            return
        with self._check("end") as said:
            if not final:
                raise PackNotFinalError(
                    "the job had not finished when this was exported", hint="Ask for the pack of the finished job."
                )
            said.append("the job is at its end")

    # --- single checks -----------------------------------------------------------------------------------------

    @contextmanager
    def _check(self, name: str) -> Iterator[list[str]]:
        said: list[str] = []
        try:
            yield said
        except ClockworkError as error:
            self.checks.append(Check(name, "failed", error.message))
            raise
        except (RecursionError, MemoryError):
            self.checks.append(Check(name, "failed", "the pack cannot be read"))
            raise
        self.checks.append(Check(name, "passed", "".join(said)))

    def _check_signature(
        self, archive: Archive, digests: Mapping[str, str]
    ) -> tuple[Envelope | None, PublicKey | None]:
        if STATEMENT not in archive.entries:
            if self.require != "integrity":
                raise _unsigned("To check only that it is whole: add --require integrity")
            if SIGNER in archive.entries:
                raise SignatureInvalidError("the pack names a signer and has no signature", details={"path": SIGNER})
            return None, None
        envelope = open_envelope(archive.read(STATEMENT))
        public = signer_key(archive)
        if not envelope.signed_by(public):
            raise SignatureInvalidError(
                f"the signature does not fit the key {public.fingerprint}", details={"path": STATEMENT}
            )
        check_subjects(envelope.payload, subjects_of(digests))
        assert self.manifest is not None
        self.standing = self._standing(public, moment_of(self.manifest))
        trusted = self.standing.status == "trusted"
        self.signer = Signer(public.fingerprint, self.standing.name if trusted else "", self.standing.status)
        return envelope, public

    def _standing(self, public: PublicKey, at: datetime) -> Standing:
        standing = self.trust.standing_of(public, at)
        if self.key is None or standing.status == "revoked":
            return standing
        return Standing("trusted", standing.name or "the given key") if public == self.key else Standing("unknown")

    def _signature_detail(self) -> str:
        if self.signer is None:
            return "not signed"
        who = self.signer.name or f"a key that does not count here ({self.signer.standing})"
        return f"valid, by {who} ({self.signer.fingerprint})"

    def _check_memory(self, history: History, events: Sequence[Event]) -> None:
        self.relation, head = relation_to_all(history, lambda seq: events[seq - 1].hash, self.known)
        if self.relation not in BAD_RELATIONS:
            return
        assert head is not None
        message = (
            f"a newer pack of this job, with {head.count} events, was seen before"
            if self.relation == "older"
            else f"another history of this job was seen before, with {head.count} events"
        )
        raise EvidenceInconsistentError(
            message,
            hint="Ask the sender for the latest pack." if self.relation == "older" else "One of the two was rewritten.",
            details={
                "relation": self.relation,
                "expected": f"{head.count} events, head {head.head[:16]}",
                "found": f"{history.count} events, head {history.head[:16]}",
            },
        )

    def _check_identity(self, job_id: str, count: int | None, manifest_sha256: str) -> None:
        if self.expect_job is not None and self.expect_job != job_id:
            raise EvidenceInconsistentError(
                "this is the pack of another job", details={"expected": self.expect_job, "found": job_id}
            )
        if self.expect_manifest is not None and self.expect_manifest != manifest_sha256:
            raise HashMismatchError(
                "this is another pack than the one that was named",
                details={"path": MANIFEST, "expected": self.expect_manifest, "found": manifest_sha256},
            )
        if named := pack_named(self.file_name, job_id, count):
            raise EvidenceInconsistentError(
                "the file has the name of another pack", details={"expected": named, "found": job_id}
            )

    # --- the result --------------------------------------------------------------------------------------------

    def fail(self, error: ClockworkError) -> None:
        self.failure = error

    def report(self) -> VerificationReport:
        headline, level = self._headline()
        done = {check.name for check in self.checks}
        checks = [*self.checks, *(Check(name, "not run") for name in _CHECKS if name not in done)]
        return VerificationReport(
            headline=headline,
            exit_code=0 if self.failure is None else 2,
            level=level,
            profile=self.profile,
            file_name=self.file_name,
            signer=self.signer,
            manifest_sha256=self.manifest.sha256 if self.manifest is not None and self.intact else "",
            checks=tuple(checks),
            relation=self.relation,
            missing=self.missing,
            notes=self.notes,
            failure=None if self.failure is None else _failure(self.failure),
            **(self._job_facts() if self.intact else {}),
        )

    def _headline(self) -> tuple[Headline, Level]:
        if self.failure is None:
            if self.signer is not None and self.signer.name:
                if self.require == "integrity":
                    return "INTACT", "signed"
                return ("VERIFIED signed import" if self.profile == IMPORT_PROFILE else "VERIFIED signed"), "signed"
            return "INTACT", "integrity"
        if self.intact and isinstance(self.failure, SignatureUntrustedError):
            return "UNKNOWN SIGNER intact", "integrity"
        return "NOT VERIFIED", "integrity" if self.intact else "none"

    def _job_facts(self) -> dict[str, Any]:
        if self.history is None:
            return self.facts
        history = self.history
        assert self.manifest is not None
        return {
            "job_id": history.job_id,
            "name": history.name,
            "status": history.status,
            "final": history.finished,
            "tainted": bool(history.tainted),
            "taint_reason": history.tainted,
            "count": history.count,
            "head": history.head,
            "created_at": history.last_at,
            "left_out": self.left_out,
            "counts": {"files": len(self.manifest.files) + 1, **history.counts()},
            "approvals": tuple(
                ApprovalSummary(
                    str(a.binds.get("plan", "")),
                    a.by,
                    a.via,
                    a.reason,
                    a.at,
                    bool(a.uses),
                    self.approvers.get(a.approval_id, ()),
                )
                for a in history.approvals.values()
                if a.decision == "granted"
            ),
        }


def _failure(error: ClockworkError) -> Failure:
    path, expected, found = (str(error.details.get(name, "")) for name in ("path", "expected", "found"))
    return Failure(error.code, error.message, path, expected, found, error.hint)


def _unsigned(hint: str) -> SignatureRequiredError:
    return SignatureRequiredError("the pack is not signed", hint=hint)
