"""Finds resource types by name: the built-in ones at once, others by entry point when somebody asks for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from clockwork_nb.errors import InvalidInputError
from clockwork_nb.ports import Registry, ResourceType

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["GROUP", "builtin_types", "load_types"]

GROUP = "clockwork_nb.resources"
"""The entry point group of third-party types; each entry is named like the type and leads to its ``TYPE``."""

_RESERVED: Final = frozenset(
    {
        "count", "data", "each", "import", "job", "local", "locals", "module", "moved", "output", "path", "policy",
        "provider", "removed", "resource", "self", "terraform", "var", "variable",
    }
)  # fmt: skip
"""Words of the language, which a configuration asks for all the time: no package's type can be called so."""


_BUILTIN: Final = ("file", "directory", "command", "image", "service", "repository", "schedule", "terraform", "check")
"""The types of this package; each is the package ``clockwork_nb.resources.<name>``."""

_ALIASES: Final[Mapping[str, str]] = {"custom": "command", "script": "command", "verification": "check"}
"""Their other names."""


def builtin_types() -> Registry:
    """Return the types of this package under their names and aliases. A type is imported when it is asked for."""
    return _BuiltinTypes()


class _BuiltinTypes(Mapping[str, ResourceType]):
    """The types of this package. Most configurations use a few of them, and importing all takes longer than a small plan."""

    def __init__(self) -> None:
        self._loaded: dict[str, ResourceType] = {}

    def __getitem__(self, name: str) -> ResourceType:
        found = self._loaded.get(name)
        if found is None:
            canonical = _ALIASES.get(name, name)
            if canonical not in _BUILTIN:
                raise KeyError(name)
            found = self._loaded[name] = import_module(f"clockwork_nb.resources.{canonical}").TYPE
        return found

    def get(self, name: str, default: Any = None) -> Any:
        # Asked several times for each resource of a plan; the inherited one raises and catches.
        found = self._loaded.get(name)
        return found if found is not None else super().get(name, default)

    def __contains__(self, name: object) -> bool:
        return name in _BUILTIN or name in _ALIASES

    def __iter__(self) -> Iterator[str]:
        yield from _BUILTIN
        yield from _ALIASES

    def __len__(self) -> int:
        return len(_BUILTIN) + len(_ALIASES)


def load_types() -> Registry:
    """Return all installed types.

    The entry points of other packages are read when a name is asked for that is not built in, and each of them is
    loaded when it is asked for itself. A built-in name or a word of the language can not be taken over. Iterating gives
    the names of all types, and the aliases of the built-in ones.
    """
    return _InstalledTypes(builtin_types())


class _InstalledTypes(Mapping[str, ResourceType]):
    """Built-in types first, then what other packages install.

    Looking a type up raises InvalidInputError when its package is broken; the types of other packages are not affected.
    """

    def __init__(self, builtin: Registry) -> None:
        self._builtin = builtin
        self._found: Mapping[str, EntryPoint] | None = None
        self._loaded: dict[str, ResourceType] = {}
        self._aliases: Mapping[str, str] | None = None

    def __getitem__(self, name: str) -> ResourceType:
        found = self._builtin.get(name)
        if found is not None:
            return found
        if name in _RESERVED:
            raise KeyError(name)
        entries = self._entries()
        return self._load(name if name in entries else self._aliased()[name])

    def get(self, name: str, default: Any = None) -> Any:
        # Asked several times for each resource of a plan; the inherited one raises and catches.
        found = self._builtin.get(name)
        return found if found is not None else super().get(name, default)

    def __iter__(self) -> Iterator[str]:
        yield from self._builtin
        yield from self._entries()

    def __len__(self) -> int:
        return len(self._builtin) + len(self._entries())

    def _entries(self) -> Mapping[str, EntryPoint]:
        if self._found is None:
            self._found = _read_entry_points(self._builtin)
        return self._found

    def _load(self, name: str) -> ResourceType:
        if name not in self._loaded:
            self._loaded[name] = _load(self._entries()[name])
        return self._loaded[name]

    def _aliased(self) -> Mapping[str, str]:
        if self._aliases is None:
            aliases: dict[str, str] = {}
            for name in self._entries():
                try:
                    kind = self._load(name)
                except InvalidInputError:
                    continue  # who asks for it by its name is told
                for alias in kind.aliases:
                    aliases.setdefault(alias, name)
            self._aliases = aliases
        return self._aliases


def _read_entry_points(builtin: Registry) -> dict[str, EntryPoint]:
    # importlib.metadata costs start-up time, and few configurations need it.
    from importlib.metadata import entry_points

    out: dict[str, EntryPoint] = {}
    for entry in sorted(entry_points(group=GROUP), key=lambda e: (e.name, e.value)):
        if entry.name not in builtin and entry.name not in _RESERVED:
            out.setdefault(entry.name, entry)
    return out


def _load(entry: EntryPoint) -> ResourceType:
    from clockwork_nb.resources.foreign import NAME, ForeignType

    distribution = getattr(entry, "dist", None)
    package = f"{distribution.name} {distribution.version}" if distribution is not None else entry.value.split(":")[0]
    if not NAME.match(entry.name):
        raise InvalidInputError(
            f"the package {package} installs a resource type under the name {entry.name!r}, which can be none",
            hint="A type is called by lower-case letters, digits and underscores.",
        )
    try:
        kind = entry.load()
    except Exception as error:
        raise InvalidInputError(
            f'the resource type "{entry.name}" is installed but does not load: {type(error).__name__}: {error}',
            hint=f"It is the entry point {entry.value} of the package {package}; update or uninstall that.",
            details={"type": entry.name, "package": package},
        ) from error
    return ForeignType(kind, entry.name, package)
