"""Imports go downwards only (architecture.md, rule 2)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "clockwork_nb"

FOUNDATION = {
    "errors", "diagnostics", "render", "canonical", "ids", "clock", "fs", "mounts", "notices", "patterns", "policy", "settings",
    "secrets", "signing", "ports",
}  # fmt: skip
ROWS: list[set[str]] = [
    FOUNDATION,
    {"intake"},
    {"assembly", "jobs", "resources"},
    {"forge", "jobpack", "store", "workspace"},
    {"session", "arguments"},
    {"cli", "magics", "widgets", "runbook"},
]
RANK = {name: rank for rank, row in enumerate(ROWS) for name in row}
# Inside one row: foundation modules build on each other; the rest may not, except where a line here says why.
SAME_ROW_ALLOWED = {
    ("magics", "widgets"),  # magics put the panel on the screen
    ("cli", "runbook"),  # `clockwork runbook run` and `job resume` of a notebook job
    ("arguments", "session"),  # the flags of a verb are turned into its options
    ("testing", "*"),
}
JUPYTER = {"IPython", "ipykernel", "ipywidgets", "anywidget", "papermill", "nbformat", "nbclient", "traitlets", "comm"}
LAZY_ONLY = JUPYTER | {"pydantic", "jsonschema", "cryptography", "hcl2", "yaml"}
HEAVY_AT_TOP_ALLOWED = {"magics", "widgets", "runbook"}


def room(path: Path) -> str:
    relative = path.relative_to(PACKAGE)
    return relative.parts[0].removesuffix(".py")


def imports(tree: ast.AST, *, top_level_only: bool = False) -> Iterator[tuple[str, int]]:
    stack: list[ast.AST] = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            stack.extend(node.orelse)
            continue
        if top_level_only and isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module, node.lineno
            if node.module == "clockwork_nb":
                yield from ((f"clockwork_nb.{alias.name}", node.lineno) for alias in node.names)
        stack.extend(ast.iter_child_nodes(node))


def sources() -> list[Path]:
    found = []
    for folder in (PACKAGE, ROOT / "magics", ROOT / "widgets"):
        for path in folder.rglob("*.py"):
            if "__pycache__" not in path.parts:
                base = path.relative_to(folder)
                found.append(PACKAGE / base if folder == PACKAGE else PACKAGE / folder.name / base)
    return sorted(set(found))


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_downwards(path: Path) -> None:
    here = room(path)
    if here in {"__init__", "testing"}:
        return
    assert here in RANK, f"{here} is not in the picture of architecture.md"
    for name, line in imports(ast.parse(path.read_text())):
        if not name.startswith("clockwork_nb."):
            continue
        there = name.split(".")[1]
        if there == here or there not in RANK:
            continue
        where = f"{path.name}:{line} imports {name}"
        if RANK[there] == RANK[here]:
            assert here in FOUNDATION or (here, there) in SAME_ROW_ALLOWED, f"{where}: same row"
        else:
            assert RANK[there] < RANK[here], f"{where}: upwards"


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_heavy_modules_are_imported_when_used(path: Path) -> None:
    here = room(path)
    if here in HEAVY_AT_TOP_ALLOWED or path.name.endswith("config.py"):
        return
    for name, line in imports(ast.parse(path.read_text()), top_level_only=True):
        assert name.split(".")[0] not in LAZY_ONLY, f"{path.name}:{line} imports {name} at module level"


def test_every_room_is_in_the_picture() -> None:
    rooms = {room(p) for p in sources()} - {"__init__", "testing"}
    assert rooms <= set(RANK)
