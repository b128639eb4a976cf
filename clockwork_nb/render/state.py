"""The recorded state as people read it. Works on the state document (``PriorState.to_document``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clockwork_nb.render.text import columns_of, pad, plural, visible
from clockwork_nb.render.values import value_text

__all__ = ["state_text"]


def state_text(document: Mapping[str, Any]) -> str:
    """Return one line a resource, then the outputs, without a line end at the end; a sentence when nothing is recorded."""
    resources = document["resources"]
    if not resources:
        return "Nothing is recorded here: nothing was applied yet, or everything was destroyed."
    lines = [f"State     serial {document['serial']} · {plural(len(resources), 'resource')}", ""]
    width = max(columns_of(visible(r["address"])) for r in resources) + 3
    for entry in resources:
        status = "" if entry["status"] == "ok" else f"   {entry['status']}"
        what = entry["config"].get("path") or entry["identity"].get("detail") or ""
        lines.append(f"  {pad(visible(entry['address']), width)}{visible(str(what))}{status}".rstrip())
    outputs = document["outputs"]
    if outputs:
        lines.append("")
        for output in outputs:
            shown = "(sensitive)" if output["sensitive"] else value_text(output["value"], 100)
            lines.append(f"Output    {visible(output['name'])} = {shown}")
    return "\n".join(lines)
