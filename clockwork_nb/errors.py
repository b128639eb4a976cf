"""The exception tree: every error of this package has a stable code and the exit status that goes with it.

Authors' mistakes in ``.cw`` text are diagnostics (`clockwork_nb.diagnostics`) carried by `ConfigurationError`;
everything a caller can do wrong, or the world can do to us, is one of these classes. No code ever changes meaning.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clockwork_nb.diagnostics import Diagnostic, SourceRange

__all__ = [
    "AcceptMissingArtifactError",
    "AcceptTestError",
    "AdapterFailedError",
    "ApprovalDeniedError",
    "ApprovalRequiredError",
    "ApprovalStaleError",
    "ArtifactChangedError",
    "BudgetExceededError",
    "BundleError",
    "BundleLimitError",
    "BundleMappingError",
    "BundlePathError",
    "BundleRuntimeError",
    "BundleSchemaError",
    "ChainBrokenError",
    "ClockworkError",
    "ConfigurationError",
    "DriftFoundError",
    "EnvironmentMismatchError",
    "EvidenceInconsistentError",
    "HashMismatchError",
    "InterruptedByUserError",
    "InvalidInputError",
    "InvalidTransitionError",
    "JobLimitError",
    "LeaseConflictError",
    "LeaseLostError",
    "ManifestInvalidError",
    "PackDuplicateError",
    "PackError",
    "PackLimitError",
    "PackMalformedError",
    "PackMissingError",
    "PackNotFinalError",
    "PackUndeclaredError",
    "PackUnsafePathError",
    "PlanStaleError",
    "PolicyError",
    "SignatureExpiredError",
    "SignatureInvalidError",
    "SignatureRequiredError",
    "SignatureRevokedError",
    "SignatureSubjectError",
    "SignatureUntrustedError",
    "StateLockedError",
    "StepInterruptedError",
    "StepTimeoutError",
    "StoreCorruptError",
    "StoreFullError",
    "StoreIOError",
    "TerminatedError",
    "UnsafeOperationError",
    "UnsupportedFileSystemError",
]


class ClockworkError(Exception):
    """An error with a stable code.

    Args:
        message: one sentence, what is wrong.
        hint: what to do next; may be empty.
        source: where in the author's text, if there is such a place.
        diagnostics: all findings, when there are several.
        details: JSON-safe facts for machines.
    """

    code: ClassVar[str] = "E_GENERIC_FAILURE"
    exit_code: ClassVar[int] = 1
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        source: SourceRange | None = None,
        diagnostics: Sequence[Diagnostic] = (),
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.source = source
        self.diagnostics = tuple(diagnostics)
        self.details: dict[str, Any] = dict(details or {})

    def __reduce__(self) -> tuple[Any, ...]:
        """Keep every field when an error crosses a process boundary."""
        return (_rebuild, (type(self), self.message, self.hint, self.source, self.diagnostics, self.details))

    def to_dict(self) -> dict[str, Any]:
        """Return the machine form: code, message, hint, exit code, details and diagnostics."""
        out: dict[str, Any] = {"code": self.code, "message": self.message, "exit_code": self.exit_code}
        if self.hint:
            out["hint"] = self.hint
        if self.source is not None:
            out["source"] = self.source.to_dict()
        details = dict(self.details)
        if self.diagnostics:
            details["diagnostics"] = [d.to_dict() for d in self.diagnostics]
        out["details"] = details
        return out

    def text_lines(self, columns: int = 120) -> list[str]:
        """Return what a person reads: the diagnostics with their carets, in *columns* columns, else one line; the hint."""
        lines: list[str] = []
        if self.diagnostics:
            from clockwork_nb.render.diagnostics import render_text

            lines += render_text(self.diagnostics, columns=columns).splitlines()
            lines += ["", self.message]
        else:
            lines.append(f"error: {self.message}  [{self.code}]")
            if self.source is not None:
                lines.append(f"  {self.source}")
        if self.hint:
            lines += [f"  {line}" for line in self.hint.splitlines()]
        return lines

    def _render_traceback_(self) -> list[str]:
        """Show our own errors in a notebook without a traceback (IPython calls this)."""
        return self.text_lines()


def _rebuild(
    cls: type[ClockworkError],
    message: str,
    hint: str,
    source: SourceRange | None,
    diagnostics: tuple[Diagnostic, ...],
    details: dict[str, Any],
) -> ClockworkError:
    return cls(message, hint=hint, source=source, diagnostics=diagnostics, details=details)


# --- 1: general -------------------------------------------------------------------------------------------------


class AdapterFailedError(ClockworkError):
    """A step ran and failed."""

    code = "E_ADAPTER_FAIL"


class InvalidTransitionError(ClockworkError):
    """The job's state does not allow this."""

    code = "E_INVALID_STATE_TRANSITION"


# --- 2: not verified --------------------------------------------------------------------------------------------


class PackError(ClockworkError):
    """A pack that must not be relied on."""

    code = "E_PACK_MALFORMED"
    exit_code = 2


class PackMalformedError(PackError):
    """The archive is not laid out as a jobpack."""


class PackUnsafePathError(PackError):
    """An entry name that could leave the folder or mean two things."""

    code = "E_PACK_UNSAFE_PATH"


class PackDuplicateError(PackError):
    """Two entries share a name."""

    code = "E_PACK_DUPLICATE"


class PackLimitError(PackError):
    """The archive is larger than a jobpack may be."""

    code = "E_PACK_LIMIT"


class PackUndeclaredError(PackError):
    """An entry nobody declared."""

    code = "E_PACK_UNDECLARED"


class PackMissingError(PackError):
    """A declared entry is not there."""

    code = "E_PACK_MISSING"


class HashMismatchError(PackError):
    """A file does not have the content that was declared."""

    code = "E_VERIFY_HASH_MISMATCH"


class ManifestInvalidError(PackError):
    """The manifest is not the one this pack must have."""

    code = "E_MANIFEST_INVALID"


class SignatureInvalidError(PackError):
    """The signature does not fit."""

    code = "E_SIG_INVALID"


class SignatureRequiredError(PackError):
    """A signature was asked for and there is none."""

    code = "E_SIG_REQUIRED"


class SignatureUntrustedError(PackError):
    """Signed by a key that is not trusted here."""

    code = "E_SIG_UNTRUSTED"


class SignatureSubjectError(PackError):
    """The statement speaks about other files than this pack has."""

    code = "E_SIG_SUBJECT"


class SignatureRevokedError(PackError):
    """Signed by a key that was revoked here."""

    code = "E_SIG_REVOKED"


class SignatureExpiredError(PackError):
    """Signed by a key that is trusted here at other times only."""

    code = "E_SIG_EXPIRED"


class PackNotFinalError(PackError):
    """The pack of a finished job was asked for, and this job goes on."""

    code = "E_PACK_NOT_FINAL"


class ChainBrokenError(PackError):
    """The event chain has a gap or an edited record."""

    code = "E_CHAIN_BROKEN"


class EvidenceInconsistentError(PackError):
    """Two pieces of evidence contradict each other."""

    code = "E_EVIDENCE_INCONSISTENT"


# --- 3 to 5 -----------------------------------------------------------------------------------------------------


class BudgetExceededError(ClockworkError):
    """A budget of the job is used up."""

    code = "E_BUDGET_EXCEEDED"
    exit_code = 3


class ApprovalRequiredError(ClockworkError):
    """The run stopped at a decision that nobody has recorded yet."""

    code = "E_CHECKPOINT_APPROVAL_REQUIRED"
    exit_code = 4

    def text_lines(self, columns: int = 120) -> list[str]:
        """Return the question as it is: waiting is no mistake."""
        if type(self) is not ApprovalRequiredError:
            return super().text_lines(columns)
        return [self.message, *self.hint.splitlines()]


class ApprovalStaleError(ApprovalRequiredError):
    """What was approved is not what would run now."""

    code = "E_APPROVAL_STALE"


class ApprovalDeniedError(ApprovalRequiredError):
    """Somebody said no."""

    code = "E_APPROVAL_DENIED"


class AcceptMissingArtifactError(ClockworkError):
    """An expected artifact is missing."""

    code = "E_ACCEPT_MISSING_ARTIFACT"
    exit_code = 5


class AcceptTestError(ClockworkError):
    """A check did not hold."""

    code = "E_ACCEPT_TEST_FAIL"
    exit_code = 5


class PolicyError(ClockworkError):
    """A policy that was asked for is not met."""

    code = "E_POLICY"
    exit_code = 5


# --- 6: input ---------------------------------------------------------------------------------------------------


class InvalidInputError(ClockworkError):
    """Bad flags, an unknown id, a file that is not what it should be."""

    code = "E_INVALID_INPUT_SCHEMA"
    exit_code = 6


class ConfigurationError(InvalidInputError):
    """The ``.cw`` text has mistakes; they are in ``diagnostics``."""


class BundleError(ClockworkError):
    """An artifact bundle that must not run; every finding is in ``details["findings"]``."""

    code = "E_BUNDLE_SCHEMA"
    exit_code = 6


class BundleSchemaError(BundleError):
    """The bundle does not have the shape of a bundle."""


class BundleMappingError(BundleError):
    """Steps of the bundle and actions of the plan are not one to one."""

    code = "E_BUNDLE_MAPPING"


class BundleLimitError(BundleError):
    """The bundle is larger than a bundle may be."""

    code = "E_BUNDLE_LIMIT"


# --- 7: owned by somebody else ----------------------------------------------------------------------------------


class LeaseConflictError(ClockworkError):
    """Another process owns the job."""

    code = "E_LEASE_CONFLICT"
    exit_code = 7
    retryable = True


class LeaseLostError(ClockworkError):
    """Another process took the job over; nothing more may be written."""

    code = "E_LEASE_LOST"
    exit_code = 7


class StateLockedError(ClockworkError):
    """Another process holds the workspace's state."""

    code = "E_STATE_LOCKED"
    exit_code = 7
    retryable = True


# --- 8: unsafe --------------------------------------------------------------------------------------------------


class UnsafeOperationError(ClockworkError):
    """What was asked would be unsafe without more consent."""

    code = "E_UNSAFE_OPERATION"
    exit_code = 8


class BundlePathError(BundleError):
    """An artifact would be written outside the build folder."""

    code = "E_BUNDLE_PATH"
    exit_code = 8


class BundleRuntimeError(BundleError):
    """A step would be started by something that is not allowed."""

    code = "E_BUNDLE_RUNTIME"
    exit_code = 8


class UnsupportedFileSystemError(ClockworkError):
    """The file system cannot keep our promises."""

    code = "E_UNSUPPORTED_FS"
    exit_code = 8


# --- 9 to 14 ----------------------------------------------------------------------------------------------------


class StepInterruptedError(ClockworkError):
    """A step was running when its process died; it is not known what it did."""

    code = "E_STEP_INTERRUPTED"
    exit_code = 9


class StoreCorruptError(ClockworkError):
    """The event log is damaged; nothing was run and nothing was rewritten."""

    code = "E_STORE_CORRUPT"
    exit_code = 10


class StoreIOError(ClockworkError):
    """A durable write failed; the handle refuses all further writes."""

    code = "E_STORE_IO"
    exit_code = 10


class StoreFullError(StoreIOError):
    """No space is left for a durable write."""

    code = "E_STORE_FULL"


class JobLimitError(ClockworkError):
    """The job's log is at its limit."""

    code = "E_JOB_LIMIT"
    exit_code = 10


class EnvironmentMismatchError(ClockworkError):
    """The machine is not the one the job started on."""

    code = "E_ENV_FINGERPRINT_MISMATCH"
    exit_code = 11


class StepTimeoutError(ClockworkError):
    """A step or the run took longer than allowed."""

    code = "E_TIMEOUT"
    exit_code = 12


class PlanStaleError(ClockworkError):
    """A saved plan no longer fits; what moved is in ``details``."""

    code = "E_PLAN_STALE"
    exit_code = 13


class ArtifactChangedError(ClockworkError):
    """A script on disk is not the one that was approved or generated."""

    code = "E_ARTIFACT_CHANGED"
    exit_code = 13


class DriftFoundError(ClockworkError):
    """Something was changed outside."""

    code = "E_DRIFT"
    exit_code = 14


class InterruptedByUserError(ClockworkError):
    """The person stopped the run; what was finished is saved."""

    code = "E_INTERRUPTED"
    exit_code = 130


class TerminatedError(InterruptedByUserError):
    """The system ended the run with SIGTERM; what was finished is saved."""

    code = "E_TERMINATED"
    exit_code = 143
