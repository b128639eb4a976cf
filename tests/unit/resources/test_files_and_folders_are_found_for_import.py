"""What is there is described for the text of a new block; what a type fills in from files; what counts as ours."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clockwork_nb.canonical import sha256_hex
from clockwork_nb.errors import InvalidInputError
from clockwork_nb.intake.values import Unknown
from clockwork_nb.ports import ObserveContext
from clockwork_nb.resources.project_paths import path_in_project, path_problem
from clockwork_nb.resources.registry import builtin_types
from clockwork_nb.secrets import Sensitive, seal

FILE: Any = builtin_types()["file"]
FOLDER: Any = builtin_types()["directory"]


def config(**attributes: Any) -> dict[str, Any]:
    out: dict[str, Any] = FILE.model().model_validate({"path": "d/a", **attributes}).model_dump()
    return out


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=500), st.integers(0, 0o777))
def test_a_found_file_is_described_so_that_nothing_has_to_change(tmp_path: Path, data: bytes, mode: int) -> None:
    context = ObserveContext(tmp_path, tmp_path / ".clockwork")
    (tmp_path / "d").mkdir(exist_ok=True)
    target = tmp_path / "d/a"
    target.unlink(missing_ok=True)
    target.write_bytes(data)
    target.chmod(mode | 0o400)
    attributes = FILE.found("d/./a", context)
    made = FILE.model().model_validate(attributes).model_dump()
    assert FILE.import_id(made) == "d/a" and FILE.drift(made, FILE.observe(made, None, context)) == {}
    assert ("content" in attributes) != ("content_base64" in attributes)


def test_what_is_not_there_is_not_found(tmp_path: Path) -> None:
    context = ObserveContext(tmp_path, tmp_path / ".clockwork")
    (tmp_path / "d").mkdir(mode=0o750)
    (tmp_path / "d/f").write_text("x")
    (tmp_path / "d/link").symlink_to("f")
    os.mkfifo(tmp_path / "d/pipe")
    assert [FILE.found(name, context) for name in ("d/no", "d/link", "d/pipe")] == [None] * 3
    assert [FOLDER.found(name, context) for name in ("no", "d/f", "d/link")] == [None] * 3
    assert FOLDER.found("d", context) == {"path": "d", "mode": "0750"} and FOLDER.import_id({"path": "d"}) == "d"
    for name in ("/etc/passwd", "../x", "", ".clockwork/state.json", "~/x", "."):
        with pytest.raises(InvalidInputError, match="no path here"):
            FOLDER.found(name, context)
    (tmp_path / "top").write_text("x")
    with pytest.raises(InvalidInputError, match="top of the project"):
        FILE.found("top", context)
    with open(tmp_path / "d/big", "wb") as stream:
        stream.truncate(13 << 20)
    with pytest.raises(InvalidInputError, match="too many for the text of a block"):
        FILE.found("d/big", context)


@given(st.text(max_size=50))
def test_a_path_is_either_told_to_be_none_or_stays_in_the_project(text: str) -> None:
    if path_problem(text):
        with pytest.raises(InvalidInputError):
            path_in_project(text)
        return
    plain = os.path.normpath(text)
    assert not plain.startswith(("/", "~")) and ".." not in plain.split("/")
    assert plain.split("/")[0] != ".clockwork" and len(plain.splitlines()) == 1


class Files:
    """Files of a project, as an evaluation lends them."""

    def __init__(self, data: bytes = b"", text: Any = "") -> None:
        self.data, self.text = data, text

    def read(self, path: str, *, attribute: str) -> bytes:
        assert (path, attribute) == ("assets/x", "source")
        return self.data

    def render(self, path: str, names: Any, *, attribute: str) -> Any:
        assert (path, attribute) == ("assets/x", "template")
        return self.text


@pytest.mark.parametrize("data", [b"", b"text\n", b"\xff\x00\xfe", "ü".encode()[:1]])
def test_a_source_becomes_text_or_base64_and_keeps_its_bytes(data: bytes) -> None:
    made = FILE.with_files(config(source="assets/x"), Files(data))
    assert FILE.exports(made)["sha256"] == sha256_hex(data) and FILE.exports(made)["size"] == len(data)
    assert (made["content"] is None) == (made["content_base64"] is not None)


def test_a_template_may_be_sensitive_or_not_known_yet() -> None:
    base = config(template="assets/x", vars={"a": Sensitive(1)})
    assert base["vars"] == {"a": Sensitive(1)}
    secret = FILE.with_files(base, Files(text=Sensitive("hunter2")))
    assert secret["content"] == Sensitive("hunter2") and isinstance(FILE.exports(secret)["size"], Sensitive)
    later = FILE.with_files(base, Files(text=Unknown("later")))
    assert isinstance(FILE.exports(later)["sha256"], Unknown)
    unknown = FILE.with_files(config(source=Unknown("later")), Files())
    assert isinstance(unknown["content"], Unknown)
    plain = config(content="x")
    assert FILE.with_files(plain, Files()) is plain


def test_the_step_knows_what_is_ours_unless_it_is_secret() -> None:
    one, two = config(content="one"), config(content_base64=base64.b64encode(b"\xff").decode())
    (spec,) = FILE.actions("update", two, one)
    assert (spec.args["ours"], spec.args["backup"]) == (sha256_hex(b"one"), True) and "content" not in spec.args
    assert FILE.actions("update", {**one, "backup": False, "source": "x/y"}, one) == []
    assert FILE.actions("update", one, None)[0].args["ours"] == ""
    sealed = seal(config(content=Sensitive("one")), b"k")
    (spec,) = FILE.actions("update", two, sealed)
    assert (spec.args["ours"], spec.args["backup"]) == ("", False)
    (removal,) = FILE.actions("delete", None, sealed)
    assert removal.args["ours"] is None
    old = {"path": "d/a", "content": "recorded by an older version", "mode": "0644"}
    assert FILE.actions("delete", None, old)[0].args["backup"] is True


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"content": "x", "source": "y/z"},
        {"content": "x", "vars": {"a": 1}},
        {"content_base64": "not base64!"},
        {"content_base64": "QQ==\n"},
        {"content_base64": Sensitive("QQ==")},
        {"source": "../x"},
        {"source": "d/a"},
        {"template": "d/a"},
        {"content": "x", "backup": "yes"},
    ],
)
def test_files_that_cannot_be_are_refused(attributes: dict[str, Any]) -> None:
    from pydantic import ValidationError

    with pytest.raises(ValidationError):
        config(**attributes)
