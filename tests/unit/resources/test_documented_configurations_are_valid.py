"""Every configuration in the pages about resource types is valid as it stands, and the pages name every attribute."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from clockwork_nb.errors import ConfigurationError
from clockwork_nb.resources.registry import builtin_types
from clockwork_nb.session.session import Session
from clockwork_nb.settings import load_settings

PAGES = Path(__file__).parents[3] / "docs/resources"
TYPES = {kind.name: kind for kind in builtin_types().values()}

_BLOCK = re.compile(
    r"^(?:<!-- with files: (?P<files>[^>]*) -->\n)?```hcl\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)


def _blocks() -> Iterator[object]:
    for page in sorted(PAGES.glob("*.md")):
        text = page.read_text(encoding="utf-8")
        for found in _BLOCK.finditer(text):
            line = text.count("\n", 0, found.start("text"))
            yield pytest.param(found["text"], found["files"] or "", id=f"{page.stem}-{line}")


BLOCKS = list(_blocks())


@pytest.mark.parametrize(("text", "files"), BLOCKS)
def test_a_documented_configuration_is_valid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, files: str
) -> None:
    monkeypatch.setenv("CLOCKWORK_HOME", str(tmp_path / "home"))
    project = tmp_path / "project"
    project.mkdir()
    (project / "main.cw").write_text(text, encoding="utf-8")
    for name in filter(None, (name.strip() for name in files.split(","))):
        path = project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("text\n")
    try:
        found = Session.for_folder(project, settings=load_settings()).validate()
    except ConfigurationError as error:
        found = error.diagnostics
    assert [(d.code, d.summary, d.note) for d in found] == []


def test_the_pages_hold_configurations_at_all() -> None:
    assert len(BLOCKS) >= 2 * len(TYPES)


@pytest.mark.parametrize("name", sorted(TYPES))
def test_a_type_has_a_page_with_an_example_first_and_every_attribute(name: str) -> None:
    text = (PAGES / f"{name}.md").read_text(encoding="utf-8")
    assert text.startswith(f"# `{name}`\n")
    assert f'{name} "' in text[text.index("```hcl") :].split("```")[1]
    shown = set(re.findall(r"`([a-z_0-9]+)`", text))
    assert set(TYPES[name].model().model_fields) - shown == set()
    assert f"]({name}.md)" in (PAGES / "README.md").read_text(encoding="utf-8")
