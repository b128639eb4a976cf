"""What every reader of blocks shares: the mistakes they report, and attributes that are needed before anything is evaluated."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from clockwork_nb.diagnostics import Diagnostics
from clockwork_nb.intake.constants import constant_value
from clockwork_nb.intake.names import did_you_mean, shown, summary
from clockwork_nb.intake.nodes import Attribute, Block, Expression, Literal, Node, Origin, Reference
from clockwork_nb.intake.operators import ConversionError, to_bool, to_text
from clockwork_nb.patterns import pattern
from clockwork_nb.ports import Registry

__all__ = ["BlockKit"]

_NAME: Final = pattern(r"[^\W\d][\w-]*\Z")


class BlockKit:
    """Reports to one `Diagnostics` and knows the resource types."""

    def __init__(self, types: Registry, diagnostics: Diagnostics) -> None:
        self.types = types
        self.diagnostics = diagnostics

    def _not_built(self, what: str, node: Node, origin: Origin, instead: str) -> None:
        self.diagnostics.error("cw-not-built", summary(f"{what} is not built yet"), origin.range(node), detail=instead)

    def _unknown_attribute(self, item: Attribute | Block, where: str, known: Iterable[str], origin: Origin) -> None:
        name, end = (item.name, item.name_end) if isinstance(item, Attribute) else (item.kind, item.kind_end)
        what = "attribute" if isinstance(item, Attribute) else "block"
        names = sorted(known)
        self.diagnostics.error(
            "cw-unknown-attribute",
            summary(f"unknown {what} {shown(name)} in {where}"),
            origin.span(item.start, end),
            note=did_you_mean(name, names),
            detail=f"It takes {', '.join(names)}.",
        )

    def _missing(self, name: str, where: str, block: Block, origin: Origin) -> None:
        self.diagnostics.error(
            "cw-missing-attribute",
            summary(f'"{name}" is missing in {where}'),
            origin.span(block.start, block.header_end),
            detail=f"Add {name} = …",
        )

    def _labels(self, block: Block, origin: Origin, names: tuple[str, ...]) -> tuple[str, ...] | None:
        """Return the labels of *block*, or None when they are not as many as *names* or no names."""
        if len(block.labels) != len(names):
            wanted = " ".join([block.kind, *(f'"{name}"' for name in names)]) + " {"
            self.diagnostics.error(
                "cw-block-labels",
                summary(f'a block "{block.kind}" has {len(names) or "no"} label{"s" if len(names) > 1 else ""}'),
                origin.span(block.start, block.header_end),
                note=f"here are {len(block.labels)}",
                detail=f"Write {wanted} … }}",
            )
            return None
        for label in block.labels:
            if not _NAME.match(label.value):
                self.diagnostics.error(
                    "cw-block-labels",
                    summary(f"{shown(label.value)} cannot be a name"),
                    origin.range(label),
                    detail="A name has letters, digits, _ and -, and starts with a letter or _.",
                )
                return None
        return tuple(label.value for label in block.labels)

    def _constant(self, node: Expression, origin: Origin, references: Iterable[Reference] = ()) -> Any:
        """Return the value of *node*, which may refer to nothing; None with a diagnostic when it does."""
        return constant_value(node, origin, references, self.diagnostics)[1]

    def _flag(self, attribute: Attribute, origin: Origin) -> bool:
        return bool(self._plain(attribute, origin, to_bool, "true or false"))

    def _text(self, attribute: Attribute, origin: Origin) -> str:
        return str(self._plain(attribute, origin, to_text, "a text") or "")

    def _plain(self, attribute: Attribute, origin: Origin, convert_to: Callable[[Any], Any], what: str) -> Any:
        known = len(self.diagnostics)
        value = self._constant(attribute.value, origin, attribute.references)
        if len(self.diagnostics) > known:
            return None
        try:
            return convert_to(value)
        except ConversionError as problem:
            self.diagnostics.error(
                "cw-wrong-type",
                summary(f"{shown(attribute.name)} is {what}"),
                origin.range(attribute.value),
                note=str(problem),
            )
        return None

    def _attributes(self, kind: str) -> Iterable[str]:
        from clockwork_nb.intake.schema import attribute_names

        return attribute_names(self.types[kind])

    def _attribute_exists(self, kind: str, name: str) -> bool:
        return name in self._attributes(kind)

    def _address(self, node: Node) -> str:
        """Return the address that *node* names, as a reference or a quoted text; ``""`` when it names no resource."""
        parts: tuple[str, ...] = ()
        if isinstance(node, Reference):
            parts = node.parts
        elif isinstance(node, Literal) and isinstance(node.value, str):
            parts = tuple(node.value.split("."))
        kind = self.types.get(parts[0]) if len(parts) == 2 else None
        return f"{kind.name}.{parts[1]}" if kind is not None else ""
