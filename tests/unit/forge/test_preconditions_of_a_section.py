"""Before a section runs: the state must be the one its plan was made from, or its own doing."""

from __future__ import annotations

from typing import Any

import pytest

from clockwork_nb.errors import PlanStaleError
from clockwork_nb.forge.fold import new_state
from clockwork_nb.forge.preconditions import check_unmoved


def state(job: str = "job_a", section: int = 1, seq: int = 5, **fields: Any) -> dict[str, Any]:
    return {**new_state("l"), "serial": 3, "last": {"job": job, "section": section, "seq": seq}, **fields}


def entry(status: str) -> dict[str, Any]:
    return {
        "address": "file.a", "type": "file", "config": {}, "identity": {}, "declared_in": "", "dependencies": [],
        "status": status,
    }  # fmt: skip


def test_the_same_content_passes_whoever_folded_in_which_event() -> None:
    before = state(resources=[entry("ok")])
    for now in (before, {**before, "last": None}, state("job_b", seq=9, resources=[entry("ok")])):
        check_unmoved(before, now, job="job_c", section=1)


@pytest.mark.parametrize(
    "change",
    [{"resources": []}, {"resources": [entry("failed")]}, {"serial": 4}, {"ports": [{"name": "x", "port": 1}]}],
)
def test_any_other_content_is_stale_even_with_the_same_serial(change: dict[str, Any]) -> None:
    before = state(resources=[entry("ok")])
    with pytest.raises(PlanStaleError) as caught:
        check_unmoved(before, {**before, **change}, job="job_c", section=1)
    assert caught.value.exit_code == 13
    assert "Plan again" in caught.value.hint


def test_what_the_section_did_itself_passes_and_what_its_job_did_elsewhere_does_not() -> None:
    before = state(resources=[])
    now = state("job_c", 2, resources=[entry("ok")])
    check_unmoved(before, now, job="job_c", section=2)
    with pytest.raises(PlanStaleError):
        check_unmoved(before, now, job="job_c", section=3)


def test_before_the_first_apply_the_serial_is_what_tells() -> None:
    check_unmoved(None, state(), job="job_a", section=1)
    check_unmoved(state(), None, job="job_a", section=1)
