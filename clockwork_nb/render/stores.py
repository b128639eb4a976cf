"""What a check, a repair or a prune of the job store found and did, as text for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from clockwork_nb.render.text import Paint, pad, plural, sized, visible

__all__ = ["check_text", "pruned_text", "repair_plan_text", "repaired_text"]

_SEVERITY: Final = {"error": "damaged", "warning": "look", "note": "note"}


def check_text(document: Mapping[str, Any], *, color: bool = False) -> str:
    """Return the report of ``store check``: every finding below its job, and a last line that counts them."""
    paint = Paint(color)
    lines: list[str] = []
    damaged = 0
    for job in document["jobs"]:
        damaged += not job["ok"]
        if job["findings"]:
            head = f"{job['job_id']}   {job['status'] or 'unreadable'}   {plural(job['events'], 'event')}"
            lines += [
                paint.bold(head) + ("   tainted" if job["tainted"] else ""),
                *_findings(job["findings"], paint),
                "",
            ]
    if document["store"]:
        lines += [paint.bold(visible(document["home"])), *_findings(document["store"], paint), ""]
    count = plural(len(document["jobs"]), "job")
    lines.append(f"{count} read, {damaged} damaged" if damaged else f"{count} read, none damaged")
    return "\n".join(lines)


def _findings(findings: Sequence[Mapping[str, Any]], paint: Paint) -> list[str]:
    lines = []
    for item in findings:
        word = pad(_SEVERITY[item["severity"]], 8)
        word = paint.bad(word) if item["severity"] == "error" else paint.warn(word) if word.startswith("look") else word
        place = visible(item["where"])
        if item["offset"] is not None:
            place += f" byte {item['offset']}"
        if item["seq"] is not None:
            place += f" record {item['seq']}"
        lines.append(f"  {word} {place}: {visible(item['message'])} ({item['reason']})")
        if item["action"]:
            lines.append(f"  {pad('', 8)} {paint.dim(visible(item['action']))}")
    return lines


def repair_plan_text(plan: Mapping[str, Any], *, color: bool = False) -> str:
    """Return what a repair would do, before it is done."""
    paint = Paint(color)
    loss = plan["loss"]
    rows = [("job", plan["job_id"]), ("damage", plan["finding"])]
    if plan["kind"] == "cut":
        rows.append(("keeps", f"{plural(plan['kept'], 'record')}, {sized(plan['offset'])}"))
    if loss["bytes"]:
        rows.append(("loses", f"{sized(loss['bytes'])}; {plural(loss['events'], 'readable record')} among them"))
        rows += [("", f"{count} x {name}") for name, count in loss["types"].items()]
        if loss["last_at"]:
            rows.append(("", f"the last of {loss['last_at']}"))
    if loss["completed_steps"]:
        steps = ", ".join(loss["completed_steps"][:8]) + (", …" if len(loss["completed_steps"]) > 8 else "")
        rows.append(("careful", f"the job will not know that these steps were done: {steps}"))
    if plan["taints"]:
        rows.append(("tainted", "for ever: status and every pack of this job will say that it was repaired"))
    else:
        rows.append(("tainted", "no: the log is whole, only a cache is made anew"))
    return "\n".join(f"  {paint.dim(pad(name, 9))} {visible(text)}" for name, text in rows)


def repaired_text(done: Mapping[str, Any]) -> str:
    """Return what a repair did."""
    lines = [f"{done['job_id']} is repaired: {plural(done['kept'], 'record')} kept, epoch {done['epoch']}"]
    if done["saved"]:
        lines.append(f"the log as it was: {done['saved']}")
    lines.append(f"Next      clockwork job status {done['job_id']}")
    return "\n".join(lines)


def pruned_text(document: Mapping[str, Any], *, color: bool = False) -> str:
    """Return what prune removed, or would, and what stays although it is old enough."""
    paint = Paint(color)
    lines = []
    for entry in document["removed"]:
        lines.append(
            f"{pad(entry['kind'], 9)} {pad(sized(entry['size_bytes']), 9)} {visible(entry['path'])}   {visible(entry['reason'])}"
        )
    for entry in document["kept"]:
        lines.append(
            paint.dim(
                f"{pad('kept', 9)} {pad(sized(entry['size_bytes']), 9)} {visible(entry['path'])}   {visible(entry['kept'])}"
            )
        )
    does = "would be removed" if document["dry_run"] else "removed"
    lines.append(f"{plural(len(document['removed']), 'thing')} {does}, {sized(document['freed_bytes'])}")
    return "\n".join(lines)
