"""policy.json: every key, every mistake by its key's name, and no file that somebody else could have written."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clockwork_nb.canonical import digest
from clockwork_nb.errors import ClockworkError, InvalidInputError, UnsafeOperationError
from clockwork_nb.policy import Policy, parse_policy, read_policy, strongest


def write(folder: Path, document: Any) -> Path:
    path = folder / "policy.json"
    path.write_text(json.dumps(document))
    path.chmod(0o600)
    return path


FULL = {
    "auto_approve": ["ports", "overwrite"],
    "allowed_roots": ["/srv/www"],
    "require_confinement": "standard",
    "allow_data": ["http", "terraform"],
    "runtimes": ["sh", "python3"],
    "max_auto_fixes_per_hour": 3,
}


def test_every_key_is_read(tmp_path: Path) -> None:
    policy = read_policy(write(tmp_path, FULL))
    assert policy.auto_approve == {"ports", "overwrite"}
    assert policy.allowed_roots == (Path("/srv/www"),)
    assert policy.require_confinement == "standard"
    assert policy.allow_data == {"http", "terraform"}
    assert policy.runtimes == frozenset({"sh", "python3"})
    assert policy.max_auto_fixes_per_hour == 3
    assert (policy.digest, policy.source) == (digest(FULL), tmp_path / "policy.json")


def test_no_file_is_the_empty_policy(tmp_path: Path) -> None:
    policy = read_policy(tmp_path / "policy.json")
    assert policy == Policy()
    assert policy.digest == digest({})
    assert policy.source is None


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"auto_aprove": []}, "'auto_aprove' is no key of a policy; did you mean 'auto_approve'?"),
        ({"auto_approve": "ports"}, "auto_approve is not a list of words"),
        ({"auto_approve": ["*"]}, "auto_approve has '*', which is no risk class"),
        ({"auto_approve": ["ports", "ports"]}, "auto_approve has a word twice"),
        ({"allowed_roots": ["/"]}, "allowed_roots has '/'"),
        ({"allowed_roots": ["srv"]}, "allowed_roots has 'srv'"),
        ({"allowed_roots": ["/srv/../etc"]}, "allowed_roots has '/srv/../etc'"),
        ({"require_confinement": "Strict"}, "require_confinement is 'Strict', not one of basic, standard, strict"),
        ({"require_confinement": None}, "require_confinement is 'None'"),
        ({"allow_data": ["ssh"]}, "allow_data has 'ssh', not one of command, http, terraform"),
        ({"runtimes": []}, "runtimes is empty"),
        ({"max_auto_fixes_per_hour": True}, "max_auto_fixes_per_hour is not a whole number"),
        ({"max_auto_fixes_per_hour": -1}, "max_auto_fixes_per_hour is not a whole number"),
        ([], "is not a JSON object"),
    ],
)
def test_a_mistake_is_told_with_its_key(tmp_path: Path, document: Any, said: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        read_policy(write(tmp_path, document))
    assert said in caught.value.message


@pytest.mark.parametrize("text", [b"{", b'{"runtimes":["sh"],"runtimes":["go"]}', b"\xff", b"[" * 5000, b" " * 70000])
def test_what_is_no_json_object_is_refused(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "policy.json"
    path.write_bytes(text)
    path.chmod(0o600)
    with pytest.raises(InvalidInputError):
        read_policy(path)


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_may_write_is_no_policy(tmp_path: Path, mode: int) -> None:
    path = write(tmp_path, FULL)
    path.chmod(mode)
    with pytest.raises(UnsafeOperationError) as caught:
        read_policy(path)
    assert caught.value.exit_code == 8
    assert f"chmod go-w {path}" in caught.value.hint


def test_a_folder_that_others_may_write_is_none_either(tmp_path: Path) -> None:
    folder = tmp_path / "clockwork"
    folder.mkdir()
    path = write(folder, FULL)
    folder.chmod(0o777)
    with pytest.raises(UnsafeOperationError, match="can be written by others"):
        read_policy(path)


def test_a_file_of_another_user_is_no_policy(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    path = write(tmp_path, FULL)
    os.chown(path, 65534, 65534)
    with pytest.raises(UnsafeOperationError, match="belongs to another user"):
        read_policy(path)


def test_what_is_no_file_is_refused_and_nobody_waits_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "policy.json", 0o600)
    with pytest.raises(UnsafeOperationError, match="is not a file"):
        read_policy(tmp_path / "policy.json")
    (tmp_path / "dangling").symlink_to(tmp_path / "gone")
    with pytest.raises(InvalidInputError, match="link to nothing"):
        read_policy(tmp_path / "dangling")


def test_the_strongest_demand_wins() -> None:
    assert strongest() == ""
    assert strongest("", "") == ""
    assert strongest("basic", "", "standard") == "standard"
    assert strongest("strict", "standard") == "strict"
    with pytest.raises(InvalidInputError, match="no tier"):
        strongest("", "paranoid")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8), lambda v: st.lists(v, max_size=3), max_leaves=4
)


@given(st.dictionaries(st.sampled_from([*FULL, "other"]), VALUES))
def test_any_object_is_a_policy_or_an_error_with_a_code(document: dict[str, Any]) -> None:
    try:
        policy = parse_policy(json.dumps(document).encode())
    except ClockworkError as error:
        assert error.code == "E_INVALID_INPUT_SCHEMA"
    else:
        assert "other" not in document
        assert policy.digest == digest(document)


def test_the_example_in_the_page_is_a_policy() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs/execution.md").read_text()
    policy = parse_policy(page.split("```json\n", 1)[1].split("```", 1)[0].encode())
    assert policy.require_confinement == "standard"
    assert policy.max_auto_fixes_per_hour == 3
