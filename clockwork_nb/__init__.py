"""Clockwork NB: a notebook becomes a runbook you can trust.

``%load_ext clockwork_nb`` in a notebook, ``clockwork`` on the command line, `Session` in Python: one engine.
Importing this package loads no Jupyter module and nothing heavy; the names below arrive when they are used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["ClockworkError", "Session", "__version__", "load_ipython_extension", "unload_ipython_extension"]

if TYPE_CHECKING:
    from clockwork_nb.errors import ClockworkError
    from clockwork_nb.session import Session


def __getattr__(name: str) -> Any:
    if name == "Session":
        from clockwork_nb.session import Session

        return Session
    if name == "ClockworkError":
        from clockwork_nb.errors import ClockworkError

        return ClockworkError
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def load_ipython_extension(ipython: Any) -> None:
    """Register the ``%cw_…`` magics (called by ``%load_ext clockwork_nb``)."""
    from clockwork_nb.magics import load_ipython_extension as load

    load(ipython)


def unload_ipython_extension(ipython: Any) -> None:
    """Take the magics away again (called by ``%unload_ext clockwork_nb``)."""
    from clockwork_nb.magics import unload_ipython_extension as unload

    unload(ipython)
