"""What a person sees of a pack's inside, and of two packs side by side.

Input are the documents of `clockwork_nb.jobpack.inspection` and `clockwork_nb.jobpack.compare`. Every text in them comes
from a pack and may be hostile; everything is made visible here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from clockwork_nb.render.text import as_column, clip, clip_middle, duration, pad, plural, short_digest, sized, visible
from clockwork_nb.render.verification import report_text

__all__ = ["diff_text", "inspection_text", "proof_text"]

_SHOWN_STEPS: Final = 60
_SHOWN_FILES: Final = 40
_LOGS: Final = "clockwork/logs/"
_SHOWN_CHANGES: Final = 8
_TEXT: Final = 100
_LABEL: Final = 14

Document = Mapping[str, Any]


def inspection_text(document: Document, *, color: bool = False) -> str:
    """Return the inspection as text: the verification's outcome, then who, what, when, decisions, steps, files."""
    report = report_text(document["verification"], color=color).split("\n")
    lines = report[:1] if document["verified"] else [*report, "", "What it claims:"]
    job = document["job"]
    if job:
        lines += _job(job)
    if document["acceptance"]:
        accepted = document["acceptance"]
        lines.append(
            _row("acceptance", f"{accepted['checks_passed']} of {plural(accepted['checks_run'], 'check')} passed")
        )
    if document["environment"]:
        rules = document["environment"]["rules"]
        shown = ", ".join(f"{_clean(r['rule'], 40)}={_clean(r['value'], 30)}" for r in rules[:4])
        lines.append(_row("environment", shown + (f" and {len(rules) - 4} more" if len(rules) > 4 else "")))
    if document["decisions"]:
        lines += ["", "Decisions", *(_decision(d) for d in document["decisions"])]
    for section in document["sections"]:
        lines += ["", *_section(section)]
    if document["files"]:
        lines += ["", *_files(document["files"])]
    lines += [
        f"  {as_column(sized(f['size']), 9)}  {_clean(f['path'], 60)}  NOT INCLUDED, sha256 {short_digest(f['sha256'])}"
        for f in document["not_included"]
    ]
    return "\n".join(lines)


def _job(job: Document) -> list[str]:
    counts = job["counts"]
    state = _clean(job["status"]) if job["final"] else f"NOT FINISHED ({_clean(job['status'])})"
    numbers = [plural(counts["steps"], "step"), f"{counts['failed']} failed"]
    if counts["cells"]:
        numbers.insert(0, plural(counts["cells"], "cell"))
    lines = [
        _row("job", f"{_clean(job['name'])}, {state}, {', '.join(numbers)}"),
        _row("id", _clean(job["id"])),
    ]
    if job.get("objective"):
        lines.append(_row("objective", _clean(job["objective"])))
    if "last_at" in job:
        lines.append(_row("when", f"{_moment(job['created_at'])} to {_moment(job['last_at'])} UTC"))
        lines.append(_row("made by", f"{_clean(job['producer_version'])}, {plural(job['epochs'], 'run')}"))
        lines.append(_row("log", f"{plural(job['count'], 'event')}, head {short_digest(job['head'])}"))
    if job.get("tainted"):
        lines.append(_row("tainted", _clean(job["tainted"])))
    return lines


def _decision(decision: Document) -> str:
    if decision["decision"] == "open":
        return f"  open      section {decision['section']}, plan {short_digest(decision['plan'])}: nobody has decided"
    who = (
        f"by {_clean(decision['by'], 40)} ({_clean(decision['via'])})"
        if decision["person"]
        else f"NO PERSON ({_clean(decision['via'])}, {_clean(decision['by'], 40)})"
    )
    used = "used" if decision["used"] else "not used"
    return (
        f"  {pad(decision['decision'], 8)}  section {decision['section']}, plan {short_digest(decision['plan'])}, {who} "
        f'"{_clean(decision["reason"], 60)}", {_moment(decision["at"])[11:16]} UTC, {used}'
    )


def _section(section: Document) -> list[str]:
    where = f" {_clean(section['cell'], 40)}" if section["cell"] else ""
    documents = ", ".join(f"{n} {short_digest(section[n])}" for n in ("plan", "bundle") if section[n])
    head = f"Section {section['section']}  {_clean(section['verb'])}{where}, {_clean(section['outcome']) or 'open'}"
    lines = [f"{head}   {documents}".rstrip()]
    # What went wrong is never among the steps that are only counted.
    steps = sorted(section["steps"], key=lambda s: (s["outcome"] == "completed", s["seq"]))[:_SHOWN_STEPS]
    for step in sorted(steps, key=lambda s: s["seq"]):
        took = duration(step["duration_ms"]) if step["duration_ms"] is not None else ""
        code = f"exit {step['exit_code']}" if step["outcome"] == "failed" and step["exit_code"] is not None else ""
        again = f"attempt {step['attempt']}" if step["attempt"] > 1 else ""
        facts = "  ".join(fact for fact in (took, code, again) if fact)
        lines.append(f"  {pad(step['outcome'], 11)}  {pad(_clean(step['step_id'], 48), 48)}  {facts}".rstrip())
    if len(section["steps"]) > len(steps):
        lines.append(f"  and {len(section['steps']) - len(steps):,} more completed (--json shows all)")
    for step in section["skipped"][:_SHOWN_STEPS]:
        lines.append(
            f"  {pad('skipped', 11)}  {pad(_clean(step['step_id'], 48), 48)}  {_clean(step['reason'], 60)}".rstrip()
        )
    return lines


def _files(files: Sequence[Document]) -> list[str]:
    total = sum(f["size"] for f in files)
    # A log is what people look for and is small, so the smallest of the other files are left out first.
    by_size = sorted(files, key=lambda f: (not str(f["path"]).startswith(_LOGS), -f["size"], f["path"]))
    shown = by_size[:_SHOWN_FILES]
    lines = [f"Files  {plural(len(files), 'file')}, {sized(total)}"]
    lines += [f"  {as_column(sized(f['size']), 9)}  {_clean(f['path'], 80)}" for f in shown]
    if len(files) > len(shown):
        lines.append(f"  and {len(files) - len(shown):,} more (--json shows all)")
    return lines


def proof_text(report: Document) -> str:
    """Return what a receipt of the verified pack in *report* proves, and what it does not."""
    signer = report["signer"]
    who = "nobody has signed it"
    if signer is not None:
        name = _clean(signer["name"]) or "a key that is not trusted here"
        who = f"signed by {name} ({_clean(signer['fingerprint'])})"
    end = f"{_clean(report['status'])}, at its end" if report["final"] else f"not finished ({_clean(report['status'])})"
    return "\n".join(
        [
            "The line above pins these bytes: any other pack, also a later one of the same job, has another hash.",
            _row("proves", f"job {_clean(report['job_id'])}: {end}, {plural(report['count'], 'event')}"),
            _row("", who),
            _row("does not", "prove that nothing ran outside the log, or that no other history of the job exists"),
        ]
    )


_RELATIONS: Final = {
    "same": "the same log",
    "extends": "B is the longer log of the same job",
    "older": "B is the shorter log of the same job",
    "forked": "ONE JOB, TWO HISTORIES: one of them was rewritten",
    "other job": "two different jobs",
    "": "not comparable: one of them holds no chained log",
}


def diff_text(document: Document) -> str:
    """Return the comparison of two packs as text; the relation comes first."""
    a, b = document["a"], document["b"]
    lines = [_side("A", a), _side("B", b), ""]
    relation = _RELATIONS[document["relation"]]
    if document["relation"] in {"extends", "older", "forked"}:
        relation += f"; the first {plural(document['common'], 'event')} are the same"
    lines.append("identical: the same bytes" if document["identical"] else relation)
    for aspect, found in document["differences"].items():
        lines += ["", aspect.capitalize()]
        lines += _difference(aspect, found)
    return "\n".join(lines)


def _side(label: str, side: Document) -> str:
    state = "" if side["verified"] else f"  {_clean(side['headline'])} [{_clean(side['code'])}]"
    identity = short_digest(side["manifest_sha256"]) if side["manifest_sha256"] else "no identity"
    return (
        f"{label}  {_clean(side['file_name'], 60)}  sha256:{identity}  {_clean(side['job_id'], 64)}, "
        f"{plural(side['count'], 'event')}{state}"
    )


def _difference(aspect: str, found: Any) -> Iterable[str]:
    if aspect == "sections":
        for section in found:
            if "only_in" in section:
                yield f"  section {section['section']}  only in {section['only_in'].upper()}"
                continue
            yield f"  section {section['section']}"
            for name, pair in section.get("changed", {}).items():
                yield f"    {pad(name, _LABEL)}{_value(pair['a'])} → {_value(pair['b'])}"
            yield from _named(section.get("steps", {}), "    ")
    elif aspect == "outcome":
        for name in [*found["a"], *(name for name in found["b"] if name not in found["a"])]:
            before, after = found["a"].get(name), found["b"].get(name)
            if before != after:
                label = "made by" if name == "producer_version" else name
                yield f"  {pad(label, _LABEL)}{_value(before)} → {_value(after)}"
    elif aspect in {"acceptance", "cells"}:
        yield "  they differ (--json shows both)"
    else:
        yield from _named(found, "  ")


def _named(found: Document, indent: str) -> Iterable[str]:
    signs = {"added": "+", "removed": "-", "changed": "~"}
    for kind, items in found.items():
        for item in items[:_SHOWN_CHANGES]:
            values = " → ".join(_value(item[side]) for side in ("a", "b") if side in item)
            yield f"{indent}{signs[kind]} {_clean_middle(item['name'])}  {values}"
        if len(items) > _SHOWN_CHANGES:
            yield f"{indent}{signs[kind]} and {len(items) - _SHOWN_CHANGES:,} more (--json shows all)"


def _value(value: Any) -> str:
    text = str(value)
    if len(text) == 64 and not text.strip("0123456789abcdef"):
        return short_digest(text)
    return _clean(text, 60) or "nothing"


def _row(label: str, text: str) -> str:
    return f"  {pad(label, _LABEL)}{text}"


def _moment(stamp: str) -> str:
    return _clean(stamp)[:19].replace("T", " ")


def _clean(text: Any, columns: int = _TEXT) -> str:
    return clip(visible(str(text)), columns)


def _clean_middle(text: Any) -> str:
    return clip_middle(visible(str(text)), 64)
