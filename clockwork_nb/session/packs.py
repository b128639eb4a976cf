"""Export and verify jobpacks: the files around `clockwork_nb.jobpack`, which is bytes in, values out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clockwork_nb.canonical import canonical_json, parse_json
from clockwork_nb.errors import InvalidInputError, StoreCorruptError
from clockwork_nb.fs import make_dirs, read_bytes, write_atomic
from clockwork_nb.ids import JOB_ID, check_job_id
from clockwork_nb.session.runs import open_store
from clockwork_nb.settings import Settings, load_settings
from clockwork_nb.workspace import read_input

if TYPE_CHECKING:
    from clockwork_nb.jobpack.report import VerificationReport
    from clockwork_nb.jobs.model import JobState

__all__ = ["MAX_PACK_BYTES", "ExportedPack", "Packs"]

MAX_PACK_BYTES = 512 * 1024 * 1024
_MAX_KEY_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class ExportedPack:
    """A pack on disk. ``footer`` is the one line that pins it in a ticket; ``final`` says whether the job was at its end."""

    path: Path
    manifest_sha256: str
    final: bool
    footer: str

    def to_document(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "path": str(self.path),
            "manifest_sha256": self.manifest_sha256,
            "final": self.final,
            "footer": self.footer,
        }


class Packs:
    """Packs below one output root.

    Args:
        settings: default: from the environment.
        out: output root; default: the settings' one, relative to the current folder.
    """

    def __init__(self, settings: Settings | None = None, out: Path | None = None) -> None:
        self.settings = settings or load_settings()
        self.folder = (out or self.settings.out).expanduser().absolute() / "jobpacks"

    def export(self, job_id: str, *, signed: bool = True) -> ExportedPack:
        """Write the job's evidence as one zip and return where it is. A differing older pack is renamed, not lost.

        Raises:
            InvalidInputError: there is no such job. StoreCorruptError: its log is damaged. StoreIOError: disk.
        """
        from clockwork_nb.jobpack.build import build_jobpack
        from clockwork_nb.jobpack.manifest import footer
        from clockwork_nb.signing import load_or_create_key

        store = open_store(self.settings)
        view = store.read(check_job_id(job_id))
        key = load_or_create_key(self.settings.config) if signed else None
        pack = build_jobpack(canonical_json(dict(view.genesis)), view.raw, store.blobs(job_id).get, key=key)
        make_dirs(self.folder)
        path = self.folder / pack.name
        if path.exists():
            before = read_bytes(path)
            if before != pack.data:
                self._set_aside(path, before)
        write_atomic(path, pack.data, mode=0o644)
        _remember(store.folder(job_id) / "exports.jsonl", view.state, pack.manifest_sha256)
        return ExportedPack(path, pack.manifest_sha256, pack.final, footer(job_id, pack.manifest_sha256, path.name))

    def _set_aside(self, path: Path, data: bytes) -> None:
        from clockwork_nb.canonical import sha256_hex

        write_atomic(path.with_name(f"{path.stem}.{sha256_hex(data)[:12]}.zip"), data, mode=0o644)

    def write_report(self, job_id: str) -> Path:
        """Write the job's report, one self-contained page, and return where it is."""
        from clockwork_nb.jobpack.report_html import report_of_log

        store = open_store(self.settings)
        view = store.read(check_job_id(job_id))
        page = report_of_log(canonical_json(dict(view.genesis)), view.raw)
        path = self.folder.parent / "reports" / f"{job_id}.html"
        make_dirs(path.parent)
        write_atomic(path, page, mode=0o644)
        return path

    def verify(
        self,
        target: str,
        *,
        require: str = "signed",
        key: Path | None = None,
        job: str | None = None,
        manifest: str | None = None,
    ) -> VerificationReport:
        """Return the verification of a pack file, or of a job's exported pack. Offline; writes nothing.

        A job's pack must also be the one that was exported last, as the store remembers it.

        Raises:
            InvalidInputError: there is no such file, or *key* is no public key. StoreCorruptError: the memory is damaged.
        """
        from clockwork_nb.jobpack.verify import verify_jobpack
        from clockwork_nb.signing import TrustStore, parse_public_key

        path = Path(target)
        if not path.is_file():
            path = self._pack_of(target)
            job = job or (None if target == path.name else target)
        data = read_input(path, most=MAX_PACK_BYTES)
        public = None
        if key is not None:
            public = parse_public_key(read_input(key, most=_MAX_KEY_BYTES).decode("ascii", "replace"))

        def check(manifest: str | None) -> VerificationReport:
            return verify_jobpack(
                data,
                trust=TrustStore.load(self.settings.config),
                require="integrity" if require == "integrity" else "signed",
                file_name=path.name,
                expect_job=job,
                key=public,
                expect_manifest=manifest,
            )

        report = check(manifest)
        known = self._exported(target) if job == target and manifest is None else []
        if report.ok and known and report.manifest_sha256 not in known:
            return check(known[-1])  # it is a pack of this job, but not the one that was exported from it last
        return report

    def _pack_of(self, job_id: str) -> Path:
        """Return the pack of a job: the final one, else the one of the longest log.

        Raises:
            InvalidInputError: there is none.
        """
        named = self.folder / job_id  # as the footer names it
        if "/" not in job_id and named.is_file():
            return named
        if not JOB_ID.match(job_id):
            raise InvalidInputError(f"{job_id} is not a file and not a job id", hint="See: clockwork job list")
        final = self.folder / f"jobpack_{job_id}.zip"
        if final.is_file():
            return final
        pattern = re.compile(rf"jobpack_{re.escape(job_id)}\.at(\d{{1,18}})\.zip")
        found = [(int(m[1]), p) for p in self.folder.glob("jobpack_*.zip") if (m := pattern.fullmatch(p.name))]
        if found:
            return max(found)[1]
        raise InvalidInputError(f"no pack of job {job_id} in {self.folder}", hint=f"clockwork jobpack export {job_id}")

    def _exported(self, job_id: str) -> list[str]:
        """Return the manifests of the job's latest exports, as remembered beside its log; none when that is not here.

        There is one for each way to export the same log: signed, unsigned.

        Raises:
            StoreCorruptError: what is remembered is damaged.
        """
        path = open_store(self.settings).folder(job_id) / "exports.jsonl"
        try:
            lines = [parse_json(line, what=str(path)) for line in read_bytes(path).splitlines()]
            latest = max(int(line["count"]) for line in lines)
            return [str(line["manifest"]) for line in lines if line["count"] == latest]
        except FileNotFoundError:
            return []
        except (InvalidInputError, KeyError, TypeError, ValueError) as error:
            raise StoreCorruptError(
                f"{path} is damaged", hint=f"Verify the file itself: clockwork jobpack verify {self.folder.name}/…"
            ) from error


def _remember(path: Path, state: JobState, manifest: str) -> None:
    """Note beside the log what was exported; never an event, or each export would change the next one."""
    line = canonical_json({"count": state.seq, "head": state.hash, "manifest": manifest}) + b"\n"
    try:
        known = read_bytes(path)
    except FileNotFoundError:
        known = b""
    if line not in known.splitlines(keepends=True):
        write_atomic(path, known + line)
