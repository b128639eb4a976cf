"""Which paths of the project the resources of a configuration make, so that what is missing now may be there in time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from clockwork_nb.assembly.claims import claims_of

if TYPE_CHECKING:
    from clockwork_nb.intake.desired import ResourceInstance
    from clockwork_nb.ports import Registry

__all__ = ["PathMakers"]

_TELLING: Final = frozenset({"directory", "file", "repository"})
"""Types that make nothing but the path they claim; what others make besides (a command, say) nobody knows."""


class PathMakers:
    """The wanted *resources*, seen as what makes files and folders."""

    def __init__(self, resources: Mapping[str, ResourceInstance], types: Registry) -> None:
        self._resources = resources
        self._types = types

    def makes(self, path: str, *, besides: str) -> bool:
        """Return whether *path* may come to be before the resource *besides* needs it.

        Another resource claims it, something in it, or a folder around it; or *besides* stands on one of which nobody knows
        what it makes.

        Args:
            path: relative to the project folder, normalised.
        """
        return any(
            path == made or made.startswith(f"{path}/") or path.startswith(f"{made}/")
            for address in self._resources
            if address != besides
            for made in self._paths(address)
        ) or any(self._is_opaque(address) for address in self._needs(besides))

    def _paths(self, address: str) -> list[str]:
        resource = self._resources[address]
        claims = claims_of(self._types[resource.type], resource.config)
        return [claim.removeprefix("path:") for claim in claims if claim.startswith("path:")]

    def _is_opaque(self, address: str) -> bool:
        resource = self._resources[address]
        if self._types[resource.type].verifies:
            return False
        return resource.type not in _TELLING or not self._paths(address)

    def _needs(self, address: str) -> set[str]:
        found: set[str] = set()
        todo = [address]
        while todo:
            resource = self._resources.get(todo.pop())
            needs = set() if resource is None else set(resource.dependencies) & self._resources.keys()
            todo += needs - found
            found |= needs
        return found
