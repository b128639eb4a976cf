"""Text of blocks that the tool writes: existing things that are imported. Made with the reference writer (python-hcl2)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from clockwork_nb.intake.decode import Source
from clockwork_nb.patterns import pattern

__all__ = ["block_text"]

_TEMPLATE: Final = pattern(r"[$%](?=\{)")


def block_text(kind: str, name: str, attributes: Mapping[str, Any]) -> str:
    """Return ``kind "name" { … }`` with *attributes* (plain JSON values; null is left out), ending in a line end.

    >>> print(block_text("file", "a", {"path": "out/a", "content": "${x}"}), end="")
    file "a" {
      path    = "out/a"
      content = "$${x}"
    }
    """
    import hcl2

    builder = hcl2.Builder()
    values = {key: _written(value) for key, value in attributes.items() if value is not None}
    builder.block(kind, [_quoted(name)], **values)
    text: str = hcl2.dumps(builder.build())
    text = text.rstrip() + "\n"
    _check(text)
    return text


def _written(value: Any) -> Any:
    """Return *value* in the writer's form: a text carries its quotes. Recursion: values of attributes are shallow."""
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, Mapping):
        return {_quoted(str(k)): _written(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_written(v) for v in value]
    return value


def _quoted(text: str) -> str:
    # JSON's escapes are those of a quoted template, but for the template signs (HCL native syntax, "Template Expressions").
    return _TEMPLATE.sub(lambda sign: sign.group() * 2, json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f"))


def _check(text: str) -> None:
    """Read *text* again: what cannot be read must not be written."""
    from clockwork_nb.errors import InvalidInputError
    from clockwork_nb.intake.syntax import parse

    source = Source("generated", "generated", text.encode("utf-8", "surrogatepass"))
    _, found = parse(source.data, filename=source.name)
    if found:
        raise InvalidInputError(
            "what was found cannot be written as a block", hint="Write the block by hand, then import the thing."
        )
