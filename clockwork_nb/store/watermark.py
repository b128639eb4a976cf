"""How far a job's log is known to be on the disk."""

from __future__ import annotations

from msgspec import Struct

__all__ = ["Watermark"]


class Watermark(Struct, frozen=True):
    """A record that is known to have been durable: its seq and hash; seq 0 knows nothing."""

    seq: int = 0
    hash: str = ""
