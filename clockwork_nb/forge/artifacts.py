"""Writing a bundle's artifacts where people can read and edit them, and keeping what they edit.

``<workspace>/build`` is the readable copy; what runs are the bytes in the bundle. ``build/.generated.json`` remembers
what was generated last, so that an edit can be told from a template that moved on.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from clockwork_nb.canonical import canonical_json, parse_json, sha256_hex
from clockwork_nb.errors import ArtifactChangedError, BundlePathError, InvalidInputError, StoreCorruptError
from clockwork_nb.forge.build_folder import BuildFolder
from clockwork_nb.forge.bundle import Bundle
from clockwork_nb.forge.paths import path_problem
from clockwork_nb.ids import slug
from clockwork_nb.ports import Artifact
from clockwork_nb.render.text import visible

__all__ = [
    "RECORD_NAME",
    "StagedBundle",
    "edits_since_generated",
    "read_record",
    "stage",
    "verify_files",
    "verify_unchanged",
]

RECORD_NAME = ".generated.json"
_RECORD_SCHEMA = "clockwork.generated.v1"
_REMEMBERED_TEXT = 64 * 1024
_DIFF_LINES = 200
_CONFLICT_LINES = 80


class StagedBundle(Struct, frozen=True):
    """A bundle as it stands on disk.

    ``bundle`` holds the hand-edited contents; validate it (again) before it is approved. The other fields are artifact
    paths, sorted: ``written`` are new or regenerated, ``edited`` carry a person's edit, ``conflicts`` were decided by
    *keep_edits* or *force*, ``removed`` are no longer generated. ``kept`` are the files that hold what lost. ``diffs``
    has a unified diff from the generated script to the one that runs for each of ``edited``.
    """

    bundle: Bundle
    written: tuple[str, ...] = ()
    edited: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    kept: tuple[Path, ...] = ()
    diffs: Mapping[str, str] = field(default_factory=dict)


class _Outcome(Struct):
    bundle: list[Artifact] = field(default_factory=list)
    write: list[Artifact] = field(default_factory=list)
    edited: dict[str, str] = field(default_factory=dict)
    conflicts: list[str] = field(default_factory=list)
    undecided: list[dict[str, Any]] = field(default_factory=list)
    losers: list[tuple[str, bytes]] = field(default_factory=list)


def read_record(build_dir: Path) -> dict[str, str]:
    """Return path → SHA-256 of what was generated last; empty before the first build.

    Raises:
        StoreCorruptError: E_STORE_CORRUPT, the record is not one.
    """
    return {path: sha for path, (sha, _) in _read_record(build_dir).items()}


def _read_record(build_dir: Path) -> dict[str, tuple[str, str | None]]:
    path = build_dir / RECORD_NAME
    data = BuildFolder(build_dir).read(RECORD_NAME)
    if data is None:
        return {}
    try:
        doc = parse_json(data, what=str(path))
        if doc["schema"] != _RECORD_SCHEMA:
            raise StoreCorruptError(f"{path} has the unknown schema {doc['schema']!r}")
        return {e["path"]: (e["sha256"], e.get("text")) for e in doc["artifacts"]}
    except (InvalidInputError, KeyError, TypeError) as error:
        raise StoreCorruptError(
            f"{path} does not say what was generated: {error}",
            hint="Move the build folder away; the next build writes it anew, without the edits in it.",
        ) from error


def edits_since_generated(artifacts: Iterable[Artifact], build_dir: Path) -> dict[str, str]:
    """Return path → unified diff for each of *artifacts* that is not what was generated last, as far as that is known.

    For who looks at a bundle that was staged before, by another process.
    """
    record = _read_record(build_dir)
    out = {}
    for artifact in artifacts:
        last, text = record.get(artifact.path, ("", None))
        if artifact.secret or last in {"", sha256_hex(artifact.content)}:
            continue
        known = text is not None and sha256_hex(text.encode()) == last
        out[artifact.path] = (
            _diff((text or "").encode(), artifact.content, "generated", "edited")
            if known
            else f"sha256 {last[:12]} generated → {sha256_hex(artifact.content)[:12]} edited"
        )
    return out


def stage(
    bundle: Bundle,
    build_dir: Path,
    previous: Mapping[str, str] | None = None,
    *,
    keep_edits: bool = False,
    force: bool = False,
    live: Collection[str] = (),
) -> StagedBundle:
    """Write the artifacts below *build_dir* and return the bundle with the edits that people made there.

    Edited and the template unchanged: the edit enters the bundle. Both changed: refused, unless *keep_edits*: the edit
    wins. With *force* the template wins over every edit. The loser is kept in ``<workspace>/kept/``. Secret artifacts
    are not written.

    Args:
        previous: path → SHA-256 of what was generated last; by default what the record says.
        live: addresses that still exist but have no step in this bundle: their artifacts stay as they are.

    Raises:
        ArtifactChangedError: E_ARTIFACT_CHANGED; ``details["conflicts"]`` has path and diffs of each. Nothing is written.
        BundlePathError: E_BUNDLE_PATH, a link or a device is where a file should be.
    """
    if keep_edits and force:
        raise InvalidInputError("--keep-edits and --force exclude each other", hint="Choose whose version wins.")
    for artifact in bundle.artifacts:
        if problem := path_problem(artifact.path):  # validation said so already; writing must not depend on it
            raise BundlePathError(f"{artifact.path!r} cannot be written: {problem}")
    record = _read_record(build_dir)
    before = dict(previous) if previous is not None else {p: sha for p, (sha, _) in record.items()}
    with BuildFolder(build_dir) as folder:
        return _stage(bundle, folder, record, before, live, keep_edits=keep_edits, force=force)


def _stage(
    bundle: Bundle,
    folder: BuildFolder,
    record: Mapping[str, tuple[str, str | None]],
    before: Mapping[str, str],
    live: Collection[str],
    *,
    keep_edits: bool,
    force: bool,
) -> StagedBundle:
    out = _Outcome()
    for artifact in bundle.artifacts:
        if artifact.secret:
            out.bundle.append(artifact)
        else:
            base = record.get(artifact.path, ("", None))[1]
            _decide(artifact, folder.read(artifact.path), before.get(artifact.path), base, out, keep_edits, force)
    if out.undecided:
        raise _conflict_error(out.undecided)
    removed, staying = _gone(folder, bundle, before, live, out)
    kept = [_keep(folder.root, path, data) for path, data in out.losers]
    folder.write_all([(a.path, a.content, int(a.mode, 8)) for a in out.write])
    for path in removed:
        folder.remove(path)
    _write_record(folder, bundle, record, {p: before[p] for p in staying})
    return StagedBundle(
        replace(bundle, artifacts=tuple(out.bundle)),
        written=tuple(sorted(a.path for a in out.write)),
        edited=tuple(sorted(out.edited)),
        conflicts=tuple(sorted(out.conflicts)),
        removed=tuple(sorted(removed)),
        kept=tuple(kept),
        diffs=dict(sorted(out.edited.items())),
    )


def _decide(
    artifact: Artifact,
    disk: bytes | None,
    last: str | None,
    base: str | None,
    out: _Outcome,
    keep_edits: bool,
    force: bool,
) -> None:
    if disk is None or disk == artifact.content:
        out.bundle.append(artifact)
        if disk is None:
            out.write.append(artifact)
        return
    found, generated = sha256_hex(disk), sha256_hex(artifact.content)
    if found == last:  # nobody touched it, the template moved on
        out.bundle.append(artifact)
        out.write.append(artifact)
    elif force:
        out.bundle.append(artifact)
        out.write.append(artifact)
        out.conflicts.append(artifact.path)
        out.losers.append((artifact.path, disk))
    elif last == generated:  # somebody edited it, the template did not move
        _take_edit(artifact, disk, out)
    elif keep_edits:
        _take_edit(artifact, disk, out)
        out.conflicts.append(artifact.path)
        out.losers.append((artifact.path, artifact.content))
    else:
        out.undecided.append(_conflict(artifact, disk, base if base and sha256_hex(base.encode()) == last else None))


def _take_edit(artifact: Artifact, disk: bytes, out: _Outcome) -> None:
    out.bundle.append(replace(artifact, content=disk))
    out.edited[artifact.path] = _diff(artifact.content, disk, "generated", "edited")


def _conflict(artifact: Artifact, disk: bytes, base: str | None) -> dict[str, Any]:
    if base is None:
        return {"path": artifact.path, "difference": _diff(artifact.content, disk, "generated", "edited")}
    old = base.encode()
    return {
        "path": artifact.path,
        "edited": _diff(old, disk, "generated before", "edited"),
        "generated": _diff(old, artifact.content, "generated before", "generated now"),
    }


def _diff(a: bytes, b: bytes, a_name: str, b_name: str) -> str:
    try:
        # Cut at line feeds alone, so that another line end, or none at the end, is a difference that shows.
        left, right = a.decode().split("\n"), b.decode().split("\n")
    except UnicodeDecodeError:
        return f"binary: {sha256_hex(a)[:12]} ({len(a)} bytes) → {sha256_hex(b)[:12]} ({len(b)} bytes)"
    if len(left) * len(right) > 25_000_000:  # difflib is quadratic
        return f"{len(left)} lines → {len(right)} lines, too long to compare here"
    from difflib import unified_diff

    lines = list(unified_diff(left, right, a_name, b_name, lineterm=""))
    if len(lines) > _DIFF_LINES:
        lines = [*lines[:_DIFF_LINES], f"… {len(lines) - _DIFF_LINES} more lines"]
    return "\n".join(lines)


def _conflict_error(conflicts: list[dict[str, Any]]) -> ArtifactChangedError:
    paths = [c["path"] for c in conflicts]
    named = ", ".join(paths[:3]) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")
    return ArtifactChangedError(
        f"{named}: edited by hand, and the template changed too",
        hint="\n".join(
            [
                "Keep the edit with --keep-edits, or take the new script with --force; the other version is kept.",
                *_conflict_lines(conflicts),
            ]
        ),
        details={"conflicts": conflicts},
    )


def _conflict_lines(conflicts: list[dict[str, Any]]) -> list[str]:
    """Return both differences of each conflict, for people; what is cut off stands in the error's details."""
    lines: list[str] = []
    for conflict in conflicts:
        lines += ["", conflict["path"]]
        for name in ("edited", "generated", "difference"):
            lines += conflict[name].split("\n") if name in conflict else []
    if len(lines) > _CONFLICT_LINES:
        lines = [*lines[:_CONFLICT_LINES], f"… {len(lines) - _CONFLICT_LINES} more lines (--json has them)"]
    return [visible(line) for line in lines]


def _gone(
    folder: BuildFolder, bundle: Bundle, before: Mapping[str, str], live: Collection[str], out: _Outcome
) -> tuple[list[str], list[str]]:
    """Return the paths that are no longer generated, and those that stay because their resource still exists."""
    wanted = {a.path for a in bundle.artifacts}
    alive = {f"scripts/{slug(address)}" for address in live}
    gone, staying = [], []
    for path, last in before.items():
        if path in wanted:
            continue
        try:
            disk = folder.read(path)
        except BundlePathError:
            continue  # not ours any more: left alone, and no longer remembered
        if disk is None:
            continue
        if "/".join(path.split("/")[:2]) in alive:
            staying.append(path)
            continue
        gone.append(path)
        if sha256_hex(disk) != last:
            out.losers.append((path, disk))
    return gone, staying


def _keep(build_dir: Path, path: str, data: bytes) -> Path:
    name = f"{sha256_hex(data)[:8]}-{'-'.join(path.split('/')[-2:])}"[:200]
    kept = BuildFolder(build_dir.parent / "kept")
    kept.write(name, data, 0o600)
    return kept.root / name


def _write_record(
    folder: BuildFolder, bundle: Bundle, record: Mapping[str, tuple[str, str | None]], staying: Mapping[str, str]
) -> None:
    entries: dict[str, dict[str, str]] = {}
    for path, last in staying.items():
        text = record.get(path, ("", None))[1]
        entries[path] = {"path": path, "sha256": last, **({"text": text} if text is not None else {})}
    for a in bundle.artifacts:
        if a.secret:
            continue
        entry = {"path": a.path, "sha256": sha256_hex(a.content)}
        if len(a.content) <= _REMEMBERED_TEXT:
            try:
                entry["text"] = a.content.decode()
            except UnicodeDecodeError:
                pass
        entries[a.path] = entry
    data = canonical_json({"schema": _RECORD_SCHEMA, "artifacts": [entries[p] for p in sorted(entries)]})
    there = folder.read(RECORD_NAME)
    if there != data and (there is not None or entries):
        folder.write(RECORD_NAME, data, 0o600)


def verify_unchanged(bundle: Bundle, build_dir: Path) -> None:
    """Return when the files of *bundle* on disk are still the approved bytes.

    Raises:
        ArtifactChangedError: as `verify_files`.
    """
    verify_files(bundle.artifacts, build_dir)


def verify_files(artifacts: Iterable[Artifact], build_dir: Path) -> None:
    """Return when each artifact's file is still the approved bytes. Asked right before a step; secret ones have no file.

    Raises:
        ArtifactChangedError: E_ARTIFACT_CHANGED; ``details["paths"]`` names what differs, is gone, or became a link.
    """
    changed = []
    with BuildFolder(build_dir) as folder:
        for artifact in artifacts:
            if artifact.secret:
                continue
            try:
                same = folder.read(artifact.path) == artifact.content
            except BundlePathError:
                same = False
            if not same:
                changed.append(artifact.path)
    if changed:
        more = f" (and {len(changed) - 1} more)" if len(changed) > 1 else ""
        raise ArtifactChangedError(
            f"{changed[0]} was changed after it was approved{more}",
            hint="Nothing ran. Plan and approve again to run the edited script, or rebuild with --force.",
            details={"paths": changed},
        )
