"""The published JSON Schemas (draft 2020-12) of the ActionList, the ArtifactBundle and ``bundle.json``.

They say what a document looks like. What may run is the gate's to say (`clockwork_nb.forge.validate`): a document that
fits here can still be refused there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, get_args

from clockwork_nb.forge.bundle_limits import AGENT_LIMITS, MAX_PATH_BYTES, TEMPLATE_LIMITS
from clockwork_nb.forge.runtimes import BUILT_IN, LANGUAGES, RUNTIMES
from clockwork_nb.ports import ChangeKind

__all__ = ["SCHEMAS", "action_list_schema", "artifact_bundle_schema", "bundle_schema"]

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_SHA256: Final = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_CHANGES: Final = sorted(get_args(ChangeKind))


def _text(description: str, **more: Any) -> dict[str, Any]:
    return {"type": "string", "description": description, **more}


def _object(required: str, properties: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "type": "object", "required": required.split(), "properties": dict(properties), "additionalProperties": False,
        **more,
    }  # fmt: skip


def _document(name: str, title: str, description: str, body: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "$schema": _DIALECT, "$id": f"urn:clockwork:schema:{name}:v1", "title": title, "description": description,
        **body,
    }  # fmt: skip


_VERSION: Final = {"const": "1", "description": "Version of this form."}


def action_list_schema() -> dict[str, Any]:
    """Return the schema of an ActionList: the ordered steps that Assembly hands to Forge."""
    step = _object(
        "name args",
        {
            "name": _text("The action; one of its resource type's.", minLength=1),
            "args": {"type": "object", "description": "What it acts on; sensitive values are keyed digests."},
            "id": _text("Stable: <address>:<name>. Absent: the name.", minLength=1),
            "address": _text("The resource it belongs to."),
            "needs": {
                "type": "array",
                "items": {"type": "string"},
                "uniqueItems": True,
                "description": "Ids of steps that have to be done before.",
            },
            "change": {"enum": _CHANGES, "description": "What the plan does to the resource."},
            "timeout_s": {"type": "integer", "minimum": 1, "description": "Seconds until it is stopped."},
            "idempotent": {"type": "boolean", "description": "Whether it may be started again after an interruption."},
            "risk": {"type": "array", "items": {"type": "string"}, "description": "Risk classes of the change."},
            "reason": _text("Why it is done, for people."),
            "retries": {"type": "integer", "minimum": 0, "description": "Starts again after a failure, in one run."},
            "backoff_s": {"type": "number", "minimum": 0, "description": "Seconds before the first retry."},
            "idle_timeout_s": {"type": "integer", "minimum": 0, "description": "Seconds of silence; 0 for any."},
            "detaches": {"type": "boolean", "description": "Whether what it starts may go on after it."},
        },
    )
    body = _object(
        "version steps",
        {"version": _VERSION, "steps": {"type": "array", "items": step, "description": "In the order to run."}},
    )
    return _document("actionlist", "ActionList", "The ordered steps of a plan.", body)


def _artifact_properties() -> dict[str, Any]:
    return {
        "path": _text(
            "Relative to the build folder, with /.", minLength=1, maxLength=MAX_PATH_BYTES, pattern=r"^[^/\\\u0000]"
        ),
        "mode": {"enum": ["0644", "0755"], "description": "Permissions of the file that people read."},
        "purpose": _text("What it is for, for people.", maxLength=TEMPLATE_LIMITS.purpose_bytes),
        "lang": {"enum": sorted(LANGUAGES), "description": "data is never executed, json is the spec of a built-in."},
    }


def _command() -> dict[str, Any]:
    words = {
        "type": "array",
        "minItems": 1,
        "items": {"type": "string"},
        "description": f"[runtime, safe flags, script, arguments]: no shell, no code. "
        f"Runtimes: {', '.join(RUNTIMES)}; built-in: {BUILT_IN}.",
    }
    return _object("cmd", {"cmd": words})


def _confinement(*, required: str) -> dict[str, Any]:
    network = {
        "oneOf": [
            {"type": "boolean"},
            {"type": "array", "items": {"type": "integer", "minimum": 1, "maximum": 65535}},
        ],
        "description": "true, false, or the TCP ports it may use.",
    }
    write = {
        "type": "array",
        "items": {"type": "string", "minLength": 1},
        "maxItems": TEMPLATE_LIMITS.write_roots,
        "description": "What it may write to, relative to the project; besides a private folder.",
    }
    return _object(required, {"write": write, "network": network}, description="The walls it runs in.")


_SECRET: Final = _object("secret", {"secret": _text("Name of a sensitive value; the step gets a path to read it.")})
_CLASS: Final = {"enum": ["confined", "host", "built-in"], "description": "host runs without the walls."}
_NAME: Final = {"pattern": "^[A-Za-z_][A-Za-z0-9_]{0,127}$"}
_DATA: Final = {
    "type": "object",
    "propertyNames": _NAME,
    "additionalProperties": {"type": "string"},
    "description": "Variable → path of a data artifact; the step finds a path to read it from in the variable.",
}


def artifact_bundle_schema() -> dict[str, Any]:
    """Return the schema of an ArtifactBundle as a compiler hands it over, contents and all."""
    value = {"type": ["string", "number", "boolean"], "description": "Numbers become the text JSON writes for them."}
    variables = {"type": "object", "propertyNames": _NAME, "additionalProperties": {"anyOf": [value, _SECRET]}}
    artifact = _object(
        "path mode purpose lang",
        {
            **_artifact_properties(),
            "content": _text("The whole text."),
            "encoding": {"const": "base64", "description": "How the content of binary data is written."},
            "secret": _text("Name of the sensitive value that is the content of a data artifact."),
        },
        anyOf=[{"required": ["content"]}, {"required": ["secret"]}],
    )
    step = _object(
        "purpose run",
        {
            "purpose": _text("Name of the one action it carries out.", minLength=1),
            "run": _command(),
            "id": _text("Id of the action, where several share a name."),
            "address": _text("The resource; by default the action's."),
            "vars": {
                "anyOf": [{"type": "array", "items": {"type": "string"}, "uniqueItems": True}, variables],
                "description": "The names it sees of the bundle's vars, or its own; absent: all of the bundle's.",
            },
            "data": _DATA,
            "class": _CLASS,
            "cwd": _text("Where it runs, relative to the project."),
            "confinement": _confinement(required=""),
        },
    )
    body = _object(
        "version artifacts steps",
        {
            "version": _VERSION,
            "artifacts": {
                "type": "array",
                "items": artifact,
                "description": f"From a model at most {AGENT_LIMITS.files}, {AGENT_LIMITS.file_bytes} bytes each.",
            },
            "steps": {"type": "array", "items": step, "description": "One for each action, in the plan's order."},
            "vars": {**variables, "description": "What steps find in their environment."},
        },
    )
    return _document("artifactbundle", "ArtifactBundle", "Scripts, and the steps that run them.", body)


def bundle_schema() -> dict[str, Any]:
    """Return the schema of ``bundle.json``: what an approval is bound to, with digests in the contents' place."""
    artifact = _object(
        "path mode purpose lang",
        {
            **_artifact_properties(),
            "sha256": {**_SHA256, "description": "Digest of the content."},
            "size": {"type": "integer", "minimum": 0, "description": "Bytes of the content."},
            "secret": _text("Name of the sensitive value that is the content; it has no digest here."),
        },
        oneOf=[{"required": ["sha256", "size"]}, {"required": ["secret"]}],
    )
    interpreter = _object("path sha256", {"path": _text("Absolute.", pattern="^/"), "sha256": _SHA256})
    step = _object(
        "id purpose address run class cwd confinement",
        {
            "id": _text("Id of the action it carries out.", minLength=1),
            "purpose": _text("The action's name.", minLength=1),
            "address": _text("The resource."),
            "run": _command(),
            "class": _CLASS,
            "cwd": _text("Where it runs, relative to the project."),
            "confinement": _confinement(required="write network"),
            "vars": {
                "type": "object",
                "propertyNames": _NAME,
                "additionalProperties": {"anyOf": [{"type": "string"}, _SECRET]},
                "description": "Its environment, besides a fixed PATH, HOME, TMPDIR, LANG and TZ.",
            },
            "data": _DATA,
            "interpreter": {**interpreter, "description": "What cmd[0] was resolved to; absent for a built-in."},
            "environment": {"const": "inherited", "description": "It also gets its caller's variables (host only)."},
            "detaches": {"const": True, "description": "What it starts may go on after it (host only)."},
        },
    )
    body = _object(
        "version artifacts steps",
        {
            "version": _VERSION,
            "artifacts": {"type": "array", "items": artifact, "description": "By path."},
            "steps": {"type": "array", "items": step, "description": "In the plan's order."},
        },
    )
    return _document("bundle", "bundle.json", "What was approved to run, by digest.", body)


SCHEMAS: Final = {
    "clockwork.actionlist.v1.json": action_list_schema,
    "clockwork.artifactbundle.v1.json": artifact_bundle_schema,
    "clockwork.bundle.v1.json": bundle_schema,
}
"""File name in ``clockwork_nb/schemas`` → what makes it."""
