"""Where the job store of these settings is: to write to it, to read a job, or only to look it up.

The less is wanted, the less of this package has to be loaded.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from clockwork_nb import __version__
from clockwork_nb.errors import InvalidInputError
from clockwork_nb.notices import log

if TYPE_CHECKING:
    from clockwork_nb.settings import Settings
    from clockwork_nb.store.files import JobStore
    from clockwork_nb.store.listing import JobList
    from clockwork_nb.store.reading import JobReader

__all__ = ["list_store", "open_store", "read_store"]

_LOCAL_HOMES = Path("/var/tmp")  # noqa: S108 - the folder made there is private, and checked to be
_told: set[Path] = set()


def open_store(settings: Settings) -> JobStore:
    """Return the job store that *settings* name; a network file system is left for a local folder, with a notice.

    Raises:
        InvalidInputError: there is something else in its place.
    """
    from clockwork_nb.store.files import JobStore

    return JobStore(_home(settings), tool_version=__version__, single_host=settings.single_host)


def read_store(settings: Settings) -> JobReader:
    """Return the same store for reading alone.

    Raises:
        InvalidInputError: as `open_store`.
    """
    from clockwork_nb.store.reading import JobReader

    return JobReader(_home(settings))


def list_store(settings: Settings) -> JobList:
    """Return the same store for looking up jobs alone.

    Raises:
        InvalidInputError: as `open_store`.
    """
    from clockwork_nb.store.listing import JobList

    return JobList(_home(settings))


def _home(settings: Settings) -> Path:
    home = settings.home
    if home.exists() and not home.is_dir():
        raise InvalidInputError(f"the job store {home} is not a folder", hint="Set CLOCKWORK_HOME to a folder.")
    return home if settings.home_chosen or settings.single_host else _local_home(home)


def _local_home(home: Path) -> Path:
    """Return *home*, or a folder on this machine's disk when *home* is on a file system that others may use too."""
    from clockwork_nb.mounts import mount_of, private_folder, remembered

    mount = remembered(home) or mount_of(home)
    if not mount.shared:
        return home
    local = private_folder(_LOCAL_HOMES / f"clockwork-{os.geteuid()}")
    if home not in _told:
        _told.add(home)
        log(__name__).warning("%s is on %s; the job store is %s", home, mount.kind, local)
    return local
