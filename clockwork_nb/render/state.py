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
        status = "" if entry["status"] == "ok" else f"   {visible(entry['status'])}"
        lines.append(f"  {pad(visible(entry['address']), width)}{_what(entry)}{status}".rstrip())
    outputs = document["outputs"]
    if outputs:
        lines.append("")
        for output in outputs:
            shown = "(sensitive)" if output["sensitive"] else value_text(output["value"], 100)
            lines.append(f"Output    {visible(output['name'])} = {shown}")
    return "\n".join(lines)


def _what(entry: Mapping[str, Any]) -> str:
    """Return what the resource is in the world, as far as it is recorded: its path, or that it runs and where."""
    config, identity = entry["config"], entry["identity"]
    words = [config.get("path"), config.get("creates"), identity.get("detail"), identity.get("status")]
    if "pid" in identity:
        words.append(f"pid {identity['pid']}")
    words += [f"port {port['external']}" for port in config.get("ports") or () if "external" in port]
    if isinstance(config.get("http"), Mapping):
        words.append(config["http"].get("url"))
    return ", ".join(visible(word) for word in words if isinstance(word, str) and word)
