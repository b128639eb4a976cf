"""What the gate says about a bundle: one finding for each thing wrong, and the error that carries all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from clockwork_nb.errors import (
    BundleError,
    BundleLimitError,
    BundleMappingError,
    BundlePathError,
    BundleRuntimeError,
    BundleSchemaError,
)

__all__ = ["LIMIT", "MAPPING", "PATH", "RUNTIME", "SCHEMA", "Finding", "refuse"]

# The most severe first: what could escape, then what could run, then what does not fit together.
_SEVERITY: Final[tuple[type[BundleError], ...]] = (
    BundlePathError,
    BundleRuntimeError,
    BundleSchemaError,
    BundleMappingError,
    BundleLimitError,
)
PATH, RUNTIME, SCHEMA, MAPPING, LIMIT = (cls.code for cls in _SEVERITY)
_RANK: Final = {cls.code: number for number, cls in enumerate(_SEVERITY)}
_SHOWN: Final = 200


class Finding(Struct, frozen=True):
    """One thing wrong. ``hint`` says what to do.

    ``place`` is ``bundle``, ``artifact PATH`` or ``step ID``; of a document that could not be read whole it is
    ``line N, column N`` or the way to the value (``artifacts[3].mode``).
    """

    code: str
    place: str
    message: str
    hint: str = ""

    def to_dict(self) -> dict[str, str]:
        """Return the JSON form."""
        return {"code": self.code, "place": self.place, "message": self.message, "hint": self.hint}


def refuse(findings: Sequence[Finding]) -> None:
    """Return when there are no *findings*.

    Raises:
        BundleError: the subclass of the most severe finding (E_BUNDLE_PATH, _RUNTIME, _SCHEMA, _MAPPING, _LIMIT, in
            that order); the findings are in ``details["findings"]``, at most 200, their number in ``count``.
    """
    if not findings:
        return
    worst = min(findings, key=lambda f: _RANK[f.code])
    more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
    raise _SEVERITY[_RANK[worst.code]](
        f"the bundle must not run: {worst.place}: {worst.message}{more}",
        hint=worst.hint,
        details={"findings": [f.to_dict() for f in findings[:_SHOWN]], "count": len(findings)},
    )
