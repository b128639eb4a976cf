"""Values that may refer to nothing: defaults, flags, and everything in a ``.cwvars`` file."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from clockwork_nb.diagnostics import Diagnostics
from clockwork_nb.intake.expressions import EvaluationContext, EvaluationError, Evaluator, Scope, UpstreamFailed
from clockwork_nb.intake.nodes import Expression, Origin, Reference

__all__ = ["constant_value"]


def constant_value(
    node: Expression, origin: Origin, references: Iterable[Reference], diagnostics: Diagnostics
) -> tuple[bool, Any]:
    """Return whether *node* has a value without referring to anything, and that value; mistakes go to *diagnostics*."""
    for reference in references:
        diagnostics.error(
            "cw-not-constant",
            "this value cannot refer to anything",
            origin.range(reference),
            note="a text needs quotes" if len(reference.parts) == 1 else "",
            detail="It is needed before anything is evaluated. Write the value itself.",
        )
        return False, None

    def resolve(parts: tuple[str, ...]) -> tuple[Any, int]:
        raise UpstreamFailed(parts[0])

    try:
        return True, Evaluator(resolve, EvaluationContext()).value(node, Scope(origin))
    except EvaluationError as error:
        error.report(diagnostics)
    except UpstreamFailed:
        pass
    return False, None
