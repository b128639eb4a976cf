"""The environment fingerprint: which facts of the machine a job depends on, and what changed since it started.

The values are collected at the edge and handed in; nothing here looks at the machine. A secret-looking value (any
``env:NAME``) is given as a keyed digest by whoever collects it, never in clear.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from clockwork_nb.canonical import digest
from clockwork_nb.errors import EnvironmentMismatchError, InvalidInputError
from clockwork_nb.jobs.fields import clip
from clockwork_nb.patterns import pattern
from clockwork_nb.ports import Draft

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from clockwork_nb.jobs.model import JobState

__all__ = [
    "DEFAULT_RULES",
    "KEYED",
    "Difference",
    "captured_draft",
    "check_environment",
    "compare",
    "fingerprint",
    "fingerprint_hash",
    "normalize_rules",
    "override_draft",
    "rule_problem",
]

KEYED: Final = "hmac-sha256:"
"""What a value begins with that stands for a secret one: the digest under a key that never leaves the machine."""
DEFAULT_RULES: Final = ("arch", "os", "python")
_RULE: Final = pattern(
    r"os|arch|python|packages|cwd|hostname|git|notebook|env:[A-Za-z_][A-Za-z0-9_]{0,127}|file:[^\x00]{1,900}"
    r"|runtime:[a-z0-9][a-z0-9._-]{0,63}"
)
_KINDS: Final = (
    "os", "arch", "python", "packages", "cwd", "hostname", "git", "notebook", "env:NAME", "file:PATH", "runtime:NAME",
)  # fmt: skip


class Difference(Struct, frozen=True):
    """One rule whose value moved; None stands for a rule that one side does not have."""

    rule: str
    before: str | None
    after: str | None

    def __str__(self) -> str:
        """Return it like ``python: 3.11.7 -> 3.12.1``; a keyed digest says only that the value is another one."""
        if _is_keyed(self.before) and _is_keyed(self.after):
            return f"{self.rule}: another value"
        return f"{self.rule}: {_show(self.before)} -> {_show(self.after)}"


def normalize_rules(rules: Iterable[str]) -> tuple[str, ...]:
    """Return *rules* stripped, without duplicates, sorted; the default ones when there are none.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA for a rule that does not exist.
    """
    cleaned = sorted({rule.strip() for rule in rules})
    for rule in cleaned:
        if rule_problem(rule):
            raise InvalidInputError(f"{rule[:80]!r} is not a fingerprint rule", hint=rule_problem(rule))
    return tuple(cleaned) or DEFAULT_RULES


def rule_problem(rule: str) -> str:
    """Return why *rule* cannot be taken; empty when it can.

    >>> rule_problem("env:HOME"), rule_problem("pyhton")
    ('', 'rules: os, arch, python, packages, cwd, hostname, git, notebook, env:NAME, file:PATH, runtime:NAME')
    """
    return "" if _RULE.fullmatch(rule) else f"rules: {', '.join(_KINDS)}"


def fingerprint(rules: Iterable[str], values: Mapping[str, str]) -> list[dict[str, str]]:
    """Return the ``[{rule, value}]`` list of *rules*, sorted.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA: an unknown rule, or nobody collected its value.
    """
    wanted = normalize_rules(rules)
    for rule in wanted:
        if rule not in values:
            raise InvalidInputError(f"no value was collected for the fingerprint rule {rule!r}")
    return [{"rule": rule, "value": values[rule]} for rule in wanted]


def fingerprint_hash(rules: Sequence[Mapping[str, str]]) -> str:
    """Return the digest of a ``[{rule, value}]`` list; the order of the list does not matter."""
    return digest(sorted(({"rule": r["rule"], "value": r["value"]} for r in rules), key=lambda r: r["rule"]))


def compare(before: Sequence[Mapping[str, str]], after: Sequence[Mapping[str, str]]) -> list[Difference]:
    """Return what moved between two ``[{rule, value}]`` lists, by rule; empty when nothing did."""
    old = {item["rule"]: item["value"] for item in before}
    new = {item["rule"]: item["value"] for item in after}
    return [
        Difference(rule, old.get(rule), new.get(rule))
        for rule in sorted(old.keys() | new.keys())
        if old.get(rule) != new.get(rule)
    ]


def captured_draft(rules: list[dict[str, str]]) -> Draft:
    """Return the event that records the environment a job starts in."""
    return Draft("env.captured", {"rules": rules, "hash": fingerprint_hash(rules)})


def check_environment(
    state: JobState, current: Sequence[Mapping[str, str]], *, more: Mapping[str, Sequence[str]] | None = None
) -> None:
    """Return when *current* is the environment recorded in *state* (or none was recorded yet).

    *more* says of a rule whose value is a digest what differs behind it, line by line.

    Raises:
        EnvironmentMismatchError: E_ENV_FINGERPRINT_MISMATCH; the hint shows each difference, ``details`` has them too.
    """
    moved = compare(state.env_rules, current) if state.env_hash else []
    if not moved:
        return
    raise EnvironmentMismatchError(
        f"the environment of job {state.job_id} is not the one it started in: "
        f"{', '.join(difference.rule for difference in moved)} changed",
        hint="\n".join(
            [
                *(line for difference in moved for line in (str(difference), *(more or {}).get(difference.rule, ()))),
                "Resume where it started, or accept the change for one resume: --override-env --reason TEXT",
            ]
        ),
        details={
            "expected_hash": state.env_hash,
            "actual_hash": fingerprint_hash(current),
            "moved": [{"rule": d.rule, "before": d.before, "after": d.after} for d in moved],
        },
    )


def override_draft(state: JobState, current: list[dict[str, str]], *, by: str, reason: str) -> Draft:
    """Return the event that accepts *current* as the environment of this resume; the next one compares with the recorded.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA: nothing was recorded that could be overridden, or no reason is given.
    """
    if not state.env_hash:
        raise InvalidInputError(f"job {state.job_id} has no recorded environment to override")
    if not reason.strip():
        raise InvalidInputError("an environment override needs a reason", hint="Add --reason TEXT.")
    payload: dict[str, Any] = {
        "rules": current,
        "expected_hash": state.env_hash,
        "actual_hash": fingerprint_hash(current),
        "reason": clip(reason.strip(), 4096),
        "by": by,
        "once": True,
    }
    return Draft("env.override", payload)


def _is_keyed(value: str | None) -> bool:
    return value is not None and value.startswith(KEYED)


def _show(value: str | None) -> str:
    if value is None:
        return "(not recorded)"
    if _is_keyed(value):
        return "(a value)"
    return _DIGEST.sub(lambda found: found[0][:8], value) or "(empty)"


_DIGEST: Final = pattern(r"\b[0-9a-f]{40,64}\b")
