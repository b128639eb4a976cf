"""What the results of a section make of the state. Pure: events in, a new state out."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from clockwork_nb.canonical import canonical_json, parse_json
from clockwork_nb.errors import InvalidInputError, StoreCorruptError

__all__ = ["CHANGING", "SectionFold", "StateImage", "has_unknown", "new_state", "recorded", "step_entry"]

CHANGING = frozenset({"create", "update", "replace", "delete", "move", "import"})
"""Kinds of change whose steps touch the state."""

_MAKING = frozenset({"create", "update", "replace", "verify"})


def recorded(change: Mapping[str, Any]) -> bool:
    """Return whether *change* (of a plan's document) leaves something in the state when its steps succeed.

    A check is recorded, so that it is not due again until something it stands on changes. A plan made for ``verify``
    alone carries no ``after`` and leaves the state as it is. The steps of a deferred change only ask what it would do.
    """
    if change.get("deferred"):
        return False
    return change["kind"] in CHANGING or (change["kind"] == "verify" and change["after"] is not None)


def new_state(lineage: str) -> dict[str, Any]:
    """Return the state of a workspace before its first section."""
    return {
        "schema": "clockwork.state.v1",
        "lineage": lineage,
        "serial": 0,
        "resources": [],
        "outputs": [],
        "ports": [],
        "last": None,
    }


class StateImage:
    """A state document while it changes. Thread-safe; serialising costs what changed, plus one join."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._lock = threading.Lock()
        self._entries: dict[str, dict[str, Any]] = {e["address"]: dict(e) for e in document["resources"]}
        self._bytes: dict[str, bytes] = {}
        self._rest = {k: v for k, v in document.items() if k != "resources"}

    @property
    def lineage(self) -> str:
        """The state's lineage."""
        return str(self._rest["lineage"])

    @property
    def serial(self) -> int:
        """The state's serial."""
        return int(self._rest["serial"])

    @property
    def last(self) -> Mapping[str, Any] | None:
        """Job, section and seq of the last event folded in."""
        last: Mapping[str, Any] | None = self._rest["last"]
        return last

    @property
    def outputs(self) -> list[dict[str, Any]]:
        """The recorded outputs: name, value, sensitive."""
        return list(self._rest["outputs"])

    @property
    def ports(self) -> dict[str, int]:
        """The recorded answers of ``free_port``: name → port."""
        return {p["name"]: p["port"] for p in self._rest["ports"]}

    def entry(self, address: str) -> dict[str, Any] | None:
        """Return a copy of the entry of *address*; None when there is none."""
        with self._lock:
            found = self._entries.get(address)
            return None if found is None else dict(found)

    def put(self, entry: Mapping[str, Any]) -> None:
        """Set the entry of ``entry["address"]``."""
        with self._lock:
            self._entries[entry["address"]] = dict(entry)
            self._bytes.pop(entry["address"], None)

    def drop(self, address: str) -> None:
        """Remove the entry of *address*; nothing when there is none."""
        with self._lock:
            self._entries.pop(address, None)
            self._bytes.pop(address, None)

    def rename(self, names: Mapping[str, str]) -> None:
        """Give entries other addresses, *names* is old → new, also where others depend on them. What is not there stays so."""
        with self._lock:
            moved = {old: new for old, new in names.items() if old in self._entries}
            if not moved:
                return
            entries = {a: e for a, e in self._entries.items() if a not in moved}
            entries |= {new: {**self._entries[old], "address": new} for old, new in moved.items()}
            for address, entry in entries.items():
                needs = sorted({moved.get(need, need) for need in entry["dependencies"]})
                if needs != entry["dependencies"] or address in moved.values():
                    entries[address] = {**entry, "dependencies": needs}
                    self._bytes.pop(address, None)
            for old in moved:
                self._bytes.pop(old, None)
            self._entries = entries

    def set(self, **fields: Any) -> None:
        """Set ``serial``, ``outputs``, ``ports`` or ``last``."""
        with self._lock:
            self._rest.update(fields)

    def document(self) -> dict[str, Any]:
        """Return the document; resources sorted by address."""
        with self._lock:
            return {**self._rest, "resources": [dict(self._entries[a]) for a in sorted(self._entries)]}

    def document_bytes(self) -> bytes:
        """Return the canonical bytes of `document`."""
        with self._lock:
            for address, entry in self._entries.items():
                if address not in self._bytes:
                    self._bytes[address] = canonical_json(entry)
            resources = b",".join(self._bytes[a] for a in sorted(self._entries))
            # Canonical JSON of an object is its members in order of their names, each canonical.
            members = {k: canonical_json(v) for k, v in self._rest.items()}
            members["resources"] = b"[" + resources + b"]"
        return b"{" + b",".join(b'"%s":%s' % (k.encode(), members[k]) for k in sorted(members)) + b"}"


def step_entry(change: Mapping[str, Any], status: str, identity: Mapping[str, Any]) -> dict[str, Any]:
    """Return the state entry of the resource that *change* (of a plan's document) makes."""
    if change.get("volatile"):  # so that the next plan can tell "another time" from "another value"
        identity = {**identity, "volatile": change["volatile"]}
    return {
        "address": change["address"],
        "type": change["type"],
        "config": change["after"],
        "identity": dict(identity),
        "declared_in": change["declared_in"],
        "dependencies": list(change["dependencies"]),
        "status": status,
    }


class SectionFold:
    """How the events of one section change a state."""

    def __init__(self, plan: Mapping[str, Any], *, job: str, section: int) -> None:
        self.plan = plan
        self.job = job
        self.section = section
        self.changes: dict[str, Mapping[str, Any]] = {c["address"]: c for c in plan["changes"]}
        self.addresses: dict[str, str] = {s["id"]: s["address"] for s in plan["actions"]["steps"]}
        moved = any(o["before"] != o["after"] for o in plan["outputs"])
        self.touches = moved or any(recorded(c) or c["kind"] == "forget" for c in plan["changes"])
        """Whether the section changes the state at all; one that only checks does not."""

    def begin(self, image: StateImage, seq: int) -> bool:
        """Mark the state as being changed by this section; True the first time.

        The serial goes up by one for a section, however many steps it has.
        """
        last = image.last
        if last and last["job"] == self.job and last["section"] == self.section:
            return False
        image.set(serial=image.serial + 1)
        image.rename({c["moved_from"]: c["address"] for c in self.changes.values() if c.get("moved_from")})
        # What listens on a port outlives a section that fails: were its port not recorded, the next plan would find it
        # taken, by itself, and move everything to another one.
        ports = image.ports | {p["name"]: p["port"] for p in self.plan["ports"]}
        image.set(ports=[{"name": name, "port": port} for name, port in sorted(ports.items())])
        self.mark(image, seq)
        return True

    def mark(self, image: StateImage, seq: int) -> None:
        """Say that every event up to *seq* is folded in."""
        image.set(last={"job": self.job, "section": self.section, "seq": seq})

    def fold(self, image: StateImage, kind: str, payload: Mapping[str, Any], get_blob: Callable[[str], bytes]) -> None:
        """Fold one event of the section in; nothing for those that say nothing about the state.

        Raises:
            StoreCorruptError: the event carries something that is no entry.
        """
        if kind == "step.completed":
            self._completed(image, payload, get_blob)
        elif kind == "step.failed":
            self._mark(image, payload["step_id"], "failed")
        elif kind == "step.interrupted":
            self._mark(image, payload["step_id"], "unknown")
        elif kind == "section.closed" and payload["outcome"] == "completed":
            self.finish(image)

    def _completed(self, image: StateImage, payload: Mapping[str, Any], get_blob: Callable[[str], bytes]) -> None:
        if "entry_blob" in payload:
            text: bytes | str = get_blob(payload["entry_blob"])
        elif "entry" in payload:
            text = payload["entry"]
        else:
            return
        try:
            entry = parse_json(text, what="a state entry")
            if entry["resource"] is None:
                image.drop(entry["address"])
            else:
                image.put({"address": entry["address"], **entry["resource"]})
        except (InvalidInputError, KeyError, TypeError) as error:
            raise StoreCorruptError(
                f"the result of {payload['step_id']} does not hold a state entry: {error}"
            ) from error

    def _mark(self, image: StateImage, step_id: str, status: str) -> None:
        address = self.addresses.get(step_id, "")
        change = self.changes.get(address)
        if change is None or change.get("deferred") or not recorded(change):
            return  # an action of what waits only asks
        known = image.entry(address)
        if known is not None:
            image.put({**known, "status": status})
        elif change["kind"] in _MAKING:  # something of it may exist, so it must be known to be removed
            image.put(step_entry(change, status, {}))

    def finish(self, image: StateImage) -> None:
        """Record what a section that succeeded changes without a step: forgotten and moved resources, outputs, ports."""
        stepped = set(self.addresses.values())
        for change in self.plan["changes"]:
            if change.get("deferred"):
                continue  # nothing of it has happened yet
            if change["kind"] == "forget":
                image.drop(change["address"])
            elif change["kind"] in {"update", "move", "import"} and change["address"] not in stepped:
                known = image.entry(change["address"])  # a setting of ours changed, nothing that a step would do
                identity = known["identity"] if known else change.get("identity", {})
                image.put(step_entry(change, "ok", identity))
            elif change["kind"] == "noop" and (known := image.entry(change["address"])) is not None:
                moved = {"declared_in": change["declared_in"], "dependencies": list(change["dependencies"])}
                if any(known[k] != v for k, v in moved.items()):
                    image.put({**known, **moved})
        before = {o["name"]: o for o in image.outputs}
        outputs = []
        for output in sorted(self.plan["outputs"], key=lambda o: str(o["name"])):
            name, value = output["name"], output["after"]
            if has_unknown(value):
                outputs += [before[name]] if name in before else []  # recorded when it is known
            elif value is not None:
                outputs.append({"name": name, "value": value, "sensitive": _sealed(value)})
        image.set(outputs=outputs, ports=[dict(p) for p in self.plan["ports"]])


def has_unknown(value: Any) -> bool:
    """Return whether *value* (of a plan's document) is or holds something that is known only after apply."""
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            if set(item) == {"$unknown"}:
                return True
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)
    return False


def _sealed(value: Any) -> bool:
    return isinstance(value, dict) and set(value) == {"$sensitive"}
