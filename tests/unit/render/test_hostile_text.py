"""Every view of hostile text: nothing is interpreted, nothing hides."""

from __future__ import annotations

import json
import unicodedata
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clockwork_nb.jobs.progress import RunProgress
from clockwork_nb.render.bundle import bundle_html, bundle_summary, bundle_text
from clockwork_nb.render.declared import declared_html, declared_text
from clockwork_nb.render.gate import waiting_text
from clockwork_nb.render.graph import graph_text, plan_dot, plan_graph_svg
from clockwork_nb.render.html import Markup, element, fragment, text
from clockwork_nb.render.job import job_list_html, job_list_text, job_status_html, job_status_text
from clockwork_nb.render.outcome import outcome_text
from clockwork_nb.render.plan import plan_html, plan_text
from clockwork_nb.render.progress import progress_html
from clockwork_nb.render.state import edit_text, entry_text, history_text, state_list_text
from clockwork_nb.render.text import clip, clip_middle, columns_of, pad, visible
from clockwork_nb.render.theme import page
from clockwork_nb.render.values import value_text

SAMPLES = Path(__file__).parent / "samples"
EVIL = '"><script>alert(1)</script><img src=x onerror=alert(2)>\x1b[31m\x1b]0;t\x07\u202eabc\u2066 $x$ </style></title> & \x00'
HIDDEN = "\x1b\x07\x00\u202e\u2066"


def poisoned(value: Any) -> Any:
    """Return a copy of a document with the evil text after every text in it (keys, kinds and digests stay)."""
    keep = {"kind", "status", "schema", "class", "state", "verb", "mode", "sha256", "via"}
    if isinstance(value, dict):
        return {k: v if k in keep else poisoned(v) for k, v in value.items()}
    if isinstance(value, list):
        return [poisoned(v) for v in value]
    return value + EVIL if isinstance(value, str) else value


def load(name: str) -> Any:
    return json.loads((SAMPLES / name).read_text())


class Tags(HTMLParser):
    """Collects what a browser would see as tags and attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}


def check_html(html: str) -> None:
    parser = Tags()
    parser.feed(html)
    parser.close()
    assert not parser.tags & {"script", "img", "iframe", "object", "a", "link", "form", "base", "input"}
    assert not {name for name in parser.attributes if name.startswith("on")}
    assert not parser.attributes & {"href", "src", "srcdoc"}
    assert not any(c in html for c in HIDDEN)
    assert "tex2jax_ignore mathjax_ignore" in html


def views_as_text() -> dict[str, str]:
    plan, bundle, job = poisoned(load("plan.json")), poisoned(load("bundle.json")), poisoned(load("job.json"))
    contents = {path: content.encode() for path, content in bundle["contents"].items()}
    summary = bundle_summary(bundle["document"], EVIL, contents=contents, edited=[EVIL], diffs={EVIL: EVIL})
    outcome = {
        "status": "completed", "job": EVIL, "plan": EVIL, "done": 1, "failed": 0, "skipped": 0, "duration_ms": 3,
        "outputs": [{"name": EVIL, "value": EVIL}, {"name": "b", "value": [EVIL, {EVIL: EVIL}]}],
    }  # fmt: skip
    finding = {"code": EVIL, "place": EVIL, "message": EVIL, "hint": EVIL}
    declared = {"variables": [{"name": EVIL, "value": EVIL, "source": EVIL}], "resources": [EVIL], "outputs": [EVIL]}
    return {
        "plan": plan_text(plan, EVIL),
        "graph": graph_text(plan),
        "dot": plan_dot(plan),
        "bundle": bundle_text(
            summary, findings=[finding], removed=[EVIL], show=[s["path"] for s in summary["scripts"]]
        ),
        "waiting": waiting_text(job_id=EVIL, plan_digest=EVIL, document=plan, place=EVIL, report=EVIL),
        "job": job_status_text(job),
        "jobs": job_list_text([job]),
        "outcome": outcome_text(outcome, notes=[EVIL]),
        "declared": declared_text(EVIL, declared),
        **state_views(),
    }


def state_views() -> dict[str, str]:
    entry = {
        "address": EVIL, "type": EVIL, "config": {EVIL: EVIL, "path": EVIL}, "identity": {"status": EVIL},
        "declared_in": EVIL, "dependencies": [EVIL] * 12, "status": EVIL,
    }  # fmt: skip
    item = {"address": EVIL, "what": "forget", "to": EVIL, "entry": entry}
    edit = {"serial_before": 1, "entries": [item, {**item, "what": "move"}], "forced": EVIL, "unfinished": EVIL}
    done = {
        "arguments": [EVIL], "outcome": EVIL, "via": EVIL, "at": EVIL, "serial_before": 1, "serial_after": 2, "verb": EVIL,
        "by": EVIL, "forced": EVIL, "reason": EVIL,
    }  # fmt: skip
    return {
        "state list": state_list_text([entry], 1),
        "state entry": entry_text(entry, [EVIL]),
        "state edit": edit_text(edit),
        "state history": history_text([done]),
    }


@pytest.mark.parametrize("name", sorted(views_as_text()))
def test_text_shows_what_hides(name: str) -> None:
    shown = views_as_text()[name]
    assert not any(c in shown for c in HIDDEN)
    assert "\\x1b[31m" in shown or "\\u202e" in shown


def views_as_html() -> dict[str, str]:
    plan, bundle, job = poisoned(load("plan.json")), poisoned(load("bundle.json")), poisoned(load("job.json"))
    contents = {path: content.encode() for path, content in bundle["contents"].items()}
    summary = bundle_summary(bundle["document"], EVIL, contents=contents, edited=[EVIL], diffs={EVIL: EVIL})
    progress = RunProgress(EVIL, name=EVIL, confinement=EVIL)
    progress.expect(plan, EVIL)
    progress.approved(by=EVIL, via="button", reason=EVIL)
    snapshot = poisoned(progress.snapshot())
    snapshot["steps"][0] |= {"status": "failed", "tail": EVIL, "log": EVIL, "exit_code": 1, "duration_ms": 1}
    return {
        "plan": plan_html(plan, EVIL, next_lines=[EVIL]),
        "bundle": bundle_html(
            summary, findings=[{"code": EVIL, "place": EVIL, "message": EVIL, "hint": EVIL}], removed=[EVIL]
        ),
        "progress": progress_html(snapshot, notes=[EVIL], next_lines=[EVIL]),
        "job": job_status_html(job, next_lines=[EVIL]),
        "jobs": job_list_html([job]),
        "declared": declared_html(EVIL, {"variables": [{"name": EVIL, "value": EVIL}]}, note=EVIL),
    }


@pytest.mark.parametrize("name", sorted(views_as_html()))
def test_html_interprets_nothing(name: str) -> None:
    check_html(views_as_html()[name])


def test_the_drawing_interprets_nothing() -> None:
    for standalone, more in ((False, set[str]()), (True, {"style"})):
        svg = plan_graph_svg(poisoned(load("plan.json")), standalone=standalone)
        parser = Tags()
        parser.feed(svg)
        assert parser.tags == {"svg", "title", "desc", "g", "path", "rect", "text"} | more
        assert not any(c in svg for c in HIDDEN)
        assert not {name for name in parser.attributes if name.startswith("on") or "href" in name}


def test_a_page_fetches_and_runs_nothing() -> None:
    html = page(EVIL, Markup(plan_html(load("plan.json"), "ab" * 32)))
    assert "default-src 'none'" in html
    assert "<title>&quot;&gt;&lt;script&gt;" in html
    assert "http-equiv" in html
    assert "<script" not in html


@given(st.text())
def test_visible_text_hides_nothing_and_plain_text_is_kept(value: str) -> None:
    shown = visible(value)
    assert not {unicodedata.category(c) for c in shown} & {"Cc", "Cf", "Co", "Cs", "Zl", "Zp"}
    assert visible(shown) == shown
    if value.isascii() and value.isprintable():
        assert shown == value


@given(st.text(), st.integers(min_value=4, max_value=40))
def test_clipping_never_takes_more_columns(value: str, columns: int) -> None:
    shown = visible(value)
    assert columns_of(clip(shown, columns)) <= columns
    assert columns_of(clip_middle(shown, columns)) <= columns
    assert columns_of(pad(clip(shown, columns), columns)) >= columns


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(json_values)
def test_any_value_is_one_safe_line(value: Any) -> None:
    line = value_text(value)
    assert visible(line) == line
    assert "\n" not in line
    assert columns_of(value_text(value, 30)) <= 30


def test_a_value_nested_a_hundred_thousand_deep_is_shown() -> None:
    value: Any = 1
    for _ in range(100_000):
        value = [value]
    assert value_text(value, 20).startswith("[[[")


@given(st.text())
def test_html_text_cannot_leave_its_place(value: str) -> None:
    inside = element("p", value, title=value)
    parser = Tags()
    parser.feed(inside)
    parser.close()
    assert parser.tags == {"p"}
    assert parser.attributes == {"title"}


def test_markup_is_not_escaped_twice_and_text_is() -> None:
    assert fragment(element("b", "<"), "<", None, ["&", [Markup("<hr>")]]) == "<b>&lt;</b>&lt;&amp;<hr>"
    assert text("a\nb\tc") == "a\nb\tc"


@pytest.mark.parametrize(
    ("tag", "attributes"),
    [
        ("script", {}), ("iframe", {}), ("a b", {}), ("b><script", {}), ("p", {"onclick": "x"}),
        ("a", {"href": "javascript:x"}), ("p", {"x y": "1"}), ("p", {'a"': "1"}),
    ],
)  # fmt: skip
def test_dangerous_elements_cannot_be_built(tag: str, attributes: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="not allowed"):
        element(tag, **attributes)
