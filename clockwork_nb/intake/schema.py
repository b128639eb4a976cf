"""Attributes of a resource against its type's Pydantic model: one configuration dict, or diagnostics people can read.

A type may know by itself that plain values are right (``accepts``); then there is nothing to report, and no model is
made, because that takes longer than a small plan.

The model sees plain JSON types, `Unknown` and `Sensitive` first, because it may know what to do with marks. A model
that does not is shown the values without marks, and the marks are put back afterwards, where they were if the model
left that place as it was, else on the whole attribute.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any
from weakref import WeakKeyDictionary

from clockwork_nb.diagnostics import Diagnostics, SourceRange
from clockwork_nb.intake.model_errors import Path, code_of, is_own, outermost, path_of, sentence
from clockwork_nb.intake.names import did_you_mean, shown, summary
from clockwork_nb.intake.nodes import Attribute, Block, Expression, List, Literal, Node, Object, Origin
from clockwork_nb.intake.operators import unmarked
from clockwork_nb.intake.values import Unknown, contains_unknown
from clockwork_nb.ports import ResourceType
from clockwork_nb.secrets import Sensitive

__all__ = ["Checker", "Places", "attribute_names", "exact", "field_names", "plain"]


class _Shape:
    """What a model's attributes are called: every accepted name → the field."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.fields: dict[str, str] = {}
        by_name = bool(model.model_config.get("populate_by_name") or model.model_config.get("validate_by_name"))
        for name, info in model.model_fields.items():
            aliases = _aliases(info)
            for alias in aliases:
                self.fields[alias] = name
            if by_name or not aliases:
                self.fields[name] = name

    def nested(self, field: str) -> _Shape | None:
        """Return the shape of the model inside *field* (behind lists, objects and options), or None."""
        info = self.model.model_fields.get(field)
        inner = _model_in(info.annotation) if info is not None else None
        return None if inner is None else shape_of(inner)


class _Known:
    """What is known of a resource type: every accepted name → the attribute, and how it takes plain values."""

    def __init__(self, kind: ResourceType) -> None:
        self.kind = kind
        self.accepts: Callable[[Mapping[str, Any]], dict[str, Any] | None] | None = getattr(kind, "accepts", None)
        self._shape: _Shape | None = None
        names: Callable[[], frozenset[str]] | None = getattr(kind, "attribute_names", None)
        self.fields: Mapping[str, str] = {n: n for n in names()} if names is not None else self.shape.fields

    @property
    def shape(self) -> _Shape:
        """The shape of the model, which is asked for once and only when it is needed: asking imports."""
        if self._shape is None:
            self._shape = shape_of(self.kind.model())
        return self._shape


_SHAPES: WeakKeyDictionary[Any, _Shape] = WeakKeyDictionary()
_KINDS: dict[int, _Known] = {}


def _known(kind: ResourceType) -> _Known:
    found = _KINDS.get(id(kind))
    if found is None or found.kind is not kind:
        found = _KINDS[id(kind)] = _Known(kind)
    return found


def shape_of(model: Any) -> _Shape:
    """Return the names of *model*'s attributes; worked out once for each model."""
    found = _SHAPES.get(model)
    if found is None:
        found = _SHAPES[model] = _Shape(model)
    return found


def _aliases(info: Any) -> list[str]:
    alias = info.validation_alias if info.validation_alias is not None else info.alias
    if alias is None:
        return []
    if isinstance(alias, str):
        return [alias]
    return [choice for choice in getattr(alias, "choices", ()) if isinstance(choice, str)]


def _model_in(annotation: Any) -> Any:
    """Return the first model class inside a type annotation, or None."""
    stack = [annotation]
    while stack:
        current = stack.pop()
        if isinstance(current, type) and hasattr(current, "model_fields"):
            return current
        stack.extend(getattr(current, "__args__", ()))
    return None


def attribute_names(kind: ResourceType) -> frozenset[str]:
    """Return every attribute that may be set on a resource of type *kind*."""
    return frozenset(_known(kind).fields)


def field_names(kind: ResourceType) -> frozenset[str]:
    """Return every attribute that a config of type *kind* has, each under its own name; other spellings are left out."""
    return frozenset(_known(kind).fields.values())


def plain(value: Any) -> Any:
    """Return *value* as JSON types: sets become lists, fractions become floats; marks stay. Shares what needs no change.

    Recursion follows the nesting of the value, which is bounded (``limits.value_depth``).
    """
    kind = type(value)
    if kind is str or kind is int or kind is bool or value is None:
        return value
    if kind is Decimal:
        return float(value)
    if isinstance(value, list):
        return [plain(v) for v in value]
    if kind is dict:
        return {k: plain(v) for k, v in value.items()}
    if kind is Sensitive:
        return Sensitive(plain(value.value))
    return value


def exact(value: Any) -> Any:
    """Return JSON types as values of the language: floats become exact decimals. Recursion: values are bounded."""
    kind = type(value)
    if kind is str or kind is int or kind is bool or value is None:
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() else Decimal(repr(value))
    if isinstance(value, dict):
        return {k: exact(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [exact(v) for v in value]
    if isinstance(value, Sensitive):
        return Sensitive(exact(value.value))
    return value


class Checker:
    """Checks one resource.

    Args:
        kind: its type.
        where: how messages name it: ``service "web"``.
        address: its address.
        origin: where its block lies.
    """

    def __init__(self, kind: ResourceType, where: str, address: str, origin: Origin, diagnostics: Diagnostics) -> None:
        self.kind = kind
        self.where = where
        self.address = address
        self.origin = origin
        self.diagnostics = diagnostics
        self._known = _known(kind)

    @property
    def shape(self) -> _Shape:
        """The shape of the model; it is made when something has to be reported, or the type knows no other way."""
        return self._known.shape

    def names_are_known(self, attributes: Sequence[Attribute], blocks: Sequence[Block]) -> bool:
        """Return whether every attribute and nested block belongs to the type; the mistakes go to the diagnostics."""
        good = True
        fields = self._known.fields
        seen: dict[str, Node] = {}
        items: tuple[Attribute | Block, ...] = (*attributes, *blocks)
        for item in items:
            name, end = (item.name, item.name_end) if isinstance(item, Attribute) else (item.kind, item.kind_end)
            place = self.origin.span(item.start, end)
            field = fields.get(name)
            if field is None:
                good = False
                self._unknown_name(name, place, fields, "attribute" if isinstance(item, Attribute) else "block")
                continue
            other = seen.setdefault(field, item)
            if type(other) is not type(item) or (isinstance(item, Attribute) and other is not item):
                good = False
                self._error(
                    "cw-duplicate",
                    f"{shown(name)} is there twice in {self.where}",
                    place,
                    note="two spellings of one attribute",
                )
        return good

    def _unknown_name(self, name: str, place: SourceRange, fields: Iterable[str], what: str = "attribute") -> None:
        self._error(
            "cw-unknown-attribute",
            f"unknown {what} {shown(name)} in {self.where}",
            place,
            note=did_you_mean(name, fields),
            detail=f"It takes {', '.join(sorted(fields)) or 'no attributes'}.",
        )

    def _error(self, code: str, text: str, place: SourceRange, *, note: str = "", detail: str = "") -> None:
        self.diagnostics.error(code, summary(text), place, note=note, detail=detail, address=self.address)

    def config(
        self, values: Mapping[str, Any], places: Places, lost: frozenset[str] = frozenset()
    ) -> dict[str, Any] | None:
        """Return *values* as the model makes them (defaults filled in), or None with diagnostics.

        *lost* are attributes whose values could not be had, which was reported: nothing is said about them, nor about
        the resource as a whole, and there is no config.
        """
        raw = {name: plain(value) for name, value in values.items()}
        if self._known.accepts is not None:
            accepted = self._known.accepts(raw)
            if accepted is not None:
                return None if lost else accepted
        from pydantic import ValidationError

        model = self.shape.model
        try:
            config: dict[str, Any] = model.model_validate(raw).model_dump()
            return None if lost else config
        except ValidationError as error:
            problems = self._about_others(error.errors(include_url=False), lost)
        marked = {name for name, value in raw.items() if _has_marks(value)}
        wrong = [p for p in problems if self._is_wrong_anyway(p, raw)]
        if marked and not wrong and any(_has_marks(p.get("input")) and not is_own(p) for p in problems):
            return self._without_marks(model, raw, marked, places, lost)
        problems = [p for p in problems if p in wrong or is_own(p) or not _has_marks(p.get("input"))]
        self._report(problems, raw, places)
        return None

    def _without_marks(
        self, model: Any, raw: dict[str, Any], marked: set[str], places: Places, lost: frozenset[str]
    ) -> dict[str, Any] | None:
        """Check against a model that knows no marks, and put them back."""
        from pydantic import ValidationError

        unknown = {name for name in marked if contains_unknown(raw[name])}
        bare = {name: unmarked(value)[0] for name, value in raw.items() if name not in unknown}
        try:
            config: dict[str, Any] = model.model_validate(bare).model_dump()
        except ValidationError as error:
            # What depends on a value that is not known yet cannot be judged yet.
            problems = self._about_others(error.errors(include_url=False), unknown | lost)
            if problems or lost:
                self._report(problems, raw, places)
                return None
            config = {name: info.get_default(call_default_factory=True) for name, info in model.model_fields.items()}
            config.update({self.shape.fields.get(name, name): value for name, value in bare.items()})
        for name in marked:
            field = self.shape.fields.get(name, name)
            config[field] = raw[name] if name in unknown else _marked_again(raw[name], config.get(field))
        return config

    def _is_wrong_anyway(self, problem: Mapping[str, Any], raw: Mapping[str, Any]) -> bool:
        """Return whether *problem* is a name that is missing or does not exist, which no value can make right."""
        code = code_of(problem)
        path = path_of(problem, raw)
        if code == "cw-unknown-attribute":
            return self._shape_at(path[:-1]) is not None
        return code == "cw-missing-attribute" and self._shape_at(path) is not None

    def _about_others(self, problems: Sequence[Mapping[str, Any]], names: Iterable[str]) -> list[Mapping[str, Any]]:
        """Return the *problems* that are about none of the attributes *names*, nor about all attributes together."""
        fields = {self.shape.fields.get(name, name) for name in names}
        if not fields:
            return list(problems)
        return [p for p in problems if p["loc"] and self.shape.fields.get(str(p["loc"][0]), p["loc"][0]) not in fields]

    # --- the model's errors ---------------------------------------------------------------------------------------

    def _report(self, problems: Sequence[Mapping[str, Any]], raw: Mapping[str, Any], places: Places) -> None:
        """Turn the model's errors into ours: one for each place, all sentences about it together."""
        grouped: dict[tuple[str, Path], list[Mapping[str, Any]]] = {}
        for problem in problems:
            code = code_of(problem)
            path = path_of(problem, raw)
            grouped.setdefault((code, path), []).append(problem)
        for (code, path), group in outermost(grouped):
            self._report_one(code, path, group, raw, places)

    def _report_one(
        self, code: str, path: Path, group: list[Mapping[str, Any]], raw: Mapping[str, Any], places: Places
    ) -> None:
        first = group[0]
        hidden = unmarked(_at(raw, path))[1]
        if code == "cw-unknown-attribute":
            shape = self._shape_at(path[:-1])
            place = places.name(path)
            if shape is not None:
                self._unknown_name(str(path[-1]), place, shape.fields)
            else:
                self._error(code, f"unknown attribute {shown(str(path[-1]))} in {self.where}", place)
            return
        if code == "cw-missing-attribute":
            name = str(first["loc"][-1])
            self._error(
                code,
                f"{shown(name)} is missing in {f'{_dotted(path)} of ' if path else ''}{self.where}",
                places.value(path) if path else places.header,
                detail=self._describe_missing(path, name),
            )
            return
        words, detail = sentence(group, hidden)
        target = f"{_dotted(path)} in {self.where}" if path else self.where
        text = f"wrong type for {target}" if code == "cw-wrong-type" else f"{target} is refused"
        self._error(code, text, places.value(path) if path else places.header, note=words, detail=detail)

    def _describe_missing(self, path: Path, name: str) -> str:
        shape = self._shape_at(path)
        info = shape.model.model_fields.get(shape.fields.get(name, name)) if shape is not None else None
        words = getattr(info, "description", None)
        return f"Add {name} = …" + (f" ({words})." if words else "")

    def _shape_at(self, path: Path) -> _Shape | None:
        shape: _Shape | None = self.shape
        for part in path:
            if isinstance(part, str) and shape is not None:
                shape = shape.nested(shape.fields.get(part, part))
        return shape


class Places:
    """Where in the text the parts of a resource's values are."""

    def __init__(
        self, attributes: Sequence[Attribute], blocks: Sequence[Block], origin: Origin, header: SourceRange
    ) -> None:
        self.origin = origin
        self.header = header
        self._items = attributes, blocks  # sorted out when a place is asked for, which a right configuration never does

    def name(self, path: Path) -> SourceRange:
        """Return the place of the name or key that *path* ends with."""
        return self._find(path, name=True)

    def value(self, path: Path) -> SourceRange:
        """Return the place of the value at *path*, or of the nearest one around it."""
        return self._find(path, name=False)

    def _find(self, path: Path, *, name: bool) -> SourceRange:
        attributes = {a.name: a for a in self._items[0]}
        blocks: dict[str, list[Block]] = {}
        for block in self._items[1]:
            blocks.setdefault(block.kind, []).append(block)
        place = self.header
        rest = list(path)
        while rest:
            part = rest.pop(0)
            if part in attributes:
                found = attributes[str(part)]
                if name and not rest:
                    return self.origin.span(found.start, found.name_end)
                return self.origin.range(_inner(found.value, rest, name=name))
            if part not in blocks:
                return place
            group = blocks[str(part)]
            block = group[0]
            index = rest[0] if rest else None
            if len(group) > 1 and isinstance(index, int) and index < len(group):
                block = group[index]
                rest.pop(0)
            place = self.origin.span(block.start, block.kind_end if name else block.header_end)
            attributes = {i.name: i for i in block.body.items if isinstance(i, Attribute)}
            blocks = {}
            for item in block.body.items:
                if isinstance(item, Block):
                    blocks.setdefault(item.kind, []).append(item)
        return place


def _inner(node: Expression, path: list[str | int], *, name: bool) -> Node:
    """Follow *path* into lists and objects that are written out; stop where the text does not show the part."""
    current: Node = node
    for index, part in enumerate(path):
        if isinstance(current, List) and isinstance(part, int) and part < len(current.items):
            current = current.items[part]
        elif isinstance(current, Object):
            item = next((i for i in current.items if isinstance(i.key, Literal) and i.key.value == part), None)
            if item is None:
                break
            current = item.key if name and index == len(path) - 1 else item.value
        else:
            break
    return current


def _has_marks(value: Any) -> bool:
    if isinstance(value, (Unknown, Sensitive)):
        return True
    if isinstance(value, (list, dict)):
        _, sensitive, unknown = unmarked(value)
        return sensitive or unknown
    return False


def _at(value: Any, path: Path) -> Any:
    for part in path:
        if isinstance(value, Sensitive):
            return value
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list) and isinstance(part, int):
            value = value[part] if part < len(value) else None
        else:
            return None
    return value


def _dotted(path: Path) -> str:
    text = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path).lstrip(".")
    return shown(text) if text else ""


def _marked_again(raw: Any, made: Any) -> Any:
    """Return *made* with the `Sensitive` marks of *raw* in their places, or all of it marked when it was rearranged."""
    if isinstance(raw, Sensitive):
        return Sensitive(made)
    if isinstance(raw, dict) and isinstance(made, dict):
        out = dict(made)
        for key, value in raw.items():
            if not _has_marks(value):
                continue
            if key not in made or unmarked(value)[0] != made[key]:
                return Sensitive(made)
            out[key] = _marked_again(value, made[key])
        return out
    if isinstance(raw, list) and isinstance(made, list) and len(raw) == len(made):
        if any(_has_marks(r) and unmarked(r)[0] != m for r, m in zip(raw, made, strict=True)):
            return Sensitive(made)
        return [_marked_again(r, m) if _has_marks(r) else m for r, m in zip(raw, made, strict=True)]
    return Sensitive(made) if _has_marks(raw) else made
