"""Keys that an ssh-agent keeps: the client side of its protocol, as far as signing needs it (draft-ietf-sshm-ssh-agent).

An agent signs the bytes it is given; for a plain ``ssh-ed25519`` key the result is the RFC 8032 signature over exactly
these bytes, so it is the same as that of the key in a file. Nothing here is reached when a pack is verified.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from clockwork_nb.errors import InvalidInputError, SignatureInvalidError
from clockwork_nb.signing.keys import SSH_TYPE, PublicKey

__all__ = ["MAX_MESSAGE", "AgentKey", "agent_key", "agent_keys"]

MAX_MESSAGE: Final = 256 * 1024
"""Bytes of one message: OpenSSH's agent closes the connection on a longer one."""

_REQUEST_IDENTITIES: Final = 11
_IDENTITIES: Final = 12
_SIGN_REQUEST: Final = 13
_SIGNED: Final = 14
_SECONDS: Final = 60.0  # a person may have to touch or confirm something


class AgentKey(Struct, frozen=True):
    """One Ed25519 key of the agent behind *path*; ``comment`` is what the agent calls it."""

    public: PublicKey
    comment: str
    path: str

    def sign(self, data: bytes) -> bytes:
        """Return the agent's signature over *data*, checked.

        Raises:
            InvalidInputError: E_INVALID_INPUT_SCHEMA: the agent cannot be reached, refuses, or *data* is too long for it.
            SignatureInvalidError: E_SIG_INVALID: what it answers is not a signature of this key.
        """
        request = bytes([_SIGN_REQUEST]) + _text(self.public.blob) + _text(data) + bytes(4)
        if len(request) > MAX_MESSAGE:
            raise InvalidInputError(
                f"an ssh-agent signs at most {MAX_MESSAGE:,} bytes, and these are {len(request):,}",
                hint="Sign with the key file instead: --key FILE",
            )
        reader = _Reader(_ask(self.path, request, _SIGNED))
        answer = _Reader(reader.text())
        kind, signature = answer.text(), answer.text()
        if kind != SSH_TYPE or not self.public.verifies(signature, data):
            raise SignatureInvalidError("what the ssh-agent returned is not a signature of that key")
        return signature


def agent_keys(path: str) -> list[AgentKey]:
    """Return the plain Ed25519 keys of the agent behind the socket *path*, in its order; others cannot sign here.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA: no agent answers there.
    """
    reader = _Reader(_ask(path, bytes([_REQUEST_IDENTITIES]), _IDENTITIES))
    found = []
    for _ in range(reader.number()):
        blob, comment = reader.text(), reader.text()
        if len(blob) == len(SSH_TYPE) + 4 + 36 and blob[4 : 4 + len(SSH_TYPE)] == SSH_TYPE:
            found.append(AgentKey(PublicKey(blob[-32:]), comment.decode("utf-8", "replace"), path))
    return found


def agent_key(env: Mapping[str, str], fingerprint: str = "") -> AgentKey:
    """Return the agent's key with *fingerprint*; without one, the only Ed25519 key there is.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA: no agent, no such key, or several and none was named.
    """
    path = env.get("SSH_AUTH_SOCK", "")
    if not path:
        raise InvalidInputError("no ssh-agent is running here: SSH_AUTH_SOCK is not set", hint="eval $(ssh-agent)")
    keys = agent_keys(path)
    chosen = [key for key in keys if fingerprint in {"", key.public.fingerprint}]
    if len(chosen) == 1:
        return chosen[0]
    listed = "\n".join(f"{key.public.fingerprint}  {key.comment[:60]!r}" for key in keys)
    if not keys:
        raise InvalidInputError("the ssh-agent has no Ed25519 key", hint="ssh-add ~/.ssh/id_ed25519")
    if fingerprint:
        raise InvalidInputError(f"the ssh-agent has no key {fingerprint[:80]}", hint=f"It has:\n{listed}")
    raise InvalidInputError("the ssh-agent has several keys", hint=f"Name one: --ssh-agent SHA256:…\n{listed}")


def _ask(path: str, request: bytes, expected: int) -> bytes:
    """Return the body of the agent's answer to *request*, which must be of the type *expected*."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_SECONDS)
            connection.connect(path)
            connection.sendall(_text(request))
            size = int.from_bytes(_receive(connection, 4), "big")
            if not 1 <= size <= MAX_MESSAGE:
                raise InvalidInputError(f"the ssh-agent answers with {size} bytes, which is no answer")
            answer = _receive(connection, size)
    except OSError as error:
        reason = error.strerror or str(error) or type(error).__name__
        raise InvalidInputError(f"the ssh-agent at {path} does not answer: {reason}") from error
    if answer[0] != expected:
        raise InvalidInputError(
            "the ssh-agent refused", hint="Is it locked (ssh-add -X), or was the use not confirmed?"
        )
    return answer[1:]


def _receive(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            raise OSError("it closed the connection")
        data += part
    return data


def _text(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


class _Reader:
    """Takes the fields of a message (RFC 4251 §5) one after the other."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def number(self) -> int:
        return int.from_bytes(self._take(4), "big")

    def text(self) -> bytes:
        return self._take(self.number())

    def _take(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._data):
            raise InvalidInputError("the ssh-agent's answer is cut off")
        taken, self._at = self._data[self._at : end], end
        return taken
