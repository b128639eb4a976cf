"""Keys, trust and the envelope: OpenSSH and OpenSSL agree with us, and weak or sloppy input is refused."""

from __future__ import annotations

import base64
import os
import pickle
import shutil
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from clockwork_nb.canonical import canonical_json, parse_json, sha256_hex
from clockwork_nb.errors import InvalidInputError, SignatureInvalidError, UnsafeOperationError
from clockwork_nb.signing import (
    MAX_ENVELOPE_BYTES,
    NAMESPACE,
    PAYLOAD_TYPE,
    PublicKey,
    SigningKey,
    TrustedKey,
    TrustStore,
    allowed_signers_line,
    keys_folder,
    load_or_create_key,
    open_envelope,
    pae,
    parse_public_key,
    read_public_key,
    seal_envelope,
    trust_file,
    trust_key,
)

KEY = SigningKey.from_seed(bytes(range(32)))
OTHER = SigningKey.from_seed(bytes(range(1, 33)))
FIELD = 2**255 - 19


def curve_low_order_ys() -> set[int]:
    """Work out the y of every point of order 1, 2, 4 and 8 from the curve's equation (RFC 8032 §5.1)."""
    d = -121665 * pow(121666, -1, FIELD) % FIELD
    # Order 4: y = 0. Order 8: the doubled point has y = 0, so y² = -x², and -x² + y² = 1 + d·x²·y² becomes
    # d·y⁴ + 2·y² - 1 = 0.
    ys = {0, 1, FIELD - 1}
    root = pow(1 + d, (FIELD + 3) // 8, FIELD)
    if root * root % FIELD != (1 + d) % FIELD:
        root = root * pow(2, (FIELD - 1) // 4, FIELD) % FIELD
    assert root * root % FIELD == (1 + d) % FIELD
    for sign in (1, -1):
        square = (-1 + sign * root) * pow(d, -1, FIELD) % FIELD
        y = pow(square, (FIELD + 3) // 8, FIELD)
        if y * y % FIELD != square:
            y = y * pow(2, (FIELD - 1) // 4, FIELD) % FIELD
        if y * y % FIELD == square:
            ys |= {y, FIELD - y}
    return ys


def test_every_low_order_point_is_refused_in_every_spelling() -> None:
    ys = curve_low_order_ys()
    assert len(ys) == 5
    spellings = ys | {y + FIELD for y in ys if y + FIELD < 2**255}
    assert len(spellings) == 7
    for y in spellings:
        for sign in (0, 1 << 255):
            with pytest.raises(InvalidInputError, match="low-order"):
                PublicKey((y | sign).to_bytes(32, "little"))


def test_rfc_8032_vector_and_refused_signatures() -> None:
    seed = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    key = SigningKey.from_seed(seed)
    assert key.public.raw.hex() == "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    signature = key.sign(b"")
    assert signature.hex().startswith("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155")
    assert key.public.verifies(signature, b"")
    assert not key.public.verifies(signature, b"x")
    assert not key.public.verifies(signature[:63], b"")
    order = 2**252 + 27742317777372353535851937790883648493
    larger = signature[:32] + (int.from_bytes(signature[32:], "little") + order).to_bytes(32, "little")
    assert not key.public.verifies(larger, b"")


def test_keyid_is_the_in_toto_one() -> None:
    text = b'{"keytype":"ed25519","keyval":{"public":"%b"},"scheme":"ed25519"}' % KEY.public.raw.hex().encode()
    assert KEY.public.keyid == sha256_hex(text)


def test_the_first_use_makes_a_private_key_and_the_next_reads_it(tmp_path: Path) -> None:
    config = tmp_path / "config" / "clockwork"
    key = load_or_create_key(config)
    path = keys_folder(config) / "default.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert path.read_bytes().startswith(b"-----BEGIN PRIVATE KEY-----")
    assert sorted(p.name for p in path.parent.iterdir()) == ["default.key", "default.pub"]
    assert read_public_key((keys_folder(config) / "default.pub").read_bytes()) == key.public
    assert load_or_create_key(config).public == key.public
    assert load_or_create_key(config, "other").public != key.public


def test_of_many_that_make_the_key_at_once_all_get_the_same_one(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        keys = list(pool.map(lambda _: load_or_create_key(tmp_path).public, range(8)))
    assert len(set(keys)) == 1
    assert sorted(p.suffix for p in keys_folder(tmp_path).iterdir()) == [".key", ".pub"]


def test_a_key_others_can_read_is_refused(tmp_path: Path) -> None:
    load_or_create_key(tmp_path)
    (keys_folder(tmp_path) / "default.key").chmod(0o640)
    with pytest.raises(UnsafeOperationError, match="not private"):
        load_or_create_key(tmp_path)


@pytest.mark.parametrize("name", ["", "../evil", "a/b", ".hidden", "a" * 65, "a\n"])
def test_key_names_that_are_no_file_names_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidInputError):
        load_or_create_key(tmp_path, name)


def test_a_signing_key_shows_and_pickles_nothing() -> None:
    assert KEY.public.fingerprint in repr(KEY)
    assert bytes(range(32)).hex() not in repr(KEY)
    with pytest.raises(TypeError):
        pickle.dumps(KEY)


@pytest.mark.parametrize("data", [b"", b"hello", b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n"])
def test_what_is_no_private_key_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidInputError, match="not a readable private key"):
        SigningKey.from_pem(data)


def test_a_private_key_of_another_kind_is_refused() -> None:
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    pem = generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(InvalidInputError, match="not an Ed25519 key"):
        SigningKey.from_pem(pem)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "ssh-ed25519",
        "ssh-ed25519 %%%",
        "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQ==",
        "ssh-ed25519 " + base64.b64encode(b"\0\0\0\x07ssh-rsa" + bytes(36)).decode(),
        "ssh-ed25519 " + base64.b64encode(KEY.public.blob + b"x").decode(),
        "ssh-ed25519 " + base64.b64encode(KEY.public.blob[:-1]).decode(),
    ],
)
def test_broken_public_key_lines_are_refused(line: str) -> None:
    with pytest.raises(InvalidInputError):
        parse_public_key(line)


def test_a_key_of_another_type_or_length_is_named_as_what_it_is() -> None:
    with pytest.raises(InvalidInputError, match="'ssh-rsa' cannot sign"):
        parse_public_key("ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQ==")
    with pytest.raises(InvalidInputError, match="32 bytes"):
        PublicKey(KEY.public.raw + b"x")


def test_a_public_key_file_has_one_key() -> None:
    line = KEY.public.line("me").encode()
    assert read_public_key(b"\n" + line + b"\n\n") == KEY.public
    for data in (b"", line + b"\n" + line, b"\xff\xfe"):
        with pytest.raises(InvalidInputError):
            read_public_key(data)


# --- trust ------------------------------------------------------------------------------------------------------


def test_trusting_writes_one_allowed_signers_line_and_reading_gives_it_back(tmp_path: Path) -> None:
    store = trust_key(tmp_path, KEY.public, "ops@laptop")
    assert store.name_of(KEY.public) == "ops@laptop"
    assert trust_file(tmp_path).read_text() == f'ops@laptop namespaces="{NAMESPACE}" {KEY.public.line()}\n'
    assert TrustStore.load(tmp_path).name_of(KEY.public) == "ops@laptop"
    assert TrustStore.load(tmp_path).name_of(OTHER.public) is None
    trust_key(tmp_path, KEY.public, "ops@laptop")
    assert trust_file(tmp_path).read_text().count("\n") == 1


def test_a_second_key_under_one_name_needs_a_word(tmp_path: Path) -> None:
    trust_key(tmp_path, KEY.public, "ops")
    with pytest.raises(InvalidInputError, match="another key already"):
        trust_key(tmp_path, OTHER.public, "ops")
    trust_key(tmp_path, OTHER.public, "ops", add=True)
    assert [t.name for t in TrustStore.load(tmp_path).keys] == ["ops", "ops"]


def test_own_keys_count_as_trusted_and_a_foreign_file_there_does_not(tmp_path: Path) -> None:
    key = load_or_create_key(tmp_path)
    (keys_folder(tmp_path) / "friend.pub").write_text(OTHER.public.line("friend"))
    store = TrustStore.load(tmp_path)
    assert store.name_of(key.public) == "default"
    assert store.name_of(OTHER.public) is None
    assert store.keys[0].own


def test_lines_for_other_uses_are_skipped(tmp_path: Path) -> None:
    path = tmp_path / "signers"
    path.write_text(
        "# my team\n\n"
        f'git@example namespaces="git" {KEY.public.line()}\n'
        f"anybody {KEY.public.line()}\n"
        f'ann,bob namespaces="git,{NAMESPACE}" {OTHER.public.line("laptop")}\n'
    )
    store = TrustStore.from_file(path)
    assert store.keys == (TrustedKey("ann", OTHER.public), TrustedKey("bob", OTHER.public))


@pytest.mark.parametrize(
    "line",
    [
        "ops",
        f'ops cert-authority,namespaces="{NAMESPACE}" KEY',
        f'ops namespaces="{NAMESPACE}",verify-required KEY',
        f'ops namespaces="{NAMESPACE}",source-address="10.0.0.0/8" KEY',
        f'ops namespaces="{NAMESPACE}",namespaces="git" KEY',
        f'ops namespaces="git",valid-before="{NAMESPACE}" KEY',
        f'ops namespaces="{NAMESPACE}",valid-before KEY',
        f'ops namespaces="{NAMESPACE}",valid-before="soon" KEY',
        f'ops namespaces="{NAMESPACE}",valid-before="20270230" KEY',
        f'ops namespaces="{NAMESPACE}",valid-before="2027013" KEY',
        f'ops namespaces="{NAMESPACE}",valid-after="20270101",valid-before="20260101" KEY',
        f'ops namespaces="{NAMESPACE}" ssh-rsa AAAA',
        f'* namespaces="{NAMESPACE}" KEY',
        f'!ops namespaces="{NAMESPACE}" KEY',
        f'ops namespaces="{NAMESPACE}" ssh-ed25519 ' + base64.b64encode(KEY.public.blob[:-32] + bytes(32)).decode(),
    ],
)
def test_lines_that_cannot_be_followed_to_the_letter_stop_everything(tmp_path: Path, line: str) -> None:
    path = tmp_path / "signers"
    path.write_text("# first\n" + line.replace("KEY", OTHER.public.line()) + "\n")
    with pytest.raises(InvalidInputError, match="line 2"):
        TrustStore.from_file(path)


def test_a_trust_file_others_can_write_is_refused(tmp_path: Path) -> None:
    trust_key(tmp_path, KEY.public, "ops")
    trust_file(tmp_path).chmod(0o666)
    with pytest.raises(UnsafeOperationError, match="others may write"):
        TrustStore.load(tmp_path)


@pytest.mark.parametrize("name", ["", "two words", "a,b", "star*", 'quo"te', "new\nline", "#comment"])
def test_names_that_would_break_the_trust_file_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidInputError):
        trust_key(tmp_path, KEY.public, name)
    assert not trust_file(tmp_path).exists()


# --- the envelope -----------------------------------------------------------------------------------------------


def test_an_envelope_comes_back_and_names_its_key() -> None:
    envelope = open_envelope(seal_envelope(b'{"a":1}', KEY))
    assert envelope.payload == b'{"a":1}'
    assert envelope.signed_by(KEY.public)
    assert not envelope.signed_by(OTHER.public)


def test_the_signature_holds_for_plain_cryptography() -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    document = parse_json(seal_envelope(b"payload", KEY))
    payload = base64.b64decode(document["payload"])
    signed = b"DSSEv1 28 application/vnd.in-toto+json " + str(len(payload)).encode() + b" " + payload
    assert signed == pae(PAYLOAD_TYPE, payload)
    public = Ed25519PublicKey.from_public_bytes(KEY.public.raw)
    public.verify(base64.b64decode(document["signatures"][0]["sig"]), signed)


def test_the_keyid_must_be_the_one_of_the_key_that_verifies() -> None:
    document = parse_json(seal_envelope(b"x", KEY))
    document["signatures"][0]["keyid"] = OTHER.public.keyid
    envelope = open_envelope(canonical_json(document))
    assert not envelope.signed_by(KEY.public)
    assert not envelope.signed_by(OTHER.public)


@pytest.mark.parametrize("over", [0, 1])
def test_the_size_limit_of_an_envelope(over: int) -> None:
    room = MAX_ENVELOPE_BYTES - len(seal_envelope(b"", KEY))
    payload = bytes((room // 4) * 3 + over * 3)
    data = seal_envelope(payload, KEY)
    assert (len(data) > MAX_ENVELOPE_BYTES) == bool(over)
    if over:
        with pytest.raises(SignatureInvalidError):
            open_envelope(data)
    else:
        assert open_envelope(data).payload == payload


# --- other tools ------------------------------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs ssh-keygen")
def test_ssh_keygen_prints_the_same_fingerprint_and_its_keys_sign(tmp_path: Path) -> None:
    key = load_or_create_key(tmp_path)
    public = keys_folder(tmp_path) / "default.pub"
    shown = subprocess.run(["ssh-keygen", "-lf", public], check=True, capture_output=True, text=True).stdout
    assert shown.split()[1] == key.public.fingerprint
    theirs = tmp_path / "id_ed25519"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", theirs], check=True)
    loaded = SigningKey.from_pem(theirs.read_bytes())
    assert loaded.public == read_public_key(theirs.with_suffix(".pub").read_bytes())
    assert loaded.public.verifies(loaded.sign(b"x"), b"x")


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs ssh-keygen")
def test_ssh_keygen_reads_our_trust_file(tmp_path: Path) -> None:
    theirs = tmp_path / "id_ed25519"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", theirs], check=True)
    trust_key(tmp_path, read_public_key(theirs.with_suffix(".pub").read_bytes()), "ann@laptop")
    message = tmp_path / "message"
    message.write_bytes(b"hello")
    subprocess.run(["ssh-keygen", "-q", "-Y", "sign", "-f", theirs, "-n", NAMESPACE, message], check=True)
    subprocess.run(
        ["ssh-keygen", "-Y", "verify", "-f", trust_file(tmp_path), "-I", "ann@laptop", "-n", NAMESPACE, "-s",
         f"{message}.sig"],
        input=b"hello", check=True, capture_output=True,
    )  # fmt: skip


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
def test_openssl_verifies_an_envelope_without_us(tmp_path: Path) -> None:
    document = parse_json(seal_envelope(b"payload", KEY))
    der = bytes.fromhex("302a300506032b6570032100") + KEY.public.raw
    (tmp_path / "key.der").write_bytes(der)
    (tmp_path / "signed").write_bytes(pae(PAYLOAD_TYPE, base64.b64decode(document["payload"])))
    (tmp_path / "sig").write_bytes(base64.b64decode(document["signatures"][0]["sig"]))
    done = subprocess.run(
        ["openssl", "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", tmp_path / "key.der", "-rawin", "-in",
         tmp_path / "signed", "-sigfile", tmp_path / "sig"],
        capture_output=True, check=False, text=True,
    )  # fmt: skip
    assert "Verified Successfully" in done.stdout, done.stderr


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs ssh-keygen")
def test_ssh_keygen_reads_the_line_we_export_and_openssl_the_key(tmp_path: Path) -> None:
    key = load_or_create_key(tmp_path)
    line = allowed_signers_line(TrustedKey("ann@laptop", key.public))
    (tmp_path / "line.pub").write_text(key.public.line("ann") + "\n")
    shown = subprocess.run(["ssh-keygen", "-lf", tmp_path / "line.pub"], check=True, capture_output=True, text=True)
    assert key.public.fingerprint in shown.stdout
    (tmp_path / "signers").write_text(line + "\n")
    found = subprocess.run(
        ["ssh-keygen", "-Y", "match-principals", "-I", "ann@laptop", "-f", tmp_path / "signers"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert found.stdout.strip() == "ann@laptop"
    private = keys_folder(tmp_path) / "default.key"
    text = subprocess.run(
        ["openssl", "pkey", "-in", private, "-pubout", "-outform", "DER"], check=True, capture_output=True
    )
    assert text.stdout[-32:] == key.public.raw


def test_importing_the_module_imports_no_cryptography() -> None:
    script = "import sys, clockwork_nb.signing, clockwork_nb.jobpack.verify; print('cryptography' in sys.modules)"
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    done = subprocess.run([sys.executable, "-c", script], env=env, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "False"
