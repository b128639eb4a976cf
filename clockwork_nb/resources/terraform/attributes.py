"""What the attributes of a ``terraform`` module may be."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from clockwork_nb.intake.values import Unknown
from clockwork_nb.patterns import pattern
from clockwork_nb.resources.plain import (
    REQUIRED,
    NotPlain,
    PlainAttributes,
    each,
    env_map,
    json_object,
    later,
    line,
    one_of,
    project_folder,
    project_path,
    text,
    whole_number,
    whole_seconds,
)
from clockwork_nb.resources.rules import Refused, each_once, sorted_map

__all__ = ["PLAIN", "not_ours", "one_list", "variables", "workspace_name"]

_NAME = pattern(r"[A-Za-z_][A-Za-z0-9_-]*\Z")
_WORKSPACE = pattern(r"[A-Za-z0-9_.~-]{1,90}\Z")
_OURS = frozenset({"TF_DATA_DIR", "TF_INPUT", "TF_IN_AUTOMATION", "TF_WORKSPACE", "CHECKPOINT_DISABLE", "TF_CLI_ARGS"})


def variables(value: dict[str, Any]) -> dict[str, Any]:
    """Return *value* sorted; its names are those of terraform variables."""
    for name in value:
        if not _NAME.match(name):
            raise Refused("vars", f'"{name[:60]!a}" cannot be the name of a terraform variable')
    return sorted_map(value)


def workspace_name(value: str) -> str:
    """Refuse what terraform itself does not take: a name that is not the same in a path of a URL."""
    if not _WORKSPACE.match(value):
        raise Refused("workspace", "a workspace's name is made of letters, digits and . _ ~ -, at most 90 of them")
    return value


def not_ours(value: Any) -> Any:
    """Refuse environment variables that the tool sets."""
    if isinstance(value, dict):
        hit = next((n for n in value if n in _OURS or n.startswith("TF_CLI_ARGS_")), None)
        if hit is not None:
            raise Refused("env", f'"{hit}" is set by the tool itself; use the attributes of the block')
    return value


def one_list(outputs: Any, output_names: Any) -> Any:
    """Return the names of the outputs, which are given under one of two names."""
    if outputs is None:
        return output_names
    if output_names:
        raise Refused("outputs", '"outputs" and "output_names" are the same attribute; give one of them')
    return each_once(outputs)


def _vars(value: Any) -> Any:
    return later(value) if type(value) is Unknown else variables(json_object(value))


def _outputs(value: Any) -> Any:
    if type(value) is not list:
        raise NotPlain  # which outputs there are cannot be known later
    return _LINES(value)


def _one_spelling(config: dict[str, Any], _given: Collection[str]) -> None:
    config["output_names"] = one_list(config.pop("outputs"), config["output_names"])


_LINES = each(line)

PLAIN = PlainAttributes(
    {
        "source": (project_folder, REQUIRED),
        "vars": (_vars, {}),
        "var_files": (each(project_path), []),
        "workspace": (text(workspace_name), "default"),
        "outputs": (_outputs, None),
        "output_names": (each(line, each_once), []),
        "env": (lambda value: not_ours(env_map(value)), {}),
        "binary": (one_of("auto", "terraform", "tofu"), "auto"),
        "parallelism": (whole_number(1, 256), 10),
        "timeout": (whole_seconds, 3600),
    },
    whole=_one_spelling,
)
