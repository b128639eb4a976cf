"""Packs signed with OpenSSH key files and with a real ssh-agent."""

from __future__ import annotations

import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from clockwork_nb.errors import InvalidInputError, SignatureInvalidError, UnsafeOperationError
from clockwork_nb.signing import PublicKey, read_public_key, read_signing_key
from clockwork_nb.signing.agent import MAX_MESSAGE, AgentKey, agent_key, agent_keys
from clockwork_nb.testing.project import Project
from tests.conformance.packs import samples
from tests.conformance.packs.tamper import pack, verify

pytestmark = pytest.mark.skipif(
    any(shutil.which(name) is None for name in ("ssh-keygen", "ssh-agent", "ssh-add")), reason="needs OpenSSH"
)


def make_key(path: Path, *, passphrase: str = "", kind: str = "ed25519") -> PublicKey | None:
    path.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", path.name, "-f", path], check=True)
    return read_public_key(path.with_suffix(".pub").read_bytes()) if kind == "ed25519" else None


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[str]:
    """The socket of an ssh-agent of this test."""
    path = tmp_path / "agent.sock"
    shown = subprocess.run(["ssh-agent", "-s", "-a", path], check=True, capture_output=True, text=True).stdout
    pid = re.search(r"SSH_AGENT_PID=([0-9]+)", shown)
    assert pid is not None
    yield str(path)
    os.kill(int(pid[1]), signal.SIGTERM)


def add(agent: str, path: Path) -> None:
    subprocess.run(["ssh-add", "-q", path], check=True, env={**os.environ, "SSH_AUTH_SOCK": agent}, capture_output=True)


# --- key files --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("passphrase", ["", "correct horse"])
def test_an_openssh_key_file_signs_packs(tmp_path: Path, passphrase: str) -> None:
    public = make_key(tmp_path / "id", passphrase=passphrase)
    key = read_signing_key(tmp_path / "id", passphrase=passphrase.encode)
    assert key.public == public
    assert verify(pack(samples.small_job(), key).data, key=public).headline == "VERIFIED signed"


def test_a_pkcs8_file_with_a_passphrase_signs(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "genpkey", "-algorithm", "ed25519", "-aes256", "-pass", "pass:secret", "-out", path],
        check=True, capture_output=True,
    )  # fmt: skip
    path.chmod(0o600)
    assert read_signing_key(path, passphrase=lambda: b"secret").sign(b"x")
    with pytest.raises(InvalidInputError, match="does not open"):
        read_signing_key(path, passphrase=lambda: b"wrong")


def test_a_passphrase_that_is_missing_or_wrong_is_told(tmp_path: Path) -> None:
    make_key(tmp_path / "id", passphrase="correct horse")
    with pytest.raises(InvalidInputError, match="nobody to ask"):
        read_signing_key(tmp_path / "id")
    with pytest.raises(InvalidInputError, match="does not open"):
        read_signing_key(tmp_path / "id", passphrase=lambda: b"wrong")


def test_a_plain_key_asks_nobody(tmp_path: Path) -> None:
    make_key(tmp_path / "id")
    read_signing_key(tmp_path / "id", passphrase=lambda: pytest.fail("asked"))


def test_keys_of_another_type_and_keys_others_can_read_are_refused(tmp_path: Path) -> None:
    make_key(tmp_path / "ecdsa", kind="ecdsa")
    with pytest.raises(InvalidInputError, match="not an Ed25519 key"):
        read_signing_key(tmp_path / "ecdsa")
    make_key(tmp_path / "id")
    (tmp_path / "id").chmod(0o644)
    with pytest.raises(UnsafeOperationError, match="not private"):
        read_signing_key(tmp_path / "id")


# --- the agent --------------------------------------------------------------------------------------------------


def test_the_agents_signature_is_that_of_the_key_itself(agent: str, tmp_path: Path) -> None:
    public = make_key(tmp_path / "one")
    make_key(tmp_path / "rsa", kind="rsa")
    add(agent, tmp_path / "one")
    add(agent, tmp_path / "rsa")
    (found,) = agent_keys(agent)  # the RSA key cannot sign packs
    assert (found.public, found.comment) == (public, "one")
    assert found.sign(b"some bytes") == read_signing_key(tmp_path / "one").sign(b"some bytes")
    made = pack(samples.small_job(), found)
    assert made.data == pack(samples.small_job(), read_signing_key(tmp_path / "one")).data


def test_of_several_keys_one_must_be_named(agent: str, tmp_path: Path) -> None:
    env = {"SSH_AUTH_SOCK": agent}
    with pytest.raises(InvalidInputError, match="no Ed25519 key"):
        agent_key(env)
    one, two = (make_key(tmp_path / name) for name in ("one", "two"))
    assert one is not None
    assert two is not None
    add(agent, tmp_path / "one")
    assert agent_key(env).public == one
    add(agent, tmp_path / "two")
    with pytest.raises(InvalidInputError, match="several keys") as told:
        agent_key(env)
    assert one.fingerprint in told.value.hint
    assert two.fingerprint in told.value.hint
    assert agent_key(env, two.fingerprint).public == two
    with pytest.raises(InvalidInputError, match="no key SHA256:nothing"):
        agent_key(env, "SHA256:nothing")


def test_no_agent_or_a_locked_one_is_told(agent: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="SSH_AUTH_SOCK is not set"):
        agent_key({})
    with pytest.raises(InvalidInputError, match="does not answer"):
        agent_key({"SSH_AUTH_SOCK": str(tmp_path / "nothing")})
    public = make_key(tmp_path / "one")
    add(agent, tmp_path / "one")
    assert public is not None
    key = agent_key({"SSH_AUTH_SOCK": agent})
    subprocess.run(["ssh-add", "-q", "-D"], check=True, env={**os.environ, "SSH_AUTH_SOCK": agent}, capture_output=True)
    with pytest.raises(InvalidInputError, match="refused"):
        key.sign(b"x")


@pytest.mark.parametrize("over", [0, 1])
def test_more_than_an_agent_takes_is_refused_before_it_is_sent(agent: str, tmp_path: Path, over: int) -> None:
    make_key(tmp_path / "one")
    add(agent, tmp_path / "one")
    key = agent_key({"SSH_AUTH_SOCK": agent})
    room = MAX_MESSAGE - 1 - 4 - len(key.public.blob) - 4 - 4
    if over:
        with pytest.raises(InvalidInputError, match="at most"):
            key.sign(bytes(room + 1))
    else:
        assert key.public.verifies(key.sign(bytes(room)), bytes(room))


def answering(path: Path, answer: Callable[[bytes], bytes]) -> threading.Thread:
    """Serve one request on the socket *path* with what *answer* makes of it."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen(1)

    def serve() -> None:
        with listener, listener.accept()[0] as connection:
            connection.sendall(answer(connection.recv(1 << 19)))

    thread = threading.Thread(target=serve)
    thread.start()
    return thread


def framed(*parts: bytes, kind: int) -> bytes:
    body = bytes([kind]) + b"".join(parts)
    return len(body).to_bytes(4, "big") + body


def text(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", "closed the connection"),
        (b"\0\0\0\0", "0 bytes"),
        (b"\xff\xff\xff\xff", "bytes, which is no answer"),
        (b"\0\0\0\x08\x0e\0\0", "closed the connection"),
        (framed(kind=5), "refused"),
        (framed(text(b"x"), kind=12), "refused"),
        (framed(b"\0\0\0\xff", kind=14), "cut off"),
        (framed(text(text(b"ssh-ed25519") + text(bytes(64))), kind=14), "not a signature"),
        (framed(text(text(b"ssh-rsa") + text(samples.KEY.sign(b"data"))), kind=14), "not a signature"),
    ],
)
def test_an_agent_that_lies_is_not_believed(tmp_path: Path, answer: bytes, error: str) -> None:
    thread = answering(tmp_path / "sock", lambda _request: answer)
    with pytest.raises((InvalidInputError, SignatureInvalidError), match=error):
        AgentKey(samples.KEY.public, "", str(tmp_path / "sock")).sign(b"data")
    thread.join()


# --- the command ------------------------------------------------------------------------------------------------


@pytest.fixture
def job(project: Project) -> str:
    finished = samples.small_job()
    samples.write_folder(finished, project.store)
    return finished.job_id


def test_exports_name_the_key_file_the_variable_or_the_agent(project: Project, job: str, agent: str) -> None:
    one, two = (make_key(project.root / name) for name in ("one", "two"))
    assert one is not None
    assert two is not None
    path = str(project.root / "one")
    assert project.run("jobpack", "export", job, "--key", path, "--json").json["signer"] == one.fingerprint
    done = project.run("jobpack", "verify", job, expect=2)
    assert "UNKNOWN SIGNER" in done.out
    assert project.run("jobpack", "verify", job, "--key", f"{path}.pub").out.startswith("VERIFIED")
    project.run("keys", "trust", f"{path}.pub", "--fingerprint", one.fingerprint, "--name", "ann")
    assert "ann (ed25519" in project.run("jobpack", "verify", job).out
    project.env["CLOCKWORK_SIGNING_KEY_FILE"] = str(project.root / "two")
    assert project.run("jobpack", "export", job, "--json").json["signer"] == two.fingerprint
    project.env["SSH_AUTH_SOCK"] = agent
    add(agent, project.root / "one")
    assert project.run("jobpack", "export", job, "--ssh-agent", "--json").json["signer"] == one.fingerprint
    again = project.run("jobpack", "export", job, "--ssh-agent", one.fingerprint, "--json").json
    assert again["signer"] == one.fingerprint
    assert project.run("jobpack", "verify", job).out.startswith("VERIFIED")
    both = project.run("jobpack", "export", job, "--ssh-agent", "--key", path, expect=6)
    assert "two keys" in both.err
    project.env["CLOCKWORK_SIGNING_KEY_FILE"] = str(project.root / "three")
    assert "no signing key" in project.run("jobpack", "export", job, expect=6).err


def test_an_encrypted_key_is_asked_for_at_a_terminal_only(project: Project, job: str) -> None:
    public = make_key(project.root / "id", passphrase="correct horse")
    assert public is not None
    words = ("jobpack", "export", job, "--key", str(project.root / "id"))
    done = project.run(*words, expect=6)
    assert "has a passphrase" in done.err
    assert "--ssh-agent" in done.err
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(project.folder)
        command = project.command(*words)
        os.execve(command[0], command, project.environment())
    shown = b""
    while b"passphrase of the signing key" not in shown:
        shown += os.read(terminal, 4096)
    os.write(terminal, b"correct horse\n")
    try:
        while part := os.read(terminal, 4096):
            shown += part
    except OSError:  # the other side of a terminal that was closed
        pass
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, shown
    os.close(terminal)
    assert public.fingerprint.encode() in shown
    assert b"correct horse" not in shown
