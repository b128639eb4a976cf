"""Flags of ``doctor``."""

from __future__ import annotations

import argparse
from typing import Any

__all__ = ["add"]


def add(verbs: Any) -> None:
    """Add the verb to *verbs*."""
    text = "say what this machine offers and where things are"
    parser: argparse.ArgumentParser = verbs.add_parser("doctor", help=text, description=text)
    parser.set_defaults(module="clockwork_nb.cli.machine", run="doctor")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
