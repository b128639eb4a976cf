"""What refers to what: every reference has a target, every function exists, and nothing needs itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from clockwork_nb.diagnostics import Diagnostics
from clockwork_nb.intake import graph
from clockwork_nb.intake.configuration import (
    Configuration,
    Declaration,
    Need,
    OutputDeclaration,
    ResourceDeclaration,
    VariableDeclaration,
)
from clockwork_nb.intake.names import nearest, shown, summary
from clockwork_nb.intake.nodes import Call, Node, Reference
from clockwork_nb.intake.schema import Checker, attribute_names, field_names
from clockwork_nb.intake.syntax import SyntaxCache
from clockwork_nb.ports import Registry

__all__ = ["PATHS", "check_references", "target_of"]

PATHS: Final[Mapping[str, str]] = {"root": ".", "module": "."}
"""``path.root`` and ``path.module``: paths in a configuration are relative to the project folder."""

_NOT_BUILT: Final[Mapping[str, str]] = {
    "data": 'Use a variable, or file("path").',
    "module": "Put the blocks into this configuration.",
    "each": "for_each is not built yet; write one block for each.",
    "count": "count is not built yet; write one block for each.",
    "self": "Write the address of the resource.",
    "terraform": "There are no workspaces inside a configuration.",
}
_GROUPS: Final = frozenset({"var", "local"})


def target_of(parts: tuple[str, ...], types: Registry) -> str:
    """Return the id of the node that a reference is about, or an empty text when its first parts name none."""
    if len(parts) < 2:
        return ""
    if parts[0] in _GROUPS:
        return f"{parts[0]}.{parts[1]}"
    kind = types.get(parts[0])
    return f"{kind.name}.{parts[1]}" if kind is not None else ""


class _Checker:
    def __init__(
        self,
        configuration: Configuration,
        types: Registry,
        diagnostics: Diagnostics,
        *,
        complete: bool,
        cache: SyntaxCache | None,
    ) -> None:
        self.cache = cache
        self.configuration = configuration
        self.types = types
        self.diagnostics = diagnostics
        self.complete = complete
        self.nodes = configuration.declarations()
        # The parts of references that were found right → their target: most are written more than once.
        self._good_targets: dict[tuple[str, ...], str] = {}
        self._attributes: dict[str, frozenset[str]] = {}
        self._own_names: dict[str, frozenset[str]] = {}  # names with one spelling, by type

    def check(self, declaration: Declaration) -> None:
        """Set what *declaration* needs; mistakes make it broken."""
        needs: list[Need] = []
        good = True
        good_targets = self._good_targets
        for attribute in declaration.attributes_read():
            kept = self.cache.needs(attribute) if self.cache is not None and attribute.references else None
            if kept is not None and self.nodes.keys() >= {need.target for need in kept}:
                needs += kept
                continue
            before, good_before = len(needs), good
            for reference in attribute.references:
                target = good_targets.get(reference.parts) or target_of(reference.parts, self.types)
                if target in self.nodes:
                    if target != declaration.id or not isinstance(declaration, VariableDeclaration):
                        needs.append(Need(target, reference))
                    if reference.parts in good_targets or self._attribute_exists(reference, target, declaration):
                        good_targets[reference.parts] = target
                    else:
                        good = False
                elif reference.parts[0] == "path" and len(reference.parts) == 2 and reference.parts[1] in PATHS:
                    continue
                else:
                    good = False
                    self._unknown(reference, declaration)
            for call in attribute.calls:
                good = self._function_exists(call, declaration) and good
            if self.cache is not None and attribute.references and good and good_before:
                self.cache.keep_needs(attribute, tuple(needs[before:]))
        if isinstance(declaration, (ResourceDeclaration, OutputDeclaration)):
            triggers = declaration.triggers if isinstance(declaration, ResourceDeclaration) else ()
            for need in (*declaration.depends_on, *[t.need for t in triggers]):
                if need.target in self.nodes:
                    needs.append(need)
                else:
                    good = False
                    self._undeclared(need.target, need.node, declaration)
        if isinstance(declaration, ResourceDeclaration) and not declaration.broken:
            good = self._attributes_are_known(declaration) and good
        declaration.needs = tuple(needs)
        declaration.broken = declaration.broken or not good

    def _error(
        self, code: str, text: str, node: Node, declaration: Declaration, *, note: str = "", detail: str = ""
    ) -> None:
        address = declaration.id if isinstance(declaration, ResourceDeclaration) else ""
        self.diagnostics.error(
            code, summary(text), declaration.origin.range(node), note=note, detail=detail, address=address
        )

    def _attributes_are_known(self, resource: ResourceDeclaration) -> bool:
        own = self._own_names.get(resource.type)
        if own is None:
            kind = self.types[resource.type]
            own = self._own_names[resource.type] = attribute_names(kind) & field_names(kind)
        if not resource.blocks and own.issuperset([a.name for a in resource.attributes]):
            return True
        where = f'{resource.written} "{resource.name}"'
        checker = Checker(self.types[resource.type], where, resource.id, resource.origin, self.diagnostics)
        return checker.names_are_known(resource.attributes, resource.blocks)

    def _function_exists(self, call: Call, declaration: Declaration) -> bool:
        from clockwork_nb.intake.functions import FUNCTION_NAMES, unknown_function

        if call.name in FUNCTION_NAMES:
            return True
        problem = unknown_function(call.name)
        place = Node(call.start, call.name_end)
        self._error(
            problem["code"], problem["text"], place, declaration, note=problem["note"], detail=problem["detail"]
        )
        return False

    def _attribute_exists(self, reference: Reference, target: str, declaration: Declaration) -> bool:
        if target not in self.configuration.resources or len(reference.parts) < 3:
            return True
        kind = self.configuration.resources[target].type
        name = reference.parts[2]
        known = self._attributes.get(kind)
        if known is None:
            found = self.types[kind]
            known = self._attributes[kind] = field_names(found) | found.export_names()
        if name in known:
            return True
        near = nearest(name, known)
        self._error(
            "cw-unknown-reference",
            f"{target} has no attribute {shown(name)}",
            Node(*reference.part_range(2)),
            declaration,
            note=f'did you mean "{near}"?' if near else "",
            detail=f"It has {', '.join(sorted(known))}.",
        )
        return False

    def _unknown(self, reference: Reference, declaration: Declaration) -> None:
        parts = reference.parts
        root = parts[0]
        place = Node(*reference.prefix_range(2))
        if root in _NOT_BUILT:
            self._error("cw-not-built", f'"{root}" is not built yet', place, declaration, detail=_NOT_BUILT[root])
        elif root == "path":
            self._error(
                "cw-unknown-reference", f"{shown('.'.join(parts[:2]))} is not known", place, declaration,
                detail="There are path.root and path.module; both are the project folder.",
            )  # fmt: skip
        elif root in _GROUPS or root in self.types:
            if len(parts) < 2:
                what = "a resource" if root in self.types else f"a {'variable' if root == 'var' else 'local'}"
                self._error(
                    "cw-unknown-reference", f'"{root}" needs a name', place, declaration, note=f"name {what}: {root}.x"
                )
            else:
                self._undeclared(target_of(parts, self.types), place, declaration, written=".".join(parts[:2]))
        else:
            self._unknown_root(reference, declaration)

    def _undeclared(self, target: str, node: Node, declaration: Declaration, *, written: str = "") -> None:
        if not self.complete:
            return  # what it means may stand in a text that could not be read
        written = written or target
        group, _, name = target.partition(".")
        names = {other.partition(".")[2]: other for other in self.nodes if other.partition(".")[0] == group}
        near = nearest(name, names)
        if near:
            note = self._suggestion(names[near])
        else:
            same = [o for o in self.nodes if o.partition(".")[2] == name and not o.startswith("output.")]
            note = self._suggestion(same[0]) if same else ""
        self._error("cw-unknown-reference", f"{shown(written)} is not declared", node, declaration, note=note)

    def _suggestion(self, target: str) -> str:
        place = self.nodes[target].range
        return f'did you mean "{target}" (declared in {place.file}, line {place.begin.line})?'

    def _unknown_root(self, reference: Reference, declaration: Declaration) -> None:
        root = reference.parts[0]
        note = detail = ""
        for group in ("var", "local"):
            if f"{group}.{root}" in self.nodes and len(reference.parts) == 1:
                note = self._suggestion(f"{group}.{root}")
        if not note:
            near = nearest(root, {"var", "local", *self.types})
            note = f'did you mean "{near}"?' if near else ""
        if len(reference.parts) == 1:
            detail = f'A text needs quotes: "{root}".'
        self._error(
            "cw-unknown-reference", f"{shown(root)} is not known", reference, declaration, note=note, detail=detail
        )

    def report_cycle(self, cycle: list[str]) -> None:
        """Add one diagnostic for *cycle*, with the place of each need."""
        first = next((i for i, node in enumerate(cycle) if node.partition(".")[0] not in _GROUPS), 0)
        cycle = cycle[first:] + cycle[:first]
        trail = []
        for index, node in enumerate(cycle):
            target = cycle[(index + 1) % len(cycle)]
            declaration = self.nodes[node]
            need = next(n for n in declaration.needs if n.target == target)
            words = f"{node}  needs  {target}" if node != target else f"{node}  needs  itself"
            trail.append((words, declaration.origin.range(need.node)))
        plural = len(cycle) > 1
        kinds = {node.partition(".")[0] for node in cycle}
        what = "values" if kinds <= _GROUPS else "resources"
        numbers = {2: "two", 3: "three", 4: "four", 5: "five"}
        self.diagnostics.error(
            "cw-cycle",
            f"these {what} need each other" if plural else f"this {what[:-1]} needs itself",
            trail[0][1],
            detail=f"Break one of the {numbers.get(len(cycle), len(cycle))}." if plural else "Take the reference away.",
            trail=tuple(trail),
            address="" if what == "values" else next(n for n in cycle if n.partition(".")[0] not in _GROUPS),
        )


def check_references(
    configuration: Configuration,
    types: Registry,
    diagnostics: Diagnostics,
    *,
    complete: bool,
    cache: SyntaxCache | None = None,
) -> None:
    """Check all references and calls, set every declaration's ``needs`` and the configuration's ``order``.

    *complete* says that every text could be read; otherwise an unknown name may be declared in what could not. *cache* is
    what an earlier check with the same *types* left; the result is the same without it.
    """
    checker = _Checker(configuration, types, diagnostics, complete=complete, cache=cache)
    for declaration in checker.nodes.values():
        checker.check(declaration)
    needs: dict[str, tuple[str, ...]] = {
        node: tuple(dict.fromkeys([n.target for n in declaration.needs])) if declaration.needs else ()
        for node, declaration in checker.nodes.items()
    }
    done, left = graph.order(needs)
    configuration.order = tuple(done)
    for cycle in graph.cycles(left, needs) if left else ():
        checker.report_cycle(cycle)
