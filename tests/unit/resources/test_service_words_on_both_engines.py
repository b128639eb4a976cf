"""One set of words for containers and processes: what is accepted where, what follows from it, and what is looked at."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from clockwork_nb.errors import InvalidInputError
from clockwork_nb.forge.syntax import SyntaxChecker
from clockwork_nb.intake.values import Unknown
from clockwork_nb.ports import Action, ActionSpec, Observation
from clockwork_nb.resources.containers import ENGINE_VARIABLES, container_name, parse_size, spec_digest
from clockwork_nb.resources.service import TYPE
from clockwork_nb.resources.service.container_steps import container_spec, wanted_limits
from clockwork_nb.secrets import Sensitive, seal

PODMAN = {"engine": "podman 4"}


def config(**attributes: Any) -> dict[str, Any]:
    made: dict[str, Any] = TYPE.model().model_validate(attributes).model_dump()
    return made


def container(**attributes: Any) -> dict[str, Any]:
    return dict(TYPE.with_facts(config(image="nginx:1.25", **attributes), PODMAN))


def problem(**attributes: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        TYPE.model().model_validate(attributes)
    return "; ".join(e["msg"] for e in caught.value.errors(include_input=False, include_url=False))


def action(spec: ActionSpec, address: str = "service.web") -> Action:
    return Action(f"{address}:{spec.name}", spec.name, address, spec.args)


def script(wanted: dict[str, Any], name: str = "ensure_service", **more: Any) -> tuple[str, Any]:
    specs = {s.name: s for s in TYPE.actions("create", wanted, None)}
    step = TYPE.compile(action(specs[name], **more))
    return step.artifacts[0].content.decode(), step


# --- which engine -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attributes", "facts", "engine"),
    [
        ({"command": ["w"]}, "process", "process"),
        ({"command": ["w"]}, "podman 4", "process"),
        ({"image": "a"}, "podman 4", "podman"),
        ({"image": "a"}, "docker 28", "docker"),
        ({"image": "a", "engine": "docker"}, "docker 28", "docker"),
        ({"command": ["w"], "engine": "process"}, "docker 28", "process"),
    ],
)
def test_the_machine_decides_the_engine_once(attributes: dict[str, Any], facts: str, engine: str) -> None:
    made = config(**attributes)
    decided = TYPE.with_facts(made, {"engine": facts})
    assert decided["engine"] == engine
    assert TYPE.with_facts(decided, {"engine": facts}) == decided
    assert TYPE.needs_engine(made) == (engine != "process") == TYPE.needs_engine(decided)


@pytest.mark.parametrize(
    ("attributes", "facts", "words"),
    [
        ({"image": "a"}, "process", "needs a container engine"),
        ({"image": "a", "engine": "docker"}, "podman 4", "not docker"),
    ],
)
def test_a_missing_engine_is_an_error_that_says_how_to_get_one(
    attributes: dict[str, Any], facts: str, words: str
) -> None:
    with pytest.raises(InvalidInputError, match=words) as caught:
        TYPE.with_facts(config(**attributes), {"engine": facts})
    assert "nstall" in caught.value.hint and len(caught.value.message) <= 60


def test_what_was_recorded_before_there_were_containers_is_a_process() -> None:
    old = {k: v for k, v in config(command=["w"], port=80).items() if k in {"command", "ports", "env", "state", "name"}}
    new = dict(TYPE.with_facts(config(command=["w"], port=80), {"engine": "process"}))
    assert TYPE.replaces(old, new) == frozenset()
    assert TYPE.actions("delete", None, old)[0].args == {"stop_timeout": 10}
    assert TYPE.needs_engine(old) is False


# --- what is accepted -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "made"),
    [
        (8080, {"external": 8080, "internal": 8080}),
        ("8080", {"external": 8080, "internal": 8080}),
        ("8080:80", {"external": 8080, "internal": 80}),
        ("0.0.0.0:8080:80", {"external": 8080, "internal": 80, "host_ip": "0.0.0.0"}),
        ("[::1]:8080:80", {"external": 8080, "internal": 80, "host_ip": "::1"}),
        ({"external": 1, "internal": 2, "host_ip": "10.0.0.1"}, {"external": 1, "internal": 2, "host_ip": "10.0.0.1"}),
    ],
)
def test_spellings_of_a_published_port(given: Any, made: dict[str, Any]) -> None:
    assert config(image="a", ports=[given])["ports"] == [made]


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ("./data:/data:ro", {"path": "data", "volume": None, "target": "/data", "mode": "ro"}),
        ("a/b:/data", {"path": "a/b", "volume": None, "target": "/data", "mode": "rw"}),
        ("cache:/var/cache/", {"path": None, "volume": "cache", "target": "/var/cache", "mode": "rw"}),
        ({"path": "x", "target": "/x"}, {"path": "x", "volume": None, "target": "/x", "mode": "rw"}),
    ],
)
def test_spellings_of_a_mount(given: Any, made: dict[str, Any]) -> None:
    assert config(image="a", volumes=[given])["volumes"] == [made]


def test_sizes_and_shares_are_numbers() -> None:
    made = config(image="a", memory="64m", cpus=Decimal("0.50"), pids=10, logging={"max_size": "1.5k"})
    assert (made["memory"], made["cpus"], made["pids"], made["logging"]["max_size"]) == (64 << 20, 0.5, 10, 1536)
    assert parse_size("2gb") == parse_size("2GiB") == 2 << 30


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"image": "a b"}, "an image is a name"),
        ({"image": "--privileged"}, "an image is a name"),
        ({"image": "a", "engine": "process"}, "needs a container engine"),
        ({"engine": "podman", "command": ["x"]}, "needs an image"),
        ({"image": "a", "build": {"context": "."}}, "image = image.web.id"),
        ({"command": ["x"], "source_repo": "https://x"}, "repository"),
        ({"image": "a", "ports": ["x"]}, "host first"),
        ({"image": "a", "ports": ["1:2:3:4"]}, "host first"),
        ({"image": "a", "ports": [{"external": 1, "host_ip": "localhost"}]}, "host_ip is an IP address"),
        ({"image": "a", "volumes": ["data"]}, "no mount"),
        ({"image": "a", "volumes": ["/etc:/etc"]}, "absolute"),
        ({"image": "a", "volumes": ["./../x:/x"]}, "leave the project"),
        ({"image": "a", "volumes": ["./.clockwork:/x"]}, "belongs to the tool"),
        ({"image": "a", "volumes": [".:/x"]}, "project folder itself"),
        ({"image": "a", "volumes": ["v:/"]}, "over the root"),
        ({"image": "a", "volumes": ["v:data"]}, "absolute"),
        ({"image": "a", "volumes": ["v:/a/../b"]}, "absolute"),
        ({"image": "a", "volumes": ["v:/a", "w:/a/"]}, "two things"),
        ({"image": "a", "volumes": ["v:/a:rx"]}, "'ro'"),
        ({"image": "a", "volumes": [{"path": "x", "volume": "v", "target": "/x"}]}, "either"),
        ({"image": "a", "volumes": [{"path": "a:b", "target": "/x"}]}, "colon"),
        ({"image": "a", "memory": "1m"}, "at least 6m"),
        ({"image": "a", "memory": "lots"}, "a size is"),
        ({"image": "a", "cpus": 0.123}, "two decimals"),
        ({"image": "a", "pids": 0}, "greater than or equal to 1"),
        ({"image": "a", "restart": "on-failure:0"}, "on-failure:N"),
        ({"image": "a", "working_dir": "app"}, "absolute"),
        ({"image": "a", "user": "a b"}, "without spaces"),
        ({"image": "a", "network": "--net"}, "without spaces"),
        ({"image": "a", "labels": {"clockwork.spec": "x"}}, "the tool's own"),
        ({"image": "a", "labels": {"a b": "x"}}, "name of a label"),
        ({"image": "a", "logging": {"driver": "a b"}}, "log driver"),
        ({"image": "a", "port": 1, "health_check": {"tcp": True, "url": "http://x/"}}, "one way"),
        ({"image": "a", "env": {"PATH": Sensitive("hunter2")}}, "engine's own command"),
        ({"image": "a", "env": {"DOCKER_HOST": Sensitive("hunter2")}}, "engine's own command"),
        ({"command": ["x"], "health_check": {"command": ["x"]}}, "inside a container"),
        ({"command": ["x"], "port": 1, "logging": {"driver": "journald"}}, "goes with an image"),
        ({"command": ["x"], "ports": [{"external": 1, "host_ip": "0.0.0.0"}]}, "goes with an image"),
        ({"command": ["x"], "working_dir": "/srv"}, "absolute"),
        *(
            ({"command": ["x"], name: value}, "goes with an image")
            for name, value in {
                "pull": "never",
                "volumes": ["v:/v"],
                "cpus": 1,
                "pids": 5,
                "labels": {"a": "b"},
                "user": "1000",
                "network": "host",
                "read_only": True,
                "privileged": True,
            }.items()
        ),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(attributes: dict[str, Any], words: str) -> None:
    said = problem(**attributes)
    assert words in said and "hunter2" not in said


# --- actions ----------------------------------------------------------------------------------------------------------


def names(change: Any, wanted: dict[str, Any] | None, recorded: dict[str, Any] | None, **seen: Any) -> list[str]:
    observed = Observation(bool(seen), seen)
    return [s.name for s in TYPE.actions_observed(change, wanted, recorded, observed)]


def test_an_image_is_fetched_only_where_it_may_have_to_be() -> None:
    assert names("create", container(), None) == ["pull_image", "ensure_service"]
    assert names("create", container(), None, image_here=True) == ["ensure_service"]
    assert names("create", container(pull="always"), None, image_here=True) == ["pull_image", "ensure_service"]
    assert names("create", container(pull="never"), None) == ["ensure_service"]
    by_id = {**container(), "image": "sha256:" + "a" * 64}
    assert names("create", by_id, None) == ["ensure_service"]
    (pull, _) = TYPE.actions("create", container(), None)
    assert pull.risk == ("network",)


@pytest.mark.parametrize(
    ("before", "after", "actions"),
    [
        ({}, {}, []),
        ({}, {"stop_timeout": 3}, []),
        ({"port": 1}, {"port": 1, "health_check": {"path": "/x"}}, ["verify_http"]),
        ({"port": 1}, {"port": 1, "health_check": {"command": ["x"]}}, ["verify_service"]),
        ({}, {"memory": "64m"}, ["ensure_service"]),
        ({}, {"env": {"A": "1"}}, ["ensure_service"]),
        ({}, {"state": "stopped"}, ["stop_service"]),
        ({"state": "stopped"}, {}, ["ensure_service"]),
        ({"port": 1}, {"port": 2}, ["ensure_service", "verify_tcp"]),
    ],
)
def test_an_update_does_no_more_than_it_must(before: dict[str, Any], after: dict[str, Any], actions: list[str]) -> None:
    assert names("update", container(**after), container(**before), image_here=True) == actions


def test_a_replacement_fetches_the_image_and_then_removes_the_old_thing_whatever_it_was() -> None:
    process = dict(TYPE.with_facts(config(command=["w"]), {"engine": "process"}))
    assert TYPE.replaces(process, container()) == {"engine"}
    assert TYPE.replaces(container(name="a"), container(name="b")) == {"name"}
    assert TYPE.replaces(container(port=1), container(port=2)) == frozenset()
    specs = TYPE.actions("replace", container(), process)
    assert [s.name for s in specs] == ["pull_image", "remove_service", "ensure_service"]
    assert "engine" not in specs[1].args and specs[2].args["engine"] == "podman"
    same = TYPE.actions("replace", process, process)
    assert [s.name for s in same] == ["remove_service", "ensure_service"]
    for other in ({"name": "b"}, {"name": "a", "state": "stopped"}):
        assert "remove_service" in names("replace", container(**other), container(name="a"))


def test_a_container_that_is_made_anew_under_its_name_is_exchanged_and_not_removed_before() -> None:
    wanted = container(name="a", port=1)
    specs = TYPE.actions("replace", wanted, container(name="a"))
    assert [s.name for s in specs] == ["pull_image", "ensure_service", "verify_tcp"]
    assert specs[1].args["anew"] is True and "anew" in specs[1].reason


def test_a_changed_secret_makes_the_container_anew_and_nothing_else_does() -> None:
    def anew(wanted: dict[str, Any], recorded: dict[str, Any] | None) -> bool:
        (spec,) = (s for s in TYPE.actions("update", wanted, recorded) if s.name == "ensure_service")
        return bool(spec.args["anew"])

    secret = container(env={"T": Sensitive("one")})
    assert anew(secret, container(env={"T": Sensitive("two")}))
    assert anew(secret, None), "nobody can see which value it has"
    assert not anew({**secret, "memory": 7 << 20}, secret)
    assert not anew(container(env={"A": "1"}), None)


# --- scripts ----------------------------------------------------------------------------------------------------------


def test_a_script_is_one_readable_command_line_and_holds_no_secret() -> None:
    text, step = script(
        container(
            command=["serve", "it's; rm -rf /"],
            ports=["8080:80", "0.0.0.0:9090:90", "[::1]:7070:70"],
            env={"A": "x y", "TOKEN": Sensitive("hunter2")},
            volumes=["./data:/data:ro", "cache:/cache"],
            memory="64m",
            cpus=0.5,
            labels={"team": "a b"},
            logging={"max_size": "1m"},
            user="1000:1000",
            network="none",
            working_dir="/srv",
            read_only=True,
            privileged=True,
        )
    )
    for words in (
        "--publish 127.0.0.1:8080:80",
        "--publish 0.0.0.0:9090:90",
        "--publish [::1]:7070:70",
        "--env 'A=x y'",
        "--env TOKEN",
        '--volume "$CW_MOUNT_1":/data:ro',
        "--volume cache:/cache:rw",
        "--label 'team=a b'",
        "--log-driver k8s-file",
        "--log-opt max-size=1048576",
        "--network none",
        "--user 1000:1000",
        "--workdir /srv",
        "--read-only",
        "--privileged",
        "--detach --init --pull=never",
        "\"$CW_IMAGE_ID\" serve 'it'\"'\"'s; rm -rf /'",
    ):
        assert words in text, words
    assert "hunter2" not in text and "hunter2" not in str(step.vars)
    assert step.secrets == {"service.web:env:TOKEN": "hunter2"}
    assert step.secret_vars == {"CW_SECRET_TOKEN": "service.web:env:TOKEN"}
    assert step.vars["CW_LIMITS"] == "67108864 500000000 on-failure:0"
    # What stays beside the container must not carry the run's mark: left-overs of a run are ended by it.
    assert text.index("unset CW_FENCING_TOKEN") < text.index("podman ps")
    assert (step.cls, step.detaches, step.environment, step.cmd[0]) == ("host", True, ENGINE_VARIABLES, "sh")
    assert SyntaxChecker().problem("sh", text.encode()) == ""


def test_limits_and_names_are_variables_so_that_their_change_does_not_change_the_script() -> None:
    first, _ = script(container(memory="64m", name="a"))
    second, _ = script(container(memory="96m", name="b", restart="always"))
    assert first.replace("container a runs", "container b runs") == second


def test_docker_gets_the_same_words_and_leaves_nothing_running_beside_it() -> None:
    wanted = dict(TYPE.with_facts(config(image="a", logging={"max_size": "1m"}), {"engine": "docker 28"}))
    text, step = script(wanted)
    assert "podman" not in text and "docker run" in text and "--log-driver json-file" in text
    assert step.detaches is False


def test_every_script_of_a_container_is_shell() -> None:
    wanted = container(port=1, health_check={"command": ["pg_isready"]}, pull="always")
    found = {}
    for change, after, before in (
        ("create", wanted, None),
        ("update", container(state="stopped"), wanted),
        ("delete", None, wanted),
    ):
        for spec in TYPE.actions(change, after, before):  # type: ignore[arg-type]
            step = TYPE.compile(action(spec))
            found[spec.name] = step
            assert SyntaxChecker().problem("sh", step.artifacts[0].content) == "", spec.name
    assert set(found) == {"pull_image", "ensure_service", "verify_service", "stop_service", "remove_service"}
    assert {n for n, s in found.items() if s.detaches} == {"ensure_service"}
    assert found["pull_image"].network is True and found["remove_service"].network is False


def test_nothing_is_compiled_before_an_engine_is_decided() -> None:
    (spec, *_) = TYPE.actions("create", config(image="a", pull="never"), None)
    with pytest.raises(InvalidInputError, match="not decided"):
        TYPE.compile(action(spec))


def test_names_of_containers() -> None:
    assert container_name("given", "service.web") == "given"
    assert container_name(None, "service.web") == "web"
    assert container_name(None, 'service.web["a b"]') != container_name(None, 'service.web["a_b"]')


# --- drift, exports, risks, claims ------------------------------------------------------------------------------------


def seen_as(wanted: dict[str, Any], **changes: Any) -> Observation:
    attributes = {
        "status": "running",
        "spec": spec_digest(container_spec(wanted)),
        "limits": {"memory": "0", "cpus": "0", "pids": "2048", **wanted_limits(wanted)},
    }
    return Observation(True, attributes | changes)


def test_drift_of_a_container() -> None:
    wanted = container(memory="64m", env={"T": Sensitive("x")})
    assert TYPE.drift(wanted, seen_as(wanted)) == {}
    assert TYPE.drift(seal(wanted, b"key"), seen_as(wanted)) == {}, "as it is recorded"
    assert TYPE.drift(wanted, seen_as(wanted, status="exited")) == {"status": ("running", "exited")}
    assert set(TYPE.drift(wanted, seen_as(wanted, spec="other"))) == {"container"}
    assert TYPE.drift(wanted, seen_as(wanted, limits={"memory": "1", "restart": "on-failure:0"})) == {
        "memory": (str(64 << 20), "1")
    }
    assert TYPE.drift(wanted, Observation(False)) == {"status": ("running", None)}
    assert TYPE.drift(wanted, Observation(None)) == {}
    stopped = {**wanted, "state": "stopped"}
    assert TYPE.drift(stopped, seen_as(wanted, status="exited", spec="older")) == {}
    assert TYPE.drift(stopped, seen_as(wanted)) == {"status": ("stopped", "running")}


def test_a_digest_says_nothing_about_a_secret_but_that_there_is_one() -> None:
    one, two = container(env={"T": Sensitive("x")}), container(env={"T": Sensitive("y")})
    assert spec_digest(container_spec(one)) == spec_digest(container_spec(two))
    assert spec_digest(container_spec(one)) != spec_digest(container_spec(container(env={"T": "x"})))
    assert spec_digest(container_spec({**one, "image": Unknown()})) == ""


def test_exports_name_what_is_known_later() -> None:
    made = TYPE.exports(container(ports=["8080:80"]))
    assert (made["url"], made["port"]) == ("http://localhost:8080", 8080)
    assert isinstance(made["container_id"], Unknown) and isinstance(made["image_id"], Unknown)
    assert TYPE.exports(container(ports=["10.0.0.5:8080:80"]))["url"] == "http://10.0.0.5:8080"
    assert TYPE.exports(container(ports=["[fd00::1]:8080:80"]))["url"] == "http://[fd00::1]:8080"
    assert TYPE.exports(container(ports=["0.0.0.0:8080:80"]))["url"] == "http://localhost:8080"
    process = TYPE.exports(config(command=["w"]))
    assert (process["container_id"], process["image_id"], process["url"]) == (None, None, None)


def test_risks_and_claims() -> None:
    risky = container(ports=[1], volumes=["./d:/d"], privileged=True)
    assert TYPE.risks("create", risky, None, None) == ("ports", "mounts", "privileged")
    assert TYPE.risks("update", risky, risky, None) == ()
    assert TYPE.risks("create", container(volumes=["v:/v"], network="host"), None, None) == ("privileged",)
    assert TYPE.risks("replace", container(), container(), None) == ("destroy",)
    assert TYPE.risks("delete", None, risky, None) == ("destroy",)
    assert TYPE.claims(container(name="c", ports=[1, 2])) == ("container:c", "port:1", "port:2")
    assert TYPE.claims(container(name="c", ports=[1], state="stopped")) == ("container:c",)


def test_descriptions_name_engine_and_image() -> None:
    assert TYPE.describe(container(ports=[1])) == "podman nginx:1.25, port 1"
    assert TYPE.describe(config(image="a")) == "container a"
    assert TYPE.describe({**container(), "image": "sha256:" + "ab" * 32}) == "podman sha256:abababababab"
    assert "after apply" in TYPE.describe({**container(), "image": Unknown()})
