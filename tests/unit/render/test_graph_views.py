"""The dependency graph: every resource and edge once, in all three forms."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clockwork_nb.render.graph import COLLAPSE_ABOVE, graph_json, graph_of, graph_text, plan_dot, plan_graph_svg
from clockwork_nb.render.graph_layout import layered

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
    svg = plan_graph_svg(document)
    assert 'role="img"' in svg
    assert "<title>Dependency graph: 12 resources, 2 edges</title>" in svg
    assert "needs directory.site" in svg
    assert 'stroke="currentColor"' in svg
    assert set(boxes(svg)) == {change["address"] for change in document["changes"]}


def test_what_is_needed_stands_to_the_left() -> None:
    drawn = boxes(plan_graph_svg(plan({"a.a": [], "b.b": ["a.a"], "c.c": ["b.b", "a.a"], "d.d": []})))
    assert drawn["a.a"][0] < drawn["b.b"][0] < drawn["c.c"][0]
    assert drawn["d.d"][0] == drawn["a.a"][0]


def tips(svg: str) -> set[tuple[float, float]]:
    """Return the points of all arrow heads: the middle one of the two short strokes at an edge's end."""
    found = re.findall(r"M[\d.-]+ [\d.-]+L([\d.-]+) ([\d.-]+)L[\d.-]+ [\d.-]+", svg)
    return {(float(x), float(y)) for x, y in found}


def test_an_arrow_ends_at_what_is_needed() -> None:
    svg = plan_graph_svg(plan({"a.a": [], "b.b": ["a.a"]}))
    (x, y), drawn = tips(svg).pop(), boxes(svg)
    assert drawn["a.a"][0] < x < drawn["b.b"][0]
    assert drawn["a.a"][1] < y < drawn["a.a"][1] + 26
    right = re.search(r'<title>a.a: create</title><rect [^>]*width="([\d.]+)"', svg)
    assert right is not None
    assert x == pytest.approx(drawn["a.a"][0] + float(right.group(1)))
    assert "An arrow leads to what is needed." in svg


@given(st.lists(st.lists(st.integers(min_value=0, max_value=30), max_size=4), min_size=1, max_size=30))
def test_no_two_boxes_share_a_place_and_every_edge_is_drawn(needs: list[list[int]]) -> None:
    edges = {f"t.r{i}": sorted({f"t.r{n}" for n in wanted if n < i}) for i, wanted in enumerate(needs)}
    svg = plan_graph_svg(plan(edges))
    drawn = boxes(svg)
    assert len(set(drawn.values())) == len(drawn) == len(needs)
    assert svg.count("<path ") == sum(map(len, edges.values()))
    for name, wanted in edges.items():
        assert all(drawn[need][0] < drawn[name][0] for need in wanted)


def test_crossing_edges_are_untangled() -> None:
    drawn = boxes(plan_graph_svg(plan({"a.a": [], "a.b": [], "b.x": ["a.b"], "b.y": ["a.a"]})))
    assert (drawn["a.a"][1] < drawn["a.b"][1]) == (drawn["b.y"][1] < drawn["b.x"][1])


def test_many_resources_are_drawn_by_type_even_when_types_need_each_other() -> None:
    edges: dict[str, list[str]] = {f"file.f{i}": [] for i in range(COLLAPSE_ABOVE)}
    edges["service.a"] = ["file.f0"]
    edges["file.last"] = ["service.a"]
    document = plan(edges)
    document["changes"][0]["kind"] = "update"
    graph = graph_of(document)
    assert graph.collapsed
    assert set(graph.edges) == {("file", "service"), ("service", "file")}
    svg = plan_graph_svg(document)
    assert set(boxes(svg)) == {"file", "service"}
    assert svg.count("<path ") == 1
    assert len(tips(svg)) == 2
    assert "152 resources, drawn by type: above 150 they are not drawn one by one." in svg
    assert len(graph_json(document)["nodes"]) == COLLAPSE_ABOVE + 2
    assert graph_text(document).splitlines() == [
        "152 resources, 2 edges, by type",
        "  file × 151: +150 ~1  needs service",
        "  service × 1: +1      needs file",
    ]


def test_a_chain_of_ten_thousand_is_not_recursed_into() -> None:
    edges = {f"t{i}.r": [f"t{i - 1}.r"] if i else [] for i in range(10_000)}
    assert plan_graph_svg(plan(edges)).count("<path ") == 9_999


def test_an_empty_plan_is_an_empty_drawing() -> None:
    assert graph_text(plan({})) == "0 resources, 0 edges"
    assert boxes(plan_graph_svg(plan({}))) == {}
    assert "There is nothing to draw." in plan_graph_svg(plan({}))


def test_dot_quotes_every_name() -> None:
    dot = plan_dot(plan({'a."]; x -> y; //': []}))
    assert '  "a.\\"]; x -> y; //" [label="+ a.\\"]; x -> y; //"];' in dot.splitlines()


def test_the_same_document_makes_the_same_drawing(document: dict[str, Any]) -> None:
    assert plan_graph_svg(document) == plan_graph_svg(json.loads(json.dumps(document)))


def test_edges_that_cross_many_ranks_stay_linear() -> None:
    """Every box needs the first one and the one before it: helper points for each would be a square of the boxes."""
    names = [f"t.r{i}" for i in range(4_000)]
    edges = [(names[i - 1], names[i]) for i in range(1, len(names))] + [(names[0], n) for n in names[2:]]
    found = layered(names, edges, box=40, helper=14)
    assert sum(map(len, found.ranks)) < 8 * len(names)
    assert len(found.paths) == len(edges)


@given(st.lists(st.lists(st.integers(min_value=0, max_value=20), max_size=3), min_size=2, max_size=20))
def test_points_of_a_rank_keep_their_distance(needs: list[list[int]]) -> None:
    names = [f"t.r{i}" for i in range(len(needs))]
    edges = sorted({(f"t.r{n}", f"t.r{i}") for i, wanted in enumerate(needs) for n in wanted if n < i})
    joined = [n for n in names if any(n in e for e in edges)]
    found = layered(joined, edges, box=40, helper=14)
    for rank in found.ranks:
        for above, below in pairwise(rank):
            least = sum(40 if isinstance(p, str) else 14 for p in (above, below)) / 2
            assert found.y[below] - found.y[above] >= least - 1e-6
    assert min(found.y.values(), default=0.0) == 0.0


def test_boxes_without_an_edge_stand_in_columns_below() -> None:
    drawn = boxes(plan_graph_svg(plan({f"file.f{i}": [] for i in range(100)})))
    assert len({x for x, _ in drawn.values()}) > 4
    assert len({y for _, y in drawn.values()}) < 25


def test_a_kind_is_told_by_sign_word_and_colour_and_a_waiting_one_says_later() -> None:
    document = plan({"a.a": [], "b.b": ["a.a"]})
    document["changes"][0]["kind"] = "delete"
    document["changes"][1]["deferred"] = "a.a is not there yet"
    svg = plan_graph_svg(document)
    assert "- delete" in svg
    assert "- a.a" in svg
    assert "color:var(--cw-bad,inherit)" in svg
    assert "<title>b.b: create, later</title>" in svg


def test_a_file_of_its_own_has_colours_for_light_and_dark_and_a_view_in_a_page_has_none() -> None:
    document = plan({"a.a": []})
    svg = plan_graph_svg(document, standalone=True)
    assert "prefers-color-scheme:dark" in svg
    assert "<style" not in plan_graph_svg(document)
    root = ElementTree.fromstring(svg)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    for child in ("title", "desc", "style"):
        assert root.find(f"{{http://www.w3.org/2000/svg}}{child}") is not None


def test_the_json_form_has_every_resource_and_edge() -> None:
    assert graph_json(plan({"a.a": [], "b.b": ["a.a", "x.gone"]})) == {
        "nodes": [
            {"address": "a.a", "type": "a", "kind": "create"},
            {"address": "b.b", "type": "b", "kind": "create"},
        ],
        "edges": [{"from": "b.b", "to": "a.a"}],
    }
