"""docs/plan.md: its configurations are valid, its flags and signs are those of the program."""

from __future__ import annotations

import re
from pathlib import Path

from clockwork_nb.render.plan_words import SIGNS
from clockwork_nb.testing.project import Project

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "plan.md").read_text()


def test_every_configuration_is_valid(tmp_path: Path) -> None:
    texts = re.findall(r"^```hcl\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    assert len(texts) == 2
    for number, text in enumerate(texts):
        project = Project(tmp_path / str(number))
        project.write({"main.cw": text})
        project.run("validate")


def test_every_flag_is_one_of_plan(tmp_path: Path) -> None:
    table = PAGE.split("## Choosing")[1].split("## ")[0]
    known = Project(tmp_path).run("plan", "--help").out
    for flag in re.findall(r"^\| `(--[a-z-]+)", table, re.MULTILINE):
        assert flag in known, flag


def test_every_sign_is_explained() -> None:
    table = dict(re.findall(r"^\| `(\S)` \| (\w+) \|", PAGE, re.MULTILINE))
    assert {sign: kind for kind, sign in SIGNS.items() if kind not in {"noop", "run"}} == table
