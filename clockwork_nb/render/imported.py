"""A foreign job as people read it: where it stands, what it waits for, and what is wrong with its folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from clockwork_nb.render.text import Paint, clip, pad, plural, visible

__all__ = ["import_text"]

_LABEL: Final = 10
_TEXT: Final = 200
_SHOWN: Final = 8
_WORDS: Final = {
    "wall_time_seconds": "wall s",
    "step_count": "steps",
    "retry_count": "retries",
    "tool_call_count": "tool calls",
    "cost": "cost",
    "tokens": "tokens",
}

Document = Mapping[str, Any]


def import_text(document: Document, *, color: bool = False) -> str:
    """Return the job of a foreign folder as text without a line end at the end."""
    paint = Paint(color)
    rows = [*_state(document), *_trouble(document, paint)]
    lines = [f"{paint.bold(visible(document['job_id']))}  {' · '.join(_facts(document))}"]
    lines += [f"  {pad(label, _LABEL)}{text}" for label, text in rows]
    lines += [("Next   " if i == 0 else " " * 7) + visible(line) for i, line in enumerate(document["next"])]
    return "\n".join(lines)


def _facts(document: Document) -> list[str]:
    facts = [visible(document["status"]), "a Wrkr job, read only"]
    if document["adapter"]:
        facts.append(_clean(document["adapter"]))
    done, total = document["steps"]
    if total:
        facts.append(f"{done:,} of {plural(total, 'step')}")
    return facts


def _state(document: Document) -> list[tuple[str, str]]:
    rows = []
    for question in document["waiting"]:
        action = question["required_action"] or {}
        asked = action.get("instructions") or action.get("kind") or ""
        text = f"{question['checkpoint_id']} {_clean(question['summary'])}" + (f" ({_clean(asked)})" if asked else "")
        rows.append(("open", text))
    for approval in document["approvals"][:_SHOWN]:
        reason = _clean(approval["reason"])
        rows.append(
            ("approved", f'{_clean(approval["checkpoint_id"])} by {_clean(approval["approved_by"])} "{reason}"')
        )
    limits, counters = document["limits"], document["counters"]
    used = [
        f"{word} {counters[name]}{f' / {limits[name]}' if name in limits else ''}"
        if name in counters
        else f"{word} at most {limits[name]}"  # Wrkr keeps no count of these in its log
        for name, word in _WORDS.items()
        if counters.get(name) or name in limits
    ]
    if used:
        rows.append(("budget", " · ".join(used)))
    if document["acceptance"] is not None:
        rows.append(
            ("accepted", f"{document['acceptance']['checks_passed']} of {document['acceptance']['checks_run']}")
        )
    log = document["log"]
    text = f"{plural(document['events'], 'event')}, last {_clean(document['last_at']) or 'never'}; not chained"
    if log["readable_bytes"] < log["bytes"]:
        text += f"; readable up to byte {log['readable_bytes']:,} of {log['bytes']:,}"
    rows.append(("log", text))
    if document["lease"] is not None:
        lease = document["lease"]
        rows.append(("lease", f"{_clean(lease['worker_id'])} until {_clean(lease['expires_at'])}"))
    return rows


def _trouble(document: Document, paint: Paint) -> list[tuple[str, str]]:
    rows = []
    shown, status = document["wrkr_status"], document["status"]
    if not shown:
        rows.append((paint.bad("broken"), "Wrkr itself cannot read this job any more"))
    elif shown != status and not any(finding.get("field") == "status" for finding in document["findings"]):
        rows.append((paint.warn("differs"), f"Wrkr itself would say {visible(shown)}; its log says {visible(status)}"))
    order = {"damage": 0, "contradiction": 1, "note": 2}
    findings: Sequence[Document] = sorted(document["findings"], key=lambda finding: order[finding["severity"]])
    for finding in findings[:_SHOWN]:
        paints = {"damage": paint.bad, "contradiction": paint.warn}
        label = paints.get(finding["severity"], str)("found")
        rows.append((label, f"{_where(finding)}: {_clean(finding['message'])}  [{finding['code']}]"))
    if len(findings) > _SHOWN:
        rows.append(("", f"and {len(findings) - _SHOWN} more (--json shows all)"))
    return rows + [("folder", _clean(text)) for text in document["remarks"]]


def _where(finding: Document) -> str:
    places = [f"event {finding['seq']}"] if "seq" in finding else []
    if "offset" in finding:
        places.append(f"byte {finding['offset']:,}")
    return f"{_clean(finding['file'])} {', '.join(places)}".rstrip()


def _clean(text: Any) -> str:
    return clip(visible(str(text)), _TEXT)
