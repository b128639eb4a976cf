"""A job's events as people read them: one a line, the facts that matter first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clockwork_nb.render.text import clip, pad, short_digest, visible

__all__ = ["events_text"]

_DIGESTS = ("plan", "bundle", "policy")
_SHOWN = ("name", "step_id", "cell", "summary", "to", "outcome", "by", "reason", "note", "path", "verb", "code", "kind")


def events_text(events: Sequence[Mapping[str, Any]]) -> str:
    """Return the events (``{seq, created_at, type, payload}``) as a table without a line end at the end."""
    lines = []
    for event in events:
        payload = event["payload"]
        if payload.get("via") in {"auto", "policy"}:
            payload = {**payload, "by": "no person"}
        facts = [clip(visible(str(payload[k])), 60) for k in _SHOWN if payload.get(k)]
        facts += [f"{k} {short_digest(str(payload[k]))}" for k in _DIGESTS if payload.get(k)]
        time = event["created_at"][11:23]
        lines.append(f"{event['seq']:>6}  {time}  {pad(event['type'], 20)}  {' · '.join(facts[:3])}".rstrip())
    return "\n".join(lines) if lines else "No events."
