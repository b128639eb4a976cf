"""Faults of what runs steps: recording, recovery, approval, budgets, stopping (P1 to P3, P15, P25, P28, P40 to P42)."""

from __future__ import annotations

from typing import Final

from tests.mutants.mutant import Mutant

_SWEEP: Final = "tests/fault/test_killed_at_any_syscall.py::test_killed_along_the_way"
_LINT: Final = "tests/fault/test_durable_before_it_counts.py::test_apply_approve_resume_and_export"
_ONCE: Final = "tests/fault/test_runner_records_at_once.py"
_SECTIONS: Final = "tests/unit/forge/test_runner_sections.py"
_STOPS: Final = "tests/fault/test_runner_stops_and_races.py"
_TREE: Final = "tests/fault/test_process_tree_dies_with_us.py"
_FENCE: Final = "tests/fault/test_lease_self_fencing.py"
_RERUN: Final = "tests/fault/test_rerun_is_asked_for_each_step.py"
_COMMANDS: Final = "tests/integration/test_cli_jobs_of_commands.py"
_WALK: Final = "tests/unit/forge/test_walk_order_and_skips.py"

_RUNNER: Final = "clockwork_nb/forge/runner.py"
_CONTINUATION: Final = "clockwork_nb/session/continuation.py"

MUTANTS: list[Mutant] = [
    # --- P1: what is recorded, and when
    Mutant(
        "the-result-is-recorded-before-the-effect", _RUNNER,
        "        self._start(step, action, artifacts, attempt, limit)\n",
        "        self._start(step, action, artifacts, attempt, limit)\n"
        '        early = {"section": self.section, "step_id": step_id, "attempt": attempt, "duration_ms": 0, "note": ""}\n'
        '        self._append([Draft("step.completed", early)])\n',
        "P1", (f"{_SWEEP}[apply-before-a-step-is-sent]",),
    ),
    Mutant(
        "the-intent-is-recorded-after-the-effect", _RUNNER,
        """\
        self._start(step, action, artifacts, attempt, limit)
        log = self.logs.step(step.address, step.purpose, self.context.redactor, attempt=attempt)
        began = time.monotonic()
        try:
            outcome = self.bench.run(
                replace(step, vars={**step.vars, "CW_RETRY": "1"}) if failed_before else step,
                timeout_s=limit,
                key=f"{self.writer.job_id}:{step_id}:{self.plan_digest}",
                log=log,
                removes=action["change"] == "delete",
                cancel=self.context.cancel,
                idle_timeout_s=action.get("idle_timeout_s", 0),
            )
""",
        """\
        log = self.logs.step(step.address, step.purpose, self.context.redactor, attempt=attempt)
        began = time.monotonic()
        try:
            outcome = self.bench.run(
                replace(step, vars={**step.vars, "CW_RETRY": "1"}) if failed_before else step,
                timeout_s=limit,
                key=f"{self.writer.job_id}:{step_id}:{self.plan_digest}",
                log=log,
                removes=action["change"] == "delete",
                cancel=self.context.cancel,
                idle_timeout_s=action.get("idle_timeout_s", 0),
            )
            self._start(step, action, artifacts, attempt, limit)
""",
        "P1", (f"{_ONCE}::test_the_intent_is_in_the_log_before_anything_of_the_step_runs",),
    ),
    Mutant(
        "the-intent-is-not-synced", "clockwork_nb/store/journal.py",
        "            self._fs.sync(handle, data_only=True)\n",
        '            if b\'"step.started"\' not in data:\n                self._fs.sync(handle, data_only=True)\n',
        "P3", (_LINT,),
    ),
    Mutant(
        "the-result-is-not-synced", "clockwork_nb/store/journal.py",
        "            self._fs.sync(handle, data_only=True)\n",
        '            if b\'"step.completed"\' not in data:\n                self._fs.sync(handle, data_only=True)\n',
        "P3", (_LINT,),
    ),
    Mutant(
        "the-state-gets-its-name-before-its-content", "clockwork_nb/fs.py",
        "            if durable:\n",
        '            if durable and "state.json" not in path.name:\n',
        "P3", (_LINT,),
    ),
    Mutant(
        "the-folder-of-the-state-is-not-synced", "clockwork_nb/fs.py",
        "            for path in folders if not disks else ():\n",
        '            for path in folders if not disks and not any(p.name == "state.json" for p in files) else ():\n',
        "P3", (_LINT,),
    ),
    Mutant(
        "a-cursor-that-is-one-behind-instead-of-the-log", "clockwork_nb/session/execution.py",
        'done = {name for name, step in known.steps.items() if step.status == "completed"}',
        'done = set([name for name, step in known.steps.items() if step.status == "completed"][:-1])',
        "P1", (f"{_SWEEP}[apply-while-a-step-runs]",),
    ),
    Mutant(
        "a-job-says-it-is-at-its-end-before-it-is-finished", "clockwork_nb/session/runs.py",
        '        self.writer.append([*drafts, Draft("job.finished", {"status": status, "reason_codes": []})])\n',
        "        self.writer.append(drafts)\n"
        '        self.writer.append([Draft("job.finished", {"status": status, "reason_codes": []})])\n',
        "P1", ("tests/unit/session/test_end_of_a_job_is_one_append.py",),
    ),
    Mutant(
        "what-a-step-printed-is-recorded-after-its-end", _RUNNER,
        "            self._append([*drafts, completed, *published, self._charge(attempt, outcome.usage)])\n",
        "            self._append([completed, *published, self._charge(attempt, outcome.usage)])\n"
        "            self._append(drafts)\n",
        "P1", (f"{_ONCE}::test_a_result_comes_with_its_output_and_its_charge",),
    ),
    Mutant(
        "a-result-and-its-charge-are-two-records", _RUNNER,
        "            self._append([*drafts, completed, *published, self._charge(attempt, outcome.usage)])\n",
        "            self._append([*drafts, completed, *published])\n"
        "            self._append([self._charge(attempt, outcome.usage)])\n",
        "P1", (f"{_ONCE}::test_a_result_comes_with_its_output_and_its_charge",),
    ),
    Mutant(
        "a-step-that-ended-well-is-believed", _RUNNER,
        "            if problem:\n",
        "            if problem and outcome.exit_code:\n",
        "P1", (f"{_SECTIONS}::test_a_step_that_ends_well_without_its_result_has_failed",),
    ),
    Mutant(
        "the-mark-of-the-state-runs-ahead-of-other-threads", _RUNNER,
        "self.fold.mark(self.image, min(self.floors.values(), default=self.highest))",
        "self.fold.mark(self.image, self.highest)",
        "P1", (f"{_ONCE}::test_the_state_never_claims_an_event_that_is_not_folded_in",),
    ),
    # --- P2: interrupted steps
    Mutant(
        "a-dead-launcher-leaves-no-doubt", _RUNNER,
        "            self._append([*outputs, step_interrupted(self.section, step_id, attempt, error.message), charged])\n",
        "            self._append([*outputs, charged])\n",
        "P2", (f"{_STOPS}::test_a_launcher_that_dies_leaves_a_recorded_doubt",),
    ),
    Mutant(
        "a-cancelled-step-leaves-no-doubt", _RUNNER,
        '            self._append([*drafts, step_interrupted(self.section, step.id, attempt, "cancelled"), charged])\n',
        "            self._append([*drafts, charged])\n",
        "P2", (f"{_STOPS}::test_a_request_of_another_process_stops_the_running_step",),
    ),
    Mutant(
        "idempotent-steps-are-asked-about", _CONTINUATION,
        "and not step.idempotent and name not in allowed",
        "and name not in allowed",
        "P2", (f"{_SWEEP}[apply-idempotent-while-a-step-runs]",),
    ),
    Mutant(
        "one-permission-to-rerun-is-good-for-all", _CONTINUATION,
        "and not step.idempotent and name not in allowed",
        "and not step.idempotent and not allowed",
        "P2", (_RERUN,),
    ),
    Mutant(
        "every-step-declares-itself-idempotent", "clockwork_nb/forge/step_events.py",
        '"idempotent": bool(action["idempotent"]),',
        '"idempotent": True,',
        "P2", (f"{_SWEEP}[submit-while-a-step-runs]",),
    ),
    # --- P25, P40, P41: what runs is what was approved, and only once
    Mutant(
        "the-approval-is-used-up-in-a-record-of-its-own", _RUNNER,
        '                self._append([Draft("approval.used", used), started])\n',
        '                self._append([Draft("approval.used", used)])\n                self._append([started])\n',
        "P40", (f"{_ONCE}::test_the_approval_is_used_up_with_the_first_intent",),
    ),
    Mutant(
        "an-approval-is-used-for-every-step", _RUNNER,
        "                self.unused = False\n",
        "",
        "P40", (f"{_SECTIONS}::test_the_approval_is_used_with_the_first_step_and_only_once",),
    ),
    Mutant(
        "interpreters-are-not-checked", _RUNNER,
        "        check_interpreters(self.bundle, done)\n",
        "",
        "P25", (f"{_SECTIONS}::test_an_interpreter_that_was_replaced_is_not_used",),
    ),
    Mutant(
        "scripts-on-the-disk-are-not-compared", _RUNNER,
        '        verify_files(artifacts, self.context.workspace / "build")\n',
        "",
        "P25", (f"{_SECTIONS}::test_an_artifact_changed_after_approval_stops_the_section",),
    ),
    Mutant(
        "a-stale-plan-runs", "clockwork_nb/forge/preconditions.py",
        "    if found != planned:\n",
        "    if found[0] != planned[0]:\n",
        "P41", (f"{_ONCE}::test_a_plan_of_another_moment_of_the_state_runs_nothing",),
    ),
    Mutant(
        "write-rights-are-not-checked-before-the-first-step", "clockwork_nb/forge/step.py",
        "            self._check_write(path)\n",
        "            pass\n",
        "P25", (f"{_SECTIONS}::test_wanting_to_write_where_none_may_stops_everything_before_it_starts",),
    ),
    # --- budgets
    Mutant(
        "a-budget-that-is-used-up-stops-nothing", _RUNNER,
        "            self._out_of_budget(excess)\n            if failed_before:\n                return False\n"
        "            self.refused.append(step_id)\n            return None\n",
        "            self._out_of_budget(excess)\n",
        "P42", (f"{_COMMANDS}::test_retries_with_a_wait_between_and_their_budget", f"{_COMMANDS}::test_a_pipeline_has_budgets_too"),
    ),
    Mutant(
        "retries-are-no-budget", _RUNNER,
        "        excess = self.meter.begin(retry=attempt > 1)\n",
        "        excess = self.meter.begin(retry=False)\n",
        "P42", (f"{_COMMANDS}::test_retries_with_a_wait_between_and_their_budget",),
    ),
    Mutant(
        "wall-time-that-is-used-up-stops-no-running-step", _RUNNER,
        '                    self._stop("budget")  # what runs uses up more of it with every second\n',
        "                    pass\n",
        "P42", (f"{_COMMANDS}::test_a_wrapped_command_stops_at_its_wall_budget_with_its_whole_tree",),
    ),
    Mutant(
        "budgets-count-what-ended-only", "clockwork_nb/forge/metering.py",
        "            self._used = wanted\n            return None\n",
        "            return None\n",
        "P42", ("tests/unit/forge/test_meter_counts_before_it_spends.py",),
    ),
    # --- P15, P28: stopping
    Mutant(
        "a-cancelled-step-goes-on", "clockwork_nb/forge/launch.py",
        '            if cancel is not None and cancel.is_set():\n                self._cancel(run, "cancelled")\n',
        "            if cancel is not None and cancel.is_set():\n",
        "P28", (f"{_TREE}::test_a_cancelled_step_takes_the_whole_family",),
    ),
    Mutant(
        "who-ignores-sigterm-lives-on", "clockwork_nb/forge/launcher.py",
        "                os.kill(pid, signal.SIGKILL)  # its orphans come to us as strays\n",
        "                pass\n",
        "P28", (_TREE,),
    ),
    Mutant(
        "what-a-step-leaves-running-lives-on", "clockwork_nb/forge/launcher.py",
        "        while hit := [p for p in self.children.read() if not (p in self.steps or p in self.stuck or p in self.kept)]:\n",
        "        for hit in list[list[int]]():\n",
        "P28", (f"{_TREE}::test_processes_left_behind_are_killed_when_the_step_ends",),
    ),
    Mutant(
        "an-append-that-failed-stops-nothing", _RUNNER,
        "            self.context.cancel.set()  # nothing more can be recorded, so nothing more may run\n",
        "",
        "P15", (f"{_ONCE}::test_a_running_step_is_ended_when_nothing_can_be_recorded_any_more",),
    ),
    Mutant(
        "a-lost-job-still-writes-the-state", _RUNNER,
        '        return self.stopped != "lost" and self.writer.stop_requested() != "lost"\n',
        "        return True\n",
        "P15", (_FENCE,),
    ),
    Mutant(
        "a-request-to-pause-is-not-heard", _RUNNER,
        "        if not self.context.cancel.is_set() and (reason := self.writer.stop_requested()):\n",
        '        if not self.context.cancel.is_set() and (reason := self.writer.stop_requested()) not in {"", "pause"}:\n',
        "P15", (f"{_STOPS}::test_a_request_of_another_process_stops_the_running_step",),
    ),
    Mutant(
        "what-needs-a-failed-step-runs-all-the-same", "clockwork_nb/forge/walk.py",
        "        if ok:\n            self.result.done.append(node)\n",
        "        if ok is not None:\n            self.result.done.append(node)\n",
        "P1", (_WALK,),
    ),
    Mutant(
        "what-was-refused-for-good-is-tried-again", _RUNNER,
        " or self.soft or self.outcomes[step_id].final:",
        " or self.soft:",
        "P42", (f"{_ONCE}::test_a_step_that_was_refused_is_not_tried_again",),
    ),
]  # fmt: skip
