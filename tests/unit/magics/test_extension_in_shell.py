"""Loading into a shell without a kernel, completion, and errors as IPython shows them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from clockwork_nb.magics._arguments import MAGICS
from clockwork_nb.magics._completer import complete

CELL = '%%cw web\ndirectory "out" { path = "out" }\nfile "a" {\n  path = "out/a"\n  content = "x"\n}\n'


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.chdir(project)
    for name in ("CLOCKWORK_HOME", "XDG_CONFIG_HOME", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    for name in ("JPY_SESSION_NAME", "CW_NOTEBOOK", "CW_HEADLESS", "CW_AUTO_APPROVE", "CW_PARAMETERS"):
        monkeypatch.delenv(name, raising=False)
    made = InteractiveShell.instance()
    made.history_manager.end_session()
    yield made
    made.run_line_magic("unload_ext", "clockwork_nb")
    InteractiveShell.clear_instance()


def run(shell: Any, cell: str) -> tuple[Any, str]:
    with capture_output() as seen:
        result = shell.run_cell(cell, store_history=False)
    return result, seen.stdout + seen.stderr


def test_every_magic_is_registered_and_documented(shell: Any) -> None:
    run(shell, "%load_ext clockwork_nb")
    for name in MAGICS:
        kind = "cell" if name == "cw" else "line"
        magic = shell.magics_manager.magics[kind][name]
        assert magic.__doc__, name
        assert f"%{name}" in magic.__doc__


def test_unloading_leaves_nothing_behind(shell: Any) -> None:
    before = (len(shell.input_transformers_post), len(shell.Completer.custom_matchers))
    for _ in range(2):
        run(shell, "%load_ext clockwork_nb")
        run(shell, "%load_ext clockwork_nb")
        run(shell, "%unload_ext clockwork_nb")
    assert (len(shell.input_transformers_post), len(shell.Completer.custom_matchers)) == before
    assert not [n for kind in shell.magics_manager.magics.values() for n in kind if n.startswith("cw")]


def test_an_error_shows_no_traceback(shell: Any) -> None:
    run(shell, "%load_ext clockwork_nb")
    result, text = run(shell, "%cw_plan --nope")
    assert result.error_in_exec.code == "E_INVALID_INPUT_SCHEMA"
    assert "error: %cw_plan: there is no '--nope' here" in text
    assert "Traceback" not in text


def test_other_errors_keep_their_traceback(shell: Any) -> None:
    run(shell, "%load_ext clockwork_nb")
    _, text = run(shell, "1 / 0")
    assert "ZeroDivisionError" in text


def test_help_is_the_usage(shell: Any) -> None:
    run(shell, "%load_ext clockwork_nb")
    assert "--auto-approve" in shell.magics_manager.magics["line"]["cw_apply"].__doc__


def test_completion_knows_options_and_addresses(shell: Any) -> None:
    run(shell, "%load_ext clockwork_nb")
    run(shell, CELL)

    def options(line: str) -> set[str]:
        with provisionalcompleter():
            return {c.text for c in shell.Completer.completions(line, len(line))}

    assert "--auto-approve" in options("%cw_apply --au")
    assert options("%cw_apply --target file.") == {"file.a"}
    assert options("r = %cw_apply --target dir") >= {"directory.out"}


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("%cw_plan --tar", ("--tar", ["--target"])),
        ("%cw_plan --target f", ("f", ["file.a"])),
        ("%%cw web --wr", ("--wr", ["--write"])),
        ("%cw_plan x", ("x", [])),
        ("%cw_planet --tar", None),
        ("%time --tar", None),
        ("x --tar", None),
    ],
)
def test_what_the_word_at_the_cursor_can_become(line: str, answer: Any) -> None:
    assert complete(line, ("file.a", "service.b")) == answer


def test_the_record_is_listed_and_shown_entry_by_entry(shell: Any) -> None:
    run(shell, "%load_ext clockwork_nb")
    assert "nothing was applied yet" in run(shell, "%cw_state")[1]
    run(shell, CELL)
    run(shell, "%cw_apply --auto-approve")
    assert "State     serial 1 · 2 resources" in run(shell, "%cw_state")[1]
    assert "directory.out" not in run(shell, "%cw_state file.*")[1]
    shown = run(shell, "%cw_state file.a")[1]
    assert '"x"' in shown
    assert "declared in   web" in shown
    result, text = run(shell, "%cw_state file.b")
    assert result.error_in_exec.code == "E_INVALID_INPUT_SCHEMA"
    assert "Did you mean file.a?" in text
