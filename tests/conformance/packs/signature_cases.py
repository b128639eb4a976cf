"""Signatures that are missing, foreign, malleable or about something else."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from clockwork_nb.canonical import canonical_json, parse_json
from clockwork_nb.jobpack.layout import GENESIS, NATIVE_EVENTS, SIGNER, STATEMENT
from clockwork_nb.signing import SigningKey, TrustedKey, TrustStore, pae, seal_envelope
from tests.conformance.packs import samples, tamper
from tests.conformance.packs.cases import (
    EVIDENCE,
    EXPIRED,
    MISSING,
    REQUIRED,
    REVOKED,
    SIG_BAD,
    SUBJECT,
    UNTRUSTED,
    Case,
    good,
)
from tests.conformance.packs.samples import KEY, Job
from tests.conformance.packs.tamper import remanifest, resign, without, zipped


def signatures() -> Iterator[Case]:
    files, job = good(), samples.small_job()
    envelope = parse_json(files[STATEMENT])
    payload = base64.b64decode(envelope["payload"])

    def case(label: str, data: bytes, *codes: str) -> Case:
        return Case(f"G-{label}", zipped(remanifest({**files, STATEMENT: data})), codes or (SIG_BAD,))

    def sealed(statement: bytes, key: SigningKey = KEY) -> bytes:
        return seal_envelope(statement, key)

    def stated(label: str, *codes: str, **fields: Any) -> Case:
        return case(label, sealed(canonical_json({**parse_json(payload), **fields})), *codes)

    one = envelope["signatures"][0]
    raw = base64.b64decode(one["sig"])
    order = 2**252 + 27742317777372353535851937790883648493
    large = raw[:32] + (int.from_bytes(raw[32:], "little") + order).to_bytes(32, "little")

    def enveloped(**fields: Any) -> bytes:
        return canonical_json({**envelope, **fields})

    def signed_with(sig: bytes, **fields: Any) -> bytes:
        return enveloped(signatures=[{**one, "sig": base64.b64encode(sig).decode(), **fields}])

    yield Case("G-stripped", zipped(remanifest(without(files, STATEMENT))), (REQUIRED,), (SIG_BAD,))
    yield case("empty", b"")
    yield case("not-json", b"x")
    yield case("no-signature", enveloped(signatures=[]))
    yield case("two-signatures", enveloped(signatures=[one, one]))
    yield case("second-junk", enveloped(signatures=[one, {"keyid": "0" * 64, "sig": "AAAA"}]))
    yield case("nine-signatures", enveloped(signatures=[one] * 9))
    yield case("keyid-edited", enveloped(signatures=[{**one, "keyid": "0" * 64}]))
    yield case("keyid-upper-case", enveloped(signatures=[{**one, "keyid": one["keyid"].upper()}]))
    yield case("extra-key", enveloped(evil=1))
    yield case("extra-key-in-signature", enveloped(signatures=[{**one, "cert": ""}]))
    yield case("type-case", enveloped(payloadType="application/vnd.in-toto+JSON"))
    yield case("other-type", enveloped(payloadType="application/json"))
    yield case("url-safe", enveloped(payload=base64.urlsafe_b64encode(payload + b"\xff\xfe\xfd").decode()))
    yield case("unpadded", signed_with(raw).replace(b"==", b""))
    yield case("newline", files[STATEMENT] + b"\n")
    yield case("spaced", files[STATEMENT].replace(b",", b", "))
    yield case("malleable", signed_with(large))
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    last = one["sig"][-3]  # of its six bits the lowest four say nothing
    spare = one["sig"][:-3] + alphabet[alphabet.index(last) ^ 1] + "=="
    yield case("spare-bits", enveloped(signatures=[{**one, "sig": spare}]))
    yield case("zero-signature", signed_with(bytes(64)))
    yield case("short-signature", signed_with(raw[:63]))
    yield case("large-envelope", sealed(b"x" * 6_400_000))
    yield case(
        "payload-changed", enveloped(payload=base64.b64encode(payload.replace(b"job_small", b"job_smell")).decode())
    )
    yield stated("other-statement-type", _type="https://in-toto.io/Statement/v0.1")
    yield stated("other-predicate", predicateType="https://slsa.dev/provenance/v0.2")
    yield stated("subject-missing", SUBJECT, subject=parse_json(payload)["subject"][1:])
    yield stated("subject-twice", SUBJECT, subject=[*parse_json(payload)["subject"], parse_json(payload)["subject"][0]])
    yield stated("subject-order", SUBJECT, subject=parse_json(payload)["subject"][::-1])
    yield stated("no-subjects", SUBJECT, subject=[])
    yield stated("predicate-edited", EVIDENCE, predicate={**parse_json(payload)["predicate"], "evil": 1})
    other = tamper.unpack(tamper.pack(_renamed()).data)
    yield case("of-another-pack", other[STATEMENT], SUBJECT)
    yield case("not-a-statement", sealed(b'"hello"'))
    yield case("deep-statement", sealed(b"[" * 100_000))
    low = b"ssh-ed25519 " + base64.b64encode(KEY.public.blob[:-32] + bytes(32)) + b" clockwork\n"
    for label, line in {
        "low-order-key": low, "rsa-key": b"ssh-rsa AAAA clockwork\n", "no-key": b"", "binary-key": b"\xff\xfe",
        "key-comment": f"{KEY.public.line('evil')}\n".encode(), "key-without-newline": KEY.public.line("clockwork").encode(),
        "other-key": f"{samples.OTHER_KEY.public.line('clockwork')}\n".encode(),
    }.items():  # fmt: skip
        yield Case(f"G-{label}", zipped(remanifest({**files, SIGNER: line})), (SIG_BAD,))
    yield Case("G-signer-removed", zipped(remanifest(without(files, SIGNER))), (SIG_BAD,))
    noon = datetime(2026, 11, 22, 12, tzinfo=UTC)
    for label, trusted, revoked, wanted in (
        ("expired", TrustedKey("ops", KEY.public, valid_before=noon - timedelta(days=1)), (), EXPIRED),
        ("not-yet-valid", TrustedKey("ops", KEY.public, valid_after=noon), (), EXPIRED),
        ("revoked", TrustedKey("ops", KEY.public), (KEY.public.fingerprint,), REVOKED),
        ("revoked-own", TrustedKey("default", KEY.public, own=True), (KEY.public.fingerprint,), REVOKED),
    ):
        trust = TrustStore((trusted,), revoked=frozenset(revoked))
        yield Case(f"G-{label}", zipped(files), (wanted,), ("",), {"trust": trust})
    yield Case("G-other-key-given", zipped(files), (UNTRUSTED,), ("",), {"key": samples.OTHER_KEY.public})
    yield Case("G-unknown-signer", zipped(resign(files, job, samples.OTHER_KEY)), (UNTRUSTED,), ("",))
    unsigned = remanifest(without(files, SIGNER, STATEMENT))
    yield Case("G-unsigned", zipped(unsigned), (REQUIRED,), ("",))
    for label, name in {"genesis": GENESIS, "events": NATIVE_EVENTS, "job": "job.json"}.items():
        yield Case(f"G-unsigned-without-{label}", zipped(remanifest(without(unsigned, name))), (REQUIRED,), (MISSING,))
    pae_as_payload = sealed(pae(envelope["payloadType"], payload))
    yield case("signed-pae", pae_as_payload)


def _renamed() -> Job:
    job = samples.open_job(job_id="job_other", name="small")
    samples.close_job(job)
    return job
