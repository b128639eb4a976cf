"""``ro-crate-metadata.json``: the pack described as a Workflow Run RO-Crate. Documentation; never evidence.

The crate's root is the folder ``clockwork/`` of the pack (RO-Crate 1.1, Workflow Run RO-Crate 0.5).

A verifier makes the crate again and compares bytes, so every form that was ever written stays here: form 1, and form 2
that adds who approved and describes the profiles.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from clockwork_nb.clock import rfc3339_short
from clockwork_nb.jobpack.history import History
from clockwork_nb.jobpack.layout import CRATE, SIGNER, STATEMENT
from clockwork_nb.jobpack.plain import plain_json

__all__ = ["CRATE_FORMS", "build_crate"]

CRATE_FORMS: Final = (2, 1)
"""Every form that was ever written, the current one first."""

_CONTEXT: Final = ["https://w3id.org/ro/crate/1.1/context", "https://w3id.org/ro/terms/workflow-run/context"]
_PROCESS_RUN: Final = "https://w3id.org/ro/wfrun/process/0.5"
_WORKFLOW_RUN: Final = "https://w3id.org/ro/wfrun/workflow/0.5"
_WORKFLOW: Final = "https://w3id.org/workflowhub/workflow-ro-crate/1.0"
_OUTSIDE: Final = frozenset({CRATE, SIGNER, STATEMENT})  # the crate is the same whoever signs
_MEDIA: Final = {
    "json": "application/json",
    "jsonl": "application/jsonl",
    "html": "text/html",
    "ipynb": "application/x-ipynb+json",
    "out": "text/plain",
    "err": "text/plain",
}
_WORKFLOW_FILES: Final = ("notebook/input.ipynb", "sections/1/plan.json")
_DONE: Final = {"completed": "CompletedActionStatus", "canceled": "FailedActionStatus"}


def build_crate(history: History, names: Iterable[str], *, form: int = CRATE_FORMS[0]) -> bytes:
    """Return the canonical crate metadata about the entries *names* below ``clockwork/``, in one of `CRATE_FORMS`."""
    paths = sorted(n.removeprefix("clockwork/") for n in names if n.startswith("clockwork/") and n not in _OUTSIDE)
    workflow = next((path for path in _WORKFLOW_FILES if path in paths), "")
    profiles = [_PROCESS_RUN, *([_WORKFLOW_RUN, _WORKFLOW] if workflow else [])]
    first_at, last_at = (rfc3339_short(stamp) for stamp in (str(history.genesis["created_at"]), history.last_at))
    root: dict[str, Any] = {
        "@id": "./",
        "@type": "Dataset",
        "conformsTo": [{"@id": profile} for profile in profiles],
        "datePublished": last_at,
        "description": history.objective or f"The run of job {history.job_id} and its evidence.",
        "hasPart": [{"@id": path} for path in paths],
        "identifier": history.job_id,
        "mentions": [{"@id": "#run"}],
        "name": history.name,
    }
    action: dict[str, Any] = {
        "@id": "#run",
        "@type": "CreateAction",
        "actionStatus": {"@id": f"http://schema.org/{_DONE.get(history.status, 'ActiveActionStatus')}"},
        "instrument": {"@id": workflow or "#tool"},
        "name": f"Job {history.job_id}",
        "startTime": first_at,
    }
    if history.finished:
        action["endTime"] = last_at
    results = [path for path in paths if path == "notebook/output.ipynb" or path.endswith("/state_after.json")]
    if results:
        action["result"] = [{"@id": path} for path in results]
    graph: list[dict[str, Any]] = [
        {
            "@id": "ro-crate-metadata.json",
            "@type": "CreativeWork",
            "about": {"@id": "./"},
            "conformsTo": {"@id": "https://w3id.org/ro/crate/1.1"},
        },
        root,
        action,
        {"@id": "#tool", "@type": "SoftwareApplication", "name": "clockwork_nb", "version": history.producer_version},
    ]
    if workflow:
        root["mainEntity"] = {"@id": workflow}
        graph.append({"@id": "#language", "@type": "ComputerLanguage", "name": _language(workflow)})
    if form > 1:
        persons = _persons(history)
        if persons:
            action["agent"] = [{"@id": person["@id"]} for person in persons]
        graph += persons
        graph += [_profile(profile) for profile in profiles]
    graph += [_file(path, workflow) for path in paths]
    return plain_json({"@context": _CONTEXT, "@graph": graph})


def _persons(history: History) -> list[dict[str, Any]]:
    """Return the people who approved something, by name: the ones who made the run happen, as far as the log knows."""
    names = {a.by for a in history.approvals.values() if a.decision == "granted" and a.via not in {"auto", "policy"}}
    return [{"@id": f"#person-{n}", "@type": "Person", "name": name} for n, name in enumerate(sorted(names), 1)]


def _profile(uri: str) -> dict[str, Any]:
    return {"@id": uri, "@type": "CreativeWork", "name": _PROFILE_NAMES[uri], "version": uri.rpartition("/")[2]}


_PROFILE_NAMES: Final = {
    _PROCESS_RUN: "Process Run Crate",
    _WORKFLOW_RUN: "Workflow Run Crate",
    _WORKFLOW: "Workflow RO-Crate",
}


def _language(workflow: str) -> str:
    return "Jupyter Notebook" if workflow.endswith(".ipynb") else "Clockwork plan"


def _file(path: str, workflow: str) -> dict[str, Any]:
    entity: dict[str, Any] = {"@id": path, "@type": "File"}
    if media := _MEDIA.get(path.rpartition(".")[2]):
        entity["encodingFormat"] = media
    if path == workflow:
        entity["@type"] = ["File", "SoftwareSourceCode", "ComputationalWorkflow"]
        entity["name"] = path
        entity["programmingLanguage"] = {"@id": "#language"}
    return entity
