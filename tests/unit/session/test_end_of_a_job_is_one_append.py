"""A crash must not find a job that is at its end, so cannot be resumed, and was never finished."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from clockwork_nb.ports import Draft
from clockwork_nb.session.runs import JobRun
from clockwork_nb.store.files import JobStore


def test_status_and_end_are_written_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = JobStore(tmp_path / "home", tool_version="0.0.0")
    run = JobRun.create(store, name="x", adapter="noop", lineage="", spec={})
    written: list[list[str]] = []
    append = run.writer.append

    def watched(drafts: Sequence[Draft]) -> object:
        written.append([draft.type for draft in drafts])
        return append(drafts)

    monkeypatch.setattr(run.writer, "append", watched)
    run.finish("completed", "done")
    assert [batch for batch in written if "lease.released" not in batch] == [
        ["checkpoint", "job.status", "job.finished"]
    ]
    assert store.state(run.job_id).finished
