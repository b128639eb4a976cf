"""What ``job resume`` does about a job that somebody runs (refuse, wait, or replace the owner) or that began elsewhere."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from clockwork_nb.cli.signals import Terminated
from clockwork_nb.errors import InvalidInputError
from clockwork_nb.session.environment import Override
from clockwork_nb.session.runs import Claim
from clockwork_nb.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from clockwork_nb.cli.output import Output
    from clockwork_nb.cli.signals import Stop
    from clockwork_nb.store.files import Waiting

__all__ = ["claim_of"]


def claim_of(args: argparse.Namespace, out: Output, *, stop: Stop | None = None) -> Claim:
    """Return what parsed *args* ask for. *stop* ends the waiting where signals do not by themselves.

    Raises:
        InvalidInputError: a take-over or an override without a reason.
    """
    from clockwork_nb.store.files import TakeOver

    return Claim(
        take_over=TakeOver(load_settings().user, args.reason) if args.take_over else None,
        wait_s=float("inf") if args.wait else 0.0,
        on_wait=_notes(out, stop),
        override=_override(args),
    )


def _override(args: argparse.Namespace) -> Override | None:
    if not args.override_env:
        return None
    if not args.reason.strip():
        raise InvalidInputError("going on in another environment needs a reason", hint="Add --reason TEXT.")
    return Override(load_settings().user, args.reason)


def _notes(out: Output, stop: Stop | None) -> Callable[[Waiting], None]:
    told = ""

    def on_wait(seen: Waiting) -> None:
        nonlocal told
        if stop is not None and stop.is_set():
            raise Terminated if stop.terminated else KeyboardInterrupt
        who = f"waiting for {seen.holder}"
        if seen.limit_s:
            who += f", until it ends or shows no heartbeat for {seen.limit_s:g} s"
        if who != told:
            told = who
            out.note(who)

    return on_wait
