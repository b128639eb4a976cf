"""A notebook file as a value: read it, name its cells, tell two versions apart, check its parameters."""

from __future__ import annotations

import ast
import difflib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clockwork_nb.canonical import digest
from clockwork_nb.errors import InvalidInputError

__all__ = ["Notebook", "read_notebook"]

_MAX_BYTES = 64 * 1024 * 1024
_ASSIGNED = re.compile(r"^([A-Za-z_]\w*)\s*(?::[^=\n]+)?=(?!=)", re.MULTILINE)
_VARIABLE = re.compile(r'^\s*variable\s+"?([A-Za-z_][\w-]*)"?\s*\{', re.MULTILINE)
_SENSITIVE = re.compile(r'^\s*variable\s+"?([A-Za-z_][\w-]*)"?\s*\{[^}]*\bsensitive\s*=\s*true', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Notebook:
    """The source of a notebook: cells with their ids; outputs play no part."""

    path: Path
    data: bytes
    cells: tuple[Mapping[str, Any], ...]

    @property
    def digest(self) -> str:
        """SHA-256 over ids, kinds and sources of the cells; running or saving it does not change it."""
        return digest([[c["id"], c["cell_type"], c["source"]] for c in self.cells])

    @property
    def parameter_defaults(self) -> dict[str, Any]:
        """Names assigned in the cell tagged ``parameters`` with their literal values; None for what is no literal."""
        out: dict[str, Any] = {}
        for cell in self.cells:
            if "parameters" in cell.get("metadata", {}).get("tags", ()):
                try:
                    tree = ast.parse(cell["source"])
                except SyntaxError:
                    return dict.fromkeys(_ASSIGNED.findall(cell["source"]))
                for node in tree.body:
                    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
                    for target in targets:
                        if isinstance(target, ast.Name) and isinstance(node, (ast.Assign, ast.AnnAssign)):
                            out[target.id] = _literal(node.value)
        return out

    def _cw_text(self) -> str:
        return "\n".join(c["source"] for c in self.cells if c["source"].lstrip().startswith("%%cw"))

    @property
    def variables(self) -> frozenset[str]:
        """Names of the variables that the ``%%cw`` cells declare."""
        return frozenset(_VARIABLE.findall(self._cw_text()))

    @property
    def sensitive_variables(self) -> frozenset[str]:
        """Those of them that are declared sensitive."""
        return frozenset(_SENSITIVE.findall(self._cw_text()))

    def parameters(self, given: Sequence[str]) -> dict[str, Any]:
        """Return ``-p NAME=VALUE`` texts as values of the types that the ``parameters`` cell has.

        Raises:
            InvalidInputError: not NAME=VALUE, a name the notebook does not know, a value of another type, a secret.
        """
        defaults = self.parameter_defaults
        known = sorted({*defaults, *self.variables})
        out: dict[str, Any] = {}
        for text in given:
            name, equals, value = text.partition("=")
            if not equals:
                raise InvalidInputError(f"-p {text!r} is not NAME=VALUE")
            if name not in known:
                near = difflib.get_close_matches(name, known, 1)
                hint = f'did you mean "{near[0]}"?' if near else f"Parameters: {', '.join(known) or 'none'}"
                raise InvalidInputError(f"{self.path.name} has no parameter {name!r}", hint=hint)
            if name in self.sensitive_variables:
                raise InvalidInputError(
                    f"{name} is sensitive, and parameters are written into the executed notebook",
                    hint=f"Give it in the environment: CW_VAR_{name}=… clockwork runbook run {self.path.name}",
                )
            out[name] = _typed(name, value, defaults.get(name))
        return out

    def difference(self, other: Notebook) -> str:
        """Return a unified diff of the sources, from this one to *other*, at most 60 lines."""
        lines = list(difflib.unified_diff(_lines(self), _lines(other), "recorded", "now", lineterm="", n=1))
        return "\n".join(lines[:60])


def _lines(notebook: Notebook) -> list[str]:
    out = []
    for number, cell in enumerate(notebook.cells, 1):
        out.append(f"[cell {number} {cell['id']}]")
        out += cell["source"].splitlines()
    return out


def _literal(node: ast.expr | None) -> Any:
    try:
        return None if node is None else ast.literal_eval(node)
    except ValueError:
        return None


_KINDS = {int: "a whole number", float: "a number", list: "a JSON list", dict: "a JSON object"}


def _typed(name: str, text: str, default: Any) -> Any:
    if isinstance(default, str):
        return text
    if isinstance(default, bool):
        if text.lower() not in {"true", "false"}:
            raise InvalidInputError(f"parameter {name} is true or false, not {text!r}")
        return text.lower() == "true"
    try:
        if isinstance(default, int):
            return int(text)
        if isinstance(default, float):
            return float(text)
        if isinstance(default, (list, dict)):
            value = json.loads(text)
            if isinstance(value, type(default)):
                return value
    except ValueError:
        pass  # told below
    if type(default) in _KINDS:
        raise InvalidInputError(f"parameter {name} is {_KINDS[type(default)]}, not {text!r}")
    try:
        return json.loads(text)
    except ValueError:
        return text


def read_notebook(path: Path, data: bytes | None = None) -> Notebook:
    """Return the notebook at *path* (or in *data*, read before).

    Raises:
        InvalidInputError: no such file, not a notebook, too large, or without cell ids (nbformat below 4.5).
    """
    try:
        raw = path.read_bytes() if data is None else data
    except OSError as error:
        raise InvalidInputError(f"cannot read {path}: {error.strerror}", hint="Name a .ipynb file.") from error
    if len(raw) > _MAX_BYTES:
        raise InvalidInputError(f"{path.name} has {len(raw)} bytes; at most {_MAX_BYTES} are read")
    try:
        document = json.loads(raw)
        cells = tuple(
            {**cell, "source": cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])}
            for cell in document["cells"]
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        raise InvalidInputError(f"{path.name} is not a notebook") from None
    if not all(isinstance(c.get("id"), str) for c in cells):
        raise InvalidInputError(
            f"the cells of {path.name} have no ids",
            hint="Open and save it once with a current JupyterLab (notebook format 4.5 or newer).",
        )
    return Notebook(path, raw, cells)
