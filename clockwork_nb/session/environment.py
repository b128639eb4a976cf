"""The facts an environment fingerprint is made of, read from this machine."""

from __future__ import annotations

import platform
import sys

__all__ = ["collect"]


def collect() -> list[dict[str, str]]:
    """Return the default rules with this machine's values, sorted by rule: arch, os, python."""
    return [
        {"rule": "arch", "value": platform.machine()},
        {"rule": "os", "value": sys.platform},
        {"rule": "python", "value": f"{sys.version_info.major}.{sys.version_info.minor}"},
    ]
