"""Damaged, exchanged and forged job folders, generated: each with what must come of it.

A case says with which code and reason every way to the job ends (reading it, owning it, appending a decision), or that
all go well, and what ``store check`` has to name.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from clockwork_nb.canonical import canonical_json
from clockwork_nb.store.log import SECTOR, Watermark
from tests.conformance.store.folders import Folder, Log, folder_of, lease_of, log_of, snapshot_of

CORRUPT: Final = "E_STORE_CORRUPT"
IO: Final = "E_STORE_IO"
UNSAFE: Final = "E_UNSAFE_OPERATION"


@dataclass(frozen=True)
class Case:
    """One folder. ``code`` empty: it is accepted; that of owning it and of deciding (a control event) may differ.

    ``check`` are the severities and reasons that the check must name, among others.
    """

    name: str
    folder: Folder
    code: str = ""
    reason: str = ""
    check: frozenset[tuple[str, str]] = frozenset()
    owning: str | None = None
    deciding: str | None = None

    @property
    def owner_code(self) -> str:
        return self.code if self.owning is None else self.owning

    @property
    def control_code(self) -> str:
        return self.owner_code if self.deciding is None else self.deciding


def errors(*reasons: str) -> frozenset[tuple[str, str]]:
    return frozenset(("error", reason) for reason in reasons)


def notes(*reasons: str) -> frozenset[tuple[str, str]]:
    return frozenset(("note", reason) for reason in reasons)


def warnings(*reasons: str) -> frozenset[tuple[str, str]]:
    return frozenset(("warning", reason) for reason in reasons)


# --- every verdict, in jobs of three sizes, with and without the files beside the log -----------------------------

OTHER: Final = log_of(3, job_id="job_b", name="another")


def _clean(log: Log) -> bytes:
    return log.data


def _torn(log: Log) -> bytes:
    return log.data + log.record("cell.started", {"cell": "x", "index": 1})[1][:-30]


def _zeros(log: Log) -> bytes:
    # The file grew to the end of a sector and beyond, the bytes never came.
    return log.data + bytes(2 * SECTOR - 1) + b"\n"


def _acked_lost(log: Log) -> bytes:
    return b"".join(log.lines[:-1])


def _midfile(log: Log) -> bytes:
    return log.data + OTHER.lines[-1]


def _bad_tail(log: Log) -> bytes:
    line = log.record("cell.started", {"cell": "x", "index": 1})[1]
    return log.data + line.replace(b'"x"', b'"y"')


def _too_long(log: Log) -> bytes:
    return log.data + b"x" * (256 * 1024 + 1)


def _fork(log: Log) -> bytes:
    return log.data


def _fold(log: Log) -> bytes:
    return log.data + log.record("job.finished", {"status": "completed", "reason_codes": []})[1]


VERDICTS: Final[dict[str, tuple[Callable[[Log], bytes], str]]] = {
    "clean": (_clean, ""),
    "torn": (_torn, ""),
    "zeros": (_zeros, ""),
    "acked_lost": (_acked_lost, "acked_lost"),
    "midfile": (_midfile, "midfile"),
    "bad_tail": (_bad_tail, "bad_tail"),
    "tail_too_long": (_too_long, "tail_too_long"),
    "fork": (_fork, "fork"),
    "fold": (_fold, "fold"),
}


def matrix(tmp: Path) -> Iterator[Case]:
    """Yield every verdict x {1, 2, 1,000 records} x {snapshot, none} x {lease, none}."""
    for records in (1, 2, 1_000):
        log = log_of(records)
        for (verdict, (make, reason)), snapshot, lease in itertools.product(
            VERDICTS.items(), (True, False), (True, False)
        ):
            folder = folder_of(log, tmp, snapshot=snapshot, lease=lease)
            if verdict == "fork":
                lie = Watermark(records, "f" * 64)
                if lease:
                    folder = folder.having(lease_json=lease_of(log, tmp, mark=lie))
                if snapshot:
                    folder = folder.having(snapshot_json=snapshot_of(log, tmp, hash="f" * 64))
            folder = folder.having(events_jsonl=make(log))
            named = {
                "clean": frozenset[tuple[str, str]](), "torn": notes("torn"), "zeros": notes("torn"),
            }.get(verdict, errors(reason) if reason and (lease or snapshot or verdict not in {"acked_lost", "fork"}) else frozenset())  # fmt: skip
            if not lease:
                named |= errors("missing")
            yield Case(
                f"{verdict}-{records}{'-snapshot' if snapshot else ''}{'-lease' if lease else ''}",
                folder,
                CORRUPT if reason or not lease else "",
                reason if lease else "missing",
                named,
            )


# --- the log, line by line -------------------------------------------------------------------------------------------


def _rewritten(log: Log, index: int, **changes: Any) -> bytes:
    """Return the log with one record changed and its own hash made to fit again."""
    record = json.loads(log.lines[index])
    record.update(changes)
    record.pop("hash")
    record["hash"] = sha256(b"clockwork.event.v1\n" + canonical_json(record)).hexdigest()
    return b"".join([*log.lines[:index], canonical_json(record) + b"\n", *log.lines[index + 1 :]])


def _last_bytes_first(line: bytes) -> bytes:
    return line[::-1]


def lines(tmp: Path) -> Iterator[Case]:
    """Yield what people, editors and copy programs do to a log."""
    log = log_of(6)
    whole = folder_of(log, tmp)
    parts = log.lines
    other = log_of(6, name="another history")

    def case(name: str, data: bytes, reason: str = "midfile") -> Case:
        return Case(f"line-{name}", whole.having(events_jsonl=data), CORRUPT, reason, errors(reason))

    yield case("first-deleted", b"".join(parts[1:]))
    yield case("middle-deleted", b"".join(parts[:2] + parts[3:]))
    yield case("last-deleted", b"".join(parts[:-1]), "acked_lost")
    yield case("all-deleted", b"", "acked_lost")
    yield case("duplicated", b"".join([*parts[:3], parts[2], *parts[3:]]))
    yield case("last-duplicated", b"".join([*parts, parts[-1]]))
    yield case("swapped", b"".join([*parts[:2], parts[3], parts[2], *parts[4:]]))
    yield case("reversed", b"".join(parts[::-1]))
    by_their_ends: list[bytes] = sorted(parts, key=_last_bytes_first)
    yield case("sorted", b"".join(by_their_ends))
    yield case("of-another-job-inserted", b"".join([*parts[:3], OTHER.lines[2], *parts[3:]]))
    yield case("of-another-history-inserted", b"".join([*parts[:3], other.lines[3], *parts[4:]]))
    yield case("whole-log-of-another-job", OTHER.data)
    yield case("blank-line", b"".join([*parts[:3], b"\n", *parts[3:]]))
    yield case("blank-line-at-the-end", log.data + b"\n", "bad_tail")
    yield case("windows-line-ends", log.data.replace(b"\n", b"\r\n"), "bad_tail")
    yield case("byte-order-mark", b"\xef\xbb\xbf" + log.data)
    yield case("sixteen-bit-text", log.data.decode().encode("utf-16"), "bad_tail")
    yield case("other-spelling", b"".join([*parts[:2], json.dumps(json.loads(parts[2])).encode() + b"\n", *parts[3:]]))
    yield case("duplicate-key", b"".join([*parts[:2], parts[2].replace(b'{"', b'{"seq":3,"', 1), *parts[3:]]))
    yield case("joined-lines", b"".join([parts[0], parts[1][:-1], *parts[2:]]))
    yield case("zeros-in-the-middle", b"".join([*parts[:2], bytes(len(parts[2]) - 1) + b"\n", *parts[3:]]))
    yield case("gap-in-the-numbers", _rewritten(log, 4, seq=9))
    yield case("number-below", _rewritten(log, 4, seq=1))
    yield case("payload-exchanged-and-stamped-again", _rewritten(log, 3, payload={"cell": "evil", "index": 1}))
    yield case("chained-to-nothing", _rewritten(log, 3, prev="0" * 64))
    yield case("of-another-job-by-name", _rewritten(log, 3, job_id="job_b"), "fold")
    yield case("epoch-of-a-stale-owner", _rewritten(log, 5, epoch=2), "fold")
    yield case("unknown-type-in-the-middle", _rewritten(log, 3, type="cell.exploded"))
    yield case("unknown-type-at-the-end", _rewritten(log, 5, type="cell.exploded"), "bad_tail")
    yield case("newer-schema-in-the-middle", _rewritten(log, 3, schema="clockwork.event.v2"))
    yield case("newer-schema-at-the-end", _rewritten(log, 5, schema="clockwork.event.v2"), "bad_tail")
    yield case("longer-than-a-record-may-be", log.data + b"{" + b"x" * 70_000 + b"}\n", "bad_tail")
    yield case("nested-too-deeply", log.data + b"[" * 60_000 + b"\n", "bad_tail")


# --- the files beside the log ------------------------------------------------------------------------------------


def beside(tmp: Path) -> Iterator[Case]:
    """Yield headers, leases, snapshots and views that are gone, damaged, older, newer, forged or of another job."""
    log = log_of(6)
    whole = folder_of(log, tmp)
    genesis = json.loads(whole.files["job.json"])

    def refused(name: str, folder: Folder, reason: str, *named: str) -> Case:
        return Case(name, folder, CORRUPT, reason, errors(*(named or (reason,))))

    yield refused("header-missing-is-no-job", whole.having(job_json=None), "missing")
    yield refused("header-empty", whole.having(job_json=b""), "header")
    yield refused("header-of-another-job", whole.having(job_json=canonical_json(dict(OTHER.genesis))), "header")
    yield refused("header-edited", whole.having(job_json=canonical_json({**genesis, "lineage": "other"})), "header")
    yield refused("header-spelled-otherwise", whole.having(job_json=json.dumps(genesis).encode()), "header")
    yield refused(
        "header-of-a-newer-schema",
        whole.having(job_json=canonical_json({**genesis, "schema": "clockwork.job.v2"})),
        "header",
    )
    yield refused("log-missing", whole.having(events_jsonl=None), "missing")
    lease = json.loads(whole.files["lease.json"])
    for name, data in {
        "empty": b"", "garbage": b"\x00" * 300, "list": b"[]", "cut": whole.files["lease.json"][:-7],
        "newer-schema": canonical_json({**lease, "schema": "clockwork.lease.v2"}),
        "negative-epoch": canonical_json({**lease, "epoch": -1}),
        "without-watermark": canonical_json({k: v for k, v in lease.items() if k != "watermark"}),
    }.items():  # fmt: skip
        yield refused(f"lease-{name}", whole.having(lease_json=data), "unreadable")
    foreign = lease_of(log, tmp, job_id="job_b")
    yield refused("lease-of-another-job", whole.having(lease_json=foreign), "foreign_lease")
    yield refused("lease-ahead", whole.having(lease_json=lease_of(log, tmp, mark=Watermark(9, "a" * 64))), "acked_lost")
    older = lease_of(log, tmp, mark=Watermark(2, log.events[1].hash))
    yield Case("lease-older", whole.having(lease_json=older))
    epochs = log_of(4)
    epochs.add("lease.released", {"runner_id": epochs.events[1].payload["runner_id"], "outcome": "done"})
    epochs.add("lease.taken", epochs.events[1].payload, epoch=5)
    yield Case(
        "lease-of-an-older-epoch", folder_of(epochs, tmp, epoch=2, mark=Watermark(2, epochs.events[1].hash)),
        check=errors("epoch_behind"),
    )  # fmt: skip

    for name, data in {
        "empty": b"", "garbage": os.urandom(0) + b"\x01" * 500, "cut": whole.files["snapshot.json"][:-9],
        "edited": whole.files["snapshot.json"].replace(b'"started"', b'"failed!"', 1), "deep": b"[" * 100_000,
        "of-another-job": snapshot_of(OTHER, tmp),
    }.items():  # fmt: skip
        yield Case(f"snapshot-{name}", whole.having(snapshot_json=data), check=notes("unusable"))
    yield Case("snapshot-older", whole.having(snapshot_json=snapshot_of(log, tmp, at=3)))
    yield Case(
        "snapshot-forged",
        whole.having(snapshot_json=snapshot_of(log, tmp, reason="forged")),
        check=errors("state_differs"),
    )
    yield refused("snapshot-ahead", whole.having(snapshot_json=snapshot_of(log_of(9), tmp)), "acked_lost")
    other = log_of(6, name="another history")
    folder = whole.having(snapshot_json=snapshot_of(log, tmp, hash=other.events[-1].hash))
    yield refused("snapshot-of-another-history", folder, "fork")
    yield Case("view-garbage", whole.having(runtime=b"{"), check=notes("unusable"))
    view = json.loads(whole.files["runtime_config.json"])
    yield Case(
        "view-forged",
        whole.having(runtime=canonical_json({**view, "status": "completed"})),
        check=warnings("view_differs"),
    )


# --- what is not a file, and whose it is ------------------------------------------------------------------------------


def _link(name: str) -> Callable[[Path], None]:
    def plant(folder: Path) -> None:
        aside = folder.parent.parent / f"aside-{Path(name).name}"
        (folder / name).rename(aside)
        (folder / name).symlink_to(aside)

    return plant


def _pipe(name: str) -> Callable[[Path], None]:
    def plant(folder: Path) -> None:
        (folder / name).unlink()
        os.mkfifo(folder / name)

    return plant


def _folder(name: str) -> Callable[[Path], None]:
    def plant(folder: Path) -> None:
        (folder / name).unlink()
        (folder / name).mkdir()

    return plant


def _mode(name: str, mode: int) -> Callable[[Path], None]:
    return lambda folder: (folder / name).chmod(mode)


def _stranger(name: str) -> Callable[[Path], None]:
    def plant(folder: Path) -> None:
        (folder / name).write_bytes(b"half")
        (folder / name).chmod(0o600)

    return plant


def planted(tmp: Path) -> Iterator[Case]:
    """Yield links, pipes and folders in the place of files, permissions, and files of others."""
    whole = folder_of(log_of(6), tmp)
    for kind, plant in {"link": _link, "pipe": _pipe, "folder": _folder}.items():
        for name in ("job.json", "events.jsonl", "lease.json", "snapshot.json"):
            code = CORRUPT if name == "events.jsonl" else IO
            reason = "not_a_file" if name == "events.jsonl" else ""
            yield Case(f"{kind}-{name}", whole.planting(plant(name)), code, reason, errors("not_a_file"))
        yield Case(
            f"{kind}-runtime_config.json", whole.planting(plant("runtime_config.json")), check=errors("not_a_file")
        )
        yield Case(f"{kind}-append.lock", whole.planting(plant("append.lock")), owning=IO, check=errors("not_a_file"))
        yield Case(
            f"{kind}-owner.lock",
            whole.planting(plant("owner.lock")),
            owning=IO,
            deciding="",
            check=errors("not_a_file"),
        )
    for name in ("events.jsonl", "lease.json", "job.json"):
        yield Case(f"writable-by-all-{name}", whole.planting(_mode(name, 0o666)), check=warnings("permissions"))
    yield Case("writable-by-the-group-folder", whole.planting(_mode(".", 0o770)), check=warnings("permissions"))
    yield Case("writable-by-all-blobs", whole.planting(_mode("blobs", 0o777)), check=warnings("permissions"))
    yield Case("writable-by-all-jobs", whole.planting(_mode("..", 0o777)), owning=UNSAFE)
    yield Case("writable-by-the-group-home", whole.planting(_mode("../..", 0o770)), owning=UNSAFE)
    yield Case("stranger", whole.planting(_stranger("notes.txt")), check=warnings("unknown_file"))
    yield Case("half-written", whole.planting(_stranger(".lease.json.0a0b0c.tmp")), check=notes("leftover"))
    yield Case("broken-kept", whole.planting(_stranger("events.jsonl.broken-1")), check=notes("leftover"))


# --- blobs, copies and clocks ---------------------------------------------------------------------------------------


def _blob_log() -> tuple[Log, bytes, str]:
    content = b"what was published"
    digest = sha256(content).hexdigest()
    log = log_of(3)
    log.add("artifact.published", {"path": "p", "op": "added", "blob": digest})
    return log, content, digest


def copies(tmp: Path) -> Iterator[Case]:
    """Yield blobs that are not what they are named, stores that were merged or restored, and clocks gone wrong."""
    log, content, digest = _blob_log()
    name = f"blobs/sha256/{digest[:2]}/{digest}"
    whole = folder_of(log, tmp)
    good = Folder({**whole.files, name: content})
    yield Case("blob-good", good)
    yield Case("blob-missing", whole, check=errors("missing"))
    yield Case("blob-damaged", Folder({**whole.files, name: content[:-1] + b"!"}), check=errors("digest"))
    yield Case("blob-empty", Folder({**whole.files, name: b""}), check=errors("digest"))
    yield Case("blob-link", good.planting(_link(name)), check=errors("not_a_file"))
    astray = Folder({**good.files, f"blobs/sha256/00/{digest}": content})
    yield Case("blob-in-another-folder", astray, check=warnings("unknown_file"))
    yield Case(
        "blob-half-written", Folder({**good.files, f"blobs/sha256/{digest[:2]}/.x.tmp": b""}), check=notes("leftover")
    )

    mine, theirs = log_of(6), log_of(6, name="the same id in another store")
    merged = {**folder_of(mine, tmp).files, "lease.json": folder_of(theirs, tmp).files["lease.json"]}
    yield Case("stores-merged-lease", Folder(merged), CORRUPT, "fork", errors("fork"))
    merged = {**folder_of(mine, tmp).files, "events.jsonl": theirs.data}
    yield Case("stores-merged-log", Folder(merged), CORRUPT, "midfile", errors("midfile"))
    merged = {**folder_of(mine, tmp).files, "job.json": folder_of(theirs, tmp).files["job.json"]}
    yield Case("stores-merged-header", Folder(merged), CORRUPT, "midfile", errors("midfile"))
    yield Case(
        "stores-merged-logs-joined",
        folder_of(mine, tmp).having(events_jsonl=mine.data + theirs.data),
        CORRUPT,
        "midfile",
        errors("midfile"),
    )

    older, newer = log_of(4), log_of(8)
    cut = folder_of(newer, tmp).having(
        snapshot_json=snapshot_of(newer, tmp, at=3), events_jsonl=b"".join(newer.lines[:6])
    )
    yield Case("cut-behind-an-older-snapshot", cut, CORRUPT, "acked_lost", errors("acked_lost"))
    other = log_of(8, stamps=("2026-11-22T01:02:03.000004Z", "2026-11-22T01:02:04.000000Z"))
    cut = folder_of(newer, tmp).having(
        snapshot_json=snapshot_of(other, tmp, at=2),
        lease_json=lease_of(other, tmp, mark=Watermark(2, other.events[1].hash)),
    )
    yield Case("lease-and-snapshot-of-another-branch", cut, CORRUPT, "fork", errors("fork"))
    yield Case(
        "backup-log-restored",
        folder_of(newer, tmp).having(events_jsonl=older.data),
        CORRUPT,
        "acked_lost",
        errors("acked_lost"),
    )
    # Restored and gone on with: the same seq, other records.
    branch = log_of(4)
    for index in range(4):
        branch.cell(100 + index)
    restored = folder_of(newer, tmp).having(events_jsonl=branch.data)
    yield Case("backup-restored-and-gone-on", restored, CORRUPT, "fork", errors("fork"))
    # Everything restored together is a whole job again; only a pack or a memory outside can tell.
    yield Case("backup-restored-as-a-whole", folder_of(older, tmp))

    for label, stamps in {
        "1970": ("1970-01-01T00:00:00.000000Z",),
        "2106": ("2106-02-07T06:28:15.999999Z",),
        "backwards": ("2026-11-22T01:02:03.000004Z", "1999-12-31T23:59:59.000000Z"),
        "leap": ("2024-02-29T23:59:59.999999Z",),
    }.items():
        yield Case(f"clock-{label}", folder_of(log_of(6, stamps=stamps), tmp))


def corpus(tmp: Path) -> list[Case]:
    """Return every case; *tmp* is an empty place to make files in."""
    return [*matrix(tmp), *lines(tmp), *beside(tmp), *planted(tmp), *copies(tmp)]
