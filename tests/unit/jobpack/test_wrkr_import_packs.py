"""The pack of an imported Wrkr job folder: Wrkr's contract, the originals untouched, and a verify that says no more."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from clockwork_nb.canonical import canonical_json, parse_json, sha256_hex
from clockwork_nb.errors import InvalidInputError
from clockwork_nb.jobpack.build import Pack, signer_line
from clockwork_nb.jobpack.contract import json_schemas
from clockwork_nb.jobpack.report import VerificationReport
from clockwork_nb.jobpack.wrkr_export import export_import, import_statement
from clockwork_nb.jobpack.wrkr_job import read_job
from clockwork_nb.render.verification import report_html_fragment, report_text
from clockwork_nb.signing import SigningKey, TrustStore, open_envelope, seal_envelope
from tests.conformance.packs import samples
from tests.conformance.packs.samples import KEY
from tests.conformance.packs.tamper import Files, code, pack, remanifest, unpack, verify, zipped
from tests.conformance.wrkr.folders import (
    REAL_ACCEPT,
    REAL_APPROVAL,
    REAL_ARTIFACTS,
    REAL_CHECKPOINT,
    REAL_JOB,
    REAL_STEP_EVENT,
    SAMPLES,
    WrkrFolder,
    decision,
    demo,
    go_json,
    poisoned,
)
from tests.conformance.wrkr.wrkr_verify import DOCUMENTS, LINES, SCHEMAS, VALIDATORS, wrkr_verify

FINDINGS = "clockwork/imported/findings.json"
STATEMENT = "clockwork/statement.dsse.json"
STRANGER = SigningKey.from_seed(b"\x07" * 32)


def packed(folder: WrkrFolder, key: SigningKey | None = KEY, name: str = "") -> Pack:
    files = folder.files()
    return export_import(read_job(name or folder.job_id, files), files, key=key)


def signed_again(files: Files, key: SigningKey = KEY) -> bytes:
    """Return *files* signed by somebody who skips every check: the statement of their originals about what is there."""
    originals = {
        name.rpartition("/")[2]: data
        for name, data in files.items()
        if name.startswith("clockwork/imported/") and name != FINDINGS
    }
    out = {**files, "clockwork/signer.pub": signer_line(key.public)}
    subjects = {name: sha256_hex(data) for name, data in out.items() if name not in {"manifest.json", STATEMENT}}
    job = read_job(str(parse_json(files[FINDINGS])["folder"]), originals)
    out[STATEMENT] = seal_envelope(import_statement(job, subjects, key.public.keyid), key)
    return zipped(remanifest(out))


@pytest.mark.parametrize("make", SAMPLES.values(), ids=SAMPLES)
@pytest.mark.parametrize("key", [KEY, None], ids=["signed", "unsigned"])
def test_wrkr_accepts_what_is_exported_of_every_kind_of_folder(
    make: Callable[[], WrkrFolder], key: SigningKey | None
) -> None:
    made = packed(make(), key)
    status, files = wrkr_verify(made.data)
    assert (status, files) == (0, len(unpack(made.data)) - 1)


@pytest.mark.parametrize("make", SAMPLES.values(), ids=SAMPLES)
def test_every_kind_of_folder_verifies_as_an_import_and_as_no_more(make: Callable[[], WrkrFolder]) -> None:
    made = packed(make())
    report = verify(made.data, file_name=made.name)
    assert (report.headline, report.level, report.profile) == ("VERIFIED signed import", "signed", "wrkr-import")
    assert (report.job_id, report.count, report.final) == (made.job_id, made.count, made.final)
    assert report.missing[0] == "a chained log: this shows what ops imported, not that nobody edited it before"
    assert len(report.notes) == min(6, len(parse_json(unpack(made.data)[FINDINGS])["findings"]))


def test_without_a_signature_it_is_intact_at_most() -> None:
    made = packed(demo(), None)
    assert code(verify(made.data)) == "E_SIG_REQUIRED"
    report = verify(made.data, require="integrity")
    assert (report.headline, report.level, report.exit_code) == ("INTACT", "integrity", 0)
    assert "what somebody imported" in report.missing[0]


def test_an_unknown_signer_is_told() -> None:
    report = verify(packed(demo()).data, trust=TrustStore())
    assert (report.headline, report.failure and report.failure.code) == ("UNKNOWN SIGNER intact", "E_SIG_UNTRUSTED")
    assert KEY.public.fingerprint in report.missing[0]
    settled = verify(packed(demo()).data, require="integrity")
    assert settled.headline == "INTACT"


def test_the_same_folder_gives_the_same_bytes_and_the_key_changes_two_files() -> None:
    first, second, other = packed(decision()), packed(decision()), packed(decision(), STRANGER)
    assert first.data == second.data
    mine, theirs = unpack(first.data), unpack(other.data)
    assert {name for name in mine if mine[name] != theirs[name]} == {STATEMENT, "clockwork/signer.pub", "manifest.json"}


def test_the_originals_are_in_it_untouched() -> None:
    folder = poisoned()
    folder.configure(["a"], 0)
    files = unpack(packed(folder).data)
    for name, data in folder.files().items():
        assert files[f"clockwork/imported/{name}"] == data


def test_the_contract_files_are_those_that_wrkr_printed_for_such_a_job() -> None:
    files = unpack(packed(decision()).data)
    events = [parse_json(line) for line in files["events.jsonl"].splitlines()]
    assert [event["event_id"] for event in events] == [f"evt_{n}" for n in range(1, 23)]
    pairs: list[tuple[Any, bytes]] = [
        (events[5], REAL_STEP_EVENT),
        (parse_json(files["checkpoints.jsonl"].splitlines()[2]), REAL_CHECKPOINT),
        (parse_json(files["approvals.jsonl"]), REAL_APPROVAL),
        (parse_json(files["job.json"]), REAL_JOB),
        (parse_json(unpack(packed(demo()).data)["artifacts_manifest.json"]), REAL_ARTIFACTS),
    ]
    for found, printed in pairs:
        real = parse_json(printed)
        for free in ("created_at", "summary", "payload"):
            assert (free in found) == (free in real)
            found[free] = real[free] = ""
        assert found == real
    assert files["accept/accept_result.json"] == REAL_ACCEPT
    assert set(events[5]["payload"] or {"summary"})


def test_the_status_of_a_job_that_wrkr_shows_wrongly_is_the_logs() -> None:
    files = unpack(packed(SAMPLES["cancel-race"]()).data)
    assert parse_json(files["job.json"])["status"] == "canceled"
    findings = parse_json(files[FINDINGS])
    assert (findings["state"]["status"], findings["state"]["wrkr_status"]) == ("canceled", "blocked_decision")


def test_dates_of_other_offsets_become_utc_in_the_shortest_form() -> None:
    folder = demo()
    folder.append("counters_updated", {"step_count": 1}, at="2026-11-22T02:34:03.500000000+01:00")
    files = unpack(packed(folder).data)
    for name in ("manifest.json", "job.json", "artifacts_manifest.json"):
        assert parse_json(files[name])["created_at"] == "2026-11-22T01:34:03.5Z"
    assert wrkr_verify(packed(folder).data)[0] == 0


def test_what_does_not_fit_the_contract_is_left_out_and_told() -> None:
    folder = decision()
    folder.save = False
    folder.append("checkpoint_emitted", {"type": "plan", "summary": "x" * 2001})
    folder.accept = b"{}"
    made = packed(folder)
    files = unpack(made.data)
    assert len(files["checkpoints.jsonl"].splitlines()) == 5
    assert "accept/accept_result.json" not in files
    told = {finding["code"] for finding in parse_json(files[FINDINGS])["findings"]}
    assert told == {"bad_payload", "file_unreadable", "snapshot_behind"}
    assert wrkr_verify(made.data)[0] == 0
    assert verify(made.data).ok


def test_a_folder_with_no_event_is_not_exported() -> None:
    folder = demo()
    folder.log = bytearray(b"garbage\n")
    with pytest.raises(InvalidInputError, match="nothing to export"):
        packed(folder)


def test_file_names_say_whether_the_job_is_at_its_end() -> None:
    assert packed(demo()).name == "jobpack_job_demo_1795304043.zip"
    assert packed(decision(until="blocked")).name == "jobpack_dec.at13.zip"
    assert code(verify(packed(demo()).data, file_name="jobpack_job_x.zip")) == "E_EVIDENCE_INCONSISTENT"
    assert code(verify(packed(demo()).data, expect_job="job_x")) == "E_EVIDENCE_INCONSISTENT"
    report = verify(packed(decision(until="blocked")).data, file_name="jobpack_dec.at12.zip")
    assert code(report) == "E_EVIDENCE_INCONSISTENT"


def test_the_statement_says_that_it_is_an_import_and_names_the_originals() -> None:
    files = unpack(packed(decision()).data)
    statement = parse_json(open_envelope(files[STATEMENT]).payload)
    definition = statement["predicate"]["buildDefinition"]
    assert definition["buildType"] == "urn:clockwork:buildtype:wrkr-import:v1"
    assert definition["externalParameters"] == {"job_id": "dec", "source": "wrkr", "chained": False}
    assert [item["name"] for item in definition["resolvedDependencies"]] == [
        f"clockwork/imported/{name}"
        for name in ("accept_result.json", "events.jsonl", "runtime_config.json", "snapshot.json")
    ]
    assert {item["name"] for item in statement["subject"]} == files.keys() - {"manifest.json", STATEMENT}
    assert "version" not in statement["predicate"]["runDetails"]["builder"]


Change = Callable[[Files], Files]


def replaced(name: str, old: bytes, new: bytes) -> Change:
    def change(files: Files) -> Files:
        assert old in files[name], name
        return {**files, name: files[name].replace(old, new)}

    return change


def without(name: str) -> Change:
    return lambda files: {key: data for key, data in files.items() if key != name}


def adding(name: str, data: bytes = b"{}") -> Change:
    return lambda files: {**files, name: data}


ORIGINAL = "clockwork/imported/events.jsonl"
EDITS: dict[str, tuple[Change, str]] = {
    "status": (replaced("job.json", b"completed", b"canceled"), "E_EVIDENCE_INCONSISTENT"),
    "counters": (replaced("job.json", b'"step_count":3', b'"step_count":4'), "E_EVIDENCE_INCONSISTENT"),
    "approver": (replaced("approvals.jsonl", b"alice", b"bob"), "E_EVIDENCE_INCONSISTENT"),
    "approver-in-log": (replaced(ORIGINAL, b"alice", b"mallory"), "E_EVIDENCE_INCONSISTENT"),
    "event-line": (replaced("events.jsonl", b"evt_9", b"evt_99"), "E_EVIDENCE_INCONSISTENT"),
    "checkpoint": (replaced("checkpoints.jsonl", b"plan drafted", b"all done"), "E_EVIDENCE_INCONSISTENT"),
    "artifact": (
        replaced("artifacts_manifest.json", b"reports/plan.md", b"reports/plan.mp"),
        "E_EVIDENCE_INCONSISTENT",
    ),
    "acceptance": (replaced("accept/accept_result.json", b'passed":2', b'passed":5'), "E_EVIDENCE_INCONSISTENT"),
    "no-acceptance": (without("accept/accept_result.json"), "E_PACK_MISSING"),
    "no-approvals": (without("approvals.jsonl"), "E_PACK_MISSING"),
    "no-log": (without(ORIGINAL), "E_PACK_MISSING"),
    "shorter-log": (
        lambda files: {**files, ORIGINAL: files[ORIGINAL][: files[ORIGINAL].rindex(b"\n", 0, -1) + 1]},
        "E_EVIDENCE_INCONSISTENT",
    ),
    "longer-log": (lambda files: {**files, ORIGINAL: files[ORIGINAL] + b'{"seq":'}, "E_EVIDENCE_INCONSISTENT"),
    "no-snapshot": (without("clockwork/imported/snapshot.json"), ""),
    "no-config": (without("clockwork/imported/runtime_config.json"), "E_EVIDENCE_INCONSISTENT"),
    "findings": (replaced(FINDINGS, b'"findings":[]', b'"findings":[ ]'), "E_EVIDENCE_INCONSISTENT"),
    "findings-state": (replaced(FINDINGS, b'"final":true', b'"final":false'), "E_EVIDENCE_INCONSISTENT"),
    "findings-extra": (replaced(FINDINGS, b'{"findings"', b'{"extra":1,"findings"'), "E_EVIDENCE_INCONSISTENT"),
    "folder": (replaced(FINDINGS, b'"folder":"dec"', b'"folder":7'), "E_EVIDENCE_INCONSISTENT"),
    "extra-original": (adding("clockwork/imported/notes.txt"), "E_PACK_UNDECLARED"),
    "extra-evidence": (adding("clockwork/report.html"), "E_PACK_UNDECLARED"),
    "extra-outside": (adding("ext/evil.json"), "E_PACK_UNDECLARED"),
    "native-log": (adding("clockwork/events.jsonl", b""), "E_PACK_UNDECLARED"),
}


def edited(name: str) -> Files:
    return EDITS[name][0](unpack(packed(decision()).data))


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_by_somebody_without_the_key_breaks_the_signature(name: str) -> None:
    assert code(verify(zipped(remanifest(edited(name))))) == "E_SIG_SUBJECT"


@pytest.mark.parametrize("name", [name for name in EDITS if name != "no-log"])
def test_an_edit_by_the_key_holder_is_found_where_it_contradicts_the_originals(name: str) -> None:
    assert code(verify(signed_again(edited(name)))) == EDITS[name][1]


@pytest.mark.parametrize("name", EDITS)
def test_an_unsigned_edit_is_found_as_well(name: str) -> None:
    files = edited(name)
    bare = {key: data for key, data in files.items() if key not in {STATEMENT, "clockwork/signer.pub"}}
    assert code(verify(zipped(remanifest(bare)), require="integrity")) == EDITS[name][1]


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b"{}", b'{"folder":"a b"}', b'{"folder":"%b"}' % (b"x" * 256), b"\xff"]
)
def test_findings_that_are_none_are_refused(text: bytes) -> None:
    files = {
        n: d for n, d in unpack(packed(demo(), None).data).items() if not n.endswith(("snapshot.json", "/events.jsonl"))
    }
    log = {"clockwork/imported/events.jsonl": bytes(demo().log)}
    data = zipped(remanifest({**files, **log, FINDINGS: text}))
    assert code(verify(data, require="integrity")) == "E_EVIDENCE_INCONSISTENT"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("created_at", "2026-11-21T23:35:00Z"),
        ("producer_version", "clockwork_nb 9"),
        ("job_id", "other"),
        ("schema_version", "v1.7"),
    ],
)
def test_no_field_of_the_manifest_is_free(field: str, value: str) -> None:
    data = zipped(remanifest(unpack(packed(demo()).data), **{field: value}))
    assert code(verify(data)) == "E_MANIFEST_INVALID"


def test_the_statement_of_another_import_or_with_other_words_is_refused() -> None:
    files, other = unpack(packed(decision()).data), unpack(packed(demo()).data)
    assert code(verify(zipped(remanifest({**files, STATEMENT: other[STATEMENT]})))) == "E_SIG_SUBJECT"
    statement = parse_json(open_envelope(files[STATEMENT]).payload)
    statement["predicate"]["buildDefinition"]["externalParameters"]["chained"] = True
    forged = {**files, STATEMENT: seal_envelope(canonical_json(statement), KEY)}
    assert code(verify(zipped(remanifest(forged)))) == "E_EVIDENCE_INCONSISTENT"


def test_an_import_cannot_pass_as_a_job_of_ours_nor_the_other_way_round() -> None:
    ours = unpack(pack(samples.small_job()).data)
    mixed = {**ours, FINDINGS: unpack(packed(demo()).data)[FINDINGS]}
    assert code(verify(zipped(remanifest(mixed)))) == "E_SIG_SUBJECT"
    bare = {name: data for name, data in mixed.items() if name not in {STATEMENT, "clockwork/signer.pub"}}
    assert code(verify(zipped(remanifest(bare)), require="integrity")) == "E_PACK_UNDECLARED"
    hidden = {name: data for name, data in bare.items() if name != "clockwork/genesis.json"}
    assert code(verify(zipped(remanifest(hidden)), require="integrity")) == "E_PACK_MISSING"


def test_every_byte_counts() -> None:
    data = packed(decision()).data
    for place in range(0, len(data), 41):
        changed = bytearray(data)
        changed[place] ^= 1 << (place % 8)
        assert verify(bytes(changed)).exit_code == 2, place


def shown(report: VerificationReport) -> str:
    return report_text(report.to_document())


def test_what_a_person_reads_names_the_limits_and_the_findings() -> None:
    made = packed(SAMPLES["cancel-race"]())
    text = shown(verify(made.data, file_name=made.name))
    first, *rest = text.split("\n")
    assert first.startswith("VERIFIED  signed import   jobpack_race.zip")
    assert "  found         snapshot_differs at event 15: status is 'blocked_decision'" in text
    assert "  not in it     a chained log: this shows what ops imported, not that nobody edited it before" in text
    assert "chained," not in text
    assert len(rest) < 20
    panel = report_html_fragment(verify(made.data).to_document())
    assert "signed import" in panel


def test_hostile_names_in_a_folder_stay_text() -> None:
    folder = demo()
    folder.save = False
    folder.append("\x1b[2J<script>\u202e")
    made = packed(folder)
    report = verify(made.data)
    assert report.ok
    assert "\x1b" not in shown(report)
    assert "\u202e" not in shown(report)
    assert "<script>" not in report_html_fragment(report.to_document())


def test_floats_and_large_limits_are_kept() -> None:
    folder = demo()
    folder.configure(["a"], 0)
    assert folder.config is not None
    folder.config["budgets"] = {"MaxEstimatedCost": 12.5, "MaxTokens": 10**12, "MaxRetries": 0}
    made = packed(folder)
    assert parse_json(unpack(made.data)[FINDINGS])["state"]["limits"] == {"cost": 12.5, "tokens": 10**12}
    assert verify(made.data).ok


def test_records_fit_the_contract_of_wrkr_by_hand_for_imports_and_for_our_own_packs() -> None:
    packs = [packed(make()).data for make in SAMPLES.values()]
    packs += [pack(samples.sample_job()).data, pack(samples.small_job()).data]
    found: dict[str, int] = {}
    for data in packs:
        files = unpack(data)
        VALIDATORS["wrkr.jobpack_manifest"].validate(parse_json(files["manifest.json"]))
        for name, schema_id in {**DOCUMENTS, **LINES}.items():
            texts = files.get(name, b"").split(b"\n") if name in LINES else [files.get(name, b"")]
            for text in filter(None, texts):
                VALIDATORS[schema_id].validate(parse_json(text))
                found[schema_id] = found.get(schema_id, 0) + 1
    assert found.keys() == VALIDATORS.keys() - {"wrkr.jobpack_manifest"}


@pytest.mark.parametrize(
    ("schema_id", "text"),
    [
        ("wrkr.job", REAL_JOB),
        ("wrkr.artifacts_manifest", REAL_ARTIFACTS),
        ("wrkr.event", REAL_STEP_EVENT),
        ("wrkr.checkpoint", REAL_CHECKPOINT),
        ("wrkr.approval_record", REAL_APPROVAL),
        ("wrkr.accept_result", REAL_ACCEPT),
    ],
)
def test_the_schemas_by_hand_accept_what_wrkr_printed(schema_id: str, text: bytes) -> None:
    VALIDATORS[schema_id].validate(parse_json(text))
    assert canonical_json(parse_json(text)) == text.rstrip(b"\n")


def test_a_renamed_folder_is_part_of_the_pack() -> None:
    made = packed(decision(), name="copy")
    assert made.job_id == "dec"
    assert parse_json(unpack(made.data)[FINDINGS])["folder"] == "copy"
    assert verify(made.data).notes == ("folder_renamed: the folder is called 'copy'",)


def test_an_original_that_is_not_utf8_or_huge_in_its_own_way_does_not_break_verify() -> None:
    folder = demo()
    files = folder.files() | {"runtime_config.json": b"\xff" * 1000, "snapshot.json": b"[" * 100_000}
    made = export_import(read_job(folder.job_id, files), files, key=KEY)
    report = verify(made.data)
    assert report.ok
    assert [note.partition(":")[0] for note in report.notes] == ["file_unreadable", "file_unreadable"]


def test_go_escapes_are_read_and_written_canonically() -> None:
    folder = decision()
    assert b"write \\u003cfinal\\u003e \\u0026 go" in bytes(folder.log)
    assert b'"step_id":"write <final> & go"' in unpack(packed(folder).data)["events.jsonl"]
    assert go_json("<") == b'"\\u003c"'


@pytest.mark.parametrize("schema_id", sorted(SCHEMAS))
def test_the_published_schemas_say_what_those_by_hand_say(schema_id: str) -> None:
    published = json_schemas()[f"{schema_id}.v1.json"]
    by_hand = SCHEMAS[schema_id]
    assert (sorted(published["required"]), published["additionalProperties"]) == (by_hand["required"], False)
    # Two spellings of one rule; dates are checked by nobody's schema (format is an annotation in draft 2020-12).
    one, same = json.dumps({"enum": [schema_id]}), json.dumps({"const": schema_id})
    spelt = {one: same, "^(?:": "^", ")$": "$"}
    for name, rule in by_hand["properties"].items():
        text = json.dumps(published["properties"][name], sort_keys=True)
        for ours, theirs in spelt.items():
            text = text.replace(ours, theirs)
        if name == "created_at":
            assert text == '{"minLength": 1, "type": "string"}'
        else:
            assert text.replace("[0-9a-f]", "[a-f0-9]").replace("(?:", "(") == json.dumps(rule, sort_keys=True)
