"""What in the world a resource owns, and what follows when two resources meet there.

A type may have a method ``claims(config)`` that names what only one resource can own at a time: ``path:<path>`` or
``port:<number>``. From that follow three rules:

* two wanted resources with one claim are a mistake of the author;
* a resource that is no longer wanted, and whose path another one *of the same type* has now, was only renamed: it is
  forgotten, because removing it would remove what the other one owns;
* otherwise what is released is released before it is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from clockwork_nb.diagnostics import Diagnostic, Severity
from clockwork_nb.errors import ConfigurationError
from clockwork_nb.intake.desired import ResourceInstance
from clockwork_nb.ports import Registry, ResourceType

__all__ = ["Claims", "claims_of"]


def claims_of(kind: ResourceType, config: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Return the claims of *config*, none when its type makes none."""
    claims: Callable[[Mapping[str, Any]], Sequence[str]] | None = getattr(kind, "claims", None)
    return tuple(claims(config)) if claims is not None and config is not None else ()


class Claims:
    """Who of the wanted resources owns what.

    Raises:
        ConfigurationError: E_INVALID_INPUT_SCHEMA, two resources want the same; a diagnostic for each.
    """

    def __init__(self, resources: Iterable[ResourceInstance], types: Registry) -> None:
        self._owners: dict[str, ResourceInstance] = {}
        findings: list[Diagnostic] = []
        for instance in sorted(resources, key=lambda r: r.address):
            for claim in claims_of(types[instance.type], instance.config):
                first = self._owners.setdefault(claim, instance)
                if first is not instance:
                    findings.append(_conflict(claim, first, instance))
        if findings:
            count = len(findings)
            raise ConfigurationError(
                f"{count} resource{'s' if count > 1 else ''} want{'' if count > 1 else 's'} what another one has; "
                "nothing was planned.",
                diagnostics=findings,
            )

    def taken_over(self, address: str, type_name: str, claims: Iterable[str]) -> str:
        """Return who owns one of the paths in *claims* now, of the same type and not *address* itself; else ``""``."""
        for claim in claims:
            owner = self._owners.get(claim)
            if owner is not None and owner.address != address and owner.type == type_name and claim.startswith("path:"):
                return owner.address
        return ""


def _conflict(claim: str, first: ResourceInstance, second: ResourceInstance) -> Diagnostic:
    what, _, value = claim.partition(":")
    shown = value if len(value) <= 24 else f"…{value[-23:]}"
    return Diagnostic(
        Severity.ERROR,
        "cw-conflict",
        f"two resources want the {what} {shown}",
        detail=f"{first.address} and {second.address} both want the {what} {value}, so each would undo what the other "
        "did. Change one of them.",
        subject=second.range,
        address=second.address,
        trail=((f"{first.address} is declared here", first.range),),
    )
