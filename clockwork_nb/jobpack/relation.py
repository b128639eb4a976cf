"""How two packs of one job stand to each other, by what no single pack can show: the other one's count and head.

A key holder can tell two stories to people who never compare. What was seen once, kept by whoever saw it, is the only
thing that shows it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, Literal

from msgspec import Struct

from clockwork_nb.jobpack.history import History

__all__ = ["BAD_RELATIONS", "KnownHead", "Relation", "relation_of", "relation_to_all"]

Relation = Literal["", "same", "extends", "older", "forked", "other job"]
"""Empty: nothing is known to compare with. ``forked``: neither log is the beginning of the other."""

BAD_RELATIONS: Final[frozenset[Relation]] = frozenset({"older", "forked"})


class KnownHead(Struct, frozen=True):
    """What is remembered of a pack: whose log it was, how many events, the hash of the last one, and the manifest's."""

    job_id: str
    genesis: str
    count: int
    head: str
    manifest: str = ""


def relation_of(genesis: str, count: int, hash_at: Callable[[int], str], known: KnownHead) -> Relation:
    """Return how the log with *genesis* and *count* events stands to the *known* one.

    *hash_at* returns the hash of event 1 to *count*. A shorter log than the known one is ``older``: whether it is really
    its beginning cannot be seen from here.
    """
    if genesis != known.genesis:
        return "other job"
    if count < known.count:
        return "older"
    if known.count and hash_at(known.count) != known.head:
        return "forked"
    return "same" if count == known.count else "extends"


def relation_to_all(
    history: History, hash_at: Callable[[int], str], known: Iterable[KnownHead]
) -> tuple[Relation, KnownHead | None]:
    """Return how *history* stands to everything *known* of its job, and to which of them: the worst relation wins.

    A log with this job's id and another beginning is a fork, too: it was rewritten from its first event on.
    """
    genesis = str(history.genesis["genesis"])
    found: dict[Relation, KnownHead] = {}
    for head in known:
        if head.job_id != history.job_id:
            continue
        relation = relation_of(genesis, history.count, hash_at, head)
        found["forked" if relation == "other job" else relation] = head
    for worst in _WORST_FIRST:
        if worst in found:
            return worst, found[worst]
    return "", None


_WORST_FIRST: Final[tuple[Relation, ...]] = ("forked", "older", "same", "extends")
