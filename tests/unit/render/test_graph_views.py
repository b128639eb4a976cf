"""The dependency graph: every resource and edge once, in all three forms."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clockwork_nb.render.graph import COLLAPSE_ABOVE, graph_of, graph_text, plan_dot, plan_svg

SAMPLES = Path(__file__).parent / "samples"


def plan(edges: dict[str, list[str]], kind: str = "create") -> dict[str, Any]:
    return {
        "changes": [
            {"address": a, "type": a.partition(".")[0], "kind": kind, "dependencies": needs}
            for a, needs in edges.items()
        ]
    }


@pytest.fixture
def document() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((SAMPLES / "plan.json").read_text())
    return loaded


def boxes(svg: str) -> dict[str, tuple[float, float]]:
    """Return the name of each box and its corner."""
    found = re.findall(r"<title>([^<]*): [^<]*</title><rect x=\"([\d.]+)\" y=\"([\d.-]+)\"", svg)
    return {name: (float(x), float(y)) for name, x, y in found}


def test_the_text_names_every_resource_and_what_it_needs(document: dict[str, Any]) -> None:
    assert graph_text(document) == (
        "12 resources, 2 edges\n"
        "  + directory.site\n"
        "  + file.index      needs directory.site\n"
        "  ~ file.config\n"
        "  ± service.web     needs file.motd\n"
        "  ~ file.motd\n"
        "    file.f0\n    file.f1\n    file.f2\n    file.f3\n    file.f4\n    file.f5\n    file.f6"
    )


def test_the_drawing_has_the_text_for_screen_readers(document: dict[str, Any]) -> None:
    svg = plan_svg(document)
    assert 'role="img"' in svg
    assert "<title>Dependency graph: 12 resources, 2 edges</title>" in svg
    assert "needs directory.site" in svg
    assert 'stroke="currentColor"' in svg
    assert set(boxes(svg)) == {change["address"] for change in document["changes"]}


def test_what_is_needed_stands_to_the_left() -> None:
    drawn = boxes(plan_svg(plan({"a.a": [], "b.b": ["a.a"], "c.c": ["b.b", "a.a"], "d.d": []})))
    assert drawn["a.a"][0] < drawn["b.b"][0] < drawn["c.c"][0]
    assert drawn["d.d"][0] == drawn["a.a"][0]


@given(st.lists(st.lists(st.integers(min_value=0, max_value=30), max_size=4), min_size=1, max_size=30))
def test_no_two_boxes_share_a_place_and_every_edge_is_drawn(needs: list[list[int]]) -> None:
    edges = {f"t.r{i}": sorted({f"t.r{n}" for n in wanted if n < i}) for i, wanted in enumerate(needs)}
    svg = plan_svg(plan(edges))
    drawn = boxes(svg)
    assert len(set(drawn.values())) == len(drawn) == len(needs)
    assert svg.count("<path ") == sum(map(len, edges.values()))
    for name, wanted in edges.items():
        assert all(drawn[need][0] < drawn[name][0] for need in wanted)


def test_crossing_edges_are_untangled() -> None:
    drawn = boxes(plan_svg(plan({"a.a": [], "a.b": [], "b.x": ["a.b"], "b.y": ["a.a"]})))
    assert (drawn["a.a"][1] < drawn["a.b"][1]) == (drawn["b.y"][1] < drawn["b.x"][1])


def test_many_resources_are_drawn_by_type_even_when_types_need_each_other() -> None:
    edges: dict[str, list[str]] = {f"file.f{i}": [] for i in range(COLLAPSE_ABOVE)}
    edges["service.a"] = ["file.f0"]
    edges["file.last"] = ["service.a"]
    document = plan(edges)
    graph = graph_of(document)
    assert graph.collapsed
    assert set(graph.edges) == {("file", "service"), ("service", "file")}
    assert set(boxes(plan_svg(document))) == {"file", "service"}
    assert graph_text(document).splitlines() == [
        "62 resources, 2 edges, by type",
        "  + file × 61, 61 change   needs service",
        "  + service × 1, 1 change  needs file",
    ]


def test_a_chain_of_ten_thousand_is_not_recursed_into() -> None:
    edges = {f"t{i}.r": [f"t{i - 1}.r"] if i else [] for i in range(10_000)}
    assert plan_svg(plan(edges)).count("<path ") == 9_999


def test_an_empty_plan_is_an_empty_drawing() -> None:
    assert graph_text(plan({})) == "0 resources, 0 edges"
    assert boxes(plan_svg(plan({}))) == {}


def test_dot_quotes_every_name() -> None:
    dot = plan_dot(plan({'a."]; x -> y; //': []}))
    assert '  "a.\\"]; x -> y; //" [label="+ a.\\"]; x -> y; //"];' in dot.splitlines()


def test_the_same_document_makes_the_same_drawing(document: dict[str, Any]) -> None:
    assert plan_svg(document) == plan_svg(json.loads(json.dumps(document)))
