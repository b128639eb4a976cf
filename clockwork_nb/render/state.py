"""The recorded state as people read it: as a whole, as a list, one entry, an edit to be asked about, the edits so far.

Works on documents: the state's (``PriorState.to_document``), a history's entries.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from clockwork_nb.render.text import Paint, clip, columns_of, pad, plural, visible
from clockwork_nb.render.values import value_text

__all__ = ["edit_text", "entry_text", "history_text", "state_list_text", "state_text"]

_STATUS_WORDS: Final = {
    "failed": "its last step failed; the next apply does it again",
    "unknown": "a step was cut off; the next plan looks at what is there",
    "tainted": "not to be relied on; the next apply does it again",
}
_EDIT_WORDS: Final = {
    "forget": "forget", "move": "rename", "taint": "taint", "untaint": "untaint", "record": "record", "change": "change",
}  # fmt: skip
_SHOWN: Final = 100


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


def state_list_text(resources: Sequence[Mapping[str, Any]], serial: int, *, color: bool = False) -> str:
    """Return a table: address, type, status, where it is declared; what a status other than ``ok`` means below it."""
    if not resources:
        return (
            "Nothing is recorded under that name." if serial else "Nothing is recorded here: nothing was applied yet."
        )
    paint = Paint(color)
    rows = [("ADDRESS", "TYPE", "STATUS", "DECLARED IN")]
    rows += [tuple(visible(str(e[k])) for k in ("address", "type", "status", "declared_in")) for e in resources]  # type: ignore[misc]
    widths = [max(columns_of(row[i]) for row in rows) + 3 for i in range(3)]
    lines = [f"State     serial {serial} · {plural(len(resources), 'resource')}", ""]
    for index, row in enumerate(rows):
        cells = [pad(row[0], widths[0]), pad(row[1], widths[1]), _status(paint, row[2], widths[2]), row[3]]
        line = f"  {''.join(cells)}".rstrip()
        lines.append(paint.dim(line) if index == 0 else line)
    lines += _explained({e["status"] for e in resources})
    return "\n".join(lines)


def _status(paint: Paint, status: str, width: int) -> str:
    padded = pad(status, width)
    return padded if status in {"ok", "STATUS"} else padded.replace(status, paint.warn(status), 1)


def _explained(statuses: Iterable[str]) -> list[str]:
    known = [status for status in _STATUS_WORDS if status in statuses]
    return ["", *(f"  {pad(status, 10)}{_STATUS_WORDS[status]}" for status in known)] if known else []


def entry_text(entry: Mapping[str, Any], needed_by: Sequence[str] = (), *, color: bool = False) -> str:
    """Return all that is recorded of one resource, sensitive values as ``(sensitive)``; what is not set is left out."""
    paint = Paint(color)
    status = entry["status"]
    meaning = f"   {_STATUS_WORDS[status]}" if status in _STATUS_WORDS else ""
    rows = [
        ("type", visible(entry["type"])),
        ("status", f"{visible(status)}{meaning}"),
        ("declared in", visible(entry["declared_in"])),
        ("needs", _names(entry["dependencies"])),
        ("needed by", _names(needed_by)),
    ]
    lines = [paint.bold(visible(entry["address"]))]
    lines += [f"  {pad(name, 14)}{value}" for name, value in rows if value]
    for title, values in (("configuration", entry["config"]), ("as it was found", entry["identity"])):
        lines += _section(title, values)
    return "\n".join(lines)


def _names(addresses: Sequence[str]) -> str:
    shown = ", ".join(visible(address) for address in addresses[:8])
    return f"{shown} … and {len(addresses) - 8} more" if len(addresses) > 8 else shown


def _section(title: str, values: Mapping[str, Any]) -> list[str]:
    told = sorted(name for name, value in values.items() if value is not None)
    if not told:
        return []
    width = min(max(columns_of(visible(name)) for name in told), 28) + 2
    lines = ["", f"  {title}"]
    for name in told:
        lines.append(f"    {pad(clip(visible(name), 28), width)}{value_text(values[name], 140)}")
    return lines


def edit_text(edit: Mapping[str, Any], *, color: bool = False) -> str:
    """Return what an edit would do, for the question: a line for each entry, and what a person should know before.

    Args:
        edit: ``verb``, ``serial_before``, ``entries`` (address, what, to, entry or None), ``reason``, ``forced``, and
            ``unfinished``, the job that could still go on.
    """
    paint = Paint(color)
    entries = edit["entries"]
    lines = [f"State     serial {edit['serial_before']}, {plural(len(entries), 'entry', 'entries')} to change", ""]
    width = max((columns_of(visible(e["address"])) for e in entries), default=0) + 3
    for item in entries[:_SHOWN]:
        what = _EDIT_WORDS.get(item["what"], item["what"])
        word = paint.bad(pad(what, 9)) if item["what"] == "forget" else paint.warn(pad(what, 9))
        lines.append(f"  {word}{pad(visible(item['address']), width)}{_about(item)}".rstrip())
    if len(entries) > _SHOWN:
        lines.append(f"  … and {len(entries) - _SHOWN:,} more")
    if any(item["what"] == "forget" for item in entries):
        lines += ["", "  What is forgotten stays as it is, and nobody here looks after it any more."]
    if edit["forced"]:
        lines += ["", f"  {paint.bad('forced')}   {visible(edit['forced'])}"]
    if edit.get("unfinished"):
        job = visible(edit["unfinished"])
        lines += ["", f"  The job {job} is not at its end; it cannot go on with its plan after this."]
    return "\n".join(lines)


def _about(item: Mapping[str, Any]) -> str:
    if item["what"] == "move":
        return f"to {visible(item['to'])}"
    entry = item.get("entry")
    return _what(entry) if entry is not None and item["what"] in {"forget", "record"} else ""


def history_text(edits: Sequence[Mapping[str, Any]]) -> str:
    """Return the edits, oldest first, two lines each; a sentence when there was none."""
    if not edits:
        return "Nobody has edited this state by hand."
    lines: list[str] = []
    for edit in edits:
        words = " ".join(visible(word) for word in edit["arguments"])
        outcome = "" if edit["outcome"] == "done" else f"   ({visible(edit['outcome'])})"
        asked = "" if edit.get("via") == "terminal" else "   nobody was asked"
        lines.append(
            f"{visible(edit['at'])[:19]}Z   {edit['serial_before']} → {edit['serial_after']}   "
            f"state {visible(edit['verb'])} {clip(words, 80)}{outcome}".rstrip()
        )
        forced = f"   forced: {visible(edit['forced'])}" if edit.get("forced") else ""
        reason = f"   {visible(edit['reason'])}" if edit.get("reason") else ""
        lines.append(f"    by {visible(str(edit.get('by', '')))}{asked}{forced}{reason}")
    return "\n".join(lines)
