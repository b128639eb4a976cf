"""Services as containers, with a real engine: made, changed, healed, stopped and removed from a configuration."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.container_engine import Engine, Site, free_port, get, podman_engine, site, wait_for

SECRET = "pa55phrase-of-the-test"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with podman_engine(tmp_path_factory.mktemp("engine")) as found:
        yield found


@pytest.fixture
def web(engine: Engine, tmp_path: Path) -> Iterator[Site]:
    with site(engine, tmp_path) as made:
        yield made


def holders(folder: Path, text: str) -> list[Path]:
    return [p for p in folder.rglob("*") if p.is_file() and text.encode() in p.read_bytes()]


def test_a_container_is_made_answers_and_is_removed_while_its_volume_stays(web: Site) -> None:
    (web.project.folder / "www").mkdir()
    (web.project.folder / "www" / "index.html").write_text("hello from the project\n")
    secret = 'variable "secret" {\n  type = string\n  default = "x"\n  sensitive = true\n}'
    web.write(
        f"""
  image = "{web.engine.image}"
  command = ["httpd", "-f", "-p", "8080", "-h", "/www"]
  ports = [{{ external = {web.port}, internal = 8080 }}]
  env = {{ GREETING = "it's $HOME", TOKEN = var.secret }}
  volumes = ["./www:/www:ro", "{web.name}-data:/data"]
  memory = "64m"
  labels = {{ team = "web" }}
  read_only = true
  working_dir = "/www"
  logging = {{ max_size = "1m" }}
  restart = "on-failure:2"
  health_check {{ path = "/index.html" }}""",
        secret,
    )
    web.project.env["CW_VAR_secret"] = SECRET
    plan = web.plan()
    (change,) = plan["changes"]
    assert (change["kind"], sorted(change["risk"])) == ("create", ["mounts", "ports"])
    assert plan["facts"]["engine"].startswith("podman ")
    assert [a["name"] for a in plan["actions"]["steps"]] == ["ensure_service", "verify_http"]

    web.apply()
    assert get(web.port) == "hello from the project\n"
    found = web.container
    assert found["State"]["Status"] == "running"
    assert (
        found["Config"]["Labels"]["clockwork.address"] == "service.web" and found["Config"]["Labels"]["team"] == "web"
    )
    assert found["HostConfig"]["Memory"] == 64 << 20 and found["HostConfig"]["ReadonlyRootfs"]
    assert found["HostConfig"]["PortBindings"] == {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(web.port)}]}
    inside = web.engine.run("exec", web.name, "sh", "-c", 'echo "$GREETING|$TOKEN|$PWD"; touch /data/kept')
    assert inside == f"it's $HOME|{SECRET}|/www"
    monitor = Path(f"/proc/{found['State']['ConmonPid']}")
    assert SECRET not in (monitor / "cmdline").read_text()
    assert SECRET not in (environment := (monitor / "environ").read_text()) and "CW_FENCING_TOKEN" not in environment
    assert holders(web.project.root, SECRET) == [], "no file of ours holds the secret"
    (entry,) = web.project.state()["resources"]
    assert entry["identity"]["container_id"] == found["Id"]

    assert web.changes() == {}
    web.project.run("destroy", "--auto-approve")
    assert not web.engine.there(web.name)
    assert f"{web.name}-data" in web.engine.run("volume", "ls", "--quiet").split()


def test_a_change_of_what_it_is_made_with_makes_it_anew_and_a_state_only_stops_and_starts_it(web: Site) -> None:
    web.server()
    web.apply()
    first = web.container["Id"]
    web.server('  state = "stopped"')
    web.apply()
    assert web.container["State"]["Status"] == "exited" and web.changes() == {}
    web.server()
    web.apply()
    assert web.container["Id"] == first and web.container["State"]["Status"] == "running"

    old = web.port
    web.port = old + 1 if get(old + 1) == "" else old + 2
    web.server('  env = { A = "1" }\n  memory = "64m"')
    assert web.plan()["actions"]["steps"][0]["reason"] == "the container is made anew, volumes stay"
    web.apply()
    second = web.container
    assert second["Id"] != first and "A=1" in second["Config"]["Env"]
    assert get(old, "/hostname") == "" and get(web.port, "/hostname").strip() == second["Id"][:12]
    assert second["HostConfig"]["PortBindings"]["8080/tcp"][0]["HostPort"] == str(web.port)

    web.server('  env = { A = "1" }\n  memory = "96m"')
    web.apply()
    assert web.container["HostConfig"]["Memory"] == 96 << 20 and web.changes() == {}


def test_what_was_changed_outside_is_seen_and_healed(web: Site) -> None:
    web.server('  restart = "no"')
    web.apply()
    first = web.container["Id"]
    web.engine.run("stop", "-t", "1", web.name)
    (drift,) = web.plan()["drift"]
    assert drift["attributes"] == [{"path": "status", "recorded": "running", "observed": "exited"}]
    web.apply()
    assert web.container["Id"] == first, "what only stopped is only started"

    labels = [
        "--label",
        "clockwork.address=service.web",
        "--label",
        f"clockwork.project={web.project.folder.resolve()}",
    ]
    web.engine.run("rm", "--force", "-t", "0", web.name)
    web.engine.run(
        "run", "--detach", "--pull=never", "--name", web.name, "--init", *labels, web.engine.image, "sleep", "60"
    )
    (drift,) = web.plan()["drift"]
    assert [a["path"] for a in drift["attributes"]] == ["container"]
    web.apply()
    assert web.container["Config"]["Cmd"] == ["httpd", "-f", "-p", "8080", "-h", "/etc"]

    web.engine.run("rm", "--force", "-t", "0", web.name)
    assert web.changes() == {"service.web": "create"}
    web.apply()
    assert web.container["State"]["Status"] == "running"


def test_a_container_of_a_stranger_is_never_touched(web: Site) -> None:
    web.engine.run("run", "--detach", "--init", "--pull=never", "--name", web.name, web.engine.image, "sleep", "600")
    stranger = web.container["Id"]
    try:
        web.server()
        said = web.fail()
        assert f"the container name {web.name} is taken" in said
        web.project.run("destroy", "--auto-approve", expect=None)
        assert web.container["Id"] == stranger and web.container["State"]["Status"] == "running"
    finally:
        web.engine.run("rm", "--force", "-t", "0", web.name)


def test_a_container_that_does_not_work_fails_its_apply_with_the_reason(web: Site) -> None:
    web.server('  health_check = { path = "/nothing", retries = 2, interval = 0.1 }')
    said = web.fail()
    assert "answered 404, expected 200" in said

    web.server('  restart = "no"', command='"sh", "-c", "echo cannot work >&2; exit 3"')
    said = web.fail()
    assert "cannot work" in said and "did not stay up" in said

    web.write(f'  image = "{web.engine.image}-missing"\n  pull = "never"\n  ports = [{web.port}]')
    said = web.fail()
    assert "is not on this machine" in said


def test_fetching_an_image_is_an_action_and_a_risk_of_its_own(web: Site) -> None:
    web.write(f'  image = "localhost:1/missing:1"\n  ports = [{web.port}]')
    plan = web.plan()
    assert "network" in plan["changes"][0]["risk"]
    assert [a["name"] for a in plan["actions"]["steps"]] == ["pull_image", "ensure_service", "verify_tcp"]
    said = web.fail()
    assert "pull_image" in said and not web.engine.there(web.name)


def test_a_restart_policy_holds_after_a_kill_and_a_check_runs_inside(web: Site) -> None:
    web.server('  restart = "always"\n  health_check = { command = ["test", "-d", "/proc"] }')
    web.apply()
    pid = web.container["State"]["Pid"]
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: web.container["State"]["Pid"] not in (0, pid), "a new start")
    assert "verify_service" in web.project.run("verify").out


def test_a_mount_stays_in_the_project_whatever_a_link_says(web: Site, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (web.project.folder / "data").symlink_to(outside)
    web.server('  volumes = ["./data:/data"]')
    said = web.fail()
    assert "may not be mounted" in said and not web.engine.there(web.name)
    (web.project.folder / "data").unlink()
    said = web.fail()
    assert "is not there" in said


@pytest.mark.slow
def test_an_edited_script_has_an_effect(web: Site) -> None:
    web.server()
    web.apply()
    first = web.container["Id"]
    script = web.project.folder / ".clockwork" / "build" / "scripts" / "service.web" / "ensure_service.sh"
    web.engine.run("stop", "-t", "1", web.name)
    script.write_text(script.read_text().replace("--detach --init", "--detach --init --hostname edited"))
    web.apply()
    assert web.container["Id"] != first and web.container["Config"]["Hostname"] == "edited"


def test_a_changed_secret_reaches_the_container(web: Site) -> None:
    secret = 'variable "secret" {\n  type = string\n  sensitive = true\n}'
    body = f'  image = "{web.engine.image}"\n  command = ["sleep", "600"]\n  env = {{ TOKEN = var.secret }}'
    web.write(body, secret)
    web.project.env["CW_VAR_secret"] = "first\nvalue"
    web.apply()
    assert web.engine.run("exec", web.name, "sh", "-c", 'echo "$TOKEN"') == "first\nvalue"
    web.project.env["CW_VAR_secret"] = "second-value"
    assert web.changes() == {"service.web": "update"}
    web.apply()
    assert web.engine.run("exec", web.name, "sh", "-c", 'echo "$TOKEN"') == "second-value"


def test_the_same_words_run_a_process_and_a_container(web: Site) -> None:
    (web.project.folder / "www").mkdir()
    (web.project.folder / "www" / "index.html").write_text("hello\n")
    other = free_port()
    words = """
  env = { MODE = "test" }
  health_check { path = "/index.html" }
  restart = "on-failure:3"
  memory = "256m"
  logging { max_size = "64k" }
  stop_timeout = "2s"
  state = "running"
"""
    process = f"""
resource "service" "process" {{
  command = ["busybox", "httpd", "-f", "-p", "{other}", "-h", "www"]
  port = {other}
{words}
}}"""
    web.write(
        f"""
  image = "{web.engine.image}"
  command = ["httpd", "-f", "-p", "{web.port}", "-h", "/www"]
  port = {web.port}
  volumes = ["./www:/www:ro"]
{words}""",
        process,
    )
    plan = web.plan()
    assert [(c["address"], c["after"]["engine"]) for c in sorted(plan["changes"], key=lambda c: c["address"])] == [
        ("service.process", "process"),
        ("service.web", "podman"),
    ]
    web.apply()
    assert get(web.port) == get(other) == "hello\n"
    assert web.changes() == {}
    web.project.run("destroy", "--auto-approve")
    assert get(web.port) == get(other) == ""


def test_a_container_that_runs_in_the_notes_of_the_engine_alone_is_made_anew(web: Site) -> None:
    web.server()
    web.apply()
    state = web.container["State"]
    for pid in (state["ConmonPid"], state["Pid"]):  # as when a run was killed while it started the container
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not Path(f"/proc/{state['Pid']}").exists(), "its end")
    if web.container["State"]["Status"] != "running":
        pytest.skip("this engine noticed")
    assert web.changes() == {"service.web": "update"}
    assert "made anew" in web.apply().out
    wait_for(lambda: web.engine.run("top", web.name), "its processes")
    assert web.changes() == {}


def test_two_workspaces_of_a_folder_do_not_take_each_others_container(web: Site) -> None:
    web.server()
    web.apply()
    first = web.container["Id"]
    refused = web.project.run("apply", "--auto-approve", "--workspace", "two", expect=1)
    assert "is taken by service.web of " in refused.out
    web.project.run("destroy", "--auto-approve", "--workspace", "two")
    assert web.container["Id"] == first and web.changes() == {}
