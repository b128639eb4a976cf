"""The state before a plan: what was recorded by earlier applies. A value; its document form is ``state.json``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field

from clockwork_nb.errors import InvalidInputError
from clockwork_nb.ids import valid_address

__all__ = ["SCHEMA", "STATUSES", "PriorResource", "PriorState"]

SCHEMA = "clockwork.state.v1"
STATUSES = ("ok", "failed", "unknown", "tainted")
"""How the last step of a resource ended; everything but ``ok`` means that it is done again."""


class PriorResource(Struct, frozen=True):
    """One recorded resource.

    Attributes:
        config: as applied, with each sensitive leaf replaced by ``{"$sensitive": HMAC-SHA-256 hex}``.
        declared_in: the key of the file or cell that declared it.
        dependencies: addresses it needed when it was applied, sorted.
        status: one of `STATUSES`.
        identity: what was observed after it was applied.
    """

    type: str
    config: Mapping[str, Any]
    declared_in: str = ""
    dependencies: tuple[str, ...] = ()
    status: str = "ok"
    identity: Mapping[str, Any] = field(default_factory=dict)


class PriorState(Struct, frozen=True):
    """Everything recorded. Without arguments: the state before the first apply.

    ``lineage`` is None and ``serial`` 0 before the first apply. ``outputs`` maps names to values, sensitive ones in
    their recorded form. ``ports`` are the answers of ``free_port`` that were applied. ``last`` is
    ``{job, section, seq}`` of the last event folded in.
    """

    lineage: str | None = None
    serial: int = 0
    resources: Mapping[str, PriorResource] = field(default_factory=dict)
    outputs: Mapping[str, Any] = field(default_factory=dict)
    ports: Mapping[str, int] = field(default_factory=dict)
    last: Mapping[str, Any] | None = None

    def to_document(self) -> dict[str, Any]:
        """Return the JSON form: lists sorted by address or name."""
        return {
            "schema": SCHEMA,
            "lineage": self.lineage,
            "serial": self.serial,
            "resources": [
                {
                    "address": address,
                    "type": r.type,
                    "config": dict(r.config),
                    "identity": dict(r.identity),
                    "declared_in": r.declared_in,
                    "dependencies": list(r.dependencies),
                    "status": r.status,
                }
                for address, r in sorted(self.resources.items())
            ],
            "outputs": [
                {"name": name, "value": value, "sensitive": _is_sealed(value)}
                for name, value in sorted(self.outputs.items())
            ],
            "ports": [{"name": name, "port": port} for name, port in sorted(self.ports.items())],
            "last": dict(self.last) if self.last is not None else None,
        }

    @classmethod
    def from_document(cls, doc: Mapping[str, Any]) -> PriorState:
        """Return the state of *doc*.

        Raises:
            InvalidInputError: E_INVALID_INPUT_SCHEMA, it is not a state of this schema; the message says where.
        """
        _require(isinstance(doc, Mapping) and doc.get("schema") == SCHEMA, "schema", f'"{SCHEMA}"')
        lineage, serial, last = doc.get("lineage"), doc.get("serial"), doc.get("last")
        _require(lineage is None or isinstance(lineage, str), "lineage", "text or null")
        _require(_is_count(serial), "serial", "a number from 0")
        _require(last is None or isinstance(last, dict), "last", "an object or null")
        return cls(
            lineage=lineage,
            serial=serial if isinstance(serial, int) else 0,
            resources=_resources(_list(doc, "resources")),
            outputs=_outputs(_list(doc, "outputs")),
            ports=_ports(_list(doc, "ports")),
            last=last,
        )


def _resources(items: list[Any]) -> dict[str, PriorResource]:
    out: dict[str, PriorResource] = {}
    for i, item in enumerate(items):
        at = f"resources[{i}]"
        _require(isinstance(item, dict), at, "an object")
        address = item.get("address")
        _require(isinstance(address, str) and valid_address(address), f"{at}.address", "a resource's address")
        _require(address not in out, f"{at}.address", f"an address that is not there yet ({address} is)")
        _require(isinstance(item.get("type"), str), f"{at}.type", "the name of a resource type")
        _require(isinstance(item.get("config"), dict), f"{at}.config", "an object")
        _require(isinstance(item.get("identity"), dict), f"{at}.identity", "an object")
        _require(isinstance(item.get("declared_in"), str), f"{at}.declared_in", "text")
        _require(item.get("status") in STATUSES, f"{at}.status", f"one of {', '.join(STATUSES)}")
        needs = item.get("dependencies")
        _require(isinstance(needs, list) and all(isinstance(n, str) for n in needs), f"{at}.dependencies", "addresses")
        out[address] = PriorResource(
            type=item["type"],
            config=item["config"],
            declared_in=item["declared_in"],
            dependencies=tuple(sorted(set(item["dependencies"]))),
            status=item["status"],
            identity=item["identity"],
        )
    return out


def _outputs(items: list[Any]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for i, item in enumerate(items):
        good = isinstance(item, dict) and isinstance(item.get("name"), str) and "value" in item
        _require(good, f"outputs[{i}]", "an object with name and value")
        out[item["name"]] = item["value"]
    return out


def _ports(items: list[Any]) -> dict[str, int]:
    out: dict[str, int] = {}
    for i, item in enumerate(items):
        good = isinstance(item, dict) and isinstance(item.get("name"), str) and _is_count(item.get("port"))
        _require(good, f"ports[{i}]", "an object with name and port")
        out[item["name"]] = item["port"]
    return out


def _list(doc: Mapping[str, Any], name: str) -> list[Any]:
    value = doc.get(name)
    _require(isinstance(value, list), name, "a list")
    return value if isinstance(value, list) else []


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_sealed(value: Any) -> bool:
    return isinstance(value, dict) and set(value) == {"$sensitive"}


def _require(holds: bool, where: str, wanted: str) -> None:
    if not holds:
        raise InvalidInputError(
            f"the state is not usable: {where} must be {wanted}",
            hint="Restore the state from its backup (state.json.backup), or from the last jobpack.",
            details={"where": where},
        )
