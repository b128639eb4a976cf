"""Expressions to values: the evaluator (HCL specification, "Expressions"; Terraform's semantics where they differ).

Recursion follows the nesting of the text, which the reader bounds; everything that grows with data is a loop.
`Unknown` makes what depends on it unknown; `Sensitive` makes what depends on it sensitive.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from clockwork_nb.intake.limits import LIMITS, Limits
from clockwork_nb.intake.names import did_you_mean, shown
from clockwork_nb.intake.nodes import (
    AttributeStep,
    Call,
    Chain,
    Conditional,
    Expression,
    ForExpression,
    IndexStep,
    List,
    Literal,
    Node,
    Object,
    Reference,
    SplatStep,
    Step,
    Template,
    TemplateFor,
    TemplateIf,
    Traversal,
    Unary,
)
from clockwork_nb.intake.operators import (
    BINARY,
    ConversionError,
    article,
    kind_of,
    normal,
    to_bool,
    to_number,
    to_text,
    unmarked,
)
from clockwork_nb.intake.scope import EvaluationContext, EvaluationError, Scope, UpstreamFailed, bare
from clockwork_nb.intake.values import SetValue, Unknown
from clockwork_nb.secrets import Sensitive

if TYPE_CHECKING:
    from clockwork_nb.intake.calls import Caller

__all__ = ["EvaluationContext", "EvaluationError", "Evaluator", "Scope", "UpstreamFailed"]


Resolve = Callable[[tuple[str, ...]], tuple[Any, int]]
_MISSING: Final = object()


class Evaluator:
    """Evaluates expressions against one *resolve* function and one context; counts what they use up.

    Args:
        resolve: the parts of a reference → its value and how many of the parts that value stands for. Raises
            `UpstreamFailed`.
        context: what functions may use.
    """

    def __init__(self, resolve: Resolve, context: EvaluationContext, *, limits: Limits = LIMITS) -> None:
        self.resolve = resolve
        self._context = context
        self.asked = False  # becomes true when something asks for the context
        self.limits = limits
        self.ports: dict[str, int] = {}
        self.volatile = False  # becomes true when timestamp() is called
        self._steps = 0
        self._text = 0
        self._caller: Caller | None = None

    @property
    def context(self) -> EvaluationContext:
        """What functions may use. Who asks for it may depend on more than the text and what that refers to."""
        self.asked = True
        return self._context

    @property
    def spent(self) -> tuple[int, int]:
        """How many rounds of loops and how many characters of text were made so far."""
        return self._steps, self._text

    def spend(self, cost: tuple[int, int]) -> bool:
        """Count *cost* (see `spent`) as used up; return whether the limits still hold."""
        self._steps += cost[0]
        self._text += cost[1]
        return self._steps <= self.limits.loop_steps and self._text <= self.limits.total_text

    def value(self, node: Expression, scope: Scope) -> Any:
        """Return the value of *node*.

        Raises:
            EvaluationError: with the place.
            UpstreamFailed: it needs something that failed.
        """
        return _DISPATCH[type(node)](self, node, scope)

    def error(self, text: str, node: Node, scope: Scope, **more: str) -> EvaluationError:
        """Return the error *text* at *node*."""
        return EvaluationError(text, node, scope.origin, **more)

    def converted(self, convert: Callable[[Any], Any], value: Any, node: Node, scope: Scope, what: str) -> Any:
        try:
            return convert(value)
        except ConversionError as problem:
            raise self.error(what, node, scope, note=str(problem), code=problem.code) from None

    def charge(self, size: int, node: Node, scope: Scope) -> None:
        self._text += size
        if size > self.limits.text or self._text > self.limits.total_text:
            most = self.limits.text if size > self.limits.text else self.limits.total_text
            raise self.error("this text grows too large", node, scope, note=f"limit {most:,}", code="cw-limit")

    def _step(self, node: Node, scope: Scope) -> None:
        self._steps += 1
        if self._steps > self.limits.loop_steps:
            raise self.error(
                "the loops take too many rounds", node, scope, note=f"limit {self.limits.loop_steps:,}", code="cw-limit"
            )

    # --- leaves -----------------------------------------------------------------------------------------------------

    def _literal(self, node: Literal, scope: Scope) -> Any:
        return node.value

    def _reference(self, node: Reference, scope: Scope) -> Any:
        parts = node.parts
        value = scope.names.get(parts[0], _MISSING) if scope.names else _MISSING
        if value is _MISSING:
            value, used = self.resolve(parts)
        else:
            used = 1
        for index in range(used, len(parts)):
            name = parts[index]
            if type(value) is dict and name in value:
                value = value[name]
            else:
                value = self._attribute(value, name, _part(node, index), scope)
        return value

    # --- texts ------------------------------------------------------------------------------------------------------

    def _template(self, node: Template, scope: Scope) -> Any:
        texts: list[str] = []
        sensitive = False
        unknown: Unknown | None = None
        for part in node.parts:
            if isinstance(part, str):
                texts.append(part)
                continue
            value = self.value(part, scope)
            if isinstance(value, Sensitive):
                sensitive, value = True, value.value
            if isinstance(value, str):
                texts.append(value)
            elif isinstance(value, Unknown):
                unknown = unknown or value
            else:
                texts.append(self._part_text(value, part, scope))
        result: Any = unknown
        if unknown is None:
            self.charge(sum(map(len, texts)), node, scope)
            result = "".join(texts)
        return Sensitive(result) if sensitive else result

    def _part_text(self, value: Any, part: Expression, scope: Scope) -> str:
        if value is None:
            raise self.error("null cannot be part of a text", part, scope, note="this is null")
        try:
            return to_text(value)
        except ConversionError:
            kind = kind_of(value)
            hint = 'join(", ", …)' if kind in {"list", "set"} else "jsonencode(…)"
            raise self.error(
                f"{article(kind)} cannot be part of a text",
                part,
                scope,
                note=f"this is {article(kind)}",
                detail=f"Use {hint}.",
            ) from None

    def _template_if(self, node: TemplateIf, scope: Scope) -> Any:
        condition, sensitive = bare(self.value(node.condition, scope))
        if isinstance(condition, Unknown):
            return Sensitive(condition) if sensitive else condition
        chosen = self.converted(to_bool, condition, node.condition, scope, "a condition is true or false")
        result = self._template(node.then if chosen else node.otherwise, scope)
        return Sensitive(result) if sensitive else result

    def _template_for(self, node: TemplateFor, scope: Scope) -> Any:
        collection, sensitive = bare(self.value(node.collection, scope))
        if isinstance(collection, Unknown):
            return Sensitive(collection) if sensitive else collection
        texts: list[str] = []
        unknown: Unknown | None = None
        for inner in self._rounds(node, collection, scope):
            value, marked = bare(self._template(node.body, inner))
            sensitive = sensitive or marked
            if isinstance(value, Unknown):
                unknown = unknown or value
            else:
                texts.append(value)
        result: Any = unknown
        if unknown is None:
            self.charge(sum(map(len, texts)), node, scope)
            result = "".join(texts)
        return Sensitive(result) if sensitive else result

    # --- collections ------------------------------------------------------------------------------------------------

    def _list(self, node: List, scope: Scope) -> Any:
        value = self.value
        return [value(item, scope) for item in node.items]

    def _object(self, node: Object, scope: Scope) -> Any:
        out: dict[str, Any] = {}
        sensitive = False
        unknown: Unknown | None = None
        for item in node.items:
            if type(item.key) is Literal:
                key = item.key.value
            else:
                key, marked = bare(self.value(item.key, scope))
                sensitive = sensitive or marked
                if isinstance(key, Unknown):
                    unknown = unknown or key
                    continue
                key = self._key(key, item.key, scope)
                if key in out:
                    name = "a sensitive key" if sensitive else f"the key {shown(key)}"
                    raise self.error(f"{name} is there twice", item.key, scope, code="cw-duplicate")
            out[key] = self.value(item.value, scope)
        result: Any = out if unknown is None else unknown
        return Sensitive(result) if sensitive else result

    def _key(self, key: Any, node: Node, scope: Scope) -> str:
        text: str = self.converted(to_text, key, node, scope, "a key is a text")
        return text

    def _rounds(self, node: ForExpression | TemplateFor, collection: Any, scope: Scope) -> Iterator[Scope]:
        """Yield the scope of each round. Lists count from 0, sets give the element twice, objects go by sorted key."""
        pairs: Iterator[tuple[Any, Any]]
        if isinstance(collection, SetValue):
            pairs = ((v, v) for v in collection)
        elif isinstance(collection, list):
            pairs = enumerate(collection)
        elif isinstance(collection, dict):
            pairs = ((k, collection[k]) for k in sorted(collection))
        else:
            kind = article(kind_of(collection))
            raise self.error("a for needs a list or an object", node.collection, scope, note=f"this is {kind}")
        names = dict(scope.names)
        inner = Scope(scope.origin, names)
        for key, value in pairs:
            self._step(node, scope)
            if node.key_name:
                names[node.key_name] = key
            names[node.value_name] = value
            yield inner

    def _for(self, node: ForExpression, scope: Scope) -> Any:
        collection, sensitive = bare(self.value(node.collection, scope))
        if isinstance(collection, Unknown):
            return Sensitive(collection) if sensitive else collection
        items: list[Any] = []
        mapped: dict[str, Any] = {}
        unknown: Unknown | None = None
        for inner in self._rounds(node, collection, scope):
            if node.condition is not None:
                wanted, marked = bare(self.value(node.condition, inner))
                sensitive = sensitive or marked
                if isinstance(wanted, Unknown):
                    unknown = unknown or wanted
                    continue
                if not self.converted(to_bool, wanted, node.condition, inner, "a condition is true or false"):
                    continue
            if node.key is None:
                items.append(self.value(node.value, inner))
                continue
            key, marked = bare(self.value(node.key, inner))
            sensitive = sensitive or marked
            if isinstance(key, Unknown):
                unknown = unknown or key
                continue
            self._put(node, mapped, self._key(key, node.key, inner), inner, hidden=marked)
        result: Any = unknown if unknown is not None else items if node.key is None else mapped
        return Sensitive(result) if sensitive else result

    def _put(self, node: ForExpression, out: dict[str, Any], key: str, scope: Scope, *, hidden: bool) -> None:
        value = self.value(node.value, scope)
        if node.grouping:
            out.setdefault(key, []).append(value)
            return
        if key in out:
            assert node.key is not None
            raise self.error(
                "a sensitive key comes out twice" if hidden else f"the key {shown(key)} comes out twice",
                node.key,
                scope,
                detail='To collect the values of equal keys in a list, write "..." after the value.',
                code="cw-duplicate",
            )
        out[key] = value

    # --- steps ------------------------------------------------------------------------------------------------------

    def _traversal(self, node: Traversal, scope: Scope) -> Any:
        return self._take(self.value(node.root, scope), node.steps, scope)

    def _take(self, value: Any, steps: tuple[Step, ...], scope: Scope) -> Any:
        for step in steps:
            if type(step) is AttributeStep:
                value = self._attribute(value, step.name, step, scope)
            elif type(step) is IndexStep:
                value = self._index(value, step, scope)
            else:
                assert isinstance(step, SplatStep)
                value = self._splat(value, step, scope)
        return value

    def _attribute(self, value: Any, name: str, node: Node, scope: Scope) -> Any:
        if isinstance(value, dict):
            if name in value:
                return value[name]
            raise self.error(
                f"there is no attribute {shown(name)}",
                node,
                scope,
                note=did_you_mean(name, value),
                detail=_known(value),
                code="cw-unknown-reference",
            )
        if isinstance(value, Unknown):
            return value
        if isinstance(value, Sensitive):
            return Sensitive(self._attribute(value.value, name, node, scope))
        if isinstance(value, list) and not isinstance(value, SetValue) and name.isdigit():
            return self._element(value, int(name), node, scope)
        kind = article(kind_of(value))
        detail = "Take one element first, like x[0], or all with x[*]." if isinstance(value, list) else ""
        raise self.error(f"{kind} has no attributes", node, scope, note=f"looked for {shown(name)}", detail=detail)

    def _index(self, value: Any, step: IndexStep, scope: Scope) -> Any:
        value, sensitive = bare(value)
        key, marked = bare(self.value(step.key, scope))
        sensitive = sensitive or marked
        if isinstance(value, Unknown) or isinstance(key, Unknown):
            result: Any = value if isinstance(value, Unknown) else key
        elif isinstance(value, dict):
            name = self._key(key, step.key, scope)
            if name not in value:
                raise self.error(
                    f"there is no key {shown(name)}" if not marked else "there is no such key",
                    step.key,
                    scope,
                    note="" if sensitive else did_you_mean(name, value),
                    detail="" if sensitive else _known(value),
                )
            result = value[name]
        elif isinstance(value, list) and not isinstance(value, SetValue):
            at = self.converted(_whole, key, step.key, scope, "an index is a whole number")
            result = self._element(value, at, step.key, scope)
        else:
            detail = "The elements of a set have no order; use tolist(…)." if isinstance(value, SetValue) else ""
            raise self.error(f"{article(kind_of(value))} has no elements to pick", step, scope, detail=detail)
        return Sensitive(result) if sensitive else result

    def _element(self, value: list[Any], at: int, node: Node, scope: Scope) -> Any:
        if 0 <= at < len(value):
            return value[at]
        count = len(value)
        have = "the list is empty" if not count else f"the list has {count}, from 0 to {count - 1}"
        raise self.error(f"there is no element {at}", node, scope, note=have)

    def _splat(self, value: Any, step: SplatStep, scope: Scope) -> Any:
        value, sensitive = bare(value)
        if isinstance(value, Unknown):
            result: Any = value
        elif value is None:
            result = []
        else:
            result = []
            for item in value if isinstance(value, list) else [value]:
                self._step(step, scope)
                result.append(self._take(item, step.steps, scope))
        return Sensitive(result) if sensitive else result

    # --- operators --------------------------------------------------------------------------------------------------

    def _unary(self, node: Unary, scope: Scope) -> Any:
        value, sensitive = bare(self.value(node.operand, scope))
        if not isinstance(value, Unknown):
            if node.operator == "!":
                value = not self.converted(to_bool, value, node.operand, scope, '"!" needs true or false')
            else:
                value = normal(-self.converted(to_number, value, node.operand, scope, '"-" needs a number'))
        return Sensitive(value) if sensitive else value

    def _chain(self, node: Chain, scope: Scope) -> Any:
        left = self.value(node.first, scope)
        before: Expression = node.first
        for operator, operand in node.rest:
            # The right side of && and || is looked at only when it decides, so `x != null && x.y` works.
            if operator in {"&&", "||"}:
                inner, sensitive = bare(left)
                if not isinstance(inner, Unknown):
                    done = self.converted(to_bool, inner, before, scope, f'"{operator}" needs true or false')
                    if done == (operator == "||"):
                        left = Sensitive(done) if sensitive else done
                        continue
            left = self._binary(operator, left, self.value(operand, scope), (before, operand), scope)
            before = operand
        return left

    def _binary(self, operator: str, left: Any, right: Any, nodes: tuple[Expression, Expression], scope: Scope) -> Any:
        a, b = left, right
        sensitive = unknown = False
        if type(left) not in _PLAIN or type(right) not in _PLAIN:
            try:
                a, sensitive, unknown = unmarked(left)
                b, marked, open_right = unmarked(right)
            except ConversionError as problem:
                raise self.error(str(problem), nodes[1], scope, code=problem.code) from None
            sensitive, unknown = sensitive or marked, unknown or open_right
        result: Any
        if unknown:
            result = next((v for v in (a, b) if isinstance(v, Unknown)), None) or Unknown()
        else:
            try:
                result = BINARY[operator](a, b)
            except ConversionError as problem:
                raise self._operand_error(operator, (a, b), nodes, scope, problem) from None
        return Sensitive(result) if sensitive else result

    def _operand_error(
        self,
        operator: str,
        values: tuple[Any, Any],
        nodes: tuple[Expression, Expression],
        scope: Scope,
        problem: ConversionError,
    ) -> EvaluationError:
        convert = to_bool if operator in {"&&", "||"} else to_number
        for value, node in zip(values, nodes, strict=True):
            try:
                convert(value)
            except ConversionError as own:
                what = "true or false" if convert is to_bool else "numbers"
                return self.error(f'"{operator}" needs {what}', node, scope, note=str(own))
        return self.error(str(problem), nodes[1], scope, code=problem.code)

    def _conditional(self, node: Conditional, scope: Scope) -> Any:
        sensitive = False
        chosen = node.otherwise
        for condition, value in node.arms:
            inner, marked = bare(self.value(condition, scope))
            sensitive = sensitive or marked
            if isinstance(inner, Unknown):
                return Sensitive(inner) if sensitive else inner
            if self.converted(to_bool, inner, condition, scope, "a condition is true or false"):
                chosen = value
                break
        result = self._unified(node, chosen, self.value(chosen, scope), scope)
        return Sensitive(result) if sensitive else result

    def _unified(self, node: Conditional, chosen: Expression, result: Any, scope: Scope) -> Any:
        """Return *result* as the type that all values of *node* have in common."""
        kind = _unified_kind(result)
        if kind not in {"number", "bool", "string", "list", "object"}:
            return result
        for other in (*(value for _, value in node.arms), node.otherwise):
            if other is chosen:
                continue
            try:
                there = _unified_kind(self.value(other, scope))
            except (EvaluationError, UpstreamFailed):
                continue  # a value that is not used may be as wrong as it likes
            if there in {kind, "null", "unknown"}:
                continue
            if {there, kind} <= {"string", "number", "bool"} and "string" in {there, kind}:
                kind = "string"
                continue
            raise self.error(
                "the values of a condition have different types",
                node,
                scope,
                note=f"{article(kind)} here, {article(there)} there",
            )
        if kind == "string":
            inner, marked = bare(result)
            text = to_text(inner)
            return Sensitive(text) if marked else text
        return result

    def _call(self, node: Call, scope: Scope) -> Any:
        if self._caller is None:  # most configurations call no function
            from clockwork_nb.intake import calls

            self._caller = calls.Caller(self)
        return self._caller.value(node, scope)


def _part(node: Reference, index: int) -> Node:
    return Node(*node.part_range(index))


def _unified_kind(value: Any) -> str:
    kind = kind_of(bare(value)[0])
    return "list" if kind == "set" else kind


def _whole(value: Any) -> int:
    found = to_number(value)
    if not isinstance(found, int):
        raise ConversionError("this has a fraction")
    return found


def _known(value: Mapping[str, Any]) -> str:
    names = sorted(value)
    if not names:
        return "It is empty."
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    return f"It has: {', '.join(names[:12])}{more}."


_PLAIN: Final = frozenset({str, int, bool})
_DISPATCH: Final[dict[type, Callable[[Evaluator, Any, Scope], Any]]] = {
    Literal: Evaluator._literal,
    Reference: Evaluator._reference,
    Template: Evaluator._template,
    TemplateIf: Evaluator._template_if,
    TemplateFor: Evaluator._template_for,
    List: Evaluator._list,
    Object: Evaluator._object,
    ForExpression: Evaluator._for,
    Traversal: Evaluator._traversal,
    Unary: Evaluator._unary,
    Chain: Evaluator._chain,
    Conditional: Evaluator._conditional,
    Call: Evaluator._call,
}
