"""A step succeeded when its script says so *and* what should be there is there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from msgspec.structs import replace

from clockwork_nb.canonical import canonical_json
from clockwork_nb.errors import ClockworkError, InvalidInputError
from clockwork_nb.ports import ObserveContext, ResourceType
from clockwork_nb.secrets import Redactor

__all__ = ["LEFT_IN_PLACE", "look_after"]

LEFT_IN_PLACE: Final = "left in place"
"""How a removing script's last line begins when it left something that is not ours; then it may still be there."""


def look_after(
    kind: ResourceType,
    change: Mapping[str, Any],
    *,
    config: Mapping[str, Any] | None,
    entry: Mapping[str, Any] | None,
    note: str,
    where: ObserveContext,
    redactor: Redactor,
) -> tuple[str, dict[str, Any]]:
    """Return what is wrong after the last step of *change* (``""`` when nothing is), and what was seen of the resource.

    What was seen leaves out what is configuration, what JSON cannot hold, and what is sensitive.

    Args:
        kind: the resource's type, which looks.
        change: from the plan's document.
        config: the wanted configuration with its real values; None to look with what the document says.
        entry: the recorded entry, if there is one.
        note: the step's last line.
    """
    deletes = change["kind"] == "delete"
    if deletes or config is None:
        config = change["before"] if deletes else change["after"]
    assert config is not None
    if deletes:
        where = replace(where, asked="removed")
    try:
        seen = kind.observe(config, entry["identity"] if entry else None, where)
    except (OSError, ClockworkError) as error:
        return f"the step ended well, but its result cannot be looked at: {error}", {}
    if deletes:
        still = seen.exists and not note.startswith(LEFT_IN_PLACE)
        return (f"it is still there after the step: {seen.detail}" if still else ""), {}
    if seen.exists is False:
        return f"it is not there after the step: {seen.detail}", {}
    wrong = kind.drift(config, seen)
    if wrong:
        parts = [f"{name} is {_shown(now)}, not {_shown(wanted)}" for name, (wanted, now) in sorted(wrong.items())]
        return f"the step ended well, but {'; '.join(parts)}", {}
    if config is not change["after"] and _has_sealed(change["after"]):
        # Looked at with the real values, a type may tell the digest of a secret. What is recorded is what it tells of
        # the sealed ones.
        seen = kind.observe(change["after"], entry["identity"] if entry else None, where)
    return "", _identity(config, seen.attributes, redactor)


def _has_sealed(value: Any) -> bool:
    stack = [value]
    for item in stack:
        if isinstance(item, dict):
            if "$sensitive" in item and len(item) == 1:
                return True
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)
    return False


def _shown(value: Any) -> str:
    return str(value) if isinstance(value, (str, int)) else "absent" if value is None else repr(value)


def _identity(config: Mapping[str, Any], attributes: Mapping[str, Any], redactor: Redactor) -> dict[str, Any]:
    out = {}
    for name, value in attributes.items():
        if name in config:
            continue
        try:
            text = canonical_json(value).decode()  # a Sensitive has no JSON form
        except InvalidInputError:
            continue
        if redactor.redact(text) == text:
            out[name] = value
    return out
