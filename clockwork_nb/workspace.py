"""A workspace: the folder that owns one configuration, its state, build, logs and lock (contracts.md).

*Folder workspace*: ``<root>/.clockwork``, its configuration is the folder's ``*.cw``.
*Notebook workspace*: ``<notebook's folder>/.clockwork/nb/<notebook stem>``, its configuration is the notebook's
``%%cw`` cells and what ``%cw_load`` names.
"""

from __future__ import annotations

import re
import stat
from pathlib import Path

from msgspec import Struct

from clockwork_nb.errors import InvalidInputError, UnsafeOperationError
from clockwork_nb.patterns import pattern

__all__ = ["Workspace", "folder_sources", "folder_workspace", "notebook_workspace", "read_input", "variable_files"]

_MAX_INPUT = 256 * 1024 * 1024
_NAME = pattern(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")


class Workspace(Struct, frozen=True):
    """Where one configuration lives.

    ``root`` is what relative paths of the configuration are relative to; ``folder`` is our own folder below it.
    """

    root: Path
    folder: Path
    name: str
    is_notebook: bool

    def shown(self, path: Path) -> str:
        """Return *path* as people read it: relative to the root when it lies below."""
        return str(path.relative_to(self.root) if path.is_relative_to(self.root) else path)

    @property
    def state_path(self) -> Path:
        """The state file."""
        return self.folder / "state.json"

    @property
    def build_dir(self) -> Path:
        """Where scripts are written for people to read and edit."""
        return self.folder / "build"

    @property
    def logs_dir(self) -> Path:
        """Where the output of steps goes, one folder a job."""
        return self.folder / "logs"


def _checked_root(path: Path) -> Path:
    root = path.expanduser().absolute()
    if not root.is_dir():
        raise InvalidInputError(f"{path} is not a folder", hint="Name a folder that holds *.cw files: -C DIR")
    return root.resolve()


def _own_folder(root: Path, *names: str) -> Path:
    """Return our folder below *root*: a project that somebody hands over must not lead us elsewhere by a link of its own."""
    folder = root
    for name in names:
        folder = folder / name
        if folder.is_symlink():
            raise UnsafeOperationError(
                f"{folder} is a link; state, keys and scripts would be written where it leads",
                hint="Look where it leads, remove it, and run this again.",
            )
    return folder


def folder_workspace(root: Path, *, name: str = "") -> Workspace:
    """Return the workspace of the folder *root*; *name* chooses a second one beside the default.

    Raises:
        InvalidInputError: *root* is not a folder, or *name* is not a plain name.
        UnsafeOperationError: E_UNSAFE_OPERATION, our folder in it is a link.
    """
    resolved = _checked_root(root)
    if name and not _NAME.match(name):
        raise InvalidInputError(f"{name!r} is not a workspace name", hint="Use letters, digits, . _ -")
    folder = _own_folder(resolved, ".clockwork", *(("ws", name) if name else ()))
    return Workspace(resolved, folder, name or resolved.name, is_notebook=False)


def notebook_workspace(folder: Path, stem: str) -> Workspace:
    """Return the workspace of the notebook ``<folder>/<stem>.ipynb``.

    Raises:
        InvalidInputError: *folder* is not a folder.
        UnsafeOperationError: E_UNSAFE_OPERATION, our folder in it is a link.
    """
    resolved = _checked_root(folder)
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-.")[:64] or "notebook"
    return Workspace(resolved, _own_folder(resolved, ".clockwork", "nb", safe), safe, is_notebook=True)


def folder_sources(folder: Path) -> list[tuple[str, bytes]]:
    """Return ``(file name, content)`` of the folder's ``*.cw``, sorted by name; or of one file.

    Raises:
        InvalidInputError: there is none, or one cannot be read.
    """
    files = [folder] if folder.is_file() else sorted(folder.glob("*.cw"))
    if not files:
        raise InvalidInputError(
            f"no .cw file in {folder}", hint="Write one (see clockwork demo), or name another folder: -C DIR"
        )
    return [(path.name, read_input(path)) for path in files]


def read_input(path: Path, *, most: int = _MAX_INPUT) -> bytes:
    """Return the content of a file that a person named or wrote; at most *most* bytes.

    Raises:
        InvalidInputError: it cannot be read, is no file, or is longer. A ``.cw`` file that cannot be read is never
            passed over: that would look as if everything in it were to be removed.
    """
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise InvalidInputError(f"{path} is not a file", hint="Name a file, or put one in its place.")
        if found.st_size > most:
            raise InvalidInputError(f"{path} has {found.st_size:,} bytes; at most {most:,} are read")
        return path.read_bytes()
    except OSError as error:
        raise InvalidInputError(f"cannot read {path}: {error.strerror}") from error


def variable_files(folder: Path) -> list[Path]:
    """Return the folder's ``*.cwvars``, sorted by name."""
    return sorted(folder.glob("*.cwvars")) if folder.is_dir() else []
