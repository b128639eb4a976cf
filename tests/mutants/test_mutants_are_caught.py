"""Every promise has a fault that would break it, and a test that notices (promises.md: reliability and security)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mutants.__main__ import all_lists, copied_tree, mutants_of, problem_of, run_mutant, run_tests
from tests.mutants.mutant import Mutant

MUTANTS = [mutant for name in all_lists() for mutant in mutants_of(name)]


def test_there_are_mutants_and_their_names_are_unique() -> None:
    assert len(MUTANTS) >= 30
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_every_mutant_still_applies(mutant: Mutant) -> None:
    assert problem_of(mutant) == ""


@pytest.fixture(scope="module")
def tree() -> Iterator[Path]:
    with copied_tree() as root:
        yield root


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("tests", sorted({test for mutant in MUTANTS for test in mutant.tests}))
def test_the_tests_pass_on_the_unbroken_copy(tree: Path, tests: str) -> None:
    """Otherwise a mutant would be called caught whatever it does."""
    status, output = run_tests([tests], tree)
    assert status == 0, output


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_is_caught(mutant: Mutant, tree: Path) -> None:
    outcome = run_mutant(mutant, tree)
    assert outcome.verdict == "caught", outcome.output
