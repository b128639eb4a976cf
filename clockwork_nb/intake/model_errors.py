"""The errors of Pydantic models as people say them. None of the library's own words get through."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from clockwork_nb.secrets import Sensitive

__all__ = ["Path", "code_of", "is_own", "outermost", "path_of", "sentence"]

Path = tuple[str | int, ...]
"""Keys and indexes that lead into a value."""

_SENTENCES: Final[Mapping[str, str]] = {
    "string_type": "text is needed",
    "int_type": "a whole number is needed",
    "int_from_float": "a whole number is needed",
    "int_parsing": "a whole number is needed",
    "float_type": "a number is needed",
    "float_parsing": "a number is needed",
    "bool_type": "true or false is needed",
    "bool_parsing": "true or false is needed",
    "list_type": "a list is needed",
    "tuple_type": "a list is needed",
    "set_type": "a list is needed",
    "frozen_set_type": "a list is needed",
    "dict_type": "an object is needed",
    "mapping_type": "an object is needed",
    "model_type": "an object is needed",
    "model_attributes_type": "an object is needed",
    "dataclass_type": "an object is needed",
    "none_required": "null is needed",
    "decimal_type": "a number is needed",
    "is_instance_of": "another kind of value is needed",
}
_BOUNDS: Final[Mapping[str, tuple[str, str]]] = {
    "greater_than": ("more than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
    "multiple_of": ("a multiple of", "multiple_of"),
}
_LENGTHS: Final[Mapping[str, tuple[str, str, str]]] = {
    "string_too_short": ("at least", "min_length", "character"),
    "string_too_long": ("at most", "max_length", "character"),
    "too_short": ("at least", "min_length", "element"),
    "too_long": ("at most", "max_length", "element"),
}


def is_own(problem: Mapping[str, Any]) -> bool:
    """Return whether the resource type wrote this message itself."""
    return str(problem["type"]).startswith("cw")


def code_of(problem: Mapping[str, Any]) -> str:
    kind = problem["type"]
    if kind == "missing":
        return "cw-missing-attribute"
    if kind == "extra_forbidden":
        return "cw-unknown-attribute"
    return "cw-wrong-type" if kind in _SENTENCES else "cw-invalid-value"


def path_of(problem: Mapping[str, Any], raw: Mapping[str, Any]) -> Path:
    """Return the keys and indexes of *problem* that lead through *raw*; the names of union members are left out."""
    loc = list(problem["loc"])
    if problem["type"] == "missing":
        loc.pop()
    path: list[str | int] = []
    current: Any = raw
    for part in loc:
        if isinstance(current, Sensitive):
            current = current.value
        if (isinstance(current, Mapping) and part in current) or (
            isinstance(current, list) and isinstance(part, int) and 0 <= part < len(current)
        ):
            current = current[part]
        elif isinstance(current, Mapping) and part == 0 and not isinstance(part, bool):
            continue  # one block where a list of blocks is possible
        else:
            continue
        path.append(part)
    # A rule about several attributes is one of the model as a whole; it names the one that is to be changed.
    reason = problem.get("ctx", {}).get("reason")
    if (
        problem["type"] == "cw_refused"
        and isinstance(current, Mapping)
        and isinstance(reason, str)
        and reason in current
    ):
        path.append(reason)
    if problem["type"] == "extra_forbidden" and (not path or path[-1] != loc[-1]):
        path.append(loc[-1])
    return tuple(path)


def outermost(
    grouped: Mapping[tuple[str, Path], list[Mapping[str, Any]]],
) -> Iterable[tuple[tuple[str, Path], list[Mapping[str, Any]]]]:
    """Leave out what a union says about the members that were not meant.

    When one place has several errors and some of them lie deeper inside, the deeper ones are about the member that
    fits best.
    """
    paths = {path for _, path in grouped}
    for (code, path), group in grouped.items():
        deeper = any(len(p) > len(path) and p[: len(path)] == path for p in paths)
        if deeper and path and code == "cw-wrong-type":
            continue
        yield (code, path), group


def sentence(group: Sequence[Mapping[str, Any]], hidden: bool) -> tuple[str, str]:
    """Return what a group of errors about one place says, and the detail."""
    words: list[str] = []
    detail = ""
    for problem in group:
        text, more = _words(problem, hidden)
        if text not in words:
            words.append(text)
        detail = detail or more
    needs = [w.removesuffix(" is needed") for w in words if w.endswith(" is needed")]
    if len(needs) == len(words) and len(needs) > 1:
        return f"{', '.join(needs[:-1])} or {needs[-1]} is needed", detail
    return "; ".join(words), detail


def _words(problem: Mapping[str, Any], hidden: bool) -> tuple[str, str]:
    kind, context = str(problem["type"]), problem.get("ctx") or {}
    if kind in _SENTENCES:
        given = problem.get("input")
        if kind == "string_type" and isinstance(given, (int, float)):
            return _SENTENCES[kind], 'Put it in quotes; around an expression write "${ … }".'
        if kind in {"int_type", "float_type", "bool_type"} and isinstance(given, str):
            return _SENTENCES[kind], "Write it without quotes." if not hidden else ""
        return _SENTENCES[kind], ""
    if kind in {"literal_error", "enum"}:
        return f"{str(context.get('expected', '')).replace(chr(39), chr(34))} is needed", ""
    if kind in _BOUNDS:
        phrase, key = _BOUNDS[kind]
        return f"must be {phrase} {context.get(key)}", ""
    if kind in _LENGTHS:
        phrase, key, noun = _LENGTHS[kind]
        count = context.get(key)
        return f"must have {phrase} {count} {noun}{'' if count == 1 else 's'}", ""
    if kind == "string_pattern_mismatch":
        return f"must match {context.get('pattern')}", ""
    if kind in {"value_error", "assertion_error"} or is_own(problem):
        if hidden and not is_own(problem):
            return "the value does not fit; it is sensitive and not shown", ""
        text = str(context.get("error") or problem["msg"])
        first, _, rest = text.partition("\n")
        return first, str(context.get("hint") or rest)
    return ("the value does not fit; it is sensitive and not shown" if hidden else str(problem["msg"])), ""
