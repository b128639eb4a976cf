"""What the section after a section asks for, and when there is no use in another one."""

from __future__ import annotations

from typing import Any

import pytest

from clockwork_nb.errors import InvalidInputError
from clockwork_nb.intake.decode import Source, read_configuration
from clockwork_nb.resources.registry import builtin_types
from clockwork_nb.session.following import check_known, check_progress, options_after
from clockwork_nb.session.options import PlanOptions

TYPES = builtin_types()
TEXT = """
file "a" {
  path    = "out/a"
  content = "x"
}
file "b" {
  path    = "out/b"
  content = "x"
  lifecycle {
    replace_triggered_by = [file.a.content]
  }
}
file "c" {
  path    = "out/c"
  content = "x"
  lifecycle {
    replace_triggered_by = [file.b]
  }
}
"""


def row(address: str, kind: str, deferred: str = "", *attributes: str) -> dict[str, Any]:
    out = {"address": address, "kind": kind, "attributes": [{"path": p} for p in attributes]}
    return {**out, "deferred": deferred} if deferred else out


def document(*rows: dict[str, Any], steps: int = 0) -> dict[str, Any]:
    return {"changes": list(rows), "actions": {"steps": [{}] * steps}}


def after(options: PlanOptions, *rows: dict[str, Any]) -> tuple[str, ...]:
    configuration, found = read_configuration([Source("main.cw", "main.cw", TEXT.encode())], types=TYPES)
    assert not found.has_errors
    return options_after(options, document(*rows), configuration, TYPES).replaced


def test_what_was_made_anew_is_not_asked_for_again_and_what_waited_is() -> None:
    asked = PlanOptions(replaced=("file.*",))
    rows = (row("file.a", "replace"), row("file.b", "replace", "later"), row("file.c", "create", "later"))
    assert after(asked, *rows) == ("file.b",)
    assert after(PlanOptions(replaced=("file.a",)), row("file.a", "replace"), row("file.c", "update", "later")) == ()


def test_other_options_stay_as_they_are() -> None:
    options = PlanOptions(targets=("file.a",), excluded=("file.b",), replaced=("file.a",), prune=True)
    configuration, _ = read_configuration([Source("main.cw", "main.cw", TEXT.encode())], types=TYPES)
    now = options_after(options, document(row("file.a", "replace")), configuration, TYPES)
    assert now == PlanOptions(targets=("file.a",), excluded=("file.b",), prune=True)


@pytest.mark.parametrize(
    ("cause", "left"),
    [
        (row("file.a", "update", "", "content"), ("file.b",)),
        (row("file.a", "update", "", "content.0"), ("file.b",)),
        (row("file.a", "create"), ("file.b",)),
        (row("file.a", "update", "", "mode"), ()),
        (row("file.a", "update", "later", "content"), ()),
        (row("file.a", "noop"), ()),
    ],
)
def test_a_trigger_that_fired_already_still_counts(cause: dict[str, Any], left: tuple[str, ...]) -> None:
    """What waited itself is seen to change, or not, by the next plan."""
    rows = (cause, row("file.b", "replace", "later"), row("file.c", "replace", "after file.b"))
    assert after(PlanOptions(), *rows) == left


def test_a_plan_that_only_waits_is_refused_with_what_it_waits_for() -> None:
    with pytest.raises(InvalidInputError, match=r"file\.a cannot be planned: x is not known, and no step") as caught:
        check_known(
            document(row("file.a", "create", "x is not known"), row("file.b", "noop"), row("check.c", "verify"))
        )
    assert caught.value.details == {"deferred": {"file.a": "x is not known"}}


@pytest.mark.parametrize("other", [row("file.b", "import"), row("file.b", "update"), row("file.b", "forget")])
def test_a_plan_that_records_something_may_make_known_what_waits(other: dict[str, Any]) -> None:
    check_known(document(row("file.a", "create", "x"), other))
    check_known(document(row("file.a", "create", "x"), steps=1))
    check_known(document(row("file.a", "noop")))


def test_where_all_that_waited_still_waits_for_the_same_the_job_ends() -> None:
    before = document(row("file.a", "create", "x"), row("file.b", "update"), steps=1)
    with pytest.raises(InvalidInputError, match="what this job did has not made it known"):
        check_progress(before, before)
    with pytest.raises(InvalidInputError):
        check_progress(before, document(row("file.a", "create", "x"), row("file.c", "create", "y"), steps=1))


def test_less_that_waits_or_for_something_else_is_progress() -> None:
    before = document(row("file.a", "create", "x"), row("file.b", "create", "after file.a"), steps=1)
    check_progress(before, document(row("file.b", "create", "after file.c"), row("file.a", "create", "x"), steps=1))
    check_progress(before, document(row("file.a", "create", "x"), steps=1))
    check_progress(before, document(steps=1))
