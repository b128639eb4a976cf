"""Export and verify jobpacks: the files around `clockwork_nb.jobpack`, which is bytes in, values out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clockwork_nb.canonical import canonical_json
from clockwork_nb.errors import InvalidInputError
from clockwork_nb.fs import make_dirs, read_bytes, write_atomic
from clockwork_nb.ids import JOB_ID, check_job_id
from clockwork_nb.session.runs import open_store
from clockwork_nb.settings import Settings, load_settings

if TYPE_CHECKING:
    from clockwork_nb.jobpack.report import VerificationReport
    from clockwork_nb.jobs.model import JobState

__all__ = ["ExportedPack", "Packs"]

_MAX_PACK = 512 * 1024 * 1024


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

        Raises:
            InvalidInputError: there is no such file.
        """
        from clockwork_nb.jobpack.verify import verify_jobpack
        from clockwork_nb.signing import TrustStore, parse_public_key

        path = self._find(target)
        trust = TrustStore.load(self.settings.config)
        known = {} if path == Path(target) else self._known(target)
        return verify_jobpack(
            self._read(path),
            trust=trust,
            require="integrity" if require == "integrity" else "signed",
            file_name=path.name,
            expect_job=job or known.get("job"),
            key=parse_public_key(key.read_text()) if key is not None else None,
            expect_manifest=manifest,
        )

    def _known(self, job_id: str) -> dict[str, str]:
        return {"job": job_id}

    def _find(self, target: str) -> Path:
        path = Path(target)
        if path.is_file():
            return path
        if JOB_ID.match(target):
            candidate = self.folder / f"jobpack_{target}.zip"
            if candidate.is_file():
                return candidate
            unfinished = sorted(self.folder.glob(f"jobpack_{target}.at*.zip"))
            if unfinished:
                return unfinished[-1]
            raise InvalidInputError(
                f"no pack of job {target} in {self.folder}", hint=f"clockwork jobpack export {target}"
            )
        raise InvalidInputError(f"{target} is not a file and not a job id")

    def _read(self, path: Path) -> bytes:
        size = path.stat().st_size
        if size > _MAX_PACK:
            raise InvalidInputError(f"{path.name} has {size} bytes; a pack has at most {_MAX_PACK}")
        return read_bytes(path)


def _remember(path: Path, state: JobState, manifest: str) -> None:
    """Note beside the log what was exported; never an event, or each export would change the next one."""
    line = canonical_json({"count": state.seq, "head": state.hash, "manifest": manifest}) + b"\n"
    try:
        known = read_bytes(path)
    except FileNotFoundError:
        known = b""
    if line not in known.splitlines(keepends=True):
        write_atomic(path, known + line)
