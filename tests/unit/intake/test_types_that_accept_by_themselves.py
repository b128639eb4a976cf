"""A type may accept attributes without its model: then the model is asked only when something has to be said."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from clockwork_nb.intake.schema import attribute_names, field_names


class BoxModel(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    path: str
    size: int = 1


class Box:
    """Accepts a path alone; counts how often its model is asked for."""

    name = "box"
    aliases: tuple[str, ...] = ()
    summary = "a box"
    verifies = False

    def __init__(self) -> None:
        self.asked = 0

    def model(self) -> type[Any]:
        self.asked += 1
        return BoxModel

    def attribute_names(self) -> frozenset[str]:
        return frozenset({"path", "size"})

    def accepts(self, attributes: Mapping[str, Any]) -> dict[str, Any] | None:
        if attributes.keys() == {"path"} and type(attributes["path"]) is str:
            return {"path": attributes["path"], "size": 1}
        return None

    def exports(self, config: Mapping[str, Any]) -> Mapping[str, Any]:
        return config

    def export_names(self) -> frozenset[str]:
        return frozenset({"id"})


@pytest.fixture
def box() -> Box:
    return Box()


@pytest.fixture
def language(make_language: Callable[[Mapping[str, Any]], Any], box: Box) -> Any:
    return make_language({"box": box})


def test_what_the_type_accepts_is_the_config(language: Any, box: Box) -> None:
    result = language.run('box "a" { path = "x" }\nbox "b" { path = box.a.path }\n')
    assert not result.found
    assert [r.config for r in result.desired.resources.values()] == [{"path": "x", "size": 1}] * 2
    assert box.asked == 0


def test_names_are_judged_without_the_model(language: Any, box: Box) -> None:
    result = language.run('box "a" { pth = "x" }\noutput "o" { value = box.a.siz }\n')
    assert [(d.code, d.note) for d in result.found.sorted()] == [
        ("cw-unknown-attribute", 'did you mean "path"?'),
        ("cw-unknown-reference", 'did you mean "size"?'),
    ]
    assert box.asked == 0


def test_everything_else_is_judged_by_the_model(language: Any, box: Box) -> None:
    assert language.run('box "a" {\n  path = "x"\n  size = 2\n}\n').desired.resources["box.a"].config["size"] == 2
    (found,) = language.run('box "a" { size = "x" }\nbox "b" { path = "x" }\n').found.sorted()[1:]
    assert found.code == "cw-wrong-type" and box.asked == 1


def test_what_could_not_be_evaluated_leaves_no_config(language: Any, box: Box) -> None:
    result = language.run('box "a" {\n  path = "x"\n  size = 1 / 0\n}\n')
    assert [d.summary for d in result.found] == ["a division by zero"]
    assert "box.a" not in result.desired.resources and box.asked == 0


def test_spellings_are_no_fields_of_their_own(box: Box) -> None:
    class Model(BaseModel):
        env: str = Field(default="", validation_alias=AliasChoices("env", "environment"))

    class Wide:
        def model(self) -> type[Any]:
            return Model

    kinds: list[Any] = [box, Wide()]
    assert [attribute_names(kind) for kind in kinds] == [{"path", "size"}, {"env", "environment"}]
    assert [field_names(kind) for kind in kinds] == [{"path", "size"}, {"env"}]
