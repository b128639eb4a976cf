"""What a job remembers of its machine, and what it says when that moved."""

from __future__ import annotations

from typing import Any

import pytest

from clockwork_nb.errors import EnvironmentMismatchError, InvalidInputError
from clockwork_nb.jobs.fingerprint import (
    DEFAULT_RULES,
    KEYED,
    Difference,
    captured_draft,
    check_environment,
    compare,
    fingerprint,
    fingerprint_hash,
    normalize_rules,
    override_draft,
)
from clockwork_nb.jobs.model import JobState
from clockwork_nb.ports import Draft
from clockwork_nb.testing import MemoryJob

LEASE = {"runner_id": "r2", "host_id": "h", "ttl_ms": 1000, "tool_version": "t", "takeover": True}
HERE = {"os": "linux", "arch": "x86_64", "python": "3.11.7"}


def test_rules_are_cleaned_sorted_and_default_to_os_arch_python() -> None:
    assert normalize_rules([" python", "os", "os"]) == ("os", "python")
    assert normalize_rules([]) == DEFAULT_RULES == ("arch", "os", "python")


@pytest.mark.parametrize("rule", ["", "env:", "env:1X", "file:", "phase_of_moon", "OS", "env:A=B"])
def test_an_unknown_rule_is_refused(rule: str) -> None:
    with pytest.raises(InvalidInputError, match="not a fingerprint rule"):
        normalize_rules([rule])


def test_the_hash_does_not_depend_on_the_order() -> None:
    rules = fingerprint([], HERE)
    assert [item["rule"] for item in rules] == ["arch", "os", "python"]
    assert fingerprint_hash(rules) == fingerprint_hash(list(reversed(rules)))
    with pytest.raises(InvalidInputError, match="hostname"):
        fingerprint(["hostname"], HERE)


def test_a_difference_reads_like_a_sentence() -> None:
    moved = compare(fingerprint([], HERE), [{"rule": "os", "value": ""}, {"rule": "python", "value": "3.12.1"}])
    assert [str(item) for item in moved] == [
        "arch: x86_64 -> (not recorded)",
        "os: linux -> (empty)",
        "python: 3.11.7 -> 3.12.1",
    ]


@pytest.fixture
def job() -> MemoryJob:
    job = MemoryJob()
    job.append([captured_draft(fingerprint([], HERE))])
    return job


def test_the_same_environment_passes_and_another_one_blocks(job: Any) -> None:
    check_environment(job.state, fingerprint([], HERE))
    with pytest.raises(EnvironmentMismatchError) as caught:
        check_environment(job.state, fingerprint([], {**HERE, "python": "3.12.1"}))
    assert caught.value.exit_code == 11
    assert "python: 3.11.7 -> 3.12.1" in caught.value.hint
    assert caught.value.details["moved"] == [{"rule": "python", "before": "3.11.7", "after": "3.12.1"}]


def resume(job: MemoryJob) -> None:
    """Let another process take the job over."""
    job.epoch += 1
    job.append([Draft("lease.taken", LEASE)])


def test_an_override_is_good_for_one_resume(job: MemoryJob) -> None:
    there = fingerprint([], {**HERE, "os": "freebsd"})
    recorded = job.state.env_hash
    job.append([override_draft(job.state, there, by="ann", reason="moved house")])
    assert job.state.environment == fingerprint_hash(there)
    assert job.state.env_hash == recorded
    resume(job)
    assert job.state.environment == recorded
    with pytest.raises(EnvironmentMismatchError):
        check_environment(job.state, there)
    check_environment(job.state, fingerprint([], HERE))
    job.append([override_draft(job.state, there, by="bob", reason="still there")])  # each resume says so again
    assert job.state.environment == fingerprint_hash(there)


def test_an_override_of_an_earlier_version_is_the_new_baseline(job: MemoryJob) -> None:
    there = fingerprint([], {**HERE, "os": "freebsd"})
    for before, after in ((fingerprint([], HERE), there), (there, fingerprint([], HERE))):
        payload = {
            "rules": after, "expected_hash": fingerprint_hash(before), "actual_hash": fingerprint_hash(after),
            "reason": "r", "by": "ann",
        }  # fmt: skip
        job.append([Draft("env.override", payload)])
        resume(job)
        check_environment(job.state, after)
    assert JobState.from_document(job.state.to_document()) == job.state


def test_an_override_needs_a_reason_and_something_recorded(job: MemoryJob) -> None:
    there = fingerprint([], {**HERE, "os": "freebsd"})
    with pytest.raises(InvalidInputError, match="reason"):
        override_draft(job.state, there, by="ann", reason=" ")
    with pytest.raises(InvalidInputError, match="no recorded environment"):
        override_draft(MemoryJob().state, there, by="ann", reason="x")


def test_what_is_behind_a_digest_is_told_in_lines_of_its_own(job: MemoryJob) -> None:
    with pytest.raises(EnvironmentMismatchError) as caught:
        check_environment(job.state, fingerprint([], {**HERE, "os": "x"}), more={"os": ["  kernel: 5 -> 6"]})
    assert caught.value.hint.splitlines()[:2] == ["os: linux -> x", "  kernel: 5 -> 6"]


@pytest.mark.parametrize(
    ("before", "after", "shown"),
    [
        (f"{KEYED}{'a' * 64}", f"{KEYED}{'b' * 64}", "env:TOKEN: another value"),
        ("(unset)", f"{KEYED}{'b' * 64}", "env:TOKEN: (unset) -> (a value)"),
        (f"{KEYED}{'a' * 64}", None, "env:TOKEN: (a value) -> (not recorded)"),
        ("c" * 64, "d" * 64, "env:TOKEN: cccccccc -> dddddddd"),
        (f"{'c' * 40} with changes {'d' * 64}", "c" * 40, "env:TOKEN: cccccccc with changes dddddddd -> cccccccc"),
    ],
)
def test_digests_are_short_and_secret_values_stay_away(before: str, after: str | None, shown: str) -> None:
    assert str(Difference("env:TOKEN", before, after)) == shown
