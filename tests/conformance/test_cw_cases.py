"""The language, case by case: ``cw/cases/*.cw`` say in their first comments what must come out.

``#! output NAME JSON`` a value · ``#! resource ADDRESS JSON`` a config · ``#! needs ADDRESS ADDRESS…`` dependencies ·
``#! error CODE LINE:COLUMN`` one diagnostic (0:0 has no place) · ``#! var NAME=TEXT`` as ``--var`` · ``#! file PATH
TEXT`` a file of the project. Without ``error`` lines there must be none; outputs that are not named are not compared.
Expected values of the good cases were taken from Terraform 1.11.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from clockwork_nb.diagnostics import SUMMARY_LIMIT
from clockwork_nb.intake.decode import Source, evaluate, read_configuration
from clockwork_nb.intake.expressions import EvaluationContext
from clockwork_nb.intake.variables import VariableInput

CASES = sorted((Path(__file__).parent / "cw" / "cases").glob("*.cw"))


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Port(Strict):
    external: int = Field(ge=1, le=65535)
    internal: int = 80


class Probe(Strict):
    url: str
    tries: int = 3


class BoxConfig(Strict):
    path: str
    size: int = 1
    ports: Annotated[list[Port], BeforeValidator(lambda v: [v] if isinstance(v, dict) else v)] = []
    env: dict[str, str] = {}
    probe: Probe | None = None

    @field_validator("path")
    @classmethod
    def _allowed(cls, value: str) -> str:
        if value == "forbidden":
            raise ValueError("this path is taken")
        return value


class Box:
    name = "box"
    aliases = ("crate",)
    summary = "a box"
    verifies = False

    def model(self) -> type[Any]:
        return BoxConfig

    def exports(self, config: Mapping[str, Any]) -> Mapping[str, Any]:
        return {**config, "id": f"box:{config['path']}"}

    def export_names(self) -> frozenset[str]:
        return frozenset({"id"})


@dataclass
class Expected:
    outputs: dict[str, Any] = field(default_factory=dict)
    resources: dict[str, Any] = field(default_factory=dict)
    needs: dict[str, list[str]] = field(default_factory=dict)
    errors: list[tuple[str, str]] = field(default_factory=list)
    inputs: list[VariableInput] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)


def expected(data: bytes) -> Expected:
    out = Expected()
    for line in data.decode().splitlines():
        if not line.startswith("#! "):
            break
        kind, _, rest = line[3:].partition(" ")
        head, _, tail = rest.partition(" ")
        if kind == "output":
            out.outputs[head] = json.loads(tail)
        elif kind == "resource":
            out.resources[head] = json.loads(tail)
        elif kind == "needs":
            out.needs[head] = tail.split()
        elif kind == "error":
            out.errors.append((head, tail))
        elif kind == "var":
            name, _, text = rest.partition("=")
            out.inputs.append(VariableInput(name, text, "--var", raw=True))
        elif kind == "file":
            out.files[head] = tail.replace("\\n", "\n").encode()
        else:
            raise AssertionError(f"unknown line: {line}")
    return out


@pytest.mark.parametrize("path", CASES, ids=lambda p: p.stem)
def test_case_comes_out_as_it_says(path: Path) -> None:
    data = path.read_bytes()
    want = expected(data)

    def read_file(name: str) -> bytes:
        if name not in want.files:
            raise FileNotFoundError(name)
        return want.files[name]

    box: Any = Box()
    types = {"box": box, "crate": box}
    configuration, found = read_configuration([Source("case", "case", data)], types=types)
    context = EvaluationContext(now="2026-01-02T03:04:05Z", free_port=lambda name: 20000, read_file=read_file)
    desired, more = evaluate(configuration, types=types, inputs=want.inputs, context=context)
    found.extend(more)

    places = [
        (d.code, f"{d.subject.begin.line}:{d.subject.begin.column}" if d.subject else "0:0") for d in found.sorted()
    ]
    shown = [(d.summary, d.note) for d in found.sorted()]
    assert sorted(places) == sorted(want.errors), shown
    assert all(len(d.summary) <= SUMMARY_LIMIT for d in found)
    outputs = {o.name: o.value for o in desired.outputs}
    assert {name: outputs[name] for name in want.outputs} == want.outputs
    configs = {address: dict(r.config) for address, r in desired.resources.items()}
    assert {address: configs[address] for address in want.resources} == want.resources
    assert {a: list(desired.resources[a].dependencies) for a in want.needs} == want.needs


def test_the_corpus_has_not_shrunk() -> None:
    assert len(CASES) >= 90
    assert sum(p.stem.startswith("bad_") for p in CASES) >= 50
