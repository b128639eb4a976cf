"""Nothing durable is written except through `clockwork_nb.fs`, where the tests can put a failing disk underneath."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import clockwork_nb

PACKAGE = Path(clockwork_nb.__file__).parent

# Folders and files under the rule; add a line to put more under it.
GUARDED = (
    "store/*.py",
    "jobpack/*.py",
    "forge/state.py",
    "forge/state_history.py",
    "forge/lock.py",
    "forge/artifacts.py",
)

WRITING_MODES = set("wax+")
OS_CALLS = {
    "replace",
    "rename",
    "renames",
    "open",
    "write",
    "pwrite",
    "ftruncate",
    "truncate",
    "fsync",
    "fdatasync",
    "link",
    "symlink",
    "remove",
    "unlink",
    "rmdir",
    "mkdir",
    "makedirs",
}
METHODS = {"write_text", "write_bytes", "rename", "touch", "symlink_to", "hardlink_to", "mkdir", "rmdir"}
# `x.replace(a, b)` of a string is everywhere; `Path.replace` takes one argument. `fs.rename` is the seam itself.
SEAM_NAMES = {"fs", "_fs", "disk", "REAL"}

ALLOWED = {
    ("store/remote.py", "Path.unlink"),  # the unix socket is no file to keep
    ("forge/state.py", "os.link"),  # a new key gets its name only if nobody else made one, after a durable write
    ("forge/state.py", "os.unlink"),
}


def guarded_files() -> list[Path]:
    return sorted(path for pattern in GUARDED for path in PACKAGE.glob(pattern))


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _mode_of(call: ast.Call, position: int) -> str | None:
    values = [keyword.value for keyword in call.keywords if keyword.arg == "mode"]
    values += call.args[position : position + 1]
    if not values:
        return ""
    return str(values[0].value) if isinstance(values[0], ast.Constant) else None


def direct_writes(source: str) -> Iterator[tuple[int, str]]:
    """Yield line and name of every call in *source* that changes a file without the seam."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        function = node.func
        if isinstance(function, ast.Name) and function.id == "open":
            mode = _mode_of(node, 1)
            if mode is None or set(mode) & WRITING_MODES:
                yield node.lineno, f"open(mode={mode!r})"
        if not isinstance(function, ast.Attribute):
            continue
        owner, name = _name(function.value), function.attr
        if owner in {"os", "shutil", "tempfile"}:
            if owner != "os" or name in OS_CALLS:
                yield node.lineno, f"{owner}.{name}"
        elif owner in SEAM_NAMES:
            continue
        elif name == "open":
            mode = _mode_of(node, 0)
            if mode is None or set(mode) & WRITING_MODES:
                yield node.lineno, f"Path.open(mode={mode!r})"
        elif name in METHODS or (name == "unlink") or (name == "replace" and len(node.args) == 1 and not node.keywords):
            yield node.lineno, f"Path.{name}"


@pytest.mark.parametrize("path", guarded_files(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_durable_module_writes_only_through_the_seam(path: Path) -> None:
    relative = str(path.relative_to(PACKAGE))
    found = [(line, what) for line, what in direct_writes(path.read_text()) if (relative, what) not in ALLOWED]
    assert found == [], f"{relative}: use clockwork_nb.fs for these"


def test_the_rule_has_something_to_guard() -> None:
    assert len(guarded_files()) >= 10


@pytest.mark.parametrize(
    "line",
    [
        'open(p, "w")',
        'open(p, mode="ab")',
        "open(p, mode)",
        'open(p, "r+")',
        'path.open("x")',
        "path.write_text(s)",
        "path.write_bytes(b)",
        "os.replace(a, b)",
        "os.rename(a, b)",
        "os.open(p, os.O_RDONLY)",
        "os.ftruncate(fd, 0)",
        "shutil.copy(a, b)",
        "tempfile.mkstemp()",
        "path.rename(other)",
        "path.replace(other)",
        "path.unlink()",
        "self.path.mkdir()",
    ],
)
def test_the_rule_sees_every_way_around_the_seam(line: str) -> None:
    assert list(direct_writes(line))


@pytest.mark.parametrize(
    "line",
    [
        "open(p)",
        'open(p, "rb")',
        "path.open()",
        'text.replace("a", "b")',
        "self._fs.rename(a, b)",
        "fs.unlink(p)",
        "os.urandom(4)",
    ],
)
def test_the_rule_lets_reading_and_the_seam_pass(line: str) -> None:
    assert not list(direct_writes(line))
