"""What a verb was asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from clockwork_nb.canonical import digest

__all__ = ["PlanOptions", "Verb"]

Verb = str
"""``apply``, ``destroy`` or ``verify``."""


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """The choices that decide a plan.

    Attributes:
        destroy: plan the removal of everything recorded.
        targets: addresses to limit the plan to (with what they need); empty means all.
        prune: also delete resources whose cell or file was not read.
        variables: ``--var`` pairs in order; the text is converted to the declared type.
        var_files: ``--var-file`` paths in order.
    """

    destroy: bool = False
    targets: tuple[str, ...] = ()
    prune: bool = False
    variables: tuple[tuple[str, str], ...] = ()
    var_files: tuple[str, ...] = ()

    def to_document(self) -> dict[str, Any]:
        """Return the JSON form that a job's spec keeps."""
        return {
            "destroy": self.destroy,
            "targets": list(self.targets),
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
            prune=bool(doc["prune"]),
            variables=tuple((v["name"], v["value"]) for v in doc["variables"]),
            var_files=tuple(doc["var_files"]),
        )

    @property
    def digest(self) -> str:
        """SHA-256 over the choices."""
        return digest(self.to_document())
