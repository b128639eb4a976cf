"""``plan, drift, build, apply, verify, destroy, validate, show, graph, output``."""

from __future__ import annotations

import argparse
import json
import shlex
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from clockwork_nb.arguments import budgets_of, plan_options
from clockwork_nb.cli.progress import run_section
from clockwork_nb.cli.waiting import working
from clockwork_nb.errors import ConfigurationError, InvalidInputError
from clockwork_nb.session import Session

if TYPE_CHECKING:
    from clockwork_nb.cli.output import Output
    from clockwork_nb.session import PlanOptions
    from clockwork_nb.session.planning import Planned

__all__ = ["apply", "build", "destroy", "drift", "graph", "import_", "output", "plan", "show", "validate", "verify"]


def _session(args: argparse.Namespace) -> Session:
    return Session.for_folder(Path(args.root), name=args.workspace)


def _document(planned: Planned) -> dict[str, Any]:
    return {**planned.document, "plan_digest": planned.digest, "has_changes": planned.has_changes}


def plan(args: argparse.Namespace, out: Output) -> int:
    """Show what would change; 0, or 2 with ``--detailed-exitcode`` when there is something."""
    if args.refresh_only:
        if args.out or args.destroy:
            raise InvalidInputError("--refresh-only only looks: it has no --out and no --destroy")
        return drift(args, out)
    session = _session(args)
    if args.out and (Path(args.out).is_dir() or not Path(args.out).absolute().parent.is_dir()):
        raise InvalidInputError(f"the plan cannot be saved as {args.out}", hint="Name a file in a folder that exists.")
    with working(out, "planning"):
        planned = session.plan(_options(args, destroy=args.destroy))
    if not out.json:  # thousands of lines take longer to lay out than to plan
        out.text(planned.text(color=out.color, width=out.columns))
    if args.out:
        _save(planned, Path(args.out), session)
        again = "".join(f" --var={name}=…" for name in sorted(_secret(planned) & {k for k, _ in args.var}))
        command = f"clockwork apply{_place(args)} {shlex.quote(args.out)}{again}"
        out.text(f"Saved     {args.out}    apply exactly this:  {command}")
    elif not (out.json or planned.is_empty):
        out.text(("" if planned.document["outputs"] else "\n") + _next_lines(args, planned))
    if out.json:
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
    words += [f"--{name}={t}" for name in ("target", "exclude", "replace") for t in getattr(args, name)]
    words += [*(f"--allow-data={kind}" for kind in args.allow_data), *(["--prune"] if args.prune else [])]
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


def drift(args: argparse.Namespace, out: Output) -> int:
    """Show what was changed outside since the last apply; 14 when something was."""
    from clockwork_nb.errors import DriftFoundError

    session = _session(args)
    with working(out, "looking"):
        found = session.drift(_options(args))
    out.text(found.text(color=out.color))
    out.document(found.document)
    return DriftFoundError.exit_code if found.any else 0


def build(args: argparse.Namespace, out: Output) -> int:
    """Write the scripts, run nothing."""
    session = _session(args)
    with working(out, "building"):
        planned = session.plan(_options(args))
        built = None if planned.is_empty else session.build(planned, keep_edits=args.keep_edits, force=args.force)
    if built is None:
        out.text(planned.text(color=out.color, width=out.columns))
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
    if plan_file is not None and (args.target or args.exclude or args.replace or args.prune):
        raise InvalidInputError(
            "a saved plan has its own --target, --exclude, --replace and --prune", hint="Leave them out, or plan anew."
        )
    session.place = f"clockwork {verb} stopped"
    session.budgets, session.environment_rules = budgets_of(args), args.env_rule
    session.quorum = args.quorum
    _wait(args, out, session)
    with working(out, "planning"):
        section = session.begin(
            verb, _options(args, destroy=verb == "destroy"),
            keep_edits=args.keep_edits, force=args.force, plan_file=plan_file,
        )  # fmt: skip
    return run_section(
        section, out, settings=session.settings, auto_approve=args.auto_approve,
        parallelism=args.parallelism, timeout_per_step=args.timeout_per_step,
    )  # fmt: skip


def import_(args: argparse.Namespace, out: Output) -> int:
    """Take an existing thing into the state; where it is not declared yet, write its block, or show it and return 6."""
    from clockwork_nb.session.importing import begin_import, describe, write_block

    session = _session(args)
    kind = session.types.get(args.address.partition(".")[0])
    address = f"{kind.name}.{args.address.partition('.')[2]}" if kind is not None else args.address
    if not session.is_declared(address):
        described = describe(session, address, args.id)
        if not args.write:
            out.text(f"{described.text}\nNothing was recorded: {address} is not declared yet.")
            out.text(
                "Next      put this block into a .cw file and run the command again, or let it:  --write imported.cw"
            )
            out.document({**described.to_document(), "written": None})
            return InvalidInputError.exit_code
        write_block(session, described, Path(args.write))
        out.note(f"wrote {address} to {args.write}")
    session.place = "clockwork import stopped"
    with working(out, "planning"):
        section = begin_import(session, address, args.id, _options(args))
    return run_section(
        section, out, settings=session.settings, auto_approve=args.auto_approve, parallelism=1, timeout_per_step=None
    )


def _wait(args: argparse.Namespace, out: Output, session: Session) -> None:
    """Wait until nobody holds the state, as long as the person allowed, so that the plan is made from what is there then."""
    if args.lock_timeout:
        from clockwork_nb.cli.waiting import waiting_words
        from clockwork_nb.session.state_verbs import wait_for_state

        wait_for_state(session, args.lock_timeout, on_wait=lambda owner: out.note(waiting_words(owner)))


def verify(args: argparse.Namespace, out: Output) -> int:
    """Run the checks alone; 5 when one does not hold."""
    session = _session(args)
    _wait(args, out, session)
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
        out.note(render_text(found, columns=out.columns))
    out.text("The configuration is valid.")
    return 0


def show(args: argparse.Namespace, out: Output) -> int:
    """Show the state, or a saved plan."""
    if args.file:
        from clockwork_nb.assembly.planfile import decode_plan
        from clockwork_nb.render.plan import plan_text
        from clockwork_nb.workspace import read_input

        saved = decode_plan(read_input(Path(args.file)))
        out.text(plan_text(saved.document, saved.digest, color=out.color, width=out.columns))
        out.document({**saved.document, "plan_digest": saved.digest})
        return 0
    from clockwork_nb.render.state import state_text

    document = _session(args).prior().to_document()
    out.text(state_text(document))
    out.document(document)
    return 0


def graph(args: argparse.Namespace, out: Output) -> int:
    """Print the plan's graph, or write it to a file."""
    from clockwork_nb.fs import write_atomic
    from clockwork_nb.render.graph import graph_json, graph_text, plan_dot, plan_graph_svg

    with working(out, "planning"):
        document = _session(args).plan(_options(args)).document
    forms: dict[str, Callable[[Mapping[str, Any]], Any]] = {
        "text": graph_text, "dot": plan_dot, "svg": partial(plan_graph_svg, standalone=True), "json": graph_json,
    }  # fmt: skip
    drawing = forms[args.format](document)
    text = json.dumps(drawing, indent=2, ensure_ascii=False) if args.format == "json" else str(drawing)
    if args.out:
        path = Path(args.out).absolute()
        if path.is_dir() or not path.parent.is_dir():
            raise InvalidInputError(
                f"the graph cannot be written to {args.out}", hint="Name a file in a folder that exists."
            )
        write_atomic(path, (text if text.endswith("\n") else f"{text}\n").encode(), mode=0o644)
        out.text(f"Written   {args.out}")
        out.document({"format": args.format, "file": args.out})
        return 0
    out.text(text)
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
