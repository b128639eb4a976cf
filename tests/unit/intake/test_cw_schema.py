"""What a model's errors become for people: one sentence at the right place, none of the library's words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

import pytest
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from clockwork_nb.diagnostics import SUMMARY_LIMIT
from clockwork_nb.intake.schema import attribute_names
from clockwork_nb.intake.values import Unknown

if TYPE_CHECKING:
    from tests.unit.intake.conftest import Language


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    host: str = Field(description="a name")
    port: int = 1


class Wide(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    mode: Literal["fast", "slow"] = "fast"
    tally: int = Field(default=1, gt=0, le=10)
    ratio: float = 0.5
    on: bool = False
    words: list[str] = Field(default=[], max_length=3)
    name: str = Field(default="nn", min_length=2, max_length=5, pattern="[a-z]+")
    either: int | list[int] = 1
    values: dict[str, str | int] = {}
    target: Inner | None = None
    env: dict[str, str] = Field(default={}, validation_alias=AliasChoices("env", "environment"))
    odd: Any = None

    @model_validator(mode="after")
    def _together(self) -> Wide:
        if self.on and self.tally == 7:
            raise PydanticCustomError("cw_hint", "on and 7 do not go together", {"hint": "Take another tally."})
        if self.odd == "tally":
            raise PydanticCustomError("cw_refused", "{message}", {"message": "not beside odd", "reason": "tally"})
        if self.odd == "raise":
            raise ValueError("first line\nSecond line.")
        return self


class WideType:
    name = "wide"
    aliases = ()
    summary = "wide"
    verifies = False

    def model(self) -> type[Any]:
        return Wide

    def exports(self, config: Mapping[str, Any]) -> Mapping[str, Any]:
        return config

    def export_names(self) -> frozenset[str]:
        return frozenset()


@pytest.fixture
def wide(make_language: Callable[[Mapping[str, Any]], Language]) -> Language:
    kind: Any = WideType()
    return make_language({"wide": kind})


def only(wide: Language, body: str) -> tuple[str, str, str, str]:
    """Return code, summary, note and the marked text of the one error of a block."""
    found = wide.run(f'wide "w" {{\n  {body}\n}}\n').found.sorted()
    assert len(found) == 1, [(d.summary, d.note) for d in found]
    (d,) = found
    assert d.subject is not None
    return d.code, d.summary, d.note, d.subject.source.text[d.subject.start : d.subject.end]


@pytest.mark.parametrize(
    ("body", "code", "note", "marked"),
    [
        ("tally = \"x\"", "cw-wrong-type", "a whole number is needed", '"x"'),
        ("tally = 1.5", "cw-wrong-type", "a whole number is needed", "1.5"),
        ("tally = 0", "cw-invalid-value", "must be more than 0", "0"),
        ("tally = 11", "cw-invalid-value", "must be at most 10", "11"),
        ("ratio = \"x\"", "cw-wrong-type", "a number is needed", '"x"'),
        ("on = 1", "cw-wrong-type", "true or false is needed", "1"),
        ("mode = \"medium\"", "cw-invalid-value", '"fast" or "slow" is needed', '"medium"'),
        ("words = \"x\"", "cw-wrong-type", "a list is needed", '"x"'),
        ("words = [\"a\", 2]", "cw-wrong-type", "text is needed", "2"),
        ("words = [\"a\", \"b\", \"c\", \"d\"]", "cw-invalid-value", "must have at most 3 elements", '["a", "b", "c", "d"]'),
        ("name = \"x\"", "cw-invalid-value", "must have at least 2 characters", '"x"'),
        ("name = \"XX\"", "cw-invalid-value", "must match [a-z]+", '"XX"'),
        ("either = \"x\"", "cw-wrong-type", "a whole number or a list is needed", '"x"'),
        ("either = [1, \"x\"]", "cw-wrong-type", "a whole number is needed", '"x"'),
        ("values = { a = [1] }", "cw-wrong-type", "text or a whole number is needed", "[1]"),
        ("values = 5", "cw-wrong-type", "an object is needed", "5"),
        ("target = \"x\"", "cw-wrong-type", "an object is needed", '"x"'),
        ("target = { host = 5 }", "cw-wrong-type", "text is needed", "5"),
        ("target = { port = 5 }", "cw-missing-attribute", "", "{ port = 5 }"),
        ("target = { host = \"h\", prot = 5 }", "cw-unknown-attribute", 'did you mean "port"?', "prot"),
        ("env = { A = 1 }", "cw-wrong-type", "text is needed", "1"),
        ("environment = { A = 1 }", "cw-wrong-type", "text is needed", "1"),
        ("odd = \"raise\"", "cw-invalid-value", "first line", 'wide "w"'),
        ("enviroment = {}", "cw-unknown-attribute", 'did you mean "environment"?', "enviroment"),
        ("moed = 1", "cw-unknown-attribute", 'did you mean "mode"?', "moed"),
        ("words = [for w in [1] : w]", "cw-wrong-type", "text is needed", "[for w in [1] : w]"),
    ],
)  # fmt: skip
def test_sentences(wide: Language, body: str, code: str, note: str, marked: str) -> None:
    found_code, summary, found_note, found_marked = only(wide, body)
    assert (found_code, found_note, found_marked) == (code, note, marked)
    assert 'wide "w"' in summary
    assert len(summary) <= SUMMARY_LIMIT


def test_a_model_may_give_a_hint(wide: Language) -> None:
    (found,) = wide.run('wide "w" {\n  on = true\n  tally = 7\n}\n').found
    assert (found.code, found.note, found.detail) == (
        "cw-invalid-value",
        "on and 7 do not go together",
        "Take another tally.",
    )
    (found,) = wide.run('wide "w" {\n  odd = "raise"\n}\n').found
    assert found.detail == "Second line."


def test_a_rule_about_several_attributes_marks_the_one_it_names(wide: Language) -> None:
    code, summary, note, marked = only(wide, 'odd   = "tally"\n  tally = 7')
    assert (code, note, marked) == ("cw-invalid-value", "not beside odd", "7")
    assert summary == '"tally" in wide "w" is refused'
    assert only(wide, 'odd = "tally"')[3] == 'wide "w"', "an attribute that is not written has no place of its own"


def test_all_wrong_attributes_are_reported_together(wide: Language) -> None:
    found = wide.run('wide "w" {\n  tally = "x"\n  on = 5\n  words = [1, 2]\n}\n').found
    assert len(found) == 4


def test_a_missing_attribute_says_what_it_is(wide: Language) -> None:
    (found,) = wide.run('wide "w" {\n  target {\n    port = 1\n  }\n}\n').found
    assert found.summary == '"host" is missing in "target" of wide "w"'
    assert "a name" in found.detail
    assert str(found.subject) == "main.cw, line 2, column 3"


def test_aliases_are_names_of_the_same_attribute(wide: Language) -> None:
    config = wide.run('wide "w" {\n  environment = { A = "x" }\n}\n').desired.resources["wide.w"].config
    assert config["env"] == {"A": "x"}
    (found,) = wide.run('wide "w" {\n  env = {}\n  environment = {}\n}\n').found
    assert (found.code, found.note) == ("cw-duplicate", "two spellings of one attribute")
    kind: Any = WideType()
    assert {"env", "environment"} <= attribute_names(kind)


def test_an_attribute_and_a_block_of_one_name_do_not_mix(wide: Language) -> None:
    (found,) = wide.run('wide "w" {\n  target = { host = "h" }\n  target {\n    host = "i"\n  }\n}\n').found
    assert found.code == "cw-duplicate"


def test_a_nested_block_has_no_labels(wide: Language) -> None:
    (found,) = wide.run('wide "w" {\n  target "x" {\n    host = "h"\n  }\n}\n').found
    assert found.code == "cw-block-labels"


def test_what_is_lost_is_not_called_missing(wide: Language) -> None:
    (found,) = wide.run('wide "w" {\n  target {\n    host = 1 / 0\n  }\n}\n').found
    assert found.summary == "a division by zero"


class LaterType(WideType):
    name = "later"

    def exports(self, config: Mapping[str, Any]) -> Mapping[str, Any]:
        return {**config, "key": Unknown("known after apply")}

    def export_names(self) -> frozenset[str]:
        return frozenset({"key"})


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("target = { host = later.x.key, prot = later.x.key }", "cw-unknown-attribute"),
        ("target = { port = later.x.key }", "cw-missing-attribute"),
        ("target = { host = later.x.key }", None),
    ],
)
def test_a_name_inside_a_block_is_judged_before_its_value_is_known(
    make_language: Callable[[Mapping[str, Any]], Language], body: str, code: str | None
) -> None:
    wide: Any = WideType()
    later: Any = LaterType()
    language = make_language({"wide": wide, "later": later})
    found = language.run(f'later "x" {{}}\nwide "w" {{\n  {body}\n}}\n').found.sorted()
    assert [d.code for d in found] == ([] if code is None else [code])
