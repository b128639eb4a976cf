"""Numbers that no machine holds, and text that is no text, are refused in words like every other value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import ValidationError

from clockwork_nb.intake.values import Unknown
from clockwork_nb.resources.registry import builtin_types

TYPES: Mapping[str, Any] = builtin_types()


@pytest.mark.parametrize(
    ("kind", "attributes", "place", "words"),
    [
        ("service", {"command": ["a"], "memory": "9" * 400 + "g"}, ("memory",), "a size is a number of bytes"),
        ("service", {"image": "a", "cpus": 10**400}, ("cpus",), "less than or equal to 1024"),
        ("image", {"context": "a", "tags": ["\ud800"]}, ("tags", 0), '"\\ud800" is no image name'),
    ],
)
def test_such_a_value_is_refused(kind: str, attributes: dict[str, Any], place: tuple[Any, ...], words: str) -> None:
    assert TYPES[kind].accepts(attributes) is None
    with pytest.raises(ValidationError) as caught:
        TYPES[kind].model().model_validate(attributes)
    (problem,) = caught.value.errors(include_url=False, include_input=False)
    assert problem["loc"] == place and words in problem["msg"]


@pytest.mark.parametrize(("engine", "folder"), [("process", "."), ("auto", "."), (Unknown("later"), None)])
def test_only_what_is_certainly_a_process_gets_the_project_folder_as_its_own(engine: Any, folder: str | None) -> None:
    attributes = {"engine": engine, "command": ["a"]}
    made = TYPES["service"].model().model_validate(attributes).model_dump()
    assert made["working_dir"] == folder and TYPES["service"].accepts(attributes) == made
