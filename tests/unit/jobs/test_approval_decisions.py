"""An approval covers exactly what was looked at, once, for a while."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from clockwork_nb.errors import (
    ApprovalDeniedError,
    ApprovalRequiredError,
    ApprovalStaleError,
    InvalidInputError,
    InvalidTransitionError,
)
from clockwork_nb.jobs import approval, commands
from clockwork_nb.ports import Draft


def test_a_request_names_the_checkpoint_written_just_before_it(story: Any) -> None:
    story.section()
    seq = story.ask()
    (decision,) = story.job.state.open_decisions
    assert decision.checkpoint_seq == seq
    assert story.job.events()[seq - 1].payload["kind"] == "decision-needed"


def test_nothing_starts_before_somebody_decided(story: Any) -> None:
    story.section()
    story.ask()
    with pytest.raises(ApprovalRequiredError) as caught:
        story.use()
    assert caught.value.code == "E_CHECKPOINT_APPROVAL_REQUIRED"
    assert "clockwork approve" in caught.value.hint
    with pytest.raises(InvalidTransitionError, match="not in use"):
        story.job.append([story.start()])


def test_an_approval_is_used_once_and_resuming_is_the_same_use(approved: Any) -> None:
    used = approved.use()
    assert used is not None
    approved.job.append([used, approved.start()])
    approved.clock.advance(30 * 24 * 3600)
    assert approved.use() is None
    with pytest.raises(InvalidTransitionError):
        approved.job.append([used])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("configuration", "0" * 64),
        ("plan", "0" * 64),
        ("bundle", "0" * 64),
        ("policy", "0" * 64),
        ("environment", "0" * 64),
        ("lineage", "other"),
        ("serial", 5),
    ],
)
def test_whatever_moved_is_named(approved: Any, name: str, value: object) -> None:
    with pytest.raises(ApprovalStaleError) as caught:
        approved.use(**{name: value})
    assert caught.value.details["moved"] == [name]
    assert name in caught.value.message
    assert caught.value.exit_code == 4


def test_an_approver_who_saw_something_else_is_refused(story: Any) -> None:
    story.section()
    story.ask()
    with pytest.raises(ApprovalStaleError, match="bundle"):
        story.grant(seen={**story.binds, "bundle": "9" * 64})


@pytest.mark.parametrize(("hours", "covered"), [(23.99, True), (24, False), (48, False)])
def test_a_grant_lasts_24_hours(approved: Any, hours: float, covered: bool) -> None:
    approved.clock.advance(hours * 3600)
    if covered:
        assert approved.use() is not None
        return
    with pytest.raises(ApprovalStaleError, match="expired") as caught:
        approved.use()
    assert caught.value.details["moved"] == ["expires_at"]


def test_an_expired_grant_may_be_given_again_a_valid_one_not(approved: Any) -> None:
    with pytest.raises(InvalidTransitionError, match="already by ann"):
        approved.grant("ap1")
    approved.clock.advance(25 * 3600)
    approved.grant("ap1", by="bob")
    assert approved.use() is not None


def test_a_denial_is_final(story: Any) -> None:
    story.section()
    story.ask()
    draft = approval.deny(story.job.state, None, by="bob", via="cli", reason="no", now=story.clock.now())
    story.job.append([draft])
    with pytest.raises(ApprovalDeniedError, match="bob said no"):
        story.use()
    with pytest.raises(ApprovalDeniedError):
        story.grant("ap1")


def test_a_grant_can_be_taken_back_until_it_is_used(approved: Any) -> None:
    now = approved.clock.now()
    draft = approval.deny(approved.job.state, "ap1", by="bob", via="cli", reason="wait", now=now)
    used = approved.use()
    approved.job.append([used])
    with pytest.raises(InvalidTransitionError, match="used already"):
        approval.deny(approved.job.state, "ap1", by="bob", via="cli", reason="wait", now=now)
    with pytest.raises(InvalidTransitionError):
        approved.job.append([draft])


@pytest.mark.parametrize(("via", "needed"), [("cli", True), ("http", True), ("button", False), ("terminal", False)])
def test_a_reason_is_needed_where_a_person_types_one(story: Any, via: str, needed: bool) -> None:
    story.section()
    story.ask()
    if needed:
        with pytest.raises(InvalidInputError, match="reason"):
            story.grant(via=via, reason="  ")
    else:
        story.grant(via=via, reason="")
        assert story.job.state.decisions["ap1"].reason


@pytest.mark.parametrize("via", ["auto", "policy"])
def test_what_no_person_approved_says_so(story: Any, via: str) -> None:
    story.section()
    story.ask()
    story.grant(via=via, reason="")
    assert "no person approved" in story.job.state.decisions["ap1"].reason


@pytest.mark.parametrize("more", [{"via": "telepathy"}, {"by": " "}, {"expires_at": "past"}])
def test_a_decision_needs_a_name_a_way_and_a_future(story: Any, more: dict[str, Any]) -> None:
    story.section()
    story.ask()
    if more.get("expires_at"):
        more = {"expires_at": story.clock.now()}
    with pytest.raises(InvalidInputError):
        story.grant(**more)


def test_an_expired_request_cannot_be_granted(story: Any) -> None:
    story.section()
    story.ask(expires_at=story.clock.now() + timedelta(hours=1))
    story.clock.advance(3600)
    with pytest.raises(ApprovalStaleError, match="request"):
        story.grant()


def test_a_new_plan_replaces_the_open_decision(story: Any) -> None:
    story.section()
    story.ask()
    again = commands.bind_plan(
        1, plan="7" * 64, configuration="c" * 64, lineage="lin", serial=4, changes=1, bundle="b" * 64, policy="d" * 64
    )
    story.job.append(again)
    assert story.job.state.open_decisions == []
    with pytest.raises(ApprovalStaleError, match="replaced"):
        story.grant("ap1")
    story.binds["plan"] = "7" * 64
    story.ask(approval_id="ap2")
    story.grant()
    assert story.use() is not None


def test_every_open_decision_has_to_be_named_when_there_are_several(story: Any) -> None:
    story.section()
    story.ask()
    story.job.append([commands.close_section(story.job.state, 1, "completed")])
    assert story.job.state.open_decisions == []
    story.section()
    story.ask(section=2, approval_id="ap2")
    story.ask(section=2, approval_id="ap3")
    with pytest.raises(InvalidInputError, match="2 decisions"):
        approval.find_decision(story.job.state)
    assert approval.find_decision(story.job.state, "ap3").approval_id == "ap3"
    with pytest.raises(InvalidInputError, match="no decision 'cp_999'"):
        approval.find_decision(story.job.state, "cp_999")


def test_a_request_must_fit_what_the_section_is_bound_to(story: Any) -> None:
    story.section()
    story.binds["plan"] = "0" * 64
    with pytest.raises(InvalidTransitionError, match="plan"):
        story.ask()


def test_a_forged_use_is_refused_by_the_fold(approved: Any) -> None:
    used = approved.use()
    assert used is not None
    for change in ({"approval_id": "ap9"}, {"section": 9}):
        with pytest.raises(InvalidTransitionError):
            approved.job.append([Draft("approval.used", {**used.payload, **change})])


@pytest.mark.parametrize("moving", ["environment", "policy", "bundle"])
def test_the_fold_refuses_a_use_after_something_moved(approved: Any, moving: str) -> None:
    used = approved.use()
    moves = {
        "environment": Draft(
            "env.override",
            {"rules": [], "expected_hash": "e" * 64, "actual_hash": "1" * 64, "reason": "r", "by": "ann"},
        ),
        "policy": Draft("policy.bound", {"section": 1, "policy": "1" * 64}),
        "bundle": Draft("bundle.bound", {"section": 1, "bundle": "1" * 64}),
    }
    approved.job.append([moves[moving]])
    with pytest.raises(InvalidTransitionError, match=f"binds another {moving}"):
        approved.job.append([used])
