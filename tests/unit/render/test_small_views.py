"""Stopped runs, jobs, bundles and cells in words, and colours that can be read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clockwork_nb.render.bundle import bundle_html, bundle_summary, bundle_text
from clockwork_nb.render.declared import declared_html, declared_text
from clockwork_nb.render.gate import runbook_place, waiting_text
from clockwork_nb.render.job import JobView, job_list_html, job_list_text, job_status_html, job_status_text
from clockwork_nb.render.theme import CSS, DARK, LIGHT

SAMPLES = Path(__file__).parent / "samples"
DIGEST = "4f1c9e2a" + "0" * 56
JOB = "job_01k9x3m5q7s9v1w3y5z7a9b2c4"


def load(name: str) -> Any:
    return json.loads((SAMPLES / name).read_text())


@pytest.fixture
def job() -> JobView:
    view: JobView = load("job.json")
    return view


@pytest.fixture
def summary() -> dict[str, Any]:
    bundle = load("bundle.json")
    contents = {path: text.encode() for path, text in bundle["contents"].items()}
    edited = ["scripts/file.index/write_file.sh"]
    return bundle_summary(bundle["document"], DIGEST, contents=contents, confinement="standard", edited=edited)


def test_a_stop_for_a_decision_has_both_commands() -> None:
    text = waiting_text(
        job_id=JOB,
        plan_digest=DIGEST,
        document=load("plan.json"),
        place=runbook_place("quickstart.ipynb", 9, "%cw_apply"),
        report=f"clockwork-out/reports/{JOB}.html",
    )
    assert text == (
        "Runbook quickstart.ipynb stopped at cell 9 (%cw_apply): plan 4f1c9e2a needs approval.\n"
        f"  2 to create, 2 to update, 1 to replace · risk: ports · report clockwork-out/reports/{JOB}.html\n"
        f'Continue   clockwork approve {JOB} --plan 4f1c9e2a --reason "…"  &&  clockwork job resume {JOB}\n'
        f'Refuse     clockwork reject  {JOB} --reason "…"'
    )


def test_a_stop_outside_a_runbook_names_the_job() -> None:
    text = waiting_text(job_id="job_1", plan_digest=DIGEST, document=load("plan.json"), command="cw")
    assert text.splitlines()[0] == "Job job_1 stopped: plan 4f1c9e2a needs approval."
    assert "cw approve job_1 " in text


def test_a_job_id_cannot_smuggle_a_command_into_the_line_to_copy() -> None:
    text = waiting_text(job_id="x; rm -rf ~", plan_digest=DIGEST, document=load("plan.json"))
    assert "approve 'x; rm -rf ~' --plan" in text


def test_a_waiting_job(job: JobView) -> None:
    assert job_status_text(job) == (
        f"{JOB}  blocked_decision · quickstart.ipynb · 8 of 14 cells · 3 of 4 budgets touched\n"
        "  waiting since 14:02 (12 min) for approval of plan 4f1c9e2a\n"
        "  budget    wall 0:41 / 30:00 · steps 12 / 200 · retries 0 / 2\n"
        "  lease     free · log 148 events (snapshot 128 + 20 checked)"
    )
    html = job_status_html(job)
    assert "since 14:02 (12 min) for approval of plan 4f1c9e2a" in html
    assert ">blocked_decision</span>" in html


def test_a_job_of_which_little_is_known() -> None:
    assert job_status_text({"id": "job_1", "status": "queued"}) == "job_1  queued"
    assert "job_1" in job_status_html({"id": "job_1", "status": "queued"})


def test_jobs_are_listed_one_a_line(job: JobView) -> None:
    other: JobView = {"id": "job_2", "status": "completed", "name": "web", "steps": (5, 5), "age": "2 h ago"}
    assert job_list_text([job, other]).splitlines() == [
        "job                             status            name              progress       last moved",
        f"{JOB}  blocked_decision  quickstart.ipynb  8 of 14 cells",
        "job_2                           completed         web               5 of 5 steps   2 h ago",
    ]
    assert job_list_html([job, other]).count("<tr>") == 3
    assert job_list_text([]) == "No jobs yet."
    assert "No jobs yet." in job_list_html([])


def test_a_bundle_says_what_runs_inside_which_walls(summary: dict[str, Any]) -> None:
    text = bundle_text(summary, show=["scripts/file.index/write_file.sh"], removed=["scripts/old.sh"])
    assert text + "\n" == (SAMPLES / "bundle.txt").read_text()


def test_a_bundle_in_html_has_every_script(summary: dict[str, Any]) -> None:
    html = bundle_html(summary)
    assert html.count("<details>") == len(summary["scripts"])
    assert "cat -- &quot;$CW_DATA&quot;" in html
    assert "edited by hand" in html
    assert f'data-cw-bundle="{DIGEST}"' in html


def test_findings_come_with_their_place_and_what_to_do(summary: dict[str, Any]) -> None:
    finding = {
        "code": "E_BUNDLE_PATH",
        "place": "artifact ../x",
        "message": "leaves the folder",
        "hint": "Name it inside.",
    }
    assert bundle_text(summary, findings=[finding]).splitlines()[-3:] == [
        "error: leaves the folder  [E_BUNDLE_PATH]",
        "  artifact ../x",
        "  Name it inside.",
    ]
    assert "1 problem" in bundle_html(summary, findings=[finding])


@pytest.mark.parametrize(
    ("artifact", "content", "note"),
    [
        ({"sha256": "a" * 64, "size": 3}, b"\x00\x01\x02", "not text, sha256 aaaaaaaa…"),
        ({"sha256": "a" * 64, "size": 3}, None, "sha256 aaaaaaaa…"),
        ({"secret": "token"}, b"", "(sensitive) content, never written to disk"),
        ({"sha256": "a" * 64, "size": 200_000}, b"x" * 200_000, "first 64.0 KiB shown"),
    ],
)  # fmt: skip
def test_what_cannot_be_shown_is_said(artifact: dict[str, Any], content: bytes | None, note: str) -> None:
    entry = {"path": "data/a", "mode": "0644", "purpose": "", "lang": "data", **artifact}
    document = {"artifacts": [entry], "steps": []}
    made = bundle_summary(document, DIGEST, contents={} if content is None else {"data/a": content})
    assert made["scripts"][0]["note"] == note
    json.dumps(made)


def test_a_cell_says_what_it_declares() -> None:
    settings = {
        "variables": [{"name": "port", "value": 8080}, {"name": "region", "value": "eu", "source": "--var"}],
        "locals": ["greeting"],
    }
    web = {"resources": ["directory.site", "file.index", "service.web"], "outputs": ["url"]}
    assert declared_text("settings", settings) == (
        'settings   2 variables (port = 8080, region = "eu" from --var), 1 local'
    )
    assert declared_text("web", web) == "web        directory.site, file.index, service.web → output url"
    assert declared_text("empty", {}) == "empty      nothing"
    assert "replaces cell 7" in declared_html("web", web, note="replaces cell 7")


def test_a_sensitive_variable_is_not_shown() -> None:
    declared = {"variables": [{"name": "token", "value": "s3cret", "sensitive": True}, {"name": "later"}]}
    text = declared_text("c", declared)
    assert "s3cret" not in text
    assert "token = (sensitive), later = (not set)" in text


def luminance(color: str) -> float:
    """Return the relative luminance of ``#rrggbb`` (WCAG 2.2)."""
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(a: str, b: str) -> float:
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize(
    ("colors", "backgrounds"),
    [(LIGHT, ["#ffffff", "#f5f5f5"]), (DARK, ["#111111", "#212121", "#26262a"])],
)
def test_colours_that_mean_something_can_be_read(colors: dict[str, str], backgrounds: list[str]) -> None:
    for name in ("ok", "warn", "bad", "info", "rep"):
        assert all(contrast(colors[name], background) >= 4.5 for background in backgrounds), name
    assert contrast(colors["ok"], colors["add-bg"]) >= 4.5
    assert contrast(colors["bad"], colors["del-bg"]) >= 4.5
    assert contrast("#ffffff", colors["go-bg"]) >= 4.5


def test_every_rule_stays_inside_our_box() -> None:
    rules = [rule.split("{")[0] for rule in CSS.replace("@media print{", "").split("}") if "{" in rule]
    for rule in rules:
        assert all(".cw" in selector for selector in rule.split(",")), rule
