"""``job init``, ``job submit`` and ``wrap``: jobs made of commands, and going on with them."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from clockwork_nb.arguments import budgets_of
from clockwork_nb.errors import InterruptedByUserError, InvalidInputError, TerminatedError
from clockwork_nb.settings import load_settings

if TYPE_CHECKING:
    from clockwork_nb.cli.output import Output
    from clockwork_nb.jobs.spec import JobSpec
    from clockwork_nb.session.packs import ExportedPack
    from clockwork_nb.session.sections import SectionOutcome
    from clockwork_nb.session.spec_jobs import SpecJob

__all__ = ["job_init", "job_submit", "resume_spec", "wrap"]

_SHOWN_BYTES = 64 * 1024


def job_init(args: argparse.Namespace, out: Output) -> int:
    """Write a job spec to begin with."""
    from clockwork_nb.fs import create_atomic, write_atomic
    from clockwork_nb.jobs.spec_template import template

    path = Path(args.path).absolute()
    data = template().encode()
    if args.force:
        write_atomic(path, data, mode=0o644)
    else:
        try:
            create_atomic(path, data, mode=0o644)
        except FileExistsError:
            raise InvalidInputError(f"{args.path} is there already", hint="Replace it with --force.") from None
    out.document({"path": str(path)})
    out.text(f"Wrote     {args.path}")
    out.text(f"Next      clockwork job submit {shlex.quote(args.path)}")
    return 0


def job_submit(args: argparse.Namespace, out: Output) -> int:
    """Run a job spec as a durable job."""
    from clockwork_nb.jobs.spec import read_spec
    from clockwork_nb.render.diagnostics import render_text

    root, name, data = _read(args.spec)
    spec = read_spec(data, name=name)
    if spec.warnings:
        out.note(render_text(spec.warnings, color=out.color))
    if spec.adapter in {"pipeline", "notebook"}:
        return _submit_other(spec, root, args, out)
    place = (root / spec.workspace).resolve()
    if not place.is_dir() or not place.is_relative_to(root.resolve()):
        raise InvalidInputError(
            f"the workspace {spec.workspace} of {name} is not a folder below {root}", hint="See inputs.workspace."
        )
    return _submit(spec, place, args, out, source=data)


def _read(text: str) -> tuple[Path, str, bytes]:
    from clockwork_nb.jobs.located import MAX_BYTES
    from clockwork_nb.workspace import read_input

    if text == "-":
        return Path.cwd(), "stdin", sys.stdin.buffer.read(MAX_BYTES + 1)
    path = Path(text)
    return path.absolute().parent, path.name, read_input(path, most=MAX_BYTES)


def _submit(spec: JobSpec, root: Path, args: argparse.Namespace, out: Output, *, source: bytes = b"") -> int:
    from clockwork_nb.session.spec_jobs import submit

    job = submit(spec, root=root, settings=load_settings(), job_id=args.job_id, budgets=budgets_of(args), source=source)
    if args.detach:
        return _detach(job, args, out)
    streams = spec.adapter == "command"
    if not streams:
        out.note(f"Job {job.run.job_id} · {spec.name}")
    return _run(job, args, out, streams=streams)


def _detach(job: SpecJob, args: argparse.Namespace, out: Output) -> int:
    from clockwork_nb.session.background import start_detached
    from clockwork_nb.session.job_store import open_store

    settings, job_id = job.session.settings, job.run.job_id
    job.run.close("detached")
    flags = ["--out-dir", str(Path(args.out_dir or settings.out).absolute())]
    if getattr(args, "timeout_per_step", None):
        flags += ["--timeout-per-step", str(args.timeout_per_step)]
    if getattr(args, "parallelism", None):
        flags += ["--parallelism", str(args.parallelism)]
    output = start_detached(
        open_store(settings), settings, job_id, flags, auto_approve=getattr(args, "auto_approve", False)
    )
    return _say_detached(job_id, output, out)


def _say_detached(job_id: str, output: Path, out: Output) -> int:
    out.document({"job": job_id, "detached": True, "output": str(output)})
    out.text(f"Job       {job_id} runs in the background")
    out.text(f"Follow    clockwork job watch {job_id}")
    out.text(f"Output    {output}")
    return 0


def _run(job: SpecJob, args: argparse.Namespace, out: Output, *, streams: bool, rerun: tuple[str, ...] = ()) -> int:
    """Take the job's sections in order, each decided on and run; end the job and write its pack."""
    from clockwork_nb.cli.progress import decide, report
    from clockwork_nb.cli.signals import stopping
    from clockwork_nb.cli.waiting import StepLines

    outcomes: list[SectionOutcome] = []
    said = _Streams(out)
    if streams and not job.session.settings.headless:  # in the background it would go to a file, secrets and all
        job.session.on_output = said.take
    for section in job.sections(rerun):
        if section.needs_approval:
            decide(section, out, settings=job.session.settings, auto_approve=getattr(args, "auto_approve", False))
        with stopping() as stop, StepLines(out) as lines:
            said.stop = stop
            on_event = None if streams else lines.begin(section, section.events())
            outcome = section.run(
                on_event=on_event, stop=stop, parallelism=getattr(args, "parallelism", 8),
                timeout_per_step=getattr(args, "timeout_per_step", None),
            )  # fmt: skip
        outcomes.append(outcome)
        if outcome.error is not None:
            said.end()
            if not streams:
                return report(outcome, out, terminated=stop.terminated)
            return _failed(outcome, out, said, terminated=stop.terminated)
        if not streams:
            out.text(outcome.text(color=out.color))
    said.end()
    job.finish()
    pack = _export(job, args)
    _say_done(job, outcomes, pack, out, said, streams=streams)
    return 0


def _export(job: SpecJob, args: argparse.Namespace) -> ExportedPack:
    from clockwork_nb.session.packs import Packs

    where = getattr(args, "out_dir", None)
    return Packs(job.session.settings, Path(where) if where else None).export(job.run.job_id)


def _failed(outcome: SectionOutcome, out: Output, said: _Streams, *, terminated: bool) -> int:
    error = outcome.error
    assert error is not None
    if terminated and isinstance(error, InterruptedByUserError):
        error = TerminatedError(error.message, hint=error.hint, details=error.details)
    out.document({**outcome.to_document(), **said.document()})
    out.error(error)
    return error.exit_code


def _say_done(
    job: SpecJob, outcomes: list[SectionOutcome], pack: ExportedPack, out: Output, said: _Streams, *, streams: bool
) -> None:
    from clockwork_nb.render.text import plural

    done = sum(o.done for o in outcomes)
    out.document(
        {
            "job": job.run.job_id,
            "status": "completed",
            "done": done,
            "sections": [o.to_document() for o in outcomes],
            "pack": pack.to_document(),
            **(said.document() if streams else {}),
        }
    )
    # What a wrapped command prints on stdout is its own; all of ours goes to stderr.
    say = out.note if streams else out.text
    say(f"Done      {job.run.job_id}" + ("" if streams else f"  {plural(done, 'step')}"))
    say(f"Pack      {_short(pack.path)}")
    say(f"Verify    clockwork jobpack verify {_short(pack.path)}")


def _short(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


class _Streams:
    """Passes a command's output on as it comes, byte for byte, or keeps the end of it for ``--json``."""

    def __init__(self, out: Output) -> None:
        self._out = out
        self.stop: threading.Event | None = None
        """Set when the run is to stop: then nobody waits any more for whoever reads the output."""
        self._kept: dict[str, bytearray] = {"out": bytearray(), "err": bytearray()}

    def take(self, stream: Literal["out", "err"], data: bytes) -> None:
        """Take the next bytes of *stream*."""
        if not self._out.json:
            self._out.raw(data, error=stream == "err", give_up=lambda: self.stop is not None and self.stop.is_set())
            return
        kept = self._kept[stream]
        kept += data
        del kept[: max(0, len(kept) - _SHOWN_BYTES)]

    def end(self) -> None:
        """Begin a new line when the command did not end its last one."""
        self._out.end_raw()

    def document(self) -> dict[str, str]:
        """Return the end of both streams as text."""
        return {f"std{name}": bytes(data).decode("utf-8", "replace") for name, data in self._kept.items()}


def wrap(args: argparse.Namespace, out: Output) -> int:
    """Run one command as a durable job."""
    from clockwork_nb.jobs.spec import JobSpec, StepSpec

    words = tuple(args.command)
    if not words:
        raise InvalidInputError("which command?", hint="clockwork wrap -- COMMAND ARGUMENT …")
    try:
        text = shlex.join(words)
        text.encode()
    except UnicodeEncodeError:
        raise InvalidInputError("the command is not UTF-8, so no log can hold it") from None
    artifacts = tuple(_artifact(path) for path in args.artifact)
    step = StepSpec(
        id="command", summary=_clip(text), argv=words, artifacts=artifacts, idempotent=args.idempotent,
        timeout_s=max(0, args.timeout),
    )  # fmt: skip
    spec = JobSpec(
        name=_clip(Path(words[0]).name) or "command",
        objective=_clip(text, 4000),
        adapter="command",
        steps=(step,),
        environment_rules=tuple(args.env_rule),
        expected_artifacts=artifacts,
    )
    _refuse_secrets(words)
    return _submit(spec, Path.cwd().resolve(), args, out)


def _refuse_secrets(words: tuple[str, ...]) -> None:
    """Refuse a command that holds what a secret variable holds: the log would keep it in clear."""
    from clockwork_nb.session.execution import secret_variables

    for name, value in secret_variables(os.environ).items():
        if any(value in word for word in words):
            raise InvalidInputError(
                f"the command holds the value of {name}, and the job's log would keep it",
                hint=f"Let the command take it from the environment:  clockwork wrap -- sh -c '… \"${name}\" …'",
            )


def _clip(text: str, limit: int = 300) -> str:
    plain = "".join(c if c.isprintable() else " " for c in text).strip()
    return plain if len(plain) <= limit else plain[: limit - 1] + "…"


def _artifact(text: str) -> str:
    path = Path(text)
    if path.is_absolute():
        try:
            path = path.relative_to(Path.cwd())
        except ValueError:
            raise InvalidInputError(f"{text} is not below this folder", hint="Name a file that is.") from None
    plain = path.as_posix()
    if ".." in path.parts or plain == ".":
        raise InvalidInputError(f"{text} is not a file below this folder", hint="Name a file that is.")
    return plain


def resume_spec(args: argparse.Namespace, out: Output, **take: Any) -> int:
    """Go on with a job made of commands."""
    from clockwork_nb.session.spec_jobs import SpecJob

    job = SpecJob.take(args.job, settings=load_settings(), **take)
    streams = job.session.spec.adapter == "command"
    return _run(job, args, out, streams=streams, rerun=tuple(args.rerun))


def _submit_other(spec: JobSpec, root: Path, args: argparse.Namespace, out: Output) -> int:
    """Submit the spec of a configuration or a notebook: what ``apply`` and ``runbook run`` do, with the spec's budgets."""
    if args.detach:
        return _detach_other(args, out)
    budgets = {**{k: str(v) for k, v in spec.budgets.items()}, **budgets_of(args)}
    if spec.adapter == "notebook":
        return _notebook(spec, root, args, out, budgets)
    return _pipeline(spec, root, args, out, budgets)


def _detach_other(args: argparse.Namespace, out: Output) -> int:
    from clockwork_nb.ids import new_job_id
    from clockwork_nb.session.background import start_command_detached
    from clockwork_nb.session.job_store import open_store

    if args.spec == "-":
        raise InvalidInputError("a job in the background cannot read its spec from here", hint="Name a file.")
    settings, job_id = load_settings(), args.job_id or new_job_id()
    words = ["job", "submit", str(Path(args.spec).absolute()), "--job-id", job_id]
    words += [f"--{name.replace('_', '-')}={limit}" for name, limit in budgets_of(args).items()]
    words += ["--auto-approve"] if args.auto_approve else []
    words += ["--out-dir", str(Path(args.out_dir or settings.out).absolute())]
    output = start_command_detached(open_store(settings), settings, job_id, words)
    return _say_detached(job_id, output, out)


def _pipeline(spec: JobSpec, root: Path, args: argparse.Namespace, out: Output, budgets: dict[str, str]) -> int:
    from clockwork_nb.cli.progress import run_section
    from clockwork_nb.cli.waiting import working
    from clockwork_nb.session.options import PlanOptions
    from clockwork_nb.session.session import Session

    config = _Config(spec, ("verb", "variables", "targets"))
    verb = config.text("verb", "apply")
    if verb not in {"apply", "destroy", "verify"}:
        raise InvalidInputError(f"adapter.config.verb is {verb!r}", hint="It is apply, destroy or verify.")
    session = Session.for_folder(root / spec.workspace)
    session.budgets, session.environment_rules, session.job_id = budgets, spec.environment_rules, args.job_id
    session.place = f"Job spec {spec.name} stopped"
    options = PlanOptions(
        destroy=verb == "destroy", variables=config.pairs("variables"), targets=config.texts("targets")
    )
    with working(out, "planning"):
        section = session.begin(verb, options)
    return run_section(
        section, out, settings=session.settings, auto_approve=args.auto_approve,
        parallelism=args.parallelism, timeout_per_step=args.timeout_per_step,
    )  # fmt: skip


def _notebook(spec: JobSpec, root: Path, args: argparse.Namespace, out: Output, budgets: dict[str, str]) -> int:
    from clockwork_nb.cli.runbooks import run_and_report

    config = _Config(spec, ("notebook", "parameters", "kernel"))
    name = config.text("notebook", "")
    if not name:
        raise InvalidInputError("adapter.config.notebook is missing", hint="Name the .ipynb file.")
    return run_and_report(
        root / spec.workspace / name, out, given=[f"{k}={v}" for k, v in config.pairs("parameters")],
        out_dir=args.out_dir, kernel=config.text("kernel", ""), budgets=budgets,
        environment=spec.environment_rules, job_id=args.job_id,
    )  # fmt: skip


class _Config:
    """``adapter.config`` of a spec, whose *known* keys depend on the adapter."""

    def __init__(self, spec: JobSpec, known: tuple[str, ...]) -> None:
        self._config = spec.config
        unknown = sorted(set(spec.config) - set(known))
        if unknown:
            raise InvalidInputError(
                f"adapter.config has the unknown key {unknown[0]!r}", hint=f"Known: {', '.join(known)}."
            )

    def text(self, name: str, usual: str) -> str:
        """Return a text."""
        value = self._config.get(name, usual)
        if not isinstance(value, str):
            raise InvalidInputError(f"adapter.config.{name} must be text")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of texts."""
        value = self._config.get(name, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise InvalidInputError(f"adapter.config.{name} must be a list of texts")
        return tuple(value)

    def pairs(self, name: str) -> tuple[tuple[str, str], ...]:
        """Return an object of texts and numbers as pairs of text."""
        value = self._config.get(name, {})
        plain = isinstance(value, dict) and all(isinstance(v, (str, int, float)) for v in value.values())
        if not plain:
            raise InvalidInputError(f"adapter.config.{name} must be an object of texts, numbers or true and false")
        return tuple((k, v if isinstance(v, str) else json.dumps(v)) for k, v in value.items())
