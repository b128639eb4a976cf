"""``moved``, ``import`` and ``removed``: what becomes of things that are recorded, or there, under another name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeVar

from clockwork_nb.diagnostics import Diagnostics, SourceRange
from clockwork_nb.intake.block_kit import BlockKit
from clockwork_nb.intake.configuration import Configuration, Import, Move, Removal
from clockwork_nb.intake.names import did_you_mean, shown, summary
from clockwork_nb.intake.nodes import Attribute, Block, Origin
from clockwork_nb.ports import Registry

__all__ = ["TransitionReader", "check_transitions"]

_Item = TypeVar("_Item", Move, Import, Removal)
_INSTEAD: Final = 'Write the address of a resource: file.conf, or "file.conf".'


class TransitionReader(BlockKit):
    """Reads the three blocks into one `Configuration`."""

    def __init__(self, configuration: Configuration, types: Registry, diagnostics: Diagnostics) -> None:
        super().__init__(types, diagnostics)
        self.configuration = configuration

    def moved(self, block: Block, origin: Origin, key: str) -> None:
        """Take over ``moved { from = file.a  to = file.b }``."""
        given = self._attributes_of(block, origin, ("from", "to"))
        old, new = (self._named(given, name, origin) for name in ("from", "to"))
        place = origin.span(block.start, block.header_end)
        if not old or not new:
            return
        if old.partition(".")[0] != new.partition(".")[0]:
            self.diagnostics.error(
                "cw-wrong-type",
                "a resource cannot move to another type",
                origin.range(given["to"].value),
                detail=f"{old} is of another type than {new}: take the block away, and {old} is removed and {new} made.",
            )
            return
        if old == new:
            self.diagnostics.error("cw-cycle", f"{shown(old)} is moved to itself", place, detail="Take the block away.")
            return
        self._once(self.configuration.moves, old, Move(old, new, place), "moved")

    def imported(self, block: Block, origin: Origin, key: str) -> None:
        """Take over ``import { to = file.a  id = "out/a" }``."""
        given = self._attributes_of(block, origin, ("to", "id"))
        address = self._named(given, "to", origin)
        known = len(self.diagnostics)
        import_id = self._text(given["id"], origin) if "id" in given else ""
        if "id" in given and not import_id and len(self.diagnostics) == known:
            self.diagnostics.error(
                "cw-wrong-type", "the id is empty", origin.range(given["id"].value),
                detail="Write what names the thing that is there: of a file or folder, its path.",
            )  # fmt: skip
        place = origin.span(block.start, block.header_end)
        if address and import_id:
            self._once(self.configuration.imports, address, Import(address, import_id, place), "imported")

    def removed(self, block: Block, origin: Origin, key: str) -> None:
        """Take over ``removed { from = file.a  lifecycle { destroy = false } }``."""
        given = self._attributes_of(block, origin, ("from",), nested="lifecycle")
        destroy = True
        for item in block.body.items:
            if isinstance(item, Block) and item.kind == "lifecycle":
                for inner in item.body.items:
                    if isinstance(inner, Attribute) and inner.name == "destroy":
                        destroy = self._flag(inner, origin)
                    else:
                        self._unknown_attribute(inner, "the lifecycle of removed", ("destroy",), origin)
        address = self._named(given, "from", origin)
        place = origin.span(block.start, block.header_end)
        if address:
            self._once(self.configuration.removals, address, Removal(address, destroy, place), "removed")

    def _attributes_of(
        self, block: Block, origin: Origin, names: tuple[str, ...], *, nested: str = ""
    ) -> Mapping[str, Attribute]:
        """Return the attributes of *block* by name; what is missing or too much is reported."""
        given: dict[str, Attribute] = {}
        if self._labels(block, origin, ()) is None or block.broken:
            return given
        for item in block.body.items:
            if isinstance(item, Attribute) and item.name in names:
                given[item.name] = item
            elif isinstance(item, Attribute) or item.kind != nested:
                self._unknown_attribute(item, block.kind, (*names, *filter(None, [nested])), origin)
        for name in names:
            if name not in given:
                self._missing(name, block.kind, block, origin)
        return given

    def _named(self, given: Mapping[str, Attribute], name: str, origin: Origin) -> str:
        if name not in given:
            return ""
        address = self._address(given[name].value)
        if not address:
            self.diagnostics.error(
                "cw-unknown-reference", f"{name} names no resource", origin.range(given[name].value), detail=_INSTEAD
            )
        return address

    def _once(self, known: dict[str, _Item], address: str, item: _Item, what: str) -> None:
        first = known.setdefault(address, item)
        if first is not item:
            self.diagnostics.error(
                "cw-duplicate",
                summary(f"{address} is {what} twice"),
                item.range,
                detail="Take one of the two away.",
                trail=(("the other one", first.range),),
            )


def check_transitions(configuration: Configuration, diagnostics: Diagnostics, *, complete: bool) -> None:
    """Check that what is moved or removed is not declared, and that its destination or what is imported is.

    *complete* says that every text could be read; otherwise an unknown name may be declared in what could not.
    """
    declared = configuration.resources

    def wrong(code: str, text: str, place: SourceRange, detail: str, note: str = "") -> None:
        diagnostics.error(code, summary(text), place, detail=detail, note=note)

    arrived: dict[str, SourceRange] = {}
    for old, move in configuration.moves.items():
        first = arrived.setdefault(move.new, move.range)
        if first is not move.range:
            diagnostics.error(
                "cw-duplicate", summary(f"two resources are moved to {move.new}"), move.range,
                detail="Take one of the two away: only one thing can be there.", trail=(("the other one", first),),
            )  # fmt: skip
        if old in configuration.removals:
            wrong("cw-duplicate", f"{old} is moved and removed", move.range, "Take one of the two blocks away.")
        if old in declared:
            wrong(
                "cw-duplicate", f"{old} is moved and still declared", move.range,
                f"Rename its block to {move.new}, or take the moved block away.",
            )  # fmt: skip
        final = configuration.destination(old)
        if not final:
            wrong("cw-cycle", f"{old} is moved in a circle", move.range, "Take one of these blocks away.")
        elif final not in declared and complete:
            _undeclared(wrong, final, move.range, configuration)
    for address, item in configuration.imports.items():
        if address not in declared and complete:
            _undeclared(wrong, address, item.range, configuration)
    for address, removal in configuration.removals.items():
        if address in declared:
            wrong(
                "cw-duplicate", f"{address} is removed and still declared", removal.range,
                "Take its block away, or this one.",
            )  # fmt: skip


def _undeclared(wrong: Callable[..., None], address: str, place: SourceRange, configuration: Configuration) -> None:
    wrong(
        "cw-unknown-reference",
        f"{address} is not declared",
        place,
        f'Declare it: {address.partition(".")[0]} "{address.partition(".")[2]}" {{ … }}',
        did_you_mean(address, configuration.resources),
    )
