"""The configuration of a workspace: its files or cells, and the variables given to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field
from msgspec.structs import replace

from clockwork_nb.canonical import digest, sha256_hex
from clockwork_nb.errors import ConfigurationError, InvalidInputError
from clockwork_nb.session.options import PlanOptions
from clockwork_nb.workspace import Workspace, folder_sources, read_input, variable_files

if TYPE_CHECKING:
    from clockwork_nb.diagnostics import Diagnostic
    from clockwork_nb.intake.configuration import Configuration
    from clockwork_nb.intake.desired import Desired
    from clockwork_nb.intake.evaluation_cache import EvaluationCache
    from clockwork_nb.intake.variables import VariableInput
    from clockwork_nb.ports import Registry

__all__ = ["CellReport", "ConfigurationSources"]

# A name that another cell may still declare is no mistake of this cell.
_LATER = frozenset({"cw-unknown-reference", "cw-missing-variable"})


class CellReport(Struct, frozen=True):
    """What one cell declares, and the warnings about it."""

    declared: Mapping[str, Any]
    diagnostics: tuple[Diagnostic, ...]


class _Text(Struct):
    shown: str
    data: bytes


class _Given(Struct, frozen=True):
    """A value given to a variable; ``raw`` text is still to be converted to the declared type."""

    value: Any
    source: str
    raw: bool


class ConfigurationSources(Struct):
    """Where the configuration of one workspace comes from, and its reading.

    A folder workspace reads its files afresh each time; a notebook workspace holds its cells. *live*: what was evaluated
    is kept for the next time.
    """

    workspace: Workspace
    types: Registry
    cw_vars: Mapping[str, str]
    live: bool = False
    _cells: dict[str, _Text] = field(default_factory=dict)
    _loaded: list[Path] = field(default_factory=list)
    _set: dict[str, _Given] = field(default_factory=dict)
    _cache: Any = None
    _evaluated: EvaluationCache | None = None
    _latest: tuple[list[Any], tuple[Configuration, list[Diagnostic]]] | None = None

    # --- what it is made of ---------------------------------------------------------------------------------------

    @property
    def cells(self) -> Mapping[str, str]:
        """Key → text of every cell so far."""
        return {key: cell.data.decode("utf-8", "replace") for key, cell in self._cells.items()}

    def set_cell(self, key: str, text: str, shown: str) -> CellReport:
        """Put *text* in the place of what cell *key* said before, and return what it declares.

        Raises:
            ConfigurationError: the cell has mistakes. Its new text stays, so that no plan uses the old one.
        """
        self._cells[key] = _Text(shown, text.encode())
        configuration, found = self._read()
        mine = [d for d in found if d.subject is not None and d.subject.file == shown]
        _refuse_errors(d for d in mine if d.code not in _LATER)
        return CellReport(self._declared(configuration).get(key, {}), tuple(d for d in mine if d.code not in _LATER))

    def drop_cell(self, key: str) -> None:
        """Forget cell *key*."""
        self._cells.pop(key, None)

    def load(self, path: Path) -> list[str]:
        """Add the ``*.cw`` (and ``*.cwvars``) of folder or file *path* and return the names that were added.

        Raises:
            InvalidInputError: there is none.
        """
        names = [name for name, _ in folder_sources(path)]
        if path not in self._loaded:
            self._loaded.append(path)
        return names

    def set_variable(self, name: str, value: Any, source: str, *, raw: bool | None = None) -> None:
        """Give variable *name* the *value*; the later call wins. Text is converted to the declared type unless *raw* is
        False.
        """
        self._set[name] = _Given(value, source, isinstance(value, str) if raw is None else raw)

    def to_document(self, texts: list[bytes]) -> dict[str, Any]:
        """Return what another process needs to read the same configuration; the cells' texts, which it names by digest,
        are added to *texts*.

        Values of variables that are declared sensitive are left out (`without_secrets` names them).
        """
        secret = self._sensitive_names()
        cells = sorted(self._cells.items())
        texts += [cell.data for _, cell in cells]
        return {
            "cells": [{"key": k, "shown": c.shown, "sha256": sha256_hex(c.data)} for k, c in cells],
            "loaded": [str(p) for p in self._loaded],
            "set": [
                {"name": n, "value": g.value, "source": g.source, "raw": g.raw}
                for n, g in sorted(self._set.items())
                if n not in secret
            ],
        }

    def without_secrets(self, options: PlanOptions) -> tuple[PlanOptions, list[dict[str, str]]]:
        """Return *options* fit for a file, and the name and source of every value that no file may keep."""
        secret = self._sensitive_names()
        kept = tuple((n, v) for n, v in options.variables if n not in secret)
        typed = sorted({n for n, _ in options.variables if n in secret})
        withheld = [{"name": n, "source": "--var"} for n in typed]
        withheld += [{"name": n, "source": g.source} for n, g in sorted(self._set.items()) if n in secret]
        return replace(options, variables=kept), withheld

    def restore(self, doc: Mapping[str, Any], get_blob: Callable[[str], bytes]) -> None:
        """Take over what `to_document` kept."""
        for cell in doc["cells"]:
            self._cells[cell["key"]] = _Text(cell["shown"], get_blob(cell["sha256"]))
        self._loaded = [Path(p) for p in doc["loaded"]]
        for item in doc["set"]:
            self._set[item["name"]] = _Given(item["value"], item["source"], item["raw"])

    # --- reading --------------------------------------------------------------------------------------------------

    def _sources(self) -> list[Any]:
        from clockwork_nb.intake.decode import Source

        sources = []
        folders = list(self._loaded)
        if not self.workspace.is_notebook and not self._cells:
            folders.insert(0, self.workspace.root)
        for folder in folders:
            sources += [Source(key=name, name=name, data=data) for name, data in folder_sources(folder)]
        sources += [Source(key=k, name=c.shown, data=c.data) for k, c in sorted(self._cells.items())]
        if not sources:
            raise InvalidInputError(
                "no cell has declared anything yet", hint="Run a %%cw cell first, or %cw_load a folder."
            )
        return sources

    def _read(self) -> tuple[Configuration, list[Diagnostic]]:
        from clockwork_nb.intake.decode import read_configuration
        from clockwork_nb.intake.syntax import SyntaxCache

        sources = self._sources()
        if self._latest is None or self._latest[0] != sources:
            if self._cache is None:
                self._cache = SyntaxCache()
            configuration, found = read_configuration(sources, types=self.types, cache=self._cache)
            self._latest = sources, (configuration, found.sorted())
        return self._latest[1]

    def diagnostics(self) -> list[Diagnostic]:
        """Return every finding about the texts alone, sorted; empty when there is nothing to say.

        Raises:
            InvalidInputError: there is no configuration.
        """
        return self._read()[1]

    def _declared(self, configuration: Configuration) -> Mapping[str, Any]:
        from clockwork_nb.intake.decode import declared

        document: Mapping[str, Any] = declared(configuration)
        return document

    def declared(self) -> Mapping[str, Any]:
        """Return source key → what it declares.

        Raises:
            ConfigurationError: there are mistakes.
        """
        return self._declared(self.configuration())

    def configuration(self) -> Configuration:
        """Return the configuration as read.

        Raises:
            ConfigurationError: with every mistake.
        """
        configuration, found = self._read()
        _refuse_errors(found)
        return configuration

    def _sensitive_names(self) -> frozenset[str]:
        configuration, _ = self._read()
        return frozenset(name for name, block in configuration.variables.items() if block.sensitive)

    def inputs(self, options: PlanOptions) -> list[VariableInput]:
        """Return every value given to a variable, lowest first (notebook.md, "Variables")."""
        from clockwork_nb.intake.variables import VariableInput, read_variable_file

        given: list[VariableInput] = []
        folders = list(self._loaded)
        if not self.workspace.is_notebook:
            folders.insert(0, self.workspace.root)
        files = [path for folder in folders for path in variable_files(folder)]
        for path in files:
            given += read_variable_file(read_input(path), name=path.name)
        known = set(self._read()[0].variables)
        given += [
            VariableInput(name=n, value=v, source=f"CW_VAR_{n}", raw=True)
            for n, v in sorted(self.cw_vars.items())
            if n in known
        ]
        for name in options.var_files:
            path = self.workspace.root / name  # an absolute name stays what it is
            given += read_variable_file(read_input(path), name=path.name)
        given += [VariableInput(name=n, value=v, source="--var", raw=True) for n, v in options.variables]
        given += [VariableInput(name=n, value=g.value, source=g.source, raw=g.raw) for n, g in self._set.items()]
        return given

    def variables(self) -> list[dict[str, Any]]:
        """Return every declared variable as people see it: name, type, value, source, sensitive; sorted by name."""
        from clockwork_nb.diagnostics import Diagnostics
        from clockwork_nb.intake.variables import resolve_variables
        from clockwork_nb.render.values import value_text

        configuration, _ = self._read()
        values = resolve_variables(configuration, self.inputs(PlanOptions()), Diagnostics())
        rows = []
        for name, block in sorted(configuration.variables.items()):
            found = values.get(name)
            shown = "(not set)" if found is None else "(sensitive)" if block.sensitive else value_text(found.value, 60)
            source = found.source if found is not None else ""
            rows.append(
                {
                    "name": name,
                    "type": str(block.constraint),
                    "value": shown,
                    "source": source,
                    "sensitive": block.sensitive,
                }
            )
        return rows

    def inputs_digest(self, options: PlanOptions, verb: str, key: bytes) -> str:
        """Return the digest of everything that decides a plan here but the machine: texts, values, options, verb."""
        from clockwork_nb.secrets import seal

        secret = self._sensitive_names()
        inputs = sorted(self.inputs(options), key=lambda i: i.name)  # stable: of one name, the later one still wins
        values = [{"name": i.name, "source": i.source, "value": _hidden(i, secret)} for i in inputs]
        texts = [{"key": s.key, "sha256": sha256_hex(s.data)} for s in self._sources()]
        choices = options.to_document()
        choices["variables"] = []
        return digest(seal({"texts": texts, "values": values, "verb": verb, "options": choices}, key))

    def evaluate(
        self,
        options: PlanOptions,
        *,
        now: str,
        free_port: Callable[[str], int],
        facts: Callable[[bool], Mapping[str, Any]] | None = None,
        recorded: Callable[[str, Mapping[str, Any]], Mapping[str, Any]] = lambda address, config: {},
    ) -> tuple[Desired, list[Diagnostic]]:
        """Return the evaluated configuration and the warnings. Arguments as `EvaluationContext`.

        Raises:
            ConfigurationError: with every mistake.
        """
        from clockwork_nb.intake.decode import evaluate
        from clockwork_nb.intake.evaluation_cache import EvaluationCache
        from clockwork_nb.intake.expressions import EvaluationContext

        configuration = self.configuration()
        context = EvaluationContext(
            now=now, free_port=free_port, read_file=self._project_file, facts=facts, recorded=recorded
        )
        if self.live and self._evaluated is None:
            self._evaluated = EvaluationCache()
        desired, found = evaluate(
            configuration, types=self.types, inputs=self.inputs(options), context=context, cache=self._evaluated
        )
        items = found.sorted()
        _refuse_errors(items)
        return desired, items

    def _project_file(self, name: str) -> bytes:
        """Return a file of the project for ``file()``; links are followed only when they stay inside the root."""
        path = (self.workspace.root / name).resolve()
        if not path.is_relative_to(self.workspace.root):
            raise InvalidInputError(f"{name} is outside the project")
        return read_input(path)


def _hidden(item: VariableInput, secret: frozenset[str]) -> Any:
    from clockwork_nb.secrets import Sensitive

    return Sensitive(item.value) if item.name in secret else item.value


def _refuse_errors(found: Iterable[Diagnostic]) -> None:
    from clockwork_nb.diagnostics import Severity

    errors = [d for d in found if d.severity is Severity.ERROR]
    if errors:
        count = f"{len(errors)} error{'s' if len(errors) != 1 else ''}"
        raise ConfigurationError(f"{count}, nothing was planned.", diagnostics=tuple(errors))
