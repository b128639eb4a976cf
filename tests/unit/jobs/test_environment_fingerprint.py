"""What a job remembers of its machine, and what it says when that moved."""

from __future__ import annotations

from typing import Any

import pytest

from clockwork_nb.errors import EnvironmentMismatchError, InvalidInputError
from clockwork_nb.jobs.fingerprint import (
    DEFAULT_RULES,
    captured_draft,
    check_environment,
    compare,
    fingerprint,
    fingerprint_hash,
    normalize_rules,
    override_draft,
)
from clockwork_nb.testing import MemoryJob

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


def test_an_override_becomes_the_new_baseline(job: Any) -> None:
    there = fingerprint([], {**HERE, "os": "freebsd"})
    with pytest.raises(InvalidInputError, match="reason"):
        override_draft(job.state, there, by="ann", reason="")
    job.append([override_draft(job.state, there, by="ann", reason="moved house")])
    check_environment(job.state, there)
    assert job.state.env_hash == fingerprint_hash(there)
    with pytest.raises(InvalidInputError, match="no recorded environment"):
        override_draft(MemoryJob().state, there, by="ann", reason="x")
