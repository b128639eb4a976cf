"""Verifies a jobpack: bytes in, a report out. Offline, pure, and closed: what is not proven is not verified.

The order is fixed. First the archive, then every digest against the manifest, then the signature and that it is about
exactly these files; only then is evidence parsed. The contract files, the manifest, the statement, the report and the
crate are recomputed from the native log and compared byte for byte, so no field of a pack is free.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, Literal

from clockwork_nb.canonical import sha256_hex
from clockwork_nb.errors import (
    ClockworkError,
    EvidenceInconsistentError,
    HashMismatchError,
    InvalidInputError,
    ManifestInvalidError,
    PackMissingError,
    PackUndeclaredError,
    SignatureInvalidError,
    SignatureRequiredError,
    SignatureUntrustedError,
)
from clockwork_nb.ids import JOB_ID
from clockwork_nb.jobpack.archive import CLOCKWORK, Archive, check_crc, read_archive
from clockwork_nb.jobpack.build import signer_line
from clockwork_nb.jobpack.contents import BundleView, environment_document, evidence_entries, read_bundle
from clockwork_nb.jobpack.crate import build_crate
from clockwork_nb.jobpack.crosscheck import cross_check
from clockwork_nb.jobpack.history import History, read_history
from clockwork_nb.jobpack.layout import (
    CRATE,
    ENVIRONMENT,
    EVENTS,
    GENESIS,
    MANIFEST,
    NATIVE_EVENTS,
    REPORT,
    SIGNER,
    STATEMENT,
    section_name,
)
from clockwork_nb.jobpack.log import read_log
from clockwork_nb.jobpack.manifest import Manifest, read_manifest
from clockwork_nb.jobpack.projection import Projector
from clockwork_nb.jobpack.report import ApprovalSummary, Check, Failure, Headline, Level, Signer, VerificationReport
from clockwork_nb.jobpack.report_html import build_report
from clockwork_nb.jobpack.statement import build_statement, check_subjects
from clockwork_nb.jobpack.wrkr import verify_wrkr
from clockwork_nb.jobs.events import Event
from clockwork_nb.signing import Envelope, PublicKey, Trust, open_envelope, parse_public_key

__all__ = ["VerificationReport", "signer_of", "verify_jobpack"]

Require = Literal["signed", "integrity"]

_CHECKS: Final = ("archive", "files", "signature", "history", "contents", "contract", "agreement", "identity")
_BATCH: Final = 512


def verify_jobpack(
    data: bytes,
    *,
    trust: Trust,
    require: Require = "signed",
    file_name: str | None = None,
    expect_job: str | None = None,
    key: PublicKey | None = None,
    expect_manifest: str | None = None,
) -> VerificationReport:
    """Return what can be said about the pack in *data*. Never raises for what the bytes are.

    Args:
        data: the whole file.
        trust: whose signatures count.
        require: ``signed`` needs the signature of a trusted key; ``integrity`` settles for a pack that is intact.
        file_name: what the file is called, without folders; a jobpack's name for another job is refused.
        expect_job: the job it must be.
        key: when given, the only key whose signature counts.
        expect_manifest: the manifest hash it must have (64 hex, as in a footer).
    """
    run = _Verification(data, trust, require, file_name or "", expect_job, key, expect_manifest)
    try:
        run.verify()
    except ClockworkError as error:
        run.fail(error)
    except (RecursionError, MemoryError) as error:  # a document nested or sized to break its reader
        run.fail(EvidenceInconsistentError(f"the pack cannot be read: {type(error).__name__}"))
    return run.report()


def signer_of(data: bytes) -> PublicKey | None:
    """Return the key that the pack in *data* says it is signed with, None when it is not signed.

    The signature fits the key; whose key that is, nothing inside the pack can tell.

    Raises:
        PackError: E_PACK_…, E_SIG_INVALID.
    """
    archive = read_archive(data)
    if STATEMENT not in archive.entries:
        return None
    public = _signer_key(archive)
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
    ) -> None:
        self.data, self.trust, self.require, self.file_name = data, trust, require, file_name
        self.expect_job, self.key, self.expect_manifest = expect_job, key, expect_manifest
        self.checks: list[Check] = []
        self.profile = CLOCKWORK.name
        self.signer: Signer | None = None
        self.intact = False
        self.manifest: Manifest | None = None
        self.history: History | None = None
        self.failure: ClockworkError | None = None
        self.facts: dict[str, Any] = {}
        self.missing: tuple[str, ...] = ()

    # --- the order ---------------------------------------------------------------------------------------------

    def verify(self) -> None:
        with self._check("archive") as said:
            archive = read_archive(self.data)
            self.profile = archive.profile.name
            said.append(f"{len(archive.entries)} entries")
        with self._check("files") as said:
            self.manifest = manifest = _read_manifest(archive)
            digests = _check_files(archive, manifest)
            said.append(f"{len(archive.entries)} files have the content that was declared")
        if archive.profile is not CLOCKWORK:
            self._verify_wrkr(archive, manifest)
            return
        with self._check("signature") as said:
            envelope, public = self._check_signature(archive, digests)
            said.append(self._signature_detail())
        with self._check("history") as said:
            genesis, native = (_entry(archive, name) for name in (GENESIS, NATIVE_EVENTS))
            header, events = read_log(genesis, native)
            history = read_history(header, events)
            said.append(f"{history.count} events chained")
        with self._check("contents") as said:
            bundles = _check_contents(archive, history, digests, signed=envelope is not None)
            said.append("every file is named by an event")
        with self._check("contract") as said:
            _check_contract(header, events, manifest, digests)
            if envelope is not None and public is not None:
                _check_statement(envelope, build_statement(history, _subjects(digests), public.keyid))
            said.append("recomputed from the events, byte for byte")
        with self._check("agreement") as said:
            by_digest = {sha256: name for name, sha256 in digests.items() if name.startswith("clockwork/")}
            cross_check(history, bundles, lambda sha256: archive.read(by_digest[sha256]))
            said.append("steps ⇔ plan ⇔ bundle ⇔ artifacts, approvals ⇔ digests used")
        self.history = history
        with self._check("identity") as said:
            self._check_identity(history.job_id, history.count, manifest.sha256)
            said.append(history.job_id)
        self.intact = True
        self._judge(signed=envelope is not None)

    def _verify_wrkr(self, archive: Archive, manifest: Manifest) -> None:
        with self._check("contract") as said:
            facts = verify_wrkr(archive, manifest)
            said.append("records have the contract's fields and fit together")
        self.facts = facts.to_facts()
        self.missing = facts.missing
        with self._check("identity") as said:
            self._check_identity(manifest.job_id, None, manifest.sha256)
            said.append(manifest.job_id)
        self.intact = True
        self._judge(signed=False)

    def _judge(self, *, signed: bool) -> None:
        if self.require == "integrity":
            return
        if not signed:
            raise SignatureRequiredError(
                "the pack is not signed", hint="It is intact; --require integrity settles for that."
            )
        if self.signer is not None and not self.signer.name:
            raise SignatureUntrustedError(f"signed by {self.signer.fingerprint}, a key that is not trusted here")

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
            if self.require == "signed":
                raise SignatureRequiredError(
                    "the pack is not signed", hint="--require integrity checks what can be checked without a signature."
                )
            if SIGNER in archive.entries:
                raise SignatureInvalidError("the pack names a signer and has no signature", details={"path": SIGNER})
            return None, None
        envelope = open_envelope(archive.read(STATEMENT))
        public = _signer_key(archive)
        if not envelope.signed_by(public):
            raise SignatureInvalidError(
                f"the signature does not fit the key {public.fingerprint}", details={"path": STATEMENT}
            )
        check_subjects(envelope.payload, _subjects(digests))
        trusted = self.trust.name_of(public)
        if self.key is not None:
            trusted = (trusted or "the given key") if public == self.key else None
        self.signer = Signer(public.fingerprint, trusted or "")
        return envelope, public

    def _signature_detail(self) -> str:
        if self.signer is None:
            return "not signed"
        who = self.signer.name or "a key that is not trusted here"
        return f"valid, by {who} ({self.signer.fingerprint})"

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
        if named := _job_of_name(self.file_name, job_id, count):
            raise EvidenceInconsistentError(
                "the file has the name of another pack", details={"expected": named, "found": job_id}
            )

    # --- the result --------------------------------------------------------------------------------------------

    def fail(self, error: ClockworkError) -> None:
        self.failure = error

    def report(self) -> VerificationReport:
        headline, level = self._headline()
        failure = None
        if self.failure is not None:
            details = self.failure.details
            failure = Failure(
                self.failure.code,
                self.failure.message,
                *(str(details.get(name, "")) for name in ("path", "expected", "found")),
            )
        done = {check.name for check in self.checks}
        checks = [*self.checks, *(Check(name, "skipped") for name in _CHECKS if name not in done)]
        return VerificationReport(
            headline=headline,
            exit_code=0 if failure is None else 2,
            level=level,
            profile=self.profile,
            file_name=self.file_name,
            signer=self.signer,
            manifest_sha256=self.manifest.sha256 if self.manifest is not None and self.intact else "",
            checks=tuple(checks),
            missing=self.missing,
            failure=failure,
            **(self._job_facts() if self.intact else {}),
        )

    def _headline(self) -> tuple[Headline, Level]:
        if self.failure is None:
            if self.signer is not None and self.signer.name:
                return ("VERIFIED signed", "signed") if self.require == "signed" else ("INTACT", "signed")
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
            "counts": {"files": len(self.manifest.files) + 1, **history.counts()},
            "approvals": tuple(
                ApprovalSummary(str(a.binds.get("plan", "")), a.by, a.via, a.reason, a.at, bool(a.uses))
                for a in history.approvals.values()
                if a.decision == "granted"
            ),
        }


def _read_manifest(archive: Archive) -> Manifest:
    if MANIFEST not in archive.entries:
        raise ManifestInvalidError(f"there is no {MANIFEST}", details={"path": MANIFEST})
    return read_manifest(archive.read(MANIFEST))


def _entry(archive: Archive, name: str) -> bytes:
    if name not in archive.entries:
        raise PackMissingError(f"{name} is missing", details={"path": name})
    return archive.read(name)


def _check_files(archive: Archive, manifest: Manifest) -> dict[str, str]:
    """Return entry → SHA-256 after comparing them with the manifest's list and with their CRC."""
    present, listed = set(archive.entries) - {MANIFEST}, manifest.files.keys()
    if undeclared := sorted(present - listed):
        raise PackUndeclaredError(f"{undeclared[0]} is not in the manifest", details={"path": undeclared[0]})
    if missing := sorted(listed - present):
        raise PackMissingError(f"{missing[0]} is in the manifest and not in the pack", details={"path": missing[0]})
    digests = {name: hashlib.sha256(archive.view(name)).hexdigest() for name in archive.entries}
    for name, expected in manifest.files.items():
        _same_digest(name, expected, digests[name])
    check_crc(archive)
    return digests


def _subjects(digests: Mapping[str, str]) -> dict[str, str]:
    return {name: sha256 for name, sha256 in digests.items() if name not in {MANIFEST, STATEMENT}}


def _same_digest(name: str, expected: str, found: str) -> None:
    if expected != found:
        raise HashMismatchError(
            f"{name} does not have the content that was declared",
            details={"path": name, "expected": expected, "found": found},
        )


def _signer_key(archive: Archive) -> PublicKey:
    if SIGNER not in archive.entries:
        raise SignatureInvalidError(f"{SIGNER} is missing, so nobody can tell whose signature it is")
    data = archive.read(SIGNER)
    try:
        key = parse_public_key(data.decode("ascii"))
    except UnicodeDecodeError:
        raise SignatureInvalidError(f"{SIGNER} is not a public key", details={"path": SIGNER}) from None
    except InvalidInputError as error:
        raise SignatureInvalidError(f"{SIGNER}: {error.message}", details={"path": SIGNER}) from None
    if signer_line(key) != data:
        raise SignatureInvalidError(f"{SIGNER} is not in its canonical form", details={"path": SIGNER})
    return key


def _check_contents(
    archive: Archive, history: History, digests: Mapping[str, str], *, signed: bool
) -> dict[str, BundleView]:
    """Compare what is below ``clockwork/`` with what the log names and makes; return the bundles by digest."""
    by_digest = {sha256: name for name, sha256 in digests.items() if name.startswith("clockwork/")}
    bundles: dict[str, BundleView] = {}
    for section in history.sections.values():
        for sha256 in section.bundles:
            where = section_name(section.number, "bundle")
            if sha256 not in by_digest:
                raise PackMissingError(f"{where} ({sha256[:8]}) is missing", details={"path": where})
            bundles[sha256] = read_bundle(archive.read(by_digest[sha256]), where)
    expected = evidence_entries(history, bundles)
    expected |= {name: digests[name] for name in (GENESIS, NATIVE_EVENTS)}
    expected[REPORT] = sha256_hex(build_report(history))
    environment = environment_document(history)
    if environment is not None:
        expected[ENVIRONMENT] = sha256_hex(environment)
    expected[CRATE] = sha256_hex(build_crate(history, expected))
    if signed:
        expected |= {name: digests[name] for name in (SIGNER, STATEMENT)}
    _same_files(expected, {name: sha256 for name, sha256 in digests.items() if name.startswith("clockwork/")})
    return bundles


def _same_files(expected: Mapping[str, str], present: Mapping[str, str]) -> None:
    if undeclared := sorted(present.keys() - expected.keys()):
        raise PackUndeclaredError(f"the log knows nothing of {undeclared[0]}", details={"path": undeclared[0]})
    if missing := sorted(expected.keys() - present.keys()):
        raise PackMissingError(f"{missing[0]} is missing; the log says it is there", details={"path": missing[0]})
    for name in sorted(expected):
        if present[name] != expected[name]:
            raise EvidenceInconsistentError(
                f"{name} is not what the log says",
                details={"path": name, "expected": expected[name], "found": present[name]},
            )


def _check_contract(
    header: Mapping[str, Any], events: list[Event], manifest: Manifest, digests: Mapping[str, str]
) -> None:
    """Compare every contract file, the manifest included, with what the events say."""
    projector = Projector(header)
    lines = hashlib.sha256()
    for at in range(0, len(events), _BATCH):  # hashed as it is made: the projected log is never held as a whole
        lines.update(b"".join([projector.add(event) for event in events[at : at + _BATCH]]))
    expected = {EVENTS: lines.hexdigest()}
    expected |= {name: sha256_hex(data) for name, data in projector.small_files().items()}
    outside = {n: sha256 for n, sha256 in digests.items() if not n.startswith("clockwork/") and n != MANIFEST}
    _same_files(expected, outside)
    # The list of files and the hash are checked already, and the form leaves no other freedom than these four fields.
    stated = (manifest.job_id, manifest.created_at, manifest.producer_version, manifest.schema_version)
    if stated != (header["job_id"], projector.created_at, projector.producer_version, "v1"):
        raise ManifestInvalidError(f"{MANIFEST} is not what the events say", details={"path": MANIFEST})


def _check_statement(envelope: Envelope, expected: bytes) -> None:
    if envelope.payload != expected:
        raise EvidenceInconsistentError(
            "the signed statement says something else than the log", details={"path": STATEMENT}
        )


_PACK_NAME: Final = re.compile(r"jobpack_(.+)\.zip\Z")
_VARIANT: Final = re.compile(r"\.(?:at(?P<at>[0-9]+)|[0-9a-f]{12})\Z")


def _job_of_name(file_name: str, job_id: str, count: int | None) -> str:
    """Return the job (or the place in its log) that *file_name* stands for when it is not this pack's, else ``""``."""
    match = _PACK_NAME.match(file_name)
    if match is None or not JOB_ID.match(match[1]):
        return ""  # renamed freely: the name claims nothing
    named = match[1]
    if named == job_id:
        return ""
    if named.startswith(job_id) and (variant := _VARIANT.fullmatch(named[len(job_id) :])):
        at = variant["at"]
        return "" if at is None or count is None or int(at) == count else named
    return named
