"""A notebook run headless stops at each decision, and goes on as the same job once somebody has decided."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from clockwork_nb.testing.project import Finished, Project
from tests.notebooks.runbooks import (
    LOAD,
    SITE,
    approve,
    events,
    left_behind,
    newest,
    notebook,
    of_type,
    output,
    project_in,
    shown,
    statuses,
)  # fmt: skip

pytestmark = pytest.mark.notebook

_ONCE = "import pathlib\nwith open('once.txt', 'a') as f: f.write('x')\nprint('fetched', pathlib.Path('once.txt').read_text())"
_STAMP = '%%cw stamp\nfile "stamp" {\n  path = "site/stamp.txt"\n  content = timestamp()\n}\n'


@dataclass
class Story:
    """A run with two decisions: what each attempt said, and what was on disk after it."""

    project: Project
    job: str = ""
    ends: list[Finished] = field(default_factory=list)
    saved: list[Any] = field(default_factory=list)
    left: list[list[str]] = field(default_factory=list)
    asked_again: Finished | None = None
    early_pack: str = ""
    plans: list[str] = field(default_factory=list)

    def keep(self, finished: Finished) -> None:
        self.job = self.job or newest(self.project)
        self.ends.append(finished)
        self.saved.append(output(self.project, self.job))
        self.left.append(left_behind(self.project))


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    story = Story(project_in(tmp_path_factory.mktemp("story")))
    run = story.project.run
    cells = (LOAD, SITE, _STAMP, "%cw_plan", "%cw_apply", (_ONCE, ["cw:once"]), "%cw_destroy", "print('end')")
    story.project.write({"site.ipynb": notebook(*cells)})
    story.keep(run("runbook", "run", "site.ipynb", expect=4))
    story.asked_again = run("job", "resume", story.job, expect=4)
    story.early_pack = run("jobpack", "export", story.job).out.split()[0]
    story.plans.append(approve(story.project, story.job))
    story.keep(run("job", "resume", story.job, expect=4))
    story.plans.append(approve(story.project, story.job))
    story.keep(run("job", "resume", story.job))
    return story


def test_the_stop_says_what_waits_and_the_two_commands(story: Story) -> None:
    lines = story.ends[0].err.splitlines()
    digest, job = story.plans[0][:8], story.job
    assert lines[-4:] == [
        f"Runbook site.ipynb stopped at cell 5 (%cw_apply): plan {digest} needs approval.",
        f"  3 to create · report clockwork-out/reports/{job}.html",
        f'Continue   clockwork approve {job} --plan {digest} --reason "…"  &&  clockwork job resume {job}',
        f'Refuse     clockwork reject  {job} --reason "…"',
    ]
    assert (story.project.folder / "clockwork-out" / "reports" / f"{job}.html").is_file()


def test_nothing_of_the_kernels_own_talk_is_heard(story: Story) -> None:
    for end in story.ends:
        heard = [line for line in end.err.splitlines() if not re.match(r"Job job_|  +\d+/8  ", line)]
        assert heard == end.err.splitlines()[-4:][: len(heard)]


def test_resuming_before_the_decision_asks_the_same_and_runs_nothing(story: Story) -> None:
    assert story.asked_again is not None
    first, _, *commands = story.asked_again.err.splitlines()
    assert first == story.ends[0].err.splitlines()[-4]
    assert commands == story.ends[0].err.splitlines()[-2:]


def test_the_saved_notebook_tells_which_cells_ran(story: Story) -> None:
    assert statuses(story.saved[0]) == ["completed"] * 4 + ["failed"] + ["pending"] * 3
    assert statuses(story.saved[1]) == ["completed"] * 6 + ["failed", "pending"]
    assert statuses(story.saved[2]) == ["completed"] * 8
    assert [c["id"] for c in story.saved[0]["cells"] if c["outputs"]] == ["c1", "c2", "c3", "c4", "c5"]
    for saved in story.saved:
        assert saved["metadata"]["clockwork"] == {"job": story.job}
        assert "widgets" not in saved["metadata"]
        assert saved["metadata"]["papermill"]["input_path"].endswith("project/site.ipynb")


def test_all_attempts_are_one_job_and_one_log(story: Story) -> None:
    assert len(story.project.jobs()) == 1
    rows = events(story.project, story.job)
    assert [e["seq"] for e in rows] == list(range(1, len(rows) + 1))
    assert [p["to"] for p in of_type(rows, "job.status")] == [
        "running", "blocked_decision", "running", "blocked_decision", "running", "completed",
    ]  # fmt: skip


def test_a_plan_with_the_time_in_it_is_the_approved_one_after_a_resume(story: Story) -> None:
    asked = of_type(events(story.project, story.job), "approval.requested")
    assert [a["binds"]["plan"] for a in asked] == story.plans


def test_a_finished_section_is_restored_and_marked(story: Story) -> None:
    rows = events(story.project, story.job)
    done = [p["step_id"] for p in of_type(rows, "step.completed")]
    assert len(done) == len(set(done)) == 6
    assert "(from this run's journal)" not in shown(story.saved[1], "c5")
    assert "(from this run's journal)" in shown(story.saved[2], "c5")
    assert "from this run's journal" in shown(story.saved[2], "c4")


def test_a_cell_tagged_once_runs_once_and_keeps_its_output(story: Story) -> None:
    assert (story.project.folder / "once.txt").read_text() == "x"
    assert shown(story.saved[1], "c6") == shown(story.saved[2], "c6") == "fetched x\n"
    assert re.search(r"6/8  import pathlib +restored", story.ends[2].err)
    assert [p["cell"] for p in of_type(events(story.project, story.job), "cell.restored")] == ["c6"]


def test_the_pack_verifies_and_holds_both_notebooks(story: Story) -> None:
    import zipfile

    assert story.project.run("jobpack", "verify", story.job).out.startswith("VERIFIED  signed")
    pack = story.project.folder / "clockwork-out" / "jobpacks" / f"jobpack_{story.job}.zip"
    with zipfile.ZipFile(pack) as archive:
        given = archive.read("clockwork/notebook/input.ipynb")
        executed = archive.read("clockwork/notebook/output.ipynb")
    assert given == (story.project.folder / "site.ipynb").read_bytes()
    saved = story.project.folder / "clockwork-out" / "notebooks" / f"{story.job}.ipynb"
    assert executed == saved.read_bytes()


def test_a_waiting_job_exports_under_another_name_that_verifies(story: Story) -> None:
    assert re.fullmatch(rf"jobpack_{story.job}\.at\d+\.zip", Path(story.early_pack).name)
    verified = story.project.run("jobpack", "verify", story.early_pack)
    assert verified.out.startswith("VERIFIED  signed")


def test_no_attempt_leaves_a_process_a_socket_or_a_temporary_file(story: Story) -> None:
    assert story.left == [[], [], []]
    out = story.project.folder / "clockwork-out" / "notebooks"
    assert [p.name for p in out.iterdir()] == [f"{story.job}.ipynb"]
    assert list((story.project.folder / "site").glob("*")) == []  # destroyed at the end


def test_an_ended_job_is_not_resumed(story: Story) -> None:
    ended = story.project.run("job", "resume", story.job, expect=1)
    assert "is completed; there is nothing to resume" in ended.err


# --- decisions that are not a yes -----------------------------------------------------------------------------------

# A cell that does what it should not: it catches the stop, then tries to approve itself, with and without our variables.
_SELF = """import json, os, subprocess, sys
try:
    %cw_apply
except Exception as error:
    print(type(error).__name__)
def clockwork(*words, env=os.environ):
    return subprocess.run([sys.executable, "-m", "clockwork_nb.cli", *words], env=env, capture_output=True, text=True)
job = os.environ["CW_JOB_ID"]
plan = json.loads(clockwork("job", "status", job, "--json").stdout)["waiting"][0]["plan"]
for env in (os.environ, {k: v for k, v in os.environ.items() if not k.startswith("CW_")}):
    print(clockwork("approve", job, "--plan", plan, "--reason", "me", env=env).returncode)
"""


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, Finished, str]:
    project = project_in(tmp_path_factory.mktemp("refused"))
    project.write({"self.ipynb": notebook(LOAD, SITE, _SELF, "print('went on')")})
    finished = project.run("runbook", "run", "self.ipynb", expect=None)
    return project, finished, newest(project)


def test_a_run_cannot_approve_itself(refused: tuple[Project, Finished, str]) -> None:
    project, _, job = refused
    assert shown(output(project, job), "c3").endswith("ApprovalRequiredError\n8\n8\n")


def test_catching_the_stop_does_not_get_past_it(refused: tuple[Project, Finished, str]) -> None:
    project, finished, job = refused
    assert finished.status == 4
    assert "Runbook self.ipynb stopped at cell 3 (%cw_apply)" in finished.err
    assert statuses(output(project, job)) == ["completed", "completed", "failed", "pending"]


def test_a_refused_run_is_canceled_and_not_resumed(refused: tuple[Project, Finished, str]) -> None:
    project, _, job = refused
    project.run("reject", job, "--reason", "not today")
    assert project.jobs()[0]["status"] == "canceled"
    again = project.run("job", "resume", job, expect=4)
    assert "its plan was refused by" in again.err
    assert "not today" in again.err
