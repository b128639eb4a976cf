"""The job spec is read strictly: every mistake has its place, nothing is dropped silently."""

from __future__ import annotations

import json

import pytest
from msgspec.structs import replace

from clockwork_nb.diagnostics import SUMMARY_LIMIT, Severity
from clockwork_nb.errors import InvalidInputError
from clockwork_nb.jobs.budget import limits_from_spec
from clockwork_nb.jobs.located import MAX_BYTES, MAX_DEPTH
from clockwork_nb.jobs.spec import CODES, MAX_STEPS, JobSpec, read_spec
from clockwork_nb.jobs.spec_template import template


def spec(text: str, name: str = "jobspec.yaml") -> JobSpec:
    return read_spec(text.encode(), name=name)


def problems(text: str, name: str = "jobspec.yaml") -> list[tuple[str, int, int, str]]:
    """Return code, line, column and note of every error."""
    with pytest.raises(InvalidInputError) as caught:
        spec(text, name)
    assert caught.value.exit_code == 6
    found = [d for d in caught.value.diagnostics if d.severity is Severity.ERROR]
    assert {d.code for d in found} <= set(CODES)
    assert all(len(d.summary) <= SUMMARY_LIMIT for d in found)
    return [(d.code, d.subject.begin.line, d.subject.begin.column, d.note) for d in found if d.subject]


STEPS = "name: x\ninputs:\n  steps:\n"
BLESSED = """schema_id: wrkr.jobspec
schema_version: v1
producer_version: dev
created_at: "2026-02-13T00:00:00Z"
name: lane
objective: exercise it
adapter:
  name: Reference
  config: {lane: blessed}
expected_artifacts: [reports/plan.md]
inputs:
  workspace: .
  steps:
    - {id: plan, command: "true", executed: true, checkpoint: plan, artifacts: [reports/plan.md]}
    - {id: review, command: "", executed: false, decision_needed: true, required_action: approve, artifacts: []}
budgets: {max_wall_time_seconds: 3600, max_retries: 2, max_tool_calls: 200, max_step_count: 20}
checkpoint_policy: {min_interval_seconds: 10, required_types: [completed, plan, progress]}
acceptance: {config_path: accept.yaml}
environment_fingerprint: {rules: [go_version, os, arch]}
"""


def test_a_spec_as_wrkr_has_it_is_read_and_what_does_nothing_is_said() -> None:
    found = spec(BLESSED)
    assert found.adapter == "steps"
    assert [s.id for s in found.steps] == ["plan", "review"]
    assert found.steps[0].command == "true"
    assert found.steps[1].decision_needed
    assert found.steps[1].required_action == "approve"
    assert found.steps[1].needs == ("plan",)
    assert found.expected_artifacts == ("reports/plan.md",)
    assert found.checkpoints.min_interval_s == 10
    assert found.checkpoints.required_types == ("plan", "progress", "completed")
    assert found.environment_rules == ("arch", "os")
    assert found.acceptance == "accept.yaml"
    assert [d.code for d in found.warnings] == ["spec-ignored"] * 4
    assert limits_from_spec(found.to_document()) == {
        "wall_time_seconds": "3600", "retry_count": "2", "tool_call_count": "200", "step_count": "20",
    }  # fmt: skip


@pytest.mark.parametrize("text", [BLESSED, template()])
def test_the_document_of_a_spec_reads_back_equal(text: str) -> None:
    found = replace(spec(text), warnings=())
    for document in (found.to_document(), json.loads(json.dumps(found.to_document()))):
        assert replace(JobSpec.from_document(document), warnings=()) == found


def test_the_template_has_nothing_to_complain_about() -> None:
    found = spec(template())
    assert not found.warnings
    assert len(found.steps) == 3


def test_json_and_yaml_of_one_document_are_one_spec() -> None:
    document = spec(template()).to_document()
    text = json.dumps(document, indent=1)
    assert spec(text, "spec.json") == spec(text, "spec.yaml") == spec(text, "spec") == spec(template())


def test_usual_values_of_a_step() -> None:
    first, second, third = spec(
        STEPS + "    - command: ls\n    - {command: ls, needs: []}\n    - decision_needed: true\n"
    ).steps
    assert (first.id, first.summary, first.needs) == ("step_1", "step_1", ())
    assert second.needs == ()
    assert (third.needs, third.required_action, third.executed) == (("step_2",), "approval", True)


def test_artifacts_are_sorted_and_named_once() -> None:
    found = spec(STEPS + "    - {command: ls, artifacts: [b, ./a, b]}\n")
    assert found.steps[0].artifacts == ("a", "b")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (STEPS + "    - comand: ls\n", ("spec-unknown-key", 4, 7, 'did you mean "command"?')),
        (STEPS + "    - command: true\n", ("spec-wrong-type", 4, 16, 'write "true", in quotes')),
        (STEPS + "    - command: 7\n", ("spec-wrong-type", 4, 16, 'write "7", in quotes')),
        (STEPS + "    - {command: ls, idempotent: yes}\n", ("spec-wrong-type", 4, 33, "this is text")),
        (STEPS + "    - {command: ls, retries: 1.5}\n", ("spec-wrong-type", 4, 30, "this is a number")),
        (STEPS + "    - {command: ls, retries: -1}\n", ("spec-invalid-value", 4, 30, "")),
        (STEPS + "    - {command: ls, timeout_s: 0}\n", ("spec-invalid-value", 4, 32, "")),
        (STEPS + "    - ls\n", ("spec-wrong-type", 4, 7, "this is text")),
        (STEPS + "    - {id: a/b, command: ls}\n", ("spec-invalid-value", 4, 12, "letters, digits and . _ - (not first)")),
        (STEPS + "    - {command: ls, argv: [ls]}\n", ("spec-conflict", 4, 27, "remove one")),
        (STEPS + "    - {argv: ['']}\n", ("spec-invalid-value", 4, 15, "")),
        (STEPS + "    - {command: ls, required_action: ok}\n", ("spec-conflict", 4, 38, "add decision_needed: true")),
        (STEPS + "    - {command: ls, env: {A-B: x}}\n", ("spec-invalid-value", 4, 27, "")),
        (STEPS + "    - {command: ls, artifacts: [../x]}\n", ("spec-invalid-value", 4, 33, "a path here may not leave the workspace")),
        (STEPS + "    - {command: ls, artifacts: [/x]}\n", ("spec-invalid-value", 4, 33, "a path here is relative to the workspace")),
        (STEPS + "    - {id: aaa}\n    - {id: b, needs: [aab]}\n", ("spec-unknown-step", 5, 23, 'did you mean "aaa"?')),
        (STEPS + "    - {id: a}\n    - {id: a}\n", ("spec-duplicate", 5, 12, "an id is used once")),
        (STEPS + "    - {id: step_2}\n    - {}\n", ("spec-duplicate", 5, 7, "an id is used once")),
        (STEPS + "    - {id: a, needs: [a]}\n", ("spec-cycle", 4, 12, "")),
        ("name: x\ninputs: {}\n", ("spec-missing", 2, 9, "add inputs.steps")),
        ("name: x\n", ("spec-missing", 1, 1, "add inputs.steps")),
        ("inputs: {steps: [{}]}\n", ("spec-missing", 1, 1, "add name")),
        ("name: ' '\nadapter: {name: noop}\n", ("spec-invalid-value", 1, 7, "")),
        ("name: x\nname: y\nadapter: {name: noop}\n", ("spec-duplicate", 2, 1, "remove one of the two")),
        ("name: x\nadapter: {name: nop}\n", ("spec-invalid-value", 2, 17, 'did you mean "noop"?')),
        ("name: x\nadapter: {name: noop}\ninputs: {steps: [{}]}\n", ("spec-conflict", 3, 17, "use adapter steps, or remove them")),
        ("name: x\nadapter: {name: noop}\nschema_version: v2\n", ("spec-invalid-value", 3, 17, "this version reads v1")),
        ("name: x\nadapter: {name: noop}\nschema_id: wrkr.job\n", ("spec-invalid-value", 3, 12, "")),
        ("name: x\nadapter: {name: noop}\ncreated_at: now\n", ("spec-invalid-value", 3, 13, "a time like 2026-11-22T01:02:03Z")),
        ("name: x\nadapter: {name: noop}\nbudgets: {max_step: 1}\n", ("spec-unknown-key", 3, 11, "")),
        ("name: x\nadapter: {name: noop}\nenvironment_fingerprint: {rules: ['env:']}\n", ("spec-invalid-value", 3, 35, "rules: os, arch, python, packages, cwd, hostname, git, notebook, env:NAME, file:PATH, runtime:NAME")),
        ("name: x\nadapter: {name: noop}\nacceptance: {}\n", ("spec-missing", 3, 13, "add config_path")),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_place(text: str, expected: tuple[str, int, int, str]) -> None:
    assert problems(text) == [expected]


def test_all_mistakes_are_told_at_once() -> None:
    text = STEPS + "    - {comand: ls, retries: x}\n    - {id: '', needs: [nobody]}\nbudgets: []\n"
    assert [(code, line) for code, line, _, _ in problems(text)] == [
        ("spec-unknown-key", 4), ("spec-wrong-type", 4), ("spec-invalid-value", 5), ("spec-unknown-step", 5),
        ("spec-wrong-type", 6),
    ]  # fmt: skip


def test_a_circle_is_shown_step_by_step() -> None:
    with pytest.raises(InvalidInputError) as caught:
        spec(STEPS + "    - {id: a, needs: [c]}\n    - {id: b}\n    - {id: c}\n")
    (cycle,) = caught.value.diagnostics
    assert [text for text, _ in cycle.trail] == ["a needs c", "c needs b", "b needs a"]


def test_a_secret_looking_variable_is_warned_about() -> None:
    (warning,) = spec(STEPS + "    - {command: ls, env: {API_TOKEN: abc, PATH: /bin}}\n").warnings
    assert (warning.code, warning.severity) == ("spec-recorded", Severity.WARNING)
    assert "abc" not in warning.detail + warning.note + warning.summary


@pytest.mark.parametrize(
    ("text", "name", "code", "line", "column"),
    [
        ("", "x.yaml", "spec-syntax", 1, 1),
        ("a: [1\nb: 2", "x.yaml", "spec-syntax", 2, 2),
        ("é: [1\nb: 2", "x.yaml", "spec-syntax", 2, 2),
        ("a: \x01", "x.yaml", "spec-syntax", 1, 4),
        ("a: !!python/object:os.system x", "x.yaml", "spec-syntax", 1, 4),
        ("a: !x y", "x.yaml", "spec-syntax", 1, 4),
        ("name: x\n---\nname: y", "x.yaml", "spec-syntax", 2, 1),
        ("? [1]\n: 2", "x.yaml", "spec-syntax", 1, 3),
        ("1: 2", "x.yaml", "spec-syntax", 1, 1),
        ("a: *b", "x.yaml", "spec-syntax", 1, 4),
        ("a: &a [*a]", "x.yaml", "spec-syntax", 1, 8),
        ("name: 12345678901234567890", "x.yaml", "spec-limit", 1, 7),
        ("name: " + "1" * 5000, "x.yaml", "spec-limit", 1, 7),
        ('{"name": "x" "y"}', "x.json", "spec-syntax", 1, 14),
        ('{"name": NaN}', "x.json", "spec-syntax", 1, 10),
        ('{"name": "\\ud800"}', "x.json", "spec-syntax", 1, 10),
        ('{"name": 1e999}', "x.json", "spec-limit", 1, 10),
        ("[" * 50_000 + "]" * 50_000, "x.json", "spec-limit", 1, 1),
    ],
)
def test_text_that_cannot_be_read(text: str, name: str, code: str, line: int, column: int) -> None:
    ((found, at_line, at_column, _),) = problems(text, name)
    assert (found, at_line, at_column) == (code, line, column)


def test_bytes_that_are_no_text() -> None:
    with pytest.raises(InvalidInputError, match="not UTF-8 at byte 6"):
        read_spec(b"name: \xff", name="x.yaml")


def test_a_byte_order_mark_is_no_part_of_the_text() -> None:
    assert spec("\ufeffname: x\nadapter: {name: noop}\n").name == "x"


@pytest.mark.parametrize("name", ["x.yaml", "x.json"])
def test_depth_is_taken_up_to_the_limit(name: str) -> None:
    def nested(depth: int) -> str:
        deep = "[" * (depth - 2) + "]" * (depth - 2)  # inside the spec and its inputs
        return f'{{"name": "x", "adapter": {{"name": "noop"}}, "inputs": {{"references": {deep}}}}}'

    assert spec(nested(MAX_DEPTH - 1), name).references
    assert spec(nested(MAX_DEPTH), name).references
    assert [code for code, *_ in problems(nested(MAX_DEPTH + 1), name)] == ["spec-limit"]


def test_an_alias_counts_as_deep_as_what_it_stands_for() -> None:
    half = "[" * 40 + "]" * 40
    text = f"name: x\nadapter: {{name: noop}}\ninputs:\n  references: [&a {half}, {'[' * 30}*a{']' * 30}]\n"
    assert [code for code, *_ in problems(text)] == ["spec-limit"]


def test_aliases_may_be_used_and_cannot_explode() -> None:
    text = STEPS + "    - {id: a, command: ls, env: &e {A: b}}\n    - {id: b, command: ls, env: *e}\n"
    assert spec(text).steps[1].env == {"A": "b"}
    bomb = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 10)}]\n" for i in range(20)
    )
    assert [code for code, *_ in problems(bomb)] == ["spec-limit"]


def test_size_is_taken_up_to_the_limit() -> None:
    head = "name: x\nadapter: {name: noop}\n#"
    assert spec(head + "x" * (MAX_BYTES - len(head))).name == "x"
    assert [code for code, *_ in problems(head + "x" * (MAX_BYTES - len(head) + 1))] == ["spec-limit"]
    assert [code for code, *_ in problems(head + "é" * (MAX_BYTES // 2))] == ["spec-limit"]


def test_the_number_of_steps_is_limited() -> None:
    text = json.dumps({"name": "x", "inputs": {"steps": [{}] * MAX_STEPS}})
    assert len(spec(text).steps) == MAX_STEPS
    text = json.dumps({"name": "x", "inputs": {"steps": [{}] * (MAX_STEPS + 1)}})
    assert [code for code, *_ in problems(text)] == ["spec-limit"]


def test_places_are_right_behind_wide_characters_and_other_line_ends() -> None:
    assert problems("name: '😀é'\r\nadapter: {name: noop}\r\nnmae: x\r\n") == [
        ("spec-unknown-key", 3, 1, 'did you mean "name"?')
    ]


def test_words_of_older_yaml_are_text() -> None:
    found = spec(STEPS + "    - {command: 'on', summary: yes, id: 'no'}\n    - {command: 12:30:45, summary: 1_000}\n")
    assert (found.steps[0].summary, found.steps[1].command, found.steps[1].summary) == ("yes", "12:30:45", "1_000")
