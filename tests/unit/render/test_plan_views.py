"""A plan as text and HTML: the words of the examples, and growth no faster than the plan."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from clockwork_nb.render.plan import plan_html, plan_text
from clockwork_nb.render.plan_words import step_words
from clockwork_nb.render.text import columns_of
from clockwork_nb.render.values import changed_middle, value_text

SAMPLES = Path(__file__).parent / "samples"
DIGEST = "4f1c9e2a" + "0" * 56
NEXT = ("clockwork apply      or, to apply exactly this:  clockwork plan --out plan.json && clockwork apply plan.json",)


@pytest.fixture
def document() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((SAMPLES / "plan.json").read_text())
    return loaded


def empty(document: dict[str, Any], **fields: Any) -> dict[str, Any]:
    unchanged = [c for c in document["changes"] if c["kind"] == "noop"]
    actions = {"version": "1", "steps": []}
    return {
        **document,
        "changes": unchanged,
        "actions": actions,
        "drift": [],
        "not_loaded": [],
        "outputs": [],
        **fields,
    }


def test_the_text_is_the_one_of_the_examples(document: dict[str, Any]) -> None:
    assert plan_text(document, DIGEST, next_lines=NEXT) + "\n" == (SAMPLES / "plan.txt").read_text()


def test_an_empty_plan_says_so_in_one_line(document: dict[str, Any]) -> None:
    assert plan_text(empty(document), DIGEST, observed_s=0.31) == (
        "Nothing to do. 7 resources match (observed in 0.3 s)."
    )
    assert plan_text(empty(document, changes=document["changes"][-1:]), DIGEST) == "Nothing to do. 1 resource matches."
    assert plan_text(empty(document, changes=[]), DIGEST) == "Nothing to do. No resource is declared here."
    assert "<b>Nothing to do</b>" in plan_html(empty(document), DIGEST)


def test_an_empty_plan_still_says_what_was_not_looked_at(document: dict[str, Any]) -> None:
    left = [{"address": "service.web", "declared_in": "services"}, {"address": "file.a", "declared_in": "main.cw"}]
    assert plan_text(empty(document, not_loaded=left), DIGEST).splitlines()[2:] == [
        "  not loaded service.web: cell 'services' has not been run here",
        "  not loaded file.a: file 'main.cw' was not read here",
    ]


@pytest.mark.parametrize("width", [80, 100, 140])
def test_long_cells_go_on_below_and_nothing_is_wider_than_the_terminal(document: dict[str, Any], width: int) -> None:
    first = document["changes"][0]
    needs = [
        "directory.site",
        "command.migrate_the_database_of_the_shop",
        "command.build_everything_again_from_scratch",
    ]
    long = {
        **document["changes"][3],
        "address": "command.migrate_the_database_of_the_shop",
        "describe": "sh -c " + "echo word; " * 9,
        "reason": "script changed; failed last time",
        "dependencies": needs,
        "risk": ["command", "network", "ports"],
    }
    other = {**first, "address": needs[2], "describe": "short", "dependencies": needs[:1]}
    output = {"name": "url", "before": "b" * 90, "after": "a" * 90, "sensitive": False}
    plan = {**document, "changes": [first, long, other], "outputs": [output]}
    text = plan_text(plan, DIGEST, width=width)
    rows = text.splitlines()[1:]
    assert max(map(columns_of, rows)) <= width
    for word in ("script changed; failed last time", "risk: command, network, ports", "forces replacement", "(was "):
        assert word in text
    assert "needs directory.site, command.migrate_the_database" in text
    begins = [
        row.index(word)
        for row in rows
        for word in ("out/site", "sh -c", "short")
        if row.startswith("  ") and word in row
    ]
    assert len(begins) == 3 and len(set(begins)) == 1, "what is in the second column is below each other"


def test_what_is_imported_and_differs_is_no_change_from_outside(document: dict[str, Any]) -> None:
    def shown(kind: str) -> str:
        change = {**document["changes"][4], "kind": kind, "imported": "out/motd"}
        return plan_text({**document, "changes": [change]}, DIGEST)

    assert "file.motd is not as it is declared (mode 0644 → 0666); this plan overwrites it" in shown("update")
    assert "the next apply overwrites it" in shown("import")


def test_destroy_and_targets_are_in_the_first_line(document: dict[str, Any]) -> None:
    gone = {**document["changes"][3], "kind": "delete", "attributes": [], "risk": ["destroy"], "reason": ""}
    plan = {**document, "changes": [gone], "destroy": True, "targets": ["service.web"], "drift": []}
    first, _, row = plan_text(plan, DIGEST).splitlines()[:3]
    assert first == "Destroy plan 4f1c9e2a · 1 to delete · only service.web · needs approval (destroy)"
    assert row == "  - delete   service.web                 process                  risk: destroy"


def test_checks_alone_need_no_approval(document: dict[str, Any]) -> None:
    check = {**document["changes"][0], "address": "check.up", "type": "check", "kind": "verify", "describe": "http"}
    plan = {**document, "changes": [check, *document["changes"][-7:]], "drift": [], "outputs": []}
    assert plan_text(plan, DIGEST).splitlines()[0] == "Plan 4f1c9e2a · 1 to verify, 7 unchanged"
    assert "needs approval" not in plan_html(plan, DIGEST)


def test_sensitive_and_unknown_values_stay_words(document: dict[str, Any]) -> None:
    secret = document["changes"][3]["attributes"][1]["before"]["$sensitive"]
    for shown in (plan_text(document, DIGEST), plan_html(document, DIGEST)):
        assert secret not in shown
        assert "(sensitive), another value" in shown
        assert "(known after apply)" in shown
        assert "$unknown" not in shown


def test_drift_says_what_the_plan_does_about_it(document: dict[str, Any]) -> None:
    def line(kind: str, *, gone: bool = False) -> str:
        drift = {**document["drift"][0], "gone": gone}
        change = {**document["changes"][4], "kind": kind}
        return plan_text({**document, "changes": [change, document["changes"][0]], "drift": [drift]}, DIGEST)

    assert "file.motd was changed outside (mode 0644 → 0666); this plan puts it back" in line("update")
    assert "this plan makes it again" in line("create", gone=True)
    assert "this plan deletes it" in line("delete")
    assert "it stays as it is" in line("noop")


def test_the_same_document_makes_the_same_bytes(document: dict[str, Any]) -> None:
    again = json.loads(json.dumps(document))
    assert plan_text(document, DIGEST) == plan_text(again, DIGEST)
    assert plan_html(document, DIGEST) == plan_html(again, DIGEST)


def test_colour_adds_nothing_but_colour(document: dict[str, Any]) -> None:
    import re

    colored = plan_text(document, DIGEST, color=True)
    assert re.sub(r"\x1b\[[0-9;]*m", "", colored) == plan_text(document, DIGEST)
    assert "\x1b[" in colored


def test_the_html_says_what_the_text_says(document: dict[str, Any]) -> None:
    html = plan_html(document, DIGEST)
    for words in (
        "2 create · 2 update · 1 replace · 7 unchanged", "needs approval: ports", "+ create", "± replace",
        "needs directory.site", "forces replacement", "then verify_http http://localhost:9090/ expects 200",
        "this plan puts it back", "has not been run here", "<del>8080</del> → <ins>9090</ins>", f'title="{DIGEST}"',
    ):  # fmt: skip
        assert words in html


def test_a_text_attribute_has_every_changed_line_in_the_html(document: dict[str, Any]) -> None:
    html = plan_html(document, DIGEST)
    assert "content, line by line" in html
    assert "-  &quot;port&quot;: 8080,\n+  &quot;port&quot;: 9090," in html


def many(count: int, document: dict[str, Any]) -> dict[str, Any]:
    base = document["changes"][1]
    changes = [{**base, "address": f"file.f{i}", "dependencies": [f"file.f{i - 1}"] if i else []} for i in range(count)]
    step = document["actions"]["steps"][1]
    steps = [{**step, "id": f"file.f{i}:write_file", "address": f"file.f{i}"} for i in range(count)]
    return {**document, "changes": changes, "actions": {"version": "1", "steps": steps}, "drift": []}


def calls(work: Any) -> int:
    """Return how many function calls *work* makes: a measure of work that no load on the machine changes."""
    count = 0

    def tick(_frame: Any, event: str, _arg: Any) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    sys.setprofile(tick)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("view", [plan_text, plan_html])
def test_a_thousand_steps_cost_twice_what_five_hundred_do(view: Any, document: dict[str, Any]) -> None:
    half, whole = (calls(lambda n=n: view(many(n, document), DIGEST)) for n in (500, 1_000))
    assert whole < 2.2 * half


def test_a_value_of_megabytes_is_shortened(document: dict[str, Any]) -> None:
    change = document["changes"][2]
    big = {"path": "content", "before": "a" * 2_000_000 + "1", "after": "a" * 2_000_000 + "2"}
    shown = plan_text({**document, "changes": [{**change, "attributes": [big]}]}, DIGEST)
    assert max(map(len, shown.splitlines())) < 160
    assert "1" in shown
    assert "→" in shown


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ('{"port": 8080}', '{"port": 9090}', ('{"port": 8080}', '{"port": 9090}')),
        ("x" * 50 + " old " + "y" * 50, "x" * 50 + " new " + "y" * 50, ("…xxxxxxxxx old yyyyyyyyy…", "…xxxxxxxxx new yyyyyyyyy…")),
        ("same", "same", ("same", "same")),
        ("abc", "abcd", ("abc", "abcd")),
        ("", "new", ("", "new")),
    ],
)  # fmt: skip
def test_only_what_changed_is_shown_with_a_little_around_it(before: str, after: str, expected: tuple[str, str]) -> None:
    old, new = changed_middle(before, after, 60)
    assert ("".join(old), "".join(new)) == expected


def test_values_read_like_the_configuration() -> None:
    assert value_text({"a": [1, True, None, "x\n"], "b": {}}) == '{a = [1, true, null, "x\\n"], b = {}}'


def test_a_check_says_what_it_looks_at() -> None:
    assert step_words({"args": {"url": "http://x/", "expect": 200}}) == "http://x/ expects 200"
    assert step_words({"args": {}, "reason": "the port answers"}) == "the port answers"
