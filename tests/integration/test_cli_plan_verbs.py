"""``moved``, ``import``, ``removed``, ``drift`` and the flags of a plan, through the command, with their exit statuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clockwork_nb.forge.lock import LOCK_NAME
from clockwork_nb.testing.project import Project


def file(name: str, content: str = "x", *, path: str = "", more: str = "") -> str:
    return f'file "{name}" {{\n  path    = "out/{path or name}"\n  content = "{content}"\n{more}}}\n'


def kinds(project: Project, *flags: str) -> dict[str, str]:
    return {c["address"]: c["kind"] for c in project.run("plan", "--json", *flags).json["changes"]}


def recorded(project: Project) -> list[str]:
    return [r["address"] for r in project.run("show", "--json").json["resources"]]


def snapshot(root: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


# --- moved, import, removed


def test_a_renamed_block_moves_and_nothing_is_written(project: Project) -> None:
    project.write({"main.cw": file("a") + file("user", more="  depends_on = [file.a]\n")})
    project.run("apply", "--auto-approve")
    before = (project.folder / "out/a").stat()
    renamed = file("b", path="a") + file("user", more="  depends_on = [file.b]\n")
    moved = "moved {\n  from = file.a\n  to   = file.b\n}\n"
    project.write({"main.cw": renamed})
    assert kinds(project)["file.b"] == "create"
    project.write({"main.cw": renamed + moved})
    shown = project.run("plan", "--detailed-exitcode", expect=2)
    assert "→ move     file.b" in shown.out and "moved from file.a" in shown.out
    project.run("apply", "--auto-approve")
    after = (project.folder / "out/a").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert recorded(project) == ["file.b", "file.user"]
    entries = project.run("show", "--json").json["resources"]
    assert [e["dependencies"] for e in entries if e["address"] == "file.user"] == [["file.b"]]
    project.run("plan", "--detailed-exitcode")
    project.write({"main.cw": renamed})
    project.run("plan", "--detailed-exitcode")


def test_a_move_survives_the_failure_of_the_same_plan_and_its_order(project: Project) -> None:
    project.write({"main.cw": file("a") + file("user", more="  depends_on = [file.a]\n")})
    project.run("apply", "--auto-approve")
    moved = "moved {\n  from = file.a\n  to   = file.b\n}\n"
    failing = 'command "no" {\n  script = "exit 3"\n}\n'
    project.write({"main.cw": file("b", path="a") + file("user", more="  depends_on = [file.b]\n") + moved + failing})
    project.run("apply", "--auto-approve", expect=1)
    entries = {e["address"]: e for e in project.run("show", "--json").json["resources"]}
    assert "file.a" not in entries and entries["file.user"]["dependencies"] == ["file.b"]
    project.write({"main.cw": moved.replace("file.b", "file.c") + file("c")})
    steps = project.run("plan", "--json").json["actions"]["steps"]
    order = [s["id"] for s in steps]
    assert order.index("file.user:remove_file") < order.index("file.b:remove_file")


def test_an_existing_file_is_taken_over_as_it_is_or_put_right_or_refused(project: Project) -> None:
    block = 'import {\n  to = file.a\n  id = "out/a"\n}\n'
    project.write({"main.cw": file("a", "mine") + block})
    refused = project.run("plan", "--json", expect=6)
    assert refused.json["diagnostics"][0]["code"] == "cw-import" if refused.out else "cw-import" in refused.err
    project.write({"out/a": "mine"})
    (project.folder / "out/a").chmod(0o644)
    before = (project.folder / "out/a").stat()
    assert kinds(project) == {"file.a": "import"}
    project.run("apply", "--auto-approve")
    after = (project.folder / "out/a").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    project.run("plan", "--detailed-exitcode")
    project.write({"out/b": "theirs"})
    project.write(
        {"main.cw": file("a", "mine") + file("b", "ours") + block + block.replace("/a", "/b").replace(".a", ".b")}
    )
    planned = project.run("plan").out
    assert "risk: overwrite" in planned and "file.b is not as it is declared" in planned
    shown = project.run("apply", "--auto-approve")
    assert "taken over" in shown.out and (project.folder / "out/b").read_text() == "ours"
    assert any(p.read_text() == "theirs" for p in (project.folder / "out").glob("b*")), "what was there is kept"
    project.write({"main.cw": file("a", "mine") + block.replace("out/a", "out/else")})
    project.run("plan", "--exclude", "file.b")


def test_removed_without_destroy_forgets_and_leaves_the_file_also_on_destroy(project: Project) -> None:
    project.write({"main.cw": file("a") + file("b")})
    project.run("apply", "--auto-approve")
    keep = "removed {\n  from = file.a\n  lifecycle {\n    destroy = false\n  }\n}\n"
    project.write({"main.cw": file("b") + keep})
    assert kinds(project)["file.a"] == "forget"
    assert kinds(project, "--destroy") == {"file.a": "forget", "file.b": "delete"}
    project.run("destroy", "--auto-approve")
    assert (project.folder / "out/a").exists() and not (project.folder / "out/b").exists()
    assert recorded(project) == []


def test_removed_destroys_the_file(project: Project) -> None:
    project.write({"main.cw": file("a")})
    project.run("apply", "--auto-approve")
    project.write({"main.cw": "removed { from = file.a }\n"})
    project.run("apply", "--auto-approve")
    assert not (project.folder / "out/a").exists() and recorded(project) == []


# --- drift


def test_drift_tells_by_its_exit_status_and_writes_nothing(project: Project) -> None:
    project.write({"main.cw": file("a") + file("b")})
    assert project.run("drift", "--json").json["observed"] == 0
    project.run("apply", "--auto-approve")
    before = snapshot(project.root)
    clean = project.run("drift", "--json")
    assert clean.json["drift"] == [] and clean.json["unclear"] == [] and clean.json["observed"] == 2
    (project.folder / "out/a").write_text("other")
    (project.folder / "out/b").unlink()
    for words in (["drift"], ["plan", "--refresh-only"]):
        found = project.run(*words, "--json", expect=14)
        assert [(d["address"], d["gone"]) for d in found.json["drift"]] == [("file.a", False), ("file.b", True)]
        assert found.json["schema"] == "clockwork.drift.v1"
        told = project.run(*words, expect=14)
        assert "file.a" in told.out and "file.b" in told.out
    assert {k: v for k, v in snapshot(project.root).items() if "/out/" not in k} == {
        k: v for k, v in before.items() if "/out/" not in k
    }, "looking writes nothing"


def test_drift_of_chosen_resources_only(project: Project) -> None:
    project.write({"main.cw": file("a") + file("b", more="  depends_on = [file.a]\n")})
    project.run("apply", "--auto-approve")
    (project.folder / "out/b").write_text("other")
    assert project.run("drift", "--target", "file.a", "--json").json["observed"] == 1
    project.run("drift", "--exclude", "file.b", "--json")
    project.run("drift", "--target", "file.*", "--json", expect=14)
    refused = project.run("drift", "--target", "file.c", "--json", expect=6)
    assert refused.error["details"]["near"]


def test_drift_is_of_what_was_applied_not_of_what_is_declared_by_now(project: Project) -> None:
    project.write({"main.cw": file("a")})
    project.run("apply", "--auto-approve")
    project.write({"main.cw": file("a", "declared differently")})
    assert project.run("drift", "--json").json["drift"] == []
    project.write({"main.cw": file("b", path="a") + "moved {\n  from = file.a\n  to   = file.b\n}\n"})
    (project.folder / "out/a").write_text("other")
    found = project.run("drift", "--json", expect=14).json
    assert [d["address"] for d in found["drift"]] == ["file.b"]


@pytest.mark.parametrize("damage", ["{", '{"schema": "clockwork.state.v9"}', ""])
def test_drift_of_a_damaged_state_is_an_error_and_no_all_clear(project: Project, damage: str) -> None:
    project.write({"main.cw": file("a")})
    project.run("apply", "--auto-approve")
    (state,) = project.folder.rglob("state.json")
    state.write_text(damage)
    done = project.run("drift", "--json", expect=None)
    assert done.status not in {0, 14} and done.error["code"].startswith("E_") and "Traceback" not in done.err


def test_drift_where_something_else_stands_in_the_place(project: Project) -> None:
    project.write({"main.cw": file("a")})
    project.run("apply", "--auto-approve")
    place = project.folder / "out/a"
    place.unlink()
    place.mkdir()
    assert project.run("drift", expect=None).status in {0, 14}
    found = project.run("drift", "--json", expect=None).json
    assert [d["address"] for d in (*found["drift"], *found["unclear"])] == ["file.a"]
    place.rmdir()
    place.symlink_to("a")
    found = project.run("drift", "--json", expect=None).json
    assert [d["address"] for d in (*found["drift"], *found["unclear"])] == ["file.a"]


def test_a_configuration_with_a_mistake_has_no_drift_but_an_error(project: Project) -> None:
    project.write({"main.cw": "file {"})
    assert project.run("drift", expect=6).status == 6
    project.write({"main.cw": ""})
    project.run("plan", "--refresh-only", "--out", "plan.json", expect=6)
    assert not (project.folder / "plan.json").exists()


# --- flags and saved plans


def test_replace_makes_anew_and_prevent_destroy_forbids_it(project: Project) -> None:
    guard = "  lifecycle {\n    prevent_destroy = true\n  }\n"
    project.write({"main.cw": file("a") + file("b", more=guard)})
    project.run("apply", "--auto-approve")
    assert kinds(project, "--replace", "file.a") == {"file.a": "replace", "file.b": "noop"}
    for words in (
        ["plan", "--replace", "file.*"],
        ["apply", "--replace", "file.b", "--auto-approve"],
        ["plan", "--destroy"],
    ):
        refused = project.run(*words, expect=None)
        assert "file.b would be" in refused.err and "prevent_destroy" in refused.err and refused.status not in {0, 2}
    project.run("plan", "--replace", "file.nope", expect=6)
    done = project.run("apply", "--replace", "file.a", "--auto-approve", "--json").json
    assert done["done"] == 2
    assert (project.folder / "out/a").read_text() == "x"


def test_replace_of_what_cannot_be_replaced_is_refused_with_the_reason(project: Project) -> None:
    project.write({"main.cw": file("a") + file("b") + 'check "c" {\n  command = ["true"]\n}\n'})
    project.run("apply", "--auto-approve")
    refused = project.run("plan", "--replace", "check.c", expect=6).err
    assert '"check.c" cannot be replaced: a check makes nothing' in refused and "clockwork verify" in refused
    for flags in (["--target", "file.b"], ["--exclude", "file.a"]):
        left_out = project.run("plan", "--replace", "file.a", *flags, expect=6).err
        assert '"file.a" cannot be replaced: this plan leaves it out' in left_out
    assert "not made anew" in project.run("destroy", "--replace", "file.a", "--auto-approve", expect=6).err
    # Of a pattern that much fits, what the plan is about is replaced.
    assert kinds(project, "--replace", "*", "--target", "file.b") == {"file.b": "replace"}


def test_a_saved_plan_keeps_its_flags_and_takes_no_others(project: Project) -> None:
    project.write({"main.cw": file("a") + file("b") + file("c")})
    project.run("apply", "--auto-approve")
    project.write({"main.cw": file("a") + file("b", "2") + file("c", "2")})
    project.run("plan", "--replace", "file.a", "--exclude", "file.c", "--out", "plan.json")
    saved = json.loads((project.folder / "plan.json").read_text())
    assert (saved["excluded"], saved["replace"]) == (["file.c"], ["file.a"])
    shown = project.run("show", "plan.json").out
    assert "without file.c" in shown and "asked for with --replace" in shown
    for flag in ("--target", "--exclude", "--replace"):
        project.run("apply", "plan.json", flag, "file.a", "--auto-approve", expect=6)
    project.run("apply", "plan.json", "--auto-approve")
    assert [(project.folder / "out" / n).read_text() for n in "abc"] == ["x", "2", "x"]


def test_a_stale_saved_plan_says_what_moved_and_leaves_the_lock_free(project: Project) -> None:
    project.write({"main.cw": file("a") + file("b")})
    project.run("apply", "--auto-approve")
    project.run("plan", "--replace", "file.a", "--out", "plan.json")
    project.write({"main.cw": file("a") + file("b", "2")})
    refused = project.run("apply", "plan.json", "--auto-approve", "--json", expect=13)
    assert refused.error["code"] == "E_PLAN_STALE"
    assert any("file.b" in line for line in refused.error["details"]["moved"])
    project.run("apply", "--auto-approve")
    again = project.run("apply", "plan.json", "--auto-approve", "--json", expect=13)
    assert any("the state moved on" in line for line in again.error["details"]["moved"])
    for lock in project.folder.rglob(LOCK_NAME):
        assert not lock.read_bytes().strip(), "nobody holds it"
    project.run("apply", "--auto-approve", "--replace", "file.a")


def test_a_saved_plan_of_a_move_is_stale_once_it_was_made(project: Project) -> None:
    project.write({"main.cw": file("a")})
    project.run("apply", "--auto-approve")
    project.write({"main.cw": file("b", path="a") + "moved {\n  from = file.a\n  to   = file.b\n}\n"})
    project.run("plan", "--out", "plan.json")
    project.run("apply", "plan.json", "--auto-approve")
    refused = project.run("apply", "plan.json", "--auto-approve", "--json", expect=13)
    assert "file.b: was move and is unchanged now" in refused.error["details"]["moved"]


def test_next_lines_repeat_the_flags(project: Project) -> None:
    project.write({"main.cw": file("a") + file("b")})
    project.run("apply", "--auto-approve")
    shown = project.run("plan", "--replace", "file.a*", "--exclude", "file.b").out
    assert "clockwork apply --exclude=file.b '--replace=file.a*'" in shown


def test_a_failed_apply_keeps_the_free_ports_it_gave_out(project: Project) -> None:
    port = 'free_port("p")'
    service = (
        f'service "p" {{\n  command = ["python3", "-m", "http.server", {port}, "--bind", "127.0.0.1"]\n'
        f"  port    = {port}\n}}\n"
    )
    failing = 'command "no" {\n  script     = "exit 3"\n  depends_on = [service.p]\n}\n'
    project.write({"main.cw": service + failing})
    try:
        project.run("apply", "--auto-approve", expect=1)
        assert kinds(project) == {"command.no": "update", "service.p": "noop"}
        project.write({"main.cw": service})
        project.run("verify")
    finally:
        project.run("destroy", "--auto-approve")


def test_a_failed_apply_records_the_outputs_of_what_was_done(project: Project) -> None:
    good = file("a", "x") + 'output "a" { value = local.where }\nlocals { where = "at ${file.a.path}" }\n'
    bad = 'command "bad" {\n  script = "test -e out/ok"\n}\noutput "b" { value = command.bad.script }\n'
    project.write({"main.cw": good + bad + 'output "c" { value = "plain" }\n'})
    project.run("apply", "--auto-approve", expect=1)
    told = {o["name"]: o["value"] for o in project.run("output", "--json").json}
    assert told == {"a": "at out/a", "c": "plain"}
    # What changes meanwhile but stands on something that fails keeps the value it had.
    project.write({"out/ok": "", "main.cw": good + bad})
    project.run("apply", "--auto-approve")
    assert project.run("output", "b").out.strip() == "test -e out/ok"
    project.write({"main.cw": good.replace("at $", "in $") + bad.replace("out/ok", "out/no")})
    project.run("apply", "--auto-approve", expect=1)
    told = {o["name"]: o["value"] for o in project.run("output", "--json").json}
    assert told == {"a": "in out/a", "b": "test -e out/ok"}
    job = project.jobs()[0]["id"]
    project.write({"out/no": ""})
    project.run("job", "resume", job)
    assert project.run("output", "b").out.strip() == "test -e out/no"


def test_drift_may_ask_terraform_where_that_is_allowed(project: Project) -> None:
    project.write({"main.cw": file("a")})
    project.run("apply", "--auto-approve")
    assert "No drift" in project.run("drift", "--allow-data", "terraform").out
    project.run("drift", "--allow-data", "nothing", expect=6)


@pytest.mark.parametrize("block", ["removed {\n  from = file.b\n}\n", "moved {\n  from = file.b\n  to   = file.a\n}\n"])
def test_import_writes_no_block_that_another_one_contradicts(project: Project, block: str) -> None:
    project.write({"main.cw": file("a") + block, "out/b": "x"})
    before = snapshot(project.root)
    refused = project.run("import", "file.b", "out/b", "--write", "imported.cw", "--auto-approve", expect=6)
    assert "Nothing was written" in refused.err and "says that file.b is declared no more" in refused.err
    assert snapshot(project.root) == before
