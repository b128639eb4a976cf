"""The gate every bundle passes before anybody is asked to approve it. Finds everything wrong at once; runs nothing.

A bundle is treated as if an attacker had written it, whoever compiled it (execution.md, "Validate").
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from clockwork_nb.canonical import parse_json
from clockwork_nb.errors import BundleSchemaError, InvalidInputError
from clockwork_nb.forge.bundle import Bundle, BundleStep
from clockwork_nb.forge.bundle_limits import AGENT_LIMITS, TEMPLATE_LIMITS, BundleLimits, Source
from clockwork_nb.forge.findings import LIMIT, MAPPING, PATH, RUNTIME, SCHEMA, Finding, refuse
from clockwork_nb.forge.paths import collisions, path_problem
from clockwork_nb.forge.runtimes import (
    BUILT_IN,
    LANGUAGES,
    RUNTIMES,
    argv_problems,
    script_index,
    shebang_runtime,
)
from clockwork_nb.forge.service_spec import check_spec
from clockwork_nb.forge.syntax import SyntaxChecker, shared_checker
from clockwork_nb.ids import slug
from clockwork_nb.patterns import pattern
from clockwork_nb.ports import Action, Artifact
from clockwork_nb.secrets import Redactor, unseal

__all__ = [
    "AGENT_LIMITS",
    "TEMPLATE_LIMITS",
    "BundleLimits",
    "Finding",
    "Source",
    "action_key",
    "check_bundle",
    "validate_bundle",
]

_NAME = pattern(r"[A-Za-z_][A-Za-z0-9_]{0,127}\Z")
# Variables that change what the interpreter loads or runs before, or instead of, the approved script.
_STEERING = pattern(
    r"(?:LD_|DYLD_|PYTHON|BASH_FUNC_|MALLOC_)"
    r"|(?:BASH_ENV|ENV|PATH|IFS|SHELLOPTS|BASHOPTS|PS4|PROMPT_COMMAND|GLOBIGNORE|CDPATH|GCONV_PATH|LOCPATH|NLSPATH"
    r"|HOSTALIASES|GLIBC_TUNABLES|CW_FENCING_TOKEN|CW_IDEMPOTENCY_KEY|CW_METER)\Z"
)
_STEERING_ALSO = {"deno": pattern(r"(?:DENO_|NODE_|NPM_)"), "go": pattern(r"(?:GO|CGO_|CC\Z|CXX\Z)")}


def check_bundle(
    bundle: Bundle,
    actions: Sequence[Action | Mapping[str, Any]],
    *,
    limits: BundleLimits | None = None,
    source: Source = "template",
) -> None:
    """Return when the bundle may be shown for approval.

    Raises:
        BundleError: the subclass of the most severe finding (E_BUNDLE_PATH, _RUNTIME, SCHEMA, _MAPPING, _LIMIT, in
            that order); all findings are in ``details["findings"]``.
    """
    refuse(validate_bundle(bundle, actions, limits=limits, source=source))


def validate_bundle(
    bundle: Bundle,
    actions: Sequence[Action | Mapping[str, Any]],
    *,
    limits: BundleLimits | None = None,
    source: Source = "template",
    checker: SyntaxChecker | None = None,
) -> list[Finding]:
    """Return everything wrong with *bundle* as the way to carry out *actions*; empty when it may be shown for approval.

    Args:
        actions: the plan's steps, as `Action` or in their document form, in order.
        limits: sizes; by default those of *source*.
        source: who made the bundle. Of an ``agent`` less is accepted: no host steps, nothing outside the project.
        checker: who looks at the syntax; by default one that remembers texts for the life of the process.
    """
    limits = limits or (AGENT_LIMITS if source == "agent" else TEMPLATE_LIMITS)
    findings = list(_limit_findings(bundle, limits))
    if any(f.place == "bundle" for f in findings):
        return findings  # more work on something that large would be the attack
    by_path = {a.path: a for a in bundle.artifacts}
    findings += _path_findings(bundle.artifacts)
    findings += _mapping_findings(bundle.steps, actions)
    for step in bundle.steps:
        findings += _argv_findings(step, by_path)
        findings += _environment_findings(step, bundle, by_path, limits)
        findings += _confinement_findings(step, limits, source)
    findings += _use_findings(bundle)
    findings += _secret_findings(bundle)
    findings += _content_findings(bundle.artifacts, checker or shared_checker())
    return findings


def _limit_findings(bundle: Bundle, limits: BundleLimits) -> Iterator[Finding]:
    total = sum(len(a.content) for a in bundle.artifacts)
    for what, have, most in (
        ("artifacts", len(bundle.artifacts), limits.files),
        ("steps", len(bundle.steps), limits.steps),
        ("bytes", total, limits.total_bytes),
    ):
        if have > most:
            yield Finding(LIMIT, "bundle", f"{have} {what}, {most} are allowed", "Split the configuration.")
    for a in bundle.artifacts:
        if len(a.content) > limits.file_bytes:
            yield Finding(LIMIT, f"artifact {a.path}", f"{len(a.content)} bytes, {limits.file_bytes} are allowed")
        if len(a.purpose.encode("utf-8", "surrogatepass")) > limits.purpose_bytes:
            yield Finding(LIMIT, f"artifact {a.path}", f"a purpose has at most {limits.purpose_bytes} bytes")
    for s in bundle.steps:
        words = [len(w.encode("utf-8", "surrogatepass")) for w in s.cmd]
        if sum(words) > limits.words_bytes or max(words, default=0) > limits.word_bytes:
            yield Finding(LIMIT, f"step {s.id}", "its command line is too long", "Pass large input as a data artifact.")


def _path_findings(artifacts: Sequence[Artifact]) -> Iterator[Finding]:
    possible = []
    for a in artifacts:
        if problem := path_problem(a.path):
            yield Finding(PATH, f"artifact {a.path[:300]!r}", problem, "Use a plain name below scripts/.")
        else:
            possible.append(a.path)
        if a.mode not in {"0644", "0755"}:
            yield Finding(SCHEMA, f"artifact {a.path}", f"the mode {a.mode!r} is neither 0644 nor 0755")
        if a.lang not in LANGUAGES:
            yield Finding(SCHEMA, f"artifact {a.path}", f"the lang {a.lang[:60]!r} is unknown", _languages_hint())
        if a.secret and (a.content or a.lang != "data"):
            yield Finding(SCHEMA, f"artifact {a.path}", "a secret artifact is data and has no content of its own")
    for path, other, why in collisions(possible):
        also = "" if path == other else f" (see {other})"
        yield Finding(PATH, f"artifact {path[:300]}", f"the path {why}{also}", "Give each artifact its own path.")


def _languages_hint() -> str:
    return f"Known: {', '.join(sorted(LANGUAGES))}"


def _mapping_findings(steps: Sequence[BundleStep], actions: Sequence[Action | Mapping[str, Any]]) -> Iterator[Finding]:
    wanted = [action_key(a) for a in actions]
    names = {i: (name, address) for i, name, address in wanted}
    have = Counter(s.id for s in steps)
    for twice in sorted(i for i, n in have.items() if n > 1):
        yield Finding(MAPPING, f"step {twice}", "it is there more than once")
    for s in steps:
        if s.id not in names:
            yield Finding(MAPPING, f"step {s.id}", "no action of the plan has this id", "Remove the step.")
            continue
        name, address = names[s.id]
        if s.purpose != name:
            yield Finding(MAPPING, f"step {s.id}", f"its purpose is {s.purpose[:80]!r}, the action is {name!r}")
        if s.address != address:
            yield Finding(MAPPING, f"step {s.id}", f"its address is {s.address[:80]!r}, the action's is {address!r}")
    for i, _, _ in wanted:
        if i not in have:
            yield Finding(MAPPING, f"step {i}", "the plan has this action and the bundle has no step for it")
    order = [i for i, _, _ in wanted if i in have]
    got = [s.id for s in steps if s.id in names]
    if len(order) == len(got) and order != got:
        first = next(g for o, g in zip(order, got, strict=True) if o != g)
        yield Finding(MAPPING, f"step {first}", "the steps are not in the plan's order")


def action_key(action: Action | Mapping[str, Any]) -> tuple[str, str, str]:
    """Return id, name and address of *action*; a step of a bare ActionList (contracts.md) has its name for an id."""
    if isinstance(action, Action):
        return action.id, action.name, action.address
    return action.get("id", action["name"]), action["name"], action.get("address", "")


def _argv_findings(step: BundleStep, by_path: Mapping[str, Artifact]) -> Iterator[Finding]:
    place = f"step {step.id}"
    for message, hint in argv_problems(step.cmd):
        yield Finding(RUNTIME, place, message, hint)
    built_in = bool(step.cmd) and step.cmd[0] == BUILT_IN
    if built_in != (step.cls == "built-in"):
        yield Finding(RUNTIME, place, f"the class {step.cls} does not fit {step.cmd[0] if step.cmd else 'no command'}")
    at = script_index(step.cmd)
    if at < 0:
        return
    script = by_path.get(step.cmd[at])
    if script is None:
        yield Finding(RUNTIME, place, f"{step.cmd[at][:80]!r} is not an artifact of the bundle", "Declare the script.")
        return
    if built_in:
        if script.lang != "json" or script.secret:
            yield Finding(RUNTIME, place, f"the spec {script.path} is not an artifact with lang json")
        else:
            yield from _spec_findings(step, script)
        return
    if step.cmd.count(script.path) > 1:
        yield Finding(RUNTIME, place, f"{script.path} stands in the command more than once")
    runtime = RUNTIMES[step.cmd[0]]
    if runtime.name == "go" and any(word.endswith(".go") for word in step.cmd[at + 1 :]):
        yield Finding(RUNTIME, place, "go would compile another file too", "Give it one script, and other arguments.")
    if script.lang not in runtime.languages:
        yield Finding(RUNTIME, place, f"{runtime.name} does not run {script.path}, whose lang is {script.lang[:60]}")
    named = shebang_runtime(script.content)
    if named is not None and named != runtime.name:
        yield Finding(RUNTIME, place, f"the first line of {script.path} names another interpreter than {runtime.name}")
    if not step.interpreter.startswith("/") or step.interpreter.rsplit("/", 1)[-1] != runtime.name:
        yield Finding(RUNTIME, place, f"{step.interpreter!r} is not the resolved path of {runtime.name}")
    elif not re.fullmatch(r"[0-9a-f]{64}", step.interpreter_sha256):
        yield Finding(RUNTIME, place, f"the digest of {step.interpreter} is missing")


def _spec_findings(step: BundleStep, artifact: Artifact) -> Iterator[Finding]:
    try:
        spec = parse_json(artifact.content, what=artifact.path)
    except InvalidInputError:
        return  # the syntax check says so
    if not isinstance(spec, dict):
        return
    place = f"artifact {artifact.path}"
    verb = step.cmd[1]
    if (spec.get("service"), spec.get("address")) != (slug(step.address), step.address):
        yield Finding(MAPPING, place, f"its service and address are not those of {step.address}")
    if verb == "remove":
        return
    try:
        check_spec(spec)
    except BundleSchemaError as error:
        for message in error.details["findings"]:
            yield Finding(SCHEMA, place, str(message), error.hint)
        return
    if (spec["state"] == "stopped") != (verb == "stop"):
        yield Finding(SCHEMA, place, f"its state is {spec['state']}, the step is {verb}")
    if unknown := sorted(set(spec["secret_env"].values()) - set(step.secret_vars.values())):
        yield Finding(SCHEMA, place, f"it wants the secret {unknown[0][:80]!r}, which the step does not have")


def _environment_findings(
    step: BundleStep, bundle: Bundle, by_path: Mapping[str, Artifact], limits: BundleLimits
) -> Iterator[Finding]:
    place = f"step {step.id}"
    names = [*step.vars, *step.secret_vars, *step.data]
    also = _STEERING_ALSO.get(step.cmd[0]) if step.cmd else None
    for name, times in Counter(names).items():
        if not _NAME.match(name):
            yield Finding(SCHEMA, place, f"{name[:80]!r} is not a variable's name")
        elif _STEERING.match(name) or (also is not None and also.match(name)):
            yield Finding(RUNTIME, place, f"the variable {name} would change how the script is run", "Rename it.")
        if times > 1:
            yield Finding(SCHEMA, place, f"the variable {name} has two values")
    if any("\0" in v for v in step.vars.values()):
        yield Finding(SCHEMA, place, "a variable holds a NUL character")
    size = sum(len(k) + len(v.encode("utf-8", "surrogatepass")) + 2 for k, v in step.vars.items())
    if size > limits.vars_bytes:
        hint = "Pass large values as a data artifact."
        yield Finding(LIMIT, place, f"its variables have {size} bytes, {limits.vars_bytes} are allowed", hint)
    if len(step.secret_vars) + len(step.data) > limits.inputs:
        yield Finding(LIMIT, place, f"more than {limits.inputs} data artifacts and secrets")
    for name, secret in step.secret_vars.items():
        if secret not in bundle.secrets:
            yield Finding(SCHEMA, place, f"the variable {name} wants a secret {secret[:80]!r} that nobody has")
    for name, path in step.data.items():
        data = by_path.get(path)
        if data is None:
            yield Finding(SCHEMA, place, f"the variable {name} wants the artifact {path[:80]!r}, which is not declared")
        elif data.lang != "data":
            yield Finding(SCHEMA, place, f"the variable {name} wants {path}, which is not a data artifact")


def _confinement_findings(step: BundleStep, limits: BundleLimits, source: Source) -> Iterator[Finding]:
    place = f"step {step.id}"
    if step.cls not in {"confined", "host", "built-in"}:
        yield Finding(SCHEMA, place, f"the class {step.cls!r} is unknown")
    if step.inherits_environment and step.cls != "host":
        yield Finding(SCHEMA, place, "only a host step may inherit the environment", "Name what it needs as variables.")
    if step.detaches and step.cls != "host":
        yield Finding(
            SCHEMA, place, "only a host step may leave something running", "Declare what is to go on as a service."
        )
    for path in (*step.write, step.cwd):
        if not path or any(ord(c) < 32 or ord(c) == 127 for c in path):
            yield Finding(PATH, place, f"{path[:80]!r} is not a path")
        elif source == "agent":
            yield from _foreign_path_findings(path, place)
    if len(step.write) > limits.write_roots:
        yield Finding(LIMIT, place, f"more than {limits.write_roots} paths to write to")
    ports = step.network if isinstance(step.network, tuple) else ()
    if any(isinstance(p, bool) or not 1 <= p <= 65535 for p in ports):
        yield Finding(SCHEMA, place, "a port is not between 1 and 65535")
    if source == "agent" and step.cls != "confined":
        yield Finding(RUNTIME, place, f"a generated step may not be {step.cls}", "Only confined steps are accepted.")


def _foreign_path_findings(path: str, place: str) -> Iterator[Finding]:
    parts = path.split("/")
    if path.startswith(("/", "~")) or ".." in parts:
        yield Finding(PATH, place, f"{path[:80]!r} is outside the project", "Name a path below the project.")
    elif any(part.casefold() == ".clockwork" for part in parts):
        yield Finding(PATH, place, f"{path[:80]!r} is ours", "Steps write to the project, never to .clockwork.")


def _use_findings(bundle: Bundle) -> Iterator[Finding]:
    used = {path for s in bundle.steps for path in s.data.values()}
    used |= {s.cmd[i] for s in bundle.steps if (i := script_index(s.cmd)) >= 0}
    for a in bundle.artifacts:
        if a.path not in used:
            yield Finding(SCHEMA, f"artifact {a.path}", "no step uses it", "Remove it, or name it in a step.")
    for a in bundle.artifacts:
        if a.secret and a.secret not in bundle.secrets:
            yield Finding(SCHEMA, f"artifact {a.path}", f"it wants a secret {a.secret[:80]!r} that nobody has")


def _secret_findings(bundle: Bundle) -> Iterator[Finding]:
    redactor = Redactor()
    stack = [unseal(v) for v in bundle.secrets.values()]
    while stack:
        value = stack.pop()
        if isinstance(value, str):
            redactor.register(value)
        elif isinstance(value, bytes):
            redactor.register(value.decode("utf-8", "replace"))
        elif isinstance(value, dict):
            stack.extend(value.values())
        elif isinstance(value, (list, tuple)):
            stack.extend(value)
    if not redactor.active:
        return
    hint = "Pass it as a secret variable or a secret data artifact."
    for a in bundle.artifacts:
        for text in (a.content, a.path.encode("utf-8", "replace"), a.purpose.encode("utf-8", "replace")):
            if redactor.redact_bytes(text) != text:
                yield Finding(SCHEMA, f"artifact {a.path}", "it holds a sensitive value", hint)
                break
    for s in bundle.steps:
        words = "\0".join((*s.cmd, *s.vars.values(), *s.write, s.cwd)).encode("utf-8", "replace")
        if redactor.redact_bytes(words) != words:
            yield Finding(SCHEMA, f"step {s.id}", "its command or a variable holds a sensitive value", hint)


def _content_findings(artifacts: Sequence[Artifact], checker: SyntaxChecker) -> Iterator[Finding]:
    for a in artifacts:
        if a.lang == "data" or a.secret or a.lang not in LANGUAGES:
            continue
        if not a.content.strip():
            yield Finding(SCHEMA, f"artifact {a.path}", "it is empty")
        elif problem := checker.problem(a.lang, a.content):
            yield Finding(SCHEMA, f"artifact {a.path}", problem, "Correct the text.")
