"""Resource types of other packages: what they return is checked, and their mistakes are told as theirs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from clockwork_nb.errors import ClockworkError, InvalidInputError
from clockwork_nb.patterns import pattern
from clockwork_nb.ports import (
    Action,
    ActionSpec,
    ChangeKind,
    CompiledStep,
    Observation,
    ObserveContext,
    ProjectFiles,
    ResourceType,
)
from clockwork_nb.resources.scripts import comment

__all__ = ["NAME", "ForeignType"]

NAME: Final = pattern(r"[a-z][a-z0-9_]{0,63}\Z")
"""What a resource type or one of its actions may be called: the names stand in addresses and in paths of scripts."""

_METHODS: Final = (
    "model", "exports", "export_names", "replaces", "drift", "actions", "risks", "describe", "compile", "observe",
)  # fmt: skip


class ForeignType:
    """A `ResourceType` that stands before the one of another package.

    Args:
        kind: what the entry point leads to.
        name: the entry point's name.
        package: how people call the package: ``cloud-types 1.2``.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA, *kind* is no resource type, or not the one called *name*.
    """

    def __init__(self, kind: Any, name: str, package: str) -> None:
        self._kind: ResourceType = kind
        self._package = package
        self._model: type[Any] | None = None
        self.name = name
        missing = [m for m in _METHODS if not callable(getattr(kind, m, None))]
        if missing:
            raise self._wrong("", f"has no {', '.join(missing)}")
        if getattr(kind, "name", None) != name:
            raise self._wrong("", f"calls itself {_shown(getattr(kind, 'name', None))}")
        self.aliases: tuple[str, ...] = tuple(
            alias for alias in getattr(kind, "aliases", ()) if isinstance(alias, str) and NAME.match(alias)
        )
        self.summary = comment(str(getattr(kind, "summary", "")))
        self.verifies = getattr(kind, "verifies", False) is True
        self.bound_to_address = getattr(kind, "bound_to_address", False) is True

    # --- errors ---------------------------------------------------------------------------------------------------

    def _wrong(self, method: str, what: str) -> InvalidInputError:
        where = f" in {method}" if method else ""
        return InvalidInputError(
            f'the resource type "{self.name}" of the package {self._package} is not usable{where}: it {what}',
            hint="That is a mistake of the package, not of this configuration: update it, or tell its authors.",
            details={"type": self.name, "package": self._package, "method": method},
        )

    def _call(self, method: str, *args: Any, own: Callable[[], BaseException | None] = lambda: None) -> Any:
        """Return what *method* returns. What *own* names was raised by us and passes as it is."""
        try:
            return getattr(self._kind, method)(*args)
        except ClockworkError:
            raise
        except Exception as error:
            if error is own():
                raise
            raise self._wrong(method, f"raised {_described(error)}") from error

    def _expect(self, good: bool, method: str, value: Any, wanted: str) -> None:
        if not good:
            raise self._wrong(method, f"returned {_shown(value)}, not {wanted}")

    # --- the type -------------------------------------------------------------------------------------------------

    def model(self) -> type[Any]:
        """Return the package's model, whose own mistakes are told like those of the other methods."""
        if self._model is None:
            model = self._call("model")
            good = isinstance(model, type) and all(hasattr(model, a) for a in ("model_fields", "model_validate"))
            self._expect(good, "model", model, "a class derived from pydantic.BaseModel")
            self._model = self._guarded(model)
        return self._model

    def _guarded(self, model: Any) -> type[Any]:
        from pydantic import ValidationError

        wrong, validate = self._wrong, model.model_validate.__func__

        def model_validate(cls: Any, *args: Any, **options: Any) -> Any:
            try:
                return validate(cls, *args, **options)
            except (ValidationError, ClockworkError):
                raise
            except Exception as error:
                raise wrong("model", f"raised {_described(error)}") from error

        body = {"__module__": model.__module__, "__doc__": model.__doc__, "model_validate": classmethod(model_validate)}
        return type(model.__name__, (model,), body)

    def exports(self, config: Mapping[str, Any]) -> Mapping[str, Any]:
        """As `ResourceType.exports`."""
        return self._mapping("exports", config)

    def export_names(self) -> frozenset[str]:
        """As `ResourceType.export_names`."""
        return self._names("export_names")

    def replaces(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> frozenset[str]:
        """As `ResourceType.replaces`."""
        return self._names("replaces", before, after)

    def drift(self, config: Mapping[str, Any], observed: Observation) -> Mapping[str, tuple[Any, Any]]:
        """As `ResourceType.drift`."""
        found = self._mapping("drift", config, observed)
        good = all(isinstance(pair, tuple) and len(pair) == 2 for pair in found.values())
        self._expect(good, "drift", found, "attribute names with pairs (recorded, observed)")
        return found

    def actions(
        self, change: ChangeKind, config: Mapping[str, Any] | None, recorded: Mapping[str, Any] | None
    ) -> Sequence[ActionSpec]:
        """As `ResourceType.actions`."""
        return self._specs("actions", self._call("actions", change, config, recorded))

    def _specs(self, method: str, found: Any) -> Sequence[ActionSpec]:
        good = isinstance(found, (list, tuple)) and all(isinstance(spec, ActionSpec) for spec in found)
        self._expect(good, method, found, "a list of ActionSpec")
        for spec in found:
            good = isinstance(spec.name, str) and bool(NAME.match(spec.name)) and isinstance(spec.args, Mapping)
            self._expect(good, method, spec.name, "an action with a plain name and a mapping of arguments")
            good = type(spec.timeout_s) is int and spec.timeout_s > 0
            self._expect(good, method, spec.timeout_s, "a timeout of at least one whole second")
        return tuple(found)

    def risks(
        self,
        change: ChangeKind,
        config: Mapping[str, Any] | None,
        recorded: Mapping[str, Any] | None,
        observed: Observation | None,
    ) -> Sequence[str]:
        """As `ResourceType.risks`."""
        return self._texts("risks", change, config, recorded, observed)

    def describe(self, config: Mapping[str, Any]) -> str:
        """As `ResourceType.describe`."""
        words = self._call("describe", config)
        self._expect(isinstance(words, str), "describe", words, "a text")
        return comment(words)

    def compile(self, action: Action) -> CompiledStep:
        """As `ResourceType.compile`."""
        step = self._call("compile", action)
        self._expect(isinstance(step, CompiledStep), "compile", step, "a CompiledStep")
        checked: CompiledStep = step
        return checked

    def observe(
        self, config: Mapping[str, Any], recorded: Mapping[str, Any] | None, context: ObserveContext
    ) -> Observation:
        """As `ResourceType.observe`."""
        seen = self._call("observe", config, recorded, context)
        good = (
            isinstance(seen, Observation)
            and isinstance(seen.attributes, Mapping)
            and seen.exists in {True, False, None}
        )
        self._expect(good, "observe", seen, "an Observation")
        checked: Observation = seen
        return checked

    # --- what it may have besides ---------------------------------------------------------------------------------

    def with_files(self, config: Mapping[str, Any], files: ProjectFiles) -> Mapping[str, Any]:
        """As `ResourceType` says; *config* for a type without it."""
        if not callable(getattr(self._kind, "with_files", None)):
            return config
        ours = _OwnFiles(files)
        found = self._call("with_files", config, ours, own=lambda: ours.raised)
        self._expect(isinstance(found, Mapping), "with_files", found, "a mapping")
        checked: Mapping[str, Any] = found
        return checked

    def __getattr__(self, name: str) -> Any:
        # Asked for only what this class does not have: whether a type has one of these is how it says what it can do.
        if name == "observe_timeout_s" and isinstance(found := getattr(self._kind, name, None), (int, float)):
            return found
        if name not in _OPTIONAL or not callable(getattr(self._kind, name, None)):
            raise AttributeError(name)
        return lambda *args: self._optional(name, *args)

    def _optional(self, method: str, *args: Any) -> Any:
        found = self._call(method, *args)
        if method == "actions_observed":
            return self._specs(method, found)
        good, wanted = _OPTIONAL[method]
        self._expect(good(found), method, found, wanted)
        return found

    # --- shapes ---------------------------------------------------------------------------------------------------

    def _mapping(self, method: str, *args: Any) -> Mapping[str, Any]:
        found = self._call(method, *args)
        self._expect(_is_mapping(found), method, found, "a mapping with texts as keys")
        checked: Mapping[str, Any] = found
        return checked

    def _names(self, method: str, *args: Any) -> frozenset[str]:
        found = self._call(method, *args)
        good = isinstance(found, (set, frozenset)) and all(isinstance(name, str) for name in found)
        self._expect(good, method, found, "a set of texts")
        return frozenset(found)

    def _texts(self, method: str, *args: Any) -> Sequence[str]:
        found = self._call(method, *args)
        self._expect(_are_texts(found), method, found, "a list of texts")
        return tuple(sorted(found))


class _OwnFiles:
    """The project's files, remembering what they raised: that is no mistake of the package."""

    def __init__(self, files: ProjectFiles) -> None:
        self._files = files
        self.raised: BaseException | None = None

    def read(self, path: str, *, attribute: str) -> bytes:
        try:
            return self._files.read(path, attribute=attribute)
        except Exception as error:
            self.raised = error
            raise

    def render(self, path: str, names: Mapping[str, Any], *, attribute: str) -> Any:
        try:
            return self._files.render(path, names, attribute=attribute)
        except Exception as error:
            self.raised = error
            raise


def _is_mapping(value: Any) -> bool:
    return isinstance(value, Mapping) and all(isinstance(name, str) for name in value)


def _are_texts(value: Any) -> bool:
    return isinstance(value, (list, tuple, set, frozenset)) and all(isinstance(text, str) for text in value)


def _are_differences(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(
        isinstance(item, tuple) and len(item) == 4 and isinstance(item[0], str) for item in value
    )


_OPTIONAL: Final[Mapping[str, tuple[Callable[[Any], bool], str]]] = {
    "accepts": (lambda value: value is None or (isinstance(value, dict) and _is_mapping(value)), "a dict"),
    "actions_observed": (lambda value: True, ""),
    "attribute_names": (lambda value: isinstance(value, frozenset) and _are_texts(value), "a frozenset of texts"),
    "claims": (_are_texts, "a list of texts"),
    "found": (lambda value: value is None or _is_mapping(value), "a mapping"),
    "import_id": (lambda value: isinstance(value, str), "a text"),
    "mentions": (_are_texts, "a list of texts"),
    "needs_engine": (lambda value: isinstance(value, bool), "true or false"),
    "pending": (_are_differences, "a list of (path, before, after, forces_replacement)"),
    "recall": (_is_mapping, "a mapping"),
    "with_facts": (_is_mapping, "a mapping"),
}
"""What a type may have besides, and what it has to return."""


def _shown(value: Any) -> str:
    # The class alone: a value may be a secret of the configuration.
    if value is None or isinstance(value, (bool, int)):
        return repr(value)
    return f"a {type(value).__name__}"


def _described(error: Exception) -> str:
    text = comment(str(error))
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
