"""Trees to declarations: which blocks there are, their labels, and the attributes that every block of a kind has.

What a resource type's own attributes mean is not looked at here (`clockwork_nb.intake.schema`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from clockwork_nb.diagnostics import Diagnostics
from clockwork_nb.intake.block_kit import BlockKit
from clockwork_nb.intake.configuration import (
    Configuration,
    Declaration,
    LocalDeclaration,
    Need,
    OutputDeclaration,
    ResourceDeclaration,
    Validation,
    VariableDeclaration,
)
from clockwork_nb.intake.constraints import Constraint, MisfitError, convert, read_constraint
from clockwork_nb.intake.lifecycle import LifecycleReader
from clockwork_nb.intake.names import did_you_mean, shown, summary
from clockwork_nb.intake.nodes import Attribute, Block, Document, List, Literal, Node, Origin
from clockwork_nb.intake.transitions import TransitionReader
from clockwork_nb.ports import Registry

__all__ = ["NOT_BUILT_BLOCKS", "BlockReader"]

NOT_BUILT_BLOCKS: Final[Mapping[str, str]] = {
    "data": 'Pass the value in with a variable, or read a project file with file("path").',
    "module": "Put the blocks into this configuration, in further files or cells.",
    "policy": "Set the operator's policy in policy.json.",
    "job": "Give budgets and expected files on the command line.",
    "provider": "Resource types need no provider block.",
    "terraform": "Nothing needs to be set here; take the block away.",
}
"""Blocks of the language that are not built: type → what to do instead."""

_META_NOT_BUILT: Final[Mapping[str, str]] = {
    "count": "Write one block for each.",
    "for_each": "Write one block for each.",
    "provider": "Resource types need no provider.",
    "provisioner": "Use a command resource with depends_on.",
    "connection": "Only this machine can be managed.",
    "dynamic": "Write the nested blocks out, or use a list of objects with a for expression.",
    "assert": "Use a check with http, tcp, file_exists or file_matches.",
}
_VARIABLE: Final = ("type", "default", "description", "sensitive", "nullable")
_OUTPUT: Final = ("value", "description", "sensitive", "depends_on")


class BlockReader(BlockKit):
    """Fills one `Configuration` from documents; mistakes go to the diagnostics."""

    def __init__(self, configuration: Configuration, types: Registry, diagnostics: Diagnostics) -> None:
        super().__init__(types, diagnostics)
        self.configuration = configuration
        transitions = TransitionReader(configuration, types, diagnostics)
        self._lifecycle = LifecycleReader(types, diagnostics)
        self._declared: dict[str, Declaration] = {}
        self._readers: dict[str, Callable[[Block, Origin, str], None]] = {
            "variable": self._variable,
            "locals": self._locals,
            "output": self._output,
            "resource": self._resource,
            "moved": transitions.moved,
            "import": transitions.imported,
            "removed": transitions.removed,
        }

    def read(self, document: Document, key: str) -> None:
        """Take over every declaration of *document*, whose source has *key*."""
        for item, origin in document.items:
            if isinstance(item, Attribute):
                self.diagnostics.error(
                    "cw-unknown-attribute",
                    summary(f"the attribute {shown(item.name)} is in no block"),
                    origin.span(item.start, item.name_end),
                    detail="Put values into locals { … } and refer to them as local.name.",
                )
                continue
            reader = self._readers.get(item.kind)
            if reader is not None:
                reader(item, origin, key)
            elif item.kind in NOT_BUILT_BLOCKS and not (item.labels and item.kind in self.types):
                self._not_built(
                    f'the block "{item.kind}"', Node(item.start, item.kind_end), origin, NOT_BUILT_BLOCKS[item.kind]
                )
            elif item.kind in self.types:
                self._typed(item, origin, key)
            else:
                self._unknown_block(item, origin)

    def _unknown_block(self, block: Block, origin: Origin) -> None:
        known = {*self._readers, *self.types}
        self.diagnostics.error(
            "cw-unknown-block",
            summary(f"there is no block {shown(block.kind)}"),
            origin.span(block.start, block.kind_end),
            note=did_you_mean(block.kind, known),
            detail=f"Blocks are {', '.join(self._readers)}, and the types {', '.join(sorted(self.types))}.",
        )

    def _declare(self, declaration: Declaration) -> bool:
        """Remember *declaration*; return False when there is one of that id already."""
        known = self._declared.setdefault(declaration.id, declaration)
        if known is declaration:
            return True
        self.diagnostics.error(
            "cw-duplicate",
            summary(f"{shown(declaration.id)} is declared twice"),
            declaration.range,
            detail="Take one of the two away, or give it another name.",
            trail=(("the other one", known.range),),
        )
        return False

    # --- blocks -----------------------------------------------------------------------------------------------------

    def _variable(self, block: Block, origin: Origin, key: str) -> None:
        labels = self._labels(block, origin, ("name",))
        if labels is None:
            return
        name = labels[0]
        known = len(self.diagnostics)
        found = VariableDeclaration(f"var.{name}", name, key, origin, (block.start, block.header_end))
        if not self._declare(found):
            return
        self.configuration.variables[name] = found
        if block.broken:
            found.broken = True
            return
        validations: list[Validation] = []
        for item in block.body.items:
            if isinstance(item, Block):
                if item.kind == "validation":
                    validations += self._validation(item, origin, name)
                else:
                    self._unknown_attribute(item, f'variable "{name}"', (*_VARIABLE, "validation"), origin)
            elif item.name == "type":
                found.constraint = self._constraint(item, origin)
            elif item.name == "default":
                found.default = item
            elif item.name == "description":
                found.description = self._text(item, origin)
            elif item.name == "sensitive":
                found.sensitive = self._flag(item, origin)
            elif item.name == "nullable":
                found.nullable = self._flag(item, origin)
            elif item.name == "ephemeral":
                self._not_built('the attribute "ephemeral"', Node(item.start, item.name_end), origin, "Use sensitive.")
            else:
                self._unknown_attribute(item, f'variable "{name}"', (*_VARIABLE, "validation"), origin)
        found.validations = tuple(validations)
        self._check_default(found)
        found.broken = len(self.diagnostics) > known

    def _constraint(self, attribute: Attribute, origin: Origin) -> Constraint:
        return read_constraint(attribute.value, origin, self.diagnostics, lambda node: self._constant(node, origin))

    def _check_default(self, found: VariableDeclaration) -> None:
        if found.default is None:
            return
        value = self._constant(found.default.value, found.origin, found.default.references)
        place = found.origin.range(found.default.value)
        try:
            convert(value, found.constraint)
        except MisfitError as misfit:
            self.diagnostics.error(
                "cw-wrong-type",
                summary(f"the default of var.{found.name} does not fit its type"),
                place,
                note=str(misfit) + (f" at {misfit.where()}" if misfit.path else ""),
                detail=f"The type is {found.constraint}.",
            )
        if value is None and not found.nullable and isinstance(found.default.value, Literal):
            self.diagnostics.error(
                "cw-wrong-type", summary(f"var.{found.name} cannot be null"), place, note="nullable = false"
            )

    def _validation(self, block: Block, origin: Origin, variable: str) -> list[Validation]:
        where = f'the validation of "{variable}"'
        given: dict[str, Attribute] = {}
        for item in block.body.items:
            if isinstance(item, Attribute) and item.name in {"condition", "error_message"}:
                given[item.name] = item
            else:
                self._unknown_attribute(item, where, ("condition", "error_message"), origin)
        for name in ("condition", "error_message"):
            if name not in given:
                self._missing(name, where, block, origin)
                return []
        return [Validation(given["condition"], given["error_message"])]

    def _locals(self, block: Block, origin: Origin, key: str) -> None:
        if self._labels(block, origin, ()) is None:
            return
        for item in block.body.items:
            if isinstance(item, Block):
                self.diagnostics.error(
                    "cw-unknown-block",
                    summary(f"there is no block {shown(item.kind)} in locals"),
                    origin.span(item.start, item.kind_end),
                    note=f"write {item.kind} = {{ … }}",
                )
                continue
            found = LocalDeclaration(
                f"local.{item.name}", item.name, key, origin, (item.start, item.name_end), attribute=item
            )
            if self._declare(found):
                self.configuration.locals[item.name] = found

    def _output(self, block: Block, origin: Origin, key: str) -> None:
        labels = self._labels(block, origin, ("name",))
        if labels is None:
            return
        name = labels[0]
        known = len(self.diagnostics)
        found = OutputDeclaration(f"output.{name}", name, key, origin, (block.start, block.header_end))
        if not self._declare(found):
            return
        self.configuration.outputs[name] = found
        if block.broken:
            found.broken = True
            return
        for item in block.body.items:
            if isinstance(item, Block) and item.kind == "precondition":
                self._not_built('the block "precondition"', Node(item.start, item.kind_end), origin, "Use a check.")
            elif isinstance(item, Block) or item.name not in _OUTPUT:
                self._unknown_attribute(item, f'output "{name}"', _OUTPUT, origin)
            elif item.name == "value":
                found.value = item
            elif item.name == "description":
                found.description = self._text(item, origin)
            elif item.name == "sensitive":
                found.sensitive = self._flag(item, origin)
            else:
                found.depends_on = self._depends_on(item, origin)
        if found.value is None:
            self._missing("value", f'output "{name}"', block, origin)
        found.broken = len(self.diagnostics) > known

    def _resource(self, block: Block, origin: Origin, key: str) -> None:
        labels = self._labels(block, origin, ("type", "name"))
        if labels is None:
            return
        kind = self.types.get(labels[0])
        if kind is None:
            self.diagnostics.error(
                "cw-unknown-type",
                summary(f"there is no resource type {shown(labels[0])}"),
                origin.range(block.labels[0]),
                note=did_you_mean(labels[0], self.types),
                detail=f"Types are {', '.join(sorted(self.types))}.",
            )
            return
        self._declare_resource(block, origin, key, kind.name, labels[0], labels[1])

    def _typed(self, block: Block, origin: Origin, key: str) -> None:
        labels = self._labels(block, origin, ("name",))
        if labels is not None:
            self._declare_resource(block, origin, key, self.types[block.kind].name, block.kind, labels[0])

    def _declare_resource(self, block: Block, origin: Origin, key: str, kind: str, written: str, name: str) -> None:
        address = f"{kind}.{name}"
        known = len(self.diagnostics)
        found = ResourceDeclaration(
            address, name, key, origin, (block.start, block.header_end), type=kind, written=written
        )
        if not self._declare(found):
            return
        self.configuration.resources[address] = found
        if block.broken:
            found.broken = True
            return
        where = f'{written} "{name}"'
        attributes: list[Attribute] = []
        blocks: list[Block] = []
        for item in block.body.items:
            label = item.name if isinstance(item, Attribute) else item.kind
            if label == "depends_on" and isinstance(item, Attribute):
                found.depends_on = self._depends_on(item, origin)
            elif label == "lifecycle" and isinstance(item, Block):
                self._lifecycle.read(item, origin, found, where)
            elif label in _META_NOT_BUILT:
                end = item.name_end if isinstance(item, Attribute) else item.kind_end
                self._not_built(f'"{label}"', Node(item.start, end), origin, _META_NOT_BUILT[label])
            elif isinstance(item, Attribute):
                attributes.append(item)
            else:
                blocks.append(item)
        found.attributes = tuple(attributes)
        found.blocks = tuple(blocks)
        found.broken = len(self.diagnostics) > known

    def _depends_on(self, attribute: Attribute, origin: Origin) -> tuple[Need, ...]:
        """Return the addresses in a ``depends_on``: references, or quoted."""
        needs: list[Need] = []
        if not isinstance(attribute.value, List):
            self._bad_dependency(attribute.value, origin)
            return ()
        for item in attribute.value.items:
            address = self._address(item)
            if not address:
                self._bad_dependency(item, origin)
            else:
                needs.append(Need(address, item))
        return tuple(needs)

    def _bad_dependency(self, node: Node, origin: Origin) -> None:
        self.diagnostics.error(
            "cw-unknown-reference",
            "depends_on is a list of resources",
            origin.range(node),
            detail='Write depends_on = [file.conf] or ["file.conf"].',
        )

    def _attribute_exists(self, kind: str, name: str) -> bool:
        return name in self._attributes(kind)
