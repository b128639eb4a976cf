"""What a person may change in the recorded state: forget, rename, taint, replace. Pure: a state in, a new state out.

Every edit raises the serial, so that plans made before it are stale, and sets ``last`` to null: no job's log knows more
than the file any more, so none is rolled forward over the edit.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from clockwork_nb.assembly.prior import PriorState
from clockwork_nb.errors import InvalidInputError, PlanStaleError, UnsafeOperationError
from clockwork_nb.ids import valid_address
from clockwork_nb.intake.names import nearest
from clockwork_nb.ports import Registry

__all__ = ["EditedEntry", "StateEdit", "matching", "move", "push", "remove", "taint", "untaint"]

_TAINTED = "tainted"


class EditedEntry(Struct, frozen=True):
    """One entry that an edit touches: its address, what happens (``forget``, ``move``, ``taint`` …), and to what."""

    address: str
    what: str
    to: str = ""
    entry: Mapping[str, Any] | None = None


class StateEdit(Struct, frozen=True):
    """An edit that is ready to be asked about: the state before and after it, and what it does to which entry.

    ``before`` is None where nothing was recorded. ``forced`` says what a push overrides, empty for every other edit.
    """

    verb: str
    arguments: tuple[str, ...]
    before: Mapping[str, Any] | None
    after: Mapping[str, Any]
    entries: tuple[EditedEntry, ...]
    reason: str = ""
    forced: str = ""

    @property
    def serial_before(self) -> int:
        """The serial before the edit; 0 where nothing was recorded."""
        return int(self.before["serial"]) if self.before is not None else 0


def _proper(pattern: str, types: Registry) -> str:
    prefix, dot, rest = pattern.partition(".")
    kind = types.get(prefix) if dot and prefix.isidentifier() else None
    return f"{kind.name}.{rest}" if kind is not None else pattern


def matching(addresses: Iterable[str], pattern: str, types: Registry) -> list[str]:
    """Return those of *addresses* that *pattern* means, in their order; none when it means nothing here.

    An address means itself, or all instances of a resource with ``count`` or ``for_each``; ``*`` stands for any number
    of characters, ``?`` for one. An alias of a type is the type.
    """
    name = _proper(pattern.strip(), types)
    known = list(addresses)
    if name in known:
        return [name]
    if "*" in name or "?" in name:
        wild = re.compile(
            "".join(".*" if c == "*" else "." if c == "?" else re.escape(c) for c in name) + r"\Z", re.DOTALL
        )
        return [address for address in known if wild.match(address)]
    return [address for address in known if address.partition("[")[0] == name]


def _found(document: Mapping[str, Any], pattern: str, types: Registry) -> list[str]:
    addresses = [entry["address"] for entry in document["resources"]]
    found = matching(addresses, pattern, types)
    if not found:
        near = nearest(_proper(pattern, types), addresses)
        raise InvalidInputError(
            f"nothing is recorded as {pattern}",
            hint=f"Did you mean {near}?" if near else "clockwork state list shows what is recorded.",
            details={"address": pattern},
        )
    return found


def _one(document: Mapping[str, Any], address: str, types: Registry) -> Mapping[str, Any]:
    found = _found(document, address, types)
    if len(found) > 1:
        raise InvalidInputError(
            f"{address} means {len(found)} resources here: {', '.join(found[:3])}{' …' if found[3:] else ''}",
            hint="Name one of them.",
        )
    entry: Mapping[str, Any] = next(e for e in document["resources"] if e["address"] == found[0])
    return entry


def _next(document: Mapping[str, Any], resources: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    ordered = sorted((dict(entry) for entry in resources), key=lambda entry: str(entry["address"]))
    return {**document, "serial": document["serial"] + 1, "resources": ordered, "last": None}


def remove(document: Mapping[str, Any], patterns: Sequence[str], types: Registry, *, reason: str = "") -> StateEdit:
    """Return the edit that forgets every entry that *patterns* mean. Whatever they stand for stays as it is.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA, a pattern means nothing.
    """
    gone = {address for pattern in patterns for address in _found(document, pattern, types)}
    entries = tuple(EditedEntry(e["address"], "forget", entry=e) for e in document["resources"] if e["address"] in gone)
    after = _next(document, (e for e in document["resources"] if e["address"] not in gone))
    return StateEdit("rm", tuple(patterns), document, after, entries, reason)


def move(document: Mapping[str, Any], source: str, target: str, types: Registry, *, reason: str = "") -> StateEdit:
    """Return the edit that gives the entry *source* the address *target*, also where others name it as a dependency.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA, there is no *source*, or *target* is no address.
        UnsafeOperationError: E_UNSAFE_OPERATION, *target* is taken or of another type, or the thing is bound to its
            address.
    """
    entry = _one(document, source, types)
    source, target = str(entry["address"]), _proper(target.strip(), types)
    if not valid_address(target):
        raise InvalidInputError(
            f"{target!r} is not an address", hint='An address is type.name, type.name[0] or type.name["key"].'
        )
    if any(other["address"] == target for other in document["resources"]):
        raise UnsafeOperationError(
            f"{target} is recorded already", hint=f"To give up what is recorded there: clockwork state rm '{target}'"
        )
    if target.partition(".")[0] != entry["type"]:
        raise UnsafeOperationError(
            f"{source} is of the type {entry['type']} and cannot become {target}",
            hint=f"Name an address of the same type: {entry['type']}.…",
        )
    _check_follows(entry, target, types)
    renamed = {source: target}
    resources = [
        {
            **other,
            "address": renamed.get(other["address"], other["address"]),
            "dependencies": sorted({renamed.get(need, need) for need in other["dependencies"]}),
        }
        for other in document["resources"]
    ]
    edited = (EditedEntry(source, "move", target, entry),)
    return StateEdit("mv", (source, target), document, _next(document, resources), edited, reason)


def _check_follows(entry: Mapping[str, Any], target: str, types: Registry) -> None:
    kind = types.get(entry["type"])
    source = entry["address"]
    if kind is None:
        raise UnsafeOperationError(
            f"the type {entry['type']} is not installed here, so it cannot be told whether {source} may be renamed",
            hint="Install the package that brings it, and try again.",
        )
    if getattr(kind, "bound_to_address", False):
        raise UnsafeOperationError(
            f"{source} is bound to its address: what runs under this name does not follow to {target}",
            hint=f"Make it anew under the other name. With the old block still there: clockwork destroy --target '{source}'\n"
            "Then rename the block and apply.",
            details={"address": source, "to": target},
        )


def taint(document: Mapping[str, Any], address: str, types: Registry, *, reason: str = "") -> StateEdit:
    """Return the edit that marks *address* as not to be relied on: the next apply does it again.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA, there is no such entry, or it is marked already.
    """
    entry = _one(document, address, types)
    if entry["status"] == _TAINTED:
        raise InvalidInputError(f"{entry['address']} is tainted already", hint="The next apply does it again.")
    return _marked("taint", document, entry, _TAINTED, reason)


def untaint(document: Mapping[str, Any], address: str, types: Registry, *, reason: str = "") -> StateEdit:
    """Return the edit that takes the mark of `taint` away.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA, there is no such entry, or it has another status: what became of a step
            that failed or was cut off is found out by looking, not by declaring it well.
    """
    entry = _one(document, address, types)
    if entry["status"] != _TAINTED:
        raise InvalidInputError(
            f"{entry['address']} is not tainted; its status is {entry['status']}",
            hint="" if entry["status"] == "ok" else "The next plan looks at what is there, and apply does it again.",
        )
    return _marked("untaint", document, entry, "ok", reason)


def _marked(verb: str, document: Mapping[str, Any], entry: Mapping[str, Any], status: str, reason: str) -> StateEdit:
    after = _next(document, ({**e, "status": status} if e is entry else e for e in document["resources"]))
    edited = (EditedEntry(str(entry["address"]), verb, status, entry),)
    return StateEdit(verb, (str(entry["address"]),), document, after, edited, reason)


def push(
    document: Mapping[str, Any] | None, pushed: Any, *, name: str = "", force: bool = False, reason: str = ""
) -> StateEdit:
    """Return the edit that puts *pushed* in the place of *document*; its serial is one above both.

    A document that was pulled, edited and pushed has the serial it was pulled with; when the state has moved on since,
    that is seen by it.

    Args:
        pushed: a parsed document in the present form.
        name: how the file is called, for messages.
        force: put it there although its lineage is another one or its serial is lower.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA, it is no state, or the very same one.
        UnsafeOperationError: E_UNSAFE_OPERATION, another lineage. PlanStaleError: E_PLAN_STALE, a lower serial.
    """
    whole = _whole(pushed)
    forced = []
    if document is not None:
        if whole["lineage"] != document["lineage"]:
            forced.append("another lineage")
            if not force:
                raise UnsafeOperationError(
                    "this is the state of another workspace: its lineage is another one",
                    hint='If it is the right one all the same: --force --reason "…"',
                    details={"lineage": document["lineage"], "pushed": whole["lineage"]},
                )
        if whole["serial"] < document["serial"]:
            forced.append(f"serial {whole['serial']} below {document['serial']}")
            if not force:
                raise PlanStaleError(
                    f"the state has moved on since: it has the serial {document['serial']}, this one {whole['serial']}",
                    hint='Pull again and make your change there. To give up what happened since: --force --reason "…"',
                    details={"serial": document["serial"], "pushed": whole["serial"]},
                )
        if _content(whole) == _content(document):
            raise InvalidInputError("this is what is recorded already", hint="Nothing was changed.")
    serial = max(whole["serial"], document["serial"] if document is not None else 0) + 1
    after = {**whole, "serial": serial, "last": None}
    entries = tuple(_differences(document, after))
    return StateEdit("push", (name,) if name else (), document, after, entries, reason, ", ".join(forced))


def _whole(pushed: Any) -> dict[str, Any]:
    """Return *pushed* with its lists in order, after checking that it is a state and nothing else."""
    state = PriorState.from_document(pushed)
    whole = state.to_document()
    given = {name: _ordered(value) for name, value in pushed.items()}
    if given != {name: _ordered(value) for name, value in whole.items()}:
        where = _first_difference(given, whole)
        raise InvalidInputError(
            f"the document is no state as clockwork writes it: {where}",
            hint="Change values, and leave the form as clockwork state pull wrote it.",
            details={"where": where},
        )
    if not whole["lineage"]:
        raise InvalidInputError("the document has no lineage", hint="A state that was applied once has one.")
    return whole


def _ordered(value: Any) -> Any:
    """Return *value*; of a list of entries, in the order that is ours, however a person's editor left them."""
    if not isinstance(value, list):
        return value
    entries = [
        {**e, "dependencies": sorted(set(e["dependencies"]))} if isinstance(e, dict) and "dependencies" in e else e
        for e in value
    ]
    return sorted(entries, key=lambda e: str(e.get("address", e.get("name", ""))) if isinstance(e, dict) else "")


def _first_difference(given: Mapping[str, Any], whole: Mapping[str, Any]) -> str:
    """Return the first place at which *given* has what does not belong there, or differs from its own normal form."""
    for name, value in given.items():
        if name not in whole:
            return f"{name[:80]!r} does not belong there"
        if value == _ordered(whole[name]) or not isinstance(value, list):
            continue
        for index, (mine, ours) in enumerate(zip(value, _ordered(whole[name]), strict=False)):
            extra = sorted(set(mine) - set(ours))
            if extra:
                return f"{extra[0][:80]!r} does not belong into {name}[{index}]"
            if mine != ours:
                return f"{name}[{index}] does not fit together"
    return "something differs from its normal form"


def _content(document: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name not in {"serial", "last"}}


def _differences(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> Iterable[EditedEntry]:
    old = {e["address"]: e for e in before["resources"]} if before is not None else {}
    new = {e["address"]: e for e in after["resources"]}
    for address in sorted(old.keys() | new.keys()):
        if address not in new:
            yield EditedEntry(address, "forget", entry=old[address])
        elif address not in old:
            yield EditedEntry(address, "record", entry=new[address])
        elif old[address] != new[address]:
            yield EditedEntry(address, "change", entry=new[address])
