"""Resource types are found by name, cheaply, and cannot be taken over."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from clockwork_nb.errors import InvalidInputError
from clockwork_nb.resources import registry


def test_aliases_lead_to_the_same_type() -> None:
    types = registry.builtin_types()
    assert types["custom"] is types["script"] is types["command"]
    assert types["verification"] is types["check"]
    assert "repository" not in types


def test_built_in_types_are_the_declared_entry_points() -> None:
    project = tomllib.loads((Path(registry.__file__).parents[2] / "pyproject.toml").read_text())
    declared = project["project"]["entry-points"][registry.GROUP]
    assert declared == {
        kind.name: f"clockwork_nb.resources.{kind.name}:TYPE" for kind in registry.builtin_types().values()
    }


def test_looking_a_built_in_type_up_imports_neither_pydantic_nor_metadata() -> None:
    code = (
        "import sys; from clockwork_nb.resources.registry import load_types; t = load_types(); t['file']; 'check' in t; "
        "t['service'].describe({}); bad = {'pydantic', 'importlib.metadata'} & set(sys.modules); assert not bad, bad; "
        "t['file'].model(); assert 'pydantic' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


class Entry:
    def __init__(self, name: str, target: Any) -> None:
        self.name, self.value, self.target = name, f"package:{name}", target

    def load(self) -> Any:
        if isinstance(self.target, Exception):
            raise self.target
        return self.target


class Other:
    name = "bucket"
    aliases = ("store", "file")


def installed(monkeypatch: pytest.MonkeyPatch, *entries: Entry) -> None:
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: entries if group == registry.GROUP else ())


def test_other_packages_can_add_types_but_not_replace_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    other: Any = Other()
    installed(monkeypatch, Entry("bucket", other), Entry("file", ImportError("never loaded")))
    types = registry.load_types()
    assert types["bucket"] is types["store"] is other
    assert types["file"] is registry.builtin_types()["file"]
    assert set(types) == {*registry.builtin_types(), "bucket", "store"} and len(types) == len(set(types))
    assert types.get("nothing") is None


def test_a_broken_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, Entry("bucket", ImportError("no module named cloud")))
    types = registry.load_types()
    assert types["file"].name == "file"
    with pytest.raises(InvalidInputError, match='"bucket" is installed but does not load'):
        types["bucket"]
