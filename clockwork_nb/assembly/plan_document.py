"""The JSON form of a plan: ``plan.json`` without ``created_at``, and its digest.

What is plain is shared with the plan, not copied: a document is a value, and nobody may change it.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from clockwork_nb.canonical import canonical_json, digest, sha256_hex
from clockwork_nb.intake.values import Unknown
from clockwork_nb.secrets import Sensitive, seal

if TYPE_CHECKING:
    from clockwork_nb.assembly.plan import Drift, Plan, ResourceChange
    from clockwork_nb.assembly.plan_cache import PlanCache
    from clockwork_nb.ports import Action

__all__ = ["document_and_digest", "drift_document", "plan_document"]

_RARE = ("volatile", "moved_from", "imported", "identity", "deferred")
"""Fields of a change that stand in the document only when they say something."""

_SCALARS = frozenset({str, int, bool, float, type(None)})


def plan_document(plan: Plan) -> dict[str, Any]:
    """Return the document of *plan*; sensitive values are sealed."""
    key = plan.secret_key
    return _document(
        plan, [_change(c, key) for c in plan.changes], [_action(a, key) for a in plan.actions]
    )  # fmt: skip


def document_and_digest(plan: Plan, cache: PlanCache | None = None) -> tuple[dict[str, Any], str]:
    """Return the document of *plan* and the SHA-256 of its canonical form, 64 hex.

    With *cache* the forms of what stayed the same since the last plan are taken from there.
    """
    if cache is None:
        document = plan_document(plan)
        return document, digest(document)
    changes = [cache.form(c, partial(_change, key=plan.secret_key)) for c in plan.changes]
    steps = [cache.form(a, partial(_action, key=plan.secret_key)) for a in plan.actions]
    document = _document(plan, [f.document for f in changes], [f.document for f in steps])
    data = {name: canonical_json(value) for name, value in document.items() if name not in {"changes", "actions"}}
    data["changes"] = b"[" + b",".join([f.data for f in changes]) + b"]"
    data["actions"] = b'{"steps":[' + b",".join([f.data for f in steps]) + b'],"version":"1"}'
    whole = b"{" + b",".join([b'"%s":%s' % (name.encode(), data[name]) for name in sorted(data)]) + b"}"
    return document, sha256_hex(whole)


def drift_document(drift: Iterable[Drift], key: bytes) -> list[dict[str, Any]]:
    """Return the JSON form of *drift*; sensitive values are sealed with *key*."""
    return [
        {
            "address": d.address,
            "gone": d.gone,
            "detail": d.detail,
            "attributes": [
                {"path": p, "recorded": _json(r, key), "observed": _json(o, key)} for p, r, o in d.attributes
            ],
        }
        for d in drift
    ]


def _document(plan: Plan, changes: list[Any], steps: list[Any]) -> dict[str, Any]:
    key = plan.secret_key
    return {
        "schema": "clockwork.plan.v1",
        "tool_version": plan.tool_version,
        "configuration": plan.configuration_digest,
        "lineage": plan.lineage,
        "serial": plan.serial,
        "facts": plan.facts.to_document(),
        "compiler": plan.compiler,
        "destroy": plan.destroy,
        "targets": list(plan.targets),
        **({"excluded": list(plan.excluded)} if plan.excluded else {}),
        **({"replace": list(plan.replaced)} if plan.replaced else {}),
        "prune": plan.prune,
        "variables": [_json(dict(v), key) for v in plan.variables],
        "ports": [{"name": k, "port": v} for k, v in sorted(plan.ports.items())],
        "changes": changes,
        "actions": {"version": "1", "steps": steps},
        "drift": drift_document(plan.drift, key),
        "outputs": [
            {
                "name": o.name,
                "before": _json(o.before, key),
                "after": _json(o.after, key),
                "sensitive": o.sensitive,
            }
            for o in plan.outputs
        ],
        "not_loaded": [{"address": a, "declared_in": w} for a, w in sorted(plan.not_loaded.items())],
    }


def _change(change: ResourceChange, key: bytes) -> dict[str, Any]:
    document: dict[str, Any] = {
        "address": change.address,
        "type": change.type,
        "kind": change.kind,
        "describe": change.describe,
        "declared_in": change.declared_in,
        "dependencies": list(change.dependencies),
        "attributes": [
            {
                "path": a.path,
                "before": _json(a.before, key),
                "after": _json(a.after, key),
                **({"forces_replacement": True} if a.forces_replacement else {}),
            }
            for a in change.attributes
        ],
        "before": _json(change.before, key),
        "after": _json(change.after, key),
        "reason": change.reason,
        "risk": list(change.risk),
    }
    for name in _RARE:
        value = getattr(change, name)
        if value:
            document[name] = _json(value, key)
    return document


def _action(action: Action, key: bytes) -> dict[str, Any]:
    document = action.to_document()
    document["args"] = _json(document["args"], key)
    return document


def _json(value: Any, key: bytes) -> Any:
    """Return *value* as JSON types, itself where it is made of them; recursion: values are bounded in depth."""
    if type(value) in _SCALARS:
        return value
    if isinstance(value, Sensitive):
        return seal(value, key)
    if isinstance(value, Unknown):
        return {"$unknown": value.why}
    if isinstance(value, dict):
        changed: dict[str, Any] | None = None
        for name, item in value.items():
            if type(item) not in _SCALARS and (form := _json(item, key)) is not item:
                if changed is None:
                    changed = dict(value)
                changed[name] = form
        return value if changed is None else changed
    if isinstance(value, (list, tuple)):
        return [item if type(item) in _SCALARS else _json(item, key) for item in value]
    return value
