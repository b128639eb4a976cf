"""The job spec: what a job is asked to do, read strictly from YAML or JSON.

The fields are Wrkr's job spec v1 and a few of ours (``argv``, ``timeout_s``, ``idempotent``, ``retries``, ``env``, ``needs``,
``quorum`` of a step). What is written and not known is an error with its place; nothing is dropped silently. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct, field

from clockwork_nb.canonical import canonical_json
from clockwork_nb.diagnostics import Diagnostic, Severity, SourceText
from clockwork_nb.errors import InvalidInputError
from clockwork_nb.intake.graph import cycles
from clockwork_nb.intake.names import did_you_mean, shown
from clockwork_nb.jobs.events import MAX_QUORUM
from clockwork_nb.jobs.fingerprint import rule_problem
from clockwork_nb.jobs.located import Findings, Node, read_document
from clockwork_nb.jobs.spec_fields import Anything, Flag, Items, Number, Object, Pairs, Words, Written
from clockwork_nb.patterns import pattern

__all__ = [
    "ADAPTERS",
    "CHECKPOINT_TYPES",
    "CODES",
    "MAX_STEPS",
    "CheckpointPolicy",
    "JobSpec",
    "StepSpec",
    "read_spec",
    "spec_schema",
]

ADAPTERS: Final = ("steps", "command", "noop", "pipeline", "notebook")
"""What can run a job; ``reference`` is Wrkr's word for ``steps``."""
CHECKPOINT_TYPES: Final = ("plan", "progress", "decision-needed", "blocked", "completed")
MAX_STEPS: Final = 10_000
CODES: Final[Mapping[str, str]] = {
    "spec-conflict": "two fields that exclude each other",
    "spec-cycle": "steps that need one another in a circle",
    "spec-duplicate": "a key or a step id that stands twice",
    "spec-ignored": "something Wrkr takes and this tool does nothing with",
    "spec-invalid-value": "a value of the right type that cannot be taken",
    "spec-limit": "larger, deeper or more than is taken",
    "spec-missing": "a key that must be there is not",
    "spec-recorded": "a value that looks secret and would stand in the job's log",
    "spec-syntax": "the text cannot be read",
    "spec-unknown-key": "a key that does not exist",
    "spec-unknown-step": "a step that is needed and not there",
    "spec-wrong-type": "a value of another type than is needed",
}
"""Code of a finding → what it stands for. No code ever changes meaning."""


class StepSpec(Struct, frozen=True):
    """One step.

    ``command`` is text for ``sh``, ``argv`` a program and its arguments; at most one of them is there, and with neither
    the step does nothing but what else it says (ask, publish). ``executed`` False leaves the work out. ``decision_needed``
    asks before the step runs; ``required_action`` says for what, ``quorum`` how many different persons must say yes. ``artifacts`` are relative paths the step publishes,
    sorted. ``timeout_s`` in seconds, 0 for the usual limit. ``retries`` after a failure, 0 for none. ``needs`` are ids.
    """

    id: str
    summary: str
    command: str = ""
    argv: tuple[str, ...] = ()
    executed: bool = True
    decision_needed: bool = False
    required_action: str = ""
    artifacts: tuple[str, ...] = ()
    timeout_s: int = 0
    idempotent: bool = False
    retries: int = 0
    env: Mapping[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    quorum: int = 1


class CheckpointPolicy(Struct, frozen=True):
    """How often progress is told (at most once in so many seconds, 0: after each step), and the types that must occur."""

    min_interval_s: int = 0
    required_types: tuple[str, ...] = ()


class JobSpec(Struct, frozen=True):
    """What a job is asked to do.

    ``workspace`` is a folder relative to where the job is submitted. ``budgets`` has the keys of
    `clockwork_nb.jobs.budget.SPEC_KEYS`. ``acceptance`` is the path of the acceptance configuration, empty for none.
    ``environment_rules`` are empty for the usual ones. ``warnings`` are what the reader found worth saying.
    """

    name: str
    objective: str = ""
    adapter: str = "steps"
    config: Mapping[str, Any] = field(default_factory=dict)
    steps: tuple[StepSpec, ...] = ()
    workspace: str = "."
    references: tuple[Any, ...] = ()
    expected_artifacts: tuple[str, ...] = ()
    budgets: Mapping[str, int | float] = field(default_factory=dict)
    checkpoints: CheckpointPolicy = CheckpointPolicy()
    acceptance: str = ""
    environment_rules: tuple[str, ...] = ()
    created_at: str = ""
    producer_version: str = ""
    warnings: tuple[Diagnostic, ...] = ()

    def to_document(self) -> dict[str, Any]:
        """Return the JSON form, what is usual left out; `from_document` reads it back, equal but for its warnings."""
        inputs: dict[str, Any] = {"workspace": self.workspace}
        if self.steps:
            before = ("", *(step.id for step in self.steps))
            inputs["steps"] = [_step_document(s, previous) for s, previous in zip(self.steps, before, strict=False)]
        if self.references:
            inputs["references"] = list(self.references)
        adapter: dict[str, Any] = {"name": self.adapter}
        if self.config:
            adapter["config"] = dict(self.config)
        policy: dict[str, Any] = {"required_types": list(self.checkpoints.required_types)}
        if self.checkpoints.min_interval_s:
            policy["min_interval_seconds"] = self.checkpoints.min_interval_s
        out: dict[str, Any] = {
            "schema_id": "clockwork.jobspec",
            "schema_version": "v1",
            "name": self.name,
            "objective": self.objective,
            "inputs": inputs,
            "expected_artifacts": list(self.expected_artifacts),
            "adapter": adapter,
            "budgets": dict(self.budgets),
            "checkpoint_policy": policy,
        }
        if self.acceptance:
            out["acceptance"] = {"config_path": self.acceptance}
        if self.environment_rules:
            out["environment_fingerprint"] = {"rules": list(self.environment_rules)}
        for name in ("created_at", "producer_version"):
            if getattr(self, name):
                out[name] = getattr(self, name)
        return out

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> JobSpec:
        """Return the spec that `to_document` wrote, checked as strictly as an author's text.

        Raises:
            InvalidInputError: E_INVALID_INPUT_SCHEMA.
        """
        return read_spec(canonical_json(dict(document)), name="the recorded job spec")


def _step_document(step: StepSpec, previous: str) -> dict[str, Any]:
    out: dict[str, Any] = {"id": step.id}
    usual = StepSpec(step.id, step.id, needs=(previous,) if previous else ())
    for name in ("summary", "command", "executed", "decision_needed", "required_action", "timeout_s", "idempotent", "retries", "quorum"):  # fmt: skip
        if getattr(step, name) != getattr(usual, name):
            out[name] = getattr(step, name)
    for name in ("argv", "artifacts", "needs"):
        if getattr(step, name) != getattr(usual, name):
            out[name] = list(getattr(step, name))
    if step.env:
        out["env"] = dict(step.env)
    return out


def read_spec(data: bytes, *, name: str) -> JobSpec:
    """Return the spec in *data*; *name* is what people see in findings, and its suffix (or a leading ``{``) decides the form.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA; ``diagnostics`` has every finding with its place (`CODES`).
    """
    try:
        text = data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{name} is not UTF-8 at byte {error.start}") from None
    findings = Findings(SourceText(name, text))
    as_json = name.endswith(".json") or (not name.endswith((".yaml", ".yml")) and text.lstrip().startswith("{"))
    root = read_document(findings, as_json=as_json)
    if root is not None:
        _SPEC.check(root, "", findings)
        if type(root.value) is dict:
            _check_whole(root, findings)
    found = tuple(findings.found.sorted())
    errors = sum(d.severity is Severity.ERROR for d in found)
    if errors or root is None:
        raise InvalidInputError(
            f"{name} is not a job spec: {errors} {'error' if errors == 1 else 'errors'}",
            hint="A spec to begin with: clockwork job init",
            diagnostics=found,
        )
    return _spec(root.value, found)


# --- the table ---------------------------------------------------------------------------------------------------


def _path_problem(text: str) -> str:
    if text.startswith(("/", "~")):
        return "a path here is relative to the workspace"
    if "" in text.removeprefix("./").split("/"):
        return "write the path without empty parts"
    if ".." in text.split("/"):
        return "a path here may not leave the workspace"
    return "" if text.isprintable() else "it holds characters that cannot be seen"


def _rule_problem(text: str) -> str:
    return "" if text.strip() == _WRKR_RULE else rule_problem(text.strip())


_WRKR_RULE: Final = "go_version"
_PATH: Final = Written(900, empty=False, rule=_path_problem)
_ID: Final = Written(
    64,
    empty=False,
    regex="[A-Za-z0-9_][A-Za-z0-9._-]*",
    says="letters, digits and . _ - (not first)",
)
_STEP: Final = Object(
    {
        "id": _ID,
        "summary": Written(),
        "command": Written(65_536),
        "argv": Items(Written(131_072), 4096, 1),
        "executed": Flag(),
        "decision_needed": Flag(),
        "required_action": Written(128),
        "artifacts": Items(_PATH, 256),
        "timeout_s": Number(1, 604_800),
        "idempotent": Flag(),
        "retries": Number(0, 100),
        "env": Pairs(64, Written(4096)),
        "needs": Items(_ID, 256),
        "quorum": Number(1, MAX_QUORUM),
    },
    ignored={"checkpoint": "checkpoints are told by the job itself"},
)
_SPEC: Final = Object(
    {
        "schema_id": Words("clockwork.jobspec", "wrkr.jobspec"),
        "schema_version": Written(16, empty=False, regex="v1(?:\\.[0-9]{1,6})?", says="this version reads v1"),
        "created_at": Written(
            40,
            regex="[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\\.[0-9]{1,9})?(?:[Zz]|[+-][0-9]{2}:[0-9]{2})",
            says="a time like 2026-11-22T01:02:03Z",
        ),
        "producer_version": Written(64, empty=False),
        "name": Written(512, empty=False),
        "objective": Written(),
        "inputs": Object({"steps": Items(_STEP, MAX_STEPS), "workspace": _PATH, "references": Anything("list")}),
        "expected_artifacts": Items(_PATH, 1024),
        "adapter": Object({"name": Words(*ADAPTERS, "reference", fold=True), "config": Anything("object")}, required=("name",)),
        "budgets": Object(
            {
                "max_wall_time_seconds": Number(1),
                "max_retries": Number(),
                "max_step_count": Number(1),
                "max_tool_calls": Number(1),
                "max_tokens": Number(1),
                "max_estimated_cost": Number(fraction=True),
            }
        ),
        "checkpoint_policy": Object(
            {"min_interval_seconds": Number(1, 86_400), "required_types": Items(Words(*CHECKPOINT_TYPES), 16)}
        ),
        "acceptance": Object({"config_path": _PATH}, required=("config_path",)),
        "environment_fingerprint": Object({"rules": Items(Written(1024, empty=False, rule=_rule_problem), 64)}),
    },
    required=("name",),
)  # fmt: skip


def spec_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of the spec, made from the table the reader checks with."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:clockwork:schema:jobspec:v1",
        "title": "What a job is asked to do",
        **_SPEC.schema(),
    }


# --- what no single field can tell ---------------------------------------------------------------------------------


def _check_whole(root: Node, findings: Findings) -> None:
    adapter = _adapter(root.value)
    inputs = _entry(root, "inputs")
    steps = _entry(inputs, "steps") if inputs is not None else None
    if steps is not None and steps.items:
        _check_steps(steps, findings)
        if adapter in {"noop", "pipeline", "notebook"}:
            findings.error(
                "spec-conflict",
                f'the adapter "{adapter}" has no steps',
                steps.start,
                steps.start,
                note="use adapter steps, or remove them",
            )
    elif adapter == "steps":
        findings.error("spec-missing", "there are no steps", *_span(steps or inputs or root), note="add inputs.steps")
    config = _entry(_entry(root, "adapter"), "config")
    if adapter in {"steps", "noop"} and config is not None and config.value:
        findings.warning("spec-ignored", f"{adapter} reads no config", *_span(config), note="it is recorded only")
    acceptance = _entry(root, "acceptance")
    if acceptance is not None:
        findings.warning(
            "spec-ignored", "the job does not run its acceptance", *_span(acceptance), note="clockwork accept run JOB"
        )
    rules = _entry(_entry(root, "environment_fingerprint"), "rules")
    for rule in rules.items if rules is not None else ():
        if type(rule.value) is str and rule.value.strip() == _WRKR_RULE:
            findings.warning("spec-ignored", f"{_WRKR_RULE} is about Wrkr itself", *_span(rule), note="say python here")


def _adapter(value: Mapping[str, Any]) -> str:
    adapter = value.get("adapter", {})
    found = adapter.get("name", "steps") if isinstance(adapter, dict) else ""
    name = found.strip().lower() if isinstance(found, str) else ""
    return "steps" if name == "reference" else name


def _entry(node: Node | None, name: str) -> Node | None:
    found = node.entries.get(name) if node is not None else None
    return found[2] if found is not None else None


def _span(node: Node) -> tuple[int, int]:
    return node.start, node.start if node.items or node.entries else node.end


def _check_steps(steps: Node, findings: Findings) -> None:
    ids: dict[str, Node] = {}
    doubled = False
    for number, step in enumerate(steps.items, 1):
        if type(step.value) is not dict:
            continue
        identity = step.value.get("id", f"step_{number}")
        if type(identity) is str:
            if identity in ids:
                doubled = True
                place = _entry(step, "id") or step
                first = ids[identity]
                findings.error(
                    "spec-duplicate",
                    f"two steps are called {shown(identity)}",
                    *_span(place),
                    note="an id is used once",
                    trail=(("the other one", findings.range(*_span(first))),),
                )
            ids.setdefault(identity, _entry(step, "id") or step)
        _check_step(step, findings)
    if not doubled:  # otherwise it is not known who is needed
        _check_needs(steps, ids, findings)


def _check_step(step: Node, findings: Findings) -> None:
    value = step.value
    argv = _entry(step, "argv")
    if argv is not None and value.get("command"):
        findings.error("spec-conflict", "a step has a command or an argv, not both", *_span(argv), note="remove one")
    elif argv is not None and argv.items and argv.items[0].value == "":
        findings.error("spec-invalid-value", "argv names no program", *_span(argv.items[0]))
    for name in ("required_action", "quorum"):
        said = _entry(step, name)
        if said is not None and said.value and value.get("decision_needed") is not True:
            findings.error(
                "spec-conflict",
                f"{name} without decision_needed",
                *_span(said),
                note="add decision_needed: true",
                detail="Without it nobody would be asked.",
            )
    env = _entry(step, "env")
    for name, (start, end, text) in env.entries.items() if env is not None else ():
        if _SECRET.search(name) and text.value:
            findings.warning(
                "spec-recorded",
                f"the value of {shown(name)} is recorded",
                start,
                end,
                note="let the command read it from a file",
                detail="The spec stands in the job's log and in its pack, in clear.",
            )


_SECRET: Final = pattern(r"secret|token|passw|credential|private_?key|api_?key|access_?key", re.IGNORECASE)


def _check_needs(steps: Node, ids: Mapping[str, Node], findings: Findings) -> None:
    needs: dict[str, list[str]] = {}
    before = ""
    for number, step in enumerate(steps.items, 1):
        if type(step.value) is not dict:
            continue
        identity = str(step.value.get("id", f"step_{number}"))
        wanted = _entry(step, "needs")
        if wanted is None:
            needs[identity] = [before] if before else []
        else:
            needs[identity] = []
            for item in wanted.items:
                if type(item.value) is not str:
                    continue
                if item.value in ids:
                    needs[identity].append(item.value)
                else:
                    near = did_you_mean(item.value, ids)
                    findings.error(
                        "spec-unknown-step", f"there is no step {shown(item.value)}", *_span(item), note=near
                    )
        before = identity
    for circle in cycles(list(needs), needs):
        trail = tuple(
            (f"{a} needs {b}", findings.range(*_span(ids[a])))
            for a, b in zip(circle, [*circle[1:], circle[0]], strict=True)
        )
        findings.error(
            "spec-cycle",
            "steps need one another in a circle",
            *_span(ids[circle[0]]),
            trail=trail,
            detail="A step without needs needs the one before it; needs: [] makes it free.",
        )


# --- from checked values to the spec -----------------------------------------------------------------------------


def _spec(value: Mapping[str, Any], found: tuple[Diagnostic, ...]) -> JobSpec:
    inputs, policy = value.get("inputs", {}), value.get("checkpoint_policy", {})
    adapter = _adapter(value)
    rules = {rule.strip() for rule in value.get("environment_fingerprint", {}).get("rules", ())} - {_WRKR_RULE}
    return JobSpec(
        name=value["name"],
        objective=value.get("objective", ""),
        adapter=adapter,
        config=value.get("adapter", {}).get("config", {}),
        steps=_steps(inputs.get("steps", [])),
        workspace=inputs.get("workspace", "."),
        references=tuple(inputs.get("references", ())),
        expected_artifacts=_sorted(value.get("expected_artifacts", ())),
        budgets=dict(value.get("budgets", {})),
        checkpoints=CheckpointPolicy(
            policy.get("min_interval_seconds", 0),
            tuple(name for name in CHECKPOINT_TYPES if name in policy.get("required_types", ())),
        ),
        acceptance=value.get("acceptance", {}).get("config_path", ""),
        environment_rules=tuple(sorted(rules)),
        created_at=value.get("created_at", ""),
        producer_version=value.get("producer_version", ""),
        warnings=found,
    )


def _steps(items: list[dict[str, Any]]) -> tuple[StepSpec, ...]:
    out: list[StepSpec] = []
    for number, item in enumerate(items, 1):
        identity = item.get("id", f"step_{number}")
        asked = item.get("decision_needed", False)
        before = [out[-1].id] if out else []
        out.append(
            StepSpec(
                id=identity,
                summary=item.get("summary", "").strip() or identity,
                command=item.get("command", ""),
                argv=tuple(item.get("argv", ())),
                executed=item.get("executed", True),
                decision_needed=asked,
                required_action=item.get("required_action", "").strip() or ("approval" if asked else ""),
                artifacts=_sorted(item.get("artifacts", ())),
                timeout_s=item.get("timeout_s", 0),
                idempotent=item.get("idempotent", False),
                retries=item.get("retries", 0),
                env=dict(item.get("env", {})),
                needs=tuple(dict.fromkeys(item.get("needs", before))),
                quorum=item.get("quorum", 1),
            )
        )
    return tuple(out)


def _sorted(paths: Any) -> tuple[str, ...]:
    return tuple(sorted({re.sub(r"^(?:\./+)+", "", path.strip()) for path in paths}))
