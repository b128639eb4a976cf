"""Calls of functions: arguments, marks, errors, and the few functions that see their arguments unevaluated or marked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

from clockwork_nb.diagnostics import SourceText
from clockwork_nb.intake.expression_syntax import ExpressionParser
from clockwork_nb.intake.function_kit import Ambient, Function, FunctionError
from clockwork_nb.intake.functions import FUNCTIONS, unknown_function
from clockwork_nb.intake.lexer import SyntaxFailure
from clockwork_nb.intake.limits import Limits
from clockwork_nb.intake.names import did_you_mean, shown
from clockwork_nb.intake.nodes import Call, Expression, Node, Origin
from clockwork_nb.intake.operators import ConversionError, article, kind_of, to_text, unmarked
from clockwork_nb.intake.scope import EvaluationError, Scope, bare
from clockwork_nb.intake.templates import parse_template
from clockwork_nb.intake.values import Unknown
from clockwork_nb.secrets import Sensitive

__all__ = ["Caller"]


class _Evaluator(Ambient, Protocol):
    """What a call needs of `clockwork_nb.intake.expressions.Evaluator`."""

    limits: Limits

    def value(self, node: Expression, scope: Scope) -> Any: ...

    def error(self, text: str, node: Node, scope: Scope, **more: str) -> EvaluationError: ...

    def converted(self, convert: Callable[[Any], Any], value: Any, node: Node, scope: Scope, what: str) -> Any: ...

    def charge(self, size: int, node: Node, scope: Scope) -> None: ...


class Caller:
    """Calls functions for one evaluator."""

    def __init__(self, evaluator: _Evaluator) -> None:
        self.evaluator = evaluator
        self._in_template_file = False

    def value(self, node: Call, scope: Scope) -> Any:
        """Return the value of the call *node*."""
        special = _SPECIAL.get(node.name)
        if special is not None:
            return special(self, node, scope)
        function = FUNCTIONS.get(node.name)
        if function is None:
            raise self.evaluator.error(scope=scope, node=_name(node), **unknown_function(node.name))
        arguments = [self.evaluator.value(a, scope) for a in node.arguments]
        if node.expand:
            last, marked = bare(arguments.pop())
            if isinstance(last, Unknown):
                return Sensitive(last) if marked else last
            if not isinstance(last, list):
                raise self.evaluator.error(
                    '"..." needs a list', node.arguments[-1], scope, note=f"this is {article(kind_of(last))}"
                )
            arguments += [Sensitive(v) for v in last] if marked else last
        return self._apply(function, node, arguments, scope)

    def _apply(self, function: Function, node: Call, arguments: list[Any], scope: Scope) -> Any:
        sensitive = False
        unknown: Unknown | None = None
        try:
            function.check_count(len(arguments))
            for index, argument in enumerate(arguments):
                if function.structural:
                    plain, marked = bare(argument)
                    is_unknown = isinstance(plain, Unknown)
                else:
                    plain, marked, is_unknown = unmarked(argument)
                sensitive = sensitive or marked
                if is_unknown:
                    unknown = (
                        plain if isinstance(plain, Unknown) else Unknown("one of its elements is known after apply")
                    )
                else:
                    plain = function.convert(index, plain)
                arguments[index] = plain
            result = unknown if unknown is not None else function.apply(self.evaluator, arguments)
        except FunctionError as problem:
            raise self._function_error(node, problem, scope, hidden=sensitive) from None
        except ConversionError as problem:
            raise self.evaluator.error(
                f"{node.name} failed", node, scope, note=str(problem), code=problem.code
            ) from None
        if isinstance(result, str):
            self.evaluator.charge(len(result), node, scope)
        elif isinstance(result, (list, dict)) and len(result) > self.evaluator.limits.elements:
            raise self.evaluator.error("this value grows too large", node, scope, code="cw-limit")
        return Sensitive(result) if sensitive else result

    def _function_error(self, node: Call, problem: FunctionError, scope: Scope, *, hidden: bool) -> EvaluationError:
        place: Node = node
        if 0 <= problem.argument < len(node.arguments):
            place = node.arguments[problem.argument]
        text = str(problem)
        if hidden and problem.shows_value:
            text = "the value does not fit; it is sensitive and not shown"
        full = f"{node.name}: {text}"
        fits = len(full) <= 60
        return self.evaluator.error(
            full if fits else f"{node.name} failed",
            place,
            scope,
            note="" if fits else text,
            detail=problem.detail,
            code=problem.code,
        )

    def _try(self, node: Call, scope: Scope) -> Any:
        if not node.arguments:
            raise self.evaluator.error("try needs at least one argument", node, scope)
        failure: EvaluationError | None = None
        for argument in node.arguments:
            try:
                return self.evaluator.value(argument, scope)
            except EvaluationError as error:
                if error.code == "cw-limit":
                    raise
                failure = error
        assert failure is not None
        raise self.evaluator.error("none of the values of try can be had", node, scope, note=failure.summary)

    def _can(self, node: Call, scope: Scope) -> Any:
        if len(node.arguments) != 1:
            raise self.evaluator.error("can takes one argument", node, scope)
        try:
            _, sensitive, unknown = unmarked(self.evaluator.value(node.arguments[0], scope))
        except (EvaluationError, ConversionError) as error:
            if error.code == "cw-limit":
                raise
            return False
        if unknown:
            return Unknown("the argument of can is known after apply")
        return Sensitive(True) if sensitive else True

    def _marks(self, node: Call, scope: Scope) -> Any:
        """``issensitive`` and ``nonsensitive``: the two functions whose result has no mark although the argument has."""
        if len(node.arguments) != 1:
            raise self.evaluator.error(f"{node.name} takes one argument", node, scope)
        value = self.evaluator.value(node.arguments[0], scope)
        try:
            plain, marked, _ = unmarked(value)
        except ConversionError as problem:
            raise self.evaluator.error(
                f"{node.name} failed", node, scope, note=str(problem), code=problem.code
            ) from None
        return marked if node.name == "issensitive" else plain

    def _templatefile(self, node: Call, scope: Scope) -> Any:
        if len(node.arguments) != 2:
            raise self.evaluator.error("templatefile takes a path and an object", node, scope)
        if self._in_template_file:
            raise self.evaluator.error("a template file cannot use templatefile", node, scope)
        path, hidden = bare(self.evaluator.value(node.arguments[0], scope))
        names, marked = bare(self.evaluator.value(node.arguments[1], scope))
        for value in (path, names):
            if isinstance(value, Unknown):
                return Sensitive(value) if hidden or marked else value
        if not isinstance(path, str) or not isinstance(names, dict):
            raise self.evaluator.error("templatefile takes a path and an object", node, scope)
        function = FUNCTIONS["file"]
        text = self._apply(function, node, [path], scope)
        if marked:
            names = {k: Sensitive(v) for k, v in names.items()}
        result = self._rendered(path, text, names, node, scope)
        return Sensitive(result) if hidden or marked else result

    def _rendered(self, path: str, text: str, names: dict[str, Any], node: Call, scope: Scope) -> Any:
        origin = Origin(SourceText(path, text))
        parser = ExpressionParser(text, limits=self.evaluator.limits)
        try:
            template = parse_template(parser)
        except SyntaxFailure as failure:
            place = Node(failure.start, failure.end)
            raise EvaluationError(failure.summary, place, origin, note=failure.note, detail=failure.detail) from None
        for reference in parser.references:
            if reference.parts[0] not in names:
                raise EvaluationError(
                    f"this template was not given {shown(reference.parts[0])}",
                    reference,
                    origin,
                    note=did_you_mean(reference.parts[0], names),
                    detail="A template file sees only the names in the second argument of templatefile.",
                    code="cw-unknown-reference",
                )
        self._in_template_file = True
        try:
            result = self.evaluator.value(template, Scope(origin, names))
        finally:
            self._in_template_file = False
        inner, marked = bare(result)
        if isinstance(inner, Unknown):
            return result
        text = self.evaluator.converted(to_text, inner, node, scope, "a template gives a text")
        return Sensitive(text) if marked else text


def _name(node: Call) -> Node:
    return Node(node.start, node.name_end)


_SPECIAL: Final[dict[str, Callable[[Caller, Call, Scope], Any]]] = {
    "try": Caller._try,
    "can": Caller._can,
    "issensitive": Caller._marks,
    "nonsensitive": Caller._marks,
    "templatefile": Caller._templatefile,
}
