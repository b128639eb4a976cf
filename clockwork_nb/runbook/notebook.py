"""A notebook file as a value: read it, name its cells, tell two versions apart, check its parameters."""

from __future__ import annotations

import ast
import contextlib
import difflib
import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from clockwork_nb.canonical import digest
from clockwork_nb.errors import InvalidInputError
from clockwork_nb.patterns import pattern

__all__ = ["Notebook", "Variable", "read_notebook"]

_MAX_BYTES = 64 * 1024 * 1024
_ASSIGNED = pattern(r"^([A-Za-z_]\w*)\s*(?::[^=\n]+)?=(?!=)", re.MULTILINE)
_LOADED = pattern(r"^\s*%cw_load\s+([^\s#]+)\s*$", re.MULTILINE)
_EXAMPLES: Mapping[str, Any] = {"string": "", "bool": False}


class Variable(Struct, frozen=True):
    """A variable as declared: its type's name, and whether its value is a secret."""

    type: str
    sensitive: bool

    @property
    def example(self) -> Any:
        """A value of the type where the type alone says how to read a text; else None."""
        return _EXAMPLES.get(self.type)


class Notebook(Struct, frozen=True):
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

    def variables(self) -> dict[str, Variable]:
        """Return what the ``%%cw`` cells, and the files that ``%cw_load`` lines name, declare as variables, by name.

        What has mistakes is left out: the run stops at it anyway.
        """
        from clockwork_nb.resources.registry import load_types
        from clockwork_nb.session.configuration import ConfigurationSources
        from clockwork_nb.workspace import notebook_workspace

        path = self.path.absolute()
        sources = ConfigurationSources(notebook_workspace(path.parent, path.stem), load_types(), {})
        for cell in self.cells:
            source = cell["source"].lstrip()
            with contextlib.suppress(InvalidInputError):
                if source.startswith("%%cw"):
                    _, _, text = source.partition("\n")
                    sources.set_cell(cell["id"], text, cell["id"])
                for name in _LOADED.findall(cell["source"]):
                    sources.load(path.parent / name)
        try:
            rows = sources.variables()
        except InvalidInputError:  # nothing is declared at all
            return {}
        return {row["name"]: Variable(row["type"], row["sensitive"]) for row in rows}

    def parameters(self, given: Sequence[str]) -> dict[str, Any]:
        """Return ``-p NAME=VALUE`` texts as values: typed by the ``parameters`` cell, else by the declared variable.

        Raises:
            InvalidInputError: not NAME=VALUE, a name the notebook does not know, a value of another type, a secret.
        """
        if not given:
            return {}
        defaults, variables = self.parameter_defaults, self.variables()
        known = sorted({*defaults, *variables})
        out: dict[str, Any] = {}
        for text in given:
            name, equals, value = text.partition("=")
            if not equals:
                raise InvalidInputError(f"-p {text!r} is not NAME=VALUE")
            if name not in known:
                near = difflib.get_close_matches(name, known, 1)
                hint = f'did you mean "{near[0]}"?' if near else f"Parameters: {', '.join(known) or 'none'}"
                raise InvalidInputError(f"{self.path.name} has no parameter {name!r}", hint=hint)
            self._refuse_secret(name, variables)
            default = defaults.get(name)
            if default is None and name in variables:
                default = variables[name].example
            out[name] = _typed(name, value, default)
        return out

    def check_values(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return *values* that another tool read, as they are, when they can be recorded.

        Raises:
            InvalidInputError: one of them is a secret, or no plain data.
        """
        if not values:
            return {}
        variables = self.variables()
        for name, value in values.items():
            self._refuse_secret(name, variables)
            try:
                json.dumps(value, allow_nan=False)
            except (TypeError, ValueError) as error:
                raise InvalidInputError(f"the parameter {name} is not plain data: {error}") from error
        return dict(values)

    def _refuse_secret(self, name: str, variables: Mapping[str, Variable]) -> None:
        if name in variables and variables[name].sensitive:
            raise InvalidInputError(
                f"{name} is sensitive, and parameters are written into the executed notebook",
                hint=f"Give it in the environment: CW_VAR_{name}=… clockwork runbook run {self.path.name}",
            )

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
    except (ValueError, TypeError, RecursionError, MemoryError):  # all that `literal_eval` says of what is no literal
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
            number = float(text)
            if math.isfinite(number):
                return number
        if isinstance(default, (list, dict)):
            value = json.loads(text, parse_constant=_no_number)
            if isinstance(value, type(default)):
                return value
    except ValueError:
        pass  # told below
    if type(default) in _KINDS:
        raise InvalidInputError(f"parameter {name} is {_KINDS[type(default)]}, not {text!r}")
    try:
        return json.loads(text, parse_constant=_no_number)
    except ValueError:
        return text


def _no_number(name: str) -> None:
    raise ValueError(name)


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
    if not all(isinstance(c.get("cell_type"), str) and isinstance(c.get("metadata"), dict) for c in cells):
        raise InvalidInputError(f"{path.name} is not a notebook")
    ids = [c.get("id") for c in cells]
    if not all(isinstance(i, str) for i in ids):
        raise InvalidInputError(
            f"the cells of {path.name} have no ids",
            hint="Open and save it once with a current JupyterLab (notebook format 4.5 or newer).",
        )
    if len(set(ids)) != len(ids):
        twice = next(i for i in ids if ids.count(i) > 1)
        raise InvalidInputError(
            f"two cells of {path.name} have the id {twice!r}",
            hint="Open and save it once with a current JupyterLab, which gives one of them another.",
        )
    return Notebook(path, raw, cells)
