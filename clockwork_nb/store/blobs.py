"""Content-addressed files: a blob's name is the SHA-256 of its bytes."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Sequence
from hashlib import sha256
from pathlib import Path

from clockwork_nb.errors import InvalidInputError, StoreCorruptError
from clockwork_nb.fs import REAL, FileSystem, make_dirs, raise_storage_error, read_bytes, sync_dir, write_atomic_all
from clockwork_nb.jobs.fields import HEX

__all__ = ["BlobStore"]


class BlobStore:
    """The blobs of one job, below *root*; each is written once, read-only, and checked whenever it is read."""

    def __init__(self, root: Path, *, fs: FileSystem = REAL) -> None:
        self.root = root
        self._fs = fs
        self._lock = threading.Lock()
        self._durable: set[str] = set()
        self._folders: set[str] = set()

    def path(self, digest: str) -> Path:
        """Return where the blob *digest* is or would be.

        Raises:
            InvalidInputError: E_INVALID_INPUT_SCHEMA: not 64 lower-case hex digits.
        """
        if HEX.compiled.fullmatch(digest) is None:
            raise InvalidInputError(f"{digest[:80]!r} is not a SHA-256 digest")
        return self.root.joinpath("sha256", digest[:2], digest)

    def put(self, data: bytes) -> str:
        """Return the digest of *data*, which is durable then. Thread-safe.

        Raises:
            StoreFullError, StoreIOError.
        """
        return self.put_all([data])[0]

    def put_all(self, contents: Sequence[bytes]) -> list[str]:
        """Return the digest of each of *contents*, all of which are durable then. Thread-safe.

        Raises:
            StoreFullError, StoreIOError: which of them are durable is not known.
        """
        digests = [sha256(data).hexdigest() for data in contents]
        with self._lock:
            new = {name: data for name, data in zip(digests, contents, strict=True) if name not in self._durable}
            folders = {name[:2] for name in new}
            missing = folders - self._folders
        if missing:
            self._make_folders(missing)
        # A file of that name that this process did not write may not be durable, or may have been damaged: write anew.
        write_atomic_all({self.path(name): data for name, data in new.items()}, mode=0o400, fs=self._fs)
        with self._lock:
            self._durable.update(new)
            self._folders |= folders
        return digests

    def _make_folders(self, names: Iterable[str]) -> None:
        base = self.root / "sha256"
        make_dirs(base, fs=self._fs)
        for name in sorted(names):
            try:
                with contextlib.suppress(FileExistsError):
                    self._fs.make_dir(base / name, 0o700)
            except OSError as error:
                raise_storage_error(error, base / name, "making the folder")
        # Also for those that were there: another thread may have made one just now and not have come to syncing it.
        sync_dir(base, fs=self._fs)

    def get(self, digest: str) -> bytes:
        """Return the bytes named *digest*.

        Raises:
            StoreCorruptError: E_STORE_CORRUPT: missing, or the content does not have that digest.
            StoreIOError: E_STORE_IO.
        """
        path = self.path(digest)
        try:
            data = read_bytes(path, fs=self._fs)
        except FileNotFoundError:
            raise StoreCorruptError(
                f"the blob {digest} is missing", details={"path": str(path), "reason": "missing"}
            ) from None
        if sha256(data).hexdigest() != digest:
            raise StoreCorruptError(
                f"the blob {digest} is damaged: its content has another digest",
                details={"path": str(path), "reason": "digest"},
            )
        return data

    def names(self) -> list[str]:
        """Return the digests of all blobs there are, sorted; files of other names are left out."""
        base = self.root / "sha256"
        found: list[str] = []
        if self._fs.stat(base) is None:
            return found
        for prefix in self._fs.list_dir(base):
            folder = self._fs.stat(base / prefix)
            if folder is not None and folder.is_dir:
                found += [name for name in self._fs.list_dir(base / prefix) if HEX.compiled.fullmatch(name)]
        return found
