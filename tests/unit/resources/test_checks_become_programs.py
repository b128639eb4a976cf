"""What a check is made of: one program for each kind, which needs no more than it says and alarms nobody."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from clockwork_nb.forge.bundle import Bundle, BundleStep
from clockwork_nb.forge.content_flags import content_flags
from clockwork_nb.ids import step_id
from clockwork_nb.intake.values import Unknown
from clockwork_nb.ports import Action, CompiledStep
from clockwork_nb.resources.check.templates import KINDS
from clockwork_nb.resources.containers import ENGINE_VARIABLES
from clockwork_nb.resources.registry import builtin_types
from clockwork_nb.secrets import Sensitive

CHECK: Any = builtin_types()["check"]

EXAMPLES: dict[str, list[Any]] = {
    "http": [{"url": "http://h:81/", "method": "HEAD", "headers": {"A": "b"}}],
    "response_time": [{"url": "https://h/", "max_ms": 500}],
    "tcp": [{"port": 22}],
    "port_accessible": [{"port": 53, "protocol": "udp"}, {"port": 53}],
    "file_exists": ["a/b"],
    "file_permissions": [{"path": "a", "mode": "0600", "owner": "root", "group": "0"}],
    "file_size": [{"path": "a", "min": 1}, {"path": "a", "max": 2}],
    "file_matches": [{"path": "a", "pattern": "x"}, {"path": "a", "sha256": "0" * 64}],
    "disk_usage": [{"max_percent": 90}, {"path": "a", "max_mb": 1}, {"min_free_mb": 1}],
    "log_contains": [
        {"path": "a", "pattern": "x"},
        {"service": "web", "pattern": "x"},
        {"container": "c", "pattern": "x"},
    ],
    "service_status": ["web", {"name": 'service.web["a b"]', "expect": "stopped"}],
    "container_running": ["c", {"name": "c", "engine": "docker"}],
    "container_healthy": ["c"],
    "process_running": ["nginx", {"name": "nginx", "min_count": 2}],
    "process_not_running": ["gdb"],
    "memory_usage": [{"max_mb": 1}, {"max_percent": 1.5, "process": "x"}],
    "cpu_usage": [{"max_percent": 1, "window": "50ms"}, {"max_percent": 1, "process": "x"}],
    "command": ["echo x", ["echo", "x"], {"script": "print(1)", "interpreter": "python3", "network": [80]}],
}
CASES = [(kind, example) for kind, examples in EXAMPLES.items() for example in examples]


def config(**attributes: Any) -> dict[str, Any]:
    out: dict[str, Any] = CHECK.model().model_validate(attributes).model_dump()
    return out


def compiled(wanted: dict[str, Any]) -> tuple[Action, CompiledStep]:
    (spec,) = CHECK.actions("verify", wanted, None)
    action = Action(
        step_id("check.c", spec.name), spec.name, "check.c", spec.args, change="verify", timeout_s=spec.timeout_s,
        risk=spec.risk,
    )  # fmt: skip
    return action, CHECK.compile(action)


def test_every_kind_has_an_example_here() -> None:
    limits = {"retries", "interval", "timeout"}
    assert set(EXAMPLES) == set(KINDS) == set(CHECK.model().model_fields) - limits


@pytest.mark.parametrize(("kind", "example"), CASES)
def test_a_check_is_one_readable_program_that_writes_nothing(kind: str, example: Any) -> None:
    action, step = compiled(config(**{kind: example}))
    script = step.artifacts[0]
    compile(script.content, script.path, "exec")
    outside = kind in {"log_contains"} and "path" not in example
    assert action.name == ("verify_service" if outside else KINDS[kind])
    assert step.cmd == ("python3", "-I", f"scripts/check.c/{action.name}.py") and step.write == ()
    assert step.cls == ("host" if action.name == "verify_service" else "confined")
    asks_engine = kind.startswith("container") or (kind == "log_contains" and "container" in example)
    assert step.environment == (ENGINE_VARIABLES if asks_engine else ())
    assert action.risk == (
        () if kind != "command" else ("command", "network") if "network" in example else ("command",)
    )
    text = script.content.decode()
    assert max(map(len, text.splitlines())) <= 130
    assert compiled(config(**{kind: example})) == (action, step), "the same for the same"


@pytest.mark.parametrize(("kind", "example"), CASES)
def test_no_program_of_ours_alarms_anybody(kind: str, example: Any) -> None:
    action, step = compiled(config(**{kind: example}))
    bundle_step = BundleStep(
        id=action.id,
        purpose=action.name,
        address=action.address,
        cmd=step.cmd,
        vars=step.vars,
        data=step.data,
        cls=step.cls,
    )
    assert content_flags(Bundle(step.artifacts, (bundle_step,))) == []


def test_a_program_reaches_its_own_target_and_no_other() -> None:
    reach = {kind: compiled(config(**{kind: EXAMPLES[kind][0]}))[1].network for kind in EXAMPLES}
    assert {kind: ports for kind, ports in reach.items() if ports} == {
        "http": (81,),
        "response_time": (443,),
        "tcp": (22,),
        "port_accessible": (53,),
    }
    assert compiled(config(command=EXAMPLES["command"][2]))[1].network == (80,)


def test_the_time_a_check_may_take_has_room_for_every_try() -> None:
    long = config(cpu_usage={"max_percent": 1, "window": "30s"}, retries=4, interval="1s", timeout="1s")
    assert compiled(long)[0].timeout_s >= 4 * 31 + 30


def test_secrets_of_headers_are_no_text_of_the_bundle() -> None:
    _, step = compiled(config(http={"url": "http://h/", "headers": {"A": Sensitive("hunter2"), "B": "plain"}}))
    assert "hunter2" not in repr(step.vars) + repr(step.artifacts) and "plain" in step.vars["CW_HEADERS"]
    assert list(step.secrets.values()) == ["hunter2"] and set(step.secret_vars.values()) == set(step.secrets)


EVIL = "x\"; import os; os.system('touch pwned') #$(id)`id`'\\"


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=60))
def test_no_value_stands_in_a_program(text: str) -> None:
    for made in (
        config(command={"command": [text, EVIL], "contains": text}),
        config(log_contains={"path": "a", "pattern": "x", "lines": 3}),
    ):
        _, step = compiled(made)
        lines = [line for line in step.artifacts[0].content.decode().splitlines() if not line.startswith("# What")]
        assert not any("pwned" in line for line in lines)
    assert len(CHECK.describe(config(command=[text])).splitlines()) <= 1


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({}, "give exactly one of http, response_time, tcp"),
        ({"tcp": {"port": 1}, "http": {"url": "http://h"}}, "give exactly one of"),
        ({"assert": {"condition": True}}, '"assert" is not built yet'),
        ({"http": {"url": "http://h", "method": "TRACE"}}, "'GET'"),
        ({"http": {"url": "http://h", "headers": {"A B": "x"}}}, "cannot be the name of a header"),
        ({"http": {"url": "http://h", "headers": {"A": "x\r\nB: y"}}}, "holds a line break"),
        ({"http": {"url": "http://h", "headers": {"A": Sensitive("x\ny")}}}, "holds a line break"),
        ({"http": {"url": "http://h", "method": "HEAD", "contains": "x"}}, "the answer to HEAD has no text"),
        ({"response_time": {"url": "http://h"}}, "Field required"),
        ({"port_accessible": {"port": 1, "protocol": "icmp"}}, "'udp'"),
        ({"file_permissions": {"path": "a"}}, "at least one of mode, owner, group"),
        ({"file_permissions": {"path": "a", "owner": "a b"}}, "name or the number"),
        ({"file_size": {"path": "a"}}, "at least one of min, max"),
        ({"file_size": {"path": "a", "min": 2, "max": 1}}, "min is greater than max"),
        ({"file_matches": {"path": "a"}}, "exactly one of pattern, sha256"),
        ({"file_matches": {"path": "a", "sha256": "x"}}, "64 hexadecimal digits"),
        ({"file_matches": {"path": "a", "pattern": "("}}, "not a regular expression"),
        ({"log_contains": {"pattern": "x"}}, "exactly one of path, service, container"),
        ({"log_contains": {"path": "a", "pattern": "x", "lines": 0}}, "greater than or equal to 1"),
        ({"log_contains": {"path": "/var/log/syslog", "pattern": "x"}}, "relative to the project"),
        ({"service_status": "a/b"}, "address of a service"),
        ({"service_status": {"name": "web", "expect": "happy"}}, "'running'"),
        ({"container_running": "-rf"}, "name or the id of a container"),
        ({"process_running": "/usr/sbin/nginx"}, "without its folder"),
        ({"process_not_running": ""}, "without its folder"),
        ({"memory_usage": {}}, "exactly one of max_mb, max_percent"),
        ({"memory_usage": {"max_percent": -1}}, "greater than or equal to 0"),
        ({"cpu_usage": {"max_percent": 1, "window": 0}}, "longer than 0"),
        ({"disk_usage": {"path": "a"}}, "exactly one of max_percent, min_free_mb, max_mb"),
        ({"command": {"interpreter": "sh"}}, 'exactly one of "script"'),
        ({"command": []}, "needs at least the program's name"),
        ({"command": {"script": "x", "expect_exit": 256}}, "less than or equal to 255"),
        ({"command": Sensitive("x")}, "sensitive value cannot stand here"),
    ],
)
def test_checks_that_cannot_be_are_refused(attributes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        CHECK.model().model_validate(attributes)
    assert any(words in error["msg"] for error in caught.value.errors(include_url=False)), caught.value.errors()


def test_blocks_lists_and_bare_names_mean_the_same() -> None:
    assert config(container_running="c") == config(container_running=[{"name": "c"}])
    assert config(service_status="web") == config(service_status={"name": "service.web"})
    assert config(command="x") == config(command={"script": "x"}) == config(command=[{"script": "x"}])
    assert config(command=["x"]) == config(command={"command": ["x"]})


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_known_yet_is_described_and_not_compiled(kind: str) -> None:
    later = config(**{kind: Unknown("later")})
    assert CHECK.describe(later)
    (spec,) = CHECK.actions("verify", later, None)
    assert any(isinstance(value, Unknown) for value in spec.args.values())


def test_the_engine_is_decided_where_there_is_one() -> None:
    check: Any = CHECK
    asks = config(container_running="c")
    assert check.needs_engine(asks) and not check.needs_engine(config(tcp={"port": 1}))
    assert not check.needs_engine(config(container_running={"name": "c", "engine": "docker"}))
    assert not check.needs_engine(config(log_contains={"path": "a", "pattern": "x"}))
    settled = check.with_facts(asks, {"engine": "podman 4"})
    assert settled["container_running"] == {"name": "c", "engine": "podman"} and settled["retries"] == asks["retries"]
    assert check.with_facts(asks, {"engine": "process"}) == asks
    log = check.with_facts(config(log_contains={"container": "c", "pattern": "x"}), {"engine": "docker 28"})
    assert log["log_contains"]["engine"] == "docker"


def test_descriptions_name_what_is_looked_at() -> None:
    shown = {kind: CHECK.describe(config(**{kind: EXAMPLES[kind][0]})) for kind in EXAMPLES}
    assert shown["container_healthy"] == "container c is healthy"
    assert shown["process_not_running"] == "gdb does not run"
    assert shown["log_contains"] == "log of a" and shown["command"] == "sh script"
    assert shown["cpu_usage"] == "cpu of the machine" and CHECK.describe(config(command=["a", "b"])) == "a b"
    assert all(len(words) <= 60 for words in shown.values())


def test_a_check_comes_after_the_service_that_it_names_in_quotes() -> None:
    model = CHECK.model()
    status = model.model_validate({"service_status": "service.web"}).model_dump()
    assert tuple(CHECK.mentions(status)) == ("service.web",)
    log = model.model_validate({"log_contains": {"service": "service.web", "pattern": "x"}}).model_dump()
    assert tuple(CHECK.mentions(log)) == ("service.web",)
    assert tuple(CHECK.mentions(model.model_validate({"file_exists": "out/x"}).model_dump())) == ()
