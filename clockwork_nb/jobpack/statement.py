"""The signed statement: in-toto Statement v1 with an SLSA provenance v1 predicate about every file of the pack.

The statement is recomputed from the log by whoever verifies, so it has no free field. Counts are text because protobuf
readers of SLSA turn JSON numbers into doubles; a key unknown to SLSA v1 would be a parse error there, so our facts are
parameters and annotations.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from clockwork_nb.canonical import parse_json
from clockwork_nb.clock import rfc3339_short
from clockwork_nb.errors import InvalidInputError, SignatureInvalidError, SignatureSubjectError
from clockwork_nb.jobpack.history import History
from clockwork_nb.jobpack.layout import GENESIS, NATIVE_EVENTS, PACK_FORMAT, section_name
from clockwork_nb.jobpack.plain import plain_json
from clockwork_nb.jobpack.projection import PROJECTION

__all__ = ["BUILD_TYPE", "PREDICATE_TYPE", "STATEMENT_TYPE", "build_statement", "check_subjects"]

STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE: Final = "https://slsa.dev/provenance/v1"
BUILD_TYPE: Final = "urn:clockwork:buildtype:job:v1"


def _subjects(subjects: Mapping[str, str]) -> list[dict[str, Any]]:
    return [{"digest": {"sha256": subjects[name]}, "name": name} for name in sorted(subjects)]


def build_statement(history: History, subjects: Mapping[str, str], keyid: str) -> bytes:
    """Return the canonical statement about *subjects* (entry name → SHA-256), signed as *keyid*."""
    first_at, last_at = (rfc3339_short(stamp) for stamp in (str(history.genesis["created_at"]), history.last_at))
    metadata = {"invocationId": f"{history.job_id}:{history.epoch}", "startedOn": first_at}
    if history.finished:
        metadata["finishedOn"] = last_at
    sections = [history.sections[number] for number in sorted(history.sections)]
    documents = [
        (section_name(s.number, kind), value)
        for s in sections
        for kind, value in (("plan", s.plan), ("bundle", s.bundle))
        if value
    ]
    return plain_json(
        {
            "_type": STATEMENT_TYPE,
            "predicateType": PREDICATE_TYPE,
            "subject": _subjects(subjects),
            "predicate": {
                "buildDefinition": {
                    "buildType": BUILD_TYPE,
                    "externalParameters": {
                        "job_id": history.job_id,
                        "lineage": str(history.genesis["lineage"]),
                        "sections": [
                            {"section": str(s.number), "verb": s.verb, "plan_digest": s.plan, "bundle_digest": s.bundle}
                            for s in sections
                        ],
                    },
                    "internalParameters": {
                        "manifest": {
                            "created_at": last_at,
                            "job_id": history.job_id,
                            "producer_version": history.producer_version,
                        },
                        "pack_format": PACK_FORMAT,
                        "projection": PROJECTION,
                    },
                    "resolvedDependencies": [{"digest": {"sha256": value}, "name": name} for name, value in documents],
                },
                "runDetails": {
                    "builder": {
                        "id": f"urn:clockwork:key:sha256:{keyid}",
                        "version": {"clockwork_nb": history.producer_version.removeprefix("clockwork_nb ")},
                    },
                    "metadata": metadata,
                    "byproducts": [
                        {
                            "annotations": {
                                "count": str(history.count),
                                "final": history.finished,
                                "genesis": str(history.genesis["genesis"]),
                                "head": history.head,
                                "status": history.status,
                                "tainted": bool(history.tainted),
                            },
                            "digest": {"sha256": subjects[NATIVE_EVENTS]},
                            "name": NATIVE_EVENTS,
                        },
                        {"digest": {"sha256": subjects[GENESIS]}, "name": GENESIS},
                    ],
                },
            },
        }
    )


def check_subjects(payload: bytes, subjects: Mapping[str, str]) -> None:
    """Compare the subjects of the signed *payload* with the files that are there.

    Raises:
        SignatureInvalidError: E_SIG_INVALID: it is no statement of ours.
        SignatureSubjectError: E_SIG_SUBJECT: it speaks about other files; ``details`` names the first.
    """
    ending = b',"predicateType":"%b","subject":%b}' % (PREDICATE_TYPE.encode(), plain_json(_subjects(subjects)))
    if payload.startswith(b'{"_type":"%b",' % STATEMENT_TYPE.encode()) and payload.endswith(ending):
        return  # "subject" is the last key of the canonical form; the whole statement is compared later
    try:
        document = parse_json(payload, what="the signed statement")
    except InvalidInputError as error:
        raise SignatureInvalidError(error.message) from None
    if (
        not isinstance(document, dict)
        or document.get("_type") != STATEMENT_TYPE
        or document.get("predicateType") != PREDICATE_TYPE
    ):
        raise SignatureInvalidError("what is signed is not a provenance statement about a jobpack")
    stated = document.get("subject")
    pairs: dict[str, str] = {}
    for item in stated if isinstance(stated, list) else ():
        match item:
            case {"name": str(name), "digest": {"sha256": str(sha256)}}:
                pairs[name] = sha256
            case _:
                continue
    differing = sorted(name for name in pairs.keys() | subjects.keys() if pairs.get(name) != subjects.get(name))
    path = differing[0] if differing else ""
    raise SignatureSubjectError(
        f"the signature is about other files than this pack holds{f': {path} differs' if path else ''}",
        details={"path": path, "expected": pairs.get(path, "absent"), "found": subjects.get(path, "absent")},
    )
