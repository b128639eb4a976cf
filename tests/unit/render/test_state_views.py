"""The recorded state as people read it: a table, one entry, an edit to be asked about, the edits so far."""

from __future__ import annotations

from typing import Any

from clockwork_nb.render.state import edit_text, entry_text, history_text, state_list_text


def entry(address: str, status: str = "ok", **config: Any) -> dict[str, Any]:
    return {
        "address": address, "type": address.partition(".")[0], "config": config, "identity": {}, "declared_in": "main.cw",
        "dependencies": [], "status": status,
    }  # fmt: skip


def test_the_list_is_a_table_and_explains_each_status_once() -> None:
    shown = state_list_text([entry("file.a"), entry("service.web", "unknown"), entry("file.b", "unknown")], 7)
    assert shown.splitlines() == [
        "State     serial 7 · 3 resources",
        "",
        "  ADDRESS       TYPE      STATUS    DECLARED IN",
        "  file.a        file      ok        main.cw",
        "  service.web   service   unknown   main.cw",
        "  file.b        file      unknown   main.cw",
        "",
        "  unknown   a step was cut off; the next plan looks at what is there",
    ]


def test_colour_marks_what_is_not_well_and_moves_nothing() -> None:
    plain = state_list_text([entry("file.a"), entry("file.b", "failed")], 1)
    painted = state_list_text([entry("file.a"), entry("file.b", "failed")], 1, color=True)
    assert "\x1b[33mfailed\x1b[0m" in painted
    bare = painted
    for code in ("\x1b[33m", "\x1b[0m", "\x1b[2m"):
        bare = bare.replace(code, "")
    assert bare == plain


def test_nothing_recorded_and_nothing_under_that_name_are_two_things() -> None:
    assert "nothing was applied yet" in state_list_text([], 0)
    assert state_list_text([], 3) == "Nothing is recorded under that name."


def test_an_entry_leaves_out_what_is_not_set_and_masks_what_is_sealed() -> None:
    shown = entry_text(
        {
            **entry(
                "file.a", "tainted", content={"$sensitive": "ab" * 32}, source=None, vars={"k": {"$sensitive": "cd"}}
            ),
            "identity": {"kind": "file"},
        },
        ["file.b"],
    )
    assert shown.splitlines() == [
        "file.a",
        "  type          file",
        "  status        tainted   not to be relied on; the next apply does it again",
        "  declared in   main.cw",
        "  needed by     file.b",
        "",
        "  configuration",
        "    content  (sensitive)",
        "    vars     {k = (sensitive)}",
        "",
        "  as it was found",
        "    kind  \"file\"",
    ]  # fmt: skip


def test_an_edit_tells_what_stays_in_the_world_and_which_job_it_ends() -> None:
    item = {
        "address": "service.web",
        "what": "forget",
        "to": "",
        "entry": {**entry("service.web"), "identity": {"pid": 7}},
    }
    shown = edit_text({"serial_before": 3, "entries": [item], "forced": "", "unfinished": "job_x"})
    assert "  forget   service.web   pid 7" in shown
    assert "stays as it is, and nobody here looks after it any more" in shown
    assert "The job job_x is not at its end" in shown
    many = [{**item, "address": f"file.f{i}", "what": "change"} for i in range(150)]
    assert "… and 50 more" in edit_text({"serial_before": 3, "entries": many, "forced": "another lineage"})


def test_the_history_says_who_why_and_what_did_not_happen() -> None:
    edit = {
        "at": "2030-01-02T03:04:05.000000Z", "by": "ann", "via": "auto", "verb": "rm", "arguments": ["file.a", "file.b"],
        "outcome": "not done", "serial_before": 3, "serial_after": 4, "reason": "gone", "forced": "",
    }  # fmt: skip
    assert history_text([edit]).splitlines() == [
        "2030-01-02T03:04:05Z   3 → 4   state rm file.a file.b   (not done)",
        "    by ann   nobody was asked   gone",
    ]
    assert history_text([]) == "Nobody has edited this state by hand."
