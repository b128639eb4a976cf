"""The ``lifecycle`` block of a resource: settings about how it changes, which its type knows nothing of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from clockwork_nb.intake.block_kit import BlockKit
from clockwork_nb.intake.configuration import Need, ResourceDeclaration, Trigger
from clockwork_nb.intake.names import did_you_mean, shown, summary
from clockwork_nb.intake.nodes import Attribute, Block, List, Literal, Node, Origin, Reference

__all__ = ["LifecycleReader"]

_NOT_BUILT: Final[Mapping[str, str]] = {
    "precondition": "Use the validation of a variable.",
    "postcondition": "Use a check resource with depends_on.",
}
_NAMES: Final = ("create_before_destroy", "ignore_changes", "prevent_destroy", "replace_triggered_by")


class LifecycleReader(BlockKit):
    """Fills the settings of a `ResourceDeclaration` in."""

    def read(self, block: Block, origin: Origin, found: ResourceDeclaration, where: str) -> None:
        """Take over what *block* says about *found*, which people know as *where*."""
        for item in block.body.items:
            name = item.name if isinstance(item, Attribute) else item.kind
            end = item.name_end if isinstance(item, Attribute) else item.kind_end
            if name in _NOT_BUILT:
                self._not_built(f'"{name}"', Node(item.start, end), origin, _NOT_BUILT[name])
            elif isinstance(item, Block) or name not in _NAMES:
                self._unknown_attribute(item, f"the lifecycle of {where}", _NAMES, origin)
            elif name == "prevent_destroy":
                found.prevent_destroy = self._flag(item, origin)
            elif name == "create_before_destroy":
                found.create_before_destroy = self._flag(item, origin)
            elif name == "replace_triggered_by":
                found.triggers = self._triggers(item, origin)
            else:
                found.ignore_changes = self._ignored(item, origin, found)

    def _triggers(self, attribute: Attribute, origin: Origin) -> tuple[Trigger, ...]:
        """Return the resources, or attributes of resources, whose change replaces this one."""
        value = attribute.value
        out: list[Trigger] = []
        for item in value.items if isinstance(value, List) else (value,):
            parts = item.parts if isinstance(item, Reference) else ()
            kind = self.types.get(parts[0]) if len(parts) in {2, 3} else None
            if kind is None:
                self.diagnostics.error(
                    "cw-unknown-reference",
                    "replace_triggered_by is a list of resources",
                    origin.range(item),
                    detail="Write replace_triggered_by = [file.conf], or an attribute: [file.conf.content].",
                )
                continue
            name = parts[2] if len(parts) == 3 else ""
            if name and not self._attribute_exists(kind.name, name):
                self._no_attribute(kind.name, name, Node(*item.part_range(2)), origin)  # type: ignore[attr-defined]
                continue
            out.append(Trigger(Need(f"{kind.name}.{parts[1]}", item), name))
        return tuple(out)

    def _ignored(self, attribute: Attribute, origin: Origin, found: ResourceDeclaration) -> tuple[str, ...]:
        value = attribute.value
        if isinstance(value, Reference) and value.parts == ("all",):
            return ("all",)
        names: list[str] = []
        for item in value.items if isinstance(value, List) else (value,):
            if isinstance(item, Reference) and len(item.parts) == 1:
                name = item.parts[0]
            elif isinstance(item, Literal) and isinstance(item.value, str):
                name = item.value
            else:
                self.diagnostics.error(
                    "cw-wrong-type",
                    "ignore_changes is a list of attribute names",
                    origin.range(item),
                    detail="Write ignore_changes = [image, env], or all. Parts of an attribute are not built yet.",
                )
                continue
            if not self._attribute_exists(found.type, name):
                self._no_attribute(found.written, name, item, origin)
                continue
            names.append(name)
        return tuple(names)

    def _no_attribute(self, written: str, name: str, node: Node, origin: Origin) -> None:
        kind = self.types[written].name
        self.diagnostics.error(
            "cw-unknown-attribute",
            summary(f"{written} has no attribute {shown(name)}"),
            origin.range(node),
            note=did_you_mean(name, self._attributes(kind)),
        )
