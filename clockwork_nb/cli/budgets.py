"""``budget check`` and ``budget raise``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from clockwork_nb.arguments import budgets_of
from clockwork_nb.errors import BudgetExceededError, InvalidInputError
from clockwork_nb.session.jobs import Jobs

if TYPE_CHECKING:
    from clockwork_nb.cli.output import Output

__all__ = ["budget_check", "budget_raise"]


def budget_check(args: argparse.Namespace, out: Output) -> int:
    """Compare what a job used up with its limits, or with the given ones; changes nothing."""
    from clockwork_nb.render.job import budget_text

    document = Jobs().budget(args.job, limits=budgets_of(args))
    out.document(document)
    out.text(budget_text(document))
    over = document["exceeded"]
    if not over:
        return 0
    error = BudgetExceededError(
        f"over budget: {', '.join(over)}", hint=f"clockwork budget raise {args.job} --max-… LIMIT --reason TEXT"
    )
    out.error(error)
    return error.exit_code


def budget_raise(args: argparse.Namespace, out: Output) -> int:
    """Give a job larger limits."""
    limits = budgets_of(args)
    if not limits:
        raise InvalidInputError("which limit?", hint="For example: --max-step-count 20")
    document = Jobs().raise_budget(args.job, limits, reason=args.reason)
    out.document(document)
    for item in document["raised"]:
        out.text(f"{item['dimension']}: {item['before']} → {item['limit']}")
    out.text(f"Next      clockwork job resume {args.job}")
    return 0
