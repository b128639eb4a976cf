"""P27: programs are started by lists of words, and no text is ever run as code by the product itself."""

from __future__ import annotations

import ast
from pathlib import Path

import clockwork_nb

ROOT = Path(clockwork_nb.__file__).parent
FORBIDDEN = {
    "eval", "exec", "os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput", "pickle.load",
    "pickle.loads", "marshal.loads", "yaml.load", "yaml.unsafe_load", "asyncio.create_subprocess_shell",
}  # fmt: skip


def problems(source: str, name: str) -> list[str]:
    """Return where *source* starts a shell on a text, or runs or unpickles one."""
    out = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        shell = [
            k
            for k in node.keywords
            if k.arg == "shell" and not (isinstance(k.value, ast.Constant) and not k.value.value)
        ]
        if called in FORBIDDEN or shell or any(k.arg == "preexec_fn" for k in node.keywords):
            out.append(f"{name}:{node.lineno}: {called}")
    return out


def test_no_module_runs_text() -> None:
    found = []
    for path in sorted(ROOT.rglob("*.py")):
        found += problems(path.read_text(encoding="utf-8"), str(path.relative_to(ROOT)))
    assert found == []


def test_the_search_finds_what_it_is_there_for() -> None:
    for text in (
        "subprocess.run(x, shell=True)",
        "Popen(x, shell=flag)",
        "os.system('x')",
        "eval('x')",
        "Popen(x, preexec_fn=f)",
    ):
        assert problems(text, "x")
    for text in ("subprocess.run([x])", "re.compile('x')", "model.eval_all()", "run(x, shell=False)"):
        assert problems(text, "x") == []
