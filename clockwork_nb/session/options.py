"""What a verb was asked to do."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from clockwork_nb.canonical import digest

__all__ = ["PlanOptions", "Verb"]

Verb = str
"""``apply``, ``destroy`` or ``verify``."""

_RARE = ("excluded", "replaced", "allow")
"""Choices that stand in the document only when they were made."""


class PlanOptions(Struct, frozen=True):
    """The choices that decide a plan.

    Attributes:
        destroy: plan the removal of everything recorded.
        targets: addresses to limit the plan to (with what they need); empty means all.
        excluded: addresses to leave alone (with what stands on them).
        replaced: addresses to make anew.
        allow: what may run while planning, besides what the operator's policy allows: ``terraform``.
        imports: address and id of existing things; then the plan takes these into the state and does nothing else.
        prune: also delete resources whose cell or file was not read.
        variables: ``--var`` pairs in order; the text is converted to the declared type.
        var_files: ``--var-file`` paths in order.
    """

    destroy: bool = False
    targets: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    imports: tuple[tuple[str, str], ...] = ()
    prune: bool = False
    variables: tuple[tuple[str, str], ...] = ()
    var_files: tuple[str, ...] = ()

    def to_document(self) -> dict[str, Any]:
        """Return the JSON form that a job's spec keeps."""
        return {
            "destroy": self.destroy,
            "targets": list(self.targets),
            **{name: list(value) for name in _RARE if (value := getattr(self, name))},
            **({"imports": [{"address": a, "id": i} for a, i in self.imports]} if self.imports else {}),
            "prune": self.prune,
            "variables": [{"name": k, "value": v} for k, v in self.variables],
            "var_files": list(self.var_files),
        }

    @classmethod
    def from_document(cls, doc: dict[str, Any]) -> PlanOptions:
        """Return the options a job's spec kept."""
        return cls(
            destroy=bool(doc["destroy"]),
            targets=tuple(doc["targets"]),
            excluded=tuple(doc.get("excluded", ())),
            replaced=tuple(doc.get("replaced", ())),
            allow=tuple(doc.get("allow", ())),
            imports=tuple((i["address"], i["id"]) for i in doc.get("imports", ())),
            prune=bool(doc["prune"]),
            variables=tuple((v["name"], v["value"]) for v in doc["variables"]),
            var_files=tuple(doc["var_files"]),
        )

    @property
    def digest(self) -> str:
        """SHA-256 over the choices."""
        return digest(self.to_document())
