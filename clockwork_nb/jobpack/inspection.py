"""What is in a pack, as one document: who, what and when, sections with their steps, decisions, files.

Everything comes from an `Examination`: the bytes that were verified, never the file again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from clockwork_nb.canonical import parse_json
from clockwork_nb.errors import InvalidInputError
from clockwork_nb.jobpack.history import Approval, History, SectionHistory, StepRun
from clockwork_nb.jobpack.layout import EVENTS
from clockwork_nb.jobpack.verify import Examination

__all__ = ["entry_bytes", "inspect_pack", "timeline"]

_SCHEMA: Final = "clockwork.inspection.v1"


def inspect_pack(examination: Examination) -> dict[str, Any]:
    """Return what the pack holds, as JSON values. Of what could not be read the fields are empty.

    ``verified`` says whether any of it may be relied on; ``verification`` is the report.
    """
    report, history = examination.report, examination.history
    document: dict[str, Any] = {
        "schema": _SCHEMA,
        "verified": report.ok,
        "verification": report.to_document(),
        "job": {},
        "sections": [],
        "decisions": [],
        "cells": [],
        "acceptance": None,
        "environment": None,
        "files": _files(examination),
        "not_included": [{"path": f.name, "sha256": f.sha256, "size": f.size} for f in report.left_out],
    }
    if history is None:
        if report.job_id:  # a pack that Wrkr made, or one of an imported job: no chain, so no more than this
            names = ("name", "status", "final", "count", "counts", "created_at")
            document["job"] = {"id": report.job_id, **{name: getattr(report, name) for name in names}}
        return document
    document["job"] = _job(history)
    document["sections"] = [_section(history.sections[number]) for number in sorted(history.sections)]
    document["decisions"] = [_decision(approval) for approval in history.approvals.values()]
    document["cells"] = [
        {"index": index, "name": name, "outcome": outcome} for index, (name, outcome) in sorted(history.cells.items())
    ]
    if history.accepted is not None:
        document["acceptance"] = {
            name: history.accepted[name] for name in ("checks_run", "checks_passed", "failures", "reason_codes")
        }
    if history.environment is not None:
        document["environment"] = {"hash": history.environment["hash"], "rules": list(history.environment["rules"])}
    return document


def timeline(examination: Examination) -> list[dict[str, Any]]:
    """Return every event in order as ``{seq, created_at, type, epoch, payload}``; Wrkr's events have the epoch 0."""
    archive = examination.archive
    if examination.history is None and archive is not None and examination.report.job_id:  # intact, and not of ours
        return [_contract_event(parse_json(line)) for line in archive.read(EVENTS).split(b"\n")[:-1]]
    return [
        {"seq": e.seq, "created_at": e.created_at, "type": e.type, "epoch": e.epoch, "payload": dict(e.payload)}
        for e in examination.events
    ]


def _contract_event(line: Mapping[str, Any]) -> dict[str, Any]:
    number = int(str(line["event_id"]).removeprefix("evt_"))
    return {"seq": number, "epoch": 0, **{name: line[name] for name in ("created_at", "type", "payload")}}


def entry_bytes(examination: Examination, name: str) -> bytes:
    """Return the verified bytes of the entry *name*.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA: the pack has no such entry; the nearest name is in the hint.
    """
    archive = examination.archive
    if archive is not None and name in archive.entries:
        return archive.read(name)
    names = [] if archive is None else sorted(archive.entries)
    ending = [known for known in names if known.endswith(f"/{name}")]
    hint = f"Did you mean {ending[0]}?" if len(ending) == 1 else "clockwork jobpack inspect lists the files."
    raise InvalidInputError(f"the pack has no file {name[:240]!r}", hint=hint)


def _job(history: History) -> dict[str, Any]:
    return {
        "id": history.job_id,
        "name": history.name,
        "adapter": str(history.genesis["adapter"]),
        "objective": history.objective,
        "lineage": str(history.genesis["lineage"]),
        "producer_version": history.producer_version,
        "status": history.status,
        "final": history.finished,
        "tainted": history.tainted,
        "created_at": str(history.genesis["created_at"]),
        "last_at": history.last_at,
        "epochs": history.epoch,
        "count": history.count,
        "head": history.head,
        "genesis": str(history.genesis["genesis"]),
        "counts": history.counts(),
    }


def _section(section: SectionHistory) -> dict[str, Any]:
    binding: Mapping[str, Any] = section.binding or {}
    return {
        "section": section.number,
        "verb": section.verb,
        "cell": section.cell,
        "outcome": section.outcome,
        "plan": section.plan,
        "bundle": section.bundle,
        "configuration": str(binding.get("configuration", "")),
        "serial": int(binding.get("serial", 0)),
        "changes": int(binding.get("changes", 0)),
        "state_after": section.state_after,
        "steps": [_step(run) for run in section.runs],
        "skipped": [
            {"step_id": s["step_id"], "index": s["index"], "summary": s["summary"], "reason": s["reason"]}
            for s in section.skipped
        ],
    }


def _step(run: StepRun) -> dict[str, Any]:
    end: Mapping[str, Any] = run.end or {}
    return {
        "step_id": run.start["step_id"],
        "index": run.start["index"],
        "attempt": run.start["attempt"],
        "summary": run.start["summary"],
        "command": run.start["command"],
        "artifact": run.start.get("artifact", ""),
        "artifact_sha256": run.start.get("artifact_sha256", ""),
        "outcome": run.outcome,
        "exit_code": end.get("exit_code"),
        "duration_ms": end.get("duration_ms"),
        "note": end.get("note", ""),
        "seq": run.seq,
    }


def _decision(approval: Approval) -> dict[str, Any]:
    return {
        "approval_id": approval.approval_id,
        "section": approval.section,
        "decision": approval.decision,
        "by": approval.by,
        "via": approval.via,
        "person": approval.via not in {"auto", "policy", ""},
        "reason": approval.reason,
        "at": approval.at,
        "plan": str(approval.binds.get("plan", "")),
        "bundle": str(approval.binds.get("bundle", "")),
        "used": bool(approval.uses),
    }


def _files(examination: Examination) -> list[dict[str, Any]]:
    archive, manifest = examination.archive, examination.manifest
    if archive is None:
        return []
    listed: Mapping[str, str] = {} if manifest is None else manifest.files
    return [
        {"path": entry.name, "size": entry.size, "sha256": listed.get(entry.name, "")}
        for entry in archive.entries.values()
    ]
