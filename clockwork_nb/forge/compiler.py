"""The template compiler: each action of a plan becomes a readable script, made by the resource type's own templates.

Deterministic and offline. The same plan on the same machine gives the same bundle, byte for byte.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from clockwork_nb.assembly.plan import Plan
from clockwork_nb.errors import BundleMappingError, BundleRuntimeError, BundleSchemaError
from clockwork_nb.forge.bundle import Bundle, BundleStep
from clockwork_nb.forge.runtimes import BUILT_IN, RUNTIMES, Interpreters
from clockwork_nb.intake.desired import EnvFacts
from clockwork_nb.ports import Action, Artifact, CompiledStep, Registry

__all__ = ["compile_plan", "type_of"]


def type_of(address: str) -> str:
    """Return the resource type that *address* begins with.

    >>> type_of('file.page["a.b"]')
    'file'
    """
    return address.partition(".")[0]


def compile_plan(
    plan: Plan,
    types: Registry,
    facts: EnvFacts,
    *,
    interpreters: Interpreters | None = None,
    environ: Mapping[str, str] | None = None,
) -> Bundle:
    """Return the bundle that carries out *plan*: one step an action, in the plan's order.

    Args:
        types: every resource type, by name.
        facts: this machine; a runtime that it does not have is refused here and not at the first step.
        interpreters: where interpreters were found already; by default they are looked up and hashed once a call.
        environ: where the variables are that host steps take over by name; by default this process's environment.

    Raises:
        BundleRuntimeError: E_BUNDLE_RUNTIME, a script needs a runtime that is not allowed or not installed.
        BundleMappingError: E_BUNDLE_MAPPING, no resource type for an action.
        BundleSchemaError: E_BUNDLE_SCHEMA, two templates disagree about an artifact or a secret.
    """
    interpreters = interpreters or Interpreters()
    environ = os.environ if environ is None else environ
    artifacts: dict[str, Artifact] = {}
    secrets: dict[str, Any] = {}
    steps = []
    for action in plan.actions:
        kind = types.get(type_of(action.address))
        if kind is None:
            raise BundleMappingError(
                f"nothing knows how to carry out {action.id}",
                hint=f"The resource type {type_of(action.address)} is not installed.",
                details={"step": action.id},
            )
        compiled = kind.compile(action)
        for artifact in compiled.artifacts:
            if artifacts.setdefault(artifact.path, artifact) != artifact:
                raise BundleSchemaError(
                    f"two steps want different contents for {artifact.path}",
                    details={"step": action.id, "path": artifact.path},
                )
        _merge_secrets(secrets, compiled.secrets, action)
        steps.append(_step(action, compiled, facts, interpreters, environ))
    return Bundle(tuple(artifacts.values()), tuple(steps), secrets)


def _merge_secrets(secrets: dict[str, Any], more: Mapping[str, Any], action: Action) -> None:
    for name, value in more.items():
        if name in secrets and secrets[name] != value:
            raise BundleSchemaError(
                f"two steps want different secrets under the name {name}", details={"step": action.id}
            )
        secrets[name] = value


def _step(
    action: Action,
    compiled: CompiledStep,
    facts: EnvFacts,
    interpreters: Interpreters,
    environ: Mapping[str, str],
) -> BundleStep:
    path = sha256 = ""
    runtime = compiled.cmd[0] if compiled.cmd else ""
    if runtime != BUILT_IN:
        if runtime in RUNTIMES and runtime not in facts.runtimes and facts.runtimes:
            raise BundleRuntimeError(
                f"{action.id} needs {runtime}, which is not installed here",
                hint=f"Install {runtime}, or choose another interpreter for {action.address}.",
                details={"runtime": runtime, "step": action.id},
            )
        path, sha256 = interpreters.resolve(runtime)
    return BundleStep(
        id=action.id,
        purpose=action.name,
        address=action.address,
        cmd=compiled.cmd,
        vars={n: environ[n] for n in compiled.environment if environ.get(n)} | dict(compiled.vars),
        secret_vars=dict(compiled.secret_vars),
        data=dict(compiled.data),
        write=compiled.write,
        network=compiled.network,
        cls=compiled.cls,
        cwd=compiled.cwd,
        interpreter=path,
        interpreter_sha256=sha256,
        detaches=compiled.detaches,
    )
