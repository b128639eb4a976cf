"""``runbook run``, resuming a notebook job, and ``demo``."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clockwork_nb.arguments import budgets_of
from clockwork_nb.errors import ApprovalRequiredError, InvalidInputError

if TYPE_CHECKING:
    from clockwork_nb.cli.output import Output
    from clockwork_nb.runbook.run import CellLine, RunResult

__all__ = ["demo", "resume_notebook", "run_and_report", "runbook_run"]

_MAX_GATES = 12


def _cell_lines(out: Output) -> CellLine:
    def line(number: int, count: int, first: str, status: str) -> None:
        if status != "running":
            out.note(f"  {number:>3}/{count}  {first[:60]:<60}  {status}")

    return line


def runbook_run(args: argparse.Namespace, out: Output) -> int:
    """Run a notebook as a new job."""
    return run_and_report(
        Path(args.notebook), out, given=args.parameter, out_dir=args.out_dir, kernel=args.kernel or "",
        budgets=budgets_of(args), environment=args.env_rule,
    )  # fmt: skip


def run_and_report(
    path: Path,
    out: Output,
    *,
    given: Sequence[str],
    out_dir: str | None,
    kernel: str,
    budgets: Mapping[str, str],
    environment: Sequence[str],
    job_id: str | None = None,
) -> int:
    """Run the notebook at *path* as a new job, say where its evidence is, and return the exit status."""
    from clockwork_nb.runbook.run import run_notebook

    result = run_notebook(
        path,
        given,
        out=Path(out_dir) if out_dir else None,
        kernel=kernel,
        on_cell=_cell_lines(out),
        on_job=lambda job: out.note(f"Job {job} · {path.name}"),
        budgets=budgets,
        environment=environment,
        job_id=job_id,
    )
    return _done(result, out)


def resume_notebook(args: argparse.Namespace, out: Output) -> int:
    """Go on with a notebook job."""
    from clockwork_nb.cli.claiming import claim_of
    from clockwork_nb.runbook.run import resume_notebook as resume

    if args.var:
        raise InvalidInputError(
            "a notebook takes its parameters when its run begins",
            hint=f"A sensitive variable is given in the environment: CW_VAR_name=… clockwork job resume {args.job}",
        )
    return _done(resume(args.job, rerun=args.rerun, on_cell=_cell_lines(out), claim=claim_of(args, out)), out)


def _done(result: RunResult, out: Output) -> int:
    out.document(result.to_document())
    out.text(f"Done      {result.job_id}")
    out.text(f"notebook  {_short(result.notebook)}")
    out.text(f"report    {_short(result.report)}")
    out.text(f"pack      {_short(result.pack.path)}")
    out.text(f"verify    clockwork jobpack verify {_short(result.pack.path)}")
    return 0


def _short(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def demo(args: argparse.Namespace, out: Output) -> int:
    """Run the quickstart, approving and resuming the same job at each decision, and verify its pack: six lines."""
    from clockwork_nb.render.plan_words import change_words
    from clockwork_nb.runbook.run import resume_notebook as resume
    from clockwork_nb.runbook.run import run_notebook
    from clockwork_nb.session.jobs import Jobs
    from clockwork_nb.session.packs import Packs

    source = _quickstart()
    folder = Path("demo-out").absolute()
    folder.mkdir(exist_ok=True)
    notebook = folder / source.name
    shutil.copyfile(source, notebook)
    job = ""
    approved: list[str] = []

    def remember(job_id: str) -> None:
        nonlocal job
        job = job_id

    for _ in range(_MAX_GATES):
        try:
            result = resume(job) if job else run_notebook(notebook, on_job=remember, out=folder / "clockwork-out")
        except ApprovalRequiredError as waiting:
            digest = str(waiting.details.get("plan", ""))
            document, _digest = Jobs().plan_document(job)
            out.note(f"  plan {digest[:8]}  {change_words(document, unchanged=False)}: approving and resuming")
            Jobs().approve(job, plan=digest, reason="demo", via="auto")  # no person approved, and the pack says so
            approved.append(digest[:8])
            continue
        break
    else:
        raise InvalidInputError(f"the demo asked for more than {_MAX_GATES} approvals")
    report = Packs(out=folder / "clockwork-out").verify(str(result.pack.path))
    verified: Any = report.to_document()
    out.document({**result.to_document(), "approved": approved, "verification": verified})
    counts = verified["counts"]
    out.text(
        f"Ran       {source.name} headless as {job}: {counts['cells']} cells, {counts['steps']} steps, {counts['failed']} failed"
    )
    out.text(f"Approved  {len(approved)} plans, each bound to exactly what ran: {', '.join(approved)}")
    out.text(f"Evidence  {verified['headline']}: {counts['files']} files, {counts['events']} chained events")
    out.text(f"Report    {_short(result.report)}")
    out.text(f"Notebook  {_short(result.notebook)}")
    out.text(f"Pack      {_short(result.pack.path)}")
    return report.exit_code


def _quickstart() -> Path:
    """Return the quickstart of this checkout."""
    for base in (Path.cwd(), Path(__file__).resolve().parents[2]):
        candidate = base / "notebooks" / "quickstart.ipynb"
        if candidate.is_file():
            return candidate
    raise InvalidInputError(
        "notebooks/quickstart.ipynb is not here", hint="Run the demo in a checkout of the repository: make demo"
    )
