"""The public test kit: a clock to turn by hand, a job in memory, a disk that loses power, a disk that fails on demand."""

from __future__ import annotations

from clockwork_nb.testing.clock import ManualClock
from clockwork_nb.testing.crashfs import CrashFs
from clockwork_nb.testing.faults import Fault, FaultFs, FaultPlan
from clockwork_nb.testing.memory import MemoryJob

__all__ = ["CrashFs", "Fault", "FaultFs", "FaultPlan", "ManualClock", "MemoryJob"]
