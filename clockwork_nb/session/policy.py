"""The operator's policy as a session obeys it: which tier, which runtimes, what needs no person."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clockwork_nb.errors import InvalidInputError, UnsafeOperationError
from clockwork_nb.policy import POLICY_NAME, Policy, read_policy, strongest

if TYPE_CHECKING:
    from collections.abc import Collection

    from clockwork_nb.forge.bundle import Bundle
    from clockwork_nb.forge.confinement import Confinement
    from clockwork_nb.settings import Settings

__all__ = ["approving_reason", "operator_policy", "refuse_runtimes", "tier_for", "unasked_words"]


def operator_policy(settings: Settings) -> Policy:
    """Return the policy of whoever runs this, as it is in the file now.

    Raises:
        UnsafeOperationError: others may write the file.
        InvalidInputError: it says something that is not known.
    """
    policy = read_policy(settings.config / POLICY_NAME)
    if policy.runtimes is not None:
        from clockwork_nb.forge.runtimes import RUNTIMES

        unknown = sorted(policy.runtimes - RUNTIMES.keys())
        if unknown:
            raise InvalidInputError(
                f"{policy.source}: runtimes has {unknown[0][:80]!r}, not one of {', '.join(RUNTIMES)}",
                details={"key": "runtimes"},
            )
    return policy


def tier_for(settings: Settings, policy: Policy, *demands: str) -> Confinement:
    """Return the tier that steps run under: the strongest that the policy, ``CW_CONFINEMENT`` and *demands* ask for.

    Raises:
        UnsafeOperationError: E_UNSAFE_OPERATION, this machine offers less; with the probe's reason.
        InvalidInputError: one of them is no tier.
    """
    from clockwork_nb.forge.tiers import choose

    return choose(strongest(policy.require_confinement, settings.confinement, *demands))


def refuse_runtimes(policy: Policy, bundle: Bundle) -> None:
    """Return when *bundle* uses only runtimes that the policy allows.

    Raises:
        UnsafeOperationError: E_UNSAFE_OPERATION, with every step that uses another.
    """
    if policy.runtimes is None:
        return
    refused = [s for s in bundle.steps if s.interpreter and s.cmd[0] not in policy.runtimes]
    if refused:
        more = f" (and {len(refused) - 1} more)" if len(refused) > 1 else ""
        raise UnsafeOperationError(
            f"the operator's policy does not allow the runtime {refused[0].cmd[0]}, which {refused[0].id} uses{more}",
            hint=f"Allowed by {policy.source}: {', '.join(sorted(policy.runtimes))}.",
            details={"steps": [s.id for s in refused[:200]], "runtimes": sorted({s.cmd[0] for s in refused})},
        )


def unasked_words(policy: Policy) -> str:
    """Return which plans *policy* approves in a person's stead, for people; ``""`` when it approves none."""
    if not policy.auto_approve:
        return ""
    return f"plans without a risk class, or with no other than {', '.join(sorted(policy.auto_approve))}"


def approving_reason(
    policy: Policy, risks: Collection[str], *, edited: Collection[str] = (), flags: Collection[str] = ()
) -> str:
    """Return why the policy approves a plan with these risk classes; ``""`` when a person has to.

    What a plan without any class does is less than what any class stands for, so every list but the empty one covers it.
    A plan with *edited* scripts, or with scripts whose content was flagged, always needs a person: the risk classes say
    what the declared change does, not what somebody wrote into a script.
    """
    if not policy.auto_approve or edited or flags or not policy.auto_approve.issuperset(risks):
        return ""
    covered = ", ".join(sorted(risks)) or "no risk class"
    return f"auto_approve of {POLICY_NAME} covers it: {covered}"
