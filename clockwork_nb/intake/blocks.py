"""Trees to declarations: which blocks there are, their labels, and the attributes that every block of a kind has.

What a resource type's own attributes mean is not looked at here (`clockwork_nb.intake.schema`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from clockwork_nb.diagnostics import Diagnostics
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
from clockwork_nb.intake.constants import constant_value
from clockwork_nb.intake.constraints import Constraint, MisfitError, convert, read_constraint
from clockwork_nb.intake.names import did_you_mean, shown, summary
from clockwork_nb.intake.nodes import Attribute, Block, Document, Expression, List, Literal, Node, Origin, Reference
from clockwork_nb.intake.operators import ConversionError, to_bool, to_text
from clockwork_nb.ports import Registry

__all__ = ["NOT_BUILT_BLOCKS", "BlockReader"]

_NAME: Final = re.compile(r"[^\W\d][\w-]*\Z")

NOT_BUILT_BLOCKS: Final[Mapping[str, str]] = {
    "data": 'Pass the value in with a variable, or read a project file with file("path").',
    "module": "Put the blocks into this configuration, in further files or cells.",
    "moved": "Keep the name of the resource, or destroy and apply it again.",
    "import": "Apply the resource; what is there already and matches is kept.",
    "removed": "Take the block away; the next apply removes what it made.",
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
_LIFECYCLE_NOT_BUILT: Final[Mapping[str, str]] = {
    "create_before_destroy": "A replacement removes first and creates then.",
    "replace_triggered_by": "Use the triggers of a command resource.",
    "precondition": "Use the validation of a variable.",
    "postcondition": "Use a check resource with depends_on.",
}
_LIFECYCLE: Final = ("prevent_destroy", "ignore_changes")
_VARIABLE: Final = ("type", "default", "description", "sensitive", "nullable")
_OUTPUT: Final = ("value", "description", "sensitive", "depends_on")


class BlockReader:
    """Fills one `Configuration` from documents; mistakes go to the diagnostics."""

    def __init__(self, configuration: Configuration, types: Registry, diagnostics: Diagnostics) -> None:
        self.configuration = configuration
        self.types = types
        self.diagnostics = diagnostics
        self._declared: dict[str, Declaration] = {}
        self._readers: dict[str, Callable[[Block, Origin, str], None]] = {
            "variable": self._variable,
            "locals": self._locals,
            "output": self._output,
            "resource": self._resource,
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
            elif item.kind in NOT_BUILT_BLOCKS:
                self._not_built(
                    f'the block "{item.kind}"', Node(item.start, item.kind_end), origin, NOT_BUILT_BLOCKS[item.kind]
                )
            elif item.kind in self.types:
                self._typed(item, origin, key)
            else:
                self._unknown_block(item, origin)

    # --- mistakes ---------------------------------------------------------------------------------------------------

    def _not_built(self, what: str, node: Node, origin: Origin, instead: str) -> None:
        self.diagnostics.error("cw-not-built", summary(f"{what} is not built yet"), origin.range(node), detail=instead)

    def _unknown_block(self, block: Block, origin: Origin) -> None:
        known = {*self._readers, *self.types}
        self.diagnostics.error(
            "cw-unknown-block",
            summary(f"there is no block {shown(block.kind)}"),
            origin.span(block.start, block.kind_end),
            note=did_you_mean(block.kind, known),
            detail=f"Blocks are variable, locals, output, resource, and the types {', '.join(sorted(self.types))}.",
        )

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

    # --- constant attributes ----------------------------------------------------------------------------------------

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

    def _missing(self, name: str, where: str, block: Block, origin: Origin) -> None:
        self.diagnostics.error(
            "cw-missing-attribute",
            summary(f'"{name}" is missing in {where}'),
            origin.span(block.start, block.header_end),
            detail=f"Add {name} = …",
        )

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
                self._lifecycle(item, origin, found, where)
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
            parts: tuple[str, ...] = ()
            if isinstance(item, Reference):
                parts = item.parts
            elif isinstance(item, Literal) and isinstance(item.value, str):
                parts = tuple(item.value.split("."))
            kind = self.types.get(parts[0]) if len(parts) >= 2 else None
            if kind is None:
                self._bad_dependency(item, origin)
            else:
                needs.append(Need(f"{kind.name}.{parts[1]}", item))
        return tuple(needs)

    def _bad_dependency(self, node: Node, origin: Origin) -> None:
        self.diagnostics.error(
            "cw-unknown-reference",
            "depends_on is a list of resources",
            origin.range(node),
            detail='Write depends_on = [file.conf] or ["file.conf"].',
        )

    def _lifecycle(self, block: Block, origin: Origin, found: ResourceDeclaration, where: str) -> None:
        for item in block.body.items:
            name = item.name if isinstance(item, Attribute) else item.kind
            end = item.name_end if isinstance(item, Attribute) else item.kind_end
            if name in _LIFECYCLE_NOT_BUILT:
                self._not_built(f'"{name}"', Node(item.start, end), origin, _LIFECYCLE_NOT_BUILT[name])
            elif isinstance(item, Block) or name not in _LIFECYCLE:
                self._unknown_attribute(item, f"the lifecycle of {where}", _LIFECYCLE, origin)
            elif name == "prevent_destroy":
                found.prevent_destroy = self._flag(item, origin)
            else:
                found.ignore_changes = self._ignored(item, origin, found)

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
                self.diagnostics.error(
                    "cw-unknown-attribute",
                    summary(f"{found.written} has no attribute {shown(name)}"),
                    origin.range(item),
                    note=did_you_mean(name, self._attributes(found.type)),
                )
                continue
            names.append(name)
        return tuple(names)

    def _attributes(self, kind: str) -> Iterable[str]:
        from clockwork_nb.intake.schema import attribute_names

        return attribute_names(self.types[kind])

    def _attribute_exists(self, kind: str, name: str) -> bool:
        return name in self._attributes(kind)
