"""The socket between kernel and engine, in one process: what it refuses."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from clockwork_nb.errors import InvalidInputError, LeaseLostError, StoreIOError
from clockwork_nb.ports import Draft, JobWriter
from clockwork_nb.store import remote
from clockwork_nb.store.files import JobStore
from clockwork_nb.store.handle import JobHandle
from clockwork_nb.store.remote import JobServer, RemoteJob
from clockwork_nb.testing import MemoryJob


@pytest.fixture
def job(tmp_path: Path) -> Iterator[JobHandle]:
    store = JobStore(tmp_path / "home", tool_version="0.1.0", heartbeat=False)
    with store.create(name="n", adapter="notebook", lineage="", spec={}, job_id="job_a") as handle:
        yield handle


def test_both_ends_and_the_memory_are_writers_of_a_job(job: JobHandle, tmp_path: Path) -> None:
    with JobServer(job, tmp_path / "s"), RemoteJob(tmp_path / "s") as end:
        writers: list[JobWriter] = [job, end, MemoryJob("job_a")]
        for writer in writers:
            (event,) = writer.append([Draft("cell.started", {"cell": "c", "index": 0})])
            assert writer.events()[-1] == event
            assert writer.get_blob(writer.put_blob(b"x")) == b"x"
            assert [writer.get_blob(name) for name in writer.put_blobs([b"x", b"", b"y"])] == [b"x", b"", b"y"]
            assert list(writer.put_blobs([])) == []
            assert (writer.job_id, writer.epoch, writer.stop_requested()) == ("job_a", 1, "")


@pytest.mark.parametrize("stranger", ["the kernel", "the engine"])
def test_strangers_are_not_answered(
    job: JobHandle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stranger: str
) -> None:
    def same_user(_connection: socket.socket) -> bool:
        in_server = threading.current_thread() is not threading.main_thread()
        return in_server == (stranger == "the engine")

    monkeypatch.setattr(remote, "_same_user", same_user)
    with JobServer(job, tmp_path / "s"), pytest.raises(LeaseLostError):
        RemoteJob(tmp_path / "s")


def test_the_peers_user_is_asked_of_the_kernel() -> None:
    left, right = socket.socketpair()
    with left, right:
        assert remote._same_user(left)


@pytest.mark.parametrize(
    "message",
    [
        b"\xff" * 64,
        struct.pack("!II", 2**31, 0),
        struct.pack("!II", 4, 2**31),
        struct.pack("!II", 4, 0) + b"nope",
        struct.pack("!II", 2, 0) + b"[]",
        b"",
    ],
)
def test_noise_ends_that_connection_and_no_other(job: JobHandle, tmp_path: Path, message: bytes) -> None:
    with JobServer(job, tmp_path / "s"), RemoteJob(tmp_path / "s") as good:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as noisy:
            noisy.settimeout(10)
            noisy.connect(str(tmp_path / "s"))
            noisy.sendall(message)
            noisy.shutdown(socket.SHUT_WR)
            try:
                assert noisy.recv(1) == b""
            except ConnectionResetError:
                pass
        good.append([Draft("cell.started", {"cell": "c", "index": 0})])


@pytest.mark.parametrize(
    "question",
    [
        {"ask": "reboot"},
        {},
        {"ask": "append"},
        {"ask": "append", "drafts": [1]},
        {"ask": "append", "drafts": [{"type": "cell.started", "payload": []}]},
        {"ask": "events", "after": -1},
        {"ask": "events", "after": "x"},
        {"ask": "get"},
        {"ask": "put_all"},
        {"ask": "put_all", "sizes": [1]},
        {"ask": "put_all", "sizes": [1, -1]},
        {"ask": "put_all", "sizes": [False]},
    ],
)
def test_a_question_that_makes_no_sense_gets_an_error_and_the_next_an_answer(
    job: JobHandle, tmp_path: Path, question: dict[str, object]
) -> None:
    with JobServer(job, tmp_path / "s"), RemoteJob(tmp_path / "s") as end:
        with pytest.raises(InvalidInputError):
            end._ask(question)
        assert end.stop_requested() == ""


def test_many_events_travel_in_pages(job: JobHandle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "_PAGE", 7)
    job.append([Draft("cell.started", {"cell": f"c{i}", "index": i}) for i in range(50)])
    with JobServer(job, tmp_path / "s"), RemoteJob(tmp_path / "s") as end:
        assert end.events() == job.events()
        assert end.events_after(50) == job.events()[50:]


def test_many_blobs_travel_in_groups(job: JobHandle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "_TOGETHER", 3)
    monkeypatch.setattr(remote, "_TOGETHER_BYTES", 10)
    contents = [b"a", b"b", b"c", b"d", b"e" * 11, b"f" * 6, b"g" * 6, b"", b"h"]
    with JobServer(job, tmp_path / "s"), RemoteJob(tmp_path / "s") as end:
        assert [job.get_blob(name) for name in end.put_blobs(contents)] == contents
    assert [len(group) for group in remote._groups(contents)] == [3, 1, 1, 1, 3]


def test_a_path_too_long_for_a_socket_is_refused(job: JobHandle, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="too long"):
        JobServer(job, tmp_path / ("x" * 100))


def test_a_socket_that_cannot_be_made_is_an_error(job: JobHandle, tmp_path: Path) -> None:
    with pytest.raises(StoreIOError, match="cannot be made"):
        JobServer(job, tmp_path / "missing" / "s")


def test_a_poisoned_owner_is_a_lost_job(job: JobHandle, tmp_path: Path) -> None:
    with JobServer(job, tmp_path / "s"), RemoteJob(tmp_path / "s") as end:
        (job.folder / "lease.json").unlink()
        with pytest.raises(Exception, match="missing"):
            end.append([Draft("cell.started", {"cell": "c", "index": 0})])
        assert end.stop_requested() == "lost"
