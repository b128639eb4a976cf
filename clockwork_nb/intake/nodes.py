"""The tree of a ``.cw`` text.

Every node has ``start`` and ``end``: offsets in code points into its top-level item's own text. An `Origin` says where
that item lies in a file, so an unchanged item keeps its tree when text before it grows or shrinks. Nodes are never
changed once they are made.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from clockwork_nb.diagnostics import SourceRange, SourceText

__all__ = [
    "Attribute",
    "AttributeStep",
    "Block",
    "Body",
    "Call",
    "Chain",
    "Conditional",
    "Document",
    "Expression",
    "ForExpression",
    "IndexStep",
    "Item",
    "List",
    "Literal",
    "Node",
    "Object",
    "ObjectItem",
    "Origin",
    "Placed",
    "Reference",
    "SplatStep",
    "Step",
    "Template",
    "TemplateFor",
    "TemplateIf",
    "Traversal",
    "Unary",
    "walk",
]


class Node:
    """A stretch ``[start, end)`` of text that means something."""

    __slots__ = ("end", "start")

    def __init__(self, start: int, end: int) -> None:
        self.start = start
        self.end = end

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.start}, {self.end})"


class Expression(Node):
    """A node that has a value."""

    __slots__ = ()


class Literal(Expression):
    """A number, a text without interpolation, ``true``, ``false`` or ``null``."""

    __slots__ = ("value",)

    def __init__(self, value: Any, start: int, end: int) -> None:
        self.value = value
        self.start = start
        self.end = end


class Reference(Expression):
    """A name with attributes and nothing between them: ``var.port``, ``service.web.url``."""

    __slots__ = ("parts",)

    def __init__(self, parts: tuple[str, ...], start: int, end: int) -> None:
        self.parts = parts
        self.start = start
        self.end = end

    def part_range(self, index: int) -> tuple[int, int]:
        """Return start and end of the part *index*."""
        start = self.start + sum(len(p) + 1 for p in self.parts[:index])
        return start, start + len(self.parts[index])

    def prefix_range(self, count: int) -> tuple[int, int]:
        """Return start and end of the first *count* parts (at most as many as there are)."""
        return self.start, self.part_range(min(count, len(self.parts)) - 1)[1]


class AttributeStep(Node):
    """``.name`` or the legacy ``.0``."""

    __slots__ = ("name",)

    def __init__(self, name: str, start: int, end: int) -> None:
        self.name = name
        self.start = start
        self.end = end


class IndexStep(Node):
    """``[key]``."""

    __slots__ = ("key",)

    def __init__(self, key: Expression, start: int, end: int) -> None:
        self.key = key
        self.start = start
        self.end = end


class SplatStep(Node):
    """``[*]`` or ``.*`` with the steps that are taken on each element."""

    __slots__ = ("steps",)

    def __init__(self, steps: tuple[Step, ...], start: int, end: int) -> None:
        self.steps = steps
        self.start = start
        self.end = end


Step = AttributeStep | IndexStep | SplatStep


class Traversal(Expression):
    """A value and the steps taken from it, left to right."""

    __slots__ = ("root", "steps")

    def __init__(self, root: Expression, steps: tuple[Step, ...], start: int, end: int) -> None:
        self.root = root
        self.steps = steps
        self.start = start
        self.end = end


class Template(Expression):
    """Texts and expressions in turn; the value is one text."""

    __slots__ = ("parts",)

    def __init__(self, parts: tuple[str | Expression, ...], start: int, end: int) -> None:
        self.parts = parts
        self.start = start
        self.end = end


class TemplateIf(Expression):
    """``%{ if c }…%{ else }…%{ endif }``."""

    __slots__ = ("condition", "otherwise", "then")

    def __init__(self, condition: Expression, then: Template, otherwise: Template, start: int, end: int) -> None:
        self.condition = condition
        self.then = then
        self.otherwise = otherwise
        self.start = start
        self.end = end


class TemplateFor(Expression):
    """``%{ for k, v in c }…%{ endfor }``; ``key_name`` is empty when only one name is given."""

    __slots__ = ("body", "collection", "key_name", "value_name")

    def __init__(
        self, key_name: str, value_name: str, collection: Expression, body: Template, start: int, end: int
    ) -> None:
        self.key_name = key_name
        self.value_name = value_name
        self.collection = collection
        self.body = body
        self.start = start
        self.end = end


class List(Expression):
    """``[a, b]``."""

    __slots__ = ("items",)

    def __init__(self, items: tuple[Expression, ...], start: int, end: int) -> None:
        self.items = items
        self.start = start
        self.end = end


class ObjectItem(Node):
    """``key = value``."""

    __slots__ = ("key", "value")

    def __init__(self, key: Expression, value: Expression, start: int, end: int) -> None:
        self.key = key
        self.value = value
        self.start = start
        self.end = end


class Object(Expression):
    """``{ key = value }``."""

    __slots__ = ("items",)

    def __init__(self, items: tuple[ObjectItem, ...], start: int, end: int) -> None:
        self.items = items
        self.start = start
        self.end = end


class ForExpression(Expression):
    """``[for …]``, or ``{for …}`` when ``key`` is there."""

    __slots__ = ("collection", "condition", "grouping", "key", "key_name", "value", "value_name")

    def __init__(
        self,
        names: tuple[str, str],
        collection: Expression,
        key: Expression | None,
        value: Expression,
        condition: Expression | None,
        grouping: bool,
        start: int,
        end: int,
    ) -> None:
        self.key_name, self.value_name = names
        self.collection = collection
        self.key = key
        self.value = value
        self.condition = condition
        self.grouping = grouping
        self.start = start
        self.end = end


class Call(Expression):
    """``name(a, b, rest...)``; the name is ``[start, name_end)``."""

    __slots__ = ("arguments", "expand", "name", "name_end")

    def __init__(
        self, name: str, arguments: tuple[Expression, ...], expand: bool, name_end: int, start: int, end: int
    ) -> None:
        self.name = name
        self.arguments = arguments
        self.expand = expand
        self.name_end = name_end
        self.start = start
        self.end = end


class Conditional(Expression):
    """``c1 ? v1 : c2 ? v2 : otherwise``, flat."""

    __slots__ = ("arms", "otherwise")

    def __init__(
        self, arms: tuple[tuple[Expression, Expression], ...], otherwise: Expression, start: int, end: int
    ) -> None:
        self.arms = arms
        self.otherwise = otherwise
        self.start = start
        self.end = end


class Unary(Expression):
    """``-x`` or ``!x``."""

    __slots__ = ("operand", "operator")

    def __init__(self, operator: str, operand: Expression, start: int, end: int) -> None:
        self.operator = operator
        self.operand = operand
        self.start = start
        self.end = end


class Chain(Expression):
    """Operators of one precedence, flat and left to right: ``a + b - c``."""

    __slots__ = ("first", "rest")

    def __init__(self, first: Expression, rest: tuple[tuple[str, Expression], ...], start: int, end: int) -> None:
        self.first = first
        self.rest = rest
        self.start = start
        self.end = end


class Attribute(Node):
    """``name = value``. The name is ``[start, name_end)``.

    ``references`` are those of its expression that no ``for`` binds, ``calls`` its function calls; both in text order.
    """

    __slots__ = ("calls", "name", "name_end", "references", "value")

    def __init__(
        self,
        name: str,
        value: Expression,
        references: tuple[Reference, ...],
        calls: tuple[Call, ...],
        start: int,
        name_end: int,
        end: int,
    ) -> None:
        self.name = name
        self.value = value
        self.references = references
        self.calls = calls
        self.start = start
        self.name_end = name_end
        self.end = end


class Body:
    """What stands between the braces of a block; ``items`` in text order."""

    __slots__ = ("items",)

    def __init__(self, items: tuple[Item, ...]) -> None:
        self.items = items


class Block(Node):
    """``kind "label" { … }``. The kind is ``[start, kind_end)``, the header ``[start, header_end)``.

    ``broken`` says that something inside could not be read: its name counts, its content does not.
    """

    __slots__ = ("body", "broken", "header_end", "kind", "kind_end", "labels")

    def __init__(
        self,
        kind: str,
        labels: tuple[Literal, ...],
        body: Body,
        start: int,
        kind_end: int,
        header_end: int,
        end: int,
        broken: bool = False,
    ) -> None:
        self.kind = kind
        self.labels = labels
        self.body = body
        self.start = start
        self.kind_end = kind_end
        self.header_end = header_end
        self.end = end
        self.broken = broken


Item = Attribute | Block


class Origin:
    """Where the offsets of a tree are counted from."""

    __slots__ = ("base", "source")

    def __init__(self, source: SourceText, base: int = 0) -> None:
        self.source = source
        self.base = base

    def range(self, node: Node) -> SourceRange:
        """Return the place of *node*."""
        return SourceRange(self.source, self.base + node.start, self.base + node.end)

    def span(self, start: int, end: int) -> SourceRange:
        """Return the place of the offsets ``[start, end)``."""
        return SourceRange(self.source, self.base + start, self.base + end)


class Placed(NamedTuple):
    """A top-level item and where it is."""

    item: Item
    origin: Origin


class Document:
    """One file or cell that was read; ``items`` in text order. ``blocks`` counts all blocks, nested ones included."""

    __slots__ = ("blocks", "items", "source")

    def __init__(self, source: SourceText, items: tuple[Placed, ...], blocks: int = 0) -> None:
        self.source = source
        self.items = items
        self.blocks = blocks


def _children(node: Node) -> Iterator[Node]:
    match node:
        case Traversal():
            yield node.root
            yield from node.steps
        case IndexStep():
            yield node.key
        case SplatStep():
            yield from node.steps
        case Template():
            yield from (p for p in node.parts if not isinstance(p, str))
        case TemplateIf():
            yield from (node.condition, node.then, node.otherwise)
        case TemplateFor():
            yield from (node.collection, node.body)
        case List() | Object():
            yield from node.items
        case ObjectItem():
            yield from (node.key, node.value)
        case ForExpression():
            yield from (n for n in (node.collection, node.key, node.value, node.condition) if n is not None)
        case Call():
            yield from node.arguments
        case Conditional():
            for condition, value in node.arms:
                yield condition
                yield value
            yield node.otherwise
        case Unary():
            yield node.operand
        case Chain():
            yield node.first
            yield from (operand for _, operand in node.rest)
        case Attribute():
            yield node.value
        case Block():
            yield from node.labels
            yield from node.body.items
        case _:
            return


def walk(node: Node) -> Iterator[Node]:
    """Yield *node* and everything inside it; a parent comes before its children (iterative)."""
    stack = [node]
    while stack:
        current = stack.pop()
        yield current
        stack.extend(_children(current))
