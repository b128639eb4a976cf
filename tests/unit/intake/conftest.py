"""A small resource type, and short ways to read and evaluate a configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from clockwork_nb.diagnostics import Diagnostics
from clockwork_nb.intake.configuration import Configuration
from clockwork_nb.intake.decode import Source, evaluate, read_configuration
from clockwork_nb.intake.desired import Desired
from clockwork_nb.intake.expressions import EvaluationContext
from clockwork_nb.intake.values import Unknown
from clockwork_nb.intake.variables import VariableInput


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class PortModel(Strict):
    external: int = Field(ge=1, le=65535, description="the port outside")
    internal: int = 80


class ProbeModel(Strict):
    url: str
    tries: int = 3


def _one_or_many(value: Any) -> Any:
    return [value] if isinstance(value, dict) else value


class BoxModel(Strict):
    path: str = Field(description="where it stands")
    size: int = 1
    ports: Annotated[list[PortModel], BeforeValidator(_one_or_many)] = []
    env: dict[str, str] = {}
    probe: ProbeModel | None = None

    @field_validator("path")
    @classmethod
    def _allowed(cls, value: str) -> str:
        if value == "forbidden":
            raise ValueError("this path is taken")
        return value


class Box:
    """A type whose model knows no marks. Its export ``id`` is known, ``pid`` only after apply."""

    name = "box"
    aliases = ("crate",)
    summary = "a box"
    verifies = False

    def model(self) -> type[Any]:
        return BoxModel

    def exports(self, config: Mapping[str, Any]) -> Mapping[str, Any]:
        return {**config, "id": f"box:{config['path']}", "pid": Unknown("the box is not there yet")}

    def export_names(self) -> frozenset[str]:
        return frozenset({"id", "pid"})


@dataclass
class Result:
    configuration: Configuration
    desired: Desired
    found: Diagnostics

    @property
    def errors(self) -> list[tuple[str, int, int]]:
        out = []
        for d in self.found.sorted():
            at = d.subject.begin if d.subject else None
            out.append((d.code, at.line if at else 0, at.column if at else 0))
        return out

    def output(self, name: str) -> Any:
        assert not self.found, [d.to_dict() for d in self.found]
        return next(o.value for o in self.desired.outputs if o.name == name)


@dataclass
class Language:
    """Reads and evaluates; the registry holds `Box` under its name and alias."""

    types: Mapping[str, Any] = field(default_factory=dict)

    def run(
        self,
        text: str | Mapping[str, str],
        *,
        inputs: Sequence[VariableInput] = (),
        context: EvaluationContext | None = None,
        **options: Any,
    ) -> Result:
        texts = {"main.cw": text} if isinstance(text, str) else text
        sources = [Source(key, key if key.endswith(".cw") else f"cell {key}", t.encode()) for key, t in texts.items()]
        configuration, found = read_configuration(sources, types=self.types, **options)
        desired, more = evaluate(
            configuration, types=self.types, inputs=inputs, context=context or EvaluationContext(), **options
        )
        found.extend(more)
        return Result(configuration, desired, found)

    def value(self, expression: str, **options: Any) -> Any:
        """Return the value of one expression."""
        return self.run(f'output "x" {{\n  value = {expression}\n}}\n', **options).output("x")

    def error(self, expression: str, **options: Any) -> tuple[str, str]:
        """Return code and the marked text of the one error of an expression."""
        result = self.run(f'output "x" {{\n  value = {expression}\n}}\n', **options)
        (found,) = result.found.sorted()
        assert found.subject is not None
        return found.code, found.subject.source.text[found.subject.start : found.subject.end]


@pytest.fixture
def cw() -> Language:
    box: Any = Box()
    return Language({"box": box, "crate": box})


@pytest.fixture
def make_language() -> Callable[[Mapping[str, Any]], Language]:
    return Language
