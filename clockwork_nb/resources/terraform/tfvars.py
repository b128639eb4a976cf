"""Values as the text of a ``.tfvars`` file (HCL native syntax, section "Template Expressions"). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from clockwork_nb.errors import InvalidInputError
from clockwork_nb.patterns import pattern

__all__ = ["tfvars"]

_SPECIAL = pattern(r'["\\\x00-\x1f\x7f]|[$%](?=\{)')
_SHORT = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _text(value: str) -> str:
    # A "${" that is written as an escape is text; nothing in a value is ever evaluated.
    return '"' + _SPECIAL.sub(lambda m: _SHORT.get(m[0]) or f"\\u{ord(m[0]):04x}", value) + '"'


def tfvars(values: Mapping[str, Any]) -> str:
    """Return one line ``name = value`` for each of *values*, sorted by name. Values are plain (no `Sensitive` in them).

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA, a value that has no form there.

    >>> tfvars({"a": ['x', 1, None], "b": {"k": "${x}"}})
    'a = ["x",1,null]\\nb = {"k":"\\\\u0024{x}"}\\n'
    """
    out: list[str] = []
    for name, value in sorted(values.items()):
        out.append(f"{name} = ")
        # What is still to be written, the next on top: a value, or a piece of text as it is.
        todo: list[tuple[bool, Any]] = [(False, value)]
        while todo:
            ready, item = todo.pop()
            if ready:
                out.append(item)
            elif isinstance(item, Mapping):
                todo.append((True, "}"))
                for i, key in enumerate(sorted(item, reverse=True)):
                    comma = "" if i == 0 else ","
                    todo += [(True, comma), (False, item[key]), (True, f"{_text(str(key))}:")]
                todo.append((True, "{"))
            elif isinstance(item, (list, tuple)):
                todo.append((True, "]"))
                for i, element in enumerate(reversed(item)):
                    todo += [(True, "" if i == 0 else ","), (False, element)]
                todo.append((True, "["))
            else:
                out.append(_scalar(item, name))
        out.append("\n")
    return "".join(out)


def _scalar(value: Any, name: str) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, Decimal)):
        return format(value, "f") if isinstance(value, Decimal) else str(value)
    if isinstance(value, str):
        return _text(value)
    raise InvalidInputError(f'the variable "{name}" holds a {type(value).__name__}, which terraform has no word for')
