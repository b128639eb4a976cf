"""A decision may ask for several persons, and an approval may be signed by whom it names."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from clockwork_nb.errors import (
    ApprovalDeniedError,
    ApprovalRequiredError,
    InvalidInputError,
    InvalidTransitionError,
    SignatureInvalidError,
)
from clockwork_nb.jobs import approval
from clockwork_nb.jobs.approval_signature import key_holder, sign, signer_of
from clockwork_nb.jobs.model import Grant, JobState
from clockwork_nb.jobs.progress import RunProgress
from clockwork_nb.ports import Draft
from clockwork_nb.signing import SigningKey

ANN, BOB = (SigningKey.from_seed(bytes([n]) * 32) for n in (1, 2))


def ask(story: Any, quorum: int = 2, **more: Any) -> Any:
    story.section()
    story.ask(quorum=quorum, **more)
    return story


def decision(story: Any) -> Any:
    return story.job.state.decisions["ap1"]


def signed(story: Any, key: SigningKey, user: str = "ann") -> Draft:
    draft = approval.grant(
        story.job.state, None, seen=story.binds, by=key_holder(user, key.public), via="cli", reason="ok",
        now=story.clock.now(),
    )  # fmt: skip
    return sign(draft, story.job.job_id, key)


# --- several persons -----------------------------------------------------------------------------------------------


def test_nothing_runs_before_everybody_said_yes(story: Any) -> None:
    ask(story, 3)
    for said, name in enumerate(("ann", "bob", "cy"), 1):
        assert decision(story).status == "open"
        with pytest.raises(ApprovalRequiredError, match=f"by 3 persons, only by {said - 1}"):
            story.use()
        with pytest.raises(InvalidTransitionError, match="not in use"):
            story.job.append([story.start()])
        story.grant(by=name)
    assert decision(story).status == "granted"
    assert decision(story).by == "ann, bob, cy"
    used = story.use()
    assert used is not None
    story.job.append([used, story.start()])


def test_one_person_counts_once(story: Any) -> None:
    ask(story)
    story.grant(by="ann")
    with pytest.raises(InvalidTransitionError, match="ann said yes already"):
        story.grant(by="ann")
    assert decision(story).missing == 1


def test_the_fold_refuses_what_the_rules_refuse(story: Any) -> None:
    ask(story)
    story.grant(by="ann")
    payload = {**story.job.events()[-1].payload}
    for change, says in (
        ({}, "ann said yes already"),
        ({"by": "bob", "via": "auto"}, "auto is none"),
        ({"by": "bob", "via": "policy"}, "policy is none"),
        ({"by": "bob", "max_uses": 2}, "one use"),
        ({"by": "bob with SHA256:x"}, "do not fit together"),
        ({"by": "bob", "signature": "x"}, "do not fit together"),
    ):
        with pytest.raises(InvalidTransitionError, match=says):
            story.job.append([Draft("approval.granted", {**payload, **change})])


@pytest.mark.parametrize("via", ["auto", "policy"])
def test_what_is_no_person_cannot_stand_in_for_one(story: Any, via: str) -> None:
    ask(story)
    with pytest.raises(ApprovalRequiredError, match="asks for 2 persons"):
        story.grant(via=via, reason="")


def test_one_no_ends_it(story: Any) -> None:
    ask(story)
    story.grant(by="ann")
    story.job.append([approval.deny(story.job.state, None, by="bob", via="cli", reason="no", now=story.clock.now())])
    with pytest.raises(ApprovalDeniedError):
        story.grant("ap1", by="cy")
    with pytest.raises(ApprovalDeniedError):
        story.use()


def test_a_yes_that_expired_does_not_count_any_more(story: Any) -> None:
    ask(story)
    story.grant(by="ann", expires_at=story.clock.now() + timedelta(hours=1))
    story.clock.advance(3600)
    story.grant(by="bob")
    assert decision(story).missing == 1
    story.grant(by="ann")
    assert decision(story).status == "granted"


def test_together_they_last_as_long_as_the_first_of_them(story: Any) -> None:
    ask(story)
    story.grant(by="ann", expires_at=story.clock.now() + timedelta(hours=1))
    story.grant(by="bob", expires_at=story.clock.now() + timedelta(hours=9))
    story.clock.advance(3600)
    with pytest.raises(ApprovalRequiredError, match="expired"):
        story.use()
    story.grant("ap1", by="cy")  # bob's still counts
    assert decision(story).status == "granted"
    assert story.use() is not None


def test_a_lapsed_decision_that_too_few_renew_is_open_again(story: Any) -> None:
    ask(story, 3)
    for name in ("ann", "bob", "cy"):
        story.grant(by=name)
    story.clock.advance(25 * 3600)
    story.grant("ap1", by="ann")
    assert (decision(story).status, decision(story).missing) == ("open", 2)
    with pytest.raises(ApprovalRequiredError):
        story.use()


@pytest.mark.parametrize("quorum", [0, 10])
def test_a_quorum_has_limits(story: Any, quorum: int) -> None:
    story.section()
    with pytest.raises(InvalidInputError, match="persons cannot be asked"):
        story.ask(quorum=quorum)


def test_a_quorum_of_one_is_written_as_ever(story: Any) -> None:
    ask(story, 1)
    assert "quorum" not in story.job.events()[-1].payload
    ask(story, 9, section=2, approval_id="ap2")
    assert story.job.events()[-1].payload["quorum"] == 9


def test_a_snapshot_keeps_who_said_yes_and_an_older_one_is_read(story: Any) -> None:
    ask(story)
    story.grant(by="ann")
    document = story.job.state.to_document()
    assert JobState.from_document(document) == story.job.state
    for name in ("quorum", "grants"):
        del document["decisions"][0][name]
    assert JobState.from_document(document).decisions["ap1"].quorum == 1


def test_the_views_say_waiting_until_the_last_one(story: Any) -> None:
    progress = RunProgress()
    ask(story)
    for name, state in (("ann", "requested"), ("bob", "granted")):
        story.grant(by=name)
        progress.feed_all(story.job.events())
        assert progress.snapshot()["approval"]["state"] == state
    assert progress.snapshot()["approval"]["by"] == "ann, bob"


def grant(by: str) -> Grant:
    return Grant(by, "cli", "", "2026-11-22T01:00:00.000000Z", "")


@pytest.mark.parametrize(
    ("earlier", "new", "counting"),
    [
        (["ann"], "bob", ["ann", "bob"]),
        (["ann"], "ann", None),
        (["ann"], "ann with SHA256:A", ["ann with SHA256:A"]),  # may be the same person
        (["ann with SHA256:A"], "ann", None),
        (["ann with SHA256:A"], "ann with SHA256:B", ["ann with SHA256:A", "ann with SHA256:B"]),
        (["ann with SHA256:A"], "bob with SHA256:A", None),
        (["ann", "bob"], "bob with SHA256:B", ["ann", "bob with SHA256:B"]),
    ],
)
def test_persons_are_told_apart_by_user_or_by_key(earlier: list[str], new: str, counting: list[str] | None) -> None:
    found = grant(new).counted_with([grant(by) for by in earlier])
    assert (None if found is None else [g.by for g in found]) == counting


# --- who they say they are, and signatures -------------------------------------------------------------------------


def test_a_claimed_name_is_recorded_and_counts_for_nothing(story: Any) -> None:
    ask(story)
    story.grant(by="root", claimed=" Ann ")
    assert story.job.events()[-1].payload["claimed"] == "Ann"
    with pytest.raises(InvalidTransitionError, match="root said yes already"):
        story.grant(by="root", claimed="Bob")
    draft = approval.deny(story.job.state, None, by="root", via="cli", reason="", now=story.clock.now(), claimed="Bob")
    assert draft.payload["claimed"] == "Bob"


def test_a_signed_approval_names_its_key_and_can_be_checked(story: Any) -> None:
    ask(story, 1)
    story.job.append([signed(story, ANN)])
    payload = story.job.events()[-1].payload
    assert payload["by"] == f"ann with {ANN.public.fingerprint}"
    assert signer_of(payload, story.job.job_id) == ANN.public
    assert story.use() is not None


def test_an_unsigned_approval_has_no_signer(approved: Any) -> None:
    event = next(e for e in approved.job.events() if e.type == "approval.granted")
    assert signer_of(event.payload, approved.job.job_id) is None


@pytest.mark.parametrize("field", ["approval_id", "checkpoint_seq", "via", "reason", "expires_at", "max_uses", "binds"])
def test_a_signature_is_about_everything_that_is_said(story: Any, field: str) -> None:
    ask(story, 1)
    payload = dict(signed(story, ANN).payload)
    before = payload[field]
    if field == "binds":
        payload[field] = {**before, "bundle": "9" * 64}
    else:
        payload[field] = before + 1 if isinstance(before, int) else before + "x"
    with pytest.raises(SignatureInvalidError, match="something else"):
        signer_of(payload, story.job.job_id)


def test_a_signature_is_for_one_job(story: Any) -> None:
    ask(story, 1)
    with pytest.raises(SignatureInvalidError, match="something else"):
        signer_of(signed(story, ANN).payload, "job_other")


def test_a_signature_of_another_key_is_told(story: Any) -> None:
    ask(story, 1)
    ann, bob = signed(story, ANN).payload, signed(story, BOB).payload
    for change, says in (
        ({"signature": bob["signature"]}, "something else"),
        ({"signer": bob["signer"]}, "names 'ann with"),
        ({"signer": ann["signer"] + " ann"}, "names 'ann with"),
        ({"signer": "ssh-rsa AAAA"}, "no key"),
        ({"by": "ann with SHA256:x"}, "names 'ann with SHA256:x'"),
        ({"signature": "{}"}, "not one statement"),
        ({"claimed": "Bob"}, "something else"),
    ):
        with pytest.raises(SignatureInvalidError, match=says):
            signer_of({**ann, **change}, story.job.job_id)


def test_nobody_signs_for_somebody_else(story: Any) -> None:
    ask(story, 1)
    draft = approval.grant(
        story.job.state, None, seen=story.binds, by=key_holder("ann", ANN.public), via="cli", reason="ok",
        now=story.clock.now(),
    )  # fmt: skip
    with pytest.raises(InvalidInputError, match="signed by whom it names"):
        sign(draft, story.job.job_id, BOB)


def test_the_longest_approval_can_be_signed(story: Any) -> None:
    ask(story, 1)
    draft = approval.grant(
        story.job.state, None, seen=story.binds, by=key_holder("u" * 400, ANN.public), via="cli", reason="r" * 9000,
        now=story.clock.now(), claimed="c" * 900,
    )  # fmt: skip
    story.job.append([sign(draft, story.job.job_id, ANN)])
    assert signer_of(story.job.events()[-1].payload, story.job.job_id) == ANN.public


# --- an environment that somebody accepted ---------------------------------------------------------------------------


def accept_environment(story: Any) -> None:
    payload = {
        "rules": [{"rule": "os", "value": "bsd"}], "expected_hash": "e" * 64, "actual_hash": "1" * 64,
        "reason": "moved", "by": "ann", "once": True,
    }  # fmt: skip
    story.job.append([Draft("env.override", payload)])


def test_an_accepted_environment_lets_a_begun_section_go_on(approved: Any) -> None:
    used = approved.use()
    assert used is not None
    approved.job.append([used, approved.start(), approved.done()])
    accept_environment(approved)
    assert approved.use(environment="1" * 64) is None
    with pytest.raises(ApprovalRequiredError, match="environment"):
        approved.use(environment="2" * 64)
    with pytest.raises(ApprovalRequiredError, match="bundle"):
        approved.use(environment="1" * 64, bundle="9" * 64)


def test_an_accepted_environment_does_not_stand_in_for_an_approval(approved: Any) -> None:
    used = approved.use()
    accept_environment(approved)
    with pytest.raises(ApprovalRequiredError, match="environment"):
        approved.use(environment="1" * 64)
    with pytest.raises(InvalidTransitionError, match="binds another environment"):
        approved.job.append([used])
