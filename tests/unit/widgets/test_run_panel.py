"""The panel: shows what it is given, passes on one decision, leaves nothing behind."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ipywidgets.widgets.widget import _instances

from clockwork_nb.jobs.progress import RunProgress
from clockwork_nb.render.bundle import bundle_summary
from clockwork_nb.widgets import RunPanel

SAMPLES = Path(__file__).parents[1] / "render" / "samples"
DIGEST = "4f1c9e2a" + "0" * 56
BUNDLE = "b07d13c5" + "1" * 56


def load(name: str) -> Any:
    return json.loads((SAMPLES / name).read_text())


def make(**options: Any) -> RunPanel:
    bundle = load("bundle.json")
    contents = {path: text.encode() for path, text in bundle["contents"].items()}
    summary = bundle_summary(bundle["document"], BUNDLE, contents=contents, confinement="standard")
    return RunPanel(load("plan.json"), DIGEST, summary, **options)


@pytest.fixture
def panel(wire: Any) -> RunPanel:
    return make()


def rendered(panel: RunPanel, plan: str = DIGEST, bundle: str = BUNDLE) -> None:
    """Play the page's message that it shows this plan and these scripts."""
    panel.view._handle_custom_msg({"type": "rendered", "plan": plan, "bundle": bundle}, [])


def decisions(panel: RunPanel) -> list[tuple[str, str]]:
    made: list[tuple[str, str]] = []
    panel.on_decision(lambda decision, reason: made.append((decision, reason)))
    return made


def test_approve_waits_until_plan_and_scripts_are_on_the_screen(panel: RunPanel) -> None:
    made = decisions(panel)
    assert panel.approval is not None
    assert panel.approval.approve.disabled
    assert not panel.approval.reject.disabled
    panel.approval.approve.click()
    rendered(panel, plan="0" * 64)
    rendered(panel, bundle="0" * 64)
    assert panel.approval.approve.disabled
    assert made == []
    rendered(panel)
    assert not panel.approval.approve.disabled


def test_an_approval_passes_on_the_reason_once(panel: RunPanel) -> None:
    made = decisions(panel)
    rendered(panel)
    assert panel.approval is not None
    panel.approval.reason.value = "  port move agreed "
    panel.approval.approve.click()
    panel.approval.approve.click()
    panel.approval.reject.click()
    assert made == [("granted", "port move agreed")]
    assert panel.approval.approve.disabled
    assert panel.approval.reject.disabled
    assert panel.approval.reason.disabled


def test_a_rejection_needs_no_rendering(panel: RunPanel) -> None:
    made = decisions(panel)
    assert panel.approval is not None
    panel.approval.reject.click()
    assert made == [("denied", "")]


def test_it_can_be_asked_again(panel: RunPanel) -> None:
    first = decisions(panel)
    rendered(panel)
    assert panel.approval is not None
    panel.approval.approve.click()
    second = decisions(panel)
    assert not panel.approval.approve.disabled
    panel.approval.reject.click()
    assert (first, second) == ([("granted", "")], [("denied", "")])


def test_clicks_before_the_question_do_nothing(panel: RunPanel) -> None:
    rendered(panel)
    assert panel.approval is not None
    panel.approval.approve.click()
    assert decisions(panel) == []


def test_it_says_what_is_approved(panel: RunPanel) -> None:
    assert panel.approval is not None
    for words in (
        "Approve plan",
        "4f1c9e2a",
        "b07d13c5",
        "state serial 12",
        "5 steps from 4 scripts",
        "confinement standard",
    ):
        assert words in panel.approval.card.value
    assert panel.approval.approve.description == "Approve 5 steps"
    assert panel.approval.reason.description == "Reason"
    assert f'data-cw-plan="{DIGEST}"' in panel.view.intro
    assert f'data-cw-bundle="{BUNDLE}"' in panel.view.intro


def test_a_decision_made_elsewhere_settles_the_question(panel: RunPanel) -> None:
    decisions(panel)
    rendered(panel)
    progress = RunProgress("job_1")
    progress.expect(load("plan.json"), DIGEST)
    progress.approved(by="ops", via="cli", reason="from the <terminal>")
    panel.update(progress.delta())
    assert panel.approval is not None
    assert panel.approval.approve.disabled
    assert panel.approval.controls.layout.display == "none"
    assert "approved by ops &quot;from the &lt;terminal&gt;&quot;" in panel.approval.card.value


def test_clicks_on_another_thread_reach_the_loop(wire: Any) -> None:
    async def run() -> tuple[list[tuple[str, str]], list[bool]]:
        panel = make()
        made = decisions(panel)
        assert panel.approval is not None
        await asyncio.to_thread(rendered, panel)
        await asyncio.sleep(0)
        seen = [panel.approval.approve.disabled]
        await asyncio.to_thread(panel.approval.approve.click)
        await asyncio.sleep(0)
        seen.append(panel.approval.approve.disabled)
        panel.close()
        return made, seen

    assert asyncio.run(run()) == ([("granted", "")], [False, True])


def test_freezing_disables_everything(panel: RunPanel) -> None:
    made = decisions(panel)
    rendered(panel)
    panel.freeze()
    assert panel.approval is not None
    panel.approval.approve.click()
    panel.approval.reject.click()
    assert made == []


def test_a_panel_without_a_question(wire: Any) -> None:
    panel = make(ask=False)
    assert panel.approval is None
    with pytest.raises(ValueError, match="asks nothing"):
        panel.on_decision(lambda *_: None)


def test_closing_leaves_no_comm_and_no_widget(wire: Any) -> None:
    before = set(_instances)
    panel = make()
    assert wire.open
    panel.update(waiting_run().snapshot())
    panel.freeze()
    panel.close()
    panel.close()
    assert wire.open == set()
    assert set(_instances) == before


def waiting_run() -> RunProgress:
    progress = RunProgress("job_1")
    progress.expect(load("plan.json"), DIGEST)
    return progress


def test_importing_the_package_imports_no_widgets() -> None:
    code = (
        "import clockwork_nb, sys; print(sorted(m for m in ('ipywidgets','anywidget','traitlets') if m in sys.modules))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
