"""Which evidence a pack holds, under which names: a function of the log and of the bundles the log names.

Export lays the evidence out by this function and verify asks it what must be there, so a file that no event names
cannot be in a pack, and one that an event names cannot be missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from msgspec import Struct

from clockwork_nb.canonical import canonical_json, parse_json
from clockwork_nb.errors import EvidenceInconsistentError, InvalidInputError
from clockwork_nb.jobpack.history import History
from clockwork_nb.jobpack.layout import (
    NOT_INCLUDED,
    artifact_name,
    blob_name,
    is_entry_name,
    log_name,
    notebook_name,
    section_name,
)

__all__ = [
    "BundleView",
    "LeftOut",
    "environment_document",
    "evidence_entries",
    "left_out_document",
    "may_be_left_out",
    "read_bundle",
    "read_left_out",
]


_LEFT_OUT: Final = "clockwork.not_included.v1"


class BundleView(Struct, frozen=True):
    """What the pack needs of a ``bundle.json``.

    ``artifacts`` maps each path to the SHA-256 of its content, empty for one whose content is a secret; ``steps`` maps
    each step id to what it is started with: the words of its argv and the paths of its data.
    """

    artifacts: Mapping[str, str]
    steps: Mapping[str, frozenset[str]]


def _is_digest(value: Any) -> bool:
    return isinstance(value, str) and len(value) == 64 and not value.strip("0123456789abcdef")


def read_bundle(data: bytes, where: str) -> BundleView:
    """Return the view of the ``bundle.json`` in *data*; *where* names it in errors.

    Raises:
        EvidenceInconsistentError: E_EVIDENCE_INCONSISTENT: it is not a bundle.
    """
    try:
        document = parse_json(data, what=where)
    except InvalidInputError as error:
        raise EvidenceInconsistentError(error.message, details={"path": where}) from None
    artifacts: dict[str, str] = {}
    steps: dict[str, frozenset[str]] = {}
    try:
        for item in document["artifacts"]:
            path, sha256 = item["path"], "" if "secret" in item else item["sha256"]
            if not isinstance(path, str) or path in artifacts or not (sha256 == "" or _is_digest(sha256)):
                raise KeyError(path)
            artifacts[path] = sha256
        for item in document["steps"]:
            step, words = item["id"], (*item["run"]["cmd"], *item.get("data", {}).values())
            if not isinstance(step, str) or step in steps or not all(isinstance(word, str) for word in words):
                raise KeyError(step)
            steps[step] = frozenset(words)
    except (KeyError, TypeError, IndexError, AttributeError):
        raise EvidenceInconsistentError(f"{where} is not an artifact bundle", details={"path": where}) from None
    return BundleView(artifacts, steps)


def evidence_entries(history: History, bundles: Mapping[str, BundleView]) -> dict[str, str]:
    """Return entry name → SHA-256 of everything the log names; *bundles* are by digest.

    Each kind of evidence has its own name; what is left, and what cannot have its name in a zip (a path outside the
    entry grammar, two paths that differ in case only), is ``clockwork/blobs/<sha256>``.
    """
    named: dict[str, str] = {}
    wanted = [*history.blobs, *history.published]
    for number in sorted(history.sections):
        section = history.sections[number]
        if section.binding is not None:
            named[section_name(number, "plan")] = section.plan
            if state := section.binding.get("state_before", ""):
                named[section_name(number, "state_before")] = state
        if section.state_after:
            named[section_name(number, "state_after")] = section.state_after
        if section.bundle:
            named[section_name(number, "bundle")] = section.bundle
            named.update(_artifact_entries(number, bundles[section.bundle]))
        for digest in section.bundles:
            wanted += [sha256 for sha256 in bundles[digest].artifacts.values() if sha256]
    for section_number, index, attempt, stream, blob in history.logs:
        named.setdefault(log_name(section_number, index, attempt, stream), blob)
    for path, blob in history.notebooks.items():
        named[notebook_name(path)] = blob
    placed = set(named.values())
    named.update((blob_name(sha256), sha256) for sha256 in wanted if sha256 not in placed)
    return named


def _artifact_entries(section: int, bundle: BundleView) -> dict[str, str]:
    out: dict[str, str] = {}
    taken: set[str] = set()
    folders: set[str] = set()
    for path in sorted(bundle.artifacts):
        name = artifact_name(section, path)
        parts = name.lower().split("/")
        above = {"/".join(parts[:i]) for i in range(1, len(parts))}
        clash = name.lower() in taken or name.lower() in folders or not above.isdisjoint(taken)
        if bundle.artifacts[path] and is_entry_name(name) and not clash:
            out[name] = bundle.artifacts[path]
            taken.add(name.lower())
            folders |= above
    return out


class LeftOut(Struct, frozen=True):
    """A published artifact that a pack names and does not hold: the entry it would be, its digest, its size in bytes."""

    name: str
    sha256: str
    size: int


def may_be_left_out(history: History, bundles: Mapping[str, BundleView]) -> frozenset[str]:
    """Return the entries a pack may name without holding them: artifacts that are evidence of nothing else."""
    needed = {*history.blobs, *history.notebooks.values()}
    for bundle in bundles.values():
        needed.update(bundle.artifacts.values())
    return frozenset(blob_name(sha256) for sha256 in history.published if sha256 not in needed)


def left_out_document(limit: int, files: Iterable[LeftOut]) -> bytes:
    """Return ``not_included.json``: which artifacts were larger than *limit* bytes. The sizes are the exporter's word."""
    listed = [
        {"path": item.name, "sha256": item.sha256, "size": item.size} for item in sorted(files, key=lambda i: i.name)
    ]
    return canonical_json({"schema": _LEFT_OUT, "limit": limit, "files": listed})


def read_left_out(data: bytes, entries: Mapping[str, str], allowed: frozenset[str]) -> list[LeftOut]:
    """Return what the ``not_included.json`` in *data* lists; each must be one of *entries* and be *allowed* to be.

    Raises:
        EvidenceInconsistentError: E_EVIDENCE_INCONSISTENT: another spelling, no file, or one that has to be there.
    """
    wrong = EvidenceInconsistentError(
        f"{NOT_INCLUDED} does not list published artifacts above its limit", details={"path": NOT_INCLUDED}
    )
    try:
        document = parse_json(data, what=NOT_INCLUDED)
        limit = document["limit"]
        found = [LeftOut(item["path"], item["sha256"], item["size"]) for item in document["files"]]
        spelt = left_out_document(limit, found)
    except InvalidInputError as error:
        raise EvidenceInconsistentError(error.message, details={"path": NOT_INCLUDED}) from None
    except (KeyError, TypeError, IndexError):
        raise wrong from None
    numbers = [limit, *(item.size for item in found)]
    if spelt != data or not found or not all(type(number) is int and number >= 0 for number in numbers):
        raise wrong
    for item in found:
        if item.name not in allowed or entries.get(item.name) != item.sha256 or item.size <= limit:
            raise wrong
    if len({item.name for item in found}) != len(found):
        raise wrong
    return found


def environment_document(history: History) -> bytes | None:
    """Return ``environment.json``: the last captured fingerprint, canonical; None when none was captured."""
    if history.environment is None:
        return None
    return canonical_json(
        {
            "schema": "clockwork.environment.v1",
            "rules": history.environment["rules"],
            "hash": history.environment["hash"],
        }
    )
