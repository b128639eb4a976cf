"""Compares a recorded config with a wanted one. Pure and iterative."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Any

from clockwork_nb.assembly.plan import AttributeChange
from clockwork_nb.intake.values import Unknown
from clockwork_nb.patterns import pattern
from clockwork_nb.secrets import Sensitive, seal

__all__ = ["diff_config", "same_value", "with_known_secrets"]

_PLAIN_KEY = pattern(r"[A-Za-z_][\w-]*\Z")
_ABSENT = object()


def diff_config(
    recorded: Mapping[str, Any],
    wanted: Mapping[str, Any],
    key: bytes,
    *,
    ignore: Collection[str] = (),
    forces: Collection[str] = (),
) -> list[AttributeChange]:
    """Return what differs, leaf by leaf, sorted by path.

    An absent attribute and a null one are the same. Sensitive leaves are compared by their keyed digest; an unknown
    one always differs.

    Args:
        recorded: as in the state: sensitive leaves are ``{"$sensitive": hex}``.
        wanted: as evaluated: may hold `Sensitive` and `Unknown`.
        key: the workspace's key, which the recorded digests were made with.
        ignore: attributes (first part of the path) that are not compared.
        forces: attributes whose change forces a replacement.
    """
    out: list[AttributeChange] = []
    for name in recorded.keys() | wanted.keys():
        if name not in ignore:
            _walk(name, recorded.get(name), wanted.get(name), key, name in forces, out)
    out.sort(key=lambda change: change.path)
    return out


def same_value(recorded: Any, wanted: Any, key: bytes) -> bool:
    """Return whether *wanted* is what was *recorded*, in the sense of `diff_config`."""
    found: list[AttributeChange] = []
    _walk("", recorded, wanted, key, False, found)
    return not found


def with_known_secrets(recorded: Mapping[str, Any], wanted: Mapping[str, Any], key: bytes) -> dict[str, Any]:
    """Return *recorded* with each attribute that did not change taken from *wanted*, where sensitive values are known.

    Types compare the result with the wanted config without having to know about keyed digests.
    """
    return {
        name: wanted[name] if name in wanted and same_value(value, wanted[name], key) else value
        for name, value in recorded.items()
    }


def _walk(path: str, before: Any, after: Any, key: bytes, forces: bool, out: list[AttributeChange]) -> None:
    stack = [(path, before, after)]
    while stack:
        at, old, new = stack.pop()
        if isinstance(old, dict) and isinstance(new, dict) and not _is_sealed(old):
            for name in old.keys() | new.keys():
                # Within a map, null is a value: an absent key is something else.
                a, b = old.get(name, _ABSENT), new.get(name, _ABSENT)
                if a is _ABSENT or b is _ABSENT:
                    out.append(_change(_join(at, name), a, b, forces))
                else:
                    stack.append((_join(at, name), a, b))
        elif isinstance(old, (list, tuple)) and isinstance(new, (list, tuple)):
            for i in range(max(len(old), len(new))):
                a = old[i] if i < len(old) else _ABSENT
                b = new[i] if i < len(new) else _ABSENT
                if a is _ABSENT or b is _ABSENT:
                    out.append(_change(f"{at}.{i}", a, b, forces))
                else:
                    stack.append((f"{at}.{i}", a, b))
        elif not _same_leaf(old, new, key):
            out.append(_change(at, old, new, forces))


def _change(path: str, before: Any, after: Any, forces: bool) -> AttributeChange:
    return AttributeChange(path, None if before is _ABSENT else before, None if after is _ABSENT else after, forces)


def _same_leaf(old: Any, new: Any, key: bytes) -> bool:
    if isinstance(new, Unknown):
        return False
    if isinstance(new, Sensitive):
        return _is_sealed(old) and not isinstance(new.value, Unknown) and bool(old == seal(new, key))
    if isinstance(old, bool) or isinstance(new, bool):
        return old is new
    if isinstance(old, (float, Decimal)) or isinstance(new, (float, Decimal)):
        # A Decimal is recorded as the nearest float.
        return _is_number(old) and _is_number(new) and float(old) == float(new)
    return type(old) is type(new) and bool(old == new)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)


def _is_sealed(value: Any) -> bool:
    return isinstance(value, dict) and set(value) == {"$sensitive"}


def _join(path: str, name: str) -> str:
    if _PLAIN_KEY.match(name):
        return f"{path}.{name}"
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'{path}["{quoted}"]'
