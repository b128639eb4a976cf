"""A job in memory: a `clockwork_nb.ports.JobWriter` with real records and real rules, and no disk."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from clockwork_nb.canonical import canonical_json
from clockwork_nb.clock import Clock, rfc3339
from clockwork_nb.errors import InvalidTransitionError, StoreCorruptError
from clockwork_nb.jobs.commands import completed
from clockwork_nb.jobs.events import Event, encode_record, genesis_document
from clockwork_nb.jobs.state import FoldError, JobState, evolve, initial_state, replay
from clockwork_nb.ports import Draft
from clockwork_nb.testing.clock import ManualClock

__all__ = ["MemoryJob"]


class MemoryJob:
    """A job that exists only here; every event passes the same checks as in the real store. ``lines`` are its records."""

    def __init__(
        self,
        job_id: str = "job_memory",
        *,
        name: str = "memory",
        adapter: str = "pipeline",
        lineage: str = "",
        spec: Mapping[str, Any] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.job_id = job_id
        self.epoch = 1
        self._clock = clock or ManualClock()
        self.genesis = genesis_document(
            job_id=job_id,
            name=name,
            adapter=adapter,
            lineage=lineage,
            created_at=rfc3339(self._clock.now()),
            producer_version="clockwork_nb 0.1.0",
        )
        self.lines: list[bytes] = []
        self.blobs: dict[str, bytes] = {}
        self._state = initial_state(self.genesis)
        self._events: list[Event] = []
        self._lock = threading.Lock()
        text = canonical_json(dict(spec or {})).decode()
        self.append(
            [
                Draft("job.created", {"name": name, "adapter": adapter, "objective": "", "spec": text}),
                Draft(
                    "lease.taken",
                    {
                        "runner_id": "runner",
                        "host_id": "host",
                        "ttl_ms": 30_000,
                        "tool_version": "clockwork_nb 0.1.0",
                        "takeover": False,
                    },
                ),
            ]
        )

    @property
    def raw(self) -> bytes:
        """The whole log."""
        return b"".join(self.lines)

    @property
    def state(self) -> JobState:
        """What the events add up to; a copy of your own."""
        with self._lock:
            return self._state.copy()

    def append(self, drafts: Sequence[Draft]) -> list[Event]:
        """Add *drafts* as one unit and return them as written.

        Raises:
            InvalidInputError, InvalidTransitionError: nothing was added.
        """
        with self._lock:
            written: list[tuple[Event, bytes]] = []
            asked = 0
            try:
                for draft in drafts:
                    event, line = encode_record(
                        seq=self._state.seq + 1,
                        created_at=rfc3339(self._clock.now()),
                        event_type=draft.type,
                        payload=completed(draft, self._state, asked),
                        epoch=self.epoch,
                        prev=self._state.hash,
                        job_id=self.job_id,
                    )
                    self._state = evolve(self._state, event)
                    asked = event.seq if draft.type == "checkpoint" else asked
                    written.append((event, line))
            except FoldError as error:
                self._state = replay(self.genesis, self._events)
                raise InvalidTransitionError(error.message, details=error.details) from error
            except BaseException:
                self._state = replay(self.genesis, self._events)
                raise
            self._events += [event for event, _ in written]
            self.lines += [line for _, line in written]
            return [event for event, _ in written]

    def put_blob(self, data: bytes) -> str:
        """Keep *data* and return its SHA-256."""
        digest = sha256(data).hexdigest()
        self.blobs[digest] = data
        return digest

    def put_blobs(self, contents: Sequence[bytes]) -> list[str]:
        """Keep each of *contents* and return the digests in order."""
        return [self.put_blob(data) for data in contents]

    def get_blob(self, sha256: str) -> bytes:
        """Return the bytes named *sha256*.

        Raises:
            StoreCorruptError: E_STORE_CORRUPT: there are none.
        """
        if sha256 not in self.blobs:
            raise StoreCorruptError(f"the blob {sha256} is missing")
        return self.blobs[sha256]

    def events(self) -> list[Event]:
        """Return every event so far."""
        with self._lock:
            return list(self._events)

    def limits(self) -> dict[str, str]:
        """Return budget dimension → limit."""
        with self._lock:
            return dict(self._state.limits)

    def stop_requested(self) -> str:
        """Return what a ``control.requested`` asked for, else ``""``."""
        return self._state.stop
