"""The page's half of the view, in a real browser: a bare page plays the widget manager (get, on, off, send)."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clockwork_nb.jobs.progress import RunProgress
from clockwork_nb.render.bundle import bundle_html, bundle_summary
from clockwork_nb.render.plan import plan_html
from clockwork_nb.render.theme import CSS
from clockwork_nb.widgets.run_view import RunView

pytestmark = pytest.mark.browser

SAMPLES = Path(__file__).parents[1] / "render" / "samples"
STATIC = Path(__file__).parents[3] / "widgets" / "static"
DIGEST = "4f1c9e2a" + "0" * 56
BUNDLE = "b07d13c5" + "1" * 56
EVIL = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
PAGE = """<!doctype html><meta charset=utf-8><style>%s</style><div id=el></div><script type=module>
import view from "/run_view.js";
const state = await (await fetch("/state.json")).json(), handlers = {};
window.sent = [];
window.model = {
  get: (k) => state[k], set: (k, v) => { state[k] = v; window.fire("change:" + k); },
  on: (e, f) => (handlers[e] = handlers[e] || []).push(f), send: (m) => window.sent.push(m),
  off: (e, f) => { handlers[e] = (handlers[e] || []).filter((g) => g !== f); },
};
window.fire = (e, m) => (handlers[e] || []).forEach((f) => f(m));
window.listeners = () => Object.values(handlers).flat().length;
window.start = (el) => { window.stop = view.render({ model: window.model, el }); };
window.ready = true;
</script>"""


def load(name: str) -> Any:
    return json.loads((SAMPLES / name).read_text())


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no Chromium here")
    with api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=found, headless=True, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        yield launched
        launched.close()


@pytest.fixture
def page(browser: Any, wire: Any) -> Iterator[Any]:
    bundle = load("bundle.json")
    contents = {path: text.encode() for path, text in bundle["contents"].items()}
    intro = plan_html(load("plan.json"), DIGEST) + bundle_html(
        bundle_summary(bundle["document"], BUNDLE, contents=contents)
    )
    state = {"intro": intro, "plan": DIGEST, "bundle": BUNDLE, "steps": [], "snapshot": {}}
    style = CSS + (STATIC / "run_view.css").read_text()
    bodies = {
        "/": ("text/html", PAGE % style),
        "/run_view.js": ("text/javascript", (STATIC / "run_view.js").read_text()),
        "/state.json": ("application/json", json.dumps(state)),
    }

    def serve(route: Any) -> None:
        path = "/" + route.request.url.split("/", 3)[3]
        kind, body = bodies.get(path, ("text/plain", ""))
        route.fulfill(status=200 if path in bodies else 404, content_type=kind, body=body)

    opened = browser.new_page()
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.route("**/*", serve)
    opened.goto("http://view.test/")
    opened.wait_for_function("window.ready")
    yield opened
    opened.close()
    assert errors == []


def start(page: Any, where: str = "document.getElementById('el')") -> None:
    page.evaluate(f"() => window.start({where})")


def message(view: RunView) -> dict[str, Any]:
    view.flush()
    return dict(view.snapshot)


def show(page: Any, progress: RunProgress, log: tuple[str, ...] = ()) -> None:
    """Give the page what the kernel's half makes of *progress*."""
    view = RunView()
    view.push(progress.snapshot())
    view.add_log(log)
    page.evaluate("steps => window.model.set('steps', steps)", view.steps)
    page.evaluate("message => window.fire('msg:custom', message)", message(view))
    view.close()


def run(name: str) -> RunProgress:
    from types import SimpleNamespace

    progress = RunProgress("job_1")
    progress.expect(load("plan.json"), DIGEST)
    progress.feed_all([SimpleNamespace(**event) for event in load(name)])
    return progress


def settle(page: Any) -> None:
    """Wait until the page has drawn four frames."""
    page.evaluate(
        "() => new Promise(done => { let n = 4; const f = () => n-- ? requestAnimationFrame(f) : done(); f(); })"
    )


def test_it_reports_only_once_plan_and_scripts_are_in_the_page(page: Any) -> None:
    start(page, "window.apart = document.createElement('div')")
    settle(page)
    assert page.evaluate("window.sent") == []
    page.evaluate("() => document.body.append(window.apart)")
    page.wait_for_function("window.sent.length > 0")
    assert page.evaluate("window.sent") == [{"type": "rendered", "plan": DIGEST, "bundle": BUNDLE}]


def test_it_reports_nothing_when_the_page_shows_another_plan(page: Any) -> None:
    page.evaluate("() => window.model.set('plan', 'f'.repeat(64))")
    start(page)
    settle(page)
    assert page.evaluate("window.sent") == []


def test_it_reports_nothing_while_hidden(page: Any) -> None:
    page.evaluate("() => { document.getElementById('el').style.display = 'none' }")
    start(page)
    settle(page)
    assert page.evaluate("window.sent") == []


def test_a_failure_is_drawn_with_words_beside_signs(page: Any) -> None:
    start(page)
    show(page, run("events_failed.json"), ("web | one", "web | two"))
    assert page.locator(".cw-run header b").last.inner_text() == "1 failed"
    rows = page.locator("[role=listitem]").all_inner_texts()
    assert len(rows) == 5
    assert "failed, exit 3" in rows[3]
    assert "skipped, needs service.web" in rows[4]
    assert "address already in use" in page.locator("pre.cw-err").inner_text()
    assert page.locator("pre.cw-log").inner_text() == "web | one\nweb | two"
    assert page.locator("[role=progressbar]").get_attribute("aria-valuenow") == "5"
    assert page.locator("[role=status]").inner_text().startswith("1 failed.")
    assert not page.locator("details.cw-intro").evaluate("node => node.open")


def test_text_from_outside_stays_text(page: Any) -> None:
    progress = run("events_failed.json")
    for step in progress.steps:
        step.address = step.note = step.tail = EVIL
    start(page)
    show(page, progress, (EVIL,))
    settle(page)
    assert page.title() == ""
    assert page.locator(".cw-run .cw-card img, .cw-run .cw-card script").count() == 0
    assert EVIL in page.locator("pre.cw-log").inner_text()


def test_a_page_that_opens_later_shows_the_snapshot(page: Any) -> None:
    view = RunView()
    progress = run("events_completed.json")
    view.push(progress.snapshot())
    page.evaluate("state => { window.model.set('steps', state[0]); window.model.set('snapshot', state[1]) }",
                  [view.steps, message(view)])  # fmt: skip
    start(page)
    assert page.locator(".cw-run .cw-pill").last.inner_text() == "done"
    assert page.locator("[role=listitem].cw-is-ok").count() == 5


def test_a_thousand_steps_are_drawn_and_updated_in_place(page: Any) -> None:
    document = load("plan.json")
    step = document["actions"]["steps"][0]
    document["actions"]["steps"] = [{**step, "id": f"file.f{i}:write", "address": f"file.f{i}"} for i in range(1_000)]
    progress = RunProgress("job_1")
    progress.expect(document, DIGEST)
    progress.approved(by="ops", via="button")
    start(page)
    show(page, progress)
    assert page.locator("[role=listitem]").count() == 1_000
    page.evaluate("() => { window.first = document.querySelector('[role=listitem]') }")
    head = {"status": "running", "title": "Applying", "facts": "", "pill": "running", "color": "info", "approval": "",
            "totals": {**progress.totals(), "ok": 1, "waiting": 999}, "elapsed_ms": 5, "left_ms": None, "at": "", "ended": False}  # fmt: skip
    page.evaluate("m => window.fire('msg:custom', m)", {"head": head, "rows": [[0, "ok", 5, "", "", ""]], "log": []})
    assert page.evaluate("() => window.first === document.querySelector('[role=listitem].cw-is-ok')")
    assert page.locator("[role=listitem].cw-is-ok").count() == 1


def test_it_lets_go_of_everything(page: Any) -> None:
    start(page)
    assert page.evaluate("window.listeners()") > 0
    page.evaluate("() => window.stop()")
    assert page.evaluate("window.listeners()") == 0
