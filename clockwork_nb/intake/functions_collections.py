"""Functions on lists, sets and objects (Terraform's results)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from clockwork_nb.intake.function_kit import FunctionError, Table
from clockwork_nb.intake.functions_encoding import json_text
from clockwork_nb.intake.limits import LIMITS
from clockwork_nb.intake.names import did_you_mean, shown
from clockwork_nb.intake.operators import ConversionError, article, equal, kind_of, normal, to_bool, to_number, to_text
from clockwork_nb.intake.values import SetValue

__all__ = ["COLLECTION_FUNCTIONS", "as_set", "unified"]

COLLECTION_FUNCTIONS: Final = Table()
_add = COLLECTION_FUNCTIONS.add

_PRIMITIVES: Final = frozenset({"string", "number", "bool"})


def _bounded(size: int) -> None:
    if size > LIMITS.elements:
        raise FunctionError("this value grows too large", code="cw-limit", shows_value=False)


def unified(items: list[Any]) -> list[Any]:
    """Return *items* as one type: texts, numbers and booleans that are mixed become texts."""
    kinds = {kind_of(item) for item in items} - {"null", "unknown", "sensitive"}
    if len(kinds) > 1 and kinds <= _PRIMITIVES:
        return [item if kind_of(item) not in _PRIMITIVES else to_text(item) for item in items]
    return list(items)


def _order(item: Any) -> tuple[int, Any, str]:
    if isinstance(item, (int, Decimal)) and not isinstance(item, bool):
        return (0, item, "")
    return (1, 0, item if isinstance(item, str) else json_text(item))


def as_set(items: list[Any]) -> SetValue:
    """Return the set of *items*: one type, each once, numbers by size and texts by code point."""
    once = {json_text(item): item for item in unified(items)}
    return SetValue(sorted(once.values(), key=_order))


@_add("any", structural=True)
def length(value: Any) -> int:
    from clockwork_nb.intake.functions_text import characters

    if isinstance(value, str):
        return len(characters(value))
    if isinstance(value, (list, dict)):
        return len(value)
    raise FunctionError(f"a text, list or object is needed, this is {article(kind_of(value))}", 0)


@_add("map", "any", "any?", optional=1, structural=True)
def lookup(values: dict[str, Any], key: Any, *default: Any) -> Any:
    try:
        name = to_text(key)
    except ConversionError as problem:
        raise FunctionError(str(problem), 1) from None
    if name in values:
        return values[name]
    if default:
        return default[0]
    raise FunctionError(f"there is no key {shown(name)}", 1, detail=did_you_mean(name, values))


@_add("sequence", "whole", structural=True)
def element(items: list[Any], index: int) -> Any:
    if not items:
        raise FunctionError("the list is empty", 0)
    if index < 0:
        raise FunctionError("an index is 0 or more", 1)
    return items[index % len(items)]


@_add(rest="map?", structural=True)
def merge(*maps: dict[str, Any] | None) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for one in maps:
        out.update(one or {})
    return out


@_add(rest="list", structural=True)
def concat(*lists: list[Any]) -> list[Any]:
    _bounded(sum(map(len, lists)))
    return [item for items in lists for item in items]


@_add("list")
def flatten(items: list[Any]) -> list[Any]:
    out: list[Any] = []
    stack = [iter(items)]
    while stack:
        for item in stack[-1]:
            if isinstance(item, list):
                stack.append(iter(item))
                break
            out.append(item)
            _bounded(len(out))
        else:
            stack.pop()
    return out


@_add("list")
def distinct(items: list[Any]) -> list[Any]:
    once: dict[str, Any] = {}
    for item in items:
        once.setdefault(json_text(item), item)
    return list(once.values())


@_add("list")
def compact(items: list[Any]) -> list[Any]:
    return [item for item in items if item is not None and item != ""]


@_add("list", "any?")
def contains(items: list[Any], value: Any) -> bool:
    return any(equal(item, value) for item in items)


@_add("map", structural=True)
def keys(values: dict[str, Any]) -> list[str]:
    return sorted(values)


@_add("map", structural=True)
def values(values_: dict[str, Any]) -> list[Any]:
    return [values_[k] for k in sorted(values_)]


@_add("list", "list", structural=True)
def zipmap(names: list[Any], items: list[Any]) -> dict[str, Any]:
    if len(names) != len(items):
        raise FunctionError(f"there are {len(names)} keys and {len(items)} values")
    out: dict[str, Any] = {}
    for name, item in zip(names, items, strict=True):
        try:
            out[to_text(name)] = item
        except (ConversionError, TypeError):
            raise FunctionError("every key must be a known text", 0) from None
    return out


@_add("list", rest="list")
def setunion(*sets: list[Any]) -> SetValue:
    _bounded(sum(map(len, sets)))
    return as_set([item for items in sets for item in items])


def _texts(items: list[Any]) -> set[str]:
    return {json_text(item) for item in as_set(items)}


@_add("list", rest="list")
def setintersection(first: list[Any], *others: list[Any]) -> SetValue:
    common = set.intersection(*(_texts(items) for items in (first, *others)))
    return SetValue(item for item in as_set(first) if json_text(item) in common)


@_add("list", "list")
def setsubtract(first: list[Any], second: list[Any]) -> SetValue:
    gone = _texts(second)
    return SetValue(item for item in as_set(first) if json_text(item) not in gone)


@_add("list", rest="list")
def setproduct(*lists: list[Any]) -> list[Any]:
    count = 1
    for items in lists:
        count *= len(items)
    _bounded(count * len(lists))
    out: list[list[Any]] = [[]]
    for items in lists:
        out = [[*start, item] for start in out for item in items]
    return out


@_add("number", "number", "number", optional=2)
def range_(*bounds: Any) -> list[Any]:
    start, limit = (0, bounds[0]) if len(bounds) == 1 else bounds[:2]
    step = bounds[2] if len(bounds) == 3 else (1 if start <= limit else -1)
    if step == 0 or (limit - start) * step < 0:
        raise FunctionError("the step must lead from start to limit", 2)
    count = max(0, -int(-(limit - start) // step))
    _bounded(count)
    out: list[Any] = []
    current = start
    while (current < limit) if step > 0 else (current > limit):
        out.append(normal(current))
        _bounded(len(out))
        current += step
    return out


@_add("sequence", "whole", "whole", structural=True)
def slice_(items: list[Any], start: int, end: int) -> list[Any]:
    if not 0 <= start <= end <= len(items):
        raise FunctionError(f"the list has {len(items)}; start and end must lie in it, in this order", 1)
    return items[start:end]


@_add("list")
def sort(items: list[Any]) -> list[str]:
    try:
        return sorted(to_text(item) for item in items)
    except ConversionError as problem:
        raise FunctionError(f"only texts can be sorted: {problem}", 0) from None


@_add("list", structural=True)
def reverse(items: list[Any]) -> list[Any]:
    return items[::-1]


@_add("sequence", "any?")
def index(items: list[Any], value: Any) -> int:
    for at, item in enumerate(items):
        if equal(item, value):
            return at
    raise FunctionError("the list does not have this value", 1)


@_add("sequence", "whole", structural=True)
def chunklist(items: list[Any], size: int) -> list[Any]:
    if size < 0:
        raise FunctionError("a size is 0 or more", 1)
    if size == 0:
        return [items]
    return [items[i : i + size] for i in range(0, len(items), size)]


@_add(rest="any?")
def coalesce(*items: Any) -> Any:
    usable = [item for item in unified(list(items)) if item is not None and item != ""]
    if not usable:
        raise FunctionError("all values are null or empty")
    return usable[0]


@_add(rest="list?")
def coalescelist(*lists: list[Any] | None) -> list[Any]:
    for items in lists:
        if items:
            return items
    raise FunctionError("all lists are empty")


@_add("list", structural=True)
def one(items: list[Any]) -> Any:
    if len(items) > 1:
        raise FunctionError(f"at most one element may be there, here are {len(items)}", 0)
    return items[0] if items else None


def _numbers(items: list[Any], argument: int = 0) -> list[Any]:
    try:
        return [to_number(item) for item in items]
    except ConversionError as problem:
        raise FunctionError(f"every element must be a number: {problem}", argument) from None


@_add("list")
def sum_(items: list[Any]) -> Any:
    if not items:
        raise FunctionError("the list is empty", 0)
    return normal(sum(_numbers(items)))


def _flags(items: list[Any]) -> list[bool]:
    try:
        return [False if item is None else to_bool(item) for item in items]
    except ConversionError as problem:
        raise FunctionError(f"every element must be true or false: {problem}", 0) from None


@_add("list")
def alltrue(items: list[Any]) -> bool:
    return all(_flags(items))


@_add("list")
def anytrue(items: list[Any]) -> bool:
    return any(_flags(items))


@_add("map")
def transpose(values_: dict[str, Any]) -> dict[str, list[str]]:
    out: dict[str, list[str]] = {}
    for key in sorted(values_):
        if not isinstance(values_[key], list):
            raise FunctionError("every value must be a list of texts", 0)
        for item in values_[key]:
            try:
                out.setdefault(to_text(item), []).append(key)
            except ConversionError as problem:
                raise FunctionError(f"every value must be a list of texts: {problem}", 0) from None
    return dict(sorted(out.items()))


@_add("list", "list", "list")
def matchkeys(items: list[Any], names: list[Any], wanted: list[Any]) -> list[Any]:
    if len(items) != len(names):
        raise FunctionError(f"there are {len(items)} values and {len(names)} keys")
    want = {json_text(w) for w in wanted}
    return [item for item, name in zip(items, names, strict=True) if json_text(name) in want]


@_add("any")
def tolist(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise FunctionError(f"a list is needed, this is {article(kind_of(value))}", 0)
    return unified(value)


@_add("list")
def toset(items: list[Any]) -> SetValue:
    return as_set(items)


@_add("map")
def tomap(values_: dict[str, Any]) -> dict[str, Any]:
    return dict(zip(values_, unified(list(values_.values())), strict=True))
