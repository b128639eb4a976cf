"""Values for variables: where they come from, which one wins, and how they become the declared type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from msgspec import Struct

from clockwork_nb.diagnostics import Diagnostics, SourceRange
from clockwork_nb.errors import ConfigurationError
from clockwork_nb.intake.configuration import Configuration, Source, VariableDeclaration
from clockwork_nb.intake.constants import constant_value
from clockwork_nb.intake.constraints import MisfitError, convert
from clockwork_nb.intake.desired import VariableValue
from clockwork_nb.intake.names import did_you_mean, shown, summary
from clockwork_nb.intake.nodes import Attribute, Origin
from clockwork_nb.intake.operators import ConversionError, kind_of, normal
from clockwork_nb.intake.syntax import parse, parse_expression
from clockwork_nb.intake.values import Unknown
from clockwork_nb.secrets import Sensitive

__all__ = ["VariableInput", "collect_variables", "read_variable_file", "resolve_variables"]


class VariableInput(Struct, frozen=True):
    """One value given to a variable; of several the last one counts.

    Attributes:
        source: where it came from, as people know it: "prod.cwvars", "CW_VAR_port", "--var", "%cw_var".
        raw: the value is text that is to become the declared type ("8080" → 8080, "[1, 2]" → a list).
        optional: it is meant for the variable of this name only if there is one.
    """

    name: str
    value: Any
    source: str = ""
    range: SourceRange | None = None
    raw: bool = False
    optional: bool = False


def read_variable_file(data: bytes, *, name: str) -> list[VariableInput]:
    """Return the values of a ``.cwvars`` text: attributes with constant HCL values, nothing else.

    Raises:
        ConfigurationError: E_INVALID_INPUT_SCHEMA with every mistake.
    """
    found, diagnostics = _variable_file(Source(name, name, data))
    if diagnostics.has_errors:
        raise ConfigurationError(f"{name} has mistakes", diagnostics=diagnostics.sorted())
    return found


def _variable_file(source: Source) -> tuple[list[VariableInput], Diagnostics]:
    document, diagnostics = parse(source.data, filename=source.name)
    inputs: list[VariableInput] = []
    for item, origin in document.items:
        if not isinstance(item, Attribute):
            diagnostics.error(
                "cw-unknown-block",
                "a file with values has no blocks",
                origin.span(item.start, item.header_end),
                detail="Write one line for each variable: name = value.",
            )
            continue
        good, value = _constant(item, origin, diagnostics)
        if good:
            inputs.append(VariableInput(item.name, value, source.name, origin.span(item.start, item.name_end)))
    return inputs, diagnostics


def _constant(item: Attribute, origin: Origin, diagnostics: Diagnostics) -> tuple[bool, Any]:
    return constant_value(item.value, origin, item.references, diagnostics)


def collect_variables(
    *,
    files: Sequence[Source] = (),
    environment: Mapping[str, str] | None = None,
    var_files: Sequence[Source] = (),
    assignments: Sequence[tuple[str, str]] = (),
    parameters: Mapping[str, Any] | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> tuple[list[VariableInput], Diagnostics]:
    """Return all values, lowest first.

    Args:
        files: the ``*.cwvars`` of the project.
        environment: variables of the environment; those named ``CW_VAR_name`` count, for declared names only.
        var_files: what ``--var-file`` names.
        assignments: name and text of each ``--var``.
        parameters: of the notebook; for declared names only.
        overrides: what ``%cw_var`` set; texts become the declared type.
    """
    diagnostics = Diagnostics()
    inputs: list[VariableInput] = []

    def read(sources: Sequence[Source]) -> None:
        for source in sources:
            found, problems = _variable_file(source)
            inputs.extend(found)
            diagnostics.extend(problems)

    read(files)
    for key, text in sorted((environment or {}).items()):
        if key.startswith("CW_VAR_"):
            inputs.append(VariableInput(key.removeprefix("CW_VAR_"), text, key, raw=True, optional=True))
    read(var_files)
    inputs += [VariableInput(name, text, "--var", raw=True) for name, text in assignments]
    inputs += [VariableInput(n, v, "parameters", optional=True) for n, v in (parameters or {}).items()]
    inputs += [VariableInput(n, v, "%cw_var", raw=isinstance(v, str)) for n, v in (overrides or {}).items()]
    return inputs, diagnostics


def resolve_variables(
    configuration: Configuration, inputs: Sequence[VariableInput], diagnostics: Diagnostics
) -> dict[str, VariableValue]:
    """Return the value in force of every declared variable; those with a mistake are left out.

    Mistakes: cw-undeclared-variable, cw-missing-variable, cw-wrong-type. Values of sensitive variables are `Sensitive`.
    """
    chosen: dict[str, VariableInput] = {}
    for given in inputs:
        if given.name in configuration.variables:
            chosen[given.name] = given
        elif not given.optional:
            diagnostics.error(
                "cw-undeclared-variable",
                summary(f"there is no variable {shown(given.name)}"),
                given.range,
                note=did_you_mean(given.name, configuration.variables),
                detail=f"{given.source or 'Something'} gives it a value. "
                f'Declare it with variable "{given.name}" {{ }}, or take the value away.',
            )
    resolver = _Resolver(diagnostics)
    values: dict[str, VariableValue] = {}
    for name, declaration in configuration.variables.items():
        if declaration.broken:
            continue
        found = resolver.resolve(declaration, chosen.get(name))
        if found is not None:
            values[name] = found
    return values


_COMPLEX: Final = frozenset({"list", "set", "map", "object", "tuple"})


class _Resolver:
    def __init__(self, diagnostics: Diagnostics) -> None:
        self.diagnostics = diagnostics

    def resolve(self, declaration: VariableDeclaration, given: VariableInput | None) -> VariableValue | None:
        default = self._default(declaration)
        if given is not None:
            value: Any = given.value
            if given.raw and isinstance(value, str):
                good, value = self._from_text(declaration, given, value, default)
            else:
                good, value = self._from_python(declaration, given, value)
            if not good:
                return None
            if value is not None or declaration.nullable:
                return self._typed(declaration, value, given)
        if declaration.default is None:
            if given is not None:
                self._misfit(declaration, given, "null cannot be given")
            else:
                self._missing(declaration)
            return None
        return self._typed(declaration, default, None)

    def _default(self, declaration: VariableDeclaration) -> Any:
        if declaration.default is None:
            return None
        return _constant(declaration.default, declaration.origin, Diagnostics())[1]

    def _missing(self, declaration: VariableDeclaration) -> None:
        name = declaration.name
        self.diagnostics.error(
            "cw-missing-variable",
            summary(f"var.{name} has no value"),
            declaration.range,
            detail=f"Give it a default, or a value with --var {name}=…, CW_VAR_{name} or %cw_var.",
        )

    def _from_text(
        self, declaration: VariableDeclaration, given: VariableInput, text: str, default: Any
    ) -> tuple[bool, Any]:
        """Return *text* as the kind of value the variable has; the conversion to its very type comes after."""
        kind = declaration.constraint.kind
        if kind == "any" and default is not None:
            kind = kind_of(default.value if isinstance(default, Sensitive) else default)
            if kind in {"number", "bool"}:
                try:
                    return True, convert(text, type(declaration.constraint)(kind))
                except MisfitError:
                    return True, text
        if kind not in _COMPLEX:
            return True, text
        item, origin, problems = parse_expression(text, name=f"{given.source} {given.name}".strip())
        if item is None:
            self._hide(declaration, given, problems)
            return False, None
        good, value = _constant(item, origin, problems)
        if not good:
            self._hide(declaration, given, problems)
        return good, value

    def _hide(self, declaration: VariableDeclaration, given: VariableInput, problems: Diagnostics) -> None:
        if declaration.sensitive:
            self._misfit(declaration, given, "the value cannot be read")
        else:
            self.diagnostics.extend(problems)

    def _from_python(self, declaration: VariableDeclaration, given: VariableInput, value: Any) -> tuple[bool, Any]:
        try:
            return True, _language_value(value, 0)
        except ConversionError as problem:
            self._misfit(declaration, given, str(problem))
            return False, None

    def _typed(self, declaration: VariableDeclaration, value: Any, given: VariableInput | None) -> VariableValue | None:
        try:
            value = convert(value, declaration.constraint)
        except MisfitError as misfit:
            if given is not None:  # a default that does not fit was reported where it stands
                self._misfit(declaration, given, str(misfit) + (f" at {misfit.where()}" if misfit.path else ""))
            return None
        if declaration.sensitive:
            value = Sensitive(value)
        return VariableValue(declaration.name, value, given.source if given else "default", declaration.sensitive)

    def _misfit(self, declaration: VariableDeclaration, given: VariableInput, text: str) -> None:
        self.diagnostics.error(
            "cw-wrong-type",
            summary(f"the value of var.{declaration.name} does not fit its type"),
            given.range or declaration.range,
            note=text,
            detail=f"The value comes from {given.source or 'outside'}; the type is {declaration.constraint}.",
        )


def _language_value(value: Any, depth: int) -> Any:
    """Return a Python value (of a notebook parameter, say) as a value of the language."""
    if depth > 64:
        raise ConversionError("the value is nested more than 64 deep")
    if value is None or isinstance(value, (str, bool, Unknown)):
        return value
    if isinstance(value, int):
        return normal(int(value))
    if isinstance(value, (float, Decimal)):
        return normal(Decimal(repr(value)) if isinstance(value, float) else value)
    if isinstance(value, Sensitive):
        return Sensitive(_language_value(value.value, depth))
    if isinstance(value, (list, tuple)):
        return [_language_value(v, depth + 1) for v in value]
    if isinstance(value, Mapping) and all(isinstance(k, str) for k in value):
        return {k: _language_value(v, depth + 1) for k, v in value.items()}
    raise ConversionError(f"a Python {type(value).__name__} is no value of the language")
