"""The scripts and specs that actions become: no value in code, only what was declared may be written or reached."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clockwork_nb.errors import InvalidInputError
from clockwork_nb.ids import step_id
from clockwork_nb.intake.values import Unknown
from clockwork_nb.ports import Action, ChangeKind, CompiledStep, Observation
from clockwork_nb.resources.registry import builtin_types
from clockwork_nb.resources.scripts import comment, quote
from clockwork_nb.secrets import Sensitive, seal

TYPES = builtin_types()
EVIL = "x\"; rm -rf / #$(touch pwned)`id`'\\"


def config(kind: str, **attributes: Any) -> dict[str, Any]:
    out: dict[str, Any] = TYPES[kind].model().model_validate(attributes).model_dump()
    return out


def steps(
    address: str, change: ChangeKind, wanted: dict[str, Any] | None, recorded: dict[str, Any] | None = None
) -> dict[str, CompiledStep]:
    kind = TYPES[address.split(".")[0]]
    return {
        spec.name: kind.compile(Action(step_id(address, spec.name), spec.name, address, spec.args, change=change))
        for spec in kind.actions(change, wanted, recorded)
    }


def code(step: CompiledStep) -> str:
    return "\n".join(a.content.decode() for a in step.artifacts if a.lang not in {"data", "json"})


def test_a_file_is_written_from_data_with_its_values_in_variables() -> None:
    step = steps("file.index", "create", config("file", path="out/site/index.html", content="héllo"))["write_file"]
    script, content = step.artifacts
    assert step.cmd == ("sh", "scripts/file.index/write_file.sh") == ("sh", script.path)
    assert (script.mode, script.lang) == ("0755", "sh")
    assert (content.path, content.content, content.lang) == (
        "scripts/file.index/content.txt",
        "héllo".encode(),
        "data",
    )
    assert step.vars == {
        "CW_PATH": "out/site/index.html",
        "CW_PARENT": "out/site",
        "CW_MODE": "0644",
        "CW_BACKUP": "out/site/index.html.cw-backup-",
        "CW_OURS": "",
    }
    assert step.data == {"CW_CONTENT": content.path}
    assert (step.write, step.network, step.cls, step.cwd) == (("out/site/index.html",), False, "confined", ".")
    assert "file.index" in script.content.decode().splitlines()[2]


def test_secret_content_is_not_in_the_bundle() -> None:
    step = steps("file.key", "create", config("file", path="d/key", content=Sensitive("hunter2")))["write_file"]
    content = step.artifacts[1]
    assert (content.content, content.secret) == (b"", "file.key:content.txt")
    assert step.secrets == {"file.key:content.txt": "hunter2"}


def test_no_value_ever_stands_in_a_script() -> None:
    wanted = config(
        "command",
        script=EVIL,
        env={"A": EVIL, "B": Sensitive(EVIL)},
        triggers={"t": EVIL},
        creates="out/'$(x)",
        unless=EVIL,
        working_dir="dir'$(y)",
    )
    step = steps("command.c", "create", wanted)["run_command"]
    assert "touch pwned" not in code(step) and "$(x)" not in code(step) and "$(y)" not in code(step)
    assert step.vars["A"] == EVIL and step.vars["CW_CREATES"] == "out/'$(x)"
    assert step.secret_vars == {"B": "command.c:env:B"} and step.secrets == {"command.c:env:B": EVIL}
    assert {a.path: a.content.decode() for a in step.artifacts if a.lang == "data"} == {
        "scripts/command.c/unless.sh": EVIL,
        "scripts/command.c/script.sh": EVIL,
    }
    file_step = steps("file.f", "create", config("file", path="out/$(x)'", content=EVIL))["write_file"]
    assert "touch pwned" not in code(file_step)
    assert all("$(x)" not in line for line in code(file_step).splitlines() if not line.startswith("#"))


def test_an_address_with_a_line_break_cannot_leave_its_comment() -> None:
    address = 'file.page["a\nrm -rf /"]'
    step = steps(address, "create", config("file", path="d/a", content=""))["write_file"]
    assert all(not line.startswith("rm -rf") for line in code(step).splitlines())
    assert "\n" not in comment("a\nb\r\u2028c\x85d") and comment("a\nb") == "a?b"
    assert len(comment("x" * 500)) == 160


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"])), min_size=1, max_size=5))
def test_quoted_words_reach_a_program_unchanged(words: list[str]) -> None:
    line = "printf '%s\\0' " + " ".join(quote(word) for word in words)
    out = subprocess.run(["sh"], input=line.encode(), capture_output=True, check=True).stdout
    assert out.decode().split("\0")[:-1] == words


def test_a_nul_cannot_be_quoted() -> None:
    with pytest.raises(InvalidInputError):
        quote("a\x00b")


def test_a_command_list_becomes_one_quoted_line() -> None:
    step = steps("command.c", "create", config("command", command=["make", "a b", "$HOME"]))["run_command"]
    assert "exec make 'a b' '$HOME'" in code(step)
    assert len(step.artifacts) == 1


def test_what_a_command_may_write_and_reach_is_what_was_declared() -> None:
    wanted = config("command", script="x", creates="out/bin/app", writes=["cache", "out/log"], network=[443])
    step = steps("command.c", "create", wanted)["run_command"]
    assert step.write == ("cache", "out/bin/app", "out/log") and step.network == (443,)
    bare = steps("command.c", "create", config("command", script="x"))["run_command"]
    assert bare.write == () and bare.network is False
    assert steps("command.c", "create", config("command", script="x", network=True))["run_command"].network is True


def test_a_step_may_write_what_it_is_about() -> None:
    folder = config("directory", path="out/d")
    assert steps("directory.d", "create", folder)["create_directory"].write == ("out/d/",)
    assert steps("directory.d", "delete", None, folder)["remove_directory"].write == ("out/d/",)
    file = config("file", path="out/f", content="")
    assert steps("file.f", "delete", None, file)["remove_file"].write == ("out/f",)
    made = config("command", script="x", creates="out/c")
    assert steps("command.c", "delete", None, made)["remove_created"].write == ("out/c", "out/c/")


@pytest.mark.parametrize(
    ("interpreter", "file"), [("sh", "script.sh"), ("bash", "script.sh"), ("python3", "script.py")]
)
def test_the_interpreter_runs_the_authors_script(interpreter: str, file: str) -> None:
    wanted = config("command", script="x", interpreter=interpreter)
    step = steps("command.c", "create", wanted)["run_command"]
    last = code(step).rstrip().rpartition("\n")[2]
    assert last == ('. "$CW_SCRIPT"' if interpreter == "sh" else f'exec {interpreter} "$CW_SCRIPT"')
    assert step.data["CW_SCRIPT"] == f"scripts/command.c/{file}"


def test_the_script_of_a_command_is_the_same_for_a_first_and_a_later_run() -> None:
    wanted = config("command", script="x", creates="out/a")
    first = steps("command.c", "create", wanted)["run_command"]
    later = steps("command.c", "update", wanted)["run_command"]
    assert first.artifacts == later.artifacts
    assert (first.vars["CW_RUN_AGAIN"], later.vars["CW_RUN_AGAIN"]) == ("0", "1")


def test_a_service_becomes_a_readable_spec_that_names_secrets() -> None:
    wanted = config(
        "service", command=["web", "--port", "8080"], port=8080, env={"A": "1", "S": Sensitive("hunter2")},
        health_check={"path": "/ok", "start_period": "3s"}, working_dir="app",
    )  # fmt: skip
    made = steps("service.web", "create", wanted)
    step = made["ensure_service"]
    (artifact,) = step.artifacts
    assert step.cmd == ("cw:service", "ensure", artifact.path) and step.cls == "built-in"
    assert artifact.path == "scripts/service.web/ensure_service.json" and artifact.lang == "json"
    assert b"hunter2" not in artifact.content
    spec = json.loads(artifact.content)
    assert artifact.content.decode() == json.dumps(spec, indent=2, sort_keys=True) + "\n"
    assert spec == {
        "version": "1",
        "service": "service.web",
        "address": "service.web",
        "command": ["web", "--port", "8080"],
        "cwd": "app",
        "env": {"A": "1"},
        "secret_env": {"S": "service.web:env:S"},
        "ports": [8080],
        "restart": "on-failure",
        "stop_timeout_s": 10,
        "health": {
            "url": "http://127.0.0.1:8080/ok",
            "expect_status": 200,
            "interval_s": 0.2,
            "timeout_s": 5,
            "retries": 30,
            "start_period_s": 3,
        },
        "state": "running",
    }
    assert step.secret_vars == {"S": "service.web:env:S"} and step.secrets == {"service.web:env:S": "hunter2"}
    check = made["verify_http"]
    assert check.network == (8080,) and check.vars["CW_URL"] == "http://127.0.0.1:8080/ok"
    assert check.vars["CW_RETRIES"] == "45", "tries of the start period come on top"


def test_a_stopped_service_is_ensured_to_be_stopped_and_told_no_secret() -> None:
    wanted = config("service", command=["w"], port=1, env={"S": Sensitive("x")}, state="stopped")
    made = steps("service.w", "update", wanted)
    assert set(made) == {"stop_service"}
    step = made["stop_service"]
    assert step.cmd[:2] == ("cw:service", "stop") and step.secrets == {} == step.secret_vars
    spec = json.loads(step.artifacts[0].content)
    assert spec["state"] == "stopped" and spec["secret_env"] == {} == spec["env"]


def test_a_service_is_removed_by_name_from_what_is_recorded() -> None:
    recorded = seal(config("service", command=["w"], env={"S": Sensitive("x")}), b"k")
    step = steps("service.w", "delete", None, recorded)["remove_service"]
    assert step.cmd[:2] == ("cw:service", "remove")
    assert json.loads(step.artifacts[0].content) == {
        "version": "1",
        "service": "service.w",
        "address": "service.w",
        "stop_timeout_s": 10,
    }


def test_a_service_without_port_and_health_check_is_not_asked() -> None:
    assert set(steps("service.w", "create", config("service", command=["w"]))) == {"ensure_service"}
    url = config("service", command=["w"], health_check={"url": "https://example.org/x"})
    assert steps("service.w", "create", url)["verify_http"].network == (443,)


@pytest.mark.parametrize(
    ("attributes", "name", "network"),
    [
        ({"http": {"url": "http://h:81/", "contains": "ok"}}, "verify_http", (81,)),
        ({"tcp": {"port": 22}}, "verify_tcp", (22,)),
        ({"file_exists": "a"}, "verify_file", False),
        ({"file_matches": {"path": "a", "pattern": "^x"}}, "verify_file", False),
    ],
)
def test_a_check_may_reach_its_target_and_write_nothing(attributes: dict[str, Any], name: str, network: Any) -> None:
    made = steps("check.c", "verify", config("check", **attributes))
    assert set(made) == {name}
    step = made[name]
    assert step.cmd == ("python3", "-I", f"scripts/check.c/{name}.py")
    assert step.network == network and step.write == ()
    compile(step.artifacts[0].content, step.artifacts[0].path, "exec")


def test_only_new_changed_or_removed_things_have_actions() -> None:
    for kind, attributes in (
        ("file", {"path": "d/a", "content": ""}),
        ("directory", {"path": "a"}),
        ("command", {"script": "x"}),
        ("service", {"command": ["w"]}),
    ):
        made = config(kind, **attributes)
        assert not TYPES[kind].actions("verify", made, None)
        assert TYPES[kind].verifies is False
    assert TYPES["check"].verifies


def test_an_unknown_value_is_never_compiled() -> None:
    with pytest.raises(InvalidInputError, match="known only after apply"):
        steps("file.a", "create", config("file", path="d/a", content=Unknown("later")))
    with pytest.raises(InvalidInputError, match="known only after apply"):
        steps("service.a", "create", config("service", command=["w"], port=Unknown()))


@pytest.mark.parametrize("kind", ["file", "directory", "command", "service", "check"])
def test_an_action_of_another_type_is_refused(kind: str) -> None:
    with pytest.raises(InvalidInputError, match=r"no (action|check)"):
        TYPES[kind].compile(
            Action("x.y:z", "explode", "x.y", {"path": "a", "retries": 1, "interval": 1, "stop_timeout": 1})
        )


def test_exports_add_what_can_be_computed() -> None:
    file = TYPES["file"].exports(config("file", path="d/a", content="hello"))
    assert file["sha256"] == "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    assert (file["size"], file["path"]) == (5, "d/a")
    secret = TYPES["file"].exports(config("file", path="d/a", content=Sensitive("hello")))
    assert secret["sha256"] == Sensitive(file["sha256"]) and secret["size"] == Sensitive(5)
    assert TYPES["file"].exports(config("file", path="d/a", content=Unknown()))["sha256"] == Unknown()
    service = TYPES["service"].exports(config("service", command=["w"], ports=[8080, 9090]))
    assert (service["url"], service["port"]) == ("http://localhost:8080", 8080)
    quiet = TYPES["service"].exports(config("service", command=["w"]))
    assert (quiet["url"], quiet["port"]) == (None, None)
    assert TYPES["service"].exports(config("service", command=["w"], port=Unknown()))["url"] == Unknown()
    for kind in ("file", "service", "directory", "command", "check"):
        assert TYPES[kind].export_names() <= {"sha256", "size", "url", "port", "container_id", "image_id"}


def test_descriptions_are_short_and_show_no_secret() -> None:
    assert TYPES["file"].describe(config("file", path="d/a", content="")) == "d/a"
    assert TYPES["service"].describe(config("service", command=["w"], ports=[1, 2])) == "process, ports 1, 2"
    assert TYPES["service"].describe(config("service", command=["w"], state="stopped")) == "process, stopped"
    assert TYPES["command"].describe(config("command", script=Sensitive("x"))) == "sh script"
    assert TYPES["command"].describe(config("command", command=["make", "all"])) == "make all"
    assert TYPES["check"].describe(config("check", file_exists="a")) == "a exists"
    assert TYPES["check"].describe(config("check", tcp={"port": 1})) == "tcp 1"
    assert TYPES["check"].describe(config("check", tcp=Unknown())) == "tcp (known after apply)"


def test_risks_are_named() -> None:
    service = config("service", command=["w"], port=1)
    kind = TYPES["service"]
    assert kind.risks("create", service, None, None) == ("ports",)
    assert kind.risks("update", service, service, None) == ()
    assert kind.risks("delete", None, service, None) == ("destroy",)
    stopped = {**service, "state": "stopped"}
    assert kind.risks("create", stopped, None, None) == ()
    assert kind.risks("update", service, stopped, None) == ("ports",)
    file = config("file", path="d/a", content="x")
    assert TYPES["file"].risks("create", file, None, Observation(True, {"kind": "folder"})) == ("overwrite",)
    assert TYPES["command"].risks("update", config("command", script="x", network=True), None, None) == ("network",)
    assert TYPES["directory"].risks("delete", None, {"path": "a"}, None) == ("destroy",)
