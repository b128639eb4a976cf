"""Faults of the job store: durability and recovery (P1 to P12), repair, prune and sweep (W-24)."""

from __future__ import annotations

from typing import Final

from tests.mutants.mutant import Mutant

_POWER: Final = (
    "tests/fault/test_store_survives_power_loss.py::test_every_confirmed_event_survives_a_power_cut_at_every_moment"
)
_DISK: Final = "tests/fault/test_store_disk_failures.py"
_TOGETHER: Final = "tests/fault/test_blobs_written_together.py"
_TORN: Final = "tests/fault/test_log_torn_at_every_byte.py"
_BITS: Final = "tests/conformance/store/test_every_bit_of_a_log.py"
_CORPUS: Final = "tests/conformance/store/test_store_corruptions.py"
_MUSEUM: Final = "tests/conformance/museum/test_museum_of_recorded_jobs.py"
_SAME: Final = "tests/conformance/museum/test_replay_is_deterministic.py"
_APPEND: Final = "tests/fault/test_store_append_does_not_read.py"
_KILLED: Final = "tests/fault/test_killed_step_is_not_run_again.py"
_CRASHES: Final = "tests/fault/test_store_repair_crashes.py"
_REPAIR: Final = "tests/unit/store/test_store_repair.py"
_PRUNE: Final = "tests/unit/store/test_store_prune.py"

_FS: Final = "clockwork_nb/fs.py"
_JOURNAL: Final = "clockwork_nb/store/journal.py"
_LOG: Final = "clockwork_nb/store/log.py"
_READING: Final = "clockwork_nb/store/reading.py"
_SNAPSHOT: Final = "clockwork_nb/store/snapshot.py"
_STATE: Final = "clockwork_nb/jobs/state.py"
_EVENTS: Final = "clockwork_nb/jobs/events.py"

MUTANTS: list[Mutant] = [
    # --- P1, P2: finished steps never run again, cut-off ones only when that is declared
    Mutant(
        "finished-steps-run-again", "clockwork_nb/forge/walk.py",
        "self.order = [n for n in nodes if n not in done]",
        "self.order = list(nodes)",
        "P1", (_KILLED,),
    ),
    Mutant(
        "completion-is-not-folded", _STATE,
        'step.status = "completed"\n',
        'step.status = "interrupted"\n',
        "P1", (_KILLED,),
    ),
    Mutant(
        "interrupted-steps-always-run-again", "clockwork_nb/session/continuation.py",
        'if step.status == "interrupted" and not step.idempotent and name not in allowed',
        "if False",
        "P2", (_KILLED,),
    ),
    Mutant(
        "interruption-is-not-recorded", "clockwork_nb/jobs/commands.py",
        '        if step.status == "started"\n    ]',
        '        if step.status == "nothing"\n    ]',
        "P2", (_KILLED,),
    ),
    # --- P3: what was confirmed survives power loss
    Mutant(
        "no-sync-of-the-temporary-file", _FS,
        "            if durable:\n                fs.sync(handle)\n", "",
        "P3", (_POWER,),
    ),
    Mutant(
        "no-folder-sync-after-a-rename", _FS,
        "            for path in folders if not disks else ():\n                fs.sync_dir(path)\n", "",
        "P3", (_POWER,),
    ),
    Mutant(
        "no-folder-sync-after-a-link", _FS,
        "        fs.sync_dir(path.parent)\n    except FileExistsError:\n",
        "    except FileExistsError:\n",
        "P3", (_CRASHES,),
    ),
    Mutant(
        "no-sync-of-new-folders", _FS,
        "            fs.sync_dir(folder.parent)\n",
        "",
        "P3", (_POWER,),
    ),
    Mutant(
        "no-sync-of-an-append", _JOURNAL,
        "            self._fs.sync(handle, data_only=True)\n",
        "",
        "P3", (_POWER,),
    ),
    Mutant(
        "no-folder-sync-after-making-a-job", "clockwork_nb/store/files.py",
        "            sync_dir(target.parent, fs=self._fs)\n",
        "",
        "P3", (_POWER,),
    ),
    Mutant(
        "no-sync-of-a-blob-folder-made-by-others", "clockwork_nb/store/blobs.py",
        "        sync_dir(base, fs=self._fs)\n",
        "",
        "P3", (_DISK,),
    ),
    Mutant(
        "only-the-last-file-of-many-is-synced", _FS,
        "                _write_new(temporary, data, mode, fs, durable=not disks)\n",
        "                _write_new(temporary, data, mode, fs, durable=not disks and len(unnamed) + 1 == len(files))\n",
        "P3", (_TOGETHER,),
    ),
    Mutant(
        "only-the-last-folder-of-many-is-synced", _FS,
        "            for path in folders if not disks else ():\n",
        "            for path in folders[-1:] if not disks else ():\n",
        "P3", (_TOGETHER,),
    ),
    Mutant(
        "names-of-many-are-given-before-their-contents-are-synced", _FS,
        "            for disk in disks:\n                fs.sync_all(disk)\n            for path in files:\n",
        "            for path in files:\n",
        "P3", (_TOGETHER,),
    ),
    Mutant(
        "names-of-many-are-not-synced", _FS,
        "            for disk in disks:\n                fs.sync_all(disk)\n            for path in folders",
        "            for path in folders",
        "P3", (_TOGETHER,),
    ),
    Mutant(
        "blobs-are-written-without-a-sync", "clockwork_nb/store/blobs.py",
        "        write_atomic_all({self.path(name): data for name, data in new.items()}, mode=0o400, fs=self._fs)\n",
        "        for name, data in new.items():\n            handle = self._fs.create(self.path(name), 0o400)\n"
        "            self._fs.write(handle, data)\n            self._fs.close(handle)\n",
        "P3", (_POWER,),
    ),
    Mutant(
        "snapshot-is-written-before-the-log", "clockwork_nb/store/journal.py",
        "        data = b\"\".join(lines)\n        handle = self._open()\n",
        "        data = b\"\".join(lines)\n        handle = self._open()\n"
        "        from clockwork_nb.store.snapshot import write_snapshot\n"
        '        write_snapshot(self.folder / "snapshot.json", self.state, self.offset + len(data), version="0", fs=self._fs)\n',
        "P3", (_POWER,),
    ),
    # --- P4: a torn tail is cut, kept and recorded
    Mutant(
        "append-without-truncation", _JOURNAL,
        "            self._fs.truncate(self._open(), scanned.offset)\n",
        "",
        "P4", (_TORN,),
    ),
    Mutant(
        "torn-bytes-are-thrown-away", _JOURNAL,
        "    write_atomic(folder / name, scanned.tail, fs=fs)\n",
        "",
        "P4", (_TORN,),
    ),
    Mutant(
        "healing-is-not-recorded", _JOURNAL,
        '        batch = Batch([Draft("log.recovered", payload)], None)\n        self.commit([batch])\n',
        '        batch = Batch([Draft("log.recovered", payload)], None)\n',
        "P4", (_TORN,),
    ),
    Mutant(
        "control-events-do-not-heal", "clockwork_nb/store/files.py",
        "                if scanned.tail:\n                    journal.heal(scanned)\n                batch",
        "                batch",
        "P4", (_DISK, _CORPUS),
    ),
    # --- P5: damage fails closed
    Mutant(
        "bad-lines-are-skipped", _LOG,
        "        except ClockworkError as error:\n            problem = error.message\n            break\n        events.append(event)",
        "        except ClockworkError as error:\n            problem = error.message\n            position = end + 1\n"
        "            continue\n        events.append(event)",
        "P5", (_BITS,),
    ),
    Mutant(
        "records-are-sorted-by-seq", _READING,
        "        return read_bytes(path, fs=fs)\n    except FileNotFoundError:\n        raise StoreCorruptError(f\"{path} is missing\"",
        "        return b\"\".join(\n            sorted(\n                read_bytes(path, fs=fs).splitlines(keepends=True),\n"
        "                key=lambda line: int((line.rpartition(b'\"seq\":')[2].partition(b',')[0] or b'0')[:9] or 0)\n"
        "                if b'\"seq\":' in line\n                else 0,\n            )\n        )\n"
        "    except FileNotFoundError:\n        raise StoreCorruptError(f\"{path} is missing\"",
        "P5", (_CORPUS,),
    ),
    Mutant(
        "gaps-are-accepted", _STATE,
        "    if event.seq != state.seq + 1:\n",
        "    if event.seq <= state.seq:\n",
        "P5", (_CORPUS,),
    ),
    Mutant(
        "the-chain-is-not-checked", _STATE,
        "    if event.prev != state.hash:\n",
        "    if False:\n",
        "P5", (_BITS,),
    ),
    Mutant(
        "records-of-other-jobs-are-accepted", _STATE,
        "    if event.job_id != state.job_id:\n",
        "    if False:\n",
        "P5", (_CORPUS,),
    ),
    Mutant(
        "other-spellings-are-accepted", _EVENTS,
        "    if line != b'%b\"hash\":\"%b\",%b' % (first, expected.encode(), last):\n",
        "    if False:\n",
        "P5", (_CORPUS,),
    ),
    Mutant(
        "the-header-is-not-checked", _EVENTS,
        '    if document["genesis"] != genesis_hash(document):\n',
        "    if False:\n",
        "P5", (_CORPUS,),
    ),
    Mutant(
        "a-tail-is-cut-although-records-follow", _LOG,
        "            if is_self_consistent(data[position:end]):\n",
        "            if False:\n",
        "P5", (_CORPUS,),
    ),
    Mutant(
        "a-damaged-last-record-is-cut", _LOG,
        '    return "corrupt", "bad_tail"\n',
        '    return "torn", "bad_tail"\n',
        "P5", (_CORPUS,),
    ),
    Mutant(
        "a-tail-of-any-length-is-cut", _LOG,
        "    if tail_length > MAX_TAIL:\n",
        "    if False:\n",
        "P5", (_CORPUS,),
    ),
    Mutant(
        "links-are-followed", _FS,
        "os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)",
        "os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)",
        "P5", (_CORPUS,),
    ),
    Mutant(
        "another-jobs-lease-is-believed", _READING,
        "    if lease.job_id != job_id:\n",
        "    if False:\n",
        "P5", (_CORPUS,),
    ),
    Mutant(
        "a-repair-leaves-no-taint", "clockwork_nb/store/repair.py",
        '        Draft("job.tainted", {"reason": f"{cut} ({plan.reason}): {reason}", "offset": plan.offset}),\n',
        "",
        "P5", (_REPAIR,),
    ),
    Mutant(
        "a-repair-keeps-no-copy", "clockwork_nb/store/repair.py",
        '    saved = _keep(folder, found.data, stamp, fs) if plan.kind == "cut" or plan.loss.bytes else ""\n',
        '    saved = ""\n',
        "P5", (_REPAIR,),
    ),
    Mutant(
        "a-repair-cuts-anywhere", "clockwork_nb/store/repair.py",
        '    if 0 < offset <= valid and data[offset - 1 : offset] == b"\\n":\n',
        "    if 0 < offset <= len(data):\n",
        "P5", (_REPAIR,),
    ),
    Mutant(
        "a-repair-lowers-the-watermark-first", "clockwork_nb/store/repair.py",
        '    write_atomic(folder / "events.jsonl", repaired, fs=fs)\n',
        '    early = LeaseFile(plan.job_id, epoch, "free", holder, 0, TTL_MS, Watermark(), acquired_at=stamp)\n'
        '    write_lease(folder / "lease.json", early, fs=fs)\n'
        '    if fs.stat(folder / "snapshot.json"):\n        fs.unlink(folder / "snapshot.json")\n'
        '    write_atomic(folder / "events.jsonl", repaired, fs=fs)\n',
        "P6", (_CRASHES,),
    ),
    # --- P6: confirmed records that are gone are missed
    Mutant(
        "the-watermark-is-ignored", _LOG,
        '    if verdict != "corrupt" and known.seq > state.seq:\n',
        "    if False:\n",
        "P6", (_BITS,),
    ),
    Mutant(
        "the-watermarks-hash-is-ignored", _LOG,
        '    elif verdict != "corrupt" and hash_at_mark is not None and known.seq and hash_at_mark != known.hash:\n',
        "    elif False:\n",
        "P6", (_CORPUS,),
    ),
    Mutant(
        "the-leases-mark-is-not-used", _READING,
        "    return lease.watermark\n",
        "    return Watermark()\n",
        "P6", (_CORPUS,),
    ),
    Mutant(
        "the-quick-state-ignores-the-mark", _READING,
        "            scanned = extend(data[snapshot.offset :], snapshot.state, base=snapshot.offset, watermark=mark)\n",
        "            scanned = extend(data[snapshot.offset :], snapshot.state, base=snapshot.offset)\n",
        "P6", (_CORPUS,),
    ),
    # --- P7, P8: a failed write is final, and leaves nothing
    Mutant(
        "a-failed-sync-is-tried-again", _JOURNAL,
        "            self._fs.sync(handle, data_only=True)\n",
        "            try:\n                self._fs.sync(handle, data_only=True)\n            except OSError:\n"
        "                self._fs.sync(handle, data_only=True)\n",
        "P7", (_DISK,),
    ),
    Mutant(
        "a-failed-handle-is-used-again", "clockwork_nb/store/handle.py",
        "    def _poison(self, error: ClockworkError) -> None:\n",
        "    def _poison(self, error: ClockworkError) -> None:\n        if isinstance(error, StoreIOError) and not self._closed:\n            return\n",
        "P7", (_DISK,),
    ),
    Mutant(
        "a-short-write-is-left-in-the-log", _JOURNAL,
        "                self._fs.truncate(handle, self.offset)\n",
        "                pass\n",
        "P8", (_DISK,),
    ),
    Mutant(
        "a-short-write-counts-as-done", _JOURNAL,
        "            if taken != len(data):\n",
        "            if False:\n",
        "P8", (_DISK,),
    ),
    Mutant(
        "a-half-written-temporary-file-stays", _FS,
        "        with contextlib.suppress(OSError):\n            fs.unlink(path)\n        raise\n",
        "        raise\n",
        "P8", (_DISK,),
    ),
    # --- P9: the snapshot is only a cache
    Mutant(
        "the-snapshots-bytes-of-the-log-are-not-checked", _READING,
        "            if sha256(memoryview(data)[: snapshot.offset]).hexdigest() != snapshot.log_sha256:\n",
        "            if False:\n",
        "P9", (_CORPUS,),
    ),
    Mutant(
        "the-snapshots-digest-is-not-checked", _SNAPSHOT,
        "        if sha256(data[start + len(b',\"state\":') : end]).hexdigest() != document[\"state_sha256\"]:\n",
        "        if False:\n",
        "P9", (_CORPUS,),
    ),
    Mutant(
        "a-snapshot-of-another-history-is-used", _READING,
        "    if scanned.events[snapshot.seq - 1].hash != snapshot.head:\n",
        "    if False:\n",
        "P9", (_CORPUS,),
    ),
    Mutant(
        "the-snapshot-is-not-compared-by-the-check", "clockwork_nb/store/check.py",
        "        if rebuilt.to_document() != snapshot.state.to_document():\n",
        "        if False:\n",
        "P9", (_CORPUS,),
    ),
    # --- P10, P11: replay is the same everywhere, and nothing unknown is passed over
    Mutant(
        "a-set-is-iterated", "clockwork_nb/jobs/model.py",
        "            out[name] = [list(pair) for pair in out[name].items()]\n",
        "            out[name] = [list(pair) for pair in set(out[name].items())]\n",
        "P10", (_SAME,),
    ),
    Mutant(
        "unknown-types-are-ignored", _EVENTS,
        '    if record is None:\n        raise EventInvalidError(\n            f"{event_type!r} is not',
        '    if record is None:\n        return\n        raise EventInvalidError(\n            f"{event_type!r} is not',
        "P11", (_MUSEUM,),
    ),
    Mutant(
        "newer-schemas-are-read", _EVENTS,
        '    if record["schema"] != _SCHEMA:\n',
        "    if False:\n",
        "P11", (_MUSEUM,),
    ),
    # --- P12: appending costs the same however long the log is
    Mutant(
        "the-log-is-read-again-for-each-append", _JOURNAL,
        "        written: list[Batch] = []\n        lines: list[bytes] = []\n",
        "        self._fs.read(self.path)\n        written: list[Batch] = []\n        lines: list[bytes] = []\n",
        "P12", (_APPEND,),
    ),
    Mutant(
        "a-snapshot-is-taken-at-fixed-distances", _SNAPSHOT,
        "    return seq - last >= max(_EVERY, last // 8)\n",
        "    return seq - last >= _EVERY\n",
        "P12", (_APPEND,),
    ),
    # --- W-24: prune takes only what is finished and exported, and nothing that is in use
    Mutant(
        "prune-takes-jobs-that-are-not-at-their-end", "clockwork_nb/store/prune.py",
        "    if not state.finished:\n",
        "    if False:\n",
        "W-24", (_PRUNE,),
    ),
    Mutant(
        "prune-takes-jobs-that-were-not-exported", "clockwork_nb/store/prune.py",
        "    if not include_unexported and not _exported(folder, view.events, fs):\n",
        "    if False:\n",
        "W-24", (_PRUNE,),
    ),
    Mutant(
        "any-export-counts-as-the-final-one", "clockwork_nb/store/prune.py",
        'if isinstance(count, int) and count >= end and events[count - 1].hash == known["head"]:',
        "if isinstance(count, int):",
        "W-24", (_PRUNE,),
    ),
    Mutant(
        "prune-leaves-no-tombstone", "clockwork_nb/store/prune.py",
        "    _write_tombstones(home, gone, why, fs, clock)\n",
        "",
        "W-24", (_CRASHES,),
    ),
    Mutant(
        "prune-takes-the-files-before-the-name", "clockwork_nb/store/prune.py",
        "                fs.rename(folder, target)\n",
        "                remove_tree(folder / \"blobs\", fs=fs)\n                fs.rename(folder, target)\n",
        "W-24", (_CRASHES,),
    ),
    Mutant(
        "a-draft-in-use-is-swept", "clockwork_nb/store/sweep.py",
        "                if lock.try_acquire():\n",
        "                if True:\n",
        "W-24", (_PRUNE,),
    ),
    Mutant(
        "a-fresh-draft-is-swept", "clockwork_nb/store/sweep.py",
        "            if not _is_old(fs.stat(path), now):\n                continue\n            lock",
        "            lock",
        "W-24", (_PRUNE,),
    ),
]  # fmt: skip
