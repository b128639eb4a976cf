"""Limits count above zero and break when usage is strictly greater."""

from __future__ import annotations

from typing import Any

import pytest

from clockwork_nb.errors import InvalidInputError
from clockwork_nb.jobs import commands
from clockwork_nb.jobs.budget import Counters, charge, exceeded, exceeded_draft, limits_from_spec
from clockwork_nb.jobs.events import validate


@pytest.mark.parametrize(
    ("key", "limit", "counters"),
    [
        ("max_step_count", 5, lambda n: Counters(step_count=n)),
        ("max_retries", 5, lambda n: Counters(retry_count=n)),
        ("max_tool_calls", 5, lambda n: Counters(tool_call_count=n)),
        ("max_tokens", 5, lambda n: Counters(tokens=n)),
        ("max_wall_time_seconds", 5, lambda n: Counters(active_ms=n * 1000)),
        ("max_estimated_cost", 5, lambda n: Counters(cost=str(n))),
    ],
)
def test_each_budget_breaks_just_above_its_limit(key: str, limit: int, counters: Any) -> None:
    limits = limits_from_spec({"budgets": {key: limit}})
    assert exceeded(counters(4), limits) == []
    assert exceeded(counters(5), limits) == []
    (broken,) = exceeded(counters(6), limits)
    assert str(broken) == f"{broken.dimension} 6 > 5"
    draft = exceeded_draft(broken)
    validate(draft.type, draft.payload)


def test_wall_time_is_compared_to_the_millisecond_and_money_exactly() -> None:
    limits = limits_from_spec({"budgets": {"max_wall_time_seconds": 1, "max_estimated_cost": "0.3"}})
    assert exceeded(Counters(active_ms=1000, cost="0.3"), limits) == []
    spent = charge(charge(Counters(), cost="0.1"), cost="0.2", active_ms=1001)
    assert spent.cost == "0.3"
    assert [str(item) for item in exceeded(spent, limits)] == ["wall_time_seconds 1.001 > 1"]


def test_zero_means_no_limit() -> None:
    assert limits_from_spec({"budgets": {"max_step_count": 0}}) == {}
    assert limits_from_spec({}) == {}


@pytest.mark.parametrize(
    "budgets",
    [
        {"max_steps": 1},
        {"max_step_count": -1},
        {"max_step_count": 1.5},
        {"max_step_count": True},
        {"max_tokens": "x"},
        [],
    ],
)
def test_a_budget_that_makes_no_sense_is_refused(budgets: object) -> None:
    with pytest.raises(InvalidInputError, match="budgets"):
        limits_from_spec({"budgets": budgets})


@pytest.mark.parametrize("amount", [{"steps": 1}, {"step_count": -1}, {"cost": "free"}])
def test_a_charge_that_makes_no_sense_is_refused(amount: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError):
        charge(Counters(), **amount)


@pytest.mark.parametrize(
    ("dimension", "limit", "reason"),
    [
        ("step_count", "3", "r"),
        ("step_count", "2", "r"),
        ("tokens", "5", "r"),
        ("steps", "5", "r"),
        ("step_count", "5", " "),
    ],
)
def test_a_budget_is_raised_only_upwards_and_with_a_reason(story: Any, dimension: str, limit: str, reason: str) -> None:
    state = story.job.state
    state.limits = {"step_count": "3"}
    with pytest.raises(InvalidInputError):
        commands.raise_budget(state, dimension, limit, by="ann", reason=reason)
