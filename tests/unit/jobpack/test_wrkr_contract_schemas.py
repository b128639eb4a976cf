"""The contract files have Wrkr's fields: by the published schemas, by the hand checks, and both say the same."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import rfc8785

from clockwork_nb.canonical import parse_json
from clockwork_nb.jobpack.contract import CONTRACT, json_schemas
from clockwork_nb.jobs.fields import EventInvalidError
from tests.conformance.packs import samples
from tests.conformance.packs.tamper import pack, unpack

SCHEMAS = Path(__file__).resolve().parents[3] / "clockwork_nb" / "schemas"
FILES = {
    "manifest.json": "wrkr.jobpack_manifest",
    "job.json": "wrkr.job",
    "events.jsonl": "wrkr.event",
    "checkpoints.jsonl": "wrkr.checkpoint",
    "approvals.jsonl": "wrkr.approval_record",
    "artifacts_manifest.json": "wrkr.artifacts_manifest",
    "accept/accept_result.json": "wrkr.accept_result",
}


def records() -> list[tuple[str, bytes]]:
    """Return (schema id, canonical text) of every contract record of the sample pack."""
    files = unpack(pack(samples.sample_job()).data)
    out = []
    for name, schema in FILES.items():
        texts = files[name].split(b"\n")[:-1] if name.endswith(".jsonl") else [files[name]]
        out += [(schema, text) for text in texts]
    return out


def validator(schema_id: str) -> jsonschema.Draft202012Validator:
    schema = json.loads((SCHEMAS / f"{schema_id}.v1.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_the_committed_schemas_are_the_generated_ones() -> None:
    generated = json_schemas()
    for name, schema in generated.items():
        assert (SCHEMAS / name).read_text() == json.dumps(schema, indent=2, sort_keys=True) + "\n", name
    assert set(generated) == {path.name for path in SCHEMAS.glob("wrkr.*.v1.json")}


def test_every_contract_record_of_a_pack_is_canonical_and_fits_its_schema() -> None:
    validators = {schema: validator(schema) for schema in FILES.values()}
    found = set()
    for schema, text in records():
        record = parse_json(text)
        assert rfc8785.dumps(record) == text
        validators[schema].validate(record)
        CONTRACT[schema].check(record, schema)
        assert record["schema_id"] == schema
        found.add(schema)
    assert found == set(FILES.values())


def test_stamps_are_in_their_shortest_form() -> None:
    for _, text in records():
        stamp = parse_json(text)["created_at"]
        assert stamp.endswith("Z")
        assert "." not in stamp or not stamp.removesuffix("Z").endswith("0")


def spoiled(record: dict[str, Any]) -> list[dict[str, Any]]:
    """Return copies of *record*, each wrong in one way."""
    out: list[dict[str, Any]] = []
    for key in record:
        values: tuple[Any, ...] = (None, 3.5, [], {}, "", True, -1)
        for value in values:
            if type(value) is not type(record[key]) or value in ("", -1):
                changed = copy.deepcopy(record)
                changed[key] = value
                out.append(changed)
        without = copy.deepcopy(record)
        del without[key]
        out.append(without)
    out.append({**record, "evil": 1})
    out.append({**record, "schema_version": "v2"})
    return out


@pytest.mark.parametrize("schema", sorted(FILES.values()))
def test_hand_checks_and_schemas_agree_on_spoiled_records(schema: str) -> None:
    check, valid = CONTRACT[schema], validator(schema)
    record = next(parse_json(text) for name, text in records() if name == schema)
    refused = 0
    for changed in spoiled(record):
        by_schema = valid.is_valid(changed)
        try:
            check.check(changed, schema)
            by_hand = True
        except EventInvalidError:
            by_hand = False
        assert by_hand == by_schema, changed
        refused += not by_hand
    assert refused > len(record)
