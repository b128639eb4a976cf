"""Reading a notebook's file, and telling two versions of it apart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clockwork_nb.errors import InvalidInputError
from clockwork_nb.runbook.notebook import read_notebook


def data(*cells: dict[str, Any]) -> bytes:
    return json.dumps({"cells": list(cells), "metadata": {}, "nbformat": 4, "nbformat_minor": 5}).encode()


def code(source: Any, cell: Any = "a", **more: Any) -> dict[str, Any]:
    return {"cell_type": "code", "id": cell, "metadata": {}, "source": source, **more}


def test_running_or_saving_a_notebook_does_not_change_what_it_is() -> None:
    path = Path("run.ipynb")
    before = read_notebook(path, data(code("x = 1\ny = 2")))
    after = read_notebook(
        path, data(code(["x = 1\n", "y = 2"], outputs=[{"output_type": "stream"}], execution_count=3))
    )
    assert before.digest == after.digest
    assert before.difference(after) == ""


@pytest.mark.parametrize("other", [[code("x = 2")], [code("x = 1", "b")], [code("x = 1"), code("", "c")], []])
def test_another_source_id_or_number_of_cells_is_another_notebook(other: list[dict[str, Any]]) -> None:
    one, two = read_notebook(Path("run.ipynb"), data(code("x = 1"))), read_notebook(Path("run.ipynb"), data(*other))
    assert one.digest != two.digest
    assert "recorded" in one.difference(two)


def test_a_difference_is_at_most_a_screen() -> None:
    one = read_notebook(Path("run.ipynb"), data(code("\n".join(map(str, range(500))))))
    two = read_notebook(Path("run.ipynb"), data(code("\n".join(map(str, range(500, 1000))))))
    assert len(one.difference(two).splitlines()) == 60


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"\xff\xfe", "is not a notebook"), (b"[]", "is not a notebook"), (b'{"cells": [1]}', "is not a notebook"),
        (b'{"cells": [{"source": [1]}]}', "is not a notebook"), (b"[" * 200_000, "is not a notebook"),
        (data({"cell_type": "code", "metadata": {}, "source": ""}), "have no ids"), (data(code("", 7)), "have no ids"),
        (data(code("x"), code("y")), "two cells of run.ipynb have the id 'a'"),
        (data({"id": "a", "metadata": {}, "source": ""}), "is not a notebook"),
        (data({"id": "a", "cell_type": "code", "metadata": [], "source": ""}), "is not a notebook"),
    ],
)  # fmt: skip
def test_what_is_no_notebook_is_refused(raw: bytes, says: str) -> None:
    with pytest.raises(InvalidInputError, match=says):
        read_notebook(Path("run.ipynb"), raw)


def test_a_missing_file_is_said_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"cannot read .*run\.ipynb: No such file"):
        read_notebook(tmp_path / "run.ipynb")
