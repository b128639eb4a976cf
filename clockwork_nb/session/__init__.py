"""The facade every adapter uses: one workspace, its verbs, and the jobs they leave.

The names arrive when they are used, so that a verb pays only for what it needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clockwork_nb.session.options import PlanOptions
    from clockwork_nb.session.session import Session

__all__ = ["PlanOptions", "Session"]


def __getattr__(name: str) -> Any:
    if name == "Session":
        from clockwork_nb.session.session import Session

        return Session
    if name == "PlanOptions":
        from clockwork_nb.session.options import PlanOptions

        return PlanOptions
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
