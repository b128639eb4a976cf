"""How two packs differ: the same job or not, which log is longer or where they part, and what that changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from clockwork_nb.jobpack.history import History
from clockwork_nb.jobpack.inspection import inspect_pack
from clockwork_nb.jobpack.relation import Relation
from clockwork_nb.jobpack.verify import Examination

__all__ = ["compare_packs"]

_SCHEMA: Final = "clockwork.pack_diff.v1"
_RULE_LIMIT: Final = 1000


def compare_packs(a: Examination, b: Examination) -> dict[str, Any]:
    """Return how pack *b* differs from pack *a*, as JSON values.

    ``relation`` is *b*'s to *a*: ``same, extends, older, forked`` or ``other job``; ``common`` is how many first events
    both logs share. ``differences`` has an entry for each aspect that differs, and none for one that does not.
    """
    relation, common = _relation(a, b)
    return {
        "schema": _SCHEMA,
        "a": _side(a),
        "b": _side(b),
        "same_job": relation not in {"other job", ""},
        "relation": relation,
        "common": common,
        "identical": bool(_identity(a)) and _identity(a) == _identity(b),
        "differences": _differences(a, b),
    }


def _identity(pack: Examination) -> str:
    return "" if pack.manifest is None else pack.manifest.sha256


def _side(pack: Examination) -> dict[str, Any]:
    report = pack.report
    return {
        "file_name": report.file_name,
        "headline": report.headline,
        "verified": report.ok,
        "code": "" if report.failure is None else report.failure.code,
        "manifest_sha256": _identity(pack),
        "signer": "" if report.signer is None else report.signer.fingerprint,
        "job_id": report.job_id or ("" if pack.history is None else pack.history.job_id),
        "count": report.count or len(pack.events),
        "head": "" if pack.history is None else pack.history.head,
    }


def _relation(a: Examination, b: Examination) -> tuple[Relation, int]:
    if a.history is None or b.history is None:
        return "", 0
    if a.history.genesis["genesis"] != b.history.genesis["genesis"]:
        return "other job", 0
    common = _common(a, b)
    if common < min(len(a.events), len(b.events)):
        return "forked", common
    if len(a.events) == len(b.events):
        return "same", common
    return ("extends" if len(b.events) > len(a.events) else "older"), common


def _common(a: Examination, b: Examination) -> int:
    # Two chains with one hash at a place agree on everything before it, so the place where they part can be halved to.
    low, high = 0, min(len(a.events), len(b.events))
    while low < high:
        middle = (low + high + 1) // 2
        if a.events[middle - 1].hash == b.events[middle - 1].hash:
            low = middle
        else:
            high = middle - 1
    return low


def _differences(a: Examination, b: Examination) -> dict[str, Any]:
    one, two = inspect_pack(a), inspect_pack(b)
    found: dict[str, Any] = {}
    for aspect, read in (("outcome", _outcome), ("acceptance", _acceptance), ("cells", _cells)):
        before, after = read(one), read(two)
        if before != after:
            found[aspect] = {"a": before, "b": after}
    if a.history is not None and b.history is not None:
        if sections := _sections(one["sections"], two["sections"]):
            found["sections"] = sections
        if rules := _named(_rules(a.history), _rules(b.history)):
            found["environment"] = rules
        if decisions := _named(_decisions(one), _decisions(two)):
            found["decisions"] = decisions
    if files := _named(_files(one), _files(two)):
        found["files"] = files
    return found


def _outcome(document: Mapping[str, Any]) -> dict[str, Any]:
    job = document["job"]
    # The pack of a Wrkr job has no log of ours that would tell the last two.
    return {name: job[name] for name in ("status", "final", "tainted", "producer_version") if name in job}


def _acceptance(document: Mapping[str, Any]) -> Any:
    return document["acceptance"]


def _cells(document: Mapping[str, Any]) -> list[Any]:
    cells: list[Any] = document["cells"]
    return cells


_DOCUMENTS: Final = ("verb", "configuration", "plan", "bundle", "serial", "outcome", "state_after")


def _sections(a: Sequence[Mapping[str, Any]], b: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return, section by section, the documents and the outcomes of steps that differ."""
    one, two = ({section["section"]: section for section in side} for side in (a, b))
    out = []
    for number in sorted(one.keys() | two.keys()):
        if number not in one or number not in two:
            out.append({"section": number, "only_in": "a" if number in one else "b"})
            continue
        first, second = one[number], two[number]
        changed = {name: {"a": first[name], "b": second[name]} for name in _DOCUMENTS if first[name] != second[name]}
        steps = _named(_steps(first), _steps(second))
        if changed or steps:
            out.append(
                {"section": number, **({"changed": changed} if changed else {}), **({"steps": steps} if steps else {})}
            )
    return out


def _steps(section: Mapping[str, Any]) -> dict[str, str]:
    outcomes = {step["step_id"]: "skipped" for step in section["skipped"]}
    for step in section["steps"]:
        outcomes[step["step_id"]] = f"{step['outcome']} {step['artifact_sha256'][:8]}".rstrip()
    return outcomes


def _rules(history: History) -> dict[str, str]:
    rules = history.environment["rules"] if history.environment is not None else ()
    return {rule["rule"]: str(rule["value"])[:_RULE_LIMIT] for rule in rules}


def _decisions(document: Mapping[str, Any]) -> dict[str, str]:
    return {
        d["approval_id"]: f"{d['decision']} by {d['by'] or 'nobody'} ({d['via'] or 'open'}), plan {d['plan'][:8]}"
        for d in document["decisions"]
    }


def _files(document: Mapping[str, Any]) -> dict[str, str]:
    return {file["path"]: file["sha256"] for file in document["files"]}


def _named(a: Mapping[str, str], b: Mapping[str, str]) -> dict[str, Any]:
    """Return what was added, removed and changed from *a* to *b*, each sorted by name; nothing when they are equal."""
    found = {
        "added": [{"name": name, "b": b[name]} for name in sorted(b.keys() - a.keys())],
        "removed": [{"name": name, "a": a[name]} for name in sorted(a.keys() - b.keys())],
        "changed": [
            {"name": name, "a": a[name], "b": b[name]} for name in sorted(a.keys() & b.keys()) if a[name] != b[name]
        ],
    }
    return {kind: items for kind, items in found.items() if items}
