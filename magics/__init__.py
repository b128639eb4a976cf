"""The notebook surface: ``%load_ext clockwork_nb`` and the ``%cw_…`` magics."""

from __future__ import annotations

from typing import Any

__all__ = ["load_ipython_extension", "unload_ipython_extension"]


def load_ipython_extension(ipython: Any) -> None:
    """Register the magics in *ipython* and print one line: version, workspace, confinement.

    Loading twice keeps the cells that were run.
    """
    from clockwork_nb.magics._extension import load

    load(ipython)


def unload_ipython_extension(ipython: Any) -> None:
    """Take the magics, the input transformer and the completion out of *ipython* again; harmless when not loaded."""
    from clockwork_nb.magics._extension import unload

    unload(ipython)
