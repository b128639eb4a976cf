"""Flags of ``doctor``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clockwork_nb.cli.verbs import add_json

if TYPE_CHECKING:
    from clockwork_nb.cli.verbs import Verbs

__all__ = ["add"]


def add(verbs: Verbs) -> None:
    """Add the verb to *verbs*."""
    text = "say what this machine offers and where things are"
    verbs.add("doctor", text, add_json, module="clockwork_nb.cli.machine", description=text)
