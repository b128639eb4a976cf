"""Values are `msgspec.Struct` or tuples: making a dataclass costs a start 0.5 to 1 ms each, a struct 0.02."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "clockwork_nb"
# Their text runs under any Python 3, without this package and what it needs.
SCRIPTS = {
    "forge/inside.py", "forge/landlock.py", "forge/launcher.py", "forge/supervisor.py", "resources/image/context.py",
    "resources/terraform/drive.py", "resources/terraform/reading.py",
}  # fmt: skip


def sources() -> list[Path]:
    folders = [PACKAGE, *(path for path in PACKAGE.iterdir() if path.is_symlink())]
    return sorted({path for folder in folders for path in folder.rglob("*.py")})


def imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found


def test_no_module_makes_dataclasses() -> None:
    found = {str(path.relative_to(PACKAGE)) for path in sources() if "dataclasses" in imported(path)}
    assert found <= SCRIPTS, f"make these classes a msgspec.Struct: {sorted(found - SCRIPTS)}"
    assert any("magics" in str(path) for path in sources())  # the folders behind links are read too


@pytest.mark.parametrize("script", sorted(SCRIPTS))
def test_text_that_runs_elsewhere_needs_no_package(script: str) -> None:
    assert "msgspec" not in imported(PACKAGE / script)
