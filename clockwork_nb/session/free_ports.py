"""The edge behind ``free_port("name")``: a loopback port that stays the same until it is applied, and after."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from clockwork_nb.errors import AdapterFailedError

__all__ = ["FreePorts", "is_free"]

# Below the ephemeral range of Linux, so that an outgoing connection does not take the port between plan and apply.
_FIRST, _LAST = 20_000, 32_000


def is_free(port: int) -> bool:
    """Return whether a server could listen on 127.0.0.1:*port* now."""
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


class FreePorts:
    """Answers ``free_port``.

    A name that was applied keeps its recorded port. Any other gets the first free port, probing from a hash of
    *seed* and the name, so that two plans in a row agree without anything being written.
    """

    def __init__(self, seed: str, recorded: Mapping[str, int]) -> None:
        self._seed = seed
        self._answers: dict[str, int] = {}
        self._recorded = dict(recorded)

    def __call__(self, name: str) -> int:
        """Return the port for *name*.

        Raises:
            AdapterFailedError: no port in the range is free.
        """
        known = self._answers.get(name) or self._recorded.get(name)
        if known:
            self._answers[name] = known
            return known
        size = _LAST - _FIRST
        start = int.from_bytes(hashlib.sha256(f"{self._seed}\n{name}".encode()).digest()[:4], "big") % size
        taken = set(self._answers.values()) | set(self._recorded.values())
        for offset in range(size):
            port = _FIRST + (start + offset) % size
            if port not in taken and is_free(port):
                self._answers[name] = port
                return port
        raise AdapterFailedError(f"no free port between {_FIRST} and {_LAST} on 127.0.0.1")

    @property
    def answers(self) -> Mapping[str, int]:
        """What was asked so far, by name."""
        return dict(self._answers)
