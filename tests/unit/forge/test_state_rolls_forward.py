"""The log knows what the state file does not: folding it in from any earlier file gives the same state."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from clockwork_nb.assembly.plan import OutputChange
from clockwork_nb.canonical import canonical_json
from clockwork_nb.errors import StoreCorruptError
from clockwork_nb.forge.fold import new_state
from clockwork_nb.forge.runner import run_section
from clockwork_nb.forge.state import StateFile, roll_forward
from clockwork_nb.ports import Draft
from tests.unit.forge.section_kit import Bench, Spec, bench, make_plan, write


@pytest.fixture
def b(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        yield made


def close(b: Bench, outcome: str) -> None:
    payload = {"section": b.sections, "outcome": outcome, "done": 0, "failed": 0, "skipped": 0}
    b.job.append([Draft("section.closed", payload)])


def two_sections(b: Bench) -> tuple[dict[str, object], dict[str, object]]:
    """Run a section with a failure and one that mends it; return the state marked before the first, and the last."""
    outputs = (OutputChange("url", None, "http://x"),)
    long = {"path": "out/big", "content": "x", "filler": "f" * 20_000}
    first = make_plan(
        write("a", "1"),
        Spec("big", {"make": {"script": "printf x > out/big\n", "write": ("out/x",)}}, after=long),
        Spec("bad", {"make": "exit 1\n"}),
        Spec("svc", {"ensure": "exit 0\n", "verify_http": "exit 0\n"}),
    )
    document, bundle = b.bind(first)
    begun: dict[str, object] = {}

    def remember(event: object) -> None:
        if not begun:
            begun.update(json.loads(StateFile(b.workspace).path.read_bytes()))

    result = run_section(
        document, bundle, writer=b.job, section=1, approval_id="", done=(), attempts={}, context=b.context(), on_event=remember
    )  # fmt: skip
    assert result.failed == ("thing.bad:make",)
    close(b, "failed")
    state = b.state()
    second = make_plan(
        write("bad", "2"),
        Spec("a", {"drop": {"script": "rm out/a\n", "write": ("out/x",)}}, kind="delete", before={"path": "out/a"}),
        Spec("svc", {}, kind="forget"),
        lineage=state["lineage"],
        serial=state["serial"],
        outputs=outputs,
        ports={"web": 1234},
    )
    assert b.apply(second).error is None
    close(b, "completed")
    return begun, b.state()


def test_the_state_is_marked_before_the_first_step(b: Bench) -> None:
    begun, _ = two_sections(b)
    assert begun["resources"] == []
    assert begun["serial"] == 1
    assert begun["last"]["job"] == b.job.job_id  # type: ignore[index]
    assert begun["last"]["section"] == 1  # type: ignore[index]


def test_from_the_mark_alone_the_whole_state_comes_back(b: Bench) -> None:
    begun, final = two_sections(b)
    events = b.job.events()
    rolled, changed = roll_forward(begun, events, job=b.job.job_id, get_blob=b.job.get_blob)
    assert changed
    assert rolled is not None
    assert {**rolled, "last": None} == {**final, "last": None}
    assert rolled["last"]["seq"] == events[-1].seq
    again, changed = roll_forward(rolled, events, job=b.job.job_id, get_blob=b.job.get_blob)
    assert (again, changed) == (rolled, False)


def test_from_every_point_of_the_log_it_is_the_same_state(b: Bench) -> None:
    begun, final = two_sections(b)
    events = b.job.events()
    for cut in range(len(events) + 1):
        part, _ = roll_forward(begun, events[:cut], job=b.job.job_id, get_blob=b.job.get_blob)
        whole, _ = roll_forward(part, events, job=b.job.job_id, get_blob=b.job.get_blob)
        assert whole is not None
        assert {**whole, "last": None} == {**final, "last": None}, cut


def test_results_that_are_in_the_file_already_may_be_folded_again(b: Bench) -> None:
    begun, final = two_sections(b)
    stale = {**final, "last": begun["last"]}  # the file was written, its mark was behind
    rolled, _ = roll_forward(
        {**stale, "serial": begun["serial"]}, b.job.events(), job=b.job.job_id, get_blob=b.job.get_blob
    )
    assert rolled is not None
    assert {**rolled, "last": None} == {**final, "last": None}


def test_another_jobs_log_changes_nothing(b: Bench) -> None:
    begun, final = two_sections(b)
    assert roll_forward(None, b.job.events(), job=b.job.job_id, get_blob=b.job.get_blob) == (None, False)
    for state in (begun, final):
        assert roll_forward(state, b.job.events(), job="job_other", get_blob=b.job.get_blob) == (state, False)
    fresh = new_state("l")
    assert roll_forward(fresh, b.job.events(), job=b.job.job_id, get_blob=b.job.get_blob) == (fresh, False)


def test_a_section_that_only_checks_does_not_move_the_serial(b: Bench) -> None:
    assert b.apply(make_plan(write("a", "1"))).error is None
    close(b, "completed")
    before = b.state()
    assert b.apply(make_plan(Spec("a", {"verify_http": "exit 1\n"}, kind="verify", after=None))).failed
    rolled, _ = roll_forward(before, b.job.events(), job=b.job.job_id, get_blob=b.job.get_blob)
    assert rolled is not None
    assert {**rolled, "last": None} == {**before, "last": None}


def test_an_event_without_a_real_entry_is_said(b: Bench) -> None:
    b.apply(make_plan(write("a", "1")))
    state = {**b.state(), "resources": []}
    state["last"] = {**state["last"], "seq": 1}
    broken = [e for e in b.job.events() if e.type != "step.completed"]

    payload = {"section": 1, "step_id": "thing.a:make", "entry": '{"address":1}'}
    wrong = SimpleNamespace(seq=broken[-1].seq + 1, created_at="", type="step.completed", payload=payload)
    with pytest.raises(StoreCorruptError):
        roll_forward(state, [*broken, wrong], job=b.job.job_id, get_blob=b.job.get_blob)


def test_going_on_after_a_crash_starts_from_the_log(b: Bench) -> None:
    plan = make_plan(write("a", "1"), Spec("bad", {"make": "test -e gate\n"}, needs=("a",)))
    document, bundle = b.bind(plan)
    b.run(document, bundle)
    state = b.state()
    lost = {**state, "resources": [], "last": {**state["last"], "seq": state["last"]["seq"] - 6}}
    StateFile(b.workspace).path.write_bytes(canonical_json(lost))  # as if only the first write had happened
    (b.root / "gate").touch()
    b.reopen()
    result = b.run(document, bundle, done=("thing.a:make",), attempts={"thing.bad:make": 1})
    assert result.error is None
    assert [e["address"] for e in b.state()["resources"]] == ["thing.a", "thing.bad"]
    assert b.state()["serial"] == 1
