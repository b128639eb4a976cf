"""The ``%cw_…`` magics: each reads its line, calls the session, and returns something that shows itself."""

from __future__ import annotations

import os
from collections.abc import Awaitable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from IPython.core.magic import (
    Magics,
    cell_magic,
    line_magic,
    magics_class,
    no_var_expand,
    output_can_be_silenced,
)
from msgspec.structs import replace

from clockwork_nb.errors import InvalidInputError
from clockwork_nb.magics._display import Outputs, Result, note, plain
from clockwork_nb.magics._notebook import Notebook

if TYPE_CHECKING:
    from clockwork_nb.session.jobs import Jobs
    from clockwork_nb.session.sections import Section

__all__ = ["ClockworkMagics"]


def parse(magic: str, line: str) -> Any:
    """Return the arguments in *line*; what reads them is imported at the first use, so that loading stays cheap."""
    from clockwork_nb.magics._arguments import parse as read

    return read(magic, line)


@magics_class
class ClockworkMagics(Magics):
    """The magics of one kernel."""

    def __init__(self, shell: Any) -> None:
        super().__init__(shell)
        self.notebook = Notebook(shell)
        self.matcher: Any = None

    # --- configuration ----------------------------------------------------------------------------------------------

    @no_var_expand
    @cell_magic
    def cw(self, line: str, cell: str) -> Result:
        """Declare: the cell's text becomes part of the configuration.

        %%cw [NAME] [--write FILE]

        NAME is how plans and errors call the cell. Running it again replaces what it said; order never matters.
        --write FILE also writes the text to that .cw file in the notebook's folder.
        """
        from clockwork_nb.render.declared import declared_html, declared_text

        arguments = parse("cw", line)
        notes = []
        if arguments.write:
            notes.append(f"written to {self._write(arguments.write, cell)}")
        ran = self.notebook.run_cell(arguments.name, cell)
        if ran.warning:
            notes.insert(0, f"warning: {ran.warning}")
        shown = arguments.name or f"cell [{self.notebook.request.count}]"
        declared = ran.report.declared
        text = "\n".join([declared_text(shown, declared), *(f"  {n}" for n in notes)])
        html = declared_html(shown, declared, note=" · ".join(notes))
        if ran.report.diagnostics:
            from clockwork_nb.render.diagnostics import render_html, render_text

            text += "\n\n" + render_text(ran.report.diagnostics)
            html += render_html(ran.report.diagnostics)
        document = {"cell": ran.key, "declared": dict(declared), "notes": notes}
        return Result("declared", text, html, plain(document), ran.report)

    def _write(self, name: str, text: str) -> str:
        """Write a cell's text to a file of the notebook's folder and return its name there."""
        from clockwork_nb.fs import write_atomic

        root = self.notebook.session.workspace.root
        path = (root / name).resolve()
        if not path.is_relative_to(root) or ".clockwork" in path.parts or path.suffix != ".cw":
            raise InvalidInputError(
                f"cannot write a cell to {name}", hint="Name a .cw file in the notebook's folder: --write main.cw"
            )
        if not path.parent.is_dir():
            raise InvalidInputError(f"the folder of {name} is not there", hint="Make it first.")
        write_atomic(path, text.encode(), mode=0o644)
        return str(path.relative_to(root))

    @no_var_expand
    @line_magic
    @output_can_be_silenced
    def cw_load(self, line: str) -> Result:
        """Add the .cw files of a folder, or one file, to the configuration.

        %cw_load PATH        relative to the notebook's folder
        """
        path = parse("cw_load", line).path
        names = self.notebook.session.load(Path(path))
        return note("loaded", f"loaded {', '.join(names)} from {path}", {"path": path, "files": names})

    @no_var_expand
    @line_magic
    @output_can_be_silenced
    def cw_var(self, line: str) -> Result:
        """Set variables, or list them all.

        %cw_var NAME=VALUE …     above every other source, for this kernel
        %cw_var                  every declared variable, its value and where that comes from
        """
        for name, value in parse("cw_var", line).assignments:
            self.notebook.set_variable(name, value)
        return self.notebook.variables()

    @no_var_expand
    @line_magic
    @output_can_be_silenced
    def cw_workspace(self, line: str) -> Result:
        """Choose a workspace, or say which one is in use.

        %cw_workspace NAME   cells that run from here on belong to NAME; its state is its own
        %cw_workspace
        """
        name = parse("cw_workspace", line).name
        if name:
            self.notebook.choose(name)
        workspace = self.notebook.session.workspace
        text = f"workspace {workspace.name} in {workspace.root}"
        return note("workspace", text, {"name": workspace.name, "root": str(workspace.root)})

    # --- pipeline ---------------------------------------------------------------------------------------------------

    @no_var_expand
    @line_magic
    @output_can_be_silenced
    def cw_plan(self, line: str) -> Result:
        """Show what would change, and why. Changes nothing.

        %cw_plan [--var NAME=VALUE] [--var-file FILE] [--target ADDRESS] [--exclude ADDRESS] [--replace ADDRESS]
                 [--allow-data KIND] [--prune] [--destroy]
        """
        planned = self.notebook.session.plan(self.notebook.options(parse("cw_plan", line)))
        if planned.has_changes and not planned.recorded:
            planned = replace(planned, next_lines=("%cw_build shows the scripts, %cw_apply asks and runs them",))
        return Result("plan", planned.text(), planned.html(), _plan_document(planned), planned)

    @no_var_expand
    @line_magic
    @output_can_be_silenced
    def cw_drift(self, line: str) -> Result:
        """Show what was changed outside since the last apply. Changes nothing.

        %cw_drift [--var NAME=VALUE] [--var-file FILE] [--target ADDRESS] [--exclude ADDRESS] [--allow-data KIND]
        """
        found = self.notebook.session.drift(self.notebook.options(parse("cw_drift", line)))
        return Result("drift", found.text(), found.html(), dict(found.document), found)

    @no_var_expand
    @line_magic
    @output_can_be_silenced
    def cw_graph(self, line: str) -> Result:
        """Draw what needs what.

        %cw_graph [--var NAME=VALUE] [--target ADDRESS] [--prune] [--destroy]
        """
        from clockwork_nb.render.graph import graph_text, plan_graph_svg
        from clockwork_nb.render.html import Markup, element
        from clockwork_nb.render.theme import wrap

        planned = self.notebook.session.plan(self.notebook.options(parse("cw_graph", line)))
        drawing = element("div", Markup(plan_graph_svg(planned.document)), class_="cw-graph")
        html = wrap(element("div", drawing, class_="cw-card"), label="dependency graph")
        edges = [{"address": c["address"], "needs": list(c["dependencies"])} for c in planned.document["changes"]]
        return Result("graph", graph_text(planned.document), html, {"resources": edges}, planned)

    @no_var_expand
    @line_magic
    @output_can_be_silenced
    def cw_build(self, line: str) -> Result:
        """Write the scripts of the plan to the build folder and show them. Runs nothing.

        %cw_build [--keep-edits | --force] [--var NAME=VALUE] [--target ADDRESS] [--prune] [--destroy]
        """
        arguments = parse("cw_build", line)
        session = self.notebook.session
        planned = session.plan(self.notebook.options(arguments))
        if planned.is_empty:
            return note("bundle", "Nothing to do, so there is nothing to build.", {"steps": []})
        if planned.recorded:
            said = f"The scripts of plan {planned.digest[:8]} were built, and have run since. %cw_pack keeps them."
            return note("bundle", f"(from this run's journal)\n{said}", {"plan": planned.digest, "recorded": True})
        built = session.build(planned, keep_edits=arguments.keep_edits, force=arguments.force)
        return Result("bundle", built.text(), built.html(), plain(built.bundle.to_document()), built)

    @no_var_expand
    @line_magic
    def cw_apply(self, line: str) -> Awaitable[Result]:
        """Plan, build, ask for approval, run the steps. The cell waits; Stop stops.

        %cw_apply [--auto-approve] [--plan FILE] [--var NAME=VALUE] [--target ADDRESS] [--prune]
                  [--keep-edits | --force] [--parallelism N] [--timeout-per-step SECONDS]
        """
        return self._section("apply", line)

    @no_var_expand
    @line_magic
    def cw_destroy(self, line: str) -> Awaitable[Result]:
        """Remove everything this configuration made, after asking.

        %cw_destroy [--auto-approve] [--target ADDRESS] [--parallelism N]
        """
        return self._section("destroy", line)

    @no_var_expand
    @line_magic
    def cw_verify(self, line: str) -> Awaitable[Result]:
        """Run only the checks.

        %cw_verify [--var NAME=VALUE] [--target ADDRESS] [--parallelism N]
        """
        return self._section("verify", line)

    @no_var_expand
    @line_magic
    @output_can_be_silenced
    def cw_output(self, line: str) -> Outputs:
        """Return the outputs of the last apply, by name: ``out = %cw_output`` and then ``out["url"]``.

        %cw_output [NAME]
        """
        name = parse("cw_output", line).name
        rows = list(self.notebook.session.outputs())
        if name:
            rows = [r for r in rows if r["name"] == name]
            if not rows:
                known = ", ".join(r["name"] for r in self.notebook.session.outputs())
                raise InvalidInputError(f"there is no output {name!r}", hint=f"There are: {known or 'none yet'}")
        return Outputs(rows)

    @no_var_expand
    @line_magic
    @output_can_be_silenced
    def cw_state(self, line: str) -> Result:
        """List what is recorded, or show one resource. The command line edits it: clockwork state --help.

        %cw_state [ADDRESS]      a pattern such as file.* makes a list
        """
        from clockwork_nb.render.state import entry_text, state_list_text
        from clockwork_nb.session.state_verbs import StateVerbs

        address = parse("cw_state", line).address
        verbs = StateVerbs(self.notebook.session)
        if address and not set(address) & set("*?"):
            entry, needed_by = verbs.entry(address)
            return note("state", entry_text(entry, needed_by), plain({**entry, "needed_by": needed_by}))
        entries, serial = verbs.entries([address] if address else []), verbs.document()["serial"]
        names = ("address", "type", "status", "declared_in")
        rows = [{name: entry[name] for name in names} for entry in entries]
        return note("state", state_list_text(entries, serial), plain({"serial": serial, "resources": rows}))

    def _section(self, verb: str, line: str) -> Awaitable[Result]:
        """Return the awaitable that carries out *verb*; mistakes in *line* are raised at once."""
        from clockwork_nb.magics import _views as views
        from clockwork_nb.magics._run import carry_out

        magic = f"cw_{verb}"
        arguments = parse(magic, line)
        notebook, session = self.notebook, self.notebook.session
        options = notebook.options(arguments, destroy=verb == "destroy")
        call = notebook.next_call()
        session.place = f"cell [{notebook.request.count}] (%{magic})"
        session.confinement = getattr(arguments, "confinement", "")
        plan_file = getattr(arguments, "plan", "")

        def begin() -> Section:
            section = session.begin(
                verb,
                options,
                cell=call.cell,
                call=call.number,
                keep_edits=getattr(arguments, "keep_edits", False),
                force=getattr(arguments, "force", False),
                plan_file=notebook.folder / plan_file if plan_file else None,
            )
            notebook.last_job = section.job_id or notebook.last_job
            return section

        front_end = notebook.front_end()
        return carry_out(
            begin,
            views.view_for(front_end),
            can_ask=front_end != "none",
            auto_approve=session.settings.auto_approve or getattr(arguments, "auto_approve", False),
            parallelism=arguments.parallelism,
            timeout_per_step=arguments.timeout_per_step,
        )

    # --- jobs -------------------------------------------------------------------------------------------------------

    def _jobs(self) -> Jobs:
        from clockwork_nb.session.jobs import Jobs

        return Jobs(self.notebook.session.settings)

    def _job_id(self, given: str | None) -> str:
        """Return the job that is meant: the given one, this notebook run's, or the last one of this kernel."""
        found = given or self.notebook.session.settings.job_id or self.notebook.last_job
        if not found:
            raise InvalidInputError(
                "this notebook has no job yet", hint="A job begins with %cw_apply. %cw_jobs lists those of others."
            )
        return found

    @no_var_expand
    @line_magic
    @output_can_be_silenced
    def cw_jobs(self, line: str) -> Result:
        """List the jobs of this store, newest first.

        %cw_jobs
        """
        from clockwork_nb.render.job import job_list_html, job_list_text

        parse("cw_jobs", line)
        jobs = self._jobs().summaries()
        return Result("jobs", job_list_text(jobs), job_list_html(jobs), plain({"jobs": jobs}), jobs)

    @no_var_expand
    @line_magic
    @output_can_be_silenced
    def cw_status(self, line: str) -> Result:
        """Say where a job stands and what to do next.

        %cw_status [JOB]     without JOB: the last one of this notebook
        """
        from clockwork_nb.render.job import job_status_html, job_status_text

        status = self._jobs().status(self._job_id(parse("cw_status", line).job))
        lines = status["next"]
        text = job_status_text(status, next_lines=lines)
        return Result("job", text, job_status_html(status, next_lines=lines), plain(status), status)

    @no_var_expand
    @line_magic
    @output_can_be_silenced
    def cw_approve(self, line: str) -> Result:
        """Approve the plan that a job waits with.

        %cw_approve JOB --plan DIGEST --reason TEXT
        """
        a = parse("cw_approve", line)
        done = self._jobs().approve(a.job, plan=a.plan, reason=a.reason)
        return note("approval", f"approved plan {done['plan'][:8]} of {a.job}", plain(done))

    @no_var_expand
    @line_magic
    @output_can_be_silenced
    def cw_reject(self, line: str) -> Result:
        """Refuse the plan that a job waits with; the job ends.

        %cw_reject JOB --reason TEXT
        """
        a = parse("cw_reject", line)
        done = self._jobs().reject(a.job, reason=a.reason)
        return note("approval", f"refused plan {done['plan'][:8]} of {a.job}", plain(done))

    @no_var_expand
    @line_magic
    @output_can_be_silenced
    def cw_cancel(self, line: str) -> Result:
        """Stop a job for good.

        %cw_cancel JOB [--reason TEXT]
        """
        a = parse("cw_cancel", line)
        done = self._jobs().cancel(a.job, reason=a.reason)
        words = "canceled" if done["ended"] else "asked to stop"
        return note("job", f"{a.job} {words}", plain(done))

    @no_var_expand
    @line_magic
    def cw_resume(self, line: str) -> Awaitable[Result]:
        """Go on with an apply, destroy or verify where it stopped; finished steps do not run again.

        %cw_resume [JOB] [--rerun STEP]
        """
        from clockwork_nb.magics import _views as views
        from clockwork_nb.magics._run import resume

        a = parse("cw_resume", line)
        jobs, job = self._jobs(), self._job_id(a.job)
        self.notebook.last_job = job
        return resume(
            lambda printer_for, stop: jobs.resume_pipeline(
                job, rerun=tuple(a.rerun), printer_for=printer_for, stop=stop
            ),
            views.view_for(self.notebook.front_end()),
        )

    # --- evidence ---------------------------------------------------------------------------------------------------

    @no_var_expand
    @line_magic
    @output_can_be_silenced
    def cw_pack(self, line: str) -> Result:
        """Write a job's signed evidence as one zip, and verify it.

        %cw_pack [JOB] [--unsigned]      without JOB: this notebook's run, or its last job
        """
        a = parse("cw_pack", line)
        packs = self._packs()
        exported = packs.export(self._job_id(a.job), signed=not a.unsigned)
        report = packs.verify(str(exported.path), require="integrity" if a.unsigned else "signed")
        shown = os.path.relpath(exported.path, self.notebook.folder)
        state = "" if exported.final else "\nThe job goes on: this is its log so far. Export again when it has ended."
        return _report_result(report, f"{shown}{state}\n{exported.footer}", exported)

    @no_var_expand
    @line_magic
    @output_can_be_silenced
    def cw_verify_pack(self, line: str) -> Result:
        """Check a pack offline: complete, unmodified, signed by whom.

        %cw_verify_pack PACK|JOB
        """
        from clockwork_nb.ids import JOB_ID

        target = parse("cw_verify_pack", line).target
        path = self.notebook.folder / target
        named = str(path) if path.is_file() or not JOB_ID.match(target) else target
        return _report_result(self._packs().verify(named), "", None)

    def _packs(self) -> Any:
        from clockwork_nb.session.packs import Packs

        settings = self.notebook.session.settings
        return Packs(settings, self.notebook.folder / settings.out)


def _report_result(report: Any, more: str, value: Any) -> Result:
    from clockwork_nb.render.verification import report_html_fragment, report_text

    document = report.to_document()
    text = report_text(document) + (f"\n{more}" if more else "")
    html = report_html_fragment(document) + (note("pack", more).html if more else "")
    return Result("verification", text, html, plain(document), value or report)


def _plan_document(planned: Any) -> Any:
    """Return the plan's document for the output; a very large one stays out of the notebook file."""
    document = plain(planned.document)
    return document if document is not None else {"plan": planned.digest, "left_out": "larger than 512 KiB"}
