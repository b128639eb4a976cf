"""A terraform module, by recorded answers of the real tool: what is bound, what is shown, what would be done."""

from __future__ import annotations

import ast
import copy
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clockwork_nb.errors import InvalidInputError
from clockwork_nb.ids import step_id
from clockwork_nb.intake.values import Unknown
from clockwork_nb.ports import Action, ActionSpec, ChangeKind, CompiledStep, Observation
from clockwork_nb.resources.registry import builtin_types
from clockwork_nb.resources.terraform import drive
from clockwork_nb.resources.terraform.reading import (
    Trouble,
    counted,
    decoded,
    is_data,
    masked,
    plain,
    problems,
    summary,
)
from clockwork_nb.resources.terraform.templates import asked
from clockwork_nb.resources.terraform.tfvars import tfvars
from clockwork_nb.secrets import Sensitive, seal

TERRAFORM = builtin_types()["terraform"]
DATA = Path(__file__).parents[2] / "data" / "terraform"
ADDRESS = "terraform.net"


def recorded_answer(name: str) -> dict[str, Any]:
    out: dict[str, Any] = json.loads((DATA / f"{name}.json").read_text())
    return out


def config(**attributes: Any) -> dict[str, Any]:
    out: dict[str, Any] = TERRAFORM.model().model_validate({"source": "infra", **attributes}).model_dump()
    return out


def seen(name: str, *, mode: str = "apply", question: str = "", **more: Any) -> Observation:
    found = summary(recorded_answer(name))
    attributes = {
        "folder": ".clockwork/terraform/x",
        "mode": mode,
        "plan_digest": found["digest"],
        "changes": found["changes"],
        "changed_outputs": found["outputs"],
        "asked": question,
        **more,
    }
    return Observation(True, attributes)


def actions(change: ChangeKind, wanted: Any, recorded: Any, observed: Observation | None) -> dict[str, ActionSpec]:
    own = TERRAFORM.actions_observed  # type: ignore[attr-defined]
    return {spec.name: spec for spec in own(change, wanted, recorded, observed)}


def compiled(spec: ActionSpec) -> CompiledStep:
    return TERRAFORM.compile(Action(step_id(ADDRESS, spec.name), spec.name, ADDRESS, spec.args))


# --- reading ----------------------------------------------------------------------------------------------------------


def test_a_plan_is_read_as_what_it_does_in_the_order_of_addresses() -> None:
    found = summary(recorded_answer("plan_change"))
    assert [(c["address"], c["actions"]) for c in found["changes"]] == [
        ("terraform_data.again", ["delete", "create"]),
        ("terraform_data.gone", ["delete"]),
        ("terraform_data.keep", ["update"]),
        ("terraform_data.new", ["no-op"]),
    ]
    again, gone, keep, new = found["changes"]
    assert again["replace_paths"] == ["triggers_replace"]
    assert gone["reason"] == "delete_because_no_resource_config"
    assert keep["attributes"] == ["input", "output"]
    assert new["moved_from"] == "terraform_data.old"
    assert counted(found) == "1 to add, 1 to change, 2 to remove"
    assert found["outputs_declared"] == ["name", "token"]
    assert (found["variables_declared"], found["variables_sensitive"]) == (["name", "token"], ["token"])


def test_a_secret_is_neither_in_the_summary_nor_in_the_digest() -> None:
    one, other = summary(recorded_answer("plan_change")), summary(recorded_answer("plan_change_other_secret"))
    assert one == other
    assert one["secret"] is True
    assert "secret" not in json.dumps({**one, "secret": None, "variables_sensitive": None}).replace('"secret"', "")


def _other_time(plan: dict[str, Any]) -> None:
    plan["timestamp"] = "2001-01-01T00:00:00Z"


def _other_refresh(plan: dict[str, Any]) -> None:
    plan["relevant_attributes"] = []
    plan["resource_changes"].reverse()


def _other_command(plan: dict[str, Any]) -> None:
    found = next(r for r in plan["configuration"]["root_module"]["resources"] if r.get("provisioners"))
    found["provisioners"][0]["expressions"]["command"] = {"constant_value": "rm -rf /"}


def _other_value(plan: dict[str, Any]) -> None:
    found = next(c for c in plan["resource_changes"] if c["address"] == "terraform_data.again")
    found["change"]["after"]["triggers_replace"] = ["gamma"]


def _other_action(plan: dict[str, Any]) -> None:
    plan["resource_changes"][0]["change"]["actions"] = ["delete"]


def _other_variable(plan: dict[str, Any]) -> None:
    plan["variables"]["name"]["value"] = "gamma"


def _other_output(plan: dict[str, Any]) -> None:
    plan["output_changes"]["name"]["after"] = "gamma"


@pytest.mark.parametrize("change", [_other_time, _other_refresh])
def test_the_digest_leaves_out_what_differs_between_two_plans_that_do_the_same(
    change: Callable[[dict[str, Any]], None],
) -> None:
    plan = recorded_answer("plan_change")
    before = summary(copy.deepcopy(plan))["digest"]
    change(plan)
    assert summary(plan)["digest"] == before


@pytest.mark.parametrize("change", [_other_command, _other_value, _other_action, _other_variable, _other_output])
def test_the_digest_covers_everything_that_would_be_done(change: Callable[[dict[str, Any]], None]) -> None:
    plan = recorded_answer("plan_change")
    before = summary(copy.deepcopy(plan))["digest"]
    change(plan)
    assert summary(plan)["digest"] != before


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@given(JSON, JSON)
@settings(max_examples=150, deadline=None)
def test_masking_never_changes_what_it_is_given_and_hides_what_is_marked(value: Any, marks: Any) -> None:
    before = copy.deepcopy(value)
    shown = masked({"secret": "hunter2", "rest": value}, {"secret": True, "rest": marks})
    assert value == before
    assert shown["secret"] == "(sensitive)"
    assert masked(value, False) == value


def test_errors_are_told_with_their_place() -> None:
    text = problems((DATA / "errors.jsonl").read_bytes(), b"")
    assert text.startswith('main.tf:1:1: No value for required variable. The root module input variable "q" is not set')
    assert problems(b"not json\n", b"\x1b[31mboom\x1b[0m\n") == "boom\nnot json"
    init = plain((DATA / "init_failed.txt").read_bytes())
    assert 'on main.tf line 2, in resource "terraform_data" "a":' in init


def test_what_is_no_json_or_of_another_form_is_refused() -> None:
    with pytest.raises(Trouble, match="did not answer with JSON"):
        decoded(b"[]")
    with pytest.raises(Trouble, match="did not answer with JSON: Usage"):
        decoded(b"Usage: terraform")
    with pytest.raises(Trouble, match=r"the form '2\.0'"):
        decoded(b'{"format_version": "2.0"}', form="1.")
    assert decoded(b'{"format_version": {"value": 1}}') == {"format_version": {"value": 1}}


def test_outputs_are_read_with_what_says_that_they_are_sensitive() -> None:
    found = decoded((DATA / "output.json").read_bytes())
    assert {name: (about["value"], about["sensitive"]) for name, about in found.items()} == {
        "name": ("alpha", False),
        "token": ("first-secret", True),
    }


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("data.http.x", True),
        ("module.a.data.http.x", True),
        ("terraform_data.data", False),
        ('terraform_data.a["x.data.y"]', False),
        ('module.m["q.data."].terraform_data.a[0]', False),
    ],
)
def test_data_sources_are_told_from_resources(address: str, expected: bool) -> None:
    assert is_data(address) is expected


# --- variables --------------------------------------------------------------------------------------------------------


def test_variables_are_written_as_values_and_nothing_is_ever_evaluated() -> None:
    text = tfvars({"b": [True, None, 1, {"k": '${file("/etc/passwd")}'}], "a": "%{ if true }\n\x07"})
    assert text == 'a = "\\u0025{ if true }\\n\\u0007"\nb = [true,null,1,{"k":"\\u0024{file(\\"/etc/passwd\\")}"}]\n'


def test_a_deep_value_needs_no_recursion() -> None:
    value: Any = 1
    for _ in range(20_000):
        value = [value]
    assert tfvars({"v": value}).count("[") == 20_000


def test_a_value_without_a_form_is_refused() -> None:
    with pytest.raises(InvalidInputError, match='"v" holds a bytes'):
        tfvars({"v": b"x"})


# --- attributes -------------------------------------------------------------------------------------------------------


def test_outputs_may_be_limited_and_are_unknown_until_after_apply() -> None:
    wanted = config(outputs=["b", "a", "b"])
    assert wanted["output_names"] == ["a", "b"]
    assert "outputs" not in wanted
    assert isinstance(TERRAFORM.exports(wanted)["outputs"], Unknown)


@pytest.mark.parametrize(
    "attributes",
    [
        {"source": "../elsewhere"},
        {"vars": {"a b": 1}},
        {"workspace": "a/b"},
        {"workspace": ""},
        {"parallelism": 0},
        {"env": {"TF_DATA_DIR": "x"}},
        {"env": {"TF_CLI_ARGS_plan": "-lock=false"}},
        {"binary": "/bin/sh"},
        {"outputs": ["a"], "output_names": ["a"]},
    ],
)
def test_attributes_that_cannot_be_are_refused(attributes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(attributes))):
        config(**attributes)


def test_two_blocks_cannot_own_one_state() -> None:
    claims: Callable[[Mapping[str, Any]], Any] = TERRAFORM.claims  # type: ignore[attr-defined]
    assert claims(config()) == claims(config(vars={"a": 1}))
    assert claims(config()) != claims(config(workspace="blue"))
    assert TERRAFORM.replaces(config(), config(workspace="blue")) == {"workspace"}
    assert not TERRAFORM.replaces(config(), config(vars={"a": 1}))


# --- what is shown ----------------------------------------------------------------------------------------------------


def pending(change: ChangeKind, wanted: Any, observed: Observation) -> list[tuple[str, Any, Any, bool]]:
    return list(TERRAFORM.pending(change, wanted, observed))  # type: ignore[attr-defined]


def test_each_change_of_terraform_is_a_row_of_the_plan() -> None:
    assert pending("update", config(), seen("plan_change")) == [
        ("terraform_data.again", "as it is", "made anew (triggers_replace)", True),
        ("terraform_data.gone", "as it is", None, False),
        ("terraform_data.keep", "as it is", "changed: input, output", False),
        ("terraform_data.new", "terraform_data.old", "moved", False),
    ]
    assert pending("create", config(), seen("plan_create"))[0] == ("terraform_data.again", None, "created", False)
    assert {row[2] for row in pending("delete", None, seen("plan_destroy", mode="destroy"))} == {None}


def test_a_plan_of_another_kind_is_not_shown() -> None:
    assert pending("delete", None, seen("plan_change")) == []
    assert pending("update", config(), seen("plan_destroy", mode="destroy")) == []


def test_outputs_that_alone_would_change_are_a_row() -> None:
    observed = Observation(True, {"mode": "apply", "plan_digest": "d", "changes": [], "changed_outputs": ["url"]})
    assert pending("noop", config(), observed) == [("output.url", "as it is", "another value", False)]


def test_changed_files_are_a_row_while_nobody_asked_terraform() -> None:
    observed = Observation(True, {"applied": True, "files_changed": True})
    assert pending("update", config(), observed) == [("source", "as applied", "files changed", False)]
    assert pending("create", config(), observed) == []


def test_what_terraform_refuses_stops_the_plan_with_its_words() -> None:
    observed = Observation(
        None, {"problem": "terraform.net (infra): main.tf:2:11: Invalid expression.", "hint": "more"}
    )
    with pytest.raises(InvalidInputError, match=r"main\.tf:2:11") as caught:
        pending("update", config(), observed)
    assert caught.value.hint == "more"
    assert pending("noop", config(), observed) == []


def test_drift_is_only_what_neither_the_block_nor_the_files_explain() -> None:
    now = config(vars={"name": "beta"})
    more: dict[str, Any] = {"asked_now": True, "files_changed": False}
    found = seen("plan_change", question=asked(now, "apply"), **more)
    assert TERRAFORM.drift(now, found)["terraform_data.gone"] == ("as applied", None)
    assert not TERRAFORM.drift(config(vars={"name": "alpha"}), found)
    assert not TERRAFORM.drift(
        now, seen("plan_change", question=asked(now, "apply"), files_changed=True, asked_now=True)
    )
    assert not TERRAFORM.drift(now, seen("plan_change", question=asked(now, "apply"), files_changed=False))
    sealed = seal(config(vars={"name": "beta", "t": Sensitive("x")}), b"k" * 32)
    assert not TERRAFORM.drift(sealed, seen("plan_change", question=asked(sealed, "apply"), **more))


def test_risks_come_from_what_terraform_would_do() -> None:
    assert TERRAFORM.risks("create", config(), None, seen("plan_create")) == ("network",)
    assert TERRAFORM.risks("update", config(), config(), seen("plan_change")) == ("destroy", "network")
    assert TERRAFORM.risks("delete", None, config(), None) == ("destroy", "network")
    assert TERRAFORM.risks("replace", config(), config(), None) == ("destroy", "network")


# --- actions ----------------------------------------------------------------------------------------------------------


def test_the_plan_that_was_seen_is_what_the_apply_is_bound_to() -> None:
    found = seen("plan_create")
    specs = actions("create", config(), None, found)
    assert list(specs) == ["terraform_apply"]
    assert specs["terraform_apply"].args["plan_digest"] == found.attributes["plan_digest"]
    assert compiled(specs["terraform_apply"]).vars["CW_PLAN_DIGEST"] == found.attributes["plan_digest"]


def test_without_a_plan_terraform_is_only_asked() -> None:
    specs = actions("create", config(), None, Observation(None, {"folder": "f"}))
    assert list(specs) == ["terraform_plan"]
    assert specs["terraform_plan"].asks
    specs = actions("delete", None, config(), Observation(True, {"folder": "f"}))
    assert (list(specs), specs["terraform_plan"].args["mode"]) == (["terraform_plan"], "destroy")


def test_of_two_modules_one_is_asked_after_the_other() -> None:
    observed = Observation(True, {"folder": "new", "old_module": {"folder": "old"}})
    (first,) = actions("replace", config(source="other"), config(), observed).values()
    assert (first.name, first.args["mode"], first.args["source"]) == ("terraform_plan", "destroy", "infra")
    answered = {"folder": "old", "plan_digest": "d1", "changes": []}
    observed = Observation(True, {"folder": "new", "old_module": answered})
    (second,) = actions("replace", config(source="other"), config(), observed).values()
    assert (second.name, second.args["mode"], second.args["source"]) == ("terraform_plan", "apply", "other")
    assert first.reason != second.reason


def test_nobody_acts_where_nobody_looked() -> None:
    spec = actions("create", config(), None, None)["terraform_apply"]
    assert isinstance(spec.args["plan_digest"], Unknown)
    with pytest.raises(Exception, match="what terraform would do is not known") as caught:
        compiled(spec)
    assert (caught.value.code, caught.value.exit_code) == ("E_UNSAFE_OPERATION", 8)  # type: ignore[attr-defined]
    assert "--allow-data terraform" in caught.value.hint  # type: ignore[attr-defined]


def test_a_variable_that_is_not_known_yet_waits_like_everywhere() -> None:
    wanted = config(vars={"port": Unknown("later")})
    spec = actions("create", wanted, None, Observation(None, {"folder": "f"}))["terraform_apply"]
    with pytest.raises(InvalidInputError, match="known only after apply"):
        compiled(spec)


def test_an_update_of_limits_alone_does_nothing() -> None:
    observed = Observation(True, {"folder": "f", "applied": True, "files_changed": False})
    assert not actions("update", config(timeout=60, parallelism=2), config(), observed)
    assert actions("update", config(vars={"a": 1}), config(), observed)


def test_another_module_is_destroyed_by_its_own_plan_and_the_new_one_applied() -> None:
    old = {"folder": "old", "mode": "destroy", "plan_digest": "d1", "changes": []}
    observed = Observation(True, {**seen("plan_create").attributes, "old_module": old})
    specs = actions("replace", config(source="other"), config(), observed)
    assert list(specs) == ["terraform_destroy", "terraform_apply"]
    destroy = specs["terraform_destroy"].args
    assert (destroy["source"], destroy["folder"], destroy["plan_digest"]) == ("infra", "old", "d1")
    assert specs["terraform_apply"].args["source"] == "other"


def test_a_replacement_in_place_is_one_plan_that_makes_everything_anew() -> None:
    specs = actions("replace", config(), config(), seen("plan_change", mode="anew"))
    assert list(specs) == ["terraform_apply"]
    assert (specs["terraform_apply"].args["mode"], specs["terraform_apply"].risk) == ("anew", ("destroy",))
    specs = actions("replace", config(), config(), seen("plan_change"))
    assert (list(specs), specs["terraform_plan"].args["mode"]) == (["terraform_plan"], "anew")


# --- scripts ----------------------------------------------------------------------------------------------------------


def test_a_secret_is_in_no_artifact_variable_or_word() -> None:
    wanted = config(vars={"name": "x", "token": Sensitive("hunter2")}, env={"AWS_SECRET": Sensitive("swordfish")})
    step = compiled(actions("create", wanted, None, seen("plan_create"))["terraform_apply"])
    text = repr((step.cmd, step.vars, step.data, [(a.path, a.content) for a in step.artifacts]))
    assert "hunter2" not in text
    assert "swordfish" not in text
    assert step.vars["CW_SECRET_NAMES"] == '["token"]'
    assert step.secrets[f"{ADDRESS}:terraform_apply.tfvars"] == 'name = "x"\ntoken = "hunter2"\n'
    assert {"hunter2", "swordfish"} <= set(step.secrets.values())
    assert (step.cls, step.network, step.write) == ("host", True, ())


def test_a_secret_that_is_only_recorded_cannot_be_used() -> None:
    recorded = seal(config(vars={"token": Sensitive("hunter2")}), b"k" * 32)
    specs = actions("delete", None, recorded, seen("plan_destroy", mode="destroy"))
    with pytest.raises(InvalidInputError, match='"token" is in no file') as caught:
        compiled(specs["terraform_destroy"])
    assert "clockwork destroy --target terraform.net" in caught.value.hint
    declared = Sensitive(config(vars={"token": Sensitive("hunter2")}))
    specs = actions("delete", None, recorded, seen("plan_destroy", mode="destroy", secrets_of=declared))
    assert compiled(specs["terraform_destroy"]).secrets[f"{ADDRESS}:terraform_destroy.tfvars"] == 'token = "hunter2"\n'


def test_the_script_stands_alone_and_says_what_it_does(tmp_path: Path) -> None:
    step = compiled(actions("create", config(), None, seen("plan_create"))["terraform_apply"])
    script = step.artifacts[0]
    text = script.content.decode()
    assert text.splitlines()[1] == "# What: let terraform carry out the plan that was approved for infra"
    names = {n.name for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Import) for n in node.names}
    names |= {str(node.module) for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in names} <= sys.stdlib_module_names
    path = tmp_path / "apply.py"
    path.write_text(text)
    files = {"CW_VARIABLES": tmp_path / "v", "CW_ENVIRONMENT": tmp_path / "e"}
    files["CW_VARIABLES"].write_text("")
    files["CW_ENVIRONMENT"].write_text('{"PATH": "/nowhere"}')
    env = {**step.vars, **{name: str(file) for name, file in files.items()}, "PATH": "/usr/bin:/bin"}
    (tmp_path / "infra").mkdir()
    done = subprocess.run([sys.executable, "-I", str(path)], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == "terraform and tofu cannot be found in /nowhere: install it, or set binary or env.PATH\n"


def test_the_question_is_the_same_whatever_a_secret_is() -> None:
    one, other = (config(vars={"t": Sensitive(value), "n": 1}) for value in ("a", "b"))
    sealed = seal(one, b"k" * 32)
    assert asked(one, "apply") == asked(other, "apply") == asked(sealed, "apply")
    assert asked(one, "apply") != asked(one, "destroy")
    assert asked(one, "apply") != asked(config(vars={"t": Sensitive("a"), "n": 2}), "apply")


def test_the_digest_of_a_module_is_over_its_own_files(tmp_path: Path) -> None:
    (tmp_path / "main.tf").write_text("a")
    (tmp_path / "mod").mkdir()
    (tmp_path / "mod" / "x.tf").write_text("b")
    module = drive.Module(tmp_path, tmp_path, var_files=[tmp_path / "values"])
    first = drive.source_digest(module)
    for name in ("terraform.tfstate", ".terraform.lock.hcl", "notes.md"):
        (tmp_path / name).write_text("c")
    (tmp_path / ".terraform").mkdir()
    (tmp_path / ".terraform" / "z.tf").write_text("d")
    assert drive.source_digest(module) == first
    (tmp_path / "mod" / "x.tf").write_text("B")
    second = drive.source_digest(module)
    (tmp_path / "values").write_text("e")
    assert len({first, second, drive.source_digest(module)}) == 3


def test_auto_takes_terraform_before_tofu(tmp_path: Path) -> None:
    for name in ("tofu", "terraform"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
        module = drive.Module(tmp_path, tmp_path, env={"PATH": str(tmp_path)})
        assert drive.program(module) == str(tmp_path / name)
    assert drive.program(drive.Module(tmp_path, tmp_path, "tofu", env={"PATH": str(tmp_path)})) == str(
        tmp_path / "tofu"
    )
