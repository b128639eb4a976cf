"""Reads the JSON that terraform writes: plans and messages. Pure, standard library only (a step's script holds this text).

The forms are those of "JSON Output Format" and "Machine-Readable UI" in Terraform's documentation; OpenTofu's are the same.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

__all__ = ["MASKED", "Trouble", "counted", "decoded", "is_data", "masked", "plain", "problems", "summary"]

MASKED = "(sensitive)"


class Trouble(Exception):
    """What stands in the way, in words for people."""


def decoded(data: bytes, *, form: str = "") -> dict[str, Any]:
    """Return the JSON object in *data*, which must be of a version that begins with *form* when that is given."""
    try:
        found = json.loads(data)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise Trouble(f"terraform did not answer with JSON: {plain(data[:400])}")
    if form and not str(found.get("format_version")).startswith(form):
        raise Trouble(f"this terraform writes the form {found.get('format_version')!r}, which is not known here")
    return found


def summary(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a plan (the JSON of ``terraform show``) would do, without any value that is sensitive.

    ``digest`` is the same for two plans that do the same: it is over the changes, the variables and the configuration, and
    leaves out times, serial numbers and the values of what is sensitive. ``changes`` are in the order of their addresses.
    """
    root = document.get("configuration", {}).get("root_module", {})
    hidden = {name for name, about in root.get("variables", {}).items() if about.get("sensitive")}
    declared = {
        name: {key: value for key, value in about.items() if key != "default" or name not in hidden}
        for name, about in root.get("variables", {}).items()
    }
    changes = sorted(document.get("resource_changes", ()), key=lambda c: (c["address"], c.get("deposed", "")))
    outputs = document.get("output_changes", {})
    bound = {
        "format": document.get("format_version"),
        "version": document.get("terraform_version"),
        "variables": {
            name: MASKED if name in hidden else given.get("value")
            for name, given in document.get("variables", {}).items()
        },
        "resources": [_masked_change(change) for change in changes],
        "outputs": {name: _masked_values(change) for name, change in outputs.items()},
        "configuration": {**document.get("configuration", {}), "root_module": {**root, "variables": declared}},
    }
    text = json.dumps(bound, sort_keys=True, separators=(",", ":"))
    values = document.get("prior_state", {}).get("values", {})
    return {
        "digest": hashlib.sha256(text.encode()).hexdigest(),
        "changes": [_change(change) for change in changes if _does_something(change)],
        "outputs": sorted(name for name, change in outputs.items() if change["actions"] != ["no-op"]),
        "secret": MASKED in text
        or any(_holds_secret(document.get(name)) for name in ("prior_state", "planned_values")),
        "outputs_known": {n: o.get("value") for n, o in values.get("outputs", {}).items() if not o.get("sensitive")},
        "empty_before": not values.get("root_module"),
        "variables_declared": sorted(declared),
        "variables_sensitive": sorted(hidden),
        "outputs_declared": sorted(root.get("outputs", {})),
    }


def _does_something(change: Mapping[str, Any]) -> bool:
    about = change["change"]
    return about["actions"] != ["no-op"] or "previous_address" in change or "importing" in about


def _change(change: Mapping[str, Any]) -> dict[str, Any]:
    about = change["change"]
    before, after = about.get("before") or {}, about.get("after") or {}
    unknown = about.get("after_unknown") or {}
    names = set()
    if isinstance(before, dict) and isinstance(after, dict) and isinstance(unknown, dict):
        names = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
        names |= {name for name, later in unknown.items() if later is True}
    found: dict[str, Any] = {
        "address": change["address"] + (f" (deposed {change['deposed']})" if change.get("deposed") else ""),
        "actions": list(about["actions"]),
        "attributes": sorted(names),
        "replace_paths": [".".join(map(str, path)) for path in about.get("replace_paths", ())],
        "reason": change.get("action_reason", ""),
    }
    if "previous_address" in change:
        found["moved_from"] = change["previous_address"]
    if "importing" in about:
        found["imports"] = True
    return found


def _holds_secret(values: Any) -> bool:
    """Return whether the JSON form of a state marks anything in it as sensitive."""
    stack = [(values, False)]
    while stack:
        item, marks = stack.pop()
        if item is True and marks:
            return True
        if isinstance(item, dict):
            if item.get("sensitive") is True and "value" in item:
                return True
            stack += [(value, marks or name == "sensitive_values") for name, value in item.items()]
        elif isinstance(item, list):
            stack += [(value, marks) for value in item]
    return False


def _masked_change(change: Mapping[str, Any]) -> dict[str, Any]:
    about = {name: value for name, value in change.items() if name != "change"}
    rest = {n: v for n, v in change["change"].items() if n not in {"before", "after"}}
    return {**about, "change": {**rest, **_masked_values(change["change"])}}


def _masked_values(change: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "actions": change["actions"],
        "after_unknown": change.get("after_unknown"),
        "before": masked(change.get("before"), change.get("before_sensitive")),
        "after": masked(change.get("after"), change.get("after_sensitive")),
    }


def masked(value: Any, marks: Any) -> Any:
    """Return *value* with everything that *marks* says is sensitive replaced: a mark is true, or laid out as the value."""
    top = [value]
    stack = [(top, 0, marks)]
    while stack:
        holder, place, mark = stack.pop()
        held_value: Any = holder[place]
        if mark is True:
            holder[place] = None if held_value is None else MASKED
        elif isinstance(held_value, dict) and isinstance(mark, dict):
            copy: Any = dict(held_value)
            holder[place] = copy
            stack += [(copy, name, mark[name]) for name in copy if name in mark]
        elif isinstance(held_value, list) and isinstance(mark, list):
            copy = list(held_value)
            holder[place] = copy
            stack += [(copy, i, mark[i]) for i in range(min(len(copy), len(mark)))]
    return top[0]


def problems(out: bytes, err: bytes) -> str:
    """Return the errors in what terraform wrote with ``-json``, each with its place; what it wrote, when there are none."""
    said = []
    for line in out.splitlines():
        try:
            found = json.loads(line)
        except ValueError:
            continue
        about = found.get("diagnostic") if isinstance(found, dict) else None
        if not isinstance(about, dict) or about.get("severity") != "error":
            continue
        place = about.get("range") or {}
        where = f"{place['filename']}:{place['start']['line']}:{place['start']['column']}: " if place else ""
        said.append(f"{where}{about.get('summary', '')}. {about.get('detail', '')}".rstrip(". ") + ".")
    if said:
        return "\n".join(said[:20])
    return plain(err + out)


def plain(data: bytes) -> str:
    """Return the words of a message of terraform, without its frame and empty lines, at most 4,000 characters."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", data.decode("utf-8", "replace"))
    lines = (line.strip("╷│╵ \t") for line in text.splitlines())
    return "\n".join(line for line in lines if line)[-4000:]


def counted(found: Mapping[str, Any]) -> str:
    """Return how much a plan adds, changes and removes: ``1 to add, 2 to change, 0 to remove``."""
    every = [change["actions"] for change in found["changes"]]
    added, changed, removed = (sum(word in actions for actions in every) for word in ("create", "update", "delete"))
    return f"{added} to add, {changed} to change, {removed} to remove"


def is_data(address: str) -> bool:
    """Return whether *address* is that of a data source, at the top or in a module."""
    return re.search(r"(^|\.)data\.", re.sub(r'\["(?:[^"\\]|\\.)*"\]', "", address)) is not None
