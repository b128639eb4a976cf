"""The bundle gate: limits to the byte, all findings in one go, and syntax checks that cost little."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from clockwork_nb.errors import BundleLimitError, BundlePathError
from clockwork_nb.forge.bundle import Bundle
from clockwork_nb.forge.paths import path_problem
from clockwork_nb.forge.runtimes import argv_problems, shebang_runtime
from clockwork_nb.forge.syntax import SyntaxChecker
from clockwork_nb.forge.validate import AGENT_LIMITS, TEMPLATE_LIMITS, BundleLimits, check_bundle, validate_bundle
from tests.conformance.bundles.hostile_bundles import (
    ACTIONS,
    DATA,
    HONEST,
    STEPS,
    WRITE,
    action,
    data,
    more_artifacts,
    step,
    with_artifact,
    with_step,
)


def codes(bundle: Bundle, limits: BundleLimits) -> set[str]:
    return {f.code for f in validate_bundle(bundle, ACTIONS, limits=limits)}


@pytest.mark.parametrize(
    ("field", "size"),
    [
        ("files", len(HONEST.artifacts)),
        ("steps", len(STEPS)),
        ("total_bytes", sum(len(a.content) for a in HONEST.artifacts)),
        ("file_bytes", max(len(a.content) for a in HONEST.artifacts)),
        ("vars_bytes", len("CW_MODE") + len("0644") + 2),
        ("word_bytes", max(len(w) for s in STEPS for w in s.cmd)),
        ("words_bytes", max(sum(len(w) for w in s.cmd) for s in STEPS)),
        ("inputs", 1),
        ("purpose_bytes", max(len(a.purpose) for a in HONEST.artifacts)),
    ],
)
def test_each_limit_is_the_last_size_that_is_accepted(field: str, size: int) -> None:
    assert codes(HONEST, replace(TEMPLATE_LIMITS, **{field: size + 1})) == set()
    assert codes(HONEST, replace(TEMPLATE_LIMITS, **{field: size})) == set()
    assert codes(HONEST, replace(TEMPLATE_LIMITS, **{field: size - 1})) == {"E_BUNDLE_LIMIT"}


def test_the_limits_are_those_of_the_contract() -> None:
    assert (TEMPLATE_LIMITS.files, TEMPLATE_LIMITS.steps, TEMPLATE_LIMITS.total_bytes) == (20_000, 20_000, 64 << 20)
    assert (AGENT_LIMITS.files, AGENT_LIMITS.steps, AGENT_LIMITS.total_bytes, AGENT_LIMITS.file_bytes) == (
        256, 512, 16 << 20, 1 << 20,
    )  # fmt: skip


def test_all_findings_come_at_once_and_the_most_severe_is_raised() -> None:
    bad = with_artifact(0, path="../x.sh", mode="0777")
    bad = replace(bad, steps=(replace(STEPS[0], vars={"LD_PRELOAD": "x"}, purpose="other"), *STEPS[1:]))
    with pytest.raises(BundlePathError) as caught:
        check_bundle(bad, ACTIONS)
    found = {f["code"] for f in caught.value.details["findings"]}
    assert {"E_BUNDLE_PATH", "E_BUNDLE_RUNTIME", "E_BUNDLE_SCHEMA", "E_BUNDLE_MAPPING"} <= found
    assert caught.value.exit_code == 8
    assert f"and {caught.value.details['count'] - 1} more" in caught.value.message


def test_a_bundle_that_is_too_large_is_not_looked_at_any_further() -> None:
    checker = SyntaxChecker()
    limits = replace(TEMPLATE_LIMITS, files=1)
    found = validate_bundle(HONEST, ACTIONS, limits=limits, checker=checker)
    assert [f.code for f in found] == ["E_BUNDLE_LIMIT"]
    assert checker.runs == 0
    with pytest.raises(BundleLimitError):
        check_bundle(HONEST, ACTIONS, limits=limits)


def test_a_path_may_have_240_bytes_and_8_parts() -> None:
    two = "a" * 99 + "/" + "b" * 99 + "/"  # 200 bytes
    assert path_problem(two + "c" * 39) == ""
    assert path_problem(two + "c" * 40) == ""
    assert "241 bytes" in path_problem(two + "c" * 41)
    assert path_problem(two + "ä" * 20) == ""
    assert "242 bytes" in path_problem(two + "ä" * 21)
    assert path_problem("scripts/" + "a" * 99) == ""
    assert path_problem("scripts/" + "ä" * 50) == ""
    assert "101 bytes" in path_problem("scripts/" + "a" * 101)
    assert path_problem("/".join("abcdefgh")) == ""
    assert "9 parts" in path_problem("/".join("abcdefghi"))


def test_plain_names_are_fine() -> None:
    for path in ("scripts/file.page-a-2c1d9cfb/write_file.sh", "scripts/größe/a b.txt", "x", "scripts/con.d.x/com10"):
        assert path_problem(path) in {"", "the name 'con.d.x' is a device on some systems"}
    assert path_problem("scripts/日本/語.sh") == ""


@pytest.mark.parametrize(
    "cmd",
    [
        ("sh", "-eu", "scripts/a.sh", "-c", "--"),
        ("bash", "--norc", "--noprofile", "scripts/a.sh"),
        ("python3", "-I", "-B", "scripts/a.py"),
        (
            "deno",
            "run",
            "--no-prompt",
            "--allow-read=.",
            "--allow-net=127.0.0.1:80",
            "--deny-run",
            "scripts/a.ts",
            "-A",
        ),
        ("go", "run", "scripts/a.go", "-exec"),
    ],
)
def test_what_stands_after_the_script_is_the_scripts_own(cmd: tuple[str, ...]) -> None:
    assert argv_problems(cmd) == []


def test_shebangs() -> None:
    assert shebang_runtime(b"#!/bin/sh\n") == "sh"
    assert shebang_runtime(b"#! /usr/bin/env python3\nx") == "python3"
    assert shebang_runtime(b"#!/usr/bin/env -S deno run\n") == "deno"
    assert shebang_runtime(b"#!/bin/bash") == "bash"
    assert shebang_runtime(b"#!/tmp/sh\n") == ""
    assert shebang_runtime(b"#!/usr/bin/shady\n") == ""
    assert shebang_runtime(b"echo\n#!/bin/sh") is None


def test_a_thousand_scripts_that_differ_in_their_header_cost_one_check() -> None:
    artifacts, steps, actions = [], [], []
    for i in range(1000):
        content = f"#!/bin/sh\n# What: number {i}\n# it's \"unbalanced $(\nset -eu\necho hello\n".encode()
        artifacts.append(replace(WRITE, path=f"scripts/file.n{i}/write_file.sh", content=content))
        steps.append(step(f"file.n{i}:write_file", "sh", artifacts[-1].path))
        actions.append(action(f"file.n{i}:write_file"))
    checker = SyntaxChecker()
    bundle = Bundle(tuple(artifacts), tuple(steps))
    assert validate_bundle(bundle, actions, checker=checker) == []
    assert (checker.runs, checker.spawned) == (1, 1)
    assert validate_bundle(bundle, actions, checker=checker) == []
    assert checker.spawned == 1


def test_a_syntax_error_is_named_by_its_line_in_the_file() -> None:
    script = b"#!/bin/sh\n# one\n# two\n\necho 'a\n"
    found = validate_bundle(with_artifact(0, content=script), ACTIONS, checker=SyntaxChecker())
    assert [f.place for f in found] == ["artifact scripts/file.a/write_file.sh"]
    assert "at line" in found[0].message
    python = b"#!/usr/bin/env python3\nimport os\n\nx = = 1\n"
    found = validate_bundle(with_artifact(3, content=python), ACTIONS, checker=SyntaxChecker())
    assert "at line 4" in found[0].message


def test_checking_a_script_does_not_run_it(tmp_path: object) -> None:
    marker = f"{tmp_path}/ran"
    checker = SyntaxChecker()
    for lang in ("sh", "bash"):
        assert checker.problem(lang, f"touch {marker}-{lang}\n$(touch {marker})\n".encode()) == ""
    assert checker.problem("python3", f"open({marker!r}, 'w')\n".encode()) == ""
    assert checker.problem("bash", f"cat <(touch {marker})\n".encode()) == ""
    from pathlib import Path

    assert list(Path(str(tmp_path)).iterdir()) == []


def test_a_header_that_is_the_whole_script_is_no_error() -> None:
    assert SyntaxChecker().problem("sh", b"#!/bin/sh\n# nothing to do") == ""


def test_secret_values_are_found_also_inside_structures_but_short_ones_are_not_looked_for() -> None:
    def findings(secret: object, text: bytes) -> list[str]:
        bundle = replace(more_artifacts(data("scripts/more.txt", text)), secrets={"s": secret})
        return [f.place for f in validate_bundle(bundle, ACTIONS)]

    assert findings({"password": ["opensesame"]}, b"x opensesame y") == ["artifact scripts/more.txt"]
    assert findings("abc", b"abc") == []
    assert findings("opensesame", b"open sesame") == []


def test_the_gate_takes_actions_and_their_documents_alike() -> None:
    one = replace(HONEST, artifacts=(WRITE, DATA), steps=STEPS[:1])
    assert validate_bundle(one, [ACTIONS[0]]) == []
    other = with_step(0, id="file.a:other")
    assert {f.code for f in validate_bundle(other, ACTIONS)} == {"E_BUNDLE_MAPPING"}


def test_only_a_host_step_may_inherit_the_environment() -> None:
    found = validate_bundle(with_step(0, inherits_environment=True), ACTIONS)
    assert [(f.code, f.place) for f in found] == [("E_BUNDLE_SCHEMA", "step file.a:write_file")]
    assert validate_bundle(with_step(0, inherits_environment=True, cls="host"), ACTIONS) == []


@pytest.mark.parametrize(
    "cmd",
    [
        ("sh", "-c", "scripts/a.sh"),
        ("bash", "-ic", "scripts/a.sh"),
        ("python3", "-m", "pip"),
        ("python3", "-Wignore", "scripts/a.py"),
        *(("deno", "run", flag, "scripts/a.ts") for flag in ("-A", "--allow-all", "--allow-run", "--allow-run=ls", "--allow-ffi")),
        *(("deno", "run", flag, "scripts/a.ts") for flag in ("--allow-read", "--allow-net=*", "--allow-sys", "--v8-flags=x")),
        *(("deno", word, "scripts/a.ts") for word in ("eval", "repl", "task", "install")),
        ("go", "run", "-exec=x", "scripts/a.go"),
        ("go", "generate", "scripts/a.go"),
    ],
)  # fmt: skip
def test_what_stands_before_the_script_is_fixed_and_harmless(cmd: tuple[str, ...]) -> None:
    assert argv_problems(cmd)


def test_a_script_of_go_is_the_only_one() -> None:
    script = with_artifact(0, lang="go", content=b"package main\n\nfunc main() {}\n")
    more = ("go", "run", WRITE.path, "other.go")
    found = validate_bundle(
        replace(script, steps=(replace(step(STEPS[0].id, *more), data=STEPS[0].data), *STEPS[1:])), ACTIONS
    )
    assert [(f.code, f.message) for f in found] == [("E_BUNDLE_RUNTIME", "go would compile another file too")]
