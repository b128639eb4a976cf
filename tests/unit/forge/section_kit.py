"""A small resource type, plans made of it, and a real job to run them in."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clockwork_nb.assembly.plan import Plan, ResourceChange
from clockwork_nb.canonical import canonical_json
from clockwork_nb.forge.artifacts import stage
from clockwork_nb.forge.bundle import Bundle
from clockwork_nb.forge.compiler import compile_plan
from clockwork_nb.forge.confinement import probe
from clockwork_nb.forge.launch import Launcher
from clockwork_nb.forge.runner import RunContext, SectionResult, run_section
from clockwork_nb.forge.state import StateFile
from clockwork_nb.forge.step import StepExecutor
from clockwork_nb.forge.validate import check_bundle
from clockwork_nb.ids import slug
from clockwork_nb.intake.desired import EnvFacts
from clockwork_nb.ports import (
    Action,
    Artifact,
    ChangeKind,
    CompiledStep,
    Draft,
    EventView,
    Observation,
    ObserveContext,
    Registry,
)
from clockwork_nb.secrets import Sensitive
from clockwork_nb.store.files import JobStore
from clockwork_nb.store.handle import JobHandle

FACTS = EnvFacts("linux", "x86_64", "standard", runtimes={"sh": "dash", "bash": "5.2", "python3": "3.11"})
HEX = "0" * 64


class ThingType:
    """``thing``: a file below ``out/`` whose script the test writes itself."""

    name = "thing"
    aliases: tuple[str, ...] = ()
    summary = "a file, for tests"
    verifies = False

    def model(self) -> type[Any]:
        return dict

    def exports(self, config: Mapping[str, Any]) -> Mapping[str, Any]:
        return config

    def export_names(self) -> frozenset[str]:
        return frozenset()

    def replaces(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> frozenset[str]:
        return frozenset()

    def drift(self, config: Mapping[str, Any], observed: Observation) -> Mapping[str, tuple[Any, Any]]:
        wanted = config.get("content")
        found = observed.attributes.get("found")
        return {} if wanted is None or found == wanted else {"content": (wanted, found)}

    def actions(self, change: ChangeKind, config: Any, recorded: Any) -> Sequence[Any]:
        return ()

    def risks(self, change: ChangeKind, config: Any, recorded: Any, observed: Any) -> Sequence[str]:
        return ()

    def describe(self, config: Mapping[str, Any]) -> str:
        return str(config["path"])

    def compile(self, action: Action) -> CompiledStep:
        args = action.args
        folder = f"scripts/{slug(action.address)}"
        if "service" in args:
            return self._service(action, folder)
        runtime = args.get("runtime", "sh")
        script = Artifact(
            f"{folder}/{action.name}.{runtime}",
            args["script"].encode(),
            "0755",
            "for a test",
            args.get("lang", runtime),
        )
        artifacts = [script]
        data = {}
        secrets: dict[str, Any] = {}
        for name, value in args.get("data", {}).items():
            secret = f"{action.address}:{name}" if isinstance(value, Sensitive) else ""
            if secret:
                secrets[secret] = value.value
            content = b"" if secret else value.encode()
            artifacts.append(Artifact(f"{folder}/{name}.txt", content, "0644", "data", "data", secret=secret))
            data[name] = artifacts[-1].path
        secret_vars = {}
        for name, value in args.get("secret_vars", {}).items():
            secret_vars[name] = f"{action.address}:env:{name}"
            secrets[secret_vars[name]] = value.value
        return CompiledStep(
            tuple(artifacts),
            (runtime, script.path, *args.get("words", ())),
            vars=args.get("vars", {}),
            secret_vars=secret_vars,
            data=data,
            secrets=secrets,
            write=tuple(args.get("write", ("out/",))),
            network=args.get("network", False),
            cls=args.get("cls", "confined"),
        )

    def _service(self, action: Action, folder: str) -> CompiledStep:
        verb = action.args.get("verb", "ensure")
        base = {"version": "1", "service": slug(action.address), "address": action.address}
        spec = {
            **base, "env": {}, "secret_env": {}, "cwd": ".", "ports": [], "restart": "no", "stop_timeout_s": 2,
            "health": None, "state": "running", **action.args["service"],
        }  # fmt: skip
        secrets = {name: value.value for name, value in action.args.get("secrets", {}).items()}
        content = json.dumps(base if verb == "remove" else spec).encode()
        artifact = Artifact(f"{folder}/{action.name}.json", content, "0644", "spec", "json")
        return CompiledStep(
            (artifact,),
            ("cw:service", verb, artifact.path),
            secret_vars={name: name for name in secrets},
            secrets=secrets,
            cls="built-in",
        )

    def observe(
        self, config: Mapping[str, Any], recorded: Mapping[str, Any] | None, context: ObserveContext
    ) -> Observation:
        if config.get("path") is None:
            return Observation(None)
        path = context.root / config["path"]
        if not path.exists():
            return Observation(False, detail="not there")
        return Observation(True, {"found": path.read_text(), "inode": path.stat().st_ino}, "there")


TYPES: Registry = {"thing": ThingType()}


@dataclass
class Spec:
    """One resource of a test plan: its scripts by action name."""

    name: str
    scripts: Mapping[str, Any]
    needs: tuple[str, ...] = ()
    kind: ChangeKind = "create"
    after: Mapping[str, Any] | None = field(default_factory=lambda: {"path": None})
    before: Mapping[str, Any] | None = None
    timeout_s: int = 30
    idempotent: bool = False

    @property
    def address(self) -> str:
        return f"thing.{self.name}"


def make_plan(*specs: Spec, lineage: str | None = None, serial: int = 0, **more: Any) -> Plan:
    """Return a plan with one change a spec and its actions one after the other."""
    last = {s.address: f"{s.address}:{[*s.scripts][-1]}" for s in specs if s.scripts}
    actions = []
    for s in specs:
        needs = tuple(sorted(last[f"thing.{n}"] for n in s.needs))
        for name, script in s.scripts.items():
            args = {"script": script} if isinstance(script, str) else dict(script)
            step = Action(
                f"{s.address}:{name}",
                name,
                s.address,
                args,
                needs=needs,
                change=s.kind,
                timeout_s=s.timeout_s,
                idempotent=s.idempotent,
            )
            actions.append(step)
            needs = (step.id,)
    changes = tuple(
        ResourceChange(
            s.address,
            "thing",
            s.kind,
            s.name,
            "main.cw",
            dependencies=tuple(f"thing.{n}" for n in s.needs),
            before=s.before,
            after=None if s.kind in {"delete", "forget"} else s.after,
        )
        for s in specs
    )
    return Plan(HEX, lineage, serial, FACTS, "clockwork_nb test", changes, tuple(actions), secret_key=b"k" * 32, **more)


class Bench:
    """A project folder, a store, a launcher; runs plans as sections of one job."""

    def __init__(self, root: Path, home: Path, launcher: StepExecutor) -> None:
        self.root, self.workspace = root, root / ".clockwork"
        self.workspace.mkdir(exist_ok=True)
        (root / "out").mkdir(exist_ok=True)
        self.home = home
        self.store = JobStore(home, tool_version="test", heartbeat=False, single_host=True)
        self.job: JobHandle = self.store.create(name="t", adapter="pipeline", lineage="", spec={})
        self.job.append([Draft("job.status", {"from": "queued", "to": "running"})])
        self.launcher = launcher
        self.sections = 0
        self.seen: list[EventView] = []

    def close(self) -> None:
        self.job.close("test")

    def reopen(self) -> None:
        """Let a new owner take the job, as after a crash."""
        self.job.close("test")
        self.job = self.store.open(self.job.job_id)

    def bind(self, plan: Plan) -> tuple[dict[str, Any], Bundle]:
        """Compile, check and stage *plan* and open its section."""
        bundle = compile_plan(plan, TYPES, FACTS)
        document = plan.to_document()
        check_bundle(bundle, document["actions"]["steps"])
        bundle = stage(bundle, self.workspace / "build").bundle
        self.sections += 1
        number = self.sections
        opened = {"section": number, "verb": "apply", "cell": "", "call": 0, "inputs": HEX}
        bound = {
            "section": number,
            "plan": self.job.put_blob(canonical_json(document)),
            "configuration": document["configuration"],
            "lineage": document["lineage"] or "",
            "serial": document["serial"],
            "changes": 1,
        }
        bundled = {"section": number, "bundle": self.job.put_blob(bundle.document_bytes())}
        self.job.append(
            [
                Draft("section.opened", opened),
                Draft("plan.bound", bound),
                Draft("bundle.bound", bundled),
                Draft("policy.bound", {"section": number, "policy": HEX}),
            ]
        )
        return document, bundle

    def context(self, **changes: Any) -> RunContext:
        values: dict[str, Any] = {
            "root": self.root,
            "workspace": self.workspace,
            "launcher": self.launcher,
            "confinement": probe(),
            "types": TYPES,
            "parallelism": 4,
            "forbidden": (self.home,),
            "cancel": threading.Event(),
        }
        return RunContext(**{**values, **changes})

    def run(
        self,
        document: Mapping[str, Any],
        bundle: Bundle,
        *,
        done: Sequence[str] = (),
        attempts: Mapping[str, int] | None = None,
        approval: str = "",
        **context: Any,
    ) -> SectionResult:
        return run_section(
            document,
            bundle,
            writer=self.job,
            section=self.sections,
            approval_id=approval,
            done=done,
            attempts=attempts or {},
            context=self.context(**context),
            on_event=self.seen.append,
        )

    def apply(self, plan: Plan, **more: Any) -> SectionResult:
        document, bundle = self.bind(plan)
        return self.run(document, bundle, **more)

    def events(self, kind: str = "") -> list[EventView]:
        return [e for e in self.job.events() if e.type.startswith(kind)]

    def payloads(self, kind: str) -> list[dict[str, Any]]:
        return [dict(e.payload) for e in self.events(kind)]

    def state(self) -> dict[str, Any]:
        found = StateFile(self.workspace).load()
        assert found is not None
        return found


@contextmanager
def bench(tmp_path: Path, launcher: StepExecutor | None = None) -> Iterator[Bench]:
    """Give a bench with a real launcher (or *launcher*) below *tmp_path*."""
    root = tmp_path / "project"
    root.mkdir()
    if launcher is not None:
        made = Bench(root, tmp_path / "home", launcher)
        yield made
        made.close()
        return
    with Launcher() as real:
        made = Bench(root, tmp_path / "home", real)
        yield made
        made.close()


def write(name: str, text: str) -> Spec:
    """Return a thing that is a file ``out/<name>`` with *text* in it."""
    script = {"script": f"printf %s '{text}' > out/{name}\necho wrote {name}\n", "write": ("out/x",)}
    return Spec(name, {"make": script}, after={"path": f"out/{name}", "content": text})
