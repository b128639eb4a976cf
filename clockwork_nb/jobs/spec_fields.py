"""Field types of the job spec: each checks a value where it is written, says all that is wrong, and knows its JSON Schema.

The table of the spec is built of these (`clockwork_nb.jobs.spec`), so what is checked and what is published is one thing.
The depth of the table bounds the depth of the checks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

from msgspec import Struct, field

from clockwork_nb.intake.names import did_you_mean, shown
from clockwork_nb.jobs.located import Findings, Node

__all__ = ["Anything", "Field", "Flag", "Items", "Number", "Object", "Pairs", "Words", "Written", "kind_of"]


class Field(Protocol):
    """What one field may hold."""

    def check(self, node: Node, where: str, findings: Findings) -> None:
        """Add to *findings* what is wrong with *node*; *where* names the field like ``budgets.max_retries``."""
        ...

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of the same rule (limits in bytes become limits in characters, which are wider)."""
        ...


def kind_of(value: Any) -> str:
    """Return what *value* is, in words."""
    names = {dict: "an object", list: "a list", str: "text", int: "a number", float: "a number", bool: "true or false"}
    return "nothing" if value is None else names[type(value)]


def _wrong_type(node: Node, where: str, wanted: str, findings: Findings) -> None:
    note = f"this is {kind_of(node.value)}"
    written = findings.source.text[node.start : node.end]
    if wanted == "text" and not isinstance(node.value, (dict, list)) and node.value is not None and len(written) < 40:
        note = f'write "{written}", in quotes'
    findings.error("spec-wrong-type", f"{_last(where)} must be {wanted}", node.start, node.end, note=note)


def _last(where: str) -> str:
    if not where:
        return "a job spec"
    return f'"{where.rpartition(".")[2]}"' if len(where) < 45 else f'"{where[-40:]}"'


class Written(Struct, frozen=True):
    """Text of at most *limit* bytes in UTF-8.

    *regex* is what it must match as a whole, *says* the same in words; *rule* finds what a pattern cannot: it returns
    what is wrong, or nothing.
    """

    limit: int = 4096
    empty: bool = True
    regex: str = ""
    says: str = ""
    rule: Callable[[str], str] | None = None

    def check(self, node: Node, where: str, findings: Findings) -> None:
        """See `Field.check`."""
        value = node.value
        if type(value) is not str:
            _wrong_type(node, where, "text", findings)
            return
        wrong, note = self._wrong(value)
        if wrong:
            code = "spec-limit" if wrong.startswith("has ") else "spec-invalid-value"
            findings.error(code, f"{_last(where)} {wrong}", node.start, node.end, note=note)

    def _wrong(self, value: str) -> tuple[str, str]:
        if not value.strip() and not self.empty:
            return "must not be empty", ""
        if "\x00" in value:
            return "holds U+0000", "no file or command can hold it"
        size = len(value.encode())
        if size > self.limit:
            return f"has {size:,} bytes, more than {self.limit:,}", ""
        if self.regex and not re.fullmatch(self.regex, value):
            return "is not as it must be", self.says
        found = self.rule(value) if self.rule is not None else ""
        return ("cannot be taken", found) if found else ("", "")

    def schema(self) -> dict[str, Any]:
        """See `Field.schema`."""
        out: dict[str, Any] = {"type": "string", "maxLength": self.limit}
        if self.regex:
            out["pattern"] = f"^(?:{self.regex})$"
        return out if self.empty else {**out, "minLength": 1}


class Number(Struct, frozen=True):
    """A whole number, or with *fraction* any, from *low* to *high*."""

    low: int = 0
    high: int = 10**15 - 1
    fraction: bool = False

    def check(self, node: Node, where: str, findings: Findings) -> None:
        """See `Field.check`."""
        value = node.value
        if type(value) not in ({int, float} if self.fraction else {int}):
            _wrong_type(node, where, "a number" if self.fraction else "a whole number", findings)
        elif not self.low <= value <= self.high:
            bound = f"at least {self.low}" if value < self.low else f"at most {self.high}"
            findings.error("spec-invalid-value", f"{_last(where)} must be {bound}", node.start, node.end)

    def schema(self) -> dict[str, Any]:
        """See `Field.schema`."""
        return {"type": "number" if self.fraction else "integer", "minimum": self.low, "maximum": self.high}


class Flag(Struct, frozen=True):
    """True or false."""

    def check(self, node: Node, where: str, findings: Findings) -> None:
        """See `Field.check`."""
        if type(node.value) is not bool:
            _wrong_type(node, where, "true or false", findings)

    def schema(self) -> dict[str, Any]:
        """See `Field.schema`."""
        return {"type": "boolean"}


class Words:
    """One of a closed list of words, in any case when *fold* is set."""

    def __init__(self, *words: str, fold: bool = False) -> None:
        self.words = words
        self.fold = fold

    def check(self, node: Node, where: str, findings: Findings) -> None:
        """See `Field.check`."""
        value = node.value
        if type(value) is not str:
            _wrong_type(node, where, "text", findings)
        elif (value.strip().lower() if self.fold else value) not in self.words:
            findings.error(
                "spec-invalid-value",
                f"{shown(value)} is not known as {_last(where)}",
                node.start,
                node.end,
                note=did_you_mean(value, self.words),
                detail=f"Known: {', '.join(self.words)}.",
            )

    def schema(self) -> dict[str, Any]:
        """See `Field.schema`."""
        return {"type": "string"} if self.fold else {"enum": list(self.words)}


class Items(Struct, frozen=True):
    """A list of at most *limit* and at least *least* values of one type."""

    of: Field
    limit: int = 1024
    least: int = 0

    def check(self, node: Node, where: str, findings: Findings) -> None:
        """See `Field.check`."""
        if type(node.value) is not list:
            _wrong_type(node, where, "a list", findings)
            return
        if not self.least <= len(node.items) <= self.limit:
            findings.error(
                "spec-limit",
                f"{_last(where)} has {len(node.items):,} items",
                node.start,
                node.end,
                note=f"from {self.least} to {self.limit:,} are taken",
            )
        for index, item in enumerate(node.items):
            self.of.check(item, f"{where}[{index}]", findings)

    def schema(self) -> dict[str, Any]:
        """See `Field.schema`."""
        out = {"type": "array", "items": self.of.schema(), "maxItems": self.limit}
        return {**out, "minItems": self.least} if self.least else out


class Pairs(Struct, frozen=True):
    """An object of text whose keys are names like those of environment variables."""

    limit: int = 64
    text: Written = field(default_factory=Written)

    def check(self, node: Node, where: str, findings: Findings) -> None:
        """See `Field.check`."""
        if type(node.value) is not dict:
            _wrong_type(node, where, "an object", findings)
            return
        if len(node.entries) > self.limit:
            findings.error("spec-limit", f"{_last(where)} has more than {self.limit} names", node.start, node.start)
        for name, (start, end, value) in node.entries.items():
            if not re.fullmatch(_VARIABLE, name):
                findings.error("spec-invalid-value", f"{shown(name)} is no variable's name", start, end)
            self.text.check(value, f"{where}.{name}", findings)

    def schema(self) -> dict[str, Any]:
        """See `Field.schema`."""
        return {
            "type": "object",
            "propertyNames": {"pattern": f"^(?:{_VARIABLE})$"},
            "additionalProperties": self.text.schema(),
            "maxProperties": self.limit,
        }


_VARIABLE: Final = "[A-Za-z_][A-Za-z0-9_]{0,127}"


class Anything(Struct, frozen=True):
    """Any value; with *shape* ``object`` or ``list``, one of that kind."""

    shape: str = ""

    def check(self, node: Node, where: str, findings: Findings) -> None:
        """See `Field.check`."""
        wanted = {"object": dict, "list": list}.get(self.shape)
        if wanted is not None and type(node.value) is not wanted:
            _wrong_type(node, where, "an object" if wanted is dict else "a list", findings)

    def schema(self) -> dict[str, Any]:
        """See `Field.schema`."""
        return {"type": {"object": "object", "list": "array"}[self.shape]} if self.shape else {}


class Object:
    """An object with these fields and no others.

    Args:
        fields: name → what it holds.
        required: names that must be there.
        ignored: names that are taken and do nothing → why, which becomes a warning.
    """

    def __init__(
        self,
        fields: Mapping[str, Field],
        *,
        required: Sequence[str] = (),
        ignored: Mapping[str, str] | None = None,
    ) -> None:
        self.fields = dict(fields)
        self.required = tuple(required)
        self.ignored = dict(ignored or {})

    def check(self, node: Node, where: str, findings: Findings) -> None:
        """See `Field.check`."""
        if type(node.value) is not dict:
            _wrong_type(node, where, "an object", findings)
            return
        for name, (start, end, value) in node.entries.items():
            inner = f"{where}.{name}" if where else name
            if name in self.fields:
                self.fields[name].check(value, inner, findings)
            elif name in self.ignored:
                findings.warning("spec-ignored", f"{shown(name)} does nothing", start, end, note=self.ignored[name])
            else:
                findings.error(
                    "spec-unknown-key",
                    f"unknown key {shown(name)}",
                    start,
                    end,
                    note=did_you_mean(name, self.fields),
                    detail=f"Keys here: {', '.join(self.fields)}.",
                )
        for name in self.required:
            if name not in node.entries:
                place = f"{shown(where)} has no {shown(name)}" if where else f"{shown(name)} is missing"
                findings.error("spec-missing", place, node.start, node.start, note=f"add {name}")

    def schema(self) -> dict[str, Any]:
        """See `Field.schema`."""
        return {
            "type": "object",
            "properties": {name: kind.schema() for name, kind in self.fields.items()}
            | {name: {} for name in self.ignored},
            "required": sorted(self.required),
            "additionalProperties": False,
        }
