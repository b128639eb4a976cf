"""Every hostile bundle is refused with its code, and nothing is written for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from clockwork_nb.errors import BundleError, BundlePathError
from clockwork_nb.forge.artifacts import stage
from clockwork_nb.forge.validate import check_bundle, validate_bundle
from tests.conformance.bundles.hostile_bundles import ACTIONS, ESCAPES, HONEST, PATH, SECRET, Case, at_path, cases

CASES = list(cases())


def test_the_honest_bundle_passes() -> None:
    assert validate_bundle(HONEST, ACTIONS) == []


def test_the_corpus_is_as_large_as_promised_and_its_names_are_unique() -> None:
    assert len(CASES) >= 110
    assert len({c.name for c in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_it_is_refused_with_its_code(case: Case) -> None:
    with pytest.raises(BundleError) as caught:
        check_bundle(case.bundle, case.actions, source=case.source)
    found = caught.value.details["findings"]
    assert caught.value.code == case.code, found
    assert all(f["place"] and f["message"] for f in found)
    assert SECRET not in str(found) + caught.value.message


@pytest.mark.parametrize("path", ESCAPES.values(), ids=ESCAPES.keys())
def test_nothing_is_written_for_an_escape_even_unvalidated(path: str, tmp_path: Path) -> None:
    build = tmp_path / "ws" / "build"
    build.mkdir(parents=True)
    with pytest.raises(BundlePathError) as caught:
        stage(at_path(path), build)
    assert caught.value.code == PATH
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*")) == ["ws", "ws/build"]
