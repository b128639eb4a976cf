"""What a type accepts without its model is exactly what the model would make of it, and ordinary values are accepted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Literal, get_args, get_origin

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from clockwork_nb.intake.values import SetValue, Unknown
from clockwork_nb.resources.registry import builtin_types
from clockwork_nb.secrets import Sensitive

TYPES: Mapping[str, Any] = {kind.name: kind for kind in builtin_types().values()}

LATER = Unknown("known after apply")

EXAMPLES: Mapping[str, list[dict[str, Any]]] = {
    "file": [
        {"path": "out/a.txt", "content": "x\r\n\x00\ud800"},
        {"path": "./out//b", "content_base64": "eA==", "mode": "640", "backup": False},
        {"path": "out/c", "source": "in/c", "vars": {}},
        {"path": LATER, "content": Sensitive("x")},
        {"path": "out/e", "content": Sensitive(LATER), "mode": LATER, "backup": LATER},
        {"path": "out/d", "template": "in/d", "vars": {"a": 1, "b": [True, 1.5, None, {"c": "x"}]}, "mode": None},
    ],
    "directory": [{"path": "out"}, {"path": "a/b/", "mode": "0700"}],
    "command": [
        {"script": "echo", "interpreter": "bash", "creates": "out/a", "unless": "true", "destroy": "rm", "stdin": "x"},
        {
            "command": ["a", 1, True, ""], "writes": ["b", "a", "./b"], "network": [443, 80, 443],
            "triggers": {"b": 1, "a": False, "": "x"}, "idempotent": True, "timeout": "1h30m", "idle_timeout": "2.5m",
            "retries": 2, "retry_delay": "500ms", "env": {"B": 2, "A": "x"}, "working_dir": ".",
        },
        {"script": "x", "interpreter": "go", "network": True, "timeout": 5.0, "retry_delay": 0.5, "idle_timeout": 0},
        {
            "command": ["a", LATER], "env": {"B": LATER, "A": Sensitive(5)}, "writes": ["b", LATER, "a"], "network": LATER,
            "triggers": LATER, "timeout": LATER, "retries": LATER, "stdin": Sensitive("x"), "creates": LATER,
        },
        {"command": ["a"], "destroy": "x", "interpreter": "python3", "network": []},
    ],
    "repository": [
        {"url": "https://example.org/a", "path": "src/a", "ref": "main", "depth": 1, "submodules": True},
        {"url": "https://x/y", "path": LATER, "username": "u", "password": Sensitive("p")},
        {"url": "./a", "path": "a//b/", "refresh": "1h", "timeout": 60.0},
    ],
    "image": [
        {"context": "web", "tags": ["b:1", "a"], "engine": "podman", "dockerfile": "./F", "network": False},
        {"context": "./a/", "tags": ["x.y:1/z"], "build_args": {"b": 1, "A": True}, "target": "x"},
    ],
    "schedule": [
        {"cron": "30  3 * * MON", "command": ["a", 1], "env": {"B": "x", "A": 1}, "working_dir": "a\\b", "backend": "cron"},
        {"on_calendar": " daily ", "runbook": "a/b.ipynb", "log": "out/l", "enabled": False, "name": "n"},
    ],
    "terraform": [
        {
            "source": ".", "vars": {"b": [1, {"c": None}], "a": 0.5}, "var_files": ["b", "a"], "workspace": "w",
            "outputs": ["b", "a", "b"], "env": {"TF_VAR_a": 1}, "binary": "tofu", "parallelism": 5, "timeout": "30m",
        },
        {"source": LATER, "vars": LATER, "outputs": ["b", LATER, "a"], "env": {"B": Sensitive("x"), "A": LATER}},
        {"source": "infra", "vars": {"a": [LATER]}, "output_names": ["b", "a", "b"]},
    ],
    "check": [
        {
            "http": {
                "url": "http://localhost:1/a", "method": "POST", "headers": {"b": 1, "a": "x"}, "expect_status": 599,
                "contains": "x",
            },
            "retries": 2, "interval": "200ms", "timeout": 1.5,
        },
        {"response_time": [{"url": "https://[::1]/", "max_ms": 5}]},
        {"tcp": {"host": "::1", "port": 1}},
        {"tcp": {"host": LATER, "port": LATER}},
        {"http": {"url": LATER, "headers": {"B": Sensitive("x"), "A": LATER}}, "interval": LATER},
        {"http": LATER},
        {"command": [LATER, "x"]},
        {"port_accessible": {"port": 65535, "protocol": "udp"}},
        {"file_exists": "./a"},
        {"file_permissions": {"path": "a", "mode": "640", "owner": "root", "group": "0"}},
        {"file_size": {"path": "a", "min": 0, "max": 2**62}},
        {"file_matches": {"path": "a", "sha256": "sha256:" + "AB" * 32}},
        {"file_matches": [{"path": "a", "pattern": "^a$"}]},
        {"log_contains": {"path": "a", "pattern": "x", "lines": 5}},
        {"log_contains": {"service": "web", "pattern": "x"}},
        {"log_contains": {"container": "web", "pattern": "", "engine": "docker"}},
        {"service_status": "web"},
        {"service_status": {"name": "service.web", "expect": "failed"}},
        {"container_running": "web"},
        {"container_healthy": {"name": "web", "engine": "podman"}},
        {"process_running": {"name": "sh", "min_count": 2}},
        {"process_not_running": "sh"},
        {"memory_usage": {"max_mb": 5, "process": "sh"}},
        {"memory_usage": {"max_percent": 99.5}},
        {"cpu_usage": {"max_percent": 50.0, "window": "500ms", "process": "sh"}},
        {"disk_usage": {"max_percent": 90}},
        {"disk_usage": {"path": "./a", "min_free_mb": 0}},
        {"disk_usage": {"max_mb": 5}},
        {"command": "true"},
        {"command": ["true", 1]},
        {
            "command": {
                "command": ["a"], "interpreter": "bash", "expect_exit": 255, "contains": "x", "working_dir": "a/",
                "network": [2, 1],
            },
        },
        {"command": [{"script": "x", "interpreter": "python3", "network": True}]},
    ],
    "service": [
        {
            "command": ["a", 1], "ports": [8080, "81", {"external": 82, "internal": 82}], "env": {"B": 1, "A": "x"},
            "working_dir": "out/", "restart": "on-failure:3", "logging": {"max_size": "10m", "max_file": 2},
            "memory": "64m", "stop_timeout": "1h", "state": "stopped",
            "health_check": {"path": "/a", "expect_status": 404, "interval": 0.5, "timeout": "2s", "retries": 1},
        },
        {"command": ["a"], "port": 8080, "environment": {"A": 1}, "health_check": [{"tcp": True, "start_period": 5}]},
        {
            "engine": "podman", "image": "a:1", "pull": "never", "name": "n", "ports": ["[::1]:8080:80"], "user": "1:1",
            "volumes": ["./a:/a:ro", "v:/b", {"path": "c", "target": "/c/"}], "working_dir": "/a/", "network": "host",
            "read_only": True, "privileged": False, "labels": {"b": "x", "a": "y"}, "logging": {"driver": "none"},
            "health_check": {"command": ["a", True], "tcp": False}, "memory": 64 << 20, "cpus": 0.25, "pids": 5,
        },
        {"image": "a", "cpus": 2, "volumes": {"volume": "v", "target": "/v"}, "ports": {"external": 1}, "restart": "no"},
        {"image": "a", "health_check": {"url": "http://localhost:1/"}, "volumes": []},
        {"engine": "process", "command": ["a"], "ports": []},
        {"engine": LATER, "image": LATER, "ports": [80, LATER, {"external": LATER, "internal": 81}], "working_dir": "/a/.."},
        {"image": "a", "port": LATER, "environment": LATER, "volumes": [LATER, {"path": LATER, "target": LATER}]},
        {"image": "a", "env": {"A": Sensitive("x")}, "memory": LATER, "cpus": LATER, "labels": {"a": LATER}, "logging": LATER},
    ],
}  # fmt: skip
"""Ordinary and less ordinary attributes of each type; all of them are right."""

LEFT_TO_THE_MODEL = {"build", "source_repo"}
"""Attributes that no value can be given to."""


def models(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """Yield *model* and those inside its attributes."""
    yield model
    for annotation in inner_types(model):
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield from models(annotation)


def inner_types(model: type[BaseModel]) -> Iterator[Any]:
    stack = [info.annotation for info in model.model_fields.values()]
    while stack:
        stack.extend(get_args(found := stack.pop()))
        yield found


MODELS = {kind: list(models(found.model())) for kind, found in TYPES.items()}
NAMES = {kind: sorted({name for model in found for name in model.model_fields}) for kind, found in MODELS.items()}
WORDS = sorted(
    {
        word
        for found in MODELS.values()
        for model in found
        for annotation in inner_types(model)
        if get_origin(annotation) is Literal
        for word in get_args(annotation)
    }
)
DEFAULTS = [
    info.default
    for found in MODELS.values()
    for m in found
    for info in m.model_fields.values()
    if not info.is_required()
]


def held(value: Any) -> Iterator[Any]:
    """Yield *value* and everything inside."""
    stack = [value]
    while stack:
        item = stack.pop()
        yield item
        if isinstance(item, (list, dict)):
            stack.extend(item.values() if isinstance(item, dict) else item)


def containers(value: Any) -> list[Any]:
    """Return the lists and dicts that *value* is and holds, always in the same order."""
    return [item for item in held(value) if isinstance(item, (dict, list))]


def fresh(value: Any) -> Any:
    """Return *value* with lists and dicts of its own."""
    if type(value) is dict:
        return {name: fresh(item) for name, item in value.items()}
    return type(value)(fresh(item) for item in value) if isinstance(value, list) else value


class Text(str):
    """A text that is more than that."""


ODD = [
    True, False, 0, 1, -1, 2, 3600, 3601, 604800, 604801, 65535, 65536, 2**62, 2**63, 10**400, 0.0, -0.0, 0.5, 1.0,
    0.005, 99.999, 1e308, float("nan"), float("inf"), -1e-9, Decimal("0.5"), Decimal(2), "", " ", ".", "./", "a", "A",
    "a/b", "./a//b/", "../a", "a/../b", "~/a", "/a", "/a/../b", "/", ".clockwork/a", "a/.git/b", "a/" + "n" * 256, "a:b/c",
    "a\\b/c", "d/\x00", "\n", "\ud800", "d/\ud800", "ä/ö", "\u2028", "0644", "644", "0999", "٣٣٣", "true", "5", "5m",
    "1h30m", "5.5s", "1.5h", "-1s", "9d", "8080", "8080:80", "127.0.0.1:80:81", "[::1]:80", "99999", "64m", "1.5g", "x=y",
    "-x", "CW_X", "LD_X", "TF_CLI_ARGS_x", "(", "a{9999999}", "{x}", "@daily", "@reboot", "0 0 30 2 *", "daily",
    "http://localhost:1/a", "https://u@x/", "ssh://x/y", "ext::sh", "./a", "a.ipynb", "no", "on-failure:0", "HEAD",
    LATER, Sensitive("a"), Sensitive(1), Sensitive("a\x00\n"), Sensitive(LATER), Sensitive({"A": 1}), Sensitive([1]),
    Sensitive(Decimal(1)), [LATER], {"A": LATER}, {"A": Sensitive("x")}, {"LD_X": Sensitive("x")}, Text("a/b"), [], {}, [[]],
    [{}], [None], [""], "9" * 400 + "g", ["a", "a"], [1, True, "x"], {"": ""}, {"a": None}, {1: 2}, {"A": 1, "B": [1]},
    SetValue(["a"]), ("a",), {"deep": [[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]},
]  # fmt: skip


VALUES: Mapping[str, st.SearchStrategy[Any]] = {
    kind: st.one_of(
        st.sampled_from(ODD), st.sampled_from([value for example in examples for value in held(example)]),
        st.sampled_from(WORDS), st.sampled_from(DEFAULTS), st.text(max_size=5), st.integers(), st.floats(),
    )
    for kind, examples in EXAMPLES.items()
}  # fmt: skip


@st.composite
def changed(draw: st.DrawFn, kind: str) -> dict[str, Any]:
    """Draw one of the examples in which a few things are missing, more, or something else."""
    made: dict[str, Any] = fresh(draw(st.sampled_from(EXAMPLES[kind])))
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.sampled_from(containers(made)))
        value = fresh(draw(VALUES[kind]))
        if isinstance(place, dict):
            name = draw(st.sampled_from([*place, *NAMES[kind], "no_such", "assert"]))
            if draw(st.booleans()):
                place.pop(name, None)
            else:
                place[name] = value
        elif place and draw(st.booleans()):
            place[draw(st.integers(0, len(place) - 1))] = value
        else:
            place.append(value)
    return made


def exactly(value: Any) -> Any:
    """Return a form of *value* that tells True from 1 and 1 from 1.0, keeps the order of names, and shows what is secret."""
    if isinstance(value, dict):
        return dict, [(exactly(name), exactly(item)) for name, item in value.items()]
    if isinstance(value, (list, tuple)):
        return type(value), [exactly(item) for item in value]
    if isinstance(value, Sensitive):
        return Sensitive, exactly(value.value)
    return type(value), value.why if isinstance(value, Unknown) else repr(value)


def judged(kind: str, attributes: Mapping[str, Any]) -> Any:
    """Return exactly what the model makes of *attributes*; None when it refuses them."""
    try:
        return exactly(TYPES[kind].model().model_validate(fresh(attributes)).model_dump())
    except ValidationError:
        return None


@pytest.mark.parametrize("kind", sorted(EXAMPLES))
def test_every_value_in_the_place_of_another_is_judged_as_by_the_model(kind: str) -> None:
    values = [*ODD, *WORDS, *DEFAULTS]
    for example in EXAMPLES[kind]:
        for number, container in enumerate(containers(example)):
            for place in container if isinstance(container, dict) else range(len(container)):
                for value in values:
                    attributes = fresh(example)
                    containers(attributes)[number][place] = fresh(value)
                    accepted = TYPES[kind].accepts(attributes)
                    assert accepted is None or exactly(accepted) == judged(kind, attributes), attributes


@pytest.mark.parametrize("kind", sorted(EXAMPLES))
@settings(max_examples=200)
@given(data=st.data())
def test_what_is_accepted_is_what_the_model_makes(kind: str, data: st.DataObject) -> None:
    attributes = data.draw(changed(kind))
    given = exactly(attributes)
    accepted = TYPES[kind].accepts(attributes)
    assert accepted is None or exactly(accepted) == judged(kind, attributes)
    assert exactly(attributes) == given


@pytest.mark.parametrize(("kind", "attributes"), [(k, e) for k, found in sorted(EXAMPLES.items()) for e in found])
def test_an_ordinary_resource_is_accepted_and_shares_nothing(kind: str, attributes: dict[str, Any]) -> None:
    first, second = (TYPES[kind].accepts(attributes) for _ in range(2))
    assert exactly(first) == exactly(second) == judged(kind, attributes)
    mutable = [
        id(value) for config in (first, second, attributes) for value in config.values() if type(value) in {list, dict}
    ]
    assert len(mutable) == len(set(mutable))


@pytest.mark.parametrize("kind", sorted(TYPES))
def test_every_attribute_is_known_and_accepted_in_one_of_the_examples(kind: str) -> None:
    fields = set(TYPES[kind].model().model_fields)
    assert TYPES[kind].attribute_names() == fields
    assert {name for example in EXAMPLES[kind] for name in example} == fields - LEFT_TO_THE_MODEL


@pytest.mark.parametrize("odd", [Decimal("0.5"), Text("a/b"), ("a",), SetValue(["a"]), object], ids=repr)
@pytest.mark.parametrize("kind", sorted(EXAMPLES))
def test_other_kinds_of_value_are_left_to_the_model(kind: str, odd: object) -> None:
    for example in EXAMPLES[kind]:
        for name in example:
            assert TYPES[kind].accepts({**example, name: odd}) is None
