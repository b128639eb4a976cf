"""What a magic knows about where it runs, and which cell speaks for which key."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from clockwork_nb.errors import InvalidInputError
from clockwork_nb.magics._cells import CellKeys, checked_name
from clockwork_nb.magics._context import Request, current_request, front_end, notebook_file, parameter_names
from clockwork_nb.magics._notebook import binding_value


def test_the_engine_says_which_notebook_it_is(tmp_path: Path) -> None:
    env = {"CW_NOTEBOOK": str(tmp_path / "roll out.ipynb"), "JPY_SESSION_NAME": str(tmp_path / "other.ipynb")}
    found = notebook_file(env, {})
    assert (found.folder, found.stem, found.known) == (tmp_path, "roll out", True)


def test_a_live_session_says_it_too_and_vs_code(tmp_path: Path) -> None:
    assert notebook_file({"JPY_SESSION_NAME": str(tmp_path / "a.ipynb")}, {}).stem == "a"
    assert notebook_file({}, {"__vsc_ipynb_file__": str(tmp_path / "b.ipynb")}).stem == "b"


@pytest.mark.parametrize("name", ["", "console-1-0a1b", "/nowhere/at/all/x.ipynb"])
def test_otherwise_it_is_a_notebook_in_the_working_folder(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = notebook_file({"JPY_SESSION_NAME": name}, {})
    assert (found.folder, found.stem, found.known) == (tmp_path, "notebook", False)


def shell(content: dict[str, Any] | None, metadata: dict[str, Any] | None = None, kernel: bool = True) -> Any:
    parent = {"header": {"msg_id": "m1"}, "content": content or {}, "metadata": metadata or {}}
    made = SimpleNamespace(get_parent=lambda: parent, execution_count=7)
    if kernel:
        made.kernel = object()
    return made


def test_the_request_carries_the_cell_id() -> None:
    request = current_request(shell({"code": "1", "allow_stdin": True}, {"cellId": "abc"}))
    assert request == Request("m1", "abc", "1", 7, True)
    assert request.cell_key == "abc"


def test_without_a_cell_id_the_source_is_the_key() -> None:
    first = current_request(shell({"code": "%%cw\nx"})).cell_key
    assert first.startswith("h-")
    assert len(first) == 10
    assert first == current_request(shell({"code": "%%cw\nx"})).cell_key
    assert first != current_request(shell({"code": "%%cw\ny"})).cell_key


@pytest.mark.parametrize(
    ("allow_stdin", "headless", "version", "expected"),
    [
        (True, True, (7, 4), "none"),
        (False, False, (7, 4), "none"),
        (True, False, (7, 4), "buttons"),
        (True, False, (8, 0), "buttons"),
        (True, False, (7, 3), "prompt"),
        (True, False, (6, 29), "prompt"),
    ],
)
def test_how_a_person_can_answer(
    allow_stdin: bool, headless: bool, version: tuple[int, int], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ipykernel.version_info", (*version, 0), raising=False)
    here = shell({"allow_stdin": allow_stdin})
    assert front_end(here, current_request(here), headless=headless) == expected


def test_parameter_names_come_from_the_engine() -> None:
    assert parameter_names({}) == ()
    assert parameter_names({"CW_PARAMETERS": '["port", "greeting"]'}) == ("port", "greeting")


@pytest.mark.parametrize("text", ["port", "{}", "[1]", '{"a": 1}'])
def test_anything_else_than_a_list_of_names_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError, match="CW_PARAMETERS"):
        parameter_names({"CW_PARAMETERS": text})


@pytest.mark.parametrize(
    ("given", "bound"),
    [
        (True, True),
        (8080, 8080),
        (8080.0, 8080),
        (0.1, Decimal("0.1")),
        ("eu", "eu"),
        (None, None),
        ((1, 2.5), [1, Decimal("2.5")]),
        ({"a": [1]}, {"a": [1]}),
    ],
)
def test_python_values_become_exact_values(given: Any, bound: Any) -> None:
    found = binding_value("x", given)
    assert found == bound
    assert type(found) is type(bound)


@pytest.mark.parametrize("given", [float("nan"), float("inf"), object(), {1, 2}, [object()], b"x"])
def test_values_that_are_no_data_are_refused(given: Any) -> None:
    with pytest.raises(InvalidInputError, match="the parameter x"):
        binding_value("x", given)


def test_a_cell_under_another_name_drops_the_old_one() -> None:
    keys = CellKeys()
    assert keys.claim("web", "c1", 3).drop == ()
    claim = keys.claim("site", "c1", 4)
    assert (claim.drop, claim.warning) == (("web",), "")
    assert keys.claim("web", "c2", 5).warning == ""


def test_the_same_name_from_another_cell_warns() -> None:
    keys = CellKeys()
    keys.claim("web", "c1", 7)
    claim = keys.claim("web", "c2", 8)
    assert (claim.drop, claim.warning) == ((), "replaces cell 'web' (cell 7)")
    assert keys.claim("web", "c2", 9).warning == ""


def test_without_ids_nothing_is_dropped_or_warned_about() -> None:
    keys = CellKeys()
    keys.claim("web", "", 1)
    assert keys.claim("site", "", 2).drop == ()
    assert keys.claim("web", "", 3).warning == ""


@pytest.mark.parametrize("name", ["", "9a", "a b", "../x", "h-0123abcd", "a" * 65])
def test_cell_names_are_plain(name: str) -> None:
    with pytest.raises(InvalidInputError):
        checked_name(name)
