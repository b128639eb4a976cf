"""Type constraints of variables and the conversion of values to them (Terraform, "Type Constraints").

``string``, ``number``, ``bool``, ``any``, ``list(…)``, ``set(…)``, ``map(…)``, ``tuple([…])``,
``object({ a = string, b = optional(number, 1) })``. Older spellings in quotes (``"string"``) are taken too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec import Struct

from clockwork_nb.diagnostics import Diagnostics
from clockwork_nb.intake.names import did_you_mean, shown
from clockwork_nb.intake.nodes import Call, Expression, List, Literal, Node, Object, Origin, Reference
from clockwork_nb.intake.operators import ConversionError, article, kind_of, normal, to_bool, to_number, to_text
from clockwork_nb.intake.values import SetValue, Unknown
from clockwork_nb.secrets import Sensitive

__all__ = ["ANY", "Constraint", "MisfitError", "convert", "read_constraint"]


class Constraint(Struct, frozen=True):
    """One type.

    Attributes:
        kind: string, number, bool, any, list, set, map, tuple or object.
        element: of a list, set or map.
        elements: of a tuple.
        fields: of an object: name → (type, whether it may be missing, the value it has then).
    """

    kind: str
    element: Constraint | None = None
    elements: tuple[Constraint, ...] = ()
    fields: Mapping[str, tuple[Constraint, bool, Any]] | None = None

    def __str__(self) -> str:
        if self.element is not None:
            return f"{self.kind}({self.element})"
        if self.kind == "tuple":
            return f"tuple([{', '.join(map(str, self.elements))}])"
        if self.fields is not None:
            parts = (f"{n} = {f'optional({t})' if free else t}" for n, (t, free, _) in self.fields.items())
            return f"object({{ {', '.join(parts)} }})"
        return self.kind


ANY: Final = Constraint("any")
_SIMPLE: Final = {kind: Constraint(kind) for kind in ("string", "number", "bool")} | {"any": ANY}
_COLLECTIONS: Final = ("list", "set", "map")
_NAMES: Final = (*_SIMPLE, *_COLLECTIONS, "object", "tuple")


class MisfitError(Exception):
    """A value that does not fit a type. ``path`` leads to the part that does not: keys and indexes."""

    def __init__(self, text: str, path: tuple[str | int, ...] = ()) -> None:
        super().__init__(text)
        self.path = path

    def where(self) -> str:
        """Return the path as people write it: ``[0].port``, or an empty text."""
        return "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in self.path)


class _Reader:
    """Reads one constraint; what is wrong goes to the diagnostics and counts as ``any``."""

    def __init__(self, origin: Origin, diagnostics: Diagnostics, constant: Callable[[Expression], Any]) -> None:
        self.origin = origin
        self.diagnostics = diagnostics
        self.constant = constant

    def read(self, node: Expression) -> Constraint:
        if isinstance(node, Reference) and len(node.parts) == 1:
            return self._named(node.parts[0], node)
        if isinstance(node, Literal) and isinstance(node.value, str):
            return self._named(node.value, node)
        if isinstance(node, Call):
            return self._constructed(node)
        return self._wrong("this is no type", node)

    def _wrong(self, text: str, node: Node, note: str = "") -> Constraint:
        self.diagnostics.error(
            "cw-wrong-type",
            text,
            self.origin.range(node),
            note=note,
            detail="Types are string, number, bool, any, list(…), set(…), map(…), object({…}) and tuple([…]).",
        )
        return ANY

    def _named(self, name: str, node: Node) -> Constraint:
        if name in _SIMPLE:
            return _SIMPLE[name]
        if name in _COLLECTIONS:
            return Constraint(name, ANY)
        if name in {"object", "tuple"}:
            return self._wrong(f'the type "{name}" needs its parts', node, "object({ a = string }), tuple([string])")
        return self._wrong(f"there is no type {shown(name)}", node, did_you_mean(name, _NAMES))

    def _constructed(self, node: Call) -> Constraint:
        if node.name in _COLLECTIONS and len(node.arguments) == 1:
            return Constraint(node.name, self.read(node.arguments[0]))
        argument = node.arguments[0] if len(node.arguments) == 1 else None
        if node.name == "tuple" and isinstance(argument, List):
            return Constraint("tuple", elements=tuple(self.read(item) for item in argument.items))
        if node.name == "object" and isinstance(argument, Object):
            fields: dict[str, tuple[Constraint, bool, Any]] = {}
            for item in argument.items:
                if not isinstance(item.key, Literal):
                    self._wrong("the name of an attribute is plain", item.key)
                    continue
                fields[item.key.value] = self._field(item.value)
            return Constraint("object", fields=fields)
        if node.name not in _NAMES:
            return self._named(node.name, Node(node.start, node.name_end))
        return self._wrong(f'the type "{node.name}" has other parts', node)

    def _field(self, node: Expression) -> tuple[Constraint, bool, Any]:
        if isinstance(node, Call) and node.name == "optional" and 1 <= len(node.arguments) <= 2:
            inner = self.read(node.arguments[0])
            default = self.constant(node.arguments[1]) if len(node.arguments) == 2 else None
            return inner, True, default
        return self.read(node), False, None


def read_constraint(
    node: Expression, origin: Origin, diagnostics: Diagnostics, constant: Callable[[Expression], Any]
) -> Constraint:
    """Return the constraint that *node* writes; mistakes go to *diagnostics* (cw-wrong-type).

    *constant* gives the value of a default inside ``optional``.
    """
    return _Reader(origin, diagnostics, constant).read(node)


def convert(value: Any, constraint: Constraint, path: tuple[str | int, ...] = ()) -> Any:
    """Return *value* as *constraint* says. Marks stay; null fits everything.

    Recursion follows the constraint, which is as deep as its author wrote it, not the value.

    Raises:
        MisfitError: it does not fit.
    """
    if isinstance(value, Sensitive):
        return Sensitive(convert(value.value, constraint, path))
    if value is None or isinstance(value, Unknown) or constraint.kind == "any":
        return value
    try:
        if constraint.kind == "string":
            return to_text(value)
        if constraint.kind == "number":
            return normal(to_number(value))
        if constraint.kind == "bool":
            return to_bool(value)
    except ConversionError as problem:
        raise MisfitError(str(problem), path) from None
    if constraint.kind in {"list", "set", "tuple"}:
        return _converted_list(value, constraint, path)
    return _converted_map(value, constraint, path)


def _converted_list(value: Any, constraint: Constraint, path: tuple[str | int, ...]) -> Any:
    if not isinstance(value, list):
        raise MisfitError(f"{article(constraint.kind)} is needed, this is {article(kind_of(value))}", path)
    if constraint.kind == "tuple":
        if len(value) != len(constraint.elements):
            raise MisfitError(f"{len(constraint.elements)} elements are needed, here are {len(value)}", path)
        pairs = zip(value, constraint.elements, strict=True)
        return [convert(item, inner, (*path, i)) for i, (item, inner) in enumerate(pairs)]
    assert constraint.element is not None
    out = [convert(item, constraint.element, (*path, i)) for i, item in enumerate(value)]
    if constraint.element.kind == "any":
        from clockwork_nb.intake.functions_collections import unified

        out = unified(out)
    if constraint.kind == "set":
        return SetValue(out) if isinstance(value, SetValue) else _set(out, path)
    return out


def _set(items: list[Any], path: tuple[str | int, ...]) -> SetValue:
    from clockwork_nb.intake.functions_collections import as_set

    try:
        return as_set(items)
    except TypeError:
        raise MisfitError("the elements of a set are known and not sensitive", path) from None


def _converted_map(value: Any, constraint: Constraint, path: tuple[str | int, ...]) -> Any:
    if not isinstance(value, dict):
        raise MisfitError(f"{article(constraint.kind)} is needed, this is {article(kind_of(value))}", path)
    if constraint.fields is None:
        assert constraint.element is not None
        out = {k: convert(v, constraint.element, (*path, k)) for k, v in value.items()}
        if constraint.element.kind == "any":
            from clockwork_nb.intake.functions_collections import unified

            return dict(zip(out, unified(list(out.values())), strict=True))
        return out
    out = {}
    for name, (inner, may_miss, default) in constraint.fields.items():
        if value.get(name) is not None:
            out[name] = convert(value[name], inner, (*path, name))
        elif may_miss:
            out[name] = convert(default, inner, (*path, name))
        elif name in value:
            out[name] = None
        else:
            raise MisfitError(f"the attribute {shown(name)} is missing", path)
    # Terraform drops further attributes without a word; a misspelt one would be lost.
    extra = sorted(value.keys() - constraint.fields.keys())
    if extra:
        note = did_you_mean(extra[0], constraint.fields)
        raise MisfitError(f"the type has no attribute {shown(extra[0])}{f'; {note}' if note else ''}", path)
    return out
