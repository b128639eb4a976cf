"""The Wrkr v1 contract files as one table of fields: the checks and the published JSON Schemas both come from it.

Field rules are those of Wrkr's own schemas (draft 2020-12, closed at the top, four envelope fields everywhere).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from clockwork_nb.jobs.events import STATUSES
from clockwork_nb.jobs.fields import FLAG, HEX, Choice, EventInvalidError, FieldType, Optional, Pattern, Record

__all__ = ["CONTRACT", "MANIFEST_RECORD", "json_schemas"]


class Chars(Struct, frozen=True):
    """Text of *least* to *most* characters (code points); ``most`` 0 means any length."""

    least: int = 0
    most: int = 0

    def check(self, value: Any, where: str) -> None:
        """See `clockwork_nb.jobs.fields.FieldType.check`."""
        if type(value) is not str:
            raise EventInvalidError(f"{where} must be text")
        if len(value) < self.least:
            raise EventInvalidError(f"{where} must not be empty")
        if self.most and len(value) > self.most:
            raise EventInvalidError(f"{where} has {len(value)} characters, more than {self.most}")

    def schema(self) -> dict[str, Any]:
        """See `clockwork_nb.jobs.fields.FieldType.schema`."""
        out: dict[str, Any] = {"type": "string"}
        if self.least:
            out["minLength"] = self.least
        if self.most:
            out["maxLength"] = self.most
        return out


class Natural(Struct, frozen=True):
    """An integer from 0 on. JSON's ``1.0`` is refused: canonical JSON has no such spelling."""

    def check(self, value: Any, where: str) -> None:
        """See `clockwork_nb.jobs.fields.FieldType.check`."""
        if type(value) is not int or value < 0:
            raise EventInvalidError(f"{where} must be an integer from 0 on")

    def schema(self) -> dict[str, Any]:
        """See `clockwork_nb.jobs.fields.FieldType.schema`."""
        return {"type": "integer", "minimum": 0}


class Open(Struct, frozen=True):
    """Any JSON object."""

    def check(self, value: Any, where: str) -> None:
        """See `clockwork_nb.jobs.fields.FieldType.check`."""
        if type(value) is not dict:
            raise EventInvalidError(f"{where} must be an object")

    def schema(self) -> dict[str, Any]:
        """See `clockwork_nb.jobs.fields.FieldType.schema`."""
        return {"type": "object"}


class Many(Struct, frozen=True):
    """A list of any length."""

    of: FieldType

    def check(self, value: Any, where: str) -> None:
        """See `clockwork_nb.jobs.fields.FieldType.check`."""
        if type(value) is not list:
            raise EventInvalidError(f"{where} must be a list")
        for index, item in enumerate(value):
            self.of.check(item, f"{where}[{index}]")

    def schema(self) -> dict[str, Any]:
        """See `clockwork_nb.jobs.fields.FieldType.schema`."""
        return {"type": "array", "items": self.of.schema()}


_ANY: Final = Chars()
_SOME: Final = Chars(1)
_NATURAL: Final = Natural()
_VERSION: Final = Pattern(r"v1(?:\.[0-9]+)?", "v1 or v1.N")
_COUNTERS: Final = ("wall_time_seconds", "retry_count", "step_count", "tool_call_count")


def _contract(schema_id: str, **fields: FieldType | Optional) -> Record:
    return Record(
        schema_id=Choice(schema_id), schema_version=_VERSION, created_at=_SOME, producer_version=_SOME, **fields
    )


CONTRACT: Final[Mapping[str, Record]] = {
    "wrkr.jobpack_manifest": _contract(
        "wrkr.jobpack_manifest",
        job_id=_SOME,
        manifest_sha256=HEX,
        files=Many(Record(path=_SOME, sha256=HEX)),
    ),
    "wrkr.job": _contract("wrkr.job", job_id=_SOME, name=_SOME, status=_SOME, budgets=Open()),
    "wrkr.event": _contract("wrkr.event", event_id=_SOME, job_id=_SOME, type=_SOME, executed=FLAG, payload=Open()),
    "wrkr.checkpoint": _contract(
        "wrkr.checkpoint",
        checkpoint_id=_SOME,
        job_id=_SOME,
        type=Choice("plan", "progress", "decision-needed", "blocked", "completed"),
        summary=Chars(1, 2000),
        status=Choice(*STATUSES),
        budget_state=Record(**dict.fromkeys(_COUNTERS, _NATURAL)),
        artifacts_delta=Record(added=Many(_ANY), changed=Many(_ANY), removed=Many(_ANY)),
        reason_codes=Many(_SOME),
        required_action=Optional(Record(kind=Optional(_ANY), instructions=Optional(_ANY))),
    ),
    "wrkr.approval_record": _contract(
        "wrkr.approval_record", job_id=_SOME, checkpoint_id=_SOME, reason=_SOME, approved_by=_SOME
    ),
    "wrkr.artifacts_manifest": _contract(
        "wrkr.artifacts_manifest",
        job_id=_SOME,
        capture_mode=Choice("reference-only", "raw"),
        artifacts=Many(Record(path=_SOME, sha256=HEX, redacted=Optional(FLAG))),
    ),
    "wrkr.accept_result": _contract(
        "wrkr.accept_result",
        job_id=_SOME,
        checks_run=_NATURAL,
        checks_passed=_NATURAL,
        failures=Many(Record(check=_ANY, message=_ANY, artifact=Optional(_ANY))),
        reason_codes=Many(_SOME),
    ),
}
"""``schema_id`` → the fields of one record."""

MANIFEST_RECORD: Final = CONTRACT["wrkr.jobpack_manifest"]


def json_schemas() -> dict[str, dict[str, Any]]:
    """Return file name → JSON Schema (draft 2020-12) of every contract record; the committed files are these."""
    return {
        f"{schema_id}.v1.json": {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": f"urn:clockwork:schema:{schema_id}:v1",
            "title": schema_id,
            **record.schema(),
        }
        for schema_id, record in CONTRACT.items()
    }
