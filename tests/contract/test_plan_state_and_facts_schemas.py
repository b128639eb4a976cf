"""The published schemas of plan, state and facts hold for what is really written, and for nothing else."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import clockwork_nb
from clockwork_nb.assembly import planfile
from clockwork_nb.assembly.prior import STATUSES, PriorState
from clockwork_nb.canonical import parse_json
from clockwork_nb.errors import InvalidInputError
from clockwork_nb.forge.facts import collect_facts
from clockwork_nb.forge.fold import new_state
from clockwork_nb.forge.state_edit import push
from clockwork_nb.store.files import JobStore
from clockwork_nb.testing.inside import Inside

SCHEMAS = Path(clockwork_nb.__file__).parent / "schemas"
CANARY = "canary-for-the-schema"
WORLD = """
variable "token" {
  default   = "canary-for-the-schema"
  sensitive = true
}
variable "shape" { default = { wide = 1.5, names = ["a", "b"], none = null } }
directory "site" { path = "out/site" }
file "page" {
  path    = "${directory.site.path}/page"
  content = "port ${free_port("web")} at ${timestamp()}"
}
file "conf" {
  path    = "out/conf"
  content = "t=${var.token}"
}
command "count" {
  script     = "printf x >> out/count"
  writes     = ["out"]
  env        = { TOKEN = var.token, SHAPE = jsonencode(var.shape) }
  depends_on = [file.conf]
}
check "page" { file_exists = file.page.path }
output "where" { value = { path = file.conf.path, shape = var.shape } }
output "secret" {
  value     = var.token
  sensitive = true
}
"""
LATER = """
repository "src" {
  url  = "file:///nowhere/at/all.git"
  path = "out/src"
}
file "version" {
  path    = "out/version"
  content = repository.src.commit
}
output "commit" { value = repository.src.commit }
"""


def schema(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((SCHEMAS / f"clockwork.{name}.v1.json").read_text())
    return loaded


def check(name: str, document: Any) -> None:
    problems = [
        f"{e.json_path}: {e.message[:200]}" for e in jsonschema.Draft202012Validator(schema(name)).iter_errors(document)
    ]
    assert problems == []


@pytest.fixture(scope="module")
def applied(tmp_path_factory: pytest.TempPathFactory) -> Inside:
    made = Inside(tmp_path_factory.mktemp("world"))
    made.write({"main.cw": WORLD})
    made.run("apply", "--auto-approve")
    return made


@pytest.fixture
def world(applied: Inside, tmp_path: Path) -> Inside:
    """A copy of an applied project."""
    shutil.copytree(applied.root, tmp_path, dirs_exist_ok=True)
    return Inside(tmp_path)


def saved(project: Inside, *words: str) -> dict[str, Any]:
    """Return the saved plan, after checking that the reader takes it."""
    project.run("plan", *words, "--out", "plan.json")
    data = (project.folder / "plan.json").read_bytes()
    assert CANARY not in data.decode()
    planfile.decode_plan(data)
    document: dict[str, Any] = parse_json(data)
    check("plan", document)
    return document


def state_of(project: Inside) -> dict[str, Any]:
    data = (project.folder / ".clockwork/state.json").read_bytes()
    assert CANARY not in data.decode()
    document: dict[str, Any] = parse_json(data)
    check("state", document)
    return document


def kinds(plan: Mapping[str, Any]) -> dict[str, str]:
    return {c["address"]: c["kind"] for c in plan["changes"]}


def in_jobs(project: Inside) -> Iterator[tuple[str, Any]]:
    """Yield every plan and state that the jobs of *project* hold, with the name of its schema."""
    store = JobStore(project.store, tool_version="0")
    for job in project.jobs():
        for event in store.read(job["id"]).events:
            for field in ("plan", "state_before", "state_after"):
                sha256 = event.payload.get(field)
                if event.type in {"plan.bound", "section.closed"} and sha256:
                    yield field.partition("_")[0], parse_json(store.blobs(job["id"]).get(sha256))


@pytest.mark.parametrize("name", ["plan", "state", "facts"])
def test_the_schemas_are_schemas_of_draft_2020_12(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(schema(name))
    assert schema(name)["$id"] == f"urn:clockwork:schema:{name}:v1"


def test_first_plan_plan_of_changes_and_plan_of_nothing(project: Inside, world: Inside) -> None:
    project.write({"main.cw": WORLD})
    first = saved(project)
    assert set(kinds(first).values()) == {"create", "verify"}
    assert any("volatile" in c for c in first["changes"])
    assert first["ports"]
    assert first["lineage"] is None
    assert {v["name"]: v["sensitive"] for v in first["variables"]} == {"shape": False, "token": True}
    assert set(kinds(saved(world)).values()) == {"noop"}


def test_drift_update_replacement_and_removal(world: Inside) -> None:
    (world.folder / "out/conf").write_text("changed outside")
    (world.folder / "out/site/page").unlink()
    world.write({"main.cw": WORLD.replace('"out/conf"', '"out/other"').replace('command "count"', 'command "again"')})
    plan = saved(world)
    assert {"replace", "forget", "create"} <= set(kinds(plan).values())
    assert any(a.get("forces_replacement") for c in plan["changes"] for a in c["attributes"])
    world.write({"main.cw": WORLD})
    assert {d["address"] for d in saved(world)["drift"]} == {"file.conf", "file.page"}


def test_destroy_and_what_is_left_out_or_asked_for(world: Inside) -> None:
    assert set(kinds(saved(world, "--destroy")).values()) <= {"delete", "forget"}
    assert saved(world, "--target", "file.conf")["targets"] == ["file.conf"]
    assert saved(world, "--exclude", "file.*")["excluded"]
    assert saved(world, "--replace", "file.conf")["replace"] == ["file.conf"]
    assert saved(world, "--prune")["prune"] is True


def test_what_is_known_after_apply_and_what_waits_for_it(project: Inside) -> None:
    project.write({"main.cw": LATER})
    plan = saved(project)
    (version,) = (c for c in plan["changes"] if c["address"] == "file.version")
    assert set(version["after"]["content"]) == {"$unknown"}
    assert version["deferred"]
    assert set(plan["outputs"][0]["after"]) == {"$unknown"}


def test_moved_imported_and_removed_things(world: Inside) -> None:
    moved = WORLD.replace('file "conf"', 'file "config"').replace("file.conf", "file.config")
    world.write({"main.cw": moved + "moved {\n  from = file.conf\n  to   = file.config\n}\n"})
    assert [c["moved_from"] for c in saved(world)["changes"] if "moved_from" in c] == ["file.conf"]
    (world.folder / "out/there").write_text("there before")
    there = 'file "there" {\n  path    = "out/there"\n  content = "there before"\n}\nimport {\n  to = file.there\n  id = "out/there"\n}\n'
    world.write({"main.cw": WORLD + there})
    assert [c["imported"] for c in saved(world)["changes"] if "imported" in c] == ["out/there"]
    world.run("apply", "--auto-approve")
    assert "file.there" in {e["address"] for e in state_of(world)["resources"]}


def test_states_after_success_failure_and_edits(world: Inside) -> None:
    assert {o["name"]: o["sensitive"] for o in state_of(world)["outputs"]} == {"secret": True, "where": False}
    world.write({"bad.cw": 'command "bad" {\n  script     = "exit 3"\n  depends_on = [file.conf]\n}\n'})
    world.run("apply", "--auto-approve", expect=None)
    assert {e["status"] for e in state_of(world)["resources"]} == {"ok", "failed"}
    world.run("state", "taint", "file.conf", "--auto-approve")
    world.run("state", "mv", "file.page", "file.index", "--auto-approve")
    world.run("state", "rm", "command.bad", "--auto-approve")
    found = state_of(world)
    assert {e["status"] for e in found["resources"]} == {"ok", "tainted"}
    assert found["last"] is None
    world.run("destroy", "--auto-approve")
    assert state_of(world)["resources"] == []
    check("state", json.loads(world.run("state", "pull").out))
    check("state", new_state("l"))
    check("state", PriorState().to_document())


def test_plans_and_states_in_jobs_also_of_job_specs(world: Inside) -> None:
    world.write(
        {
            "spec.json": json.dumps(
                {"name": "n", "inputs": {"steps": [{"command": "true"}, {"id": "two", "argv": ["true"]}]}}
            )
        }
    )
    world.run("job", "submit", "spec.json", "--auto-approve", expect=None)
    names = []
    for name, document in in_jobs(world):
        check(name, document)
        names.append((name, next((c["kind"] for c in document.get("changes", ())), "")))
    assert ("plan", "run") in names
    assert ("state", "") in names


def test_the_facts_of_this_machine(world: Inside) -> None:
    check("facts", collect_facts().to_document())
    check("facts", saved(world)["facts"])
    assert schema("facts")["properties"] == schema("plan")["$defs"]["facts"]["properties"]


# --- closed ------------------------------------------------------------------------------------------------------


def test_the_reader_of_plans_and_the_schema_know_the_same_fields() -> None:
    plan = schema("plan")["properties"]
    change, step = plan["changes"]["items"], plan["actions"]["properties"]["steps"]["items"]
    for found, rules, optional in (
        (schema("plan"), planfile._PLAN, {"excluded", "replace", "plan_digest", "created_at"}),
        (change, planfile._CHANGE, set(planfile._CHANGE_OPTIONAL)),
        (step, planfile._STEP, set(planfile._STEP_OPTIONAL)),
        (change["properties"]["attributes"]["items"], planfile._ATTRIBUTE, {"forces_replacement"}),
        (plan["outputs"]["items"], planfile._OUTPUT, set()),
        (plan["drift"]["items"], planfile._DRIFT, set()),
        (plan["variables"]["items"], planfile._VARIABLE, set()),
    ):
        assert set(found["properties"]) == set(rules)
        assert set(found["required"]) == set(rules) - optional
        assert found["additionalProperties"] is False
    assert set(change["properties"]["kind"]["enum"]) == planfile._KINDS | {"run"}
    assert set(schema("state")["properties"]["resources"]["items"]["properties"]["status"]["enum"]) == set(STATUSES)


def spots(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every object in *value* that is not a free value of a resource."""
    free = {"config", "identity", "before", "after", "args", "value", "runtimes", "volatile", "recorded", "observed"}
    stack: list[tuple[tuple[Any, ...], Any]] = [(at, value)]
    while stack:
        path, item = stack.pop()
        if isinstance(item, dict):
            yield path
            stack += [((*path, k), v) for k, v in item.items() if k not in free]
        elif isinstance(item, list):
            stack += [((*path, i), v) for i, v in enumerate(item[:2])]


def changed(document: Any, path: tuple[Any, ...], edit: Any) -> Any:
    copy = json.loads(json.dumps(document))
    target = copy
    for part in path:
        target = target[part]
    edit(target)
    return copy


@pytest.mark.parametrize("name", ["plan", "state"])
def test_a_field_too_many_or_too_few_is_refused_everywhere(world: Inside, name: str) -> None:
    (world.folder / "out/conf").write_text("changed outside")
    document = saved(world) if name == "plan" else state_of(world)
    validator = jsonschema.Draft202012Validator(schema(name))
    places = list(spots(document))
    assert len(places) >= (12 if name == "plan" else 7)
    for path in places:
        assert not validator.is_valid(changed(document, path, lambda o: o.update(surplus=1))), path
        fields = document
        for part in path:
            fields = fields[part]
        optional = {"plan_digest", "created_at", "volatile", "forces_replacement", "needs", "risk", "reason"}
        for field in fields.keys() - optional:
            assert not validator.is_valid(changed(document, path, lambda o, field=field: o.pop(field))), (path, field)


@pytest.mark.parametrize(
    "value",
    [
        {"$sensitive": "clear text"}, {"$sensitive": 1}, {"$sensitive": "ab" * 32, "more": 1},
        [{"deep": {"$sensitive": "clear text"}}], {"$unknown": 1}, {"$unknown": "x", "more": 1},
    ],
)  # fmt: skip
def test_a_marked_value_is_sealed_or_unknown_and_nothing_else(world: Inside, value: Any) -> None:
    document = saved(world)
    document["changes"][0]["after"]["content"] = value
    assert not jsonschema.Draft202012Validator(schema("plan")).is_valid(document)
    if "$unknown" not in value:
        state = state_of(world)
        state["resources"][0]["config"]["x"] = value
        assert not jsonschema.Draft202012Validator(schema("state")).is_valid(state)


def test_what_push_takes_the_schema_takes_and_the_other_way_round(world: Inside) -> None:
    document = state_of(world)
    validator = jsonschema.Draft202012Validator(schema("state"))
    for edit in (
        lambda d: d.update(serial=-1), lambda d: d.update(lineage=7), lambda d: d["resources"][0].update(status="x"),
        lambda d: d["resources"][0].update(more=1), lambda d: d["resources"][0].pop("identity"),
        lambda d: d["resources"][0].update(address="nothing"), lambda d: d.pop("ports"), lambda d: d.update(last=3),
        lambda d: d["outputs"][0].pop("value"), lambda d: d["ports"][0].update(port="x"),
    ):  # fmt: skip
        wrong = changed(document, (), edit)
        assert not validator.is_valid(wrong)
        with pytest.raises(InvalidInputError):
            push(None, wrong)
    validator.validate(dict(push(None, document).after))


@pytest.fixture
def project(tmp_path: Path) -> Inside:
    """An empty project."""
    return Inside(tmp_path / "empty")
