"""The published schemas of ActionList, ArtifactBundle and bundle.json are the code's, and whatever we make fits them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import clockwork_nb
from clockwork_nb.canonical import parse_json
from clockwork_nb.errors import BundleError
from clockwork_nb.forge.adapters.steps import compile_steps, parts_of, plan_steps
from clockwork_nb.forge.bundle_reader import bundle_from_json, read_bundle
from clockwork_nb.forge.bundle_schema import SCHEMAS
from clockwork_nb.forge.validate import validate_bundle
from clockwork_nb.intake.desired import EnvFacts
from clockwork_nb.jobs.spec import read_spec
from clockwork_nb.jobs.spec_template import template
from clockwork_nb.resources.registry import builtin_types
from clockwork_nb.testing.project import Project
from tests.conformance.bundles import hostile_documents as documents
from tests.conformance.bundles.hostile_bundles import ACTIONS, HONEST

FOLDER = Path(clockwork_nb.__file__).parent / "schemas"
SEED = Path(__file__).parents[1] / "conformance" / "bundles"
FACTS = EnvFacts("linux", "x86_64", "standard", runtimes={"sh": "dash"})

# One of each type.
CONFIGURATION = """
resource "file" "page" {
  path    = "out/page.txt"
  content = var.text
}
resource "file" "secret" {
  path    = "out/secret.txt"
  content = var.password
}
resource "directory" "logs" {
  path = "out/logs"
}
resource "command" "count" {
  command = ["touch", "out/count"]
  creates = "out/count"
}
resource "service" "web" {
  command = ["python3", "-m", "http.server", "--bind", "127.0.0.1", "18931"]
  ports   = [18931]
  env     = { TOKEN = var.password }
}
resource "check" "there" {
  file_exists = "out/page.txt"
}
resource "repository" "site" {
  url  = "https://example.org/site.git"
  path = "out/site"
}
resource "schedule" "nightly" {
  cron    = "0 3 * * *"
  command = ["true"]
}
resource "terraform" "net" {
  source = "net"
}
resource "image" "app" {
  context = "app"
  tags    = ["app:1"]
  engine  = "podman"
}
resource "service" "boxed" {
  image  = "localhost/app:1"
  engine = "podman"
  port   = 18932
  env    = { TOKEN = var.password }
}
variable "text" { default = "hello" }
variable "password" {
  default   = "swordfish-of-the-day"
  sensitive = true
}
"""


def validator(name: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(json.loads((FOLDER / f"clockwork.{name}.v1.json").read_text()))


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_published_schema_is_up_to_date(name: str) -> None:
    schema = SCHEMAS[name]()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert json.loads((FOLDER / name).read_text()) == schema, (
        f"write it again: {name} is json.dumps(SCHEMAS[name](), indent=2, sort_keys=True)"
    )


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_property_says_what_it_is(name: str) -> None:
    stack: list[tuple[str, Any]] = [("", SCHEMAS[name]())]
    bare = []
    while stack:
        place, schema = stack.pop()
        if isinstance(schema, dict):
            for key, inner in schema.get("properties", {}).items():
                if isinstance(inner, dict) and key not in {"cmd", "run", "sha256"} and "description" not in inner:
                    bare.append(f"{place}/{key}")
            stack += [(f"{place}/{key}", inner) for key, inner in schema.items()]
        elif isinstance(schema, list):
            stack += [(place, inner) for inner in schema]
    assert bare == []


def test_the_first_examples_fit_as_they_stand() -> None:
    actions = json.loads((SEED / "seed_actionlist.json").read_bytes())
    validator("actionlist").validate(actions)
    validator("artifactbundle").validate(json.loads((SEED / "seed_artifactbundle.json").read_bytes()))


def test_the_first_example_is_read_whole_and_only_what_may_not_run_is_refused() -> None:
    actions = json.loads((SEED / "seed_actionlist.json").read_bytes())["steps"]
    data = (SEED / "seed_artifactbundle.json").read_bytes()
    reading = read_bundle(data, actions, interpreters=documents.INTERPRETERS)
    assert reading.findings == ()
    assert reading.bundle is not None
    assert [s.id for s in reading.bundle.steps] == [a["name"] for a in actions]
    assert reading.bundle.steps[0].vars["INTERNAL_PORT"] == "8080"
    findings = validate_bundle(reading.bundle, actions, source="agent")
    # All permissions at once, and a program started by its path, are what the allow-list is there to refuse.
    assert {(f.code, f.place) for f in findings if "artifact " not in f.place} == {
        ("E_BUNDLE_RUNTIME", "step ensure_service"),
        ("E_BUNDLE_RUNTIME", "step verify_http"),
    }


def test_what_the_reader_takes_fits_and_what_does_not_fit_the_reader_refuses() -> None:
    check = validator("artifactbundle")
    check.validate(documents.honest())
    bundle_from_json(documents.text().encode(), documents.ACTIONS, interpreters=documents.INTERPRETERS)
    for case in documents.documents():
        try:
            document = json.loads(case.data)
        except (ValueError, RecursionError):
            continue
        if check.is_valid(document):
            continue
        with pytest.raises(BundleError):
            bundle_from_json(case.data, documents.ACTIONS, interpreters=documents.INTERPRETERS)


def test_the_bundle_of_the_corpus_fits() -> None:
    validator("bundle").validate(HONEST.to_document())
    validator("actionlist").validate({"version": "1", "steps": [{**a, "args": {}} for a in ACTIONS]})


def _check_built(project: Project) -> set[str]:
    """Plan and build what *project* declares, check both documents, and return the types that had a step."""
    plan = project.run("plan", "--json").json
    validator("actionlist").validate(plan["actions"])
    built = project.run("build", "--json").json
    assert [flag for script in built["scripts"] for flag in script["flags"]] == []  # what we write is above suspicion
    return {step["address"].partition(".")[0] for step in plan["actions"]["steps"]}


def test_what_every_resource_type_compiles_to_fits(tmp_path: Path) -> None:
    project = Project(tmp_path)
    for made in ("net", "app"):
        (project.folder / made).mkdir()
    project.write({"main.cw": CONFIGURATION, "net/main.tf": "", "app/Dockerfile": "FROM scratch\n"})
    seen = _check_built(project)
    assert seen == {kind.name for kind in builtin_types().values()}
    job = project.run("apply", "--json", expect=4)
    assert job.error["code"] == "E_CHECKPOINT_APPROVAL_REQUIRED"
    for folder in (project.store / "jobs").iterdir():
        bundles = [b for b in folder.glob("blobs/sha256/*/*") if b.read_bytes().startswith(b'{"artifacts":')]
        assert bundles
        for blob in bundles:
            validator("bundle").validate(parse_json(blob.read_bytes()))


def test_what_the_steps_of_a_job_spec_compile_to_fits() -> None:
    spec = read_spec(template().encode(), name="jobspec.yaml")
    for part in parts_of(spec.steps):
        plan = plan_steps(part, configuration="0" * 64, spec_name=spec.name, facts=FACTS, tool_version="t")
        validator("actionlist").validate(plan.to_document()["actions"])
        validator("bundle").validate(compile_steps(part, spec_name=spec.name).to_document())
