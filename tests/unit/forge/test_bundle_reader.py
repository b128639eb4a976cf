"""Bundles as JSON: what they may leave out, what becomes of it, and that everything wrong is told at once."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from clockwork_nb.errors import BundleLimitError, BundlePathError, BundleRuntimeError, BundleSchemaError
from clockwork_nb.forge.bundle_limits import AGENT_LIMITS, TEMPLATE_LIMITS
from clockwork_nb.forge.bundle_reader import bundle_from_json, read_bundle
from clockwork_nb.forge.runtimes import Interpreters
from tests.conformance.bundles.hostile_documents import ACTIONS, INTERPRETERS, changed, honest, text


def read(data: bytes, **more: Any) -> Any:
    reading = read_bundle(data, ACTIONS, interpreters=INTERPRETERS, **more)
    assert reading.findings == ()
    return reading.bundle


def test_a_step_gets_the_variables_it_names_or_all() -> None:
    write, verify = read(text().encode()).steps
    assert write.vars == {"MODE": "0644"}
    assert verify.vars == {"MODE": "0644", "PORT": "8080", "DEBUG": "false"}
    own = read(changed("steps.0.vars", {"A": "b", "N": 1.5, "S": {"secret": "s"}}), secrets={"s": "x"}).steps[0]
    assert (own.vars, own.secret_vars) == ({"A": "b", "N": "1.5"}, {"S": "s"})


def test_a_step_without_an_id_is_the_one_action_of_that_name() -> None:
    steps = read(text().encode()).steps
    assert [(s.id, s.address) for s in steps] == [
        ("file.a:write_file", "file.a"), ("check.b:verify_http", "check.b"),
    ]  # fmt: skip


def test_of_two_actions_with_one_name_a_step_must_say_which() -> None:
    actions = (*ACTIONS, {"id": "file.b:write_file", "name": "write_file", "address": "file.b"})
    reading = read_bundle(text().encode(), actions, interpreters=INTERPRETERS)
    assert reading.bundle is None
    (finding,) = reading.findings
    assert (finding.code, finding.place) == ("E_BUNDLE_SCHEMA", "steps[0]")
    assert "2 actions are named 'write_file'" in finding.message
    named = read_bundle(changed("steps.0.id", "file.b:write_file"), actions, interpreters=INTERPRETERS)
    assert named.bundle is not None
    assert named.bundle.steps[0].address == "file.b"


def test_the_walls_and_the_interpreter_are_read() -> None:
    write, verify = read(text().encode()).steps
    assert (write.write, write.network, write.cls, write.cwd) == (("out/a",), False, "confined", ".")
    assert (verify.network, verify.interpreter) == ((8080,), "/usr/bin/python3")


def test_base64_data_arrives_as_bytes() -> None:
    assert read(text().encode()).artifact("scripts/file.a/content.bin").content == b"\0\1\2"


def test_findings_of_form_and_of_the_gate_come_together() -> None:
    document = honest()
    document["notes"] = "x"
    document["artifacts"][0]["path"] = "../x"
    document["artifacts"][2]["encoding"] = "rot13"
    document["steps"][1]["run"]["cmd"][1:1] = ["-c"]
    with pytest.raises(BundlePathError) as caught:
        bundle_from_json(json.dumps(document).encode(), ACTIONS, interpreters=INTERPRETERS)
    found = {(f["code"], f["place"]) for f in caught.value.details["findings"]}
    assert {
        ("E_BUNDLE_SCHEMA", "bundle"), ("E_BUNDLE_SCHEMA", "artifacts[2].encoding"),
        ("E_BUNDLE_PATH", "artifact '../x'"), ("E_BUNDLE_RUNTIME", "step check.b:verify_http"),
    } <= found  # fmt: skip


def test_what_cannot_be_read_is_told_without_guesses_about_the_rest() -> None:
    document = honest()
    del document["steps"][0]["run"]
    document["artifacts"][0]["mode"] = 493
    document["vars"]["PORT"] = None
    with pytest.raises(BundleSchemaError) as caught:
        bundle_from_json(json.dumps(document).encode(), ACTIONS, interpreters=INTERPRETERS)
    assert [f["place"] for f in caught.value.details["findings"]] == [
        "artifacts[0].mode", "vars['PORT']", "steps[0]", "steps[0].run",
    ]  # fmt: skip
    assert "missing" in caught.value.details["findings"][2]["message"]


def test_a_runtime_that_is_not_here_is_a_finding_and_not_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    reading = read_bundle(changed("steps.0.run.cmd", ["nosuch", "x"]), ACTIONS, interpreters=Interpreters())
    assert reading.findings == ()
    document = changed("steps.0.run.cmd", ["go", "run", "scripts/file.a/write_file.sh"])
    monkeypatch.setattr("clockwork_nb.forge.runtimes.find_runtime", lambda name: "")
    with pytest.raises(BundleRuntimeError) as caught:
        bundle_from_json(document, ACTIONS, interpreters=Interpreters())
    assert {"steps[0].run.cmd[0]", "step file.a:write_file"} <= {f["place"] for f in caught.value.details["findings"]}


@pytest.mark.parametrize(
    ("place", "data"),
    [
        ("line 3, column 1", b'{\n"version":"1"\n"a":1}'),
        ("line 1, column 1", b"Sure! {}"),
        ("line 2, column 1", b"{}\n{}"),
        ("line 2", b'{"a":\n"\xff"}'),
    ],
)
def test_a_syntax_error_has_its_line(place: str, data: bytes) -> None:
    (finding,) = read_bundle(data).findings
    assert (finding.code, finding.place) == ("E_BUNDLE_SCHEMA", place)
    assert finding.hint


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"```json\n{}\n```", "Markdown fence"),
        (b"// hi\n{}", "before the JSON"),
        (b'{"a":1,}', "comma"),
        (b'{"a":1 // one\n}', "comment"),
        (b"{} {}", "more follows"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        ("{}".encode("utf-16"), "UTF-16"),
        (b"{'a':1}", "double quotes"),
        (b"", "empty"),
    ],
)
def test_the_usual_mistakes_are_called_by_their_name(data: bytes, words: str) -> None:
    assert words in read_bundle(data).findings[0].message


def test_the_document_and_its_depth_have_limits_to_the_byte() -> None:
    data = text().encode()
    exact = replace(AGENT_LIMITS, document_bytes=len(data))
    assert read_bundle(data, ACTIONS, limits=exact, interpreters=INTERPRETERS).findings == ()
    with pytest.raises(BundleLimitError):
        bundle_from_json(data, ACTIONS, limits=replace(exact, document_bytes=len(data) - 1))
    assert read_bundle(data, ACTIONS, limits=replace(AGENT_LIMITS, depth=5), interpreters=INTERPRETERS).findings == ()
    (finding,) = read_bundle(data, ACTIONS, limits=replace(AGENT_LIMITS, depth=4)).findings
    assert (finding.code, finding.message) == ("E_BUNDLE_LIMIT", "it is nested more than 4 deep")


def test_brackets_within_strings_are_not_depth() -> None:
    assert read(changed("artifacts.0.content", "[[[{{{" * 100 + '\\"[')).artifacts[0].content.startswith(b"[[[{{{")


def test_a_document_of_nothing_but_mistakes_is_told_in_part() -> None:
    data = b"{" + b",".join(b'"k%d":0' % n for n in range(50_000)) + b"}"
    assert len(read_bundle(data).findings) == 1000
    with pytest.raises(BundleSchemaError) as caught:
        bundle_from_json(data, ACTIONS)
    assert len(caught.value.details["findings"]) == 200
    assert caught.value.details["count"] == 1000


def test_templates_may_be_larger_than_what_a_model_writes() -> None:
    assert (AGENT_LIMITS.files, AGENT_LIMITS.steps) == (256, 512)
    assert (AGENT_LIMITS.total_bytes, AGENT_LIMITS.file_bytes) == (16 << 20, 1 << 20)
    assert (TEMPLATE_LIMITS.files, TEMPLATE_LIMITS.steps, TEMPLATE_LIMITS.total_bytes) == (20_000, 20_000, 64 << 20)
    data = changed("artifacts.0.content", "#" * ((1 << 20) + 1))
    with pytest.raises(BundleLimitError):
        bundle_from_json(data, ACTIONS, interpreters=INTERPRETERS)
    assert bundle_from_json(data, ACTIONS, source="template", interpreters=INTERPRETERS).steps
