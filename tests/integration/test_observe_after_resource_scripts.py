"""The scripts of the resource types run for real, and observation agrees with what they did."""

from __future__ import annotations

import http.server
import json
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clockwork_nb.ports import Observation
from clockwork_nb.resources.registry import builtin_types
from clockwork_nb.resources.service.observe import is_process
from clockwork_nb.secrets import Sensitive, seal
from clockwork_nb.testing.steps import Ran, StepPlace

TYPES = builtin_types()


@pytest.fixture
def place(tmp_path: Path) -> StepPlace:
    root, side = tmp_path / "project", tmp_path / "side"
    root.mkdir()
    side.mkdir()
    return StepPlace(root, side)


def paths(root: Path) -> set[str]:
    return {str(p.relative_to(root)) for p in root.rglob("*")}


# --- file -------------------------------------------------------------------------------------------------------------

HOSTILE_NAMES = ["plain", "-rf", "a b/c d", "quote'\"s", "$(touch pwned)", "`id`", "*", "ü/ñ", "a\\b", "x;y&z", "%s%n"]


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_file_of_any_name_is_written_seen_and_removed(place: StepPlace, name: str) -> None:
    name = f"in/{name}"
    config = place.config("file", path=name, content="line\n$HOME `x` %s\\n\n\n", mode="0640")
    assert place.look("file", config).exists is False
    assert place.do("file.f", "create", config).code == 0
    target = place.root / name
    assert target.read_text() == "line\n$HOME `x` %s\\n\n\n"
    assert target.stat().st_mode & 0o7777 == 0o640
    assert place.drift("file", config) == {}
    assert place.do("file.f", "delete", None, config).code == 0
    assert place.look("file", config).exists is False
    assert not [p for p in paths(place.root) if "pwned" in p and p != "$(touch pwned)"]


def test_writing_twice_does_no_harm_and_leaves_nothing_behind(place: StepPlace) -> None:
    config = place.config("file", path="out/a", content="x")
    assert [place.do("file.f", "create", config).code for _ in range(2)] == [0, 0]
    assert paths(place.root) == {"out", "out/a"}
    assert (place.root / "out").stat().st_mode & 0o777 == 0o755
    assert [place.do("file.f", "delete", None, config).code for _ in range(2)] == [0, 0]
    assert paths(place.root) == {"out"}
    (place.root / "out").rmdir()
    assert place.do("file.f", "delete", None, config).code == 0


def test_secret_content_is_written_and_its_digest_stays_sensitive(place: StepPlace) -> None:
    config = place.config("file", path="d/key", content=Sensitive("hunter2"), mode="0600")
    place.do("file.f", "create", config)
    assert (place.root / "d/key").read_text() == "hunter2"
    assert isinstance(place.look("file", config).attributes["sha256"], Sensitive)
    assert isinstance(place.look("file", seal(config, b"k")).attributes["sha256"], Sensitive)
    assert place.drift("file", config) == {}
    (place.root / "d/key").write_text("hunter3")
    assert place.drift("file", config) == {"content": ("(sensitive)", "something else")}


def test_edits_outside_are_drift(place: StepPlace) -> None:
    config = place.config("file", path="d/a", content="x")
    place.do("file.f", "create", config)
    (place.root / "d/a").write_text("y")
    (place.root / "d/a").chmod(0o666)
    assert set(place.drift("file", config)) == {"content", "mode"}
    (place.root / "d/a").unlink()
    assert place.drift("file", config) == {"path": ("d/a", None)}
    (place.root / "d/a").symlink_to("/etc/hostname")
    assert place.drift("file", config) == {"path": ("d/a", "symbolic link")}
    (place.root / "d/a").unlink()
    os.mkfifo(place.root / "d/a")
    assert place.drift("file", config) == {"path": ("d/a", "special file")}
    (place.root / "d/a").unlink()
    (place.root / "d/a").mkdir()
    assert place.drift("file", config) == {"path": ("d/a", "folder")}


def test_a_link_in_the_files_place_is_replaced_and_its_target_left_alone(place: StepPlace) -> None:
    outside = place.side / "precious"
    outside.write_text("precious")
    (place.root / "d").mkdir()
    (place.root / "d/a").symlink_to(outside)
    config = place.config("file", path="d/a", content="x")
    assert place.do("file.f", "create", config).code == 0
    assert outside.read_text() == "precious" and not (place.root / "d/a").is_symlink()
    (place.root / "d/a").unlink()
    (place.root / "d/a").symlink_to(outside)
    assert place.do("file.f", "delete", None, config).code == 0
    assert outside.exists() and not (place.root / "d/a").is_symlink()


def test_a_folder_in_the_files_place_is_never_replaced_or_removed(place: StepPlace) -> None:
    (place.root / "d/a").mkdir(parents=True)
    (place.root / "d/a/precious").write_text("x")
    config = place.config("file", path="d/a", content="x")
    done = place.do("file.f", "create", config)
    assert done.code == 1 and "is a folder" in done.err
    done = place.do("file.f", "delete", None, config)
    assert done.code == 0 and "left in place" in done.out
    assert paths(place.root) == {"d", "d/a", "d/a/precious"}


@pytest.mark.parametrize("path", ["link/a", "link/deep/a"])
def test_a_folder_that_is_a_link_out_of_the_project_is_not_followed(place: StepPlace, path: str) -> None:
    (place.side / "a").write_text("precious")
    (place.root / "link").symlink_to(place.side)
    config = place.config("file", path=path, content="x")
    done = place.do("file.f", "create", config)
    assert done.code == 1 and "leads out of the project" in done.err
    assert (place.side / "a").read_text() == "precious" and not (place.side / "deep").exists()
    place.do("file.f", "delete", None, config)
    assert (place.side / "a").exists()


def test_a_folder_that_cannot_be_written_fails_with_a_message(place: StepPlace) -> None:
    (place.root / "file").write_text("x")
    done = place.do("file.f", "create", place.config("file", path="file/below", content="x"))
    assert done.code != 0 and done.err
    assert paths(place.root) == {"file"}


# --- directory --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["plain", "-p", "a b/c", "$(touch pwned)", "deep/er"])
def test_a_folder_is_made_seen_and_removed(place: StepPlace, name: str) -> None:
    config = place.config("directory", path=name, mode="0750")
    assert place.look("directory", config).exists is False
    assert [place.do("directory.d", "create", config).code for _ in range(2)] == [0, 0]
    assert place.drift("directory", config) == {}
    assert (place.root / name).stat().st_mode & 0o777 == 0o750
    assert [place.do("directory.d", "delete", None, config).code for _ in range(2)] == [0, 0]
    assert place.look("directory", config).exists is False


def test_a_folder_with_other_peoples_things_is_left_in_place(place: StepPlace) -> None:
    config = place.config("directory", path="d")
    place.do("directory.d", "create", config)
    (place.root / "d/.hidden").write_text("x")
    done = place.do("directory.d", "delete", None, config)
    assert done.code == 0 and done.out.startswith("left in place: d is not empty")
    assert paths(place.root) == {"d", "d/.hidden"}


def test_a_folder_that_is_a_link_or_a_file_is_not_touched(place: StepPlace) -> None:
    place.side.chmod(0o700)
    config = place.config("directory", path="d", mode="0777")
    (place.root / "d").symlink_to(place.side)
    done = place.do("directory.d", "create", config)
    assert done.code == 1 and place.side.stat().st_mode & 0o777 == 0o700
    assert place.drift("directory", config) == {"path": ("d", "symbolic link")}
    assert "left in place" in place.do("directory.d", "delete", None, config).out
    (place.root / "d").unlink()
    (place.root / "d").write_text("x")
    assert place.do("directory.d", "create", config).code != 0
    assert place.drift("directory", config) == {"path": ("d", "file")}
    assert "left in place" in place.do("directory.d", "delete", None, config).out


def test_another_mode_is_drift_and_an_inherited_group_bit_is_not(place: StepPlace) -> None:
    config = place.config("directory", path="d")
    place.do("directory.d", "create", config)
    (place.root / "d").chmod(0o2755)
    assert place.drift("directory", config) == {}
    (place.root / "d").chmod(0o700)
    assert place.drift("directory", config) == {"mode": ("0755", "0700")}


# --- command ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("interpreter", "script"),
    [
        ("sh", 'printf %s "$A-$B" > out'),
        ("bash", 'x=("$A" "$B"); printf %s "${x[0]}-${x[1]}" > out'),
        ("python3", "import os\nopen('out', 'w').write(os.environ['A'] + '-' + os.environ['B'])"),
    ],
)
def test_a_script_runs_with_its_environment(place: StepPlace, interpreter: str, script: str) -> None:
    secret = "hunter2 '$x\n\n"
    env = {"A": "it's $HOME", "B": Sensitive(secret)}
    done = place.do("command.c", "create", place.config("command", script=script, interpreter=interpreter, env=env))
    assert done.code == 0, done.err
    assert (place.root / "out").read_text() == f"it's $HOME-{secret}"


def test_a_command_list_is_run_without_a_shell_reading_it(place: StepPlace) -> None:
    command = ["sh", "-c", 'printf "%s|" "$@" > out', "zero", "a b", "$(id)", "*", "'", ""]
    assert place.do("command.c", "create", place.config("command", command=command)).code == 0
    assert (place.root / "out").read_text() == "a b|$(id)|*|'||"


def test_a_command_with_nothing_to_do_says_so(place: StepPlace) -> None:
    config = place.config("command", script="echo run >> log; mkdir -p in; touch in/made", creates="in/made")
    assert place.drift("command", config) == {"creates": ("in/made", None)}
    assert place.do("command.c", "create", config).out == ""
    assert place.drift("command", config) == {}
    assert place.do("command.c", "create", config).out == "already there: in/made\n"
    assert (place.root / "log").read_text() == "run\n"
    place.do("command.c", "update", config)
    assert (place.root / "log").read_text() == "run\nrun\n", "a changed input runs it again although it is there"


def test_unless_is_asked_in_the_working_folder(place: StepPlace) -> None:
    (place.root / "app").mkdir()
    config = place.config("command", script="touch here", unless="test -e here", working_dir="app")
    assert place.do("command.c", "create", config).code == 0
    assert (place.root / "app/here").exists()
    assert "not needed" in place.do("command.c", "update", config).out


def test_the_exit_code_and_last_line_of_a_script_are_its_own(place: StepPlace) -> None:
    done = place.do("command.c", "create", place.config("command", script="echo result 42; exit 7"))
    assert (done.code, done.out) == (7, "result 42\n")


def test_what_a_command_made_is_removed_but_not_what_is_in_a_folder(place: StepPlace) -> None:
    config = place.config("command", script="true", creates="out/made")
    assert place.do("command.c", "delete", None, config).code == 0
    (place.root / "out").mkdir()
    (place.root / "out/made").write_text("x")
    place.do("command.c", "delete", None, config)
    assert paths(place.root) == {"out"}
    (place.root / "out/made").mkdir()
    (place.root / "out/made/precious").write_text("x")
    assert "left in place" in place.do("command.c", "delete", None, config).out
    (place.root / "out/made/precious").unlink()
    place.do("command.c", "delete", None, config)
    assert paths(place.root) == {"out"}


# --- check ------------------------------------------------------------------------------------------------------------


class Answer(http.server.BaseHTTPRequestHandler):
    failures = 0

    def do_GET(self) -> None:
        if type(self).failures > 0:
            type(self).failures -= 1
            self.send_response(503)
        elif self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "http://127.0.0.1:1/")
        else:
            self.send_response(200)
        self.end_headers()
        self.wfile.write(b"hello world")

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[int]:
    Answer.failures = 0
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield httpd.server_address[1]
        httpd.shutdown()
        thread.join()


def check(place: StepPlace, **attributes: Any) -> Ran:
    quick = {"retries": 1, "interval": 0.01, "timeout": 2}
    return place.do("check.c", "verify", place.config("check", **{**quick, **attributes}))


def test_an_http_check_waits_for_the_right_answer(place: StepPlace, server: int) -> None:
    url = f"http://127.0.0.1:{server}/"
    assert check(place, http={"url": url}).out == "200 after 1 try\n"
    Answer.failures = 2
    assert check(place, http={"url": url}, retries=5).out == "200 after 3 tries\n"
    Answer.failures = 1
    assert check(place, http={"url": url, "expect_status": 503}).out == "503 after 1 try\n"
    assert check(place, http={"url": url, "contains": "world"}).code == 0
    missing = check(place, http={"url": url, "contains": "mars"})
    assert missing.code == 1 and "without the expected text" in missing.err
    wrong = check(place, http={"url": url, "expect_status": 404}, retries=2)
    assert wrong.code == 1 and wrong.err == f"{url} answered 200, expected 404, after 2 tries\n"


def test_a_redirect_is_an_answer_and_not_followed(place: StepPlace, server: int) -> None:
    url = f"http://127.0.0.1:{server}/moved"
    assert check(place, http={"url": url, "expect_status": 302}).code == 0
    assert "answered 302" in check(place, http={"url": url}).err


def test_nobody_answering_is_a_failure_with_the_reason(place: StepPlace) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert "no answer from" in check(place, http={"url": f"http://127.0.0.1:{port}/"}).err
    done = check(place, tcp={"port": port})
    assert done.code == 1 and f"no connection to 127.0.0.1 port {port}" in done.err
    assert "Traceback" not in done.err


def test_a_tcp_check_needs_an_open_port(place: StepPlace, server: int) -> None:
    assert check(place, tcp={"port": server}).out == f"port {server} accepts connections after 1 try\n"


def test_file_checks(place: StepPlace) -> None:
    assert check(place, file_exists="log").code == 1
    (place.root / "log").write_text("one\nready: yes\n")
    assert check(place, file_exists="log").out == "log is there after 1 try\n"
    assert check(place, file_matches={"path": "log", "pattern": "^ready: y"}).code == 0
    assert "does not match" in check(place, file_matches={"path": "log", "pattern": "^yes"}).err
    assert "cannot be read" in check(place, file_matches={"path": "nowhere", "pattern": "x"}).err
    assert check(place, file_exists=".hidden/x").code == 1


def test_a_check_is_not_observed(place: StepPlace) -> None:
    assert place.look("check", place.config("check", tcp={"port": 1})).exists is None


# --- service ----------------------------------------------------------------------------------------------------------


def own_start() -> tuple[int, str]:
    stat = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    return int(stat[19]), Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def service_state(place: StepPlace, **changes: Any) -> None:
    start, boot = own_start()
    folder = place.root / ".clockwork/services/service.web"
    folder.mkdir(parents=True, exist_ok=True)
    state = {
        "pid": os.getpid(),
        "starttime": start,
        "boot_id": boot,
        "supervisor_pid": os.getpid(),
        "supervisor_starttime": start,
        "status": "running",
        "restarts": 2,
        "spec_digest": "00",
    }
    (folder / "state.json").write_text(json.dumps({**state, **changes}))


def see(place: StepPlace, **attributes: Any) -> Observation:
    return place.look("service", place.config("service", command=["w"], **attributes), "service.web")


def test_a_service_runs_only_if_its_very_process_is_there(place: StepPlace) -> None:
    assert see(place).exists is False
    service_state(place)
    seen = see(place)
    assert (seen.exists, seen.attributes["status"], seen.detail) == (True, "running", f"running, pid {os.getpid()}")
    assert seen.attributes["restarts"] == 2
    for gone in (
        {"starttime": 1},
        {"boot_id": "other"},
        {"pid": 2**22 + 1},
        {"supervisor_starttime": 1},
        {"pid": None},
    ):
        service_state(place, **gone)
        assert see(place).attributes["status"] == "exited"
        assert see(place).attributes["pid"] is None


@pytest.mark.parametrize(
    ("said", "status"), [("stopped", "stopped"), ("failed", "failed"), ("exited", "exited"), ("backoff", "failed")]
)
def test_what_the_supervisor_says_is_what_is_seen(place: StepPlace, said: str, status: str) -> None:
    service_state(place, status=said)
    assert see(place).attributes["status"] == status


@pytest.mark.parametrize("text", ["", "{", "[]", '{"status": "great"}', '{"status": []}', "x" * (1 << 21)])
def test_a_damaged_state_file_tells_nothing(place: StepPlace, text: str) -> None:
    service_state(place)
    (place.root / ".clockwork/services/service.web/state.json").write_text(text)
    assert see(place).exists is None and "damaged" in see(place).detail


def test_a_service_that_is_to_be_stopped_need_not_have_started(place: StepPlace) -> None:
    seen = see(place, state="stopped")
    assert (seen.exists, seen.attributes) == (True, {"status": "stopped"})


def test_without_its_address_a_service_cannot_be_found(place: StepPlace) -> None:
    assert place.look("service", place.config("service", command=["w"])).exists is None


@pytest.mark.parametrize("pid", [0, 1, -1, True, "1", None, 2**40])
def test_numbers_that_are_no_process(pid: Any) -> None:
    start, boot = own_start()
    assert is_process(os.getpid(), start, boot)
    assert not is_process(pid, start, boot)
