"""``plan, build, apply, verify, destroy, validate, show, graph, output``."""

from __future__ import annotations

import argparse
import json
import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clockwork_nb.arguments import budgets_of, plan_options
from clockwork_nb.cli.progress import run_section
from clockwork_nb.cli.waiting import working
from clockwork_nb.errors import ConfigurationError, InvalidInputError
from clockwork_nb.session import Session

if TYPE_CHECKING:
    from clockwork_nb.cli.output import Output
    from clockwork_nb.session import PlanOptions
    from clockwork_nb.session.planning import Planned

__all__ = ["apply", "build", "destroy", "graph", "output", "plan", "show", "validate", "verify"]


def _session(args: argparse.Namespace) -> Session:
    return Session.for_folder(Path(args.root), name=args.workspace)


def _document(planned: Planned) -> dict[str, Any]:
    return {**planned.document, "plan_digest": planned.digest, "has_changes": planned.has_changes}


def plan(args: argparse.Namespace, out: Output) -> int:
    """Show what would change; 0, or 2 with ``--detailed-exitcode`` when there is something."""
    session = _session(args)
    if args.out and (Path(args.out).is_dir() or not Path(args.out).absolute().parent.is_dir()):
        raise InvalidInputError(f"the plan cannot be saved as {args.out}", hint="Name a file in a folder that exists.")
    with working(out, "planning"):
        planned = session.plan(_options(args, destroy=args.destroy))
    out.text(planned.text(color=out.color))
    if args.out:
        _save(planned, Path(args.out), session)
        again = "".join(f" --var={name}=…" for name in sorted(_secret(planned) & {k for k, _ in args.var}))
        command = f"clockwork apply{_place(args)} {shlex.quote(args.out)}{again}"
        out.text(f"Saved     {args.out}    apply exactly this:  {command}")
    elif not planned.is_empty:
        out.text(_next_lines(args, planned))
    out.document(_document(planned))
    return 2 if args.detailed_exitcode and planned.has_changes else 0


def _place(args: argparse.Namespace) -> str:
    """Return the flags that name the workspace, as they must be typed again."""
    root = "" if args.root == "." else f" -C {shlex.quote(args.root)}"
    return root + (f" --workspace {args.workspace}" if args.workspace else "")


def _secret(planned: Planned) -> set[str]:
    return {v["name"] for v in planned.document["variables"] if v["sensitive"]}


def _next_lines(args: argparse.Namespace, planned: Planned) -> str:
    secret = _secret(planned)
    words = [
        *(f"--var={k}={'…' if k in secret else v}" for k, v in args.var),
        *(f"--var-file={f}" for f in args.var_file),
    ]
    words += [*(f"--target={t}" for t in args.target), *(["--prune"] if args.prune else [])]
    flags = _place(args) + "".join(f" {shlex.quote(word)}" for word in words)
    verb, destroy = ("destroy", " --destroy") if args.destroy else ("apply", "")
    return (
        f"Next      clockwork {verb}{flags}      or, to apply exactly this:\n"
        f"          clockwork plan{destroy}{flags} --out plan.json  &&  clockwork apply{_place(args)} plan.json"
    )


def _options(args: argparse.Namespace, *, destroy: bool = False) -> PlanOptions:
    """Return the plan options; a variable file is where the shell stands, not where ``-C`` points."""
    options = plan_options(args, destroy=destroy)
    return replace(options, var_files=tuple(str(Path(name).absolute()) for name in options.var_files))


def _save(planned: Planned, path: Path, session: Session) -> None:
    from clockwork_nb.assembly.planfile import encode_plan
    from clockwork_nb.clock import rfc3339
    from clockwork_nb.fs import write_atomic

    assert planned.plan is not None
    write_atomic(path.absolute(), encode_plan(planned.plan, rfc3339(session.clock.now())), mode=0o600)


def build(args: argparse.Namespace, out: Output) -> int:
    """Write the scripts, run nothing."""
    session = _session(args)
    with working(out, "building"):
        planned = session.plan(_options(args))
        built = None if planned.is_empty else session.build(planned, keep_edits=args.keep_edits, force=args.force)
    if built is None:
        out.text(planned.text(color=out.color))
        out.document({"scripts": [], "steps": []})
        return 0
    out.text(built.text(color=out.color))
    out.document(built.to_document())
    return 0


def apply(args: argparse.Namespace, out: Output) -> int:
    """Plan, ask, run."""
    return _section(args, out, "apply")


def destroy(args: argparse.Namespace, out: Output) -> int:
    """Remove everything, after asking."""
    return _section(args, out, "destroy")


def _section(args: argparse.Namespace, out: Output, verb: str) -> int:
    session = _session(args)
    plan_file = Path(args.plan_file) if getattr(args, "plan_file", None) else None
    if plan_file is not None and (args.target or args.prune):
        raise InvalidInputError("a saved plan has its own --target and --prune", hint="Leave them out, or plan anew.")
    session.place = f"clockwork {verb} stopped"
    session.budgets, session.environment_rules = budgets_of(args), args.env_rule
    session.quorum = args.quorum
    with working(out, "planning"):
        section = session.begin(
            verb, _options(args, destroy=verb == "destroy"),
            keep_edits=args.keep_edits, force=args.force, plan_file=plan_file,
        )  # fmt: skip
    return run_section(
        section, out, settings=session.settings, auto_approve=args.auto_approve,
        parallelism=args.parallelism, timeout_per_step=args.timeout_per_step,
    )  # fmt: skip


def verify(args: argparse.Namespace, out: Output) -> int:
    """Run the checks alone; 5 when one does not hold."""
    session = _session(args)
    with working(out, "planning"):
        section = session.begin("verify", _options(args))
    return run_section(
        section, out, settings=session.settings, auto_approve=False,
        parallelism=args.parallelism, timeout_per_step=args.timeout_per_step,
    )  # fmt: skip


def validate(args: argparse.Namespace, out: Output) -> int:
    """Report every mistake; 6 when there is one."""
    from clockwork_nb.diagnostics import Severity
    from clockwork_nb.render.diagnostics import render_text

    with working(out, "reading"):
        found = _session(args).validate()
    errors = [d for d in found if d.severity is Severity.ERROR]
    out.document({"valid": not errors, "diagnostics": [d.to_dict() for d in found]})
    if errors:
        if out.json:
            return ConfigurationError.exit_code
        count = len(errors)
        raise ConfigurationError(f"{count} error{'s' if count != 1 else ''}.", diagnostics=found)
    if found:
        out.note(render_text(found, color=False))
    out.text("The configuration is valid.")
    return 0


def show(args: argparse.Namespace, out: Output) -> int:
    """Show the state, or a saved plan."""
    if args.file:
        from clockwork_nb.assembly.planfile import decode_plan
        from clockwork_nb.render.plan import plan_text
        from clockwork_nb.workspace import read_input

        saved = decode_plan(read_input(Path(args.file)))
        out.text(plan_text(saved.document, saved.digest, color=out.color))
        out.document({**saved.document, "plan_digest": saved.digest})
        return 0
    from clockwork_nb.render.state import state_text

    document = _session(args).prior().to_document()
    out.text(state_text(document))
    out.document(document)
    return 0


def graph(args: argparse.Namespace, out: Output) -> int:
    """Print the plan's graph."""
    from clockwork_nb.render.graph import graph_text, plan_dot, plan_svg

    with working(out, "planning"):
        planned = _session(args).plan(_options(args))
    drawing = {"text": graph_text, "dot": plan_dot, "svg": plan_svg}[args.format](planned.document)
    out.text(drawing)
    out.document({"format": args.format, "graph": drawing})
    return 0


def output(args: argparse.Namespace, out: Output) -> int:
    """Print the outputs of the last apply."""
    outputs = {o["name"]: o for o in _session(args).outputs()}
    if args.name:
        if args.name not in outputs:
            known = ", ".join(outputs) or "none; nothing was applied yet"
            raise InvalidInputError(f"there is no output {args.name!r}", hint=f"Outputs: {known}")
        item = outputs[args.name]
        out.document(item)
        out.text(_plain(item))
        return 0
    out.document(list(outputs.values()))
    width = max((len(n) for n in outputs), default=0)
    for name, item in outputs.items():
        out.text(f"{name.ljust(width)} = {_shown(item)}")
    if not outputs:
        out.note("no outputs: nothing was applied yet, or the configuration has none")
    return 0


def _plain(item: Mapping[str, Any]) -> str:
    value = item["value"]
    if item["sensitive"]:
        return "(sensitive)"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _shown(item: Mapping[str, Any]) -> str:
    return "(sensitive)" if item["sensitive"] else json.dumps(item["value"], ensure_ascii=False)
