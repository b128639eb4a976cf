"""Where a configuration comes from: files read afresh, cells that replace each other, values in their order."""

from __future__ import annotations

from pathlib import Path

import pytest

from clockwork_nb.errors import ConfigurationError, InvalidInputError
from clockwork_nb.resources.registry import builtin_types
from clockwork_nb.session.configuration import ConfigurationSources
from clockwork_nb.session.options import PlanOptions
from clockwork_nb.workspace import folder_workspace, notebook_workspace

VARIABLES = 'variable "a" {\n  type    = string\n  default = "default"\n}\nvariable "s" {\n  type      = string\n  default   = ""\n  sensitive = true\n}\n'  # fmt: skip
KEY = b"k" * 32


def folder(tmp_path: Path, text: str = VARIABLES, **cw_vars: str) -> ConfigurationSources:
    (tmp_path / "main.cw").write_text(text)
    return ConfigurationSources(folder_workspace(tmp_path), builtin_types(), cw_vars)


def value(sources: ConfigurationSources, options: PlanOptions | None = None) -> object:
    desired, _ = sources.evaluate(options or PlanOptions(), now="2026-01-01T00:00:00.000000Z", free_port=lambda name: 1)
    return next(v.value for v in desired.variables if v.name == "a")


def test_later_source_of_a_value_wins(tmp_path: Path) -> None:
    sources = folder(tmp_path, a="environment")
    (tmp_path / "z.cwvars").write_text('a = "cwvars"\n')
    (tmp_path / "file").write_text('a = "var-file"\n')
    bare = folder(tmp_path)
    assert value(bare) == "cwvars"
    assert value(sources) == "environment"
    assert value(sources, PlanOptions(var_files=("file",))) == "var-file"
    both = PlanOptions(var_files=("file",), variables=(("a", "one"), ("a", "two")))
    assert value(sources, both) == "two"
    sources.set_variable("a", "set", "%cw_var")
    assert value(sources, both) == "set"


def test_file_is_read_afresh_and_an_unchanged_one_is_not_read_into_blocks_again(tmp_path: Path) -> None:
    sources = folder(tmp_path)
    first = sources.configuration()
    assert sources.configuration() is first
    (tmp_path / "main.cw").write_text(VARIABLES.replace('"default"', '"other"'))
    assert sources.configuration() is not first
    assert value(sources) == "other"


def test_digest_of_inputs_moves_with_everything_that_decides_a_plan(tmp_path: Path) -> None:
    sources = folder(tmp_path)

    def digest(*variables: tuple[str, str], verb: str = "apply", **more: object) -> str:
        options = PlanOptions(variables=variables, **more)  # type: ignore[arg-type]
        return sources.inputs_digest(options, verb, KEY)

    seen = {
        digest(), digest(("a", "x")), digest(("a", "y")), digest(("s", "x")), digest(("s", "y")), digest(verb="destroy"),
        digest(targets=("file.a",)), digest(prune=True), digest(("a", "x"), ("a", "y")), digest(("a", "y"), ("a", "x")),
    }  # fmt: skip
    assert len(seen) == 10
    # The order of different names decides nothing, and a resumed job gives the sensitive ones last.
    assert digest(("s", "1"), ("a", "2")) == digest(("a", "2"), ("s", "1"))
    assert sources.inputs_digest(PlanOptions(variables=(("s", "x"),)), "apply", b"j" * 32) != digest(("s", "x"))


def test_what_another_process_gets_is_without_secrets_and_names_them(tmp_path: Path) -> None:
    sources = folder(tmp_path)
    sources.set_variable("s", "hidden-by-set", "%cw_var")
    sources.set_variable("a", "true", "plan.json", raw=False)
    given = PlanOptions(variables=(("a", "x"), ("s", "hidden-by-flag"), ("s", "again")))
    kept, withheld = sources.without_secrets(given)
    assert kept.variables == (("a", "x"),)
    assert withheld == [{"name": "s", "source": "--var"}, {"name": "s", "source": "%cw_var"}]
    document = sources.to_document([])
    assert document["set"] == [{"name": "a", "value": "true", "source": "plan.json", "raw": False}]
    other = ConfigurationSources(folder_workspace(tmp_path), builtin_types(), {})
    other.restore(document, lambda digest: b"")
    assert value(other) == "true"


def test_cell_replaces_what_it_said_before_and_survives_the_way_to_another_process(tmp_path: Path) -> None:
    workspace = notebook_workspace(tmp_path, "nb")
    sources = ConfigurationSources(workspace, builtin_types(), {})
    with pytest.raises(InvalidInputError, match="no cell has declared anything"):
        sources.configuration()
    sources.set_cell("one", VARIABLES, "cell one")
    sources.set_cell("one", VARIABLES.replace('"default"', '"again"'), "cell one")
    texts: list[bytes] = []
    document = sources.to_document(texts)
    other = ConfigurationSources(workspace, builtin_types(), {})
    other.restore(document, lambda digest: texts[0])
    assert value(other) == "again"
    sources.drop_cell("one")
    assert sources.cells == {}


def test_cell_with_a_mistake_keeps_its_text_so_that_no_plan_uses_the_old_one(tmp_path: Path) -> None:
    sources = ConfigurationSources(notebook_workspace(tmp_path, "nb"), builtin_types(), {})
    sources.set_cell("one", VARIABLES, "cell one")
    with pytest.raises(ConfigurationError):
        sources.set_cell("one", "variable {", "cell one")
    with pytest.raises(ConfigurationError):
        sources.configuration()


def test_name_that_another_cell_may_declare_later_is_no_mistake_of_the_cell(tmp_path: Path) -> None:
    sources = ConfigurationSources(notebook_workspace(tmp_path, "nb"), builtin_types(), {})
    report = sources.set_cell("two", 'output "o" {\n  value = var.a\n}\n', "cell two")
    assert report.diagnostics == ()
    with pytest.raises(ConfigurationError, match="1 error"):
        sources.configuration()
    sources.set_cell("one", VARIABLES, "cell one")
    assert value(sources) == "default"


def test_file_function_stays_inside_the_project(tmp_path: Path) -> None:
    root = tmp_path / "project"
    root.mkdir()
    (tmp_path / "secret").write_text("x")
    (root / "link").symlink_to(tmp_path / "secret")
    for name in ("../secret", "link", str(tmp_path / "secret")):
        sources = folder(root, f'output "o" {{\n  value = file("{name}")\n}}\n')
        with pytest.raises(ConfigurationError):
            sources.evaluate(PlanOptions(), now="", free_port=lambda name: 1)
