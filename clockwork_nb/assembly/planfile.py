"""The saved plan: ``plan.json`` with its digest and the time it was made. Bytes in, values out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from clockwork_nb.assembly.plan import Plan
from clockwork_nb.canonical import canonical_json, digest, parse_json
from clockwork_nb.errors import InvalidInputError
from clockwork_nb.patterns import pattern

__all__ = ["MAX_PLAN_BYTES", "SavedPlan", "decode_plan", "encode_plan", "explain_stale"]

MAX_PLAN_BYTES = 256 << 20
_SCHEMA = "clockwork.plan.v1"
_KINDS = frozenset({"create", "update", "replace", "delete", "noop", "verify", "forget", "move", "import"})
_SHA256 = pattern(r"[0-9a-f]{64}\Z")
_STAMP = pattern(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z\Z")


class SavedPlan(Struct, frozen=True):
    """A plan read from a file: ``document`` is what the digest is of, without ``plan_digest`` and ``created_at``."""

    document: Mapping[str, Any]
    digest: str
    created_at: str


def encode_plan(plan: Plan, created_at: str) -> bytes:
    """Return the bytes of the plan file: canonical JSON of the plan's document, its digest, and *created_at*.

    Args:
        created_at: RFC 3339, UTC, six digits (`clockwork_nb.clock.rfc3339`); not part of the digest.
    """
    document = plan.to_document()
    return canonical_json({**document, "plan_digest": digest(document), "created_at": created_at})


def decode_plan(data: bytes) -> SavedPlan:
    """Return the plan in *data*, after checking its shape and that it is what its digest says.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA, no plan file of this version, or changed since it was written.
    """
    if len(data) > MAX_PLAN_BYTES:
        raise _bad("the file", f"at most {MAX_PLAN_BYTES} bytes")
    doc = parse_json(data, what="the plan file")
    if not isinstance(doc, dict):
        raise _bad("the file", "a JSON object")
    if doc.get("schema") != _SCHEMA:
        raise _bad("schema", f'"{_SCHEMA}"')
    _check(doc, _PLAN, "", optional=("excluded", "replace"))
    for i, change in enumerate(doc["changes"]):
        _check(change, _CHANGE, f"changes[{i}].", optional=_CHANGE_OPTIONAL)
        for k, attribute in enumerate(change["attributes"]):
            _check(attribute, _ATTRIBUTE, f"changes[{i}].attributes[{k}].", optional=("forces_replacement",))
    _check(doc["actions"], _ACTIONS, "actions.")
    for i, step in enumerate(doc["actions"]["steps"]):
        _check(step, _STEP, f"actions.steps[{i}].", optional=_STEP_OPTIONAL)
    for name, rules in (("outputs", _OUTPUT), ("drift", _DRIFT), ("variables", _VARIABLE), ("ports", _PORT)):
        for i, item in enumerate(doc[name]):
            _check(item, rules, f"{name}[{i}].")
    created_at, claimed = doc.pop("created_at"), doc.pop("plan_digest")
    actual = digest(doc)
    if actual != claimed:
        raise InvalidInputError(
            "the plan file was changed after it was written: its content does not have the digest it names",
            hint="Make a new plan: clockwork plan --out plan.json",
            details={"claimed": claimed, "actual": actual},
        )
    return SavedPlan(doc, actual, created_at)


def explain_stale(saved: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return what moved between the documents of two plans, a sentence each without full stop; empty if nothing did.

    The causes come first (state, configuration, variables, machine, tool), then what would happen differently.
    """
    out = _moved_state(saved, new)
    if saved["configuration"] != new["configuration"]:
        out.append("the configuration changed")
    out += _moved_items("variable", saved["variables"], new["variables"])
    out += _moved_facts(saved["facts"], new["facts"])
    for field, name in (("tool_version", "the tool"), ("compiler", "the compiler")):
        if saved[field] != new[field]:
            out.append(f"{name} was {saved[field]} and is {new[field]} now")
    if saved["destroy"] != new["destroy"]:
        out.append("one of the two plans destroys and the other does not")
    if saved["prune"] != new["prune"]:
        out.append("one of the two plans prunes and the other does not")
    if saved["targets"] != new["targets"]:
        before, now = (", ".join(doc["targets"]) or "everything" for doc in (saved, new))
        out.append(f"the target was {before} and is {now} now")
    for field, words in (("excluded", "what is excluded"), ("replace", "what is to be replaced")):
        if saved.get(field, []) != new.get(field, []):
            before, now = (", ".join(doc.get(field, [])) or "nothing" for doc in (saved, new))
            out.append(f"{words} was {before} and is {now} now")
    out += _moved_changes(saved["changes"], new["changes"])
    drifted = {d["address"] for d in saved["drift"]}
    out += [f"{d['address']} was changed outside since" for d in new["drift"] if d["address"] not in drifted]
    out += _moved_items("port", saved["ports"], new["ports"])
    if not out and dict(saved) != dict(new):
        out.append("the details of the plan differ")
    return out


def _moved_state(saved: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    if saved["lineage"] != new["lineage"]:
        if saved["lineage"] is None:
            return ["the first apply has happened since"]
        return ["it was made for another state (another lineage)"]
    if saved["serial"] != new["serial"]:
        return [f"the state moved on: it had serial {saved['serial']} and has serial {new['serial']} now"]
    return []


def _moved_items(what: str, saved: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]) -> list[str]:
    before = {item["name"]: item for item in saved}
    now = {item["name"]: item for item in new}
    out = [f"the {what} {name} is gone" for name in sorted(before.keys() - now.keys())]
    out += [f"the {what} {name} is new" for name in sorted(now.keys() - before.keys())]
    value = "value" if what == "variable" else "port"
    return out + [
        f"the {what} {name} has another value"
        for name in sorted(before.keys() & now.keys())
        if before[name][value] != now[name][value]
    ]


def _moved_facts(saved: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    out = [
        f"{name} was {saved[name]} and is {new[name]} now"
        for name in ("os", "arch", "confinement", "engine")
        if saved[name] != new[name]
    ]
    before, now = saved["runtimes"], new["runtimes"]
    return out + [
        f"the runtime {name} was {before.get(name, 'missing')} and is {now.get(name, 'missing')} now"
        for name in sorted(before.keys() | now.keys())
        if before.get(name) != now.get(name)
    ]


def _moved_changes(saved: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]) -> list[str]:
    before = {c["address"]: c for c in saved}
    now = {c["address"]: c for c in new}
    out = []
    for address in sorted(before.keys() | now.keys()):
        a, b = before.get(address), now.get(address)
        if a is None or b is None:
            kind = (a or b or {})["kind"]
            if kind != "noop":
                out.append(f"{address}: {kind} is {'new in the plan' if a is None else 'no longer in the plan'}")
        elif a["kind"] != b["kind"]:
            was, becomes = ("unchanged" if c["kind"] == "noop" else c["kind"] for c in (a, b))
            out.append(f"{address}: was {was} and is {becomes} now")
        elif a["before"] != b["before"]:
            out.append(f"{address}: it was applied differently since")
        elif a["after"] != b["after"]:
            out.append(f"{address}: it is to become something else")
    return out


# --- the shape of the document; each rule is a predicate and the words for it -------------------------------------

_Rule = tuple[Callable[[Any], bool], str]


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(v, str) for v in value)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


_TEXT: _Rule = (_is_text, "text")
_TEXTS: _Rule = (_is_texts, "a list of texts")
_LIST: _Rule = (lambda v: isinstance(v, list), "a list")
_OBJECT: _Rule = (lambda v: isinstance(v, dict), "an object")
_MAYBE_OBJECT: _Rule = (lambda v: v is None or isinstance(v, dict), "an object or null")
_FLAG: _Rule = (lambda v: isinstance(v, bool), "true or false")
_COUNT: _Rule = (_is_count, "a number from 0")
_SECONDS: _Rule = (
    lambda v: isinstance(v, (int, float)) and not isinstance(v, bool) and v >= 0,
    "a number of seconds",
)
_DIGEST: _Rule = (lambda v: isinstance(v, str) and _SHA256.match(v) is not None, "a SHA-256 in hex")
_KIND: _Rule = (lambda v: isinstance(v, str) and v in _KINDS, "a kind of change")
_ANY: _Rule = (lambda v: True, "anything")

_PLAN: Mapping[str, _Rule] = {
    "schema": _TEXT,
    "tool_version": _TEXT,
    "configuration": _TEXT,
    "lineage": (lambda v: v is None or isinstance(v, str), "text or null"),
    "serial": _COUNT,
    "facts": (
        lambda v: (
            isinstance(v, dict)
            and set(v) == {"os", "arch", "confinement", "engine", "runtimes"}
            and isinstance(v["runtimes"], dict)
        ),
        "the facts of a machine",
    ),
    "compiler": _TEXT,
    "destroy": _FLAG,
    "targets": _TEXTS,
    "excluded": _TEXTS,
    "replace": _TEXTS,
    "prune": _FLAG,
    "variables": _LIST,
    "ports": _LIST,
    "changes": _LIST,
    "actions": _OBJECT,
    "drift": _LIST,
    "outputs": _LIST,
    "not_loaded": _LIST,
    "plan_digest": _DIGEST,
    "created_at": (lambda v: isinstance(v, str) and _STAMP.match(v) is not None, "a time in UTC"),
}
_CHANGE: Mapping[str, _Rule] = {
    "address": _TEXT,
    "type": _TEXT,
    "kind": _KIND,
    "describe": _TEXT,
    "declared_in": _TEXT,
    "dependencies": _TEXTS,
    "attributes": _LIST,
    "before": _MAYBE_OBJECT,
    "after": _MAYBE_OBJECT,
    "reason": _TEXT,
    "risk": _TEXTS,
    "volatile": _MAYBE_OBJECT,
    "moved_from": _TEXT,
    "imported": _TEXT,
    "identity": _OBJECT,
    "deferred": _TEXT,
}
_CHANGE_OPTIONAL = ("volatile", "moved_from", "imported", "identity", "deferred")
_ATTRIBUTE: Mapping[str, _Rule] = {"path": _TEXT, "before": _ANY, "after": _ANY, "forces_replacement": _FLAG}
_ACTIONS: Mapping[str, _Rule] = {"version": (lambda v: v == "1", '"1"'), "steps": _LIST}
_STEP: Mapping[str, _Rule] = {
    "id": _TEXT,
    "name": _TEXT,
    "address": _TEXT,
    "args": _OBJECT,
    "change": _KIND,
    "timeout_s": _COUNT,
    "idempotent": _FLAG,
    "needs": _TEXTS,
    "risk": _TEXTS,
    "reason": _TEXT,
    "retries": _COUNT,
    "backoff_s": _SECONDS,
    "idle_timeout_s": _COUNT,
}
_STEP_OPTIONAL = ("needs", "risk", "reason", "retries", "backoff_s", "idle_timeout_s")
_OUTPUT: Mapping[str, _Rule] = {"name": _TEXT, "before": _ANY, "after": _ANY, "sensitive": _FLAG}
_DRIFT: Mapping[str, _Rule] = {"address": _TEXT, "gone": _FLAG, "detail": _TEXT, "attributes": _LIST}
_VARIABLE: Mapping[str, _Rule] = {"name": _TEXT, "value": _ANY, "source": _TEXT, "sensitive": _FLAG}
_PORT: Mapping[str, _Rule] = {"name": _TEXT, "port": _COUNT}


def _check(value: Any, rules: Mapping[str, _Rule], at: str, *, optional: Sequence[str] = ()) -> None:
    if not isinstance(value, dict):
        raise _bad(at.rstrip(".") or "the file", "an object")
    for name in value:
        if name not in rules:
            raise _bad(f"{at}{name}"[:120], "absent: no plan of this version has it")
    for name, (good, wanted) in rules.items():
        if name not in value:
            if name not in optional:
                raise _bad(f"{at}{name}", f"there ({wanted})")
        elif not good(value[name]):
            raise _bad(f"{at}{name}", wanted)


def _bad(where: str, wanted: str) -> InvalidInputError:
    return InvalidInputError(
        f"this is not a plan file that can be used: {where} must be {wanted}",
        hint="Make one with: clockwork plan --out plan.json",
        details={"where": where},
    )
