"""Resource types are found by name, cheaply, and cannot be taken over."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clockwork_nb.errors import InvalidInputError
from clockwork_nb.ports import Action, ActionSpec, Observation
from clockwork_nb.resources import registry
from clockwork_nb.session.session import Session
from clockwork_nb.settings import load_settings


def test_aliases_lead_to_the_same_type() -> None:
    types = registry.builtin_types()
    assert types["custom"] is types["script"] is types["command"]
    assert types["verification"] is types["check"]
    assert "symlink" not in types


def test_names_and_aliases_are_those_of_the_types() -> None:
    types = registry.builtin_types()
    kinds = {kind.name: kind for kind in types.values()}
    assert sorted(types) == sorted(name for kind in kinds.values() for name in (kind.name, *kind.aliases))
    assert len(types) == len(list(types))


def test_a_type_is_imported_when_it_is_asked_for() -> None:
    code = (
        "import sys; from clockwork_nb.resources.registry import load_types; t = load_types(); t['file']; "
        "names = {m.split('.')[2] for m in sys.modules if m.startswith('clockwork_nb.resources.')}; "
        "assert not names & {'service', 'terraform', 'schedule', 'image'}, names"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


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


def installed(monkeypatch: pytest.MonkeyPatch, *entries: Entry) -> None:
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: entries if group == registry.GROUP else ())


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "data/example_resource_package/src")
    return importlib.import_module("cw_symlink").SymlinkType


def test_other_packages_can_add_types_but_not_replace_ours(monkeypatch: pytest.MonkeyPatch, example: Any) -> None:
    installed(
        monkeypatch,
        Entry("symlink", example()),
        Entry("file", ImportError("never loaded")),
        Entry("var", ImportError("a word of the language")),
    )
    types = registry.load_types()
    assert types["symlink"] is types["link"] and types["symlink"].summary == "a symbolic link"
    assert types["file"] is registry.builtin_types()["file"]
    assert set(types) == {*registry.builtin_types(), "symlink"} and len(types) == len(set(types))
    assert types.get("nothing") is None and "var" not in types


def test_words_of_the_language_are_known_without_looking_for_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(group: str) -> Any:
        raise AssertionError("entry points were read")

    monkeypatch.setattr("importlib.metadata.entry_points", never)
    types = registry.load_types()
    assert all(word not in types for word in ("var", "local", "path", "data", "module", "each", "count"))


def test_a_configuration_of_built_in_types_reads_no_entry_points(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def never(group: str) -> Any:
        assert group != registry.GROUP, "entry points were read"
        return ()  # pydantic looks for its own

    monkeypatch.setattr("importlib.metadata.entry_points", never)
    monkeypatch.setenv("CLOCKWORK_HOME", str(tmp_path / "home"))
    project = tmp_path / "project"
    project.mkdir()
    (project / "main.cw").write_text(
        'variable "n" { default = 2 }\nlocals { all = [for x in range(var.n) : x] }\n'
        'file "a" {\n  path = "d/a"\n  content = "${path.root} ${jsonencode(local.all)}"\n}\n'
        'script "b" {\n  script = "true"\n  triggers = { a = file.a.sha256 }\n}\n'
        'output "b" { value = script.b.triggers }\n'
    )
    session = Session.for_folder(project, settings=load_settings())
    assert session.validate() == ()
    assert {c["address"] for c in session.plan().document["changes"]} == {"file.a", "command.b"}


@pytest.mark.parametrize(
    "problem", [ImportError("no module named cloud"), SyntaxError("invalid"), AttributeError("TYPE"), RuntimeError("x")]
)
def test_a_broken_package_is_named_and_harms_no_other(
    monkeypatch: pytest.MonkeyPatch, example: Any, problem: Exception
) -> None:
    installed(monkeypatch, Entry("bucket", problem), Entry("symlink", example()))
    types = registry.load_types()
    assert types["file"].name == "file" and types["symlink"].name == types["link"].name == "symlink"
    assert types.get("nothing") is None
    with pytest.raises(InvalidInputError, match='"bucket" is installed but does not load') as caught:
        types["bucket"]
    assert "package:bucket" in caught.value.hint and caught.value.details["package"] == "package"


@pytest.mark.parametrize(
    ("broken", "call", "words"),
    [
        ({"exports": lambda s, c: [1]}, lambda t: t.exports({}), "in exports: it returned a list, not a mapping"),
        ({"exports": lambda s, c: 1 / 0}, lambda t: t.exports({}), "raised ZeroDivisionError: division by zero"),
        ({"export_names": lambda s: "ab"}, lambda t: t.export_names(), "returned a str, not a set"),
        ({"replaces": lambda s, a, b: [1]}, lambda t: t.replaces({}, {}), "not a set of texts"),
        ({"drift": lambda s, c, o: {"a": 1}}, lambda t: t.drift({}, Observation(True)), "pairs"),
        ({"actions": lambda s, a, b, c: ["x"]}, lambda t: t.actions("create", {}, None), "a list of ActionSpec"),
        (
            {"actions": lambda s, a, b, c: [ActionSpec("../x", {})]},
            lambda t: t.actions("create", {}, None),
            "an action with a plain name",
        ),
        (
            {"actions": lambda s, a, b, c: [ActionSpec("x", {}, timeout_s=0)]},
            lambda t: t.actions("create", {}, None),
            "returned 0, not a timeout",
        ),
        ({"risks": lambda s, a, b, c, d: None}, lambda t: t.risks("create", {}, None, None), "returned None"),
        ({"describe": lambda s, c: None}, lambda t: t.describe({}), "in describe"),
        ({"compile": lambda s, a: "sh -c x"}, lambda t: t.compile(Action("a.b:c", "c", "a.b", {})), "a CompiledStep"),
        ({"observe": lambda s, c, r, x: {}}, lambda t: t.observe({}, None, None), "an Observation"),
        ({"model": lambda s: dict}, lambda t: t.model(), "pydantic.BaseModel"),
        ({"claims": lambda s, c: {"a": 1}}, lambda t: t.claims({}), "in claims"),
        ({"accepts": lambda s, a: [a]}, lambda t: t.accepts({}), "in accepts: it returned a list, not a dict"),
        ({"accepts": lambda s, a: a["x"]}, lambda t: t.accepts({}), "raised KeyError"),
        ({"attribute_names": lambda s: ["a"]}, lambda t: t.attribute_names(), "not a frozenset of texts"),
        ({"import_id": lambda s, c: None}, lambda t: t.import_id({}), "in import_id"),
        ({"with_facts": lambda s, c, f: None}, lambda t: t.with_facts({}, {}), "in with_facts"),
        ({"with_files": lambda s, c, f: c["x"]}, lambda t: t.with_files({}, None), "raised KeyError"),
        ({"found": lambda s, i, c: "x"}, lambda t: t.found("x", None), "in found"),
    ],
)
def test_a_type_that_misbehaves_is_told_with_its_package(
    monkeypatch: pytest.MonkeyPatch, example: Any, broken: dict[str, Any], call: Callable[[Any], Any], words: str
) -> None:
    installed(monkeypatch, Entry("symlink", type("Broken", (example,), broken)()))
    kind = registry.load_types()["symlink"]
    with pytest.raises(InvalidInputError, match=re.escape(words)) as caught:
        call(kind)
    assert 'the resource type "symlink" of the package package' in str(caught.value) and caught.value.hint


def test_a_model_that_breaks_is_told_with_its_package(monkeypatch: pytest.MonkeyPatch, example: Any) -> None:
    from pydantic import ValidationError, field_validator

    from clockwork_nb.resources.config import Attributes

    class Model(Attributes):
        path: str

        @field_validator("path")
        @classmethod
        def _check(cls, value: str) -> str:
            raise LookupError(value)

    installed(monkeypatch, Entry("symlink", type("Broken", (example,), {"model": lambda self: Model})()))
    model = registry.load_types()["symlink"].model()
    assert model is registry.load_types()["symlink"].model() or set(model.model_fields) == {"path"}
    with pytest.raises(ValidationError):
        model.model_validate({"path": 1})
    with pytest.raises(InvalidInputError, match="in model: it raised LookupError"):
        model.model_validate({"path": "x"})


def test_what_a_type_does_not_have_is_not_there(monkeypatch: pytest.MonkeyPatch, example: Any) -> None:
    installed(monkeypatch, Entry("symlink", example()))
    kind: Any = registry.load_types()["symlink"]
    assert kind.claims({"path": "a/b"}) == ("path:a/b",)
    assert not any(
        hasattr(kind, name) for name in ("import_id", "found", "with_facts", "accepts", "attribute_names", "nonsense")
    )
    assert kind.with_files({"a": 1}, None) == {"a": 1} and kind.bound_to_address is False


@pytest.mark.parametrize(
    ("name", "made", "words"),
    [
        ("symlink", object(), "has no model, exports"),
        ("link2", None, "calls itself a str"),
        ("Bad-Name", None, "which can be none"),
    ],
)
def test_what_is_no_resource_type_is_refused(
    monkeypatch: pytest.MonkeyPatch, example: Any, name: str, made: Any, words: str
) -> None:
    installed(monkeypatch, Entry(name, made or example()))
    with pytest.raises(InvalidInputError, match=re.escape(words)):
        registry.load_types()[name]
