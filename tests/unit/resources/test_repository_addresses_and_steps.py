"""What a ``repository`` accepts, which rights its steps ask for, and what it makes of what is seen. No git runs."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from clockwork_nb.errors import InvalidInputError
from clockwork_nb.forge.bundle import Bundle, BundleStep
from clockwork_nb.forge.content_flags import content_flags
from clockwork_nb.ids import step_id
from clockwork_nb.intake.values import Unknown
from clockwork_nb.ports import Action, CompiledStep, Observation
from clockwork_nb.resources.repository import TYPE
from clockwork_nb.resources.repository.urls import ref_problem, url_problem, url_transport
from clockwork_nb.secrets import Sensitive

ADDRESS = "repository.app"


def config(**attributes: Any) -> dict[str, Any]:
    given = {"url": "https://example.org/app.git", "path": "src/app", **attributes}
    out: dict[str, Any] = TYPE.model().model_validate(given).model_dump()
    return out


def problem(**attributes: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        config(**attributes)
    assert "hunter2" not in str(caught.value)
    return str(caught.value.errors(include_input=False, include_url=False)[0]["msg"])


def step(change: Any = "create", wanted: dict[str, Any] | None = None, recorded: Any = None) -> CompiledStep:
    spec = TYPE.actions(change, wanted, recorded)[-1]
    return TYPE.compile(Action(step_id(ADDRESS, spec.name), spec.name, ADDRESS, spec.args, change=change))


ACCEPTED = {
    "https://example.org/app.git": "https",
    "http://127.0.0.1:8080/app": "http",
    "https://[::1]:8443/a%20b.git": "https",
    "ssh://git@example.org:2222/team/app.git": "ssh",
    "ssh://example.org/~me/app": "ssh",
    "git@example.org:team/app.git": "ssh",
    "example.org:app": "ssh",
    "git@example.org:/srv/app.git": "ssh",
    "file:///srv/git/app.git": "file",
    "file://localhost/srv/app": "file",
    "/srv/git/app.git": "file",
    "./vendor/app.git": "file",
    "../app": "file",
}


@pytest.mark.parametrize(("url", "transport"), ACCEPTED.items())
def test_addresses_of_repositories_are_accepted_as_they_are(url: str, transport: str) -> None:
    assert config(url=url)["url"] == url and url_transport(url) == transport


REFUSED = {
    "ext::sh -c 'touch pwned'": "spaces",
    "ext::sh": "would start a program",
    "fd::17": "would start a program",
    "transport::https://example.org/x": "would start a program",
    "::x": "would start a program",
    "-u": "no address",
    "--upload-pack=touch pwned": "no address",
    "": "no address",
    "-oProxyCommand=id:x": "no address",
    "ssh://-oProxyCommand=id/x": "name of a host",
    "ssh://git@-oProxyCommand=id/x": "name of a host",
    "ssh://-l@example.org/x": "user name in the address",
    "git@-host:x": 'begins with "./"',
    "host:-x": 'begins with "./"',
    "https://me:hunter2@example.org/x": "name or password",
    "https://hunter2@example.org/x": "name or password",
    "ssh://git:hunter2@example.org/x": "name or password",
    "https://example.org/x?token=hunter2": '"?" or "#"',
    "https://example.org/x#main": '"?" or "#"',
    "https://example.org/x\n": "line breaks",
    "https://example.org/\x1b[2Jx": "control characters",
    "https://example.org/%0aHost:%20evil": "control characters",
    "https://example.org/": "no repository",
    "https:///x": "name of a host",
    "https://exa mple.org/x": "spaces",
    "https://example.org:0/x": "port 0",
    "https://example.org:99999/x": "not a URL",
    "https://ex\u00e4mple.org/x": "plain ASCII",
    "https://example.org$(id)/x": "name of a host",
    "git://example.org/x": "use https or ssh",
    "ftp://example.org/x": "use https or ssh",
    "javascript://example.org/x": 'begins with "./"',
    "FILE:///etc": 'begins with "./"',
    "file://elsewhere/srv/x": "of this machine",
    "vendor/app": 'begins with "./"',
    "~me/app": 'begins with "./"',
    "/srv/\u2028x": "line breaks",
}


@pytest.mark.parametrize(("url", "why"), REFUSED.items())
def test_hostile_and_unclear_addresses_are_refused_with_the_reason(url: str, why: str) -> None:
    assert why in problem(url=url)


@given(st.text(max_size=30))
def test_no_accepted_address_can_be_an_option_or_start_a_program(url: str) -> None:
    if not url_problem(url):
        assert not url.startswith("-") and "::" not in url.split("/")[0]
        assert url_transport(url) in {"http", "https", "ssh", "file"}
        assert all(ord(c) > 32 and ord(c) != 127 for c in url)


@pytest.mark.parametrize(
    "ref",
    ["main", "v1.0", "feature/x", "refs/heads/main", "refs/pull/7/head", "abc1234", "a" * 40, "-".join("ab"), "ü"],
)
def test_names_that_git_allows_are_accepted(ref: str) -> None:
    assert config(ref=ref)["ref"] == ref


@pytest.mark.parametrize(
    "ref",
    ["", "-u", "--upload-pack=x", "HEAD", "@", "a..b", "a b", "a\nb", "x.lock", "a/.b", "a//b", "/a", "a/", "a~1", "a^",
     "a:b", "a*", "a[", "a\\b", "a@{1}", "a.", "refs/x", "x" * 300, "a\x7f", "a?"],
)  # fmt: skip
def test_names_that_git_does_not_allow_are_refused(ref: str) -> None:
    assert ref_problem(ref) and problem(ref=ref)


def test_a_path_is_in_a_folder_of_the_project_and_in_no_git_folder() -> None:
    assert "put it in a folder" in problem(path="app")
    assert '".git" folder' in problem(path="x/.git/hooks") and '".git" folder' in problem(path="x/.GIT")
    assert "bytes" in problem(path="x/" + "y" * 250)
    assert "leave the project" in problem(path="../x")


def test_a_password_is_sensitive_and_for_http_alone() -> None:
    assert "must be sensitive" in problem(password="hunter2")
    assert "ssh uses your keys" in problem(url="git@example.org:x", password=Sensitive("hunter2"))
    assert "line break" in problem(password=Sensitive("hunter2\nx"))
    assert "goes with" in problem(username="me")
    assert "a user name is" in problem(username="a b", password=Sensitive("hunter2"))
    made = step("create", config(password=Sensitive("hunter2")))
    assert made.secrets == {"repository.app:password": "hunter2"}
    assert made.vars["CW_ORIGIN"] == "https://example.org" and made.vars["CW_USERNAME"] == "git"
    assert "hunter2" not in str((made.vars, made.cmd)) and b"hunter2" not in made.artifacts[0].content


@pytest.mark.parametrize(
    ("url", "cls", "network"),
    [
        ("https://example.org/x", "confined", (443,)),
        ("http://example.org/x", "confined", (80,)),
        ("https://example.org:8443/x", "confined", (8443,)),
        ("./up.git", "confined", False),
        ("./../up.git", "host", False),
        ("../up.git", "host", False),
        ("/srv/up.git", "host", False),
        ("file:///srv/up.git", "host", False),
        ("git@example.org:x", "host", True),
    ],
)
def test_a_step_has_the_rights_its_address_needs_and_no_more(url: str, cls: str, network: Any) -> None:
    made = step("create", config(url=url))
    assert (made.cls, made.network) == (cls, network)
    assert made.environment == (("SSH_AUTH_SOCK",) if cls == "host" and network else ())
    assert ("file" in made.vars["GIT_ALLOW_PROTOCOL"]) is (url_transport(url) == "file")
    assert all(path.rpartition("/")[0] == "src" for path in made.write)
    assert step("create", config(url=url, submodules=True)).network is True


def test_the_removal_may_write_nothing_but_the_checkout() -> None:
    made = step("delete", None, config())
    assert (made.cls, made.network, made.write) == ("confined", False, ("src/app", "src/app/"))


def test_no_value_stands_in_a_script_but_in_its_comment() -> None:
    made = step("create", config(url="./$(touch${IFS}pwned)", path="a/$(id)", ref="`id`"))
    lines = made.artifacts[0].content.decode().splitlines()
    assert all(line.startswith("#") for line in lines if "pwned" in line or "$(id)" in line or "`id`" in line)
    other = step("create", config(url="./x", path="a/b")).artifacts[0].content.decode().splitlines()
    assert lines[4:] == other[4:]


def test_only_what_changes_the_checkout_makes_a_step() -> None:
    before = config()
    assert TYPE.actions("update", config(depth=1, refresh="1h", timeout=5), before) == ()
    assert [s.name for s in TYPE.actions("update", config(ref="v1"), before)] == ["fetch_repo"]
    assert [s.name for s in TYPE.actions("update", before, None)] == ["fetch_repo"]
    replaced = TYPE.actions("replace", before, before)
    assert [s.name for s in replaced] == ["remove_repo", "fetch_repo"] and replaced[1].args["ours"] is False
    assert TYPE.replaces(before, config(path="src/b")) == {"path"}
    assert TYPE.replaces(before, config(url="./x", ref="v1")) == frozenset()


def test_risks_are_named() -> None:
    before = config()
    assert TYPE.risks("create", before, None, None) == ("network",)
    assert TYPE.risks("create", config(url="./x"), None, None) == ()
    assert TYPE.risks("update", config(url="./x"), before, None) == ("overwrite",)
    assert TYPE.risks("update", config(depth=1), before, None) == ()
    assert TYPE.risks("replace", config(path="src/b"), before, None) == ("destroy", "network")
    assert TYPE.risks("delete", None, before, None) == ("destroy",)


def test_the_commit_is_known_after_apply() -> None:
    assert isinstance(TYPE.exports(config())["commit"], Unknown) and TYPE.export_names() == {"commit"}
    with pytest.raises(InvalidInputError):
        step("create", config(ref=Unknown("later")))


def test_drift_says_what_was_changed_outside() -> None:
    wanted = config()
    seen = {"kind": "checkout", "commit": "a", "fetched": "a", "same_url": True, "dirty": False, "remote": "r"}
    assert TYPE.drift(wanted, Observation(None)) == {} == TYPE.drift(wanted, Observation(True, seen))
    assert TYPE.drift(wanted, Observation(False)) == {"path": ("src/app", None)}
    assert TYPE.drift(wanted, Observation(True, {"kind": "file"})) == {"path": ("src/app", "file")}
    changed = {**seen, "commit": "b", "same_url": False, "dirty": True, "unfinished": True, "stale": True}
    assert set(TYPE.drift(wanted, Observation(True, changed))) == {"url", "commit", "dirty", "unfinished", "ref"}


@pytest.mark.parametrize("change", ["create", "delete"])
def test_there_is_nothing_in_the_scripts_that_a_person_is_warned_of(change: Any) -> None:
    wanted = config(password=Sensitive("hunter2"), submodules=True)
    made = step(change, None if change == "delete" else wanted, wanted)
    one = BundleStep("s", "x", ADDRESS, made.cmd, made.vars, made.secret_vars, made.data, made.write, made.network)
    assert content_flags(Bundle(made.artifacts, (one,), made.secrets)) == []
