"""Budgets of a job: what may be used up, what was, and the comparison.

A limit above zero counts and is broken when the usage is strictly greater; zero or absent means no limit. Wall time is
the time the job was really running, from a monotonic clock, so waiting for a decision costs nothing.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from clockwork_nb.errors import InvalidInputError
from clockwork_nb.jobs.events import DIMENSIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clockwork_nb.ports import Draft

__all__ = ["SPEC_KEYS", "Counters", "Excess", "charge", "exceeded", "exceeded_draft", "limits_from_spec"]

SPEC_KEYS: Final = {
    "max_wall_time_seconds": "wall_time_seconds",
    "max_step_count": "step_count",
    "max_retries": "retry_count",
    "max_tool_calls": "tool_call_count",
    "max_tokens": "tokens",
    "max_estimated_cost": "cost",
}
"""Key of a job spec's ``budgets`` → dimension."""


class Counters(Struct, frozen=True):
    """What was used so far, absolute. ``active_ms`` in milliseconds, ``cost`` a decimal number in text."""

    retry_count: int = 0
    step_count: int = 0
    tool_call_count: int = 0
    active_ms: int = 0
    tokens: int = 0
    cost: str = "0"

    def used(self, dimension: str) -> Decimal:
        """Return the usage in the unit of the dimension's limit (wall time in seconds)."""
        if dimension == "wall_time_seconds":
            return Decimal(self.active_ms) / 1000
        return Decimal(getattr(self, dimension))

    def to_payload(self) -> dict[str, Any]:
        """Return the payload of ``budget.charged``."""
        return {
            "retry_count": self.retry_count,
            "step_count": self.step_count,
            "tool_call_count": self.tool_call_count,
            "active_ms": self.active_ms,
            "tokens": self.tokens,
            "cost": self.cost,
        }


class Excess(Struct, frozen=True):
    """One limit that is broken; both numbers are decimal text in the dimension's unit."""

    dimension: str
    limit: str
    used: str

    def __str__(self) -> str:
        """Return it like ``step_count 12 > 10``."""
        return f"{self.dimension} {self.used} > {self.limit}"

    @property
    def flag(self) -> str:
        """The flag that sets this limit on a command line, like ``--max-step-count``."""
        key = next(key for key, dimension in SPEC_KEYS.items() if dimension == self.dimension)
        return f"--{key.replace('_', '-')}"


def limits_from_spec(spec: Mapping[str, Any]) -> dict[str, str]:
    """Return dimension → limit from the ``budgets`` of a job spec; limits of zero are left out.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA for an unknown key or a value that is no number of at least zero.
    """
    budgets = spec.get("budgets", {})
    if not isinstance(budgets, dict):
        raise InvalidInputError("budgets must be an object", hint=f"Its keys are {', '.join(SPEC_KEYS)}.")
    limits: dict[str, str] = {}
    for key, value in budgets.items():
        dimension = SPEC_KEYS.get(key)
        if dimension is None:
            raise InvalidInputError(f"budgets has the unknown key {key!r}", hint=f"Known: {', '.join(SPEC_KEYS)}.")
        number = _number(value)
        if number is None or (dimension != "cost" and number != number.to_integral_value()):
            raise InvalidInputError(f"budgets.{key} must be a number of at least 0, not {value!r}")
        if number > 0:
            limits[dimension] = _text(number)
    return limits


def charge(counters: Counters, *, cost: str = "0", **more: int) -> Counters:
    """Return *counters* with *more* added to the named fields and *cost* to the cost.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA for an unknown name or a negative amount.
    """
    values = counters.to_payload()
    for name, amount in more.items():
        if name not in values or name == "cost" or amount < 0:
            raise InvalidInputError(f"{amount} of {name!r} cannot be charged to a budget")
        values[name] += amount
    if cost != "0":  # what most charges are
        extra = _number(cost)
        if extra is None:
            raise InvalidInputError(f"{cost!r} is not an amount of money")
        values["cost"] = _text(Decimal(counters.cost) + extra)
    return Counters(**values)


def exceeded(counters: Counters, limits: Mapping[str, str]) -> list[Excess]:
    """Return every broken limit, in the order of the dimensions."""
    found = []
    for dimension in DIMENSIONS:
        limit = limits.get(dimension)
        if limit is None or not Decimal(limit):
            continue
        used = counters.used(dimension)
        if used > Decimal(limit):
            found.append(Excess(dimension, limit, _text(used)))
    return found


def exceeded_draft(excess: Excess) -> Draft:
    """Return the event that says a limit is broken."""
    from clockwork_nb.ports import Draft

    return Draft("budget.exceeded", {"dimension": excess.dimension, "limit": excess.limit, "used": excess.used})


def _number(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str, Decimal)):
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() and 0 <= number < 10**15 else None


def _text(number: Decimal) -> str:
    # Plain digits, no exponent, at most nine places: the AMOUNT form of the events.
    text = format(round(number, 9), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
