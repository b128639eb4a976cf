"""When a trusted key counts, and that a revoked one never does."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from clockwork_nb.errors import InvalidInputError, UnsafeOperationError
from clockwork_nb.signing import (
    NAMESPACE,
    SigningKey,
    TrustedKey,
    TrustStore,
    allowed_signers_line,
    load_or_create_key,
    revocation_file,
    revoke_key,
    trust_file,
    trust_key,
)
from clockwork_nb.signing.trust import parse_date
from tests.conformance.packs import samples
from tests.conformance.packs.tamper import code, pack, verify

KEY = samples.KEY.public
OTHER = SigningKey.from_seed(bytes(range(1, 33))).public
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def store(tmp_path: Path, options: str) -> TrustStore:
    path = tmp_path / "signers"
    path.write_text(f'ops namespaces="{NAMESPACE}"{options} {KEY.line()}\n')
    return TrustStore.from_file(path)


@pytest.mark.parametrize(
    ("options", "at", "status", "limit"),
    [
        (',valid-after="20261122120000Z"', NOON, "trusted", ""),
        (',valid-after="20261122120000Z"', NOON - SECOND, "not yet valid", "20261122120000Z"),
        (',valid-before="20261122120000Z"', NOON, "trusted", ""),
        (',valid-before="20261122120000Z"', NOON + SECOND, "expired", "20261122120000Z"),
        (',valid-before="202611221200Z"', NOON + SECOND, "expired", "20261122120000Z"),
        (',VALID-BEFORE="20261122Z"', NOON, "expired", "20261122000000Z"),
        (',valid-after="20261121Z",valid-before="20261123Z"', NOON, "trusted", ""),
        ("", datetime(1970, 1, 1, tzinfo=UTC), "trusted", ""),
    ],
)
def test_both_bounds_belong_to_the_time_a_key_counts(
    tmp_path: Path, options: str, at: datetime, status: str, limit: str
) -> None:
    standing = store(tmp_path, options).standing_of(KEY, at)
    assert (standing.status, standing.limit, standing.name) == (status, limit, "ops")


def test_of_two_lines_for_one_key_the_one_that_counts_then_decides(tmp_path: Path) -> None:
    path = tmp_path / "signers"
    path.write_text(
        f'old namespaces="{NAMESPACE}",valid-before="20261122Z" {KEY.line()}\n'
        f'new namespaces="{NAMESPACE}",valid-after="20261122Z" {KEY.line()}\n'
    )
    trust = TrustStore.from_file(path)
    assert trust.standing_of(KEY, NOON).name == "new"
    assert trust.standing_of(KEY, NOON - timedelta(days=3)).name == "old"


def test_a_date_without_z_is_in_the_systems_time_zone() -> None:
    script = "from clockwork_nb.signing.trust import parse_date; print(parse_date('20261122', 'x').isoformat())"
    shown = [
        subprocess.run(
            [sys.executable, "-c", script], env={"TZ": zone}, capture_output=True, text=True, check=True
        ).stdout
        for zone in ("UTC0", "XXX-5", "XXX8")
    ]
    assert shown == [
        "2026-11-22T00:00:00+00:00\n",
        "2026-11-21T19:00:00+00:00\n",
        "2026-11-22T08:00:00+00:00\n",
    ]
    assert parse_date("20261122Z", "x") == datetime(2026, 11, 22, tzinfo=UTC)


def test_a_line_that_was_written_is_read_as_it_was_meant(tmp_path: Path) -> None:
    key = TrustedKey("ann", OTHER, valid_after=NOON, valid_before=NOON + SECOND)
    path = tmp_path / "signers"
    path.write_text(allowed_signers_line(key) + "\n")
    assert TrustStore.from_file(path).keys == (key,)


# --- packs ------------------------------------------------------------------------------------------------------


def signed_pack() -> bytes:
    return pack(samples.small_job()).data  # its last event is at 2026-11-22T00:00:0x


@pytest.mark.parametrize(
    ("options", "expected", "headline"),
    [
        ("", "", "VERIFIED signed"),
        (',valid-before="20261122000000Z"', "E_SIG_EXPIRED", "NOT VERIFIED"),
        (',valid-after="20261123Z"', "E_SIG_EXPIRED", "NOT VERIFIED"),
        (',valid-after="20261122Z",valid-before="20261123Z"', "", "VERIFIED signed"),
    ],
)
def test_a_pack_is_judged_by_the_time_of_its_last_event(
    tmp_path: Path, options: str, expected: str, headline: str
) -> None:
    report = verify(signed_pack(), trust=store(tmp_path, options))
    assert (code(report), report.headline) == (expected, headline)
    assert report.created_at.startswith("2026-11-22T00:00:0")


def test_a_revoked_key_counts_for_nothing_however_it_is_trusted(tmp_path: Path) -> None:
    trust_key(tmp_path, KEY, "ops")
    assert verify(signed_pack(), trust=TrustStore.load(tmp_path)).headline == "VERIFIED signed"
    assert revoke_key(tmp_path, KEY.fingerprint)
    assert not revoke_key(tmp_path, KEY.fingerprint)
    trust = TrustStore.load(tmp_path)
    report = verify(signed_pack(), trust=trust)
    assert (code(report), report.headline) == ("E_SIG_REVOKED", "NOT VERIFIED")
    assert report.signer is not None
    assert (report.signer.name, report.signer.standing) == ("", "revoked")
    assert code(verify(signed_pack(), trust=trust, key=KEY)) == "E_SIG_REVOKED"
    assert trust.name_of(KEY) is None
    settled = verify(signed_pack(), trust=trust, require="integrity")
    assert (settled.headline, settled.level) == ("INTACT", "integrity")
    with pytest.raises(InvalidInputError, match="revoked"):
        trust.trust(KEY, "again")


def test_the_own_key_can_be_revoked(tmp_path: Path) -> None:
    own = load_or_create_key(tmp_path).public
    assert TrustStore.load(tmp_path).standing_of(own, NOON).status == "trusted"
    revoke_key(tmp_path, own.fingerprint)
    assert TrustStore.load(tmp_path).standing_of(own, NOON).status == "revoked"


def test_the_revocation_list_takes_fingerprints_keys_and_comments(tmp_path: Path) -> None:
    revocation_file(tmp_path).write_text(f"# stolen laptop\n\n{KEY.fingerprint}   # ann\n{OTHER.line('bob@host')}\n")
    assert TrustStore.load(tmp_path).revoked == {KEY.fingerprint, OTHER.fingerprint}


@pytest.mark.parametrize("line", ["SHA256:short", "hello", "ssh-rsa AAAA", "SHA256:" + "a" * 43 + " trailing"])
def test_a_revocation_that_cannot_be_read_stops_everything(tmp_path: Path, line: str) -> None:
    revocation_file(tmp_path).write_text(f"# first\n{line}\n")
    with pytest.raises(InvalidInputError, match="revoked_keys, line 2"):
        TrustStore.load(tmp_path)


def test_a_revocation_list_others_can_write_is_refused(tmp_path: Path) -> None:
    revoke_key(tmp_path, KEY.fingerprint)
    revocation_file(tmp_path).chmod(0o666)
    with pytest.raises(UnsafeOperationError, match="others may write"):
        TrustStore.load(tmp_path)
    assert not trust_file(tmp_path).exists()


def test_only_a_fingerprint_is_revoked(tmp_path: Path) -> None:
    for text in ("", "SHA256:", KEY.fingerprint + "=", KEY.fingerprint + "\n" + OTHER.fingerprint):
        with pytest.raises(InvalidInputError, match="not a key's fingerprint"):
            revoke_key(tmp_path, text)
    assert not revocation_file(tmp_path).exists()
