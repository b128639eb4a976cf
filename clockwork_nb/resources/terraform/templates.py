"""What becomes of a declared module: what terraform would do inside it, the actions, the scripts. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

from clockwork_nb.canonical import digest
from clockwork_nb.errors import InvalidInputError, UnsafeOperationError
from clockwork_nb.intake.values import Unknown, contains_unknown
from clockwork_nb.ports import Action, ActionSpec, ChangeKind, CompiledStep, Observation
from clockwork_nb.resources.scripts import data_artifact, python_script, require_known, sealed
from clockwork_nb.resources.terraform.tfvars import tfvars
from clockwork_nb.secrets import Sensitive, unseal

__all__ = [
    "NOT_ALLOWED",
    "actions",
    "asked",
    "claims",
    "compile_action",
    "describe",
    "drift",
    "exports",
    "import_id",
    "lost_secret",
    "pending",
    "replaces",
    "risks",
    "secret_names",
    "with_secrets_of",
]

NOT_ALLOWED: Final = "terraform's own plan is not allowed here (--allow-data terraform)"
_ASKED: Final[Mapping[str, str]] = {
    "apply": "terraform is asked first (--allow-data terraform asks it while planning)",
    "anew": "terraform is asked first (--allow-data terraform asks it while planning)",
    "destroy": "terraform is asked first what it would remove (--allow-data terraform asks it while planning)",
}
_HINT: Final = "Plan with --allow-data terraform, or let the operator's policy allow it (allow_data)."
_MODULE: Final = ("source", "workspace")
_INPUTS: Final = (*_MODULE, "vars", "var_files", "env", "binary", "output_names")
"""The attributes that decide what terraform does; the others only limit how it runs."""

_VERBS: Final[Mapping[str, str]] = {
    "terraform_plan": "ask terraform what it would do in",
    "terraform_apply": "let terraform carry out the plan that was approved for",
    "terraform_destroy": "let terraform remove everything in",
}


def describe(config: Mapping[str, Any]) -> str:
    """Return the module's folder, and the workspace when it is not the default one."""
    workspace = config.get("workspace", "default")
    return f"module {config.get('source', '')}" + ("" if workspace == "default" else f", workspace {workspace}")


def claims(config: Mapping[str, Any]) -> Sequence[str]:
    """Return the module with its workspace: two blocks for one state would undo what the other did."""
    if not all(isinstance(config.get(name), str) for name in _MODULE):
        return ()
    return (f"path:{config['source']} (terraform workspace {config['workspace']})",)


def import_id(config: Mapping[str, Any]) -> str:
    """Return ``<source>``, or ``<source>:<workspace>``."""
    workspace = config["workspace"]
    return str(config["source"]) if workspace == "default" else f"{config['source']}:{workspace}"


def exports(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return *config* with ``outputs``, which is known after apply."""
    return {**config, "outputs": Unknown("terraform tells its outputs after apply")}


def replaces(before: Mapping[str, Any], after: Mapping[str, Any]) -> frozenset[str]:
    """Return ``source`` and ``workspace`` as far as they differ: another state, with other things in it."""
    return frozenset(name for name in _MODULE if before.get(name) != after.get(name))


def secret_names(values: Any) -> tuple[str, ...]:
    """Return the names in *values* whose value is sensitive or holds something that is, sorted."""
    return tuple(sorted(name for name, value in dict(values or {}).items() if _holds_secret(value)))


def _nodes(value: Any) -> Iterator[Any]:
    """Give *value* and everything in it; what is recorded of a secret is one node."""
    stack = [value]
    while stack:
        item = stack.pop()
        yield item
        if isinstance(item, Mapping) and not sealed(item):
            stack.extend(item.values())
        elif isinstance(item, (list, tuple)):
            stack.extend(item)


def _holds_secret(value: Any) -> bool:
    return any(isinstance(item, Sensitive) or sealed(item) for item in _nodes(value))


def lost_secret(config: Mapping[str, Any]) -> str:
    """Return the name of a variable of which only the digest of a secret is known; ``""`` when there is none."""
    both = (item for part in ("vars", "env") for item in sorted(dict(config.get(part) or {}).items()))
    return next((name for name, value in both if any(sealed(item) for item in _nodes(value))), "")


def with_secrets_of(recorded: Mapping[str, Any], wanted: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return *recorded* with those of its secrets that *wanted* still has under the same name; the others stay sealed."""
    out = dict(recorded)
    for part in ("vars", "env"):
        known = dict((wanted or {}).get(part) or {})
        out[part] = {
            name: known[name] if _holds_secret(value) and name in known else value
            for name, value in dict(recorded.get(part) or {}).items()
        }
    return out


def asked(config: Mapping[str, Any], mode: str) -> str:
    """Return the digest of the question what terraform would do with *config*. A secret counts by its name alone."""
    question: dict[str, Any] = {name: config.get(name) for name in _INPUTS}
    for part in ("vars", "env"):
        hidden = secret_names(question[part])
        shown = {n: _text(v) for n, v in dict(question[part] or {}).items() if n not in hidden}
        question[part] = [shown, list(hidden)]
    return digest({**question, "mode": mode})


def _text(value: Any) -> str:
    return "(unknown)" if contains_unknown(value) else tfvars({"value": value})


# --- what terraform would do ------------------------------------------------------------------------------------------


def _plan_of(observed: Observation | None, mode: str) -> Mapping[str, Any] | None:
    """Return the answer of terraform for *mode*: ``plan_digest`` and ``changes``."""
    if observed is None:
        return None
    seen = observed.attributes
    if seen.get("mode") == mode and "plan_digest" in seen:
        return seen
    old = seen.get("old_module")
    return old if mode == "destroy" and isinstance(old, Mapping) and "plan_digest" in old else None


def _modes(change: ChangeKind, config: Mapping[str, Any] | None, recorded: Mapping[str, Any] | None) -> tuple[str, ...]:
    if change == "delete" or config is None:
        return ("destroy",)
    if change != "replace":
        return ("apply",)
    moved = recorded is not None and bool(replaces(recorded, config))
    return ("destroy", "apply") if moved else ("anew",)


def pending(
    change: ChangeKind, config: Mapping[str, Any] | None, observed: Observation
) -> Sequence[tuple[str, Any, Any, bool]]:
    """Return what terraform would do, one row for each of its changes, as attribute changes.

    With ``noop`` nobody wants a change yet, and what stands in its way does not matter.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA, terraform could not be asked, or refuses the module.
    """
    seen = observed.attributes
    if seen.get("problem") and change != "noop":
        raise InvalidInputError(str(seen["problem"]), hint=str(seen.get("hint", "")))
    modes = ("destroy",) if change == "delete" else ("destroy", "apply") if "old_module" in seen else ("anew", "apply")
    rows: list[tuple[str, Any, Any, bool]] = []
    for mode in modes:
        found = _plan_of(observed, mode)
        if found is not None:
            rows += [_row(item) for item in found["changes"]]
            rows += [(f"output.{name}", "as it is", "another value", False) for name in _moved_outputs(found, mode)]
    same = change in {"update", "noop"} and not rows
    if same and seen.get("applied") is False:
        rows.append(("outputs", None, Unknown("terraform has not applied this yet"), False))
    if same and not rows and seen.get("outputs_moved"):
        rows.append(("outputs", "as recorded", "others now", False))
    if same and not rows and seen.get("files_changed") and "plan_digest" not in seen:
        rows.append(("source", "as applied", "files changed", False))
    return rows


def _moved_outputs(found: Mapping[str, Any], mode: str) -> Sequence[str]:
    # Beside changes of things they say nothing more.
    return () if found["changes"] or mode == "destroy" else found.get("changed_outputs", ())


def _row(item: Mapping[str, Any]) -> tuple[str, Any, Any, bool]:
    actions = set(item["actions"])
    address, names = item["address"], ", ".join(item["attributes"][:4])
    if actions == {"create"}:
        return address, None, "imported" if item.get("imports") else "created", False
    if actions == {"delete"}:
        return address, "as it is", None, False
    if actions == {"create", "delete"}:
        why = ", ".join(item["replace_paths"]) or str(item["reason"]).removeprefix("replace_").replace("_", " ")
        return address, "as it is", f"made anew ({why})" if why else "made anew", True
    if actions == {"no-op"}:
        return address, item.get("moved_from", "as it is"), "moved" if "moved_from" in item else "imported", False
    if actions == {"update"}:
        return address, "as it is", f"changed: {names}" if names else "changed", False
    return address, "as it is", "/".join(sorted(actions)), False


def drift(config: Mapping[str, Any], observed: Observation) -> Mapping[str, tuple[Any, Any]]:
    """Return what terraform would put back though neither the block nor the module's files changed since the apply."""
    seen = observed.attributes
    if not seen.get("asked_now") or seen.get("files_changed") is not False or seen.get("mode") != "apply":
        return {}
    if lost_secret(config):
        return {}  # a secret is another one now, so the difference may come from here
    if seen.get("asked") != asked(config, "apply"):
        return {}
    return {item["address"]: ("as applied", _row(item)[2]) for item in seen.get("changes", ())}


def risks(
    change: ChangeKind,
    config: Mapping[str, Any] | None,
    recorded: Mapping[str, Any] | None,
    observed: Observation | None,
) -> Sequence[str]:
    """Return ``network``, and ``destroy`` when something inside is removed or made anew."""
    out = {"network"}
    for mode in _modes(change, config, recorded):
        found = _plan_of(observed, mode)
        if mode != "apply" or (found is not None and any("delete" in item["actions"] for item in found["changes"])):
            out.add("destroy")
    return tuple(sorted(out))


# --- actions ----------------------------------------------------------------------------------------------------------


def actions(
    change: ChangeKind,
    config: Mapping[str, Any] | None,
    recorded: Mapping[str, Any] | None,
    observed: Observation | None,
) -> Sequence[ActionSpec]:
    """Return ``terraform_apply`` or ``terraform_destroy`` of a plan that was looked at.

    Without such a plan there is only a ``terraform_plan``, which asks; what it finds is looked at and approved by itself.
    """
    if change not in {"create", "update", "replace", "delete"}:
        return ()
    if (
        change == "update"
        and config is not None
        and recorded is not None
        and not _asks_anything(config, recorded, observed)
    ):
        return ()
    specs = []
    for mode in _modes(change, config, recorded):
        about = recorded if mode == "destroy" else config
        if about is not None:
            specs.append(_action(mode, about, config if change == "replace" else None, observed))
    # A step may ask one question; the next one is asked when that is answered.
    asking = next((spec for spec in specs if spec.asks), None)
    return tuple(specs) if asking is None else (asking,)


def _asks_anything(config: Mapping[str, Any], recorded: Mapping[str, Any], observed: Observation | None) -> bool:
    if any(config.get(name) != recorded.get(name) for name in _INPUTS):
        return True
    return observed is not None and bool(pending("update", config, observed))


def _action(
    mode: str, config: Mapping[str, Any], wanted: Mapping[str, Any] | None, observed: Observation | None
) -> ActionSpec:
    found = _plan_of(observed, mode)
    seen = {} if observed is None else observed.attributes
    old = mode == "destroy" and wanted is not None
    folder = dict(seen.get("old_module") or {}).get("folder") if old else seen.get("folder")
    if mode == "destroy":
        declared = seen.get("secrets_of")
        config = with_secrets_of(config, declared.value if isinstance(declared, Sensitive) else None)
    args: dict[str, Any] = {name: config.get(name) for name in _INPUTS}
    args |= {"parallelism": config["parallelism"], "mode": mode, "folder": folder or Unknown(NOT_ALLOWED)}
    timeout = config["timeout"]
    if isinstance(timeout, Unknown):
        args["timeout"], timeout = timeout, 3600  # in the arguments, so that the step waits for it
    if found is None and folder and not contains_unknown(dict(config)):
        args["asked"] = asked(config, mode)
        return ActionSpec("terraform_plan", args, timeout_s=timeout, idempotent=True, reason=_ASKED[mode], asks=True)
    args["plan_digest"] = Unknown(NOT_ALLOWED) if found is None else found["plan_digest"]
    name = "terraform_destroy" if mode == "destroy" else "terraform_apply"
    return ActionSpec(name, args, timeout_s=timeout, risk=("destroy",) if mode != "apply" else ())


# --- scripts ----------------------------------------------------------------------------------------------------------


@cache
def _program() -> str:
    """Return the text of the two modules that a script is made of, without what only a module of this package needs."""
    here = Path(__file__).parent
    dropped = ("from clockwork_nb.", "from __future__", "__all__")
    parts = [
        "\n".join(
            line for line in (here / name).read_text(encoding="utf-8").splitlines() if not line.startswith(dropped)
        )
        for name in ("reading.py", "drive.py")
    ]
    return "from __future__ import annotations\n\n" + "\n\n\n".join(parts)


def compile_action(action: Action) -> CompiledStep:
    """Return the step of *action*: a Python script that drives terraform, its variables and environment beside it.

    Raises:
        UnsafeOperationError: E_UNSAFE_OPERATION, the plan it would carry out was not looked at.
    """
    verb = _VERBS.get(action.name)
    if verb is None:
        raise InvalidInputError(f'a terraform module has no action "{action.name}"')
    args = action.args
    if isinstance(args.get("plan_digest"), Unknown) and not contains_unknown(
        [args["vars"], args["env"], args["source"]]
    ):
        raise UnsafeOperationError(f"{action.address}: what terraform would do is not known", hint=_HINT)
    require_known(action)
    variables, environment = dict(args["vars"]), dict(args["env"])
    lost = lost_secret(args)
    if lost:
        raise InvalidInputError(
            f'{action.address}: the sensitive value of "{lost}" is in no file and not declared any more',
            hint="Put the block back, then run: clockwork destroy --target " + action.address,
        )
    script = python_script(action, f"{verb} {args['source']}", f'{_program()}\n\n\nstep("{action.name}")')
    hidden = secret_names(variables)
    text = tfvars(unseal(variables))
    about, secrets = data_artifact(
        action, f"{action.name}.tfvars", Sensitive(text) if hidden else text, "the variables of the module"
    )
    extra = json.dumps(unseal(environment), sort_keys=True)
    env_hidden = secret_names(environment)
    env_file, env_secrets = data_artifact(
        action,
        f"{action.name}.env.json",
        Sensitive(extra) if env_hidden else extra,
        "environment variables for terraform",
    )
    # Each value by itself too, so that it is found in what terraform prints.
    values = {f"{action.address}:vars:{name}": unseal(variables[name]) for name in hidden}
    values |= {f"{action.address}:env:{name}": unseal(environment[name]) for name in env_hidden}
    return CompiledStep(
        (script, about, env_file),
        ("python3", "-I", script.path),
        vars={
            "CW_SOURCE": str(args["source"]),
            "CW_FOLDER": str(args["folder"]),
            "CW_BINARY": str(args["binary"]),
            "CW_TF_WORKSPACE": str(args["workspace"]),
            "CW_PARALLELISM": str(args["parallelism"]),
            "CW_VAR_FILES": json.dumps(args["var_files"]),
            "CW_NAMES": json.dumps(sorted(variables)),
            "CW_SECRET_NAMES": json.dumps(hidden),
            "CW_OUTPUTS": json.dumps(args["output_names"]),
            "CW_MODE": str(args["mode"]),
            "CW_ASKED": str(args.get("asked", "")),
            "CW_PLAN_DIGEST": str(args.get("plan_digest", "")),
        },
        data={"CW_VARIABLES": about.path, "CW_ENVIRONMENT": env_file.path},
        secrets={**secrets, **env_secrets, **values},
        network=True,
        cls="host",
    )
