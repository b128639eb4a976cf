"""What killed runs left running: found, reported and ended before anything new starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clockwork_nb.errors import ClockworkError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from clockwork_nb.forge.orphans import Orphan
    from clockwork_nb.store.files import JobStore

__all__ = ["clear_orphans", "over_in", "words_for"]

_NAMED = 5


def over_in(store: JobStore) -> Callable[[str, int], bool]:
    """Return a function that tells whether a run of a job of *store*, by its epoch, is known to be over.

    It is when a later epoch was taken, when it gave its lease back, or when its process on this machine is gone. Of a
    job that *store* does not have nothing is known, so its run counts as going on.
    """
    from clockwork_nb.store.lease import lives, read_lease, this_process

    here = this_process()

    def is_over(job: str, epoch: int) -> bool:
        try:
            lease = read_lease(store.folder(job) / "lease.json")
        except (ClockworkError, OSError):
            return False
        if lease.epoch != epoch:
            return lease.epoch > epoch
        return lease.state != "held" or (lease.holder.same_boot(here) and not lives(lease.holder, here))

    return is_over


def clear_orphans(store: JobStore) -> tuple[list[Orphan], list[Orphan]]:
    """End what runs of *store* that are over left running; return what was found, and what is still there after all.

    Only processes that carry such a run's own mark are touched.
    """
    from clockwork_nb.forge.orphans import end_orphans, find_orphans

    found = find_orphans(over_in(store))
    ended = end_orphans(found) if found else []
    return found, [o for o in found if o not in ended]


def words_for(found: Sequence[Orphan], left: Sequence[Orphan]) -> str:
    """Return the sentence that reports them; ``""`` when nothing was found."""
    if not found:
        return ""
    named = ", ".join(f"{o.name or 'process'} ({o.pid}, job {o.job})" for o in found[:_NAMED])
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    what = "process" if len(found) == 1 else "processes"
    still = f"; {len(left)} could not be ended" if left else ""
    return f"ended {len(found)} {what} that a killed run had left running: {named}{more}{still}"
