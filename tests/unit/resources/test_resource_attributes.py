"""What each resource type accepts, how spellings are made one, and what it says about the rest."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from clockwork_nb.intake.values import Unknown
from clockwork_nb.resources.registry import builtin_types
from clockwork_nb.secrets import Sensitive

TYPES = builtin_types()
REQUIRED: dict[str, dict[str, Any]] = {
    "file": {"path": "d/a", "content": "x"},
    "directory": {"path": "a"},
    "command": {"script": "echo"},
    "service": {"command": ["web"]},
    "check": {"tcp": {"port": 1}},
}


def config(kind: str, **attributes: Any) -> dict[str, Any]:
    out: dict[str, Any] = TYPES[kind].model().model_validate({**REQUIRED[kind], **attributes}).model_dump()
    return out


def problems(kind: str, attributes: dict[str, Any]) -> list[tuple[tuple[Any, ...], str]]:
    with pytest.raises(ValidationError) as caught:
        TYPES[kind].model().model_validate(attributes)
    assert "hunter2" not in str(caught.value)
    return [(e["loc"], e["msg"]) for e in caught.value.errors(include_input=False, include_url=False)]


@pytest.mark.parametrize("kind", REQUIRED)
def test_the_config_is_complete_and_plain_json(kind: str) -> None:
    made = config(kind)
    hidden = {"build", "source_repo", "port", "environment"}
    assert set(made) == set(TYPES[kind].model().model_fields) - hidden
    assert json.loads(json.dumps(made)) == made
    assert TYPES[kind].model().model_validate(made).model_dump() == made, "normalising twice changes nothing"


@pytest.mark.parametrize("kind", REQUIRED)
def test_unknown_attributes_are_refused_by_name(kind: str) -> None:
    assert problems(kind, {**REQUIRED[kind], "imgae": 1})[0][0] == ("imgae",)


@pytest.mark.parametrize("kind", REQUIRED)
def test_every_attribute_has_a_description(kind: str) -> None:
    assert all(field.description for field in TYPES[kind].model().model_fields.values())


@pytest.mark.parametrize(
    ("path", "plain"), [("d/a", "d/a"), ("./a//b/", "a/b"), ("a/./b", "a/b"), ("d/-rf", "d/-rf"), ("d/ä b", "d/ä b")]
)
def test_paths_are_normalised(path: str, plain: str) -> None:
    assert config("file", path=path)["path"] == plain


@pytest.mark.parametrize("path", ["a", "./a", "a/"])
def test_a_file_at_the_top_of_the_project_is_refused_with_the_way_out(path: str) -> None:
    ((where, message),) = problems("file", {"path": path, "content": ""})
    assert where == ("path",)
    assert '"out/a"' in message


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("", "empty"),
        (".", "project folder itself"),
        ("a/..", '".."'),
        ("../a", '".."'),
        ("a/../../b", '".."'),
        ("/etc/passwd", "absolute"),
        ("~/x", '"~"'),
        ("a\nb", "control"),
        ("a\x00", "control"),
        ("a\u2028b", "control"),
        (".clockwork/state.json", "belongs to the tool"),
        ("./.clockwork", "belongs to the tool"),
        ("x" * 256, "longer"),
        ("a/" * 2500 + "b", "longer"),
    ],
)
def test_paths_that_leave_the_project_or_cannot_be_are_refused(path: str, words: str) -> None:
    ((where, message),) = problems("file", {"path": path, "content": ""})
    assert where == ("path",) and words in message


@pytest.mark.parametrize(("mode", "plain"), [("0644", "0644"), ("755", "0755"), ("0000", "0000")])
def test_modes(mode: str, plain: str) -> None:
    assert config("file", mode=mode)["mode"] == plain


@pytest.mark.parametrize("mode", ["0999", "u+x", "4755", "04755", "", "06444", 644, True, " 644"])
def test_modes_that_are_none_are_refused(mode: Any) -> None:
    assert problems("file", {"path": "d/a", "content": "", "mode": mode})[0][0] == ("mode",)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(30, 30), ("30s", 30), ("5m", 300), ("1h30m", 5400), ("90000ms", 90), (Decimal("2.0"), 2)],
)
def test_times_may_be_text(value: Any, seconds: int) -> None:
    timeout = config("command", timeout=value)["timeout"]
    assert timeout == seconds and isinstance(timeout, int)


def test_short_times_are_fractions_of_a_second() -> None:
    assert config("check", interval="200ms")["interval"] == 0.2
    assert config("check", interval=Decimal("0.25"))["interval"] == 0.25


@pytest.mark.parametrize("value", ["", "5", "5 m", "m5", "-1s", 0, -1, True, "1.5s", 10**9, "1e3s", float("nan"), []])
def test_times_that_are_none_are_refused(value: Any) -> None:
    assert problems("command", {"script": "x", "timeout": value})[0][0] == ("timeout",)


def test_null_means_the_default() -> None:
    assert config("file", mode=None)["mode"] == "0644"
    assert problems("file", {"path": None, "content": ""}) == [(("path",), "Field required")]


def test_unknown_values_pass_everywhere() -> None:
    later = Unknown("later")
    file = config("file", path=later, content=later, mode=later, backup=later)
    assert (file["path"], file["content"], file["mode"], file["backup"]) == (later,) * 4
    service = config("service", command=later, ports=later, env={"A": later}, health_check=later)
    assert service["ports"] == later and service["env"] == {"A": later} and service["health_check"] == later
    assert config("service", port=later)["ports"] == [{"external": later, "internal": later}]
    assert config("command", network=later, writes=[later, "b", "a"])["writes"] == ["a", "b", later]
    assert config("check", tcp={"port": later}, retries=later)["tcp"]["port"] == later


def test_sensitive_values_stay_sensitive_where_a_secret_can_be_kept() -> None:
    secret = Sensitive("hunter2")
    assert config("file", content=secret)["content"] == secret
    assert config("command", script=secret, env={"A": secret}, triggers={"t": secret})["triggers"] == {"t": secret}
    assert config("service", env={"A": Sensitive(8080)})["env"] == {"A": Sensitive("8080")}
    assert config("file", content=Sensitive(Unknown()))["content"].value == Unknown()


@pytest.mark.parametrize(
    ("kind", "attributes"),
    [
        ("file", {"path": Sensitive("hunter2"), "content": ""}),
        ("file", {"path": "d/a", "content": "", "mode": Sensitive("0600")}),
        ("service", {"command": ["x", Sensitive("hunter2")]}),
        ("service", {"command": ["x"], "env": Sensitive({"A": "hunter2"})}),
        ("service", {"command": ["x"], "port": Sensitive(8080)}),
        ("check", {"http": {"url": Sensitive("http://hunter2/")}}),
    ],
)
def test_sensitive_values_are_refused_where_they_would_be_shown(kind: str, attributes: dict[str, Any]) -> None:
    assert any("sensitive value cannot stand here" in message for _, message in problems(kind, attributes))


def test_a_sensitive_value_that_does_not_fit_is_not_quoted_in_the_error() -> None:
    found = problems("service", {"command": ["x"], "env": {"A": Sensitive(["hunter2"])}})
    assert found == [(("env", "A"), "the sensitive value does not fit this attribute")]


# --- service ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "attributes",
    [
        {"port": 8080},
        {"ports": [8080]},
        {"ports": {"external": 8080}},
        {"ports": [{"external": 8080, "internal": 8080}]},
    ],
)
def test_all_spellings_of_ports_are_one(attributes: dict[str, Any]) -> None:
    assert config("service", **attributes)["ports"] == [{"external": 8080, "internal": 8080}]


def test_environment_is_env_and_values_become_text() -> None:
    made = config("service", environment={"B": 1, "A": True, "C": Decimal("1.50"), "D": "x"})
    assert made["env"] == {"A": "true", "B": "1", "C": "1.5", "D": "x"} and list(made["env"]) == ["A", "B", "C", "D"]


def test_a_health_check_may_be_a_block_or_an_object() -> None:
    block = config("service", port=1, health_check=[{"path": "/x"}])
    assert block == config("service", port=1, health_check={"path": "/x"})
    assert block["health_check"]["expect_status"] == 200


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"image": "nginx", "engine": "process"}, "an image needs a container engine"),
        ({"image": "nginx", "build": {"context": "web"}}, "image.web.id"),
        ({}, 'needs "command" (a process), or "image" (a container)'),
        ({"command": []}, "at least the program"),
        ({"command": "web"}, "valid list"),
        ({"command": ["x\x00"]}, "NUL"),
        ({"command": ["x"], "port": 0}, "greater than or equal to 1"),
        ({"command": ["x"], "port": 1, "ports": [1]}, 'give "port" or "ports"'),
        ({"command": ["x"], "env": {"A": "1"}, "environment": {"A": "1"}}, "same attribute"),
        ({"command": ["x"], "ports": [1, 1]}, "port 1 is given twice"),
        ({"command": ["x"], "ports": [{"external": 1, "internal": 2}]}, "no port mapping"),
        ({"command": ["x"], "ports": [True]}, "valid dictionary"),
        ({"command": ["x"], "env": {"A B": "1"}}, "environment variable"),
        ({"command": ["x"], "env": {"CW_X": "1"}}, "reserved"),
        ({"command": ["x"], "health_check": {}}, "needs a port"),
        ({"command": ["x"], "port": 1, "health_check": {"path": "x"}}, 'starts with "/"'),
        ({"command": ["x"], "health_check": {"url": "ftp://x"}}, "http://"),
        ({"command": ["x"], "port": 1, "health_check": {"interval": 0}}, "at least 10ms"),
        ({"command": ["x"], "restart": "sometimes"}, "'on-failure'"),
        ({"command": ["x"], "state": "paused"}, "'stopped'"),
        ({"command": ["x"], "name": "a b"}, "a name is"),
        ({"command": ["x"], "stop_timeout": "2h"}, "an hour"),
    ],
)
def test_services_that_cannot_be_are_refused(attributes: dict[str, Any], words: str) -> None:
    assert any(words in message for _, message in problems("service", attributes)), problems("service", attributes)


# --- command and check ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({}, "exactly one"),
        ({"script": "x", "command": ["x"]}, "exactly one"),
        ({"command": ["x"], "interpreter": "bash"}, 'goes with "script"'),
        ({"script": "x", "interpreter": "perl"}, "'python3'"),
        ({"script": "x", "creates": "/tmp/x"}, "absolute"),
        ({"script": "x", "writes": ["../x"]}, '".."'),
        ({"script": "x", "network": "yes"}, "valid list"),
        ({"script": "x", "network": [70000]}, "less than or equal to 65535"),
        ({"script": "x", "env": {"1A": "x"}}, "environment variable"),
        ({"script": "x", "triggers": {"a": []}}, "valid string"),
    ],
)
def test_commands_that_cannot_be_are_refused(attributes: dict[str, Any], words: str) -> None:
    assert any(words in message for _, message in problems("command", attributes))


def test_network_is_a_flag_or_sorted_ports() -> None:
    assert config("command", network=True)["network"] is True
    assert config("command", network=[443, 80, 443])["network"] == [80, 443]
    assert config("command", network=[])["network"] is False


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({}, "exactly one"),
        ({"tcp": {"port": 1}, "file_exists": "x"}, "exactly one"),
        ({"assert": {"condition": True}}, "not built yet"),
        ({"tcp": {}}, "Field required"),
        ({"tcp": {"port": 1, "host": "a b"}}, "a host is"),
        ({"http": {"url": "localhost:80"}}, "http://"),
        ({"http": {"url": "http://u:p@h/"}}, "password"),
        ({"http": {"url": "http://h/ x"}}, "plain ASCII"),
        ({"http": {"url": "http://h:0/"}}, "port 0"),
        ({"http": {"url": "http://h:99999/"}}, "not a URL"),
        ({"http": {"url": "http://h/", "expect_status": 20}}, "greater than or equal to 100"),
        ({"file_matches": {"path": "x", "pattern": "("}}, "regular expression"),
        ({"file_exists": "/etc/passwd"}, "absolute"),
        ({"tcp": {"port": 1}, "retries": 0}, "greater than or equal to 1"),
    ],
)
def test_checks_that_cannot_be_are_refused(attributes: dict[str, Any], words: str) -> None:
    assert any(words in message for _, message in problems("check", attributes)), problems("check", attributes)


def test_messages_with_braces_are_kept_as_they_are() -> None:
    assert any("{x}" in message for _, message in problems("command", {"script": "x", "env": {"A {x}": "1"}}))


def test_numbers_in_a_command_line_become_words() -> None:
    assert config("service", command=["serve", 8080, True], port=1)["command"] == ["serve", "8080", "true"]
    assert config("command", script=None, command=["sleep", 1])["command"] == ["sleep", "1"]
