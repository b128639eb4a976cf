"""The digest of a bundle covers everything an approval is about, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from clockwork_nb.canonical import parse_json
from clockwork_nb.forge.bundle import Bundle, BundleStep
from tests.conformance.bundles.hostile_bundles import HONEST, STEPS, with_artifact, with_step


def test_the_document_names_contents_by_digest_and_size() -> None:
    artifact = HONEST.to_document()["artifacts"][0]
    assert artifact["path"] == "scripts/file.a/content.txt"
    assert artifact["size"] == 6
    assert len(artifact["sha256"]) == 64
    assert "content" not in artifact


@pytest.mark.parametrize(
    "changes",
    [
        {"cmd": ("sh", "-e", STEPS[0].cmd[1])},
        {"vars": {"CW_MODE": "0600"}},
        {"data": {}},
        {"write": ("out", "x")},
        {"network": True},
        {"network": (80,)},
        {"cls": "host"},
        {"cwd": "sub"},
        {"interpreter": "/usr/local/bin/sh"},
        {"interpreter_sha256": "cd" * 32},
        {"secret_vars": {"TOKEN": "t"}},
        {"inherits_environment": True},
        {"detaches": True},
    ],
    ids=lambda c: next(iter(c)),
)
def test_every_fact_of_a_step_changes_the_digest(changes: dict[str, Any]) -> None:
    assert with_step(0, **changes).digest != HONEST.digest


@pytest.mark.parametrize(
    "changes",
    [
        {"content": b"x"},
        {"content": HONEST.artifacts[0].content.swapcase()},
        {"mode": "0644"},
        {"purpose": "x"},
        {"lang": "bash"},
        {"secret": "s"},
    ],
)
def test_every_fact_of_an_artifact_changes_the_digest(changes: dict[str, Any]) -> None:
    assert with_artifact(0, **changes).digest != HONEST.digest


def test_secret_values_and_the_order_of_artifacts_do_not_change_it() -> None:
    turned = replace(HONEST, artifacts=HONEST.artifacts[::-1], secrets={"s": "value"})
    assert turned.digest == HONEST.digest
    assert b"value" not in turned.document_bytes()


def test_a_step_comes_back_from_its_document() -> None:
    step = replace(STEPS[0], secret_vars={"TOKEN": "t"}, network=(80, 443))
    assert BundleStep.from_document(step.to_document()) == step
    whole = parse_json(HONEST.document_bytes())
    steps = tuple(BundleStep.from_document(s) for s in whole["steps"])
    assert Bundle(HONEST.artifacts, steps).digest == HONEST.digest
