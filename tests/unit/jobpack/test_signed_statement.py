"""The statement: readable by other tools, about every file, and without a free field."""

from __future__ import annotations

import base64
from typing import Any

from clockwork_nb.canonical import parse_json, sha256_hex
from clockwork_nb.jobpack.layout import MANIFEST, STATEMENT
from clockwork_nb.signing import pae
from tests.conformance.packs import samples
from tests.conformance.packs.tamper import Files, pack, unpack


def statement(files: Files) -> dict[str, Any]:
    envelope = parse_json(files[STATEMENT])
    found: dict[str, Any] = parse_json(base64.b64decode(envelope["payload"]))
    return found


def test_every_file_but_the_manifest_and_the_envelope_is_a_subject() -> None:
    files = unpack(pack(samples.sample_job()).data)
    assert statement(files)["subject"] == [
        {"digest": {"sha256": sha256_hex(files[name])}, "name": name}
        for name in sorted(files)
        if name not in {MANIFEST, STATEMENT}
    ]


def test_the_predicate_has_only_keys_of_slsa_v1() -> None:
    document = statement(unpack(pack(samples.sample_job()).data))
    assert set(document) == {"_type", "predicate", "predicateType", "subject"}
    predicate = document["predicate"]
    assert set(predicate) == {"buildDefinition", "runDetails"}
    assert set(predicate["buildDefinition"]) == {
        "buildType", "externalParameters", "internalParameters", "resolvedDependencies",
    }  # fmt: skip
    assert set(predicate["runDetails"]) == {"builder", "byproducts", "metadata"}
    assert set(predicate["runDetails"]["builder"]) <= {"id", "version", "builderDependencies"}
    assert set(predicate["runDetails"]["metadata"]) <= {"invocationId", "startedOn", "finishedOn"}
    for descriptor in (*predicate["buildDefinition"]["resolvedDependencies"], *predicate["runDetails"]["byproducts"]):
        assert set(descriptor) <= {"name", "digest", "annotations"}


def test_numbers_are_text_and_the_manifest_is_bound() -> None:
    files = unpack(pack(samples.sample_job()).data)
    document, manifest = statement(files), parse_json(files[MANIFEST])
    stack: list[Any] = [document]
    while stack:
        item = stack.pop()
        assert isinstance(item, (dict, list, str, bool))
        stack.extend(item.values() if isinstance(item, dict) else item if isinstance(item, list) else ())
    inner = document["predicate"]["buildDefinition"]["internalParameters"]
    assert inner["manifest"] == {name: manifest[name] for name in ("created_at", "job_id", "producer_version")}


def test_an_unfinished_job_has_no_end() -> None:
    finished = statement(unpack(pack(samples.small_job()).data))
    running = statement(unpack(pack(samples.open_job()).data))
    assert "finishedOn" in finished["predicate"]["runDetails"]["metadata"]
    assert "finishedOn" not in running["predicate"]["runDetails"]["metadata"]
    assert running["predicate"]["runDetails"]["byproducts"][0]["annotations"]["final"] is False


def test_plain_cryptography_verifies_the_pack_without_us() -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_ssh_public_key

    files = unpack(pack(samples.sample_job()).data)
    envelope = parse_json(files[STATEMENT])
    key = load_ssh_public_key(files["clockwork/signer.pub"])
    assert isinstance(key, Ed25519PublicKey)
    payload = base64.b64decode(envelope["payload"])
    key.verify(base64.b64decode(envelope["signatures"][0]["sig"]), pae(envelope["payloadType"], payload))
