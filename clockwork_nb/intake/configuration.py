"""What the texts of a configuration declare, before anything is evaluated.

A *node* is anything that has a value or is made: its id is ``var.x``, ``local.x``, ``output.x`` or a resource's
address ``type.name``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct, field

from clockwork_nb.diagnostics import SourceRange
from clockwork_nb.intake.constraints import ANY, Constraint
from clockwork_nb.intake.nodes import Attribute, Block, Node, Origin, Reference

__all__ = [
    "Configuration",
    "Declaration",
    "Import",
    "LocalDeclaration",
    "Move",
    "Need",
    "OutputDeclaration",
    "Removal",
    "ResourceDeclaration",
    "Source",
    "Trigger",
    "Validation",
    "VariableDeclaration",
]


class Source(Struct, frozen=True):
    """One text of a configuration.

    Attributes:
        key: what the state remembers as the declaring file or cell ("main.cw", "web").
        name: what people see ("main.cw", "cell web").
        data: the bytes, UTF-8.
    """

    key: str
    name: str
    data: bytes


class Need(Struct, frozen=True):
    """One node needs another, because of the text at ``node``."""

    target: str
    node: Node


class Trigger(Struct, frozen=True):
    """The change of a resource, or of one ``attribute`` of it, that replaces another resource."""

    need: Need
    attribute: str = ""


class Move(Struct, frozen=True):
    """A ``moved`` block: what is recorded as ``old`` is ``new`` from now on."""

    old: str
    new: str
    range: SourceRange


class Import(Struct, frozen=True):
    """An ``import`` block: the thing with the ``id`` is there already and becomes ``address``."""

    address: str
    id: str
    range: SourceRange


class Removal(Struct, frozen=True):
    """A ``removed`` block: ``address`` is wanted no more; without ``destroy`` it is forgotten and left as it is."""

    address: str
    destroy: bool
    range: SourceRange


class _Read(Struct, kw_only=True):
    needs: tuple[Need, ...] = ()
    broken: bool = False
    """It has a mistake that was reported; what refers to it fails without a word."""


class Declaration(_Read):
    """Something that was declared: its id, the key of its source, and its place."""

    id: str
    name: str
    key: str
    origin: Origin
    header: tuple[int, int]

    @property
    def range(self) -> SourceRange:
        """The header of the block, or the name of the local."""
        return self.origin.span(*self.header)

    def attributes_read(self) -> Iterable[Attribute]:
        """Return the attributes whose values are needed, in text order."""
        return ()

    def references(self) -> Iterator[Reference]:
        """Yield the references in those attributes."""
        for attribute in self.attributes_read():
            yield from attribute.references


class Validation(Struct):
    """One ``validation`` block of a variable."""

    condition: Attribute
    error_message: Attribute


class VariableDeclaration(Declaration):
    """A ``variable`` block."""

    constraint: Constraint = ANY
    default: Attribute | None = None
    description: str = ""
    sensitive: bool = False
    nullable: bool = True
    validations: tuple[Validation, ...] = ()

    def attributes_read(self) -> Iterable[Attribute]:
        return [part for v in self.validations for part in (v.condition, v.error_message)]


class LocalDeclaration(Declaration):
    """One attribute of a ``locals`` block."""

    attribute: Attribute | None = None

    def attributes_read(self) -> Iterable[Attribute]:
        return () if self.attribute is None else (self.attribute,)


class ResourceDeclaration(Declaration):
    """A resource. ``type`` is the type's own name, ``written`` the one that stands in the text.

    ``attributes`` and ``blocks`` are what the type's model gets; the ones that every resource has are taken out.
    """

    type: str = ""
    written: str = ""
    attributes: tuple[Attribute, ...] = ()
    blocks: tuple[Block, ...] = ()
    depends_on: tuple[Need, ...] = ()
    prevent_destroy: bool = False
    ignore_changes: tuple[str, ...] = ()
    create_before_destroy: bool | None = None
    triggers: tuple[Trigger, ...] = ()

    def attributes_read(self) -> Iterable[Attribute]:
        if not self.blocks:
            return self.attributes
        found = list(self.attributes)
        stack = list(reversed(self.blocks))
        while stack:
            for item in stack.pop().body.items:
                if isinstance(item, Attribute):
                    found.append(item)
                else:
                    stack.append(item)
        return found


class OutputDeclaration(Declaration):
    """An ``output`` block."""

    value: Attribute | None = None
    description: str = ""
    sensitive: bool = False
    depends_on: tuple[Need, ...] = ()

    def attributes_read(self) -> Iterable[Attribute]:
        return () if self.value is None else (self.value,)


class Configuration(Struct):
    """Everything that a set of sources declares.

    Attributes:
        keys: the keys of the sources, in order.
        digest: SHA-256 of the canonical JSON of the sorted ``[key, SHA-256 of the data]``, 64 hex.
        variables, locals, outputs: by name; resources: by address. All in text order.
        moves: by the old address; imports, removals: by address.
        order: ids of all nodes that are in no cycle, each after what it needs.
    """

    keys: tuple[str, ...] = ()
    digest: str = ""
    variables: dict[str, VariableDeclaration] = field(default_factory=dict)
    locals: dict[str, LocalDeclaration] = field(default_factory=dict)
    resources: dict[str, ResourceDeclaration] = field(default_factory=dict)
    outputs: dict[str, OutputDeclaration] = field(default_factory=dict)
    moves: dict[str, Move] = field(default_factory=dict)
    imports: dict[str, Import] = field(default_factory=dict)
    removals: dict[str, Removal] = field(default_factory=dict)
    order: tuple[str, ...] = ()

    def declarations(self) -> dict[str, Declaration]:
        """Return all nodes by id: variables, locals, resources, outputs."""
        out: dict[str, Declaration] = {}
        groups: tuple[Mapping[str, Declaration], ...] = (self.variables, self.locals, self.resources, self.outputs)
        for group in groups:
            out.update((d.id, d) for d in group.values())
        return out

    def destination(self, address: str) -> str:
        """Return where *address* is in the end, after every move; ``""`` when the moves lead in a circle."""
        path = self._path(address)
        return path[-1] if path else ""

    def _path(self, address: str) -> list[str]:
        """Return *address* and every address it moves to, one after the other; empty when they lead in a circle."""
        path = [address]
        seen = {address}
        while (move := self.moves.get(address)) is not None:
            address = move.new
            if address in seen:
                return []
            seen.add(address)
            path.append(address)
        return path

    def moved_from(self) -> dict[str, tuple[str, ...]]:
        """Return address → the addresses it had before, the latest first."""
        found: dict[str, list[tuple[int, str]]] = {}
        for old in self.moves:
            path = self._path(old)
            if path:
                found.setdefault(path[-1], []).append((len(path), old))
        return {new: tuple(old for _, old in sorted(olds)) for new, olds in sorted(found.items())}
