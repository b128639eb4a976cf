"""The ``steps`` and ``command`` adapters: each command of a job spec becomes a plan's action and a script of its bundle.

The scripts run at host level, with the environment of whoever runs the job: a job spec is the operator's own commands.
They are artifacts all the same, so what is approved, run and kept as evidence are the same bytes.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

from clockwork_nb.assembly.plan import Plan, ResourceChange
from clockwork_nb.errors import InvalidInputError
from clockwork_nb.forge.bundle import Bundle, BundleStep
from clockwork_nb.forge.runtimes import Interpreters
from clockwork_nb.ids import slug
from clockwork_nb.ports import Action, Artifact

if TYPE_CHECKING:
    from clockwork_nb.intake.desired import EnvFacts
    from clockwork_nb.jobs.spec import StepSpec

__all__ = ["ACTION", "TYPE", "check_order", "command_script", "compile_steps", "parts_of", "plan_steps", "step_address"]

TYPE = "step"
ACTION = "run"
_RISK = ("host",)
_TIMEOUT_S = 86_400  # a command of the operator's own ends when it ends; the spec and the budgets say otherwise


def parts_of(steps: Sequence[StepSpec]) -> list[tuple[StepSpec, ...]]:
    """Return *steps* cut before every step that asks for a decision: each part is planned, decided on and run by itself."""
    parts: list[list[StepSpec]] = []
    for step in steps:
        if not parts or step.decision_needed:
            parts.append([])
        parts[-1].append(step)
    return [tuple(part) for part in parts]


def check_order(steps: Sequence[StepSpec]) -> None:
    """Return when every step can be run in its part: what it needs is in the same part, or in an earlier one.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA.
    """
    part_of = {step.id: number for number, part in enumerate(parts_of(steps)) for step in part}
    for step in steps:
        for need in step.needs:
            if part_of[need] > part_of[step.id]:
                raise InvalidInputError(
                    f"step {step.id} needs {need}, which runs after a decision that comes later",
                    hint=f"Move {step.id} behind {need}.",
                )


def step_address(step: StepSpec) -> str:
    """Return the address of *step*: ``step.<id>``."""
    return f"{TYPE}.{step.id}"


def plan_steps(
    part: Sequence[StepSpec], *, configuration: str, spec_name: str, facts: EnvFacts, tool_version: str
) -> Plan:
    """Return the plan of one part of a job spec.

    Args:
        configuration: digest of the whole spec.
        spec_name: what the spec is called in messages.
    """
    here = {step.id for step in part}
    actions, changes = [], []
    for step in part:
        address = step_address(step)
        changes.append(
            ResourceChange(
                address, TYPE, "run", step.summary, spec_name,
                dependencies=tuple(sorted(f"{TYPE}.{need}" for need in step.needs)),
                reason=_reason(step), risk=_RISK,
            )
        )  # fmt: skip
        actions.append(
            Action(
                id=f"{address}:{ACTION}",
                name=ACTION,
                address=address,
                args={"command": shown_command(step)},
                needs=tuple(sorted(f"{TYPE}.{need}:{ACTION}" for need in step.needs if need in here)),
                change="run",
                timeout_s=step.timeout_s or _TIMEOUT_S,
                idempotent=step.idempotent,
                risk=_RISK,
                retries=step.retries,
            )
        )
    return Plan(
        configuration_digest=configuration,
        lineage=None,
        serial=0,
        facts=facts,
        tool_version=tool_version,
        changes=tuple(changes),
        actions=tuple(actions),
        compiler="steps",
    )


def _reason(step: StepSpec) -> str:
    if not step.executed:
        return "not executed, as the spec says"
    if not step.decision_needed:
        return ""
    wanted = "" if step.required_action in {"", "approval"} else f": {_one_line(step.required_action)}"
    return f"asks for a decision{wanted}"


def shown_command(step: StepSpec) -> str:
    """Return the command of *step* in one text; empty when it has none."""
    return shlex.join(step.argv) if step.argv else step.command


def compile_steps(part: Sequence[StepSpec], *, spec_name: str, interpreters: Interpreters | None = None) -> Bundle:
    """Return the bundle of one part: one script and one step for each of its steps, in order.

    Raises:
        BundleRuntimeError: E_BUNDLE_RUNTIME: there is no ``sh``.
    """
    path, sha256 = (interpreters or Interpreters()).resolve("sh")
    artifacts, steps = [], []
    for step in part:
        address = step_address(step)
        script = Artifact(
            path=f"scripts/{slug(address)}/{ACTION}.sh",
            content=command_script(step, spec_name),
            mode="0755",
            purpose=_one_line(step.summary) or f"run {step.id}",
            lang="sh",
        )
        artifacts.append(script)
        steps.append(
            BundleStep(
                id=f"{address}:{ACTION}",
                purpose=ACTION,
                address=address,
                cmd=("sh", script.path),
                vars=dict(step.env),
                network=True,
                cls="host",
                interpreter=path,
                interpreter_sha256=sha256,
                inherits_environment=True,
            )
        )
    return Bundle(tuple(artifacts), tuple(steps))


def command_script(step: StepSpec, spec_name: str) -> bytes:
    """Return the script that runs *step*'s command, with a header that says what it is and where it comes from.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA: a zero byte, which no command line can hold.
    """
    body = f"exec {shlex.join(step.argv)}" if step.argv else step.command or ":"
    if "\0" in body:
        raise InvalidInputError(f"the command of step {step.id} holds a zero byte")
    header = [
        "#!/bin/sh",
        f"# What: {_one_line(step.summary) or step.id}",
        f"# From: {_one_line(spec_name)}, step {step.id}",
        "# Runs at host level, with the environment of whoever runs the job.",
    ]
    return os.fsencode("\n".join([*header, body]) + "\n")


def _one_line(text: str) -> str:
    # What follows a line break would not be a comment any more.
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:300]
