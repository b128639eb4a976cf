"""Every error class has its own documented code and the exit status of contracts.md."""

from __future__ import annotations

import inspect
import pickle

import pytest

from clockwork_nb import errors
from clockwork_nb.errors import ClockworkError

# The contract: code -> exit status. A line is never changed or removed.
CATALOGUE = {
    "E_GENERIC_FAILURE": 1, "E_ADAPTER_FAIL": 1, "E_INVALID_STATE_TRANSITION": 1,
    "E_VERIFY_HASH_MISMATCH": 2, "E_PACK_MALFORMED": 2, "E_PACK_UNSAFE_PATH": 2, "E_PACK_DUPLICATE": 2,
    "E_PACK_LIMIT": 2, "E_PACK_UNDECLARED": 2, "E_PACK_MISSING": 2, "E_MANIFEST_INVALID": 2, "E_SIG_INVALID": 2,
    "E_SIG_REQUIRED": 2, "E_SIG_UNTRUSTED": 2, "E_SIG_SUBJECT": 2, "E_CHAIN_BROKEN": 2,
    "E_EVIDENCE_INCONSISTENT": 2, "E_SIG_REVOKED": 2, "E_SIG_EXPIRED": 2, "E_PACK_NOT_FINAL": 2,
    "E_BUDGET_EXCEEDED": 3,
    "E_CHECKPOINT_APPROVAL_REQUIRED": 4, "E_APPROVAL_STALE": 4, "E_APPROVAL_DENIED": 4,
    "E_ACCEPT_MISSING_ARTIFACT": 5, "E_ACCEPT_TEST_FAIL": 5, "E_POLICY": 5,
    "E_INVALID_INPUT_SCHEMA": 6, "E_BUNDLE_SCHEMA": 6, "E_BUNDLE_MAPPING": 6, "E_BUNDLE_LIMIT": 6,
    "E_LEASE_CONFLICT": 7, "E_LEASE_LOST": 7, "E_STATE_LOCKED": 7,
    "E_UNSAFE_OPERATION": 8, "E_BUNDLE_PATH": 8, "E_BUNDLE_RUNTIME": 8, "E_UNSUPPORTED_FS": 8,
    "E_STEP_INTERRUPTED": 9,
    "E_STORE_CORRUPT": 10, "E_STORE_IO": 10, "E_STORE_FULL": 10, "E_JOB_LIMIT": 10,
    "E_ENV_FINGERPRINT_MISMATCH": 11, "E_TIMEOUT": 12, "E_PLAN_STALE": 13, "E_ARTIFACT_CHANGED": 13,
    "E_DRIFT": 14, "E_INTERRUPTED": 130, "E_TERMINATED": 143,
}  # fmt: skip


def classes() -> list[type[ClockworkError]]:
    return [c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, ClockworkError)]


@pytest.mark.parametrize("cls", classes(), ids=lambda c: c.__name__)
def test_class_is_in_the_catalogue(cls: type[ClockworkError]) -> None:
    assert CATALOGUE[cls.code] == cls.exit_code
    assert cls.__doc__


def test_every_code_has_a_class() -> None:
    assert {c.code for c in classes()} == set(CATALOGUE)


@pytest.mark.parametrize("cls", classes(), ids=lambda c: c.__name__)
def test_error_survives_a_process_boundary(cls: type[ClockworkError]) -> None:
    error = cls("what is wrong", hint="what to do", details={"n": 1})
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is cls
    assert again.to_dict() == error.to_dict()
    assert again.to_dict()["code"] == cls.code
