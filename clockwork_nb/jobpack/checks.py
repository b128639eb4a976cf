"""The single checks of a jobpack, each a function that returns or raises. `clockwork_nb.jobpack.verify` has the order."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from msgspec import Struct

from clockwork_nb.canonical import sha256_hex
from clockwork_nb.errors import (
    EvidenceInconsistentError,
    HashMismatchError,
    InvalidInputError,
    ManifestInvalidError,
    PackError,
    PackLimitError,
    PackMissingError,
    PackUndeclaredError,
    SignatureExpiredError,
    SignatureInvalidError,
    SignatureRevokedError,
    SignatureUntrustedError,
)
from clockwork_nb.ids import JOB_ID
from clockwork_nb.jobpack.archive import Archive, check_crc
from clockwork_nb.jobpack.build import signer_line
from clockwork_nb.jobpack.contents import (
    BundleView,
    LeftOut,
    environment_document,
    evidence_entries,
    may_be_left_out,
    read_bundle,
    read_left_out,
)
from clockwork_nb.jobpack.crate import CRATE_FORMS, build_crate
from clockwork_nb.jobpack.history import History
from clockwork_nb.jobpack.layout import (
    CRATE,
    ENVIRONMENT,
    EVENTS,
    GENESIS,
    MANIFEST,
    NATIVE_EVENTS,
    NOT_INCLUDED,
    REPORT,
    SIGNER,
    STATEMENT,
    section_name,
)
from clockwork_nb.jobpack.manifest import Manifest, read_manifest
from clockwork_nb.jobpack.projection import Projector
from clockwork_nb.jobpack.report_html import build_report
from clockwork_nb.jobs.events import Event
from clockwork_nb.patterns import pattern
from clockwork_nb.signing import Envelope, PublicKey, Standing, parse_public_key

__all__ = [
    "Contents",
    "check_contents",
    "check_contract",
    "check_files",
    "check_statement",
    "distrusted",
    "entry_of",
    "manifest_of",
    "moment_of",
    "pack_named",
    "signer_key",
    "subjects_of",
]

_BATCH: Final = 512


def manifest_of(archive: Archive) -> Manifest:
    """Return the checked manifest of *archive*.

    Raises:
        ManifestInvalidError: E_MANIFEST_INVALID: there is none, or it is not as it must be.
    """
    if MANIFEST not in archive.entries:
        raise ManifestInvalidError(f"there is no {MANIFEST}", details={"path": MANIFEST})
    return read_manifest(archive.read(MANIFEST))


def entry_of(archive: Archive, name: str, most: int) -> bytes:
    """Return the bytes of the entry *name*, which must be there and have at most *most* bytes.

    Raises:
        PackMissingError: E_PACK_MISSING.
        PackLimitError: E_PACK_LIMIT; nothing was copied then.
    """
    if name not in archive.entries:
        raise PackMissingError(f"{name} is missing", details={"path": name})
    if archive.entries[name].size > most:
        raise PackLimitError(f"{name} has {archive.entries[name].size} bytes, more than {most}", details={"path": name})
    return archive.read(name)


def check_files(archive: Archive, manifest: Manifest) -> dict[str, str]:
    """Return entry → SHA-256 after comparing them with the manifest's list and with their CRC.

    Raises:
        PackUndeclaredError, PackMissingError: E_PACK_UNDECLARED, E_PACK_MISSING: the list is about other files.
        HashMismatchError: E_VERIFY_HASH_MISMATCH.
    """
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


def subjects_of(digests: Mapping[str, str]) -> dict[str, str]:
    """Return the entries a signature is about: every one but the manifest and the envelope."""
    return {name: sha256 for name, sha256 in digests.items() if name not in {MANIFEST, STATEMENT}}


def _same_digest(name: str, expected: str, found: str) -> None:
    if expected != found:
        raise HashMismatchError(
            f"{name} does not have the content that was declared",
            details={"path": name, "expected": expected, "found": found},
        )


def signer_key(archive: Archive) -> PublicKey:
    """Return the key that the pack says it is signed with.

    Raises:
        SignatureInvalidError: E_SIG_INVALID: there is none, or it is no key that anybody could trust.
    """
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


class Contents(Struct, frozen=True):
    """What was found below ``clockwork/``: the bundles by digest, and the files that were left out."""

    bundles: Mapping[str, BundleView]
    left_out: tuple[LeftOut, ...]


def check_contents(archive: Archive, history: History, digests: Mapping[str, str], *, signed: bool) -> Contents:
    """Compare what is below ``clockwork/`` with what the log names and makes.

    Raises:
        PackUndeclaredError, PackMissingError: E_PACK_UNDECLARED, E_PACK_MISSING.
        EvidenceInconsistentError: E_EVIDENCE_INCONSISTENT: a file is not what the log says.
    """
    by_digest = {sha256: name for name, sha256 in digests.items() if name.startswith("clockwork/")}
    bundles: dict[str, BundleView] = {}
    for section in history.sections.values():
        for sha256 in section.bundles:
            where = section_name(section.number, "bundle")
            if sha256 not in by_digest:
                raise PackMissingError(f"{where} ({sha256[:8]}) is missing", details={"path": where})
            bundles[sha256] = read_bundle(archive.read(by_digest[sha256]), where)
    expected = evidence_entries(history, bundles)
    left_out: Sequence[LeftOut] = ()
    if NOT_INCLUDED in archive.entries:
        left_out = read_left_out(archive.read(NOT_INCLUDED), expected, may_be_left_out(history, bundles))
        expected = {name: sha256 for name, sha256 in expected.items() if name not in {item.name for item in left_out}}
        expected[NOT_INCLUDED] = digests[NOT_INCLUDED]
    expected |= {name: digests[name] for name in (GENESIS, NATIVE_EVENTS)}
    expected[REPORT] = sha256_hex(build_report(history))
    environment = environment_document(history)
    if environment is not None:
        expected[ENVIRONMENT] = sha256_hex(environment)
    expected[CRATE] = _crate_digest(history, expected, digests.get(CRATE, ""))
    if signed:
        expected |= {name: digests[name] for name in (SIGNER, STATEMENT)}
    _same_files(expected, {name: sha256 for name, sha256 in digests.items() if name.startswith("clockwork/")})
    return Contents(bundles, tuple(left_out))


def _crate_digest(history: History, names: Iterable[str], found: str) -> str:
    """Return the digest that the crate must have: *found* when a form of it that was ever written has it."""
    digests = (sha256_hex(build_crate(history, names, form=form)) for form in CRATE_FORMS)
    current = next(digests)
    return current if found in {"", current} or found not in digests else found


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


def check_contract(
    header: Mapping[str, Any],
    events: Sequence[Event],
    manifest: Manifest,
    digests: Mapping[str, str],
    left_out: Sequence[LeftOut] = (),
) -> None:
    """Compare every contract file, the manifest included, with what the events say.

    Raises:
        PackUndeclaredError, PackMissingError, EvidenceInconsistentError: as `check_contents`.
        ManifestInvalidError: E_MANIFEST_INVALID.
    """
    projector = Projector(header)
    lines = hashlib.sha256()
    for at in range(0, len(events), _BATCH):  # hashed as it is made: the projected log is never held as a whole
        lines.update(b"".join([projector.add(event) for event in events[at : at + _BATCH]]))
    expected = {EVENTS: lines.hexdigest()}
    expected |= {
        name: sha256_hex(data) for name, data in projector.small_files(item.sha256 for item in left_out).items()
    }
    outside = {n: sha256 for n, sha256 in digests.items() if not n.startswith("clockwork/") and n != MANIFEST}
    _same_files(expected, outside)
    # The list of files and the hash are checked already, and the form leaves no other freedom than these four fields.
    stated = (manifest.job_id, manifest.created_at, manifest.producer_version, manifest.schema_version)
    if stated != (header["job_id"], projector.created_at, projector.producer_version, "v1"):
        raise ManifestInvalidError(f"{MANIFEST} is not what the events say", details={"path": MANIFEST})


def check_statement(envelope: Envelope, expected: bytes) -> None:
    """Compare what is signed with the one statement this pack can have.

    Raises:
        EvidenceInconsistentError: E_EVIDENCE_INCONSISTENT.
    """
    if envelope.payload != expected:
        raise EvidenceInconsistentError(
            "the signed statement says something else than the log", details={"path": STATEMENT}
        )


_PACK_NAME: Final = pattern(r"jobpack_(.+)\.zip\Z")
_VARIANT: Final = pattern(r"\.(?:at(?P<at>[0-9]+)|[0-9a-f]{12})\Z")


def pack_named(file_name: str, job_id: str, count: int | None) -> str:
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


def distrusted(fingerprint: str, standing: Standing) -> PackError:
    """Return why the signature of the key with *fingerprint*, of which *standing* is known, does not count."""
    who = f"{fingerprint}{f' ({standing.name})' if standing.name else ''}"
    match standing.status:
        case "revoked":
            return SignatureRevokedError(
                f"signed by {who}, a key that was revoked here", hint="Ask for a pack signed with another key."
            )
        case "expired":
            return SignatureExpiredError(f"signed by {who}, a key that counts until {standing.limit} only")
        case "not yet valid":
            return SignatureExpiredError(f"signed by {who}, a key that counts from {standing.limit} on only")
        case _:
            return SignatureUntrustedError(f"signed by {who}, a key that is not trusted here")


_STAMP: Final = pattern(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?Z\Z")


def moment_of(manifest: Manifest) -> datetime:
    """Return the time of the last event, as the manifest has it; `check_contract` holds the manifest to the log.

    Raises:
        ManifestInvalidError: E_MANIFEST_INVALID: it is no time in UTC.
    """
    try:
        if _STAMP.match(manifest.created_at):
            return datetime.fromisoformat(manifest.created_at)
    except ValueError:
        pass
    raise ManifestInvalidError(f"{MANIFEST} has no date", details={"path": MANIFEST})
