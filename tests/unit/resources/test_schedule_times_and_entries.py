"""What a ``schedule`` accepts, what it says about the rest, and the text it becomes. Nothing is run but sh for quoting."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from clockwork_nb.forge.bundle import Bundle, BundleStep
from clockwork_nb.forge.content_flags import content_flags
from clockwork_nb.ids import step_id
from clockwork_nb.ports import Action, CompiledStep, Observation
from clockwork_nb.resources.schedule import TYPE
from clockwork_nb.resources.schedule.calendar import to_calendar
from clockwork_nb.resources.schedule.entries import backend_of, cron_block, cron_text, service_unit, timer_unit
from clockwork_nb.resources.schedule.templates import words_of
from clockwork_nb.resources.scripts import quote
from clockwork_nb.secrets import Sensitive


def config(**attributes: Any) -> dict[str, Any]:
    given: dict[str, Any] = {**attributes}
    if "on_calendar" not in given:
        given.setdefault("cron", "5 4 * * *")
    if "runbook" not in given:
        given.setdefault("command", ["true"])
    out: dict[str, Any] = TYPE.model().model_validate(given).model_dump()
    return out


def problem(**attributes: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        config(**attributes)
    assert "hunter2" not in str(caught.value)
    return str(caught.value.errors(include_input=False, include_url=False)[0]["msg"])


def step(wanted: dict[str, Any], change: Any = "create", address: str = "schedule.job") -> CompiledStep:
    spec = TYPE.actions(change, wanted, None)[-1]
    return TYPE.compile(Action(step_id(address, spec.name), spec.name, address, spec.args, change=change))


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("* * * * *", "* * * * *"),
        ("  */15\t0-23/2  1,15 JAN-mar Mon,wed-FRI ", "*/15 0-23/2 1,15 jan-mar mon,wed-fri"),
        ("@daily", "@daily"),
        ("@Reboot", "@reboot"),
        ("0 0 29 2 *", "0 0 29 2 *"),
        ("0 0 31 2 1", "0 0 31 2 1"),
        ("0 0 * * 7", "0 0 * * 7"),
        ("59 23 31 12 0", "59 23 31 12 0"),
    ],
)
def test_times_are_accepted_and_written_one_way(text: str, plain: str) -> None:
    assert config(cron=text)["cron"] == plain


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "has five fields"),
        ("* * * *", "and this has 4"),
        ("* * * * * *", "and this has 6"),
        ("60 * * * *", 'the minute "60" is not between 0 and 59'),
        ("* 24 * * *", 'the hour "24" is not between 0 and 23'),
        ("* * 0 * *", 'the day of the month "0"'),
        ("* * * 13 *", 'the month "13"'),
        ("* * * * 8", 'the day of the week "8"'),
        ("* * * * xyz", "or a name (sun … sat)"),
        ("* * * mon *", "or a name (jan … dec)"),
        ("5-1 * * * *", "ends before it begins"),
        ("*/0 * * * *", "a step that is not between"),
        ("*/99 * * * *", "a step that is not between"),
        ("5/10 * * * *", "write */10 or 5-59/10"),
        ("*-5 * * * *", "mixes a star and a range"),
        ("1,,2 * * * *", "is no number, range"),
        ("-1 * * * *", "is no number, range"),
        ("1~5 * * * *", "is no number, range"),
        ("H * * * *", "is no number from 0 to 59"),
        ("\u0661 * * * *", "is no number"),
        ("0 0 30 2 *", "this never comes"),
        ("0 0 31 4,6,9,11 *", "this never comes"),
        ("@sometimes", "the names are @yearly"),
        ("* * * * *\n* * * * * id", "one line"),
        ("* * * * * id", "and this has 6"),
    ],
)
def test_other_times_are_refused_with_the_field_that_is_wrong(text: str, why: str) -> None:
    assert why in problem(cron=text)


@pytest.mark.parametrize("text", ["", "   ", "Mon\n03:30", "$(id)", "a;b", "x" * 300, "%i"])
def test_calendar_events_are_plain_text(text: str) -> None:
    assert "a calendar event is" in problem(on_calendar=text)


@pytest.mark.parametrize(
    "text",
    [
        "daily", "Hourly UTC", "bi-annually", "Mon", "Mon..Fri 03:30", "mon-fri 3:30:59.5", "Sat,Sunday 12:00", "Mon, 1:00",
        "*-*-* *:00/15", "*-12~1..3 0:0", "2030-12-31 23:59:59 Europe/Berlin", "12-24,31 8..18/2:00", "70-1-1", "@1893456000",
        "03:30 -03", "*:*:*", "Wed *-*~7/1 18:00",
    ],
)  # fmt: skip
def test_calendar_events_of_every_form_are_taken(text: str) -> None:
    assert config(on_calendar=f" {text} ")["on_calendar"] == text


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("Mun 03:30", 'there is no day "Mun"'),
        ("dayly", 'there is no day "dayly"; days are Mon … Sun'),
        ("daily 03:30", 'there is no day "daily"'),
        ("Fri..Mon 03:30", "the earlier day of the week"),
        ("Mon..Wed..Fri", "are no range"),
        ("Mon..", 'there is no day ""'),
        ("Mon Tue", '"Tue" is no date'),
        ("03:30 Mon", '"Mon" is too much'),
        ("03:30 12-24", '"12-24" is too much'),
        ("24:00", 'the hour "24" is not between 0 and 23'),
        ("3:60", 'the minute "60" is not between 0 and 59'),
        ("3:30:60", 'the second "60" is not'),
        ("3.30", "is no date (2030-12-31"),
        ("3:3.5", 'the minute "3.5" is no number'),
        ("12", '"12" is no date (2030-12-31, *-*-01, 12-24) and no time (03:30)'),
        ("1:2:3:4", "is no time; one is 03:30"),
        ("*-13-01", 'the month "13" is not between 1 and 12'),
        ("1969-01-01", 'the year "1969"'),
        ("*-*-32", 'the day of the month "32"'),
        ("*-*~29", 'the day from the end of the month "29"'),
        ("2030~12-01", "is no date"),
        ("*-*-1,", 'the day of the month "" is no number'),
        ("*/5:00", 'the hour "*/5" is no number, range (1..5), list (1,3) or repetition (0/15)'),
        ("*:0/60", 'the minute "0/60" is repeated beyond 0 to 59'),
        ("*:0/0", "repeated after nothing"),
        ("5..3:00", "ends before it begins"),
        ("2030-01-01T03:30", "T03"),
        ("@x", "since 1970"),
        ("@7258118400", "since 1970"),
        ("@1 03:30", "cannot follow"),
        ("03:30  UTC", "one space"),
        ("*-*-* 3:30 " + "1" * 50, "is too much"),
    ],
)
def test_a_mistyped_calendar_event_is_refused_with_what_is_wrong(text: str, why: str) -> None:
    assert why in problem(on_calendar=text)


def test_what_does_not_go_together_is_refused() -> None:
    assert 'exactly one of "cron" and' in problem(cron="@daily", on_calendar="daily")
    assert 'exactly one of "command"' in problem(runbook="a.ipynb", command=["x"])
    assert "is for systemd" in problem(on_calendar="daily", backend="cron")
    assert '"@reboot" is for cron' in problem(cron="@reboot", backend="systemd")
    assert "ends in .ipynb" in problem(runbook="a.py")
    assert "runs in the project folder" in problem(runbook="a.ipynb", working_dir="x")
    assert "is sensitive" in problem(env={"A": Sensitive("hunter2")})
    assert "line break" in problem(env={"A": "x\ny"})
    assert "one line" in problem(command=["echo", "a\nb"])
    assert "cannot begin with" in problem(command=["-x"]) and "cannot begin with" in problem(command=["A=b"])
    assert "put it into a script" in problem(command=["echo", "x" * 1000])
    assert config(command=["echo", "x" * 1000], backend="systemd")
    assert "backslash" in problem(log="a/b\\c", on_calendar="daily")
    assert "a name is" in problem(name="a/b")


def test_auto_takes_what_the_time_is_written_for() -> None:
    assert backend_of(config()) == "cron" and backend_of(config(on_calendar="daily")) == "systemd"
    assert backend_of(config(backend="systemd")) == "systemd"
    assert TYPE.replaces(config(), config(backend="cron")) == frozenset()
    assert TYPE.replaces(config(), config(backend="systemd")) == {"backend"}
    assert TYPE.replaces(config(), config(on_calendar="daily")) == {"on_calendar"}
    assert TYPE.replaces(config(), config(name="x")) == {"name"}


def unescape(text: str, *, double: bool) -> str:
    """Return what cron hands to sh; *double*: one that also takes two backslashes for one. crontab(5), Vixie and ISC."""
    out, escaped = "", False
    for c in text:
        if escaped:
            out = out[:-1] + c if c == "%" or (double and c == "\\") else out + c
            escaped = False
            continue
        escaped = c == "\\"
        assert c != "%", "an end of line in the middle of the command"
        out += c
    return out


WORDS = st.lists(st.text(st.characters(blacklist_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=12), max_size=4)


@settings(deadline=None, max_examples=60)
@given(words=WORDS, odd=st.lists(st.text("\\%'\"$ `", max_size=8), max_size=3))
def test_every_cron_gives_sh_the_same_words(words: list[str], odd: list[str]) -> None:
    words = [*words, *odd]
    text = cron_text(" ".join(quote(w) for w in ["printf", "%s|", *words, "end"]))
    assert "\n" not in text
    commands = {unescape(text, double=True), unescape(text, double=False)}
    assert len(commands) == 1
    done = subprocess.run(["/bin/sh", "-c", commands.pop()], capture_output=True, check=True)
    assert done.stdout == "".join(f"{w}|" for w in [*words, "end"]).encode()


def test_the_lines_of_a_crontab() -> None:
    wanted = config(command=["./run", "50%", "a b"], env={"A": "it's"}, log="out/x.log", working_dir="sub")
    assert cron_block(wanted, wanted["command"], "schedule.job", "/home/me/a'b%") == (
        "# >>> clockwork schedule.job of /home/me/a'b% >>>\n"
        "5 4 * * * cd '/home/me/a'\"'\"'b\\%/sub' && A='it'\"'\"'s' ./run 50\\% 'a b' >> '/home/me/a'\"'\"'b\\%/out/x.log' 2>&1\n"
        "# <<< clockwork schedule.job of /home/me/a'b% <<<\n"
    )
    resting = cron_block({**wanted, "enabled": False}, wanted["command"], "n", "/p")
    assert resting.splitlines()[1].startswith("# resting: 5 4 * * * cd '/p/sub' && ")


def test_the_units_of_a_timer() -> None:
    wanted = config(command=["run", '5% "x"', "$HOME \\"], env={"A": 'b"%$'}, log="out/5%.log", on_calendar="daily")
    assert service_unit(wanted, wanted["command"], "n").splitlines()[3:] == [
        "",
        "[Service]",
        "Type=oneshot",
        "WorkingDirectory=@PROJECT@",
        'Environment="A=b\\"%%$"',
        'ExecStart=/usr/bin/env -- "run" "5%% \\"x\\"" "$$HOME \\\\"',
        "StandardOutput=append:@PROJECT@/out/5%%.log",
        "StandardError=append:@PROJECT@/out/5%%.log",
    ]
    assert "OnCalendar=daily\nPersistent=true\n" in timer_unit(wanted, "n")


@pytest.mark.parametrize(
    ("cron", "events"),
    [
        ("@hourly", ("*-*-* *:0:00",)),
        ("@weekly", ("Sun *-*-* 0:0:00",)),
        ("*/20 8-10 * * *", ("*-*-* 8,9,10:0,20,40:00",)),
        ("0 0 13 * fri", ("*-*-13 0:0:00", "Fri *-*-* 0:0:00")),
        ("0 0 1 1,7 *", ("*-1,7-1 0:0:00",)),
        ("0 0 * * 7,0", ("Sun *-*-* 0:0:00",)),
        ("0 0 * * */2", ("Sun,Tue,Thu,Sat *-*-* 0:0:00",)),
        ("0 0 */10 * mon", ("Mon *-*-1,11,21,31 0:0:00",)),
    ],
)
def test_a_time_of_cron_in_the_words_of_systemd(cron: str, events: tuple[str, ...]) -> None:
    assert to_calendar(cron) == events


def test_a_runbook_is_run_by_the_clockwork_that_runs_here() -> None:
    made = step(config(runbook="nb/-x.ipynb"))
    words = made.vars["CW_COMMAND"].split(" ")
    assert words[0].startswith("/") and words[-3:] == ["runbook", "run", "nb/-x.ipynb"]
    assert words_of(config(runbook="-x.ipynb"), ("cw",)) == ("cw", "runbook", "run", "./-x.ipynb")
    assert made.vars["CW_RUNBOOK"] == "nb/-x.ipynb"


def test_a_step_is_of_the_host_and_holds_no_value_in_its_script() -> None:
    made = step(config(command=["echo", "$(touch pwned)"], log="a/$(id)"))
    assert (made.cls, made.write, made.network, made.environment) == ("host", (), False, ())
    assert b"pwned" not in made.artifacts[0].content and b"$(id)" not in made.artifacts[0].content
    units = step(config(command=["echo", "$(touch pwned)"], backend="systemd"))
    assert "XDG_CONFIG_HOME" in units.environment and b"pwned" not in units.artifacts[0].content
    assert {a.lang for a in units.artifacts} == {"sh", "data"}


def test_the_name_is_the_address_unless_given() -> None:
    assert step(config(), address='schedule.job["a/b"]').vars["CW_NAME"].startswith("schedule.job-a-b-")
    assert step(config(name="nightly")).vars["CW_NAME"] == "nightly"
    assert TYPE.claims(config(name="nightly")) == ("schedule:nightly",) and TYPE.claims(config()) == ()


def test_drift_and_risks() -> None:
    wanted = config()
    assert TYPE.drift(wanted, Observation(None)) == {}
    assert TYPE.drift(wanted, Observation(False)) == {"entry": ("written", None)}
    assert TYPE.drift(wanted, Observation(True, {"as_written": True})) == {}
    assert TYPE.drift(wanted, Observation(True, {"as_written": False})) == {"entry": ("as written", "changed")}
    assert TYPE.drift(wanted, Observation(True, {"as_written": True, "timer": False})) == {"enabled": (True, False)}
    assert TYPE.risks("create", wanted, None, None) == ("schedule",) and TYPE.risks("noop", wanted, wanted, None) == ()
    assert TYPE.risks("delete", None, wanted, None) == ("destroy", "schedule")
    assert [s.name for s in TYPE.actions("replace", wanted, wanted)] == ["remove_schedule", "ensure_schedule"]


@pytest.mark.parametrize("backend", ["cron", "systemd"])
def test_there_is_nothing_in_the_scripts_that_a_person_is_warned_of(backend: str) -> None:
    wanted = config(backend=backend, log="out/x.log")
    for change in ("create", "delete"):
        spec = TYPE.actions(change, None if change == "delete" else wanted, wanted)[0]
        made = TYPE.compile(Action("s", spec.name, "schedule.job", spec.args))
        one = BundleStep("s", spec.name, "schedule.job", made.cmd, made.vars, data=made.data, cls=made.cls)
        assert content_flags(Bundle(made.artifacts, (one,), {})) == []
