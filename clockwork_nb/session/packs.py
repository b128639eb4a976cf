"""Export, verify and look into jobpacks: the files around `clockwork_nb.jobpack`, which is bytes in, values out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from clockwork_nb.canonical import canonical_json
from clockwork_nb.errors import PackError
from clockwork_nb.fs import make_dirs, read_bytes, write_atomic
from clockwork_nb.ids import check_job_id
from clockwork_nb.patterns import pattern
from clockwork_nb.session.job_store import open_store
from clockwork_nb.session.pack_files import MAX_PACK_BYTES, find_pack, pack_here, read_pack
from clockwork_nb.session.pack_memory import latest_exports, remember_export, remembered
from clockwork_nb.session.pack_memory import remember as keep
from clockwork_nb.settings import Settings, load_settings
from clockwork_nb.workspace import read_input

if TYPE_CHECKING:
    from clockwork_nb.jobpack.build import Pack
    from clockwork_nb.jobpack.report import VerificationReport
    from clockwork_nb.jobpack.verify import Examination
    from clockwork_nb.signing import Signer

__all__ = ["MAX_PACK_BYTES", "ExportedPack", "Packs"]

_MAX_KEY_BYTES: Final = 64 * 1024
_PLAIN_NAME: Final = pattern(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")


class ExportedPack(Struct, frozen=True):
    """A pack on disk. ``footer`` is the one line that pins it in a ticket; ``final`` says whether the job was at its end.

    ``signer`` is the fingerprint of the key, empty when it is not signed; ``left_out`` are digest and size in bytes of
    the published artifacts that were too large.
    """

    path: Path
    manifest_sha256: str
    final: bool
    footer: str
    signer: str = ""
    left_out: tuple[tuple[str, int], ...] = ()

    def to_document(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "path": str(self.path),
            "manifest_sha256": self.manifest_sha256,
            "final": self.final,
            "footer": self.footer,
            "signer": self.signer,
            "not_included": [{"sha256": sha256, "size": size} for sha256, size in self.left_out],
        }


class Packs:
    """Packs below one output root.

    Args:
        settings: default: from the environment.
        out: output root; default: the settings' one, relative to the current folder.
    """

    def __init__(self, settings: Settings | None = None, out: Path | None = None) -> None:
        self.settings = settings or load_settings(who=False)
        self.folder = (out or self.settings.out).expanduser().absolute() / "jobpacks"
        self.kept: Path | None = None
        """Where the last export put the differing pack that had its name, when there was one."""

    def export(
        self, job_id: str, *, signed: bool = True, signer: Signer | None = None, most: int | None = None
    ) -> ExportedPack:
        """Write the job's evidence as one zip and return where it is. A differing older pack is renamed, not lost.

        Args:
            job_id: the job.
            signed: whether to sign it.
            signer: with which key; default: see `session.keys.signing_key`.
            most: bytes of a published artifact that is still included; default 64 MiB. Larger ones are listed.

        Raises:
            InvalidInputError: there is no such job. StoreCorruptError: its log is damaged. StoreIOError: disk.
        """
        from clockwork_nb.jobpack.build import build_jobpack
        from clockwork_nb.jobpack.layout import MAX_ARTIFACT_BYTES
        from clockwork_nb.jobpack.manifest import footer
        from clockwork_nb.session.keys import signing_key

        store = open_store(self.settings)
        view = store.read(check_job_id(job_id))
        key = (signer or signing_key(self.settings)) if signed else None
        blobs = store.blobs(job_id)
        pack = build_jobpack(
            canonical_json(dict(view.genesis)),
            view.raw,
            blobs.get,
            key=key,
            get_size=lambda sha256: _size(blobs.path(sha256)),
            most=MAX_ARTIFACT_BYTES if most is None else most,
        )
        path = self.place(pack)
        remember_export(self._exports(job_id), view.state, pack.manifest_sha256)
        line = footer(job_id, pack.manifest_sha256, path.name)
        left_out = tuple((item.sha256, item.size) for item in pack.left_out)
        return ExportedPack(
            path, pack.manifest_sha256, pack.final, line, key.public.fingerprint if key else "", left_out
        )

    def place(self, pack: Pack) -> Path:
        """Write *pack* under its name and return where it is. A differing older pack is renamed, not lost.

        Raises:
            StoreIOError: disk.
        """
        make_dirs(self.folder)
        path = self.folder / pack.name
        if path.exists():
            before = read_bytes(path)
            if before != pack.data:
                self._set_aside(path, before)
        write_atomic(path, pack.data, mode=0o644)
        return path

    def _set_aside(self, path: Path, data: bytes) -> None:
        self.kept = path.with_name(f"{path.stem}.{_identity(data)[:12]}.zip")
        write_atomic(self.kept, data, mode=0o644)

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
        footer: str | None = None,
        remember: bool = False,
    ) -> VerificationReport:
        """Return the verification of a pack file, or of a job's exported pack (``last``: of the newest job). Offline.

        A job's pack must also be the one that was exported last, as the store remembers it. Nothing is written unless
        *remember* asks for it: then a verified pack's head is kept, and an older or another one is refused from now on.

        Raises:
            InvalidInputError: there is no such file, several jobs fit, *key* is no public key, or *footer* no footer.
            StoreCorruptError: the memory is damaged.
        """
        examination = self.examine(target, require=require, key=key, job=job, manifest=manifest, footer=footer)
        if remember:
            keep(self.settings.config, examination)
        return examination.report

    def examine(
        self,
        target: str,
        *,
        require: str = "signed",
        key: Path | None = None,
        job: str | None = None,
        manifest: str | None = None,
        footer: str | None = None,
    ) -> Examination:
        """Return the verification of *target* (see `verify`) with the bytes it was about, read once.

        Raises:
            InvalidInputError, StoreCorruptError: as `verify`.
        """
        from clockwork_nb.jobpack.manifest import parse_footer
        from clockwork_nb.jobpack.verify import examine_jobpack
        from clockwork_nb.signing import TrustStore, read_public_key

        path = Path(target)
        if not path.is_file():
            target = self._meant(target)
            path = self._pack_of(target)
            job = job or (None if target == path.name else target)
        if footer is not None:
            pinned = parse_footer(footer.strip())
            job, manifest = job or pinned.job_id, manifest or pinned.manifest_sha256
        data = read_pack(path)
        public = None if key is None else read_public_key(read_input(key, most=_MAX_KEY_BYTES))
        trust, known = TrustStore.load(self.settings.config), remembered(self.settings.config)

        def check(manifest: str | None) -> Examination:
            return examine_jobpack(
                data,
                trust=trust,
                require="integrity" if require == "integrity" else "final" if require == "final" else "signed",
                file_name=path.name,
                expect_job=job,
                key=public,
                expect_manifest=manifest,
                known=known,
            )

        found = check(manifest)
        exports = latest_exports(self._exports(target)) if job == target and manifest is None else []
        if found.report.ok and exports and found.report.manifest_sha256 not in exports:
            return check(exports[-1])  # it is a pack of this job, but not the one that was exported from it last
        return found

    def _meant(self, target: str) -> str:
        """Return the job that *target* names as `find_job` reads it, unless a pack is here under that very name.

        Raises:
            InvalidInputError: several jobs fit.
        """
        from clockwork_nb.session.jobs import find_job

        return target if pack_here(self.folder, target) is not None else find_job(target, self.settings)

    def _pack_of(self, target: str) -> Path:
        """Return the pack that *target* means: of a job the one that was exported last, when it is still there.

        Raises:
            InvalidInputError: there is none. StoreCorruptError: what is remembered is damaged.
        """
        path = find_pack(self.folder, target)
        exports = latest_exports(self._exports(target)) if target != path.name else []
        others = [p for p in self.folder.glob(f"jobpack_{target}*.zip") if p != path] if exports else []
        return next((p for p in (path, *sorted(others)) if _identity(read_pack(p)) in exports), path)

    def relied_on(self, target: str, *, unverified: bool = False, **asked: Any) -> Examination:
        """Return the examination of a pack that somebody wants to look into, verified unless *unverified* allows less.

        *asked* as for `examine`.

        Raises:
            PackError: the pack is not verified; the code is the verification's.
            InvalidInputError, StoreCorruptError: as `verify`.
        """
        found = self.examine(target, **asked)
        if found.error is not None and not unverified:
            raise found.error
        if found.error is not None and found.archive is None:
            raise found.error  # nothing of it can be read at all
        return found

    def unpack(self, target: str, folder: Path, **asked: Any) -> tuple[Examination, Path]:
        """Write the files of a verified pack into the new or empty *folder*; return its examination and where they are.

        Raises:
            PackError: the pack is not verified.
            UnsafeOperationError: something is in *folder* already. StoreIOError: disk.
            InvalidInputError, StoreCorruptError: as `verify`.
        """
        from clockwork_nb.session.unpack import unpack

        found = self.relied_on(target, **asked)
        assert found.archive is not None
        return found, unpack(found.archive, folder)

    def receipt(self, examination: Examination) -> str:
        """Return the footer line that pins the examined pack."""
        from clockwork_nb.jobpack.layout import pack_name
        from clockwork_nb.jobpack.manifest import footer

        report = examination.report
        plain = _PLAIN_NAME.fullmatch(report.file_name) is not None
        name = report.file_name if plain else pack_name(report.job_id, count=report.count, final=report.final)
        return footer(report.job_id, report.manifest_sha256, name)

    def _exports(self, job_id: str) -> Path:
        return open_store(self.settings).folder(job_id) / "exports.jsonl"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0  # reading the blob says what is wrong with it


def _identity(data: bytes) -> str:
    """Return the manifest's digest of a pack; of what is no pack (any more) the digest of its bytes."""
    from clockwork_nb.canonical import sha256_hex
    from clockwork_nb.jobpack.archive import read_archive
    from clockwork_nb.jobpack.checks import manifest_of

    try:
        return str(manifest_of(read_archive(data)).sha256)
    except PackError:
        return sha256_hex(data)
