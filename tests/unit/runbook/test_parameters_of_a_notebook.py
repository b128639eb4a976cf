"""What a notebook's parameters may be: names and types are checked before anything runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clockwork_nb.errors import InvalidInputError
from clockwork_nb.runbook.notebook import Notebook, read_notebook

PARAMETERS = 'port = 8080\nname = "a"\nflag = True\nratio = 0.5\nhosts = ["x"]\nlabels: dict = {}\nnothing = None\n'
VARIABLES = """%%cw settings
variable "tag" { type = string }
variable "count" { type = number }
variable "token" {
  type      = object({ key = string })
  default   = { key = "" }
  sensitive = true
}
"""


def notebook(tmp_path: Path, *cells: tuple[str, list[str]]) -> Notebook:
    found = [
        {"cell_type": "code", "id": f"c{i}", "metadata": {"tags": tags}, "source": source.splitlines(keepends=True)}
        for i, (source, tags) in enumerate(cells, 1)
    ]
    data = json.dumps({"cells": found, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}).encode()
    return read_notebook(tmp_path / "run.ipynb", data)


@pytest.fixture
def both(tmp_path: Path) -> Notebook:
    return notebook(tmp_path, (PARAMETERS, ["parameters"]), ("%load_ext clockwork_nb", []), (VARIABLES, []))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("port=9090", 9090), ("name=9090", "9090"), ("name=a=b", "a=b"), ("flag=FALSE", False), ("ratio=2", 2.0),
        ('hosts=["y", 1]', ["y", 1]), ('labels={"a": 1}', {"a": 1}), ("nothing=[1]", [1]), ("nothing=text", "text"),
        ("tag=1.10", "1.10"), ("tag=true", "true"), ("count=3", 3),
    ],
)  # fmt: skip
def test_a_value_gets_the_type_of_the_parameters_cell_or_of_the_variable(both: Notebook, text: str, value: Any) -> None:
    (found,) = both.parameters([text]).values()
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("port=x", "port is a whole number"), ("port=1.5", "port is a whole number"), ("flag=yes", "true or false"),
        ("ratio=much", "ratio is a number"), ("ratio=nan", "ratio is a number"), ("ratio=inf", "ratio is a number"),
        ("hosts={}", "hosts is a JSON list"), ("hosts=[NaN]", "hosts is a JSON list"), ("labels=[]", "JSON object"),
        ("port", "not NAME=VALUE"), ("=1", "has no parameter ''"),
    ],
)  # fmt: skip
def test_a_value_of_another_type_is_refused(both: Notebook, text: str, says: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        both.parameters([text])
    assert says in caught.value.message
    assert caught.value.exit_code == 6


def test_an_unknown_name_is_refused_with_the_near_one(both: Notebook) -> None:
    with pytest.raises(InvalidInputError, match="no parameter 'prot'") as caught:
        both.parameters(["prot=1"])
    assert caught.value.hint == 'did you mean "port"?'
    with pytest.raises(InvalidInputError) as caught:
        both.parameters(["zzz=1"])
    assert caught.value.hint.startswith("Parameters: count, flag, hosts")


def test_a_secret_is_refused_however_its_block_is_written(both: Notebook) -> None:
    with pytest.raises(InvalidInputError, match="token is sensitive") as caught:
        both.parameters(['token={"key": "s3cr3t"}'])
    assert "CW_VAR_token" in caught.value.hint
    assert "s3cr3t" not in " ".join(caught.value.text_lines())


def test_a_secret_that_another_tool_put_in_is_refused_too(both: Notebook) -> None:
    with pytest.raises(InvalidInputError, match="token is sensitive"):
        both.check_values({"port": 1, "token": {"key": "s3cr3t"}})
    with pytest.raises(InvalidInputError, match="when is not plain data"):
        both.check_values({"when": object()})
    assert both.check_values({"port": 1}) == {"port": 1}


def test_variables_of_loaded_files_are_parameters_as_well(tmp_path: Path) -> None:
    (tmp_path / "infra").mkdir()
    (tmp_path / "infra" / "main.cw").write_text('variable "region" { default = "eu" }\n')
    (tmp_path / "infra" / "keys.cw").write_text('variable "key" {\n  sensitive = true\n}\n')
    found = notebook(tmp_path, ("%cw_load infra", []))
    assert found.parameters(["region=us"]) == {"region": "us"}
    with pytest.raises(InvalidInputError, match="key is sensitive"):
        found.parameters(["key=x"])


def test_a_cell_with_a_mistake_does_not_hide_the_variables_of_others(tmp_path: Path) -> None:
    found = notebook(tmp_path, ('%%cw a\nvariable "x" {', []), ("%%cw b\n" + 'variable "y" { type = string }\n', []))
    assert found.parameters(["y=1"]) == {"y": "1"}


def test_a_notebook_without_parameters_says_so(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError) as caught:
        notebook(tmp_path, ("x = 1", [])).parameters(["x=2"])
    assert caught.value.hint == "Parameters: none"
