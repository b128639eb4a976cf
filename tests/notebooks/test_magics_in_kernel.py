"""The magics in a real kernel, played by a front end without a browser: clicks, typing, Stop, restarts."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

pytestmark = pytest.mark.notebook

FILES = """%%cw web
directory "out" { path = "out" }
file "hello" {
  path    = "${directory.out.path}/hello.txt"
  content = "hello\\n"
}
output "where" { value = file.hello.path }
"""
SLOW = """%%cw slow
directory "out" { path = "out" }
command "first" {
  script  = "echo one > out/one.txt"
  creates = "${directory.out.path}/one.txt"
}
command "second" {
  script     = "sleep 60; echo two > out/two.txt"
  creates    = "out/two.txt"
  depends_on = [command.first]
}
"""


def load(front_end: Any, *cells: str) -> None:
    front_end.ok("%load_ext clockwork_nb")
    for number, cell in enumerate(cells):
        front_end.ok(cell, cell_id=f"cell-{number}")


def wait_for_question(front_end: Any, cell: Any) -> None:
    """Wait until the panel is there, and say what a page says when it has drawn the plan."""
    front_end.wait(lambda: front_end.widget(description="Approve") or cell.done, "the panel")
    assert not cell.done, cell.text
    view = front_end.widget(_model_module="anywidget")
    state = front_end.widgets[view]
    content = {"type": "rendered", "plan": state["plan"], "bundle": state["bundle"]}
    front_end.send_comm(view, {"method": "custom", "content": content})
    button = front_end.widget(description="Approve")
    front_end.wait(lambda: front_end.widgets[button].get("disabled") is False, "the Approve button")


def click(front_end: Any, description: str, reason: str = "") -> None:
    if reason:
        field = front_end.widget(description="Reason")
        front_end.send_comm(field, {"method": "update", "state": {"value": reason}, "buffer_paths": []})
    button = front_end.widget(description=description)
    front_end.send_comm(button, {"method": "custom", "content": {"event": "click"}})


def clockwork(front_end: Any, *argv: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in another process, as from a terminal."""
    return subprocess.run(
        [sys.executable, "-m", "clockwork_nb.cli", *argv],
        env=front_end.env, cwd=front_end.folder, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


# --- loading ----------------------------------------------------------------------------------------------------------


def test_loading_says_one_line_and_twice_is_harmless(front_end: Any) -> None:
    cell = front_end.ok("%load_ext clockwork_nb")
    assert cell.streams.count("\n") == 1
    assert "Clockwork NB 0.1.0 · workspace demo · confinement " in cell.streams
    assert "engine" not in cell.streams, "which one is here was not asked"
    front_end.ok(FILES)
    front_end.ok("%load_ext clockwork_nb")
    assert "file.hello" in front_end.ok("%cw_plan").text
    front_end.ok("%unload_ext clockwork_nb")
    assert "not found" in front_end.run("%cw_plan").text
    front_end.ok("%load_ext clockwork_nb")
    assert "no cell has declared anything yet" in front_end.run("%cw_plan").error_text


def test_loading_in_a_running_kernel_is_cheap(front_end: Any) -> None:
    front_end.ok("import time, clockwork_nb; before = time.process_time()")
    front_end.ok("%load_ext clockwork_nb")
    spent = float(front_end.ok("print(time.process_time() - before)").streams)
    assert spent < 0.3  # the gate is 0.15 s of CPU on an idle machine; shared ones get room


# --- cells ------------------------------------------------------------------------------------------------------------


def test_results_carry_text_html_and_a_vendor_document(front_end: Any) -> None:
    load(front_end, FILES)
    cell = front_end.ok("%cw_plan")
    bundle = cell.outputs[-1]["data"]
    assert set(bundle) == {"text/plain", "text/html", "application/vnd.clockwork.plan+json"}
    assert bundle["application/vnd.clockwork.plan+json"]["schema"] == "clockwork.plan.v1"
    assert front_end.ok("p = %cw_plan\np.value.has_changes").text.strip() == "True"
    assert not [o for o in front_end.ok("%cw_plan;").outputs if "data" in o]


def test_hostile_text_is_escaped(front_end: Any) -> None:
    load(front_end)
    cell = front_end.ok('%%cw\noutput "x" { value = "<script>alert(1)</script>$x$" }\n')
    plan = front_end.ok("%cw_plan")
    assert "<script>" not in cell.html + plan.html
    assert "&lt;script&gt;" in plan.html


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (
            '%%cw web\nservice "x" {\n  command = ["sleep", "9"]\n  prot = 1\n}',
            ["cell web, line 3, column 3", "did you mean", "^"],
        ),
        ("%%cw web\nfile {", ["cell web, line 1", "error"]),
        ("%cw_plan --tagret x", ["there is no '--tagret' here; did you mean '--target'?", "E_INVALID_INPUT_SCHEMA"]),
        ("%cw_plan", ["no cell has declared anything yet"]),
        ("%cw_apply --parallelism 0", ["--parallelism"]),
        ("%cw_status", ["this notebook has no job yet"]),
        ("%cw_status job_nothing", ["job_nothing"]),
        ("%cw_verify_pack nothing.zip", ["nothing.zip"]),
        ("%cw_load nowhere", ["nowhere"]),
        ("%cw_workspace ../x", ["../x"]),
        ("%%cw web --write ../x.cw\nlocals { a = 1 }", ["cannot write a cell to ../x.cw"]),
        ("def f():\n    %cw_apply", ["cannot stand inside the function f"]),
    ],
)
def test_bad_input_is_a_few_lines_of_text(shared: Any, code: str, words: list[str]) -> None:
    shared.ok("%unload_ext clockwork_nb\n%load_ext clockwork_nb")
    cell = shared.run(code)
    assert cell.error is not None
    for word in words:
        assert word in cell.error_text
    assert "Traceback" not in cell.error_text
    assert "magics/" not in cell.error_text


def test_a_renamed_cell_drops_its_old_name_and_a_second_owner_is_told(front_end: Any) -> None:
    load(front_end)
    one = "\nlocals { a = 1 }\n"
    front_end.ok("%%cw web" + one, cell_id="c1")
    front_end.ok("%%cw site" + one, cell_id="c1")  # the same local under a second key would be an error
    assert "replaces cell 'site'" in front_end.ok("%%cw site" + one, cell_id="c2").text


# --- the gate ---------------------------------------------------------------------------------------------------------


def test_approve_runs_and_freezes_and_run_all_waits_behind_it(front_end: Any) -> None:
    load(front_end, FILES)
    cell = front_end.submit("r = %cw_apply")
    behind = front_end.submit("print(r.value.status)")
    wait_for_question(front_end, cell)
    assert not (front_end.folder / "out").exists()
    assert behind.reply is None
    click(front_end, "Approve", "looks right")
    front_end.wait(lambda: behind.done, "the next cell")
    assert behind.streams == "completed\n"
    assert (front_end.folder / "out" / "hello.txt").read_text() == "hello\n"
    assert front_end.widgets == {}
    assert "application/vnd.jupyter.widget-view+json" not in cell.outputs[-1]["data"]
    assert "looks right" in cell.html
    assert "Applied 2 steps" in cell.text
    assert "Nothing to do" in front_end.ok("%cw_plan").text
    assert front_end.ok("%cw_output").data("application/vnd.clockwork.outputs+json")["outputs"][0]["name"] == "where"
    again = front_end.ok("%cw_apply")
    assert "Nothing to do" in again.text


def test_reject_runs_nothing_and_stops_run_all(front_end: Any) -> None:
    load(front_end, FILES)
    cell = front_end.submit("%cw_apply")
    behind = front_end.submit("print('raced past')")
    wait_for_question(front_end, cell)
    click(front_end, "Reject", "not today")
    front_end.wait(lambda: behind.done, "the next cell")
    assert "was refused by" in cell.error_text
    assert "not today" in cell.error_text
    assert behind.reply["status"] == "aborted"
    assert not (front_end.folder / "out").exists()
    assert front_end.widgets == {}
    assert "canceled" in front_end.ok("%cw_status").text


def test_stop_while_waiting_is_clean(front_end: Any) -> None:
    load(front_end, FILES)
    cell = front_end.submit("%cw_apply")
    behind = front_end.submit("print('raced past')")
    wait_for_question(front_end, cell)
    front_end.interrupt()
    front_end.wait(lambda: behind.done, "the end", 20)
    assert "stopped while waiting for approval; nothing was run" in cell.error_text
    assert behind.reply["status"] == "aborted"
    assert not (front_end.folder / "out").exists()
    assert "canceled" in front_end.ok("%cw_status").text
    assert front_end.ok("1 + 1").text.strip() == "2"


def test_stop_in_the_middle_kills_the_step_and_says_where(front_end: Any) -> None:
    load(front_end, SLOW)
    cell = front_end.submit("%cw_apply --auto-approve")
    one = front_end.folder / "out" / "one.txt"
    front_end.wait(one.exists, "the first step")
    front_end.interrupt()
    front_end.wait(lambda: cell.done, "the end", 30)
    assert "stopped after step 2 of 3" in cell.error_text
    assert not (front_end.folder / "out" / "two.txt").exists()
    assert one.exists()
    assert "create" in front_end.ok("%cw_plan").text


def test_an_approval_from_a_terminal_counts(front_end: Any) -> None:
    load(front_end, FILES)
    cell = front_end.submit("%cw_apply")
    wait_for_question(front_end, cell)
    job, plan = waiting_job(front_end)
    wrong = clockwork(front_end, "approve", job, "--plan", "0" * 16, "--reason", "x")
    assert wrong.returncode == 6, wrong.stderr
    done = clockwork(front_end, "approve", job, "--plan", plan, "--reason", "from a terminal")
    assert done.returncode == 0, done.stderr
    front_end.wait(lambda: cell.done, "the run")
    assert cell.error is None, cell.text
    assert "from a terminal" in cell.html
    assert (front_end.folder / "out" / "hello.txt").exists()


def waiting_job(front_end: Any) -> tuple[str, str]:
    """Return the id and the plan of the one job that waits, from another process's view."""
    import json

    jobs = json.loads(clockwork(front_end, "job", "list", "--json").stdout)
    job = jobs[0]["id"]
    status = json.loads(clockwork(front_end, "job", "status", job, "--json").stdout)
    return job, status["waiting"][0]["plan"]


def old_kernel(front_end: Any) -> Any:
    """Load into a kernel that calls itself old, and return the cell that asks for a typed answer."""
    front_end.ok("import ipykernel; ipykernel.version_info = (6, 29, 5)")
    assert "Buttons need ipykernel 7.4" in front_end.ok("%load_ext clockwork_nb").streams
    front_end.ok(FILES)
    cell = front_end.submit("%cw_apply")
    front_end.wait(lambda: front_end.prompts, "the prompt")
    assert "yes" in front_end.prompts[0]
    assert front_end.widgets == {}
    return cell


def test_an_old_kernel_takes_a_typed_answer(front_end: Any) -> None:
    cell = old_kernel(front_end)
    front_end.type("yes agreed")
    front_end.wait(lambda: cell.done, "the run")
    assert cell.error is None, cell.text
    assert "agreed" in cell.text


def test_an_old_kernel_waits_for_the_record_after_enter(front_end: Any) -> None:
    cell = old_kernel(front_end)
    front_end.type("")
    front_end.wait(lambda: "Waiting." in cell.streams, "the wait")
    job, plan = waiting_job(front_end)
    done = clockwork(front_end, "approve", job, "--plan", plan, "--reason", "from a terminal")
    assert done.returncode == 0, done.stderr
    front_end.wait(lambda: cell.done, "the run")
    assert cell.error is None, cell.text


def test_stop_at_the_prompt_is_clean(front_end: Any) -> None:
    cell = old_kernel(front_end)
    front_end.interrupt()
    front_end.wait(lambda: cell.done, "the end", 20)
    assert "nothing was run" in cell.error_text
    assert "canceled" in front_end.ok("%cw_status").text


# --- headless ---------------------------------------------------------------------------------------------------------


def test_without_a_person_the_run_stops_at_once_with_the_commands(front_end: Any) -> None:
    load(front_end, FILES)
    cell = front_end.run("%cw_apply", allow_stdin=False)
    assert "needs approval" in cell.error_text
    assert cell.error["ename"] == "ApprovalRequiredError"
    job, plan = waiting_job(front_end)
    assert f"clockwork approve {job} --plan {plan[:8]}" in cell.error_text
    assert not (front_end.folder / "out").exists()
    assert front_end.widgets == {}
    assert "application/vnd.jupyter.widget-view+json" not in str(cell.outputs)


def test_headless_progress_is_text(front_end: Any) -> None:
    load(front_end, FILES)
    cell = front_end.ok("%cw_apply --auto-approve", allow_stdin=False)
    assert "no person approved" in cell.streams
    assert "1/2  directory.out" in cell.streams
    assert "2/2  file.hello" in cell.streams
    assert front_end.widgets == {}


# --- nothing is deleted because a cell was not run ---------------------------------------------------------------------


def test_after_a_restart_cells_that_were_not_run_lose_nothing(front_end: Any) -> None:
    other = '%%cw other\nfile "other" {\n  path = "more/other.txt"\n  content = "x"\n}\n'
    load(front_end, FILES, other)
    front_end.ok("%cw_apply --auto-approve")
    front_end.restart()
    load(front_end, FILES)
    plan = front_end.ok("%cw_plan").text
    assert "file.other" in plan
    assert "cell 'other' has not been run here" in plan
    assert "delete" not in plan
    front_end.ok("%cw_apply --auto-approve")
    assert (front_end.folder / "more" / "other.txt").read_text() == "x"
    assert "delete" in front_end.ok("%cw_plan --prune").text


# --- variables, destroy, evidence --------------------------------------------------------------------------------------


def test_parameters_bind_by_name_and_cw_var_wins(front_end: Any) -> None:
    load(
        front_end, '%%cw settings\nvariable "greeting" { default = "hello" }\noutput "says" { value = var.greeting }\n'
    )
    front_end.ok("import os; os.environ['CW_PARAMETERS'] = '[\"greeting\", \"other\"]'; greeting = 'hi'; other = 1")
    assert '"hi"' in front_end.ok("%cw_plan").text
    front_end.ok("greeting = 'hey'")
    assert '"hey"' in front_end.ok("%cw_plan").text
    assert "hello again" in front_end.ok('%cw_var greeting="hello again"').text
    assert '"hello again"' in front_end.ok("%cw_plan").text


def test_destroy_asks_and_the_pack_verifies(front_end: Any) -> None:
    load(front_end, FILES)
    front_end.ok("%cw_apply --auto-approve")
    cell = front_end.submit("%cw_destroy")
    wait_for_question(front_end, cell)
    click(front_end, "Approve")
    front_end.wait(lambda: cell.done, "the end")
    assert cell.error is None, cell.text
    assert not (front_end.folder / "out" / "hello.txt").exists()
    pack = front_end.ok("%cw_pack")
    assert "VERIFIED" in pack.text
    name = next((front_end.folder / "clockwork-out" / "jobpacks").glob("*.zip"))
    assert "VERIFIED" in front_end.ok(f"%cw_verify_pack {name.relative_to(front_end.folder)}").text
    assert clockwork(front_end, "jobpack", "verify", str(name)).returncode == 0


def test_another_workspace_has_its_own_state(front_end: Any) -> None:
    load(front_end, FILES)
    front_end.ok("%cw_apply --auto-approve")
    assert "workspace staging" in front_end.ok("%cw_workspace staging").text
    front_end.ok(FILES.replace('path = "out"', 'path = "out2"'))
    assert "2 to create" in front_end.ok("%cw_plan").text
    front_end.ok("%cw_workspace demo")
    front_end.ok(FILES)
    assert "Nothing to do" in front_end.ok("%cw_plan").text


def test_written_cells_are_plain_files(front_end: Any) -> None:
    load(front_end)
    body = FILES.partition("\n")[2]
    cell = front_end.ok("%%cw web --write main.cw\n" + body)
    assert "written to main.cw" in cell.text
    assert (front_end.folder / "main.cw").read_text() == body


def test_a_stopped_job_is_resumed_where_it_stopped(front_end: Any) -> None:
    cell = SLOW.replace("sleep 60;", "test -e out/go || sleep 60;").replace(
        '"out/two.txt"', '"out/two.txt"\n  idempotent = true', 1
    )
    load(front_end, cell)
    run = front_end.submit("%cw_apply --auto-approve")
    one = front_end.folder / "out" / "one.txt"
    front_end.wait(one.exists, "the first step")
    front_end.interrupt()
    front_end.wait(lambda: run.done, "the end", 30)
    assert "stopped after step 2 of 3" in run.error_text
    (front_end.folder / "out" / "go").touch()
    resumed = front_end.ok("%cw_resume")
    assert (front_end.folder / "out" / "two.txt").exists()
    assert "were done before" in resumed.text
    assert "Nothing to do" in front_end.ok("%cw_plan").text
