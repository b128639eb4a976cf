"""The plan's dependency graph: a drawing, a text form with the same facts, DOT and JSON for other tools.

Everything depends on nothing but the plan's document. Above `COLLAPSE_ABOVE` resources one box stands for all resources
of a type; the JSON form alone always has them all.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from clockwork_nb.render.plan_words import SIGNS
from clockwork_nb.render.text import columns_of, pad, plural, visible

__all__ = [
    "COLLAPSE_ABOVE",
    "Graph",
    "Node",
    "graph_json",
    "graph_of",
    "graph_text",
    "plan_dot",
    "plan_graph_svg",
    "sign_of",
    "title_of",
]

COLLAPSE_ABOVE: Final = 150
"""Most resources that are drawn one by one."""


class Node(Struct, frozen=True):
    """A box: its name, the kind of change ("noop" for none, "mixed" for a type), what it says, and whether its change
    waits for something that the plan finds out. ``signed`` False: the label says what changes, no sign goes before it."""

    name: str
    kind: str
    label: str
    later: bool = False
    signed: bool = True


class Graph(Struct, frozen=True):
    """Boxes by name in the plan's order, and edges (what is needed, what needs it), each once.

    ``collapsed`` when the boxes are types; ``resources`` counts what they stand for, ``kinds`` are the kinds of change
    among these, each once.
    """

    nodes: Mapping[str, Node]
    edges: tuple[tuple[str, str], ...]
    collapsed: bool = False
    resources: int = 0
    kinds: tuple[str, ...] = ()


def graph_of(document: Mapping[str, Any]) -> Graph:
    """Return the graph of a plan document, by type when it has more than `COLLAPSE_ABOVE` resources."""
    changes = document["changes"]
    if len(changes) > COLLAPSE_ABOVE:
        return _by_type(changes)
    nodes = {
        c["address"]: Node(c["address"], c["kind"], visible(c["address"]), bool(c.get("deferred"))) for c in changes
    }
    return Graph(nodes, _edges(changes, {name: name for name in nodes}), resources=len(nodes), kinds=_kinds(changes))


def _by_type(changes: Sequence[Mapping[str, Any]]) -> Graph:
    members: dict[str, list[str]] = {}
    for change in changes:
        members.setdefault(change["type"], []).append(change["kind"])
    nodes = {}
    for name, kinds in members.items():
        counts = Counter(kind for kind in kinds if kind != "noop")
        signs = " ".join(f"{sign_of(kind)}{counts[kind]:,}" for kind in SIGNS if kind in counts)
        label = f"{visible(name)} × {len(kinds):,}" + (f": {signs}" if signs else "")
        nodes[name] = Node(name, kinds[0] if len(set(kinds)) == 1 else "mixed", label, signed=False)
    edges = _edges(changes, {c["address"]: c["type"] for c in changes})
    return Graph(nodes, edges, collapsed=True, resources=len(changes), kinds=_kinds(changes))


def _kinds(changes: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(c["kind"] for c in changes))


def _edges(changes: Sequence[Mapping[str, Any]], box_of: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    found = ((box_of[need], box_of[c["address"]]) for c in changes for need in c["dependencies"] if need in box_of)
    return tuple(dict.fromkeys((need, name) for need, name in found if need != name))


def sign_of(kind: str) -> str:
    """Return the sign of a box of that kind; ``*`` for a type with several."""
    return "*" if kind == "mixed" else SIGNS.get(kind, "?")


def title_of(node: Node) -> str:
    """Return what a box says: its sign and its label; a type's label has the signs already."""
    return f"{sign_of(node.kind)} {node.label}".strip() if node.signed else node.label


def graph_text(document: Mapping[str, Any]) -> str:
    """Return the graph as lines ``sign name  needs a, b``, in the plan's order; one line a resource (or type)."""
    graph = graph_of(document)
    needs: dict[str, list[str]] = {}
    for need, name in graph.edges:
        needs.setdefault(name, []).append(visible(need))
    column = min(max((columns_of(n.label) for n in graph.nodes.values()), default=0), 60) + 2
    lines = [_counted(graph) + (", by type" if graph.collapsed else "")]
    for node in graph.nodes.values():
        words = f"needs {', '.join(needs[node.name])}" if node.name in needs else ""
        sign = f"{sign_of(node.kind)} " if node.signed else ""
        lines.append(f"  {sign}{pad(node.label, column)}{words}".rstrip())
    return "\n".join(lines)


def _counted(graph: Graph) -> str:
    return f"{plural(graph.resources, 'resource')}, {plural(len(graph.edges), 'edge')}"


def plan_dot(document: Mapping[str, Any]) -> str:
    """Return the graph in the DOT language (https://graphviz.org/doc/info/lang.html), every name quoted.

    An arrow leads to what is needed, which stands to the left.
    """
    graph = graph_of(document)
    lines = ["digraph plan {", "  rankdir=RL;", "  node [shape=box];"]
    for node in graph.nodes.values():
        lines.append(f"  {_dot(node.name)} [label={_dot(title_of(node))}];")
    lines += [f"  {_dot(name)} -> {_dot(need)};" for need, name in graph.edges]
    return "\n".join([*lines, "}", ""])


def _dot(text: str) -> str:
    return json.dumps(visible(text), ensure_ascii=False)


def graph_json(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the whole graph: ``nodes`` (address, type, kind) in the plan's order, and ``edges`` (from what needs, to
    what is needed), each once; never by type."""
    changes = document["changes"]
    edges = _edges(changes, {c["address"]: c["address"] for c in changes})
    return {
        "nodes": [{"address": c["address"], "type": c["type"], "kind": c["kind"]} for c in changes],
        "edges": [{"from": name, "to": need} for need, name in edges],
    }


def plan_graph_svg(document: Mapping[str, Any], *, standalone: bool = False) -> str:
    """Return the graph as an SVG: every text escaped, a title and a text description for screen readers, nothing that
    runs or is fetched.

    To be put into a page as it is; *standalone* makes it a file of its own, with colours for light and dark.
    """
    from clockwork_nb.render.graph_svg import draw

    graph = graph_of(document)
    return draw(
        graph,
        title=f"Dependency graph: {_counted(graph)}",
        description=graph_text(document),
        standalone=standalone,
    )
