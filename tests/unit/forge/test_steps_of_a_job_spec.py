"""A job spec's steps as plans and bundles: cut at decisions, one readable script each, nothing smuggled into a header."""

from __future__ import annotations

import subprocess

import pytest

from clockwork_nb.errors import InvalidInputError
from clockwork_nb.forge.adapters.steps import check_order, command_script, compile_steps, parts_of, plan_steps
from clockwork_nb.forge.facts import collect_facts
from clockwork_nb.forge.validate import validate_bundle
from clockwork_nb.jobs.spec import StepSpec


def steps(*specs: StepSpec) -> tuple[StepSpec, ...]:
    return specs


A = StepSpec("a", "first", "echo a")
B = StepSpec("b", "second", "echo b", needs=("a",))
GATE = StepSpec("gate", "ship it", "echo ship", decision_needed=True, required_action="approval", needs=("b",))
END = StepSpec("end", "tell", "echo end", needs=("gate",))


def test_a_decision_begins_a_part_so_it_comes_before_its_command() -> None:
    assert [[s.id for s in part] for part in parts_of((A, B, GATE, END))] == [["a", "b"], ["gate", "end"]]
    assert [[s.id for s in part] for part in parts_of((GATE, A))] == [["gate", "a"]]
    assert parts_of(()) == []


def test_a_part_is_a_plan_and_a_bundle_that_fit_each_other() -> None:
    part = (GATE, END)
    plan = plan_steps(
        part, configuration="0" * 64, spec_name="nightly", facts=collect_facts(), tool_version="clockwork_nb 0"
    )
    assert [a.id for a in plan.actions] == ["step.gate:run", "step.end:run"]
    # What another part did is done by then, so only needs of this part order anything.
    assert [a.needs for a in plan.actions] == [(), ("step.gate:run",)]
    assert plan.has_changes
    assert plan.risks == ("host",)
    bundle = compile_steps(part, spec_name="nightly")
    assert validate_bundle(bundle, plan.actions) == []
    assert all(s.cls == "host" and s.inherits_environment for s in bundle.steps)
    assert bundle.to_document()["steps"][0]["environment"] == "inherited"


def test_the_same_spec_gives_the_same_bytes() -> None:
    assert compile_steps((A, B), spec_name="n").digest == compile_steps((A, B), spec_name="n").digest
    assert compile_steps((A, B), spec_name="n").digest != compile_steps((A, GATE), spec_name="n").digest


@pytest.mark.parametrize("evil", ["x\nrm -rf /tmp/nothing", "x\r\nfalse", "x\u2028false", "x\x1b[2Jy"])
def test_a_summary_cannot_leave_its_comment(evil: str) -> None:
    script = command_script(StepSpec("a", evil, "echo fine"), f"spec {evil}").decode()
    body = script.split("job.\n", 1)[1]
    assert body == "echo fine\n"
    assert all(line.startswith("#") for line in script.splitlines()[:-1])


def test_words_reach_the_program_as_they_are() -> None:
    words = ("printf", "%s|", "it's", "a b", "$HOME", "--json", "", "ä\n")
    done = subprocess.run(
        ["sh", "-c", command_script(StepSpec("a", "a", argv=words), "n")], capture_output=True, check=True
    )
    assert done.stdout.decode() == "it's|a b|$HOME|--json||ä\n|"


def test_a_step_without_a_command_does_nothing() -> None:
    assert command_script(StepSpec("a", "only told"), "n").endswith(b"job.\n:\n")


def test_a_zero_byte_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="zero byte"):
        command_script(StepSpec("a", "a", "echo \0"), "n")


def test_a_step_may_not_need_one_behind_a_later_decision() -> None:
    check_order((A, B, GATE, END))
    early = StepSpec("early", "early", "true", needs=("gate",))
    with pytest.raises(InvalidInputError, match="after a decision that comes later"):
        check_order((A, early, B, GATE))
