"""The recorded state as a document."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from clockwork_nb.assembly.prior import PriorResource, PriorState
from clockwork_nb.errors import InvalidInputError

STATE = PriorState(
    lineage="l1",
    serial=7,
    resources={
        "file.b": PriorResource("file", {"path": "b"}, "main.cw", ("file.a",), "failed", {"size": 1}),
        "file.a": PriorResource("file", {"path": "a"}),
    },
    outputs={"url": "u", "token": {"$sensitive": "00"}},
    ports={"web": 8080},
    last={"job": "job_1", "section": 1, "seq": 9},
)


def test_the_document_is_sorted_and_reads_back() -> None:
    doc = STATE.to_document()
    assert doc["schema"] == "clockwork.state.v1"
    assert [r["address"] for r in doc["resources"]] == ["file.a", "file.b"]
    assert doc["outputs"] == [
        {"name": "token", "value": {"$sensitive": "00"}, "sensitive": True},
        {"name": "url", "value": "u", "sensitive": False},
    ]
    assert doc["ports"] == [{"name": "web", "port": 8080}]
    assert PriorState.from_document(doc) == STATE
    assert PriorState.from_document(PriorState().to_document()) == PriorState()


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda d: d.update(schema="x"), "schema"),
        (lambda d: d.update(lineage=3), "lineage"),
        (lambda d: d.update(serial=-1), "serial"),
        (lambda d: d.update(serial=True), "serial"),
        (lambda d: d.update(resources={}), "resources"),
        (lambda d: d.pop("outputs"), "outputs"),
        (lambda d: d.update(last=[]), "last"),
        (lambda d: d["resources"].append(d["resources"][0]), r"resources[2].address"),
        (lambda d: d["resources"][0].update(address="no"), r"resources[0].address"),
        (lambda d: d["resources"][0].update(status="fine"), r"resources[0].status"),
        (lambda d: d["resources"][0].update(dependencies=[1]), r"resources[0].dependencies"),
        (lambda d: d["resources"][0].pop("config"), r"resources[0].config"),
        (lambda d: d["outputs"][0].pop("value"), r"outputs[0]"),
        (lambda d: d["ports"][0].update(port="x"), r"ports[0]"),
    ],
)
def test_a_damaged_state_is_refused_and_the_place_is_named(change: Callable[[Any], Any], where: str) -> None:
    doc = copy.deepcopy(STATE.to_document())
    change(doc)
    with pytest.raises(InvalidInputError) as caught:
        PriorState.from_document(doc)
    assert caught.value.details["where"] == where
