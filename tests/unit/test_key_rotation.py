"""A new key takes the place of the old one, and trust follows only where it was."""

from __future__ import annotations

import base64
import json
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from clockwork_nb.canonical import canonical_json, parse_json
from clockwork_nb.errors import (
    InvalidInputError,
    SignatureInvalidError,
    SignatureRevokedError,
    SignatureUntrustedError,
    StoreIOError,
)
from clockwork_nb.signing import (
    PAYLOAD_TYPE,
    SigningKey,
    TrustStore,
    keys_folder,
    load_or_create_key,
    open_envelope,
    revoke_key,
    seal_envelope,
    trust_file,
    trust_key,
)
from clockwork_nb.signing import rotation as room
from clockwork_nb.signing.rotation import ROTATION_TYPE, accept_rotation, read_rotation, rotate_key, rotation_statement
from tests.conformance.packs import samples
from tests.conformance.packs.tamper import code, pack, verify

OLD, NEW = samples.KEY, samples.OTHER_KEY
AT = "2026-11-22T12:00:00.000000Z"
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def test_packs_of_the_old_and_of_the_new_key_verify_after_a_rotation(tmp_path: Path) -> None:
    old = load_or_create_key(tmp_path)
    before = pack(samples.small_job(), old).data
    done = rotate_key(tmp_path, NOON)
    new = load_or_create_key(tmp_path)
    assert (done.rotation.old, done.rotation.new) == (old.public, new.public)
    trust = TrustStore.load(tmp_path)
    assert verify(before, trust=trust).headline == "VERIFIED signed"
    assert verify(pack(samples.small_job(), new).data, trust=trust).headline == "VERIFIED signed"
    assert trust.standing_of(old.public, NOON).status == "trusted"
    assert trust.standing_of(old.public, NOON + timedelta(seconds=1)).status == "expired"


def test_of_the_old_key_only_the_public_half_is_left(tmp_path: Path) -> None:
    old = load_or_create_key(tmp_path)
    rotate_key(tmp_path, NOON)
    seed = old.to_pem().split(b"\n")[1]
    for path in keys_folder(tmp_path).iterdir():
        assert seed not in path.read_bytes()
    assert stat.S_IMODE((keys_folder(tmp_path) / "default.key").stat().st_mode) == 0o600
    assert sorted(p.name for p in keys_folder(tmp_path).iterdir()) == [
        "default.key", "default.pub", "former_keys", "rotation-1.dsse.json",
    ]  # fmt: skip
    second = rotate_key(tmp_path, NOON + timedelta(days=1))
    assert second.statement.name == "rotation-2.dsse.json"
    assert TrustStore.load(tmp_path).standing_of(old.public, NOON).status == "trusted"


def test_without_a_key_there_is_nothing_to_rotate(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="no key to rotate"):
        rotate_key(tmp_path, NOON)


@pytest.mark.parametrize("failing", [1, 2, 3, 4])
def test_a_rotation_that_stops_half_way_leaves_a_key_that_works(
    tmp_path: Path, failing: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = load_or_create_key(tmp_path)
    calls = 0

    def breaking(name: str) -> Any:
        real = getattr(room, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == failing:
                raise StoreIOError("the disk is gone")
            return real(*args, **kwargs)

        return call

    for name in ("create_atomic", "append_line", "write_atomic"):
        monkeypatch.setattr(room, name, breaking(name))
    with pytest.raises(StoreIOError):
        rotate_key(tmp_path, NOON)
    monkeypatch.undo()
    key = load_or_create_key(tmp_path)
    trust = TrustStore.load(tmp_path)
    assert verify(pack(samples.small_job(), key).data, trust=trust).headline == "VERIFIED signed"
    assert verify(pack(samples.small_job(), old).data, trust=trust).headline == "VERIFIED signed"
    rotate_key(tmp_path, NOON)


# --- the receiver -----------------------------------------------------------------------------------------------


def test_whoever_trusts_the_old_key_follows_to_the_new_one(tmp_path: Path) -> None:
    trust_key(tmp_path, OLD.public, "ann")
    accepted = accept_rotation(tmp_path, rotation_statement(OLD, NEW, AT))
    assert (accepted["name"], accepted["fingerprint"]) == ("ann", NEW.public.fingerprint)
    assert accepted["old_limited"]
    trust = TrustStore.load(tmp_path)
    assert trust.name_of(NEW.public) == "ann"
    assert trust.standing_of(OLD.public, NOON).status == "trusted"
    assert trust.standing_of(OLD.public, NOON + timedelta(seconds=1)).status == "expired"
    assert verify(pack(samples.small_job(), NEW).data, trust=trust).headline == "VERIFIED signed"
    assert accept_rotation(tmp_path, rotation_statement(OLD, NEW, AT))["fingerprint"] == NEW.public.fingerprint
    assert trust_file(tmp_path).read_text().count(NEW.public.line()) == 1


def test_a_line_that_a_person_wrote_is_left_as_it_is(tmp_path: Path) -> None:
    text = f'ann,bob namespaces="git,clockwork-jobpack" {OLD.public.line("laptop")}\n'
    trust_file(tmp_path).write_text(text)
    trust_file(tmp_path).chmod(0o600)
    assert not accept_rotation(tmp_path, rotation_statement(OLD, NEW, AT))["old_limited"]
    assert trust_file(tmp_path).read_text().startswith(text)


def test_a_stranger_cannot_bring_in_a_key(tmp_path: Path) -> None:
    with pytest.raises(SignatureUntrustedError, match="not trusted here"):
        accept_rotation(tmp_path, rotation_statement(OLD, NEW, AT))
    assert not trust_file(tmp_path).exists()


def test_a_revoked_key_has_no_successor_and_succeeds_nobody(tmp_path: Path) -> None:
    trust_key(tmp_path, OLD.public, "ann")
    for revoked in (OLD, NEW):
        folder = tmp_path / revoked.public.keyid
        trust_key(folder, OLD.public, "ann")
        revoke_key(folder, revoked.public.fingerprint)
        with pytest.raises(SignatureRevokedError):
            accept_rotation(folder, rotation_statement(OLD, NEW, AT))


def test_a_key_that_has_expired_vouches_for_nobody(tmp_path: Path) -> None:
    trust_key(tmp_path, OLD.public, "ann")
    accept_rotation(tmp_path, rotation_statement(OLD, NEW, AT))
    third = SigningKey.generate()
    with pytest.raises(SignatureUntrustedError):
        accept_rotation(tmp_path, rotation_statement(OLD, third, "2026-11-23T12:00:00.000000Z"))


def statement(**fields: Any) -> bytes:
    """Return a statement of the old key with *fields* replaced, signed again."""
    whole = open_envelope(rotation_statement(OLD, NEW, AT), payload_type=ROTATION_TYPE)
    return seal_envelope(canonical_json({**parse_json(whole.payload), **fields}), OLD, payload_type=ROTATION_TYPE)


def test_the_statement_says_what_it_was_made_of() -> None:
    found = read_rotation(rotation_statement(OLD, NEW, AT))
    assert (found.old, found.new, found.at) == (OLD.public, NEW.public, AT)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"x" * 70_000,
        seal_envelope(b"{}", OLD),
        seal_envelope(b"{}", OLD, payload_type=ROTATION_TYPE),
        seal_envelope(b"[1]", OLD, payload_type=ROTATION_TYPE),
        statement(schema="clockwork.key_rotation.v2"),
        statement(evil=1),
        statement(new="ssh-rsa AAAA"),
        statement(new=OLD.public.line()),
        statement(rotated_at="yesterday"),
        statement(rotated_at="2026-11-22T12:00:00"),
        statement(rotated_at=7),
        statement(accepted="%%%"),
        statement(accepted=base64.b64encode(bytes(64)).decode()),
        statement(accepted=base64.b64encode(NEW.sign(OLD.public.blob)).decode()),
    ],
    ids=lambda data: f"{len(data)}",
)
def test_what_is_almost_a_rotation_is_none(data: bytes) -> None:
    with pytest.raises(SignatureInvalidError):
        read_rotation(data)


def test_nobody_hands_their_name_to_a_key_that_is_not_theirs() -> None:
    """The new key must have agreed: the statement of another pair does not do."""
    third = SigningKey.generate()
    with pytest.raises(SignatureInvalidError, match="not agreed"):
        read_rotation(statement(new=third.public.line()))


def test_a_statement_signed_by_another_key_is_refused() -> None:
    whole = open_envelope(rotation_statement(OLD, NEW, AT), payload_type=ROTATION_TYPE)
    with pytest.raises(SignatureInvalidError, match="not signed by the old key"):
        read_rotation(seal_envelope(whole.payload, NEW, payload_type=ROTATION_TYPE))


def test_a_rotation_is_never_read_as_a_pack_signature() -> None:
    document = json.loads(rotation_statement(OLD, NEW, AT))
    with pytest.raises(SignatureInvalidError):
        open_envelope(canonical_json(document))
    document["payloadType"] = PAYLOAD_TYPE
    assert not open_envelope(canonical_json(document)).signed_by(OLD.public)
    assert code(verify(b"")) == "E_PACK_MALFORMED"
