"""The job spec that an author begins with."""

from __future__ import annotations

from typing import Final

__all__ = ["template"]

_TEMPLATE: Final = """\
# A job: steps that run one after the other, recorded, resumable, with an evidence pack at the end.
# Check and run it:  clockwork job submit jobspec.yaml
name: example
objective: Count the lines of a text and keep the answer.

inputs:
  workspace: .                # commands run here
  steps:
    - id: prepare
      command: mkdir -p reports
      idempotent: true        # may run again if it was cut off; others stop the job and ask

    - id: count
      summary: count the lines
      command: printf 'one\\ntwo\\n' | wc -l > reports/count.txt
      timeout_s: 60
      retries: 1              # one more try after a failure
      artifacts:
        - reports/count.txt

    - id: keep
      summary: show the answer
      decision_needed: true   # somebody approves before this step runs
      required_action: approve
      argv: [cat, reports/count.txt]   # a program and its arguments, without a shell
      needs: [count]          # without needs: a step waits for the one before it

expected_artifacts:
  - reports/count.txt         # each must have been published when the job ends

adapter:
  name: steps

budgets:                      # a job that uses up a budget stops; clockwork budget raise goes on
  max_wall_time_seconds: 3600
  max_step_count: 20
  max_retries: 2
  max_tool_calls: 200

checkpoint_policy:
  min_interval_seconds: 10    # progress is told at most so often

environment_fingerprint:      # what must be the same when the job is resumed
  rules: [arch, os, python]
"""


def template() -> str:
    """Return the commented YAML of a small job that runs as it stands."""
    return _TEMPLATE
