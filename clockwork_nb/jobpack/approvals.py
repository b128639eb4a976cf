"""The signatures that approvals carry: each must fit what the approval says; whose they are is the reader's trust."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from clockwork_nb.jobpack.report import Signer
from clockwork_nb.jobs.approval_signature import signer_of

if TYPE_CHECKING:
    from clockwork_nb.jobpack.history import History
    from clockwork_nb.signing import PublicKey, Standing

__all__ = ["check_approval_signatures"]


def check_approval_signatures(
    history: History, standing_of: Callable[[PublicKey, datetime], Standing]
) -> dict[str, tuple[Signer, ...]]:
    """Return approval id → who signed it, in log order; approvals that nobody signed are not in it.

    An unknown key is told as such and is no failure: an approval counts by the pack's own signature.

    Raises:
        SignatureInvalidError: E_SIG_INVALID: a signature does not fit its approval.
    """
    found: dict[str, tuple[Signer, ...]] = {}
    for approval in history.approvals.values():
        for payload, at in approval.granted:
            key = signer_of(payload, history.job_id)
            if key is None:
                continue
            standing = standing_of(key, datetime.fromisoformat(at))
            name = standing.name if standing.status == "trusted" else ""
            signer = Signer(key.fingerprint, name, standing.status)
            found[approval.approval_id] = (*found.get(approval.approval_id, ()), signer)
    return found
