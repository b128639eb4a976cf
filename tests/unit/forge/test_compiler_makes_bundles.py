"""The template compiler: one step an action, in order, the same bytes every time."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from clockwork_nb.errors import BundleMappingError, BundleRuntimeError, BundleSchemaError
from clockwork_nb.forge.compiler import compile_plan, type_of
from clockwork_nb.forge.facts import collect_facts, runtime_version
from clockwork_nb.forge.runtimes import Interpreters, find_runtime
from clockwork_nb.forge.validate import validate_bundle
from clockwork_nb.ports import Action, CompiledStep
from clockwork_nb.secrets import Sensitive
from tests.unit.forge.section_kit import FACTS, TYPES, Spec, ThingType, make_plan, write


def test_steps_follow_the_plan() -> None:
    plan = make_plan(write("b", "1"), write("a", "2"), Spec("c", {"one": "exit 0\n", "two": "exit 0\n"}))
    bundle = compile_plan(plan, TYPES, FACTS)
    assert [s.id for s in bundle.steps] == [a.id for a in plan.actions]
    assert [s.purpose for s in bundle.steps] == ["make", "make", "one", "two"]
    assert validate_bundle(bundle, plan.actions) == []


def test_the_same_plan_gives_the_same_bytes() -> None:
    plans = [make_plan(write("a", "1"), write("b", "2")) for _ in range(2)]
    first, second = (compile_plan(p, TYPES, FACTS).document_bytes() for p in plans)
    assert first == second


def test_the_interpreter_is_an_absolute_path_with_the_digest_of_its_content() -> None:
    step = compile_plan(make_plan(write("a", "1")), TYPES, FACTS).steps[0]
    assert Path(step.interpreter).is_absolute()
    assert step.interpreter_sha256 == hashlib.sha256(Path(step.interpreter).read_bytes()).hexdigest()


def test_an_interpreter_is_hashed_once() -> None:
    known = Interpreters({"sh": ("/bin/sh", "ab" * 32)})
    steps = compile_plan(make_plan(write("a", "1"), write("b", "1")), TYPES, FACTS, interpreters=known).steps
    assert {(s.interpreter, s.interpreter_sha256) for s in steps} == {("/bin/sh", "ab" * 32)}


def test_secrets_are_collected_and_in_no_document() -> None:
    script = {"script": 'cat "$CW_PASSWORD"\n', "data": {"CW_PASSWORD": Sensitive("correct horse")}}
    bundle = compile_plan(make_plan(Spec("a", {"make": script})), TYPES, FACTS)
    assert bundle.secrets == {"thing.a:CW_PASSWORD": "correct horse"}
    assert b"horse" not in bundle.document_bytes()
    assert "horse" not in repr(bundle)
    secret = next(a for a in bundle.artifacts if a.secret)
    assert secret.content == b""


def test_a_runtime_that_the_machine_does_not_have_is_said_before_anything_runs() -> None:
    plan = make_plan(Spec("a", {"make": {"script": "1\n", "runtime": "deno"}}))
    with pytest.raises(BundleRuntimeError) as caught:
        compile_plan(plan, TYPES, FACTS)
    assert "deno" in caught.value.message
    assert caught.value.hint
    with pytest.raises(BundleRuntimeError):
        compile_plan(make_plan(Spec("a", {"make": {"script": "1\n", "runtime": "perl"}})), TYPES, FACTS)


def test_an_unknown_type_is_a_mapping_error() -> None:
    plan = make_plan(write("a", "1"))
    with pytest.raises(BundleMappingError) as caught:
        compile_plan(plan, {}, FACTS)
    assert caught.value.details["step"] == "thing.a:make"


class Clashing(ThingType):
    def __init__(self, **changes: Any) -> None:
        self.changes = changes

    def compile(self, action: Action) -> CompiledStep:
        made = super().compile(action)
        if action.address == "thing.b":
            return replace(
                made, artifacts=tuple(replace(a, path=a.path.replace("thing.b", "thing.a")) for a in made.artifacts)
            )
        return replace(made, secrets=self.changes.get(action.name, {}))


def test_two_contents_for_one_path_are_refused() -> None:
    with pytest.raises(BundleSchemaError):
        compile_plan(make_plan(write("a", "1"), write("b", "2")), {"thing": Clashing()}, FACTS)


def test_two_values_for_one_secret_are_refused() -> None:
    types = {"thing": Clashing(one={"s": "1111"}, two={"s": "2222"})}
    with pytest.raises(BundleSchemaError) as caught:
        compile_plan(make_plan(Spec("c", {"one": "exit 0\n", "two": "exit 0\n"})), types, FACTS)
    assert "2222" not in caught.value.message


def test_the_type_of_an_address() -> None:
    assert type_of('file.page["a.b/c"]') == "file"


def test_facts_tell_what_is_really_here() -> None:
    facts = collect_facts()
    assert facts is collect_facts()
    assert facts.os == "linux"
    assert facts.engine == "process"
    assert facts.confinement in {"standard", "basic"}
    assert set(facts.runtimes) == {n for n in ("sh", "bash", "python3", "deno", "go") if find_runtime(n)}
    assert facts.runtimes["python3"].startswith("3.")
    assert facts.runtimes["bash"][0].isdigit()


def test_a_runtime_that_does_not_tell_is_unknown(tmp_path: Path) -> None:
    silent = tmp_path / "bash"
    silent.write_text("#!/bin/sh\nexit 3\n")
    silent.chmod(0o755)
    assert runtime_version("bash", str(silent)) == "unknown"
    assert runtime_version("deno", str(tmp_path / "missing")) == "unknown"


def test_go_tells_its_version_without_being_started(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "VERSION").write_text("go1.27.1\ntime 2026-01-01\n")
    (tmp_path / "bin" / "go").write_text("not a program")
    assert runtime_version("go", str(tmp_path / "bin" / "go")) == "1.27.1"
