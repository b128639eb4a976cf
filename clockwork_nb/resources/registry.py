"""Finds resource types by name: the built-in ones at once, others by entry point when somebody asks for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from clockwork_nb.errors import InvalidInputError
from clockwork_nb.ports import Registry, ResourceType
from clockwork_nb.resources.check import TYPE as CHECK
from clockwork_nb.resources.command import TYPE as COMMAND
from clockwork_nb.resources.directory import TYPE as DIRECTORY
from clockwork_nb.resources.file import TYPE as FILE
from clockwork_nb.resources.service import TYPE as SERVICE

__all__ = ["GROUP", "builtin_types", "load_types"]

GROUP = "clockwork_nb.resources"
"""The entry point group of third-party types; each entry is named like the type and leads to its ``TYPE``."""


def builtin_types() -> Registry:
    """Return the types of this package under their names and aliases. Imports no pydantic."""
    types: dict[str, ResourceType] = {}
    for kind in (FILE, DIRECTORY, COMMAND, SERVICE, CHECK):
        for name in (kind.name, *kind.aliases):
            types[name] = kind
    return MappingProxyType(types)


def load_types() -> Registry:
    """Return all installed types. Entry points are read only when a name is asked for that is not built in.

    A built-in name can not be taken over.
    """
    return _InstalledTypes(builtin_types())


class _InstalledTypes(Mapping[str, ResourceType]):
    """Built-in types first, then what other packages install."""

    def __init__(self, builtin: Registry) -> None:
        self._builtin = builtin
        self._installed: dict[str, ResourceType] | None = None

    def __getitem__(self, name: str) -> ResourceType:
        found = self._builtin.get(name)
        return found if found is not None else self._others()[name]

    def __iter__(self) -> Iterator[str]:
        yield from self._builtin
        yield from (name for name in self._others() if name not in self._builtin)

    def __len__(self) -> int:
        return len(self._builtin.keys() | self._others().keys())

    def _others(self) -> Mapping[str, ResourceType]:
        if self._installed is None:
            self._installed = _read_entry_points(self._builtin)
        return self._installed


def _read_entry_points(builtin: Registry) -> dict[str, ResourceType]:
    # importlib.metadata costs start-up time, and few configurations need it.
    from importlib.metadata import entry_points

    out: dict[str, ResourceType] = {}
    for entry in sorted(entry_points(group=GROUP), key=lambda e: (e.name, e.value)):
        if entry.name in builtin or entry.name in out:
            continue
        try:
            kind = entry.load()
        except (ImportError, AttributeError) as error:
            raise InvalidInputError(
                f'the resource type "{entry.name}" is installed but does not load: {error}',
                hint=f"It is the entry point {entry.value}; update or uninstall that package.",
            ) from error
        for name in (entry.name, *kind.aliases):
            out.setdefault(name, kind)
    return out
