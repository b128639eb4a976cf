"""The ``schedule`` type against the real crontab, cron and systemd-analyze, with a spool and units of the test's own."""

from __future__ import annotations

import ctypes
import grp
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clockwork_nb.forge.bundle import Bundle, BundleStep
from clockwork_nb.forge.launch import Launcher
from clockwork_nb.forge.logs import LogFolder
from clockwork_nb.forge.runtimes import find_runtime
from clockwork_nb.forge.step import Workbench
from clockwork_nb.ids import step_id
from clockwork_nb.ports import Action, ChangeKind, Observation, ObserveContext
from clockwork_nb.resources.schedule import TYPE
from clockwork_nb.secrets import Redactor

if shutil.which("crontab") is None:
    pytest.skip("crontab is not installed (cron)", allow_module_level=True)
if os.geteuid() != 0:
    pytest.skip("a spool of the test's own needs root", allow_module_level=True)

T = TypeVar("T")
SPOOL = "/var/spool/cron/crontabs"
_NEW_MOUNTS, _PRIVATE, _BIND = 0x00020000, 1 << 18 | 1 << 14, 1 << 12
_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int) -> None:
    if result:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def mount(source: Path | str, target: str, flags: int = _BIND, kind: bytes | None = None) -> None:
    """Mount in the calling thread's own view of the file system."""
    _checked(_libc.mount(os.fsencode(source), os.fsencode(target), kind, flags, None))


@dataclass
class Machine:
    """One thread with mounts of its own: what is started from it has a spool that nobody else sees."""

    folder: Path
    thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1))

    @property
    def spool(self) -> Path:
        return self.folder / "spool"

    def start(self) -> None:
        self.spool.mkdir()
        os.chown(self.spool, 0, grp.getgrnam("crontab").gr_gid)
        self.spool.chmod(0o1730)
        self.call(self._unshare)

    def _unshare(self) -> None:
        _checked(_libc.unshare(_NEW_MOUNTS))
        mount("none", "/", _PRIVATE)
        mount(self.spool, SPOOL)

    def call(self, what: Callable[[], T]) -> T:
        return self.thread.submit(what).result(timeout=100)

    def crontab(self) -> bytes:
        """Return the user's crontab without the three lines that crontab puts on top."""
        path = self.spool / "root"
        text = path.read_bytes() if path.exists() else b""
        return text.split(b"\n", 3)[3] if text.startswith(b"# DO NOT EDIT") else text

    def put(self, text: bytes) -> None:
        """Write the user's crontab as somebody with an editor and no crontab command would."""
        (self.spool / "root").write_bytes(text)


@dataclass
class Site:
    """A project in which actions are carried out as an apply does it."""

    root: Path
    machine: Machine
    launcher: Launcher
    home: Path

    def config(self, **attributes: Any) -> dict[str, Any]:
        given: dict[str, Any] = {"command": ["true"], **attributes}
        if "on_calendar" not in given:
            given.setdefault("cron", "5 4 * * *")
        out: dict[str, Any] = TYPE.model().model_validate(given).model_dump()
        return out

    def do(
        self,
        change: ChangeKind,
        config: Mapping[str, Any] | None,
        recorded: Mapping[str, Any] | None = None,
        address: str = "schedule.job",
    ) -> str:
        """Carry out *change*; return what the last step printed last, or its output when it failed."""
        note = ""
        for spec in TYPE.actions(change, config, recorded):
            made = TYPE.compile(Action(step_id(address, spec.name), spec.name, address, spec.args, change=change))
            step = BundleStep(
                step_id(address, spec.name), spec.name, address, made.cmd, {**self.about_the_user(), **made.vars},
                made.secret_vars, made.data, made.write, made.network, made.cls, made.cwd,
                interpreter=find_runtime(made.cmd[0]),
            )  # fmt: skip
            log = LogFolder(self.root / ".clockwork" / "logs").step(address, spec.name, Redactor())
            with Workbench(
                Bundle(made.artifacts, (step,), made.secrets), root=self.root, workspace=self.root / ".clockwork",
                launcher=self.launcher, redactor=Redactor(), mark="job:1",
            ) as bench:  # fmt: skip
                ended = bench.run(step, timeout_s=60, key="key", log=log, removes=False, cancel=threading.Event())
            if ended.status != "ok":
                return f"FAILED {ended.note}\n{ended.tail}"
            note = ended.note
        return note

    def about_the_user(self) -> dict[str, str]:
        return {"HOME": str(self.home), "XDG_CONFIG_HOME": str(self.home / "config")}

    def look(self, config: Mapping[str, Any], address: str = "schedule.job") -> Observation:
        context = ObserveContext(self.root, self.root / ".clockwork", address)
        return self.machine.call(lambda: TYPE.observe(config, None, context))

    def drift(self, config: Mapping[str, Any]) -> dict[str, Any]:
        return dict(TYPE.drift(config, self.look(config)))

    @property
    def units(self) -> Path:
        return self.home / "config" / "systemd" / "user"


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    made = Machine(tmp_path_factory.mktemp("machine"))
    try:
        made.start()
    except PermissionError:
        pytest.skip("this machine allows no mounts of the test's own, so no spool either")
    yield made
    made.thread.shutdown()


@pytest.fixture(scope="module")
def launcher(machine: Machine) -> Iterator[Launcher]:
    running = Launcher()
    machine.call(running.start)
    yield running
    running.shutdown()


@pytest.fixture
def site(tmp_path: Path, machine: Machine, launcher: Launcher, monkeypatch: pytest.MonkeyPatch) -> Site:
    (machine.spool / "root").unlink(missing_ok=True)
    root = tmp_path / "a 100% 'project'"
    (root / ".clockwork").mkdir(parents=True)
    (tmp_path / "home").mkdir()
    made = Site(root.resolve(), machine, launcher, tmp_path / "home")
    for name, value in made.about_the_user().items():
        monkeypatch.setenv(name, value)
    return made


# --- crontab ----------------------------------------------------------------------------------------------------------


def test_a_schedule_is_written_seen_changed_and_removed(site: Site) -> None:
    config = site.config(command=["echo", "hi"], log="out/job.log")
    assert site.look(config).exists is False
    assert site.do("create", config).startswith("written")
    seen = site.look(config)
    assert seen.exists and seen.attributes["as_written"] and site.drift(config) == {}
    lines = site.machine.crontab().decode().splitlines()
    assert lines[0] == f"# >>> clockwork schedule.job of {site.root} >>>" and len(lines) == 3
    assert lines[1].startswith("5 4 * * * cd '") and "100\\%" in lines[1]
    other = {**config, "cron": "@daily", "enabled": False}
    assert site.drift(other) == {"entry": ("as written", "changed")}
    assert site.do("update", other, config) == "written, resting"
    assert site.machine.crontab().decode().splitlines()[1].startswith("# resting: @daily cd ")
    assert "resting" in site.look(other).detail
    assert site.do("replace", config, other).startswith("written")
    assert site.do("delete", None, config) == "removed from the crontab"
    assert site.do("delete", None, config) == "removed from the crontab"
    assert site.machine.crontab() == b"" and site.look(config).exists is False


OTHERS = [
    b"# a comment\nMAILTO=me@example.org\nPATH=/usr/bin:/bin\n0 1 * * * true 50\\% # x\n",
    b"0 0 * * * true\r\n# windows\r\nA=b\r\n0 1 * * * printf 'a\\r\\b'\x08\r\n",
    b"\n\n\t \n0 1 * * * true   \n\n",
    "# ünï\n".encode() + b"# \xff\xfe not UTF-8\n",
    b"# >>> clockwork schedule.other of /elsewhere >>>\n0 1 * * * true\n# <<< clockwork schedule.other of /elsewhere <<<\n",
    b"# >>> clockwork schedule.job of /elsewhere >>>\n0 1 * * * true\n",
]


@pytest.mark.parametrize("others", OTHERS)
def test_other_lines_stay_as_they_are_byte_for_byte(site: Site, others: bytes) -> None:
    site.machine.put(others)
    config = site.config()
    assert not site.do("create", config).startswith("FAILED")
    written = site.machine.crontab()
    assert written.startswith(others) and written.count(b"\n") == others.count(b"\n") + 3
    site.machine.put(written + b"0 2 * * * false\n")
    assert not site.do("update", {**config, "cron": "@hourly"}, config).startswith("FAILED")
    changed = site.machine.crontab()
    assert changed.startswith(others) and changed.endswith(b"<<<\n0 2 * * * false\n") and b"@hourly" in changed
    site.do("delete", None, config)
    assert site.machine.crontab() == others + b"0 2 * * * false\n"


def test_a_last_line_without_an_end_gets_one(site: Site) -> None:
    site.machine.put(b"0 1 * * * true")
    config = site.config()
    site.do("create", config)
    assert site.machine.crontab().startswith(b"0 1 * * * true\n# >>> clockwork")
    site.do("delete", None, config)
    assert site.machine.crontab() == b"0 1 * * * true\n"


HEADER = b"# DO NOT EDIT THIS FILE - edit the master and reinstall.\n# (x installed on y)\n# (Cron version -- z)\n"


def test_one_marker_without_the_other_is_left_to_a_person(site: Site) -> None:
    config = site.config()
    site.do("create", config)
    begin, line, end = site.machine.crontab().splitlines(keepends=True)
    for broken in (begin + line + b"0 1 * * * mine\n", line + end, end + line + begin, begin + begin + line + end):
        site.machine.put(broken)
        for said in (site.do("update", config, None), site.do("delete", None, config)):
            assert "Repair or remove them with crontab -e; nothing was changed" in said
        assert site.machine.crontab() == broken
    site.machine.put(HEADER + (begin + line + end).replace(b"\n", b"\r\n"))
    assert site.drift(config) == {"entry": ("as written", "changed")}
    assert not site.do("update", config, None).startswith("FAILED")
    assert site.machine.crontab() == begin + line + end
    site.machine.put((begin + line + end) * 2)
    assert site.drift(config) == {"entry": ("as written", "changed")}
    site.do("update", config, None)
    assert site.machine.crontab() == begin + line + end


def test_what_was_edited_or_taken_out_is_drift(site: Site) -> None:
    config = site.config()
    site.do("create", config)
    site.machine.put(site.machine.crontab().replace(b"5 4", b"6 4"))
    assert site.drift(config) == {"entry": ("as written", "changed")}
    assert "changed" in site.look(config).detail
    site.machine.put(b"")
    assert site.drift(config) == {"entry": ("written", None)}


def test_a_crontab_that_cron_would_refuse_is_not_installed(site: Site) -> None:
    before = b"this is no line of a crontab\n"
    site.machine.put(before)
    said = site.do("create", site.config())
    assert said.startswith("FAILED") and "nothing was changed" in said and "errors in crontab file" in said
    assert (site.machine.spool / "root").read_bytes() == before


def test_another_workspaces_schedule_of_that_name_is_not_taken(site: Site) -> None:
    config = site.config()
    site.do("create", config)
    assert not site.do("create", config).startswith("FAILED")  # the same again
    said = site.do("create", site.config(cron="@daily"))
    assert "another schedule under the name schedule.job" in said
    named = site.config(cron="@daily", name="mine")
    assert not site.do("create", named).startswith("FAILED")
    assert site.drift(config) == {} and site.drift(named) == {}


def test_many_at_once_lose_nothing(site: Site) -> None:
    site.machine.put(b"0 1 * * * true\n")
    configs = {f"schedule.n{n}": site.config(cron=f"{n} * * * *") for n in range(8)}
    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(lambda a: site.do("create", configs[a], address=a), configs))
    assert all(s.startswith("written") for s in said), said
    assert all(not TYPE.drift(c, site.look(c, a)) for a, c in configs.items())
    assert site.machine.crontab().startswith(b"0 1 * * * true\n") and site.machine.crontab().count(b"\n") == 25
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda a: site.do("delete", None, configs[a], address=a), configs))
    assert site.machine.crontab() == b"0 1 * * * true\n"


def test_a_working_directory_that_is_missing_is_told(site: Site) -> None:
    assert "the working directory sub is not there" in site.do("create", site.config(working_dir="sub"))
    assert site.machine.crontab() == b""


HOSTILE = [
    "100%",
    "\\%",
    "\\\\%%\\",
    "$(touch pwned)",
    "`id`",
    "it's; rm -rf /",
    '"',
    "a b",
    "*",
    "",
    "ü",
    "#x",
    "~",
    "\\n",
]


def test_every_word_arrives_as_it_was_written(site: Site) -> None:
    """What cron would hand to sh is run by sh: percent signs become what crontab(5) says."""
    (site.root / "show").write_text('#!/bin/sh\nfor word in "$@" "$ODD"; do printf "%s|" "$word"; done\n')
    (site.root / "show").chmod(0o755)
    config = site.config(command=["./show", *HOSTILE], env={"ODD": "a%\\%'b"}, log="out/it's 5%.log")
    assert site.do("create", config).startswith("written")
    assert site.drift(config) == {}
    command = site.machine.crontab().decode().splitlines()[1].split(" ", 5)[5]
    assert "\\\\" not in command  # crons differ in what they make of it
    unescaped = command.replace("\\%", "%")
    subprocess.run(["/bin/sh", "-c", unescaped], check=True, timeout=20)
    assert (site.root / "out" / "it's 5%.log").read_text() == "|".join([*HOSTILE, "a%\\%'b"]) + "|"
    assert not list(site.root.rglob("pwned"))


@given(words=st.lists(st.text(st.characters(blacklist_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=12), max_size=4))
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_written_is_what_is_looked_for(site: Site, words: list[str]) -> None:
    config = site.config(command=["echo", *words])
    site.do("update", config, None)
    assert site.drift(config) == {}


def test_without_a_running_cron_it_is_said_and_with_one_too(site: Site) -> None:
    config = site.config()
    if not _cron_is_there():
        inactive = "written but not active: no scheduler is running (cron is not started)"
        assert site.do("create", config) == inactive
        assert inactive in site.look(config).detail and site.look(config).attributes["scheduler"] is False
    cron = site.machine.call(_start_cron)
    try:
        _wait(_cron_is_there)
        assert site.do("update", config, None) == "written, cron runs"
        assert site.look(config).attributes["scheduler"] is True
    finally:
        cron.kill()
        cron.wait()


def _start_cron() -> subprocess.Popen[bytes]:
    """Start cron so that it sees our spool and none of the machine's own jobs."""
    mount("tmpfs", "/run", 0, b"tmpfs")
    mount("tmpfs", "/etc/cron.d", 0, b"tmpfs")
    mount("/dev/null", "/etc/crontab")
    return subprocess.Popen(["/usr/sbin/cron", "-f"], stdin=subprocess.DEVNULL)


def _cron_is_there() -> bool:
    for place in Path("/proc").glob("[0-9]*/comm"):
        try:
            if place.read_text().strip() == "cron":
                return True
        except OSError:
            continue
    return False


def _wait(for_what: Callable[[], bool], tries: int = 400) -> None:
    for _ in range(tries):
        if for_what():
            return
        time.sleep(0.25)
    raise AssertionError("it did not happen")


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_real_cron_runs_it(site: Site) -> None:
    (site.root / "show").write_text('#!/bin/sh\nfor word in "$@" "$ODD"; do printf "%s|" "$word"; done\n')
    (site.root / "show").chmod(0o755)
    config = site.config(cron="* * * * *", command=["./show", *HOSTILE], env={"ODD": "%\\%'"}, log="out/it's 5%.log")
    log = site.root / "out" / "it's 5%.log"
    assert site.do("create", config).startswith("written")
    cron = site.machine.call(_start_cron)
    try:
        _wait(lambda: log.exists() and log.stat().st_size > 0, tries=600)
    finally:
        cron.kill()
        cron.wait()
    assert log.read_text().startswith("|".join([*HOSTILE, "%\\%'"]) + "|")
    assert not list(site.root.rglob("pwned"))


# --- systemd ----------------------------------------------------------------------------------------------------------


def test_units_are_written_seen_changed_and_removed(site: Site) -> None:
    config = site.config(on_calendar="Mon..Fri 03:30", command=["echo", "a b", "50%", "$HOME", "\\"], log="out/x.log")
    assert site.look(config).exists is False
    inactive = "written but not active: no scheduler is running (no systemd of this user)"
    if not Path("/run/systemd/system").is_dir():
        assert site.do("create", config) == inactive
        assert inactive in site.look(config).detail
    else:
        assert site.do("create", config).startswith("written")
    names = sorted(os.listdir(site.units))
    assert [n.rpartition(".")[2] for n in names] == ["service", "timer"] and names[0].startswith(
        "clockwork-schedule.job-"
    )
    service = (site.units / names[0]).read_text()
    assert 'ExecStart=/usr/bin/env -- "echo" "a b" "50%%" "$$HOME" "\\\\"' in service
    assert f"WorkingDirectory={str(site.root).replace('%', '%%')}\n" in service
    assert site.drift(config) == {} and site.machine.crontab() == b""
    (site.units / names[1]).write_text("[Timer]\n")
    assert site.drift(config) == {"entry": ("as written", "changed")}
    assert "another schedule" in site.do("create", config)
    site.do("update", {**config, "enabled": False}, None)
    assert site.drift(config | {"enabled": False}) == {}
    (site.units / names[0]).unlink()
    assert site.drift(config) == {"entry": ("as written", "changed")}
    site.do("delete", None, config)
    assert os.listdir(site.units) == [] and site.look(config).exists is False


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed (systemd)")
def test_a_time_that_systemd_does_not_know_is_refused_before_anything_is_written(site: Site) -> None:
    said = site.do("create", site.config(on_calendar="03:30 Mars/Olympus"))
    assert said.startswith("FAILED") and 'does not understand the time "03:30 Mars/Olympus"' in said
    assert not site.units.exists() or os.listdir(site.units) == []


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed (systemd)")
@pytest.mark.parametrize(
    "cron",
    ["* * * * *", "*/7 1-5,9 * * *", "0 0 1 jan *", "30 3 * * mon-fri", "5 5 13 * fri", "@weekly", "0 0 */2 * 7"],
)
def test_times_of_cron_become_times_that_systemd_knows(site: Site, cron: str) -> None:
    config = site.config(cron=cron, backend="systemd", command=["/bin/echo", "%i", "${X}", ";", "a;b", "'"])
    assert site.do("create", config).startswith("written")
    assert site.drift(config) == {}


def test_moving_from_cron_to_systemd_leaves_nothing_behind(site: Site) -> None:
    config = site.config()
    site.do("create", config)
    moved = {**config, "backend": "systemd"}
    assert TYPE.replaces(config, moved) == {"backend"}
    site.do("replace", moved, config)
    assert site.machine.crontab() == b"" and site.drift(moved) == {}
    assert TYPE.replaces(config, site.config(backend="cron")) == frozenset()
