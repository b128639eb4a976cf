"""TypeScript, JavaScript and Go are read by their own tools before a bundle is shown; none of it runs."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from clockwork_nb.forge.runtimes import find_runtime
from clockwork_nb.forge.syntax import SyntaxChecker

CASES = (
    ("deno", b"const x: number = 1;\nconsole.log(x);\n", ""),
    ("typescript", b"const x: number = 1;\nlet y = ;\n", "at line 2"),
    ("deno", b'const x: number = "s";\nconsole.log(x);\n', "TS2322 Type 'string' is not assignable"),
    ("javascript", b"let y = ;\n", "at line 1"),
    ("deno", b'import x from "https://example.org/x.ts";\nconsole.log(x);\n', "line 1"),
    ("go", b"package main\n\nfunc main() {}\n", ""),
    ("go", b'package main\n\nfunc main() { println("x" }\n', "at line 3"),
)


@pytest.fixture(autouse=True)
def tools_beside_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both come as wheels, whose programs are beside the interpreter and not always on PATH."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")


@pytest.mark.parametrize(
    ("lang", "text", "problem"),
    [pytest.param(*case, marks=pytest.mark.go if case[0] == "go" else (), id=str(i)) for i, case in enumerate(CASES)],
)
def test_a_mistake_is_named_with_its_line(lang: str, text: bytes, problem: str) -> None:
    runtime = "go" if lang == "go" else "deno"
    if not find_runtime(runtime):
        pytest.skip(f"{runtime} is not installed")
    checker = SyntaxChecker()
    found = checker.problem(lang, text)
    assert problem in found if problem else found == ""
    assert checker.problem(lang, text) == found
    assert checker.runs == 1


def test_checking_does_not_run_the_program(tmp_path: Path) -> None:
    if not find_runtime("deno"):
        pytest.skip("deno is not installed")
    marker = tmp_path / "ran"
    text = f"Deno.writeTextFileSync({str(marker)!r}, 'x');\n"
    assert SyntaxChecker().problem("deno", text.encode()) == ""
    assert not marker.exists()


def test_a_language_whose_tool_is_missing_is_not_called_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clockwork_nb.forge.syntax.find_runtime", lambda name: "")
    checker = SyntaxChecker()
    assert [checker.problem(lang, b"(((\n") for lang in ("sh", "bash", "deno", "javascript", "go")] == [""] * 5
    assert checker.spawned == 0
