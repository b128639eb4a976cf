"""A configuration and values for its variables to what is wanted: every node in the order of its needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from msgspec import structs
from msgspec.structs import replace

from clockwork_nb.diagnostics import Diagnostics, SourceRange
from clockwork_nb.errors import InvalidInputError
from clockwork_nb.intake.configuration import (
    Configuration,
    Declaration,
    LocalDeclaration,
    OutputDeclaration,
    ResourceDeclaration,
    VariableDeclaration,
)
from clockwork_nb.intake.desired import Desired, Output, ResourceInstance, VariableValue
from clockwork_nb.intake.evaluation_cache import EvaluationCache, Kept
from clockwork_nb.intake.expressions import EvaluationContext, EvaluationError, Evaluator, Scope, UpstreamFailed
from clockwork_nb.intake.limits import LIMITS, Limits
from clockwork_nb.intake.names import summary
from clockwork_nb.intake.nodes import Attribute, Block, Literal
from clockwork_nb.intake.operators import ConversionError, to_bool, to_text, unmarked
from clockwork_nb.intake.project_files import config_with_files
from clockwork_nb.intake.references import PATHS
from clockwork_nb.intake.schema import Checker, Places, exact, plain
from clockwork_nb.intake.values import Unknown, contains_unknown
from clockwork_nb.intake.variables import VariableInput, resolve_variables
from clockwork_nb.ports import Registry, ResourceType
from clockwork_nb.secrets import Sensitive

__all__ = ["evaluate"]

_FIXED_TIME: Final = "1970-01-01T00:00:00Z"
_FAILED: Final = object()
_ABSENT: Final = object()
_SCALARS: Final = frozenset({str, int, bool, type(None)})


def _bare(value: Any) -> Any:
    return value.value if isinstance(value, Sensitive) else value


class _Measure:
    """Bounds how large and how deep values are, also when they are put together from shared parts.

    Containers that were measured are remembered, so that a long chain of locals costs no more than its text.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._known: dict[int, tuple[int, int]] = {}
        self._alive: list[Any] = []  # ids are only good as long as the values live

    def fits(self, value: Any) -> str:
        """Return an empty text, or what is wrong with the size of *value*."""
        if isinstance(value, Sensitive):
            value = value.value
        if not isinstance(value, (list, dict)):
            return ""
        items = value.values() if isinstance(value, dict) else value
        if len(value) <= self.limits.elements and not [v for v in items if type(v) not in _SCALARS and v]:
            return ""  # flat, as most are
        self._alive.append(value)
        stack: list[tuple[Any, bool]] = [(value, False)]
        while stack:
            current, ready = stack.pop()
            if id(current) in self._known:
                continue
            parts = current.values() if isinstance(current, dict) else current
            inner = [
                v for v in map(_bare, [p for p in parts if type(p) not in _SCALARS]) if isinstance(v, (list, dict))
            ]
            if not ready and (unknown := [v for v in inner if id(v) not in self._known]):
                stack.append((current, True))
                stack.extend([(v, False) for v in unknown])
                continue
            sizes = [self._known[id(v)] for v in inner]
            size = len(parts) + sum(s for s, _ in sizes)
            depth = 1 + max((d for _, d in sizes), default=0)
            self._known[id(current)] = (size, depth)
            if size > self.limits.elements:
                return f"it has more than {self.limits.elements:,} elements"
            if depth > self.limits.value_depth:
                return f"it is nested more than {self.limits.value_depth} deep"
        return ""


class _Run:
    """One evaluation. ``values`` holds the value of each node that was reached, or ``_FAILED``."""

    def __init__(
        self,
        configuration: Configuration,
        types: Registry,
        variables: Mapping[str, VariableValue],
        given: Mapping[str, VariableInput],
        context: EvaluationContext,
        limits: Limits,
        cache: EvaluationCache | None = None,
    ) -> None:
        self.configuration = configuration
        self.types = types
        self.variables = variables
        self.given = given
        self.limits = limits
        self.cache = cache
        self.diagnostics = Diagnostics()
        self.values: dict[str, Any] = {}
        self.configs: dict[str, dict[str, Any]] = {}
        self.known: set[str] = set()
        self.outputs: dict[str, Output] = {}
        self.needed: dict[str, frozenset[str]] = {}
        self.evaluator = Evaluator(self._resolve, context, limits=limits)
        self._measure = _Measure(limits)
        self._referenced: set[str] = set()

    def run(self) -> None:
        """Evaluate every node."""
        nodes = self.configuration.declarations()
        for node in nodes.values():
            self._referenced.update(need.target for need in node.needs)
        steps: dict[type[Declaration], Callable[[Any], Any]] = {
            VariableDeclaration: self._variable,
            LocalDeclaration: self._local,
            ResourceDeclaration: self._resource,
            OutputDeclaration: self._output,
        }
        for name in self.configuration.order:
            node = nodes[name]
            self.needed[name] = self._resources_needed(node)
            try:
                value = _FAILED if node.broken else steps[type(node)](node)
                if self.cache is not None and type(node) is not ResourceDeclaration and value is not _FAILED:
                    value = self.cache.settled(name, value)
                self.values[name] = value
            except EvaluationError as error:
                error.report(self.diagnostics, name if isinstance(node, ResourceDeclaration) else "")
                self.values[name] = _FAILED
            except UpstreamFailed:
                self.values[name] = _FAILED

    def _resources_needed(self, node: Declaration) -> frozenset[str]:
        """Return the resources that *node* needs, directly or through locals."""
        if not node.needs:
            return _NONE
        direct: set[str] = set()
        through: set[frozenset[str]] = set()
        for need in node.needs:
            if need.target in self.configuration.resources:
                direct.add(need.target)
            elif inner := self.needed.get(need.target, _NONE):
                through.add(inner)
        if not direct and len(through) == 1:
            return through.pop()  # the very same set: a chain of locals shares it
        return frozenset(direct.union(*through))

    def _resolve(self, parts: tuple[str, ...]) -> tuple[Any, int]:
        root, name = parts[0], parts[1] if len(parts) > 1 else ""
        if root == "path":
            return PATHS[name], 2
        value = self.values.get(f"{root}.{name}", _ABSENT)
        if value is _ABSENT:  # by an alias of its type
            kind = self.types.get(root)
            value = self.values.get(f"{kind.name}.{name}", _FAILED) if kind is not None else _FAILED
        if value is _FAILED:
            raise UpstreamFailed(root)
        return value, 2

    def _bounded(self, value: Any, place: SourceRange, what: str) -> Any:
        problem = self._measure.fits(value)
        if problem:
            self.diagnostics.error("cw-limit", summary(f"{what} is too large"), place, note=problem)
            raise UpstreamFailed(what)
        return value

    # --- nodes ------------------------------------------------------------------------------------------------------

    def _variable(self, node: VariableDeclaration) -> Any:
        found = self.variables.get(node.name)
        if found is None:
            return _FAILED
        value = self._bounded(found.value, node.range, node.id)
        self.values[node.id] = value  # its validations refer to it
        scope = Scope(node.origin)
        for validation in node.validations:
            verdict, _, unknown = unmarked(self.evaluator.value(validation.condition.value, scope))
            if unknown:
                continue
            try:
                good = to_bool(verdict)
            except ConversionError as problem:
                raise EvaluationError(
                    "a condition is true or false", validation.condition.value, node.origin, note=str(problem)
                ) from None
            if not good:
                message = self._message(validation.error_message, scope)
                self._refuse(node, found, validation.condition, message)
                return _FAILED
        return value

    def _message(self, attribute: Attribute, scope: Scope) -> str:
        text = self.evaluator.value(attribute.value, scope)
        if isinstance(text, Sensitive):
            return "the message is sensitive and not shown"
        try:
            return to_text(text)
        except ConversionError:
            return "the condition does not hold"

    def _refuse(self, node: VariableDeclaration, found: VariableValue, condition: Attribute, message: str) -> None:
        first, _, rest = message.strip().partition("\n")
        given = self.given.get(node.name)
        place = (given.range if given is not None else None) or (
            node.origin.range(node.default.value) if given is None and node.default is not None else node.range
        )
        self.diagnostics.error(
            "cw-validation",
            summary(f"the value of var.{node.name} is refused"),
            place,
            note=first,
            detail=rest if given is None else "\n".join(filter(None, [rest, f"The value comes from {found.source}."])),
            trail=(("the condition", node.origin.range(condition)),),
        )

    def _local(self, node: LocalDeclaration) -> Any:
        assert node.attribute is not None
        value = self.evaluator.value(node.attribute.value, Scope(node.origin))
        return self._bounded(value, node.range, node.id)

    def _output(self, node: OutputDeclaration) -> Any:
        assert node.value is not None
        value = self.evaluator.value(node.value.value, Scope(node.origin))
        self._bounded(value, node.range, node.id)
        _, sensitive, _ = unmarked(value)
        if sensitive and not node.sensitive:
            self.diagnostics.error(
                "cw-sensitive-output",
                summary(f'output "{node.name}" holds a sensitive value'),
                node.origin.range(node.value.value),
                detail="Add sensitive = true to the output, or use nonsensitive(…) when it may be shown.",
            )
            return _FAILED
        value = plain(value)
        self.outputs[node.name] = Output(
            node.name, Sensitive(value) if node.sensitive else value, node.description, node.sensitive
        )
        return value

    def _resource(self, node: ResourceDeclaration) -> Any:
        if self.cache is None:
            return self._made(node)
        evaluator, referenced = self.evaluator, node.id in self._referenced
        needs = [self.values.get(need.target) for need in node.needs]
        kept = self.cache.get(node, needs, referenced=referenced)
        if kept is not None and evaluator.spend(kept.cost):
            self.configs[node.id] = kept.config
            if kept.known:
                self.known.add(node.id)
            return kept.value
        reported, before = len(self.diagnostics), evaluator.spent
        evaluator.asked = False
        value = self._made(node)
        if value is _FAILED:
            return value
        cost = (evaluator.spent[0] - before[0], evaluator.spent[1] - before[1])
        asked = evaluator.asked or len(self.diagnostics) != reported
        config, known = self.configs[node.id], node.id in self.known
        made = Kept(node.attributes, node.blocks, needs, referenced, config, value, cost, known, asked)
        made = self.cache.put(node.id, made)
        self.configs[node.id] = made.config
        return made.value

    def _made(self, node: ResourceDeclaration) -> Any:
        kind = self.types[node.type]
        checker = Checker(kind, f'{node.written} "{node.name}"', node.id, node.origin, self.diagnostics)
        values, lost = self._values(node.attributes, node.blocks, Scope(node.origin), node.id)
        places = Places(node.attributes, node.blocks, node.origin, node.range)
        config = checker.config(values, places, lost)
        if config is not None:
            config = self._with_facts(kind, config, node)
        if config is None or any(self.values.get(need.target) is _FAILED for need in node.needs):
            return _FAILED
        config = self.configs[node.id] = config_with_files(kind, config, node, self.evaluator)
        if not contains_unknown(config):
            self.known.add(node.id)
        if node.id not in self._referenced:
            return config
        exports = dict(kind.exports(config))
        self._fill_in(exports, kind, config, node)
        if node.needs or any(a.calls for a in node.attributes_read()):
            self._bounded(exports, node.range, node.id)
        return exact(exports)

    def _fill_in(
        self, exports: dict[str, Any], kind: ResourceType, config: Mapping[str, Any], node: ResourceDeclaration
    ) -> None:
        """Put what an apply found out into *exports*: it stays known while the resource is as it was recorded."""
        names = [name for name in kind.export_names() if isinstance(exports.get(name), Unknown)]
        known = self.evaluator.context.recorded(node.id, config) if names else {}
        for name in names:
            exports[name] = known[name] if name in known else Unknown(f"{node.id}.{name} is known only after apply")

    def _with_facts(
        self, kind: ResourceType, config: dict[str, Any], node: ResourceDeclaration
    ) -> dict[str, Any] | None:
        """Return *config* with what this machine decides; None, and a report, when it lacks what is needed."""
        settle: Callable[[Mapping[str, Any], Mapping[str, Any]], Mapping[str, Any]] | None
        settle = getattr(kind, "with_facts", None)
        if settle is None or (facts := self.evaluator.context.facts) is None:
            return config
        try:
            needs_engine: Callable[[Mapping[str, Any]], bool] | None = getattr(kind, "needs_engine", None)
            return dict(settle(config, facts(needs_engine is not None and needs_engine(config))))
        except InvalidInputError as error:
            self.diagnostics.error("cw-machine", summary(error.message), node.range, detail=error.hint, address=node.id)
            return None

    def _values(
        self, attributes: Sequence[Attribute], blocks: Sequence[Block], scope: Scope, address: str
    ) -> tuple[dict[str, Any], frozenset[str]]:
        """Return the values of a body by name, and the names of those that have none, which was reported.

        A nested block is an object, several of one kind are a list. Recursion follows the nesting of the text.
        """
        values: dict[str, Any] = {}
        lost: set[str] = set()
        for attribute in attributes:
            if type(attribute.value) is Literal:
                values[attribute.name] = attribute.value.value
            elif not self._attribute(attribute, scope, values, address):
                lost.add(attribute.name)
        groups: dict[str, list[Any]] = {}
        for block in blocks:
            made = self._block(block, scope, address)
            if made is None:
                lost.add(block.kind)
            else:
                groups.setdefault(block.kind, []).append(made)
        for name, group in groups.items():
            if name not in lost:
                values[name] = group[0] if len(group) == 1 else group
        return values, frozenset(lost) if lost else _NONE

    def _attribute(self, attribute: Attribute, scope: Scope, values: dict[str, Any], address: str) -> bool:
        """Put the value of *attribute* into *values*; return False, and report, when it has none."""
        try:
            found = self.evaluator.value(attribute.value, scope)
            if isinstance(found, (list, dict, Sensitive)) and (attribute.references or attribute.calls):
                self._bounded(found, scope.origin.range(attribute.value), attribute.name)
        except EvaluationError as error:
            error.report(self.diagnostics, address)
            return False
        except UpstreamFailed:
            return False
        values[attribute.name] = found
        return True

    def _block(self, block: Block, scope: Scope, address: str) -> dict[str, Any] | None:
        """Return the object that a nested block stands for, or None when part of it has no value."""
        for label in block.labels:
            self.diagnostics.error(
                "cw-block-labels",
                summary(f'the block "{block.kind}" has no labels here'),
                scope.origin.range(label),
                address=address,
            )
        attributes = [item for item in block.body.items if isinstance(item, Attribute)]
        nested = [item for item in block.body.items if isinstance(item, Block)]
        values, lost = self._values(attributes, nested, scope, address)
        return None if lost or block.labels else values

    # --- the result -------------------------------------------------------------------------------------------------

    def _dependencies(self, node: ResourceDeclaration, config: Mapping[str, Any]) -> tuple[str, ...]:
        needed = self.needed.get(node.id, _NONE)
        mentions: Callable[[Mapping[str, Any]], Sequence[str]] | None = getattr(self.types[node.type], "mentions", None)
        if mentions is not None:
            needed = needed.union(a for a in mentions(config) if a in self.configuration.resources)
        return tuple(sorted(needed)) if needed else ()

    def instances(self) -> dict[str, ResourceInstance]:
        """Return every resource that has a config, in text order."""
        out: dict[str, ResourceInstance] = {}
        for address, node in self.configuration.resources.items():
            config = self.configs.get(address)
            if config is None:
                continue
            ignored = tuple(sorted(config)) if node.ignore_changes == ("all",) else node.ignore_changes
            out[address] = ResourceInstance(
                address=address,
                type=node.type,
                name=node.name,
                config=config,
                declared_in=node.key,
                dependencies=self._dependencies(node, config),
                range=node.range,
                prevent_destroy=node.prevent_destroy,
                ignore_changes=ignored,
                create_before_destroy=node.create_before_destroy,
                triggers=tuple((t.need.target, t.attribute) for t in node.triggers) if node.triggers else (),
                known=address in self.known,
            )
        return out


_NONE: Final[frozenset[str]] = frozenset()


def evaluate(
    configuration: Configuration,
    *,
    types: Registry,
    inputs: Sequence[VariableInput],
    context: EvaluationContext,
    limits: Limits = LIMITS,
    cache: EvaluationCache | None = None,
) -> tuple[Desired, Diagnostics]:
    """Return what *configuration* asks for and every mistake found on the way.

    *inputs* are the values for variables, lowest first. What depends on a mistake is left out without a further word.
    The result is complete when there is no error. *cache* is what an earlier evaluation with the same *types* left; the
    result is the same without it.
    """
    diagnostics = Diagnostics()
    variables = resolve_variables(configuration, inputs, diagnostics)
    given = {i.name: i for i in inputs}
    run = _Run(configuration, types, variables, given, context, limits, cache)
    run.run()
    if cache is not None:
        cache.finish()
    diagnostics.extend(run.diagnostics)
    instances = run.instances()
    if run.evaluator.volatile and not diagnostics.has_errors:
        instances = _with_volatile(run, instances, context)
    return (
        Desired(
            resources=instances,
            outputs=tuple(run.outputs[n] for n in configuration.outputs if n in run.outputs),
            variables=tuple(
                replace(v, value=plain(v.value)) for n, v in variables.items() if n in configuration.variables
            ),
            loaded=frozenset(configuration.keys),
            digest=configuration.digest,
            ports=dict(sorted(run.evaluator.ports.items())),
            moves=configuration.moved_from(),
            imports={address: (item.id, item.range) for address, item in sorted(configuration.imports.items())},
            removals={address: item.destroy for address, item in sorted(configuration.removals.items())},
        ),
        diagnostics,
    )


def _with_volatile(
    run: _Run, instances: dict[str, ResourceInstance], context: EvaluationContext
) -> dict[str, ResourceInstance]:
    """Return *instances* with ``volatile`` filled in: what differs when the run happens at another time."""
    other = _Run(
        run.configuration,
        run.types,
        run.variables,
        run.given,
        structs.replace(context, now=_FIXED_TIME),
        run.limits,
    )
    other.run()
    out: dict[str, ResourceInstance] = {}
    for address, instance in instances.items():
        fixed = other.configs.get(address)
        if fixed is not None and fixed != instance.config:
            volatile = {k: v for k, v in fixed.items() if v != instance.config.get(k)}
            instance = replace(instance, volatile=volatile)
        out[address] = instance
    return out
