"""The events of one step, as drafts. What they say is decided elsewhere."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from clockwork_nb.canonical import digest, sha256_hex
from clockwork_nb.jobs.fields import clip
from clockwork_nb.ports import Artifact, Draft

if TYPE_CHECKING:
    from clockwork_nb.forge.bundle import BundleStep
    from clockwork_nb.forge.logs import StepLog, StreamLog

__all__ = ["step_interrupted", "step_outputs", "step_skipped", "step_started"]


def step_started(
    section: int,
    step: BundleStep,
    action: Mapping[str, Any],
    *,
    index: int,
    attempt: int,
    limit_s: int,
    tier: str,
    artifact: Artifact | None,
) -> Draft:
    """Return the intent to run *step*, to be durable before anything of it runs.

    Args:
        action: the plan's action that it carries out.
        index, attempt: its place in the section and how often it was started, both from 1.
        limit_s: seconds until it is stopped.
        tier: the confinement of steps that are confined.
        artifact: the script or the built-in's spec.
    """
    payload: dict[str, Any] = {
        "section": section,
        "step_id": step.id,
        "index": index,
        "attempt": attempt,
        "summary": _summary(step),
        "command": clip(shlex.join(step.cmd), 4096),
        "argv": digest(list(step.cmd)),
        "idempotent": bool(action["idempotent"]),
        "timeout_ms": limit_s * 1000,
        "confinement": tier if step.cls == "confined" else "none",
        "class": step.cls,
    }
    if artifact is not None:
        payload["artifact"] = artifact.path
        payload["artifact_sha256"] = sha256_hex(artifact.content)
    return Draft("step.started", payload)


def step_outputs(
    section: int, step_id: str, attempt: int, log: StepLog, put_blob: Callable[[bytes], str]
) -> list[Draft]:
    """Return an event for each stream that the step wrote to, its content made durable by *put_blob*."""
    out = []
    streams: tuple[tuple[str, StreamLog], ...] = (("out", log.out), ("err", log.err))
    for name, stream in streams:
        if stream.total:
            payload = {
                "section": section,
                "step_id": step_id,
                "attempt": attempt,
                "stream": name,
                "blob": put_blob(stream.content()),
                "bytes": stream.total,
                "truncated": stream.truncated,
            }
            if stream.truncated:
                payload["whole"] = stream.whole_sha256()  # what was left out can still be told from something else
            out.append(Draft("step.output", payload))
    return out


def step_interrupted(section: int, step_id: str, attempt: int, found: str) -> Draft:
    """Return the event of a step that was running when its run was stopped; *found* is what is known about it."""
    payload = {"section": section, "step_id": step_id, "attempt": attempt, "found": clip(found, 1024)}
    return Draft("step.interrupted", payload)


def step_skipped(section: int, step: BundleStep, index: int, cause: str) -> Draft:
    """Return the event of a step that does not run because the one at address *cause* failed."""
    payload = {
        "section": section,
        "step_id": step.id,
        "index": index,
        "summary": _summary(step),
        "reason": f"needs {cause}",
    }
    return Draft("step.skipped", payload)


def _summary(step: BundleStep) -> str:
    return clip(f"{step.purpose} {step.address}", 1024)
