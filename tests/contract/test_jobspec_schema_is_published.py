"""The published schema of the job spec is the one the reader checks with, and it allows what the reader allows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import clockwork_nb
from clockwork_nb.errors import InvalidInputError
from clockwork_nb.jobs.spec import read_spec, spec_schema
from clockwork_nb.jobs.spec_template import template

PUBLISHED = Path(clockwork_nb.__file__).parent / "schemas" / "clockwork.jobspec.v1.json"


def test_the_published_jobspec_schema_is_up_to_date() -> None:
    assert json.loads(PUBLISHED.read_text()) == spec_schema(), (
        f"write it again: {PUBLISHED.name} is json.dumps(spec_schema(), indent=2, sort_keys=True)"
    )


def test_the_schema_is_one_and_takes_the_template() -> None:
    jsonschema.Draft202012Validator.check_schema(spec_schema())
    document = read_spec(template().encode(), name="jobspec.yaml").to_document()
    jsonschema.Draft202012Validator(spec_schema()).validate(document)


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"name": "x", "nmae": "y"},
        {"name": "x", "inputs": {"steps": [{"comand": "ls"}]}},
        {"name": "x", "inputs": {"steps": [{"command": True}]}},
        {"name": "x", "inputs": {"steps": [{"command": "ls", "retries": -1}]}},
        {"name": "x", "inputs": {"steps": [{"command": "ls", "env": {"1x": "y"}}]}},
        {"name": "x", "inputs": {"steps": [{"argv": []}]}},
        {"name": "x", "inputs": {"steps": [{"command": "ls"}]}, "budgets": {"max_steps": 3}},
        {"name": "x", "inputs": {"steps": [{"command": "ls"}]}, "checkpoint_policy": {"required_types": ["done"]}},
    ],
)
def test_what_the_schema_refuses_the_reader_refuses(document: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(spec_schema()).validate(document)
    with pytest.raises(InvalidInputError):
        read_spec(json.dumps(document).encode(), name="spec.json")
