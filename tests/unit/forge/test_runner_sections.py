"""A section from the first intent to the last result, with real scripts, a real launcher and a real log."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from clockwork_nb.assembly.plan import OutputChange
from clockwork_nb.canonical import canonical_json, sha256_hex
from clockwork_nb.clock import SystemClock
from clockwork_nb.errors import (
    AcceptTestError,
    AdapterFailedError,
    ArtifactChangedError,
    PlanStaleError,
    StepTimeoutError,
    UnsafeOperationError,
)
from clockwork_nb.forge.bundle import Bundle
from clockwork_nb.forge.state import StateFile
from clockwork_nb.jobs import approval, commands
from clockwork_nb.ports import Draft, Observation, ObserveContext
from clockwork_nb.secrets import Sensitive
from tests.unit.forge.section_kit import Bench, Spec, ThingType, bench, make_plan, write


@pytest.fixture
def b(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        yield made


def by_step(events: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {e["step_id"]: e for e in events}


def order(b: Bench) -> list[str]:
    return [f"{e.type} {e.payload['step_id']}" for e in b.events("step.") if e.type != "step.output"]


def test_a_section_that_works(b: Bench) -> None:
    plan = make_plan(write("a", "one"), Spec("b", {"make": "cat out/a\n"}, needs=("a",)))
    result = b.apply(plan, parallelism=1)
    assert result.error is None
    assert result.done == ("thing.a:make", "thing.b:make")
    assert (b.root / "out/a").read_text() == "one"
    assert order(b) == [
        "step.started thing.a:make",
        "step.completed thing.a:make",
        "step.started thing.b:make",
        "step.completed thing.b:make",
    ]
    done = by_step(b.payloads("step.completed"))
    assert done["thing.a:make"]["note"] == "wrote a"
    assert done["thing.b:make"]["note"] == "one"
    assert done["thing.a:make"]["exit_code"] == 0
    state = b.state()
    assert state == result.state
    assert state["serial"] == 1
    assert [(e["address"], e["status"]) for e in state["resources"]] == [("thing.a", "ok"), ("thing.b", "ok")]
    assert state["resources"][0]["identity"] == {"found": "one", "inode": (b.root / "out/a").stat().st_ino}
    assert state["resources"][1]["dependencies"] == ["thing.a"]
    assert state["last"] == {"job": b.job.job_id, "section": 1, "seq": b.events()[-1].seq}
    assert [e.seq for e in b.seen] == sorted(e.seq for kind in ("step.", "budget.") for e in b.events(kind))


def test_the_intent_says_what_will_run(b: Bench) -> None:
    b.apply(make_plan(Spec("a", {"make": {"script": "exit 0\n", "words": ("it's",)}}, timeout_s=7, idempotent=True)))
    started = b.payloads("step.started")[0]
    script = b.workspace / "build" / started["artifact"]
    assert started["command"] == "sh scripts/thing.a/make.sh 'it'\"'\"'s'"
    assert started["artifact_sha256"] == sha256_hex(script.read_bytes())
    assert (started["timeout_ms"], started["idempotent"], started["class"]) == (7000, True, "confined")
    assert (started["index"], started["attempt"]) == (1, 1)


def test_an_entry_carries_everything_the_state_needs(b: Bench) -> None:
    b.apply(make_plan(write("a", "x")))
    entry = json.loads(b.payloads("step.completed")[0]["entry"])
    resource = b.state()["resources"][0]
    assert entry == {"address": "thing.a", "resource": {k: v for k, v in resource.items() if k != "address"}}


def test_a_large_entry_becomes_a_blob(b: Bench) -> None:
    after = {"path": "out/a", "content": "x", "note": "n" * 20_000}
    plan = make_plan(Spec("a", {"make": {"script": "printf x > out/a\n", "write": ("out/x",)}}, after=after))
    assert b.apply(plan).error is None
    done = b.payloads("step.completed")[0]
    assert "entry" not in done
    assert json.loads(b.job.get_blob(done["entry_blob"]))["resource"]["config"] == after
    assert b.state()["resources"][0]["config"] == after


def test_output_is_kept_as_blobs_and_in_the_log_files(b: Bench) -> None:
    b.apply(make_plan(Spec("a", {"make": "echo out; echo err >&2\n"}), Spec("q", {"make": "exit 0\n"})))
    out = {(e["step_id"], e["stream"]): e for e in b.payloads("step.output")}
    assert set(out) == {("thing.a:make", "out"), ("thing.a:make", "err")}
    assert b.job.get_blob(out["thing.a:make", "err"]["blob"]) == b"err\n"
    assert out["thing.a:make", "out"]["bytes"] == 4
    logs = b.workspace / "logs" / b.job.job_id
    assert sorted(p.name for p in logs.iterdir()) == ["thing.a-make.err", "thing.a-make.out"]


def test_a_failure_is_told_with_its_end_and_skips_what_needs_it(b: Bench) -> None:
    plan = make_plan(
        Spec("db", {"make": "echo starting; echo 'FATAL: no luck' >&2; exit 3\n"}),
        Spec("api", {"make": "touch out/never\n"}, needs=("db",)),
        Spec("web", {"make": "touch out/never\n"}, needs=("api",)),
        write("motd", "hi"),
    )
    result = b.apply(plan)
    assert (result.done, result.failed) == (("thing.motd:make",), ("thing.db:make",))
    assert result.skipped == ("thing.api:make", "thing.web:make")
    failed = b.payloads("step.failed")[0]
    assert (failed["code"], failed["exit_code"], failed["note"]) == ("E_ADAPTER_FAIL", 3, "exit 3")
    assert failed["tail"] == "FATAL: no luck\n"
    assert failed["log"] == f".clockwork/logs/{b.job.job_id}/thing.db-make.err"
    assert (b.root / failed["log"]).read_text() == failed["tail"]
    assert {e["step_id"]: e["reason"] for e in b.payloads("step.skipped")} == {
        "thing.api:make": "needs thing.db",
        "thing.web:make": "needs thing.db",
    }
    assert not (b.root / "out/never").exists()
    assert {e["address"]: e["status"] for e in b.state()["resources"]} == {"thing.db": "failed", "thing.motd": "ok"}
    assert isinstance(result.error, AdapterFailedError)
    assert "1 done, 1 failed, 2 skipped" in result.error.message
    assert f"clockwork job resume {b.job.job_id}" in result.error.hint


def test_shell_messages_name_the_script_as_people_know_it(b: Bench) -> None:
    result = b.apply(make_plan(Spec("a", {"make": "nosuchcommand\n"})))
    tail = b.payloads("step.failed")[0]["tail"]
    assert tail.startswith("scripts/thing.a/make.sh: ")
    assert "/proc/self/fd" not in tail
    assert result.failed == ("thing.a:make",)


def test_going_on_after_a_failure_runs_only_what_is_left(b: Bench) -> None:
    gate = b.root / "gate"
    plan = make_plan(
        write("first", "1"),
        Spec("db", {"make": "test -e gate\n"}),
        Spec("api", {"make": "exit 0\n"}, needs=("db",)),
    )
    document, bundle = b.bind(plan)
    first = b.run(document, bundle)
    gate.touch()
    again = b.run(document, bundle, done=first.done, attempts={"thing.db:make": 1})
    assert again.error is None
    assert again.done == ("thing.db:make", "thing.api:make")
    assert [(e["step_id"], e["attempt"]) for e in b.payloads("step.started")][-2:] == [
        ("thing.db:make", 2),
        ("thing.api:make", 1),
    ]
    assert [(e["step_id"], e["attempt"]) for e in b.payloads("step.retried")] == [("thing.db:make", 2)]
    state = b.state()
    assert {e["status"] for e in state["resources"]} == {"ok"}
    assert state["serial"] == 1  # one section, one step of the serial


def test_a_step_that_ends_well_without_its_result_has_failed(b: Bench) -> None:
    missing = Spec("a", {"make": "exit 0\n"}, after={"path": "out/a", "content": "x"})
    wrong = Spec(
        "b", {"make": {"script": "printf y > out/b\n", "write": ("out/x",)}}, after={"path": "out/b", "content": "x"}
    )
    result = b.apply(make_plan(missing, wrong))
    notes = {e["step_id"]: e["note"] for e in b.payloads("step.failed")}
    assert notes["thing.a:make"] == "it is not there after the step: not there"
    assert notes["thing.b:make"] == "the step ended well, but content is y, not x"
    assert set(result.failed) == {"thing.a:make", "thing.b:make"}


def test_the_real_configuration_is_looked_at_when_the_caller_has_it(b: Bench) -> None:
    plan = make_plan(
        Spec("a", {"make": {"script": "printf y > out/a\n", "write": ("out/x",)}}, after={"path": "out/a"})
    )
    result = b.apply(plan, configs={"thing.a": {"path": "out/a", "content": "x"}})
    assert result.failed == ("thing.a:make",)


class Telling(ThingType):
    """Tells a digest of the content when it is given the content itself, as a file does."""

    def observe(
        self, config: Mapping[str, Any], recorded: Mapping[str, Any] | None, context: ObserveContext
    ) -> Observation:
        told = {"sha256": sha256_hex(config["key"].encode())} if isinstance(config["key"], str) else {}
        return Observation(True, {"seen": "yes", **told})


def test_the_digest_of_a_secret_is_not_recorded(b: Bench) -> None:
    plan = make_plan(Spec("a", {"make": "exit 0\n"}, after={"key": Sensitive("hunter2")}))
    result = b.apply(plan, configs={"thing.a": {"key": "hunter2"}}, types={"thing": Telling()})
    assert result.error is None
    assert b.state()["resources"][0]["identity"] == {"seen": "yes"}


def test_a_deletion_empties_the_entry_and_checks_that_it_is_gone(b: Bench) -> None:
    assert b.apply(make_plan(write("a", "1"), write("keep", "1"), write("foreign", "1"))).error is None
    state = b.state()
    before = {"path": "out/a", "content": "1"}
    plan = make_plan(
        Spec("a", {"drop": {"script": "rm out/a\n", "write": ("out/x",)}}, kind="delete", before=before),
        Spec("keep", {"drop": "exit 0\n"}, kind="delete", before={"path": "out/keep"}),
        Spec("foreign", {"drop": "echo 'left in place: not ours'\n"}, kind="delete", before={"path": "out/foreign"}),
        lineage=state["lineage"],
        serial=1,
    )
    result = b.apply(plan)
    assert result.failed == ("thing.keep:drop",)
    assert "still there" in b.payloads("step.failed")[0]["note"]
    assert {e["address"]: e["status"] for e in b.state()["resources"]} == {"thing.keep": "failed"}
    assert b.state()["serial"] == 2
    assert json.loads(StateFile(b.workspace).backup_path.read_bytes())["serial"] == 1


def test_several_steps_of_one_resource_count_as_done_with_the_last(b: Bench) -> None:
    plan = make_plan(Spec("a", {"ensure": "exit 0\n", "verify_http": "echo refused >&2; exit 1\n"}))
    result = b.apply(plan)
    assert isinstance(result.error, AcceptTestError)
    entry = b.state()["resources"][0]
    assert (entry["address"], entry["status"]) == ("thing.a", "failed")
    assert json.loads(b.payloads("step.completed")[0]["entry"])["resource"]["status"] == "unknown"


def test_a_section_of_checks_alone_leaves_the_state_untouched(b: Bench) -> None:
    assert b.apply(make_plan(write("a", "1"))).error is None
    before = StateFile(b.workspace).path.read_bytes()
    plan = make_plan(Spec("a", {"verify_http": "exit 1\n"}, kind="verify", after=None), lineage="another", serial=99)
    result = b.apply(plan)
    assert isinstance(result.error, AcceptTestError)
    assert result.error.exit_code == 5
    assert StateFile(b.workspace).path.read_bytes() == before


def test_a_check_that_is_due_is_recorded_with_how_it_went(b: Bench) -> None:
    good, bad = ({"verify_http": f"exit {code}\n"} for code in (0, 1))
    result = b.apply(make_plan(Spec("good", good, kind="verify"), Spec("bad", bad, kind="verify")))
    assert isinstance(result.error, AcceptTestError)
    assert {e["address"]: e["status"] for e in b.state()["resources"]} == {"thing.bad": "failed", "thing.good": "ok"}


def test_forgotten_and_moved_resources_outputs_and_ports_are_recorded_at_the_end(b: Bench) -> None:
    assert b.apply(make_plan(write("a", "1"), write("b", "1"))).error is None
    lineage = b.state()["lineage"]
    outputs = (
        OutputChange("url", None, "http://x"),
        OutputChange("gone", "x", None),
        OutputChange("key", None, Sensitive("k"), True),
    )
    plan = make_plan(
        write("c", "1"),
        Spec("a", {}, kind="forget"),
        Spec("b", {}, kind="noop", needs=("c",)),
        lineage=lineage,
        serial=1,
        outputs=outputs,
        ports={"web": 8080},
    )
    assert b.apply(plan).error is None
    state = b.state()
    assert [e["address"] for e in state["resources"]] == ["thing.b", "thing.c"]
    assert state["resources"][0]["dependencies"] == ["thing.c"]
    assert [(o["name"], o["sensitive"]) for o in state["outputs"]] == [("key", True), ("url", False)]
    assert "k" != state["outputs"][0]["value"]
    assert state["ports"] == [{"name": "web", "port": 8080}]


def test_a_failed_section_leaves_outputs_as_they_were(b: Bench) -> None:
    plan = make_plan(Spec("a", {"make": "exit 1\n"}), outputs=(OutputChange("url", None, "http://x"),))
    b.apply(plan)
    assert b.state()["outputs"] == []


def test_a_timeout_has_its_own_code(b: Bench) -> None:
    result = b.apply(make_plan(Spec("a", {"make": "echo begun; sleep 30\n"}, timeout_s=25)), timeout_override=1)
    failed = b.payloads("step.failed")[0]
    assert (failed["code"], failed["note"], failed["tail"]) == ("E_TIMEOUT", "stopped after 1 s", "begun\n")
    assert b.payloads("step.started")[0]["timeout_ms"] == 1000
    assert isinstance(result.error, StepTimeoutError)


def test_the_environment_is_clean(b: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY_TOKEN", "leaked")
    script = {"script": "env | cut -d= -f1 | sort; pwd\n", "vars": {"CW_GIVEN": "x"}}
    b.apply(make_plan(Spec("a", {"make": script})))
    said = b.job.get_blob(b.payloads("step.output")[0]["blob"]).decode().split()
    assert set(said[:-1]) == {
        "CW_FENCING_TOKEN", "CW_GIVEN", "CW_IDEMPOTENCY_KEY", "CW_METER", "HOME", "LANG", "PATH", "PWD", "TMPDIR", "TZ",
    }  # fmt: skip
    assert said[-1] == str(b.root)


def test_the_home_of_a_step_is_private_and_gone_afterwards(b: Bench) -> None:
    script = 'echo x > "$HOME/x" && mkdir -p "$TMPDIR/deep/er" && echo "$HOME"\n'
    b.apply(make_plan(Spec("a", {"make": script}), Spec("b", {"make": script})))
    homes = {e["note"] for e in b.payloads("step.completed")}
    assert len(homes) == 2
    assert not any(Path(h).exists() or Path(h).parent.exists() for h in homes)


def test_private_folders_of_killed_runs_are_swept_and_those_in_use_are_not(
    b: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = tmp_path / "temporary"
    base.mkdir()
    monkeypatch.setenv("TMPDIR", str(base))
    dead, alive, fresh = (base / f"clockwork-steps-{n}" for n in ("dead", "alive", "fresh"))
    for folder in (dead, alive, fresh):
        (folder / "1").mkdir(parents=True)
    for folder in (dead, alive):
        os.utime(folder, (1_000_000_000, 1_000_000_000))
    held = os.open(alive, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    try:
        assert b.apply(make_plan(Spec("a", {"make": "exit 0\n"}))).error is None
    finally:
        os.close(held)
    assert sorted(base.iterdir()) == [alive, fresh]


def test_a_view_that_breaks_does_not_break_the_run(b: Bench, caplog: pytest.LogCaptureFixture) -> None:
    told: list[str] = []

    class Broken(list[Any]):
        def append(self, event: Any) -> None:
            told.append(event.type)
            raise ValueError("cannot draw this")

    b.seen = Broken()
    assert b.apply(make_plan(write("a", "1"))).error is None
    assert told == ["step.started"]
    assert "told nothing more" in caplog.text


def test_a_log_file_that_cannot_be_written_is_said_and_the_evidence_is_kept(b: Bench) -> None:
    (b.workspace / "logs").mkdir()
    (b.workspace / "logs" / b.job.job_id).symlink_to(b.root / "nowhere")
    assert b.apply(make_plan(Spec("a", {"make": "echo hello\n"}))).error is None
    assert b.payloads("step.completed")[0]["note"] == "hello (the log file could not be written)"
    assert b.job.get_blob(b.payloads("step.output")[0]["blob"]) == b"hello\n"


def test_fencing_token_and_idempotency_key(b: Bench) -> None:
    plan = make_plan(Spec("a", {"make": 'echo "$CW_FENCING_TOKEN $CW_IDEMPOTENCY_KEY"\n'}))
    b.apply(plan)
    job = b.job.job_id
    assert b.payloads("step.completed")[0]["note"] == f"{job}:{b.job.epoch} {job}:thing.a:make:{plan.digest}"


def test_data_and_secrets_come_as_files_and_secrets_stay_out_of_everything_written(b: Bench) -> None:
    secret, password = "correct-horse-battery", "p\u00e4ss wort;$(x)\n"
    script = {
        "script": 'cat "$CW_TEXT" "$CW_KEY" > out/all; cat "$TOKEN" >> out/all\ncat "$CW_KEY"; cat "$TOKEN" >&2; exit "$1"\n',
        "data": {"CW_TEXT": "plain\n", "CW_KEY": Sensitive(secret)},
        "secret_vars": {"TOKEN": Sensitive(password)},
        "write": ("out/x",),
        "words": ("0",),
    }
    failing = {**script, "words": ("1",)}
    result = b.apply(make_plan(Spec("a", {"make": script}), Spec("b", {"make": failing}, needs=("a",))))
    assert result.failed == ("thing.b:make",)
    assert (b.root / "out/all").read_text() == f"plain\n{secret}{password}"
    (b.root / "out/all").unlink()
    for path in [*b.root.rglob("*"), *b.home.rglob("*")]:
        if path.is_file():
            found = path.read_bytes()
            assert secret.encode() not in found, path
            assert password.strip().encode() not in found, path
    assert "(sensitive)" in b.payloads("step.failed")[0]["tail"]
    assert b.payloads("step.completed")[0]["note"] == "(sensitive)"


def test_a_step_cannot_touch_the_workspace_or_what_it_did_not_declare(b: Bench) -> None:
    if b.context().confinement.tier != "standard":
        pytest.skip("this machine offers no Landlock")
    (b.root / "private").mkdir()
    script = "echo x > private/x; echo x > .clockwork/x; cat .clockwork/state.json; echo x > out/fine\n"
    result = b.apply(make_plan(Spec("a", {"make": {"script": script, "write": ("out/x",)}})))
    assert result.error is None
    assert list((b.root / "private").iterdir()) == []
    assert not (b.workspace / "x").exists()
    assert (b.root / "out/fine").exists()
    assert {e["stream"] for e in b.payloads("step.output")} == {"err"}


def test_wanting_to_write_where_none_may_stops_everything_before_it_starts(b: Bench) -> None:
    plan = make_plan(
        write("a", "1"), Spec("evil", {"make": {"script": "exit 0\n", "write": (".clockwork/state.json",)}})
    )
    with pytest.raises(UnsafeOperationError):
        b.apply(plan)
    assert b.events("step.") == []
    assert not (b.root / "out/a").exists()


def test_a_folder_that_an_earlier_step_makes_may_be_written_by_a_later_one(b: Bench) -> None:
    plan = make_plan(
        Spec("dir", {"make": {"script": "mkdir fresh\n", "write": ("fresh/",)}}),
        Spec("in", {"make": {"script": "echo x > fresh/x\n", "write": ("fresh",)}}, needs=("dir",)),
    )
    assert b.apply(plan).error is None
    assert (b.root / "fresh/x").exists()


def test_a_path_that_cannot_be_given_after_all_fails_its_step_and_says_what_to_do(b: Bench) -> None:
    result = b.apply(make_plan(Spec("a", {"make": {"script": "echo x > top\n", "write": ("top",)}}), write("b", "1")))
    assert (result.failed, result.done) == (("thing.a:make",), ("thing.b:make",))
    failed = b.payloads("step.failed")[0]
    assert failed["code"] == "E_UNSAFE_OPERATION"
    assert "folder of its own" in failed["tail"]


def test_folders_made_only_to_take_something_away_are_gone_again(b: Bench) -> None:
    plan = make_plan(
        Spec(
            "a",
            {"drop": {"script": "rm -f gone/deep/a\n", "write": ("gone/deep/a",)}},
            kind="delete",
            before={"path": None},
        )
    )
    assert b.apply(plan).error is None
    assert not (b.root / "gone").exists()


def test_a_service_is_started_kept_and_removed(b: Bench) -> None:
    script = "cat <<E > out/env\n$TOKEN\nE\nexec sleep 300\n"
    (b.root / "svc.sh").write_text(script)
    spec = {"command": ["/bin/sh", "svc.sh"], "secret_env": {"TOKEN": "key"}}
    ensure = {"service": spec, "secrets": {"key": Sensitive("correct-horse")}}
    assert b.apply(make_plan(Spec("web", {"ensure": ensure}))).error is None
    done = b.payloads("step.completed")[0]
    pid = int(done["note"].rpartition("pid ")[2])
    os.kill(pid, 0)
    assert (b.root / "out/env").read_text() == "correct-horse\n"
    started = b.payloads("step.started")[0]
    assert (started["class"], started["confinement"]) == ("built-in", "none")
    assert started["artifact"] == "scripts/thing.web/ensure.json"
    state = b.state()
    plan = make_plan(
        Spec("web", {"remove": {"service": {}, "verb": "remove"}}, kind="delete", before={"path": None}),
        lineage=state["lineage"],
        serial=state["serial"],
    )
    assert b.apply(plan).error is None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert b.state()["resources"] == []


def test_a_service_that_does_not_stay_up_is_a_failure_with_its_last_words(b: Bench) -> None:
    spec = {"command": ["/bin/sh", "-c", "echo no config >&2; exit 3"]}
    result = b.apply(make_plan(Spec("web", {"ensure": {"service": spec}})))
    failed = b.payloads("step.failed")[0]
    assert result.failed == ("thing.web:ensure",)
    assert failed["exit_code"] == 3
    assert failed["tail"] == "no config"
    assert failed["log"] == ".clockwork/services/thing.web/out.log"
    assert failed["note"].endswith("it ended with exit code 3: no config")


def test_an_artifact_changed_after_approval_stops_the_section(b: Bench) -> None:
    document, bundle = b.bind(make_plan(write("a", "1"), write("b", "2")))
    (b.workspace / "build/scripts/thing.b/make.sh").write_text("echo evil > out/evil\n")
    with pytest.raises(ArtifactChangedError) as caught:
        b.run(document, bundle, parallelism=1)
    assert caught.value.details["paths"] == ["scripts/thing.b/make.sh"]
    assert order(b) == ["step.started thing.a:make", "step.completed thing.a:make"]
    assert [e["address"] for e in b.state()["resources"]] == ["thing.a"]
    assert not (b.root / "out/evil").exists()


def test_an_interpreter_that_was_replaced_is_not_used(b: Bench) -> None:
    document, bundle = b.bind(make_plan(write("a", "1")))
    other = replace(bundle, steps=(replace(bundle.steps[0], interpreter_sha256="ab" * 32),))
    with pytest.raises(ArtifactChangedError):
        b.run(document, other)
    assert b.events("step.") == []


def test_a_plan_of_another_state_is_stale_and_nothing_runs(b: Bench) -> None:
    assert b.apply(make_plan(write("a", "1"))).error is None
    with pytest.raises(PlanStaleError) as caught:
        b.apply(make_plan(write("b", "1")))
    assert caught.value.details["state"][1] == 1
    assert not (b.root / "out/b").exists()


def approved(b: Bench, document: dict[str, Any], bundle: Bundle) -> str:
    """Ask for approval of the open section, grant it, and return its id."""
    b.job.append([Draft("env.captured", {"rules": [], "hash": "0" * 64})])
    binds = approval.binds(
        configuration=document["configuration"], plan=sha256_hex(canonical_json(document)), bundle=bundle.digest,
        policy="0" * 64, environment="0" * 64, lineage="", serial=0,
    )  # fmt: skip
    now = SystemClock().now()
    b.job.append(
        commands.request_approval(
            b.job.state, section=1, binds=binds, approval_id="appr_1", summary="may I?", instructions="say"
        )
    )
    asked = next(iter(b.job.state.decisions))
    b.job.append([approval.grant(b.job.state, asked, seen=binds, by="ops", via="cli", reason="agreed", now=now)])
    return asked


def test_the_approval_is_used_with_the_first_step_and_only_once(b: Bench) -> None:
    plan = make_plan(*(write(f"n{i}", "1") for i in range(6)), Spec("bad", {"make": "test -e gate\n"}))
    document, bundle = b.bind(plan)
    asked = approved(b, document, bundle)
    first = b.run(document, bundle, approval=asked, parallelism=8)
    (b.root / "gate").touch()
    second = b.run(document, bundle, approval=asked, done=first.done)
    assert second.error is None
    used = b.events("approval.used")
    assert len(used) == 1
    started = b.events("step.started")[0]
    assert started.seq == used[0].seq + 1
    assert started.payload["step_id"] == used[0].payload["step_id"]


def test_python_steps_run_too(b: Bench) -> None:
    script = {"script": "import sys\nprint(sys.flags.isolated, *sys.argv[1:])\n", "runtime": "python3", "words": ("x",)}
    assert b.apply(make_plan(Spec("a", {"make": script}))).error is None
    assert b.payloads("step.completed")[0]["note"] == "0 x"


def test_host_steps_say_that_they_are_not_confined(b: Bench) -> None:
    b.apply(make_plan(Spec("a", {"make": {"script": "exit 0\n", "cls": "host"}})))
    started = b.payloads("step.started")[0]
    assert (started["class"], started["confinement"]) == ("host", "none")


def test_what_a_step_leaves_running_is_ended_and_said(b: Bench) -> None:
    b.apply(make_plan(Spec("a", {"make": "(sleep 300 >/dev/null 2>&1 &)\necho ready\n"})))
    assert b.payloads("step.completed")[0]["note"] == "ready (processes it left running were ended: 1)"
