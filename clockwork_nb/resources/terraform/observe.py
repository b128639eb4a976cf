"""Looks at a module: what the last apply left word of and, where that is allowed, what terraform would do now."""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from clockwork_nb.canonical import sha256_hex
from clockwork_nb.intake.values import Unknown, contains_unknown
from clockwork_nb.patterns import pattern
from clockwork_nb.ports import Observation, ObserveContext
from clockwork_nb.resources.terraform import drive
from clockwork_nb.resources.terraform.reading import Trouble, counted
from clockwork_nb.resources.terraform.sharing import owner_of_state
from clockwork_nb.resources.terraform.templates import asked, lost_secret, replaces, secret_names, with_secrets_of
from clockwork_nb.resources.terraform.tfvars import tfvars
from clockwork_nb.secrets import Sensitive, unseal

__all__ = ["observe", "recall"]

_FORGET = "To forget it with all that it made: a removed block with destroy = false, or clockwork state rm."
_NOT_APPLIED = "not applied from here yet (--allow-data terraform looks into its state)"
_NO_MODULE = "Make this folder, correct source, or declare what makes it: a repository, a directory, files in it."
_OUTPUT = pattern(r'^\s*output\s+"([^"\n]{1,200})"', re.MULTILINE)


def observe(config: Mapping[str, Any], recorded: Mapping[str, Any] | None, context: ObserveContext) -> Observation:
    """Return ``outputs`` and, when terraform was asked, ``changes``, ``plan_digest`` and ``mode``.

    terraform runs only when ``context.allow`` says so; else what an earlier `terraform_plan` step found is told, as long as
    neither the block nor the module's files changed since. It is given up after ``context.timeout_s``, or the module's own
    ``timeout`` when that is shorter. What stands in the way is in ``problem`` and ``hint``.
    """
    wanted = context.wanted
    if not _known_place(config):
        return Observation(None, detail="the module is not known yet")
    mode = {"": "apply", "removed": "destroy", "anew": "anew"}[context.asked]
    # What is recorded has no secrets; the block that is declared now has them.
    target, old = dict(config if wanted is None else wanted), None
    if mode == "destroy":
        target = with_secrets_of(config, wanted)
    elif wanted is not None and _known_place(wanted) and replaces(config, wanted):
        old, mode = with_secrets_of(config, wanted), "apply"
    if not _known_place(target):
        return Observation(None, detail="the module is not known yet")
    exists, seen = _word(target, recorded if old is None else None, context)
    if wanted is not None:
        seen["secrets_of"] = Sensitive(dict(wanted))
    detail = {True: "applied", False: "nothing is there", None: _NOT_APPLIED}[exists]
    try:
        answer, had_things = _answer(target, mode, context)
        seen |= answer
        if old is not None:
            seen["old_module"] = {"folder": _folder_name(old, context), **_answer(old, "destroy", context)[0]}
    except (Trouble, OSError, KeyError, TypeError, ValueError) as problem:
        return _problem(problem, exists, seen, target, mode, context)
    if answer:
        detail = f"{detail.partition(' (')[0]}; terraform would do: {counted(answer)}"
    # The old module is there as long as it is recorded, whatever is at the new place.
    return Observation(True if old is not None or had_things else exists, seen, detail)


def _problem(
    problem: Exception,
    exists: bool | None,
    seen: dict[str, Any],
    config: Mapping[str, Any],
    mode: str,
    context: ObserveContext,
) -> Observation:
    plain = isinstance(problem, (Trouble, OSError))
    first, _, rest = (str(problem) if plain else f"terraform's answer is unusual: {problem!r}").partition("\n")
    if mode == "destroy":
        rest = f"{rest}\n{_FORGET}".lstrip()
    where = f"{context.address or 'the module'} ({config['source']})"
    return Observation(exists, {**seen, "problem": f"{where}: {first}", "hint": rest}, first[:200])


def _known_place(config: Mapping[str, Any]) -> bool:
    return all(isinstance(config.get(name), str) for name in ("source", "workspace"))


def _folder(config: Mapping[str, Any], context: ObserveContext) -> Path:
    # By the module, not by the address: it stays where it is when its block gets another name.
    key = sha256_hex(f"{config['source']}\0{config['workspace']}".encode())[:16]
    return context.workspace / "terraform" / key


def _folder_name(config: Mapping[str, Any], context: ObserveContext) -> str:
    return os.path.relpath(_folder(config, context), context.root)


def _module(config: Mapping[str, Any], context: ObserveContext) -> drive.Module:
    variables, extra = dict(config["vars"]), dict(config["env"])
    limit = min(float(config["timeout"]), context.timeout_s)
    return drive.Module(
        source=context.root / config["source"],
        folder=_folder(config, context),
        binary=config["binary"],
        workspace=config["workspace"],
        parallelism=config["parallelism"],
        var_files=[context.root / path for path in config["var_files"]],
        variables=tfvars(unseal(variables)),
        names=sorted(variables),
        secret=secret_names(variables),
        outputs=config["output_names"],
        env=unseal(extra),
        deadline=time.monotonic() + limit,
    )


def _bare(config: Mapping[str, Any], context: ObserveContext) -> drive.Module:
    """Return the module as far as its files tell about it; it cannot be run."""
    var_files = [context.root / path for path in config["var_files"] if isinstance(path, str)]
    return drive.Module(context.root / config["source"], _folder(config, context), var_files=var_files)


def _word(
    config: Mapping[str, Any], recorded: Mapping[str, Any] | None, context: ObserveContext
) -> tuple[bool | None, dict[str, Any]]:
    """Return what the last apply said: whether it is there, and the outputs; and whether the module's files changed since."""
    module = _bare(config, context)
    said = drive.applied(module)
    seen: dict[str, Any] = {"folder": _folder_name(config, context), "applied": said.get("state") == "applied"}
    if said.get("state") == "destroyed":
        return False, seen
    values = said.get("outputs", (recorded or {}).get("outputs"))
    if said:
        try:
            seen["files_changed"] = said.get("source_digest") != drive.source_digest(module)
        except (Trouble, OSError):
            seen["files_changed"] = True
    hidden = said.get("hidden", (recorded or {}).get("hidden_outputs"))
    if isinstance(values, Mapping):
        chosen = config.get("output_names")
        seen["outputs"] = {name: value for name, value in sorted(values.items()) if not chosen or name in chosen}
        names = hidden if isinstance(hidden, list) else []
        seen["hidden_outputs"] = sorted(str(name) for name in names if not chosen or name in chosen)
    return (True if said else None), seen


def _answer(config: Mapping[str, Any], mode: str, context: ObserveContext) -> tuple[dict[str, Any], bool]:
    """Return what terraform would do, nothing when nobody can tell; and whether there was anything in its state before.

    Raises:
        Trouble: terraform refuses, or cannot be asked.
    """
    if not (context.root / config["source"]).is_dir():
        if context.made_later(config["source"]):
            return {}, False
        raise Trouble(f"there is no module: the folder {config['source']} is not there\n{_NO_MODULE}")
    owner = "" if drive.applied(_bare(config, context)) else _owner(config, context)
    if owner:
        raise Trouble(
            f"{owner} of this folder has applied this module, and there is one state for both\n"
            'Give this block a terraform workspace of its own (workspace = "..."). To take the module over, forget it there: '
            "clockwork state rm."
        )
    if contains_unknown(config):
        return {}, False
    question = asked(config, mode)
    now = "terraform" in context.allow
    if now:
        lost = lost_secret(config)
        if lost:
            raise Trouble(
                f'the sensitive value of "{lost}" is in no file and not declared any more: put the block back'
            )
        found = drive.ask(_module(config, context), mode, question)
    else:
        found = drive.asked_before(_bare(config, context), question)
        if not found:
            return {}, False
    said = drive.applied(_bare(config, context))
    answer = {
        "mode": mode,
        "asked": question,
        "asked_now": now,
        "plan_digest": found["digest"],
        "changes": found["changes"],
        "changed_outputs": found["outputs"],
        "outputs_moved": bool(said) and said.get("outputs") != found["outputs_known"],
    }
    return answer, not found["empty_before"]


def _owner(config: Mapping[str, Any], context: ObserveContext) -> str:
    return owner_of_state(config, _folder(config, context), context.root, context.workspace)


def recall(config: Mapping[str, Any], identity: Mapping[str, Any], context: ObserveContext) -> dict[str, Any]:
    """Return ``outputs`` with the sensitive ones, which are in no file of ours: asked of terraform, or unknown.

    An output that the module's files have since the last apply is unknown. A whole number is an ``int``, any other a
    ``Decimal``.
    """
    outputs = dict(identity.get("outputs") or {})
    chosen = config.get("output_names")
    for name in _declared_outputs(context.root / config["source"]):
        if name not in outputs and (not chosen or name in chosen):
            outputs[name] = Unknown("terraform tells its outputs after apply")
    hidden = [name for name in identity.get("hidden_outputs", ()) if isinstance(name, str)]
    if not hidden:
        return {"outputs": outputs} if "outputs" in identity else {}
    if "terraform" not in context.allow or contains_unknown(config):
        why = Unknown("a sensitive output of terraform, which may not be asked here (--allow-data terraform)")
        return {"outputs": {**outputs, **dict.fromkeys(hidden, why)}}
    module = _module({**config, "vars": {}}, context)
    try:
        with drive.held(module):
            drive.init(module)
            values = drive.outputs_of(module)
    except (Trouble, OSError) as problem:
        why = Unknown(f"a sensitive output of terraform, which cannot be asked: {str(problem)[:200]}")
        return {"outputs": {**outputs, **dict.fromkeys(hidden, why)}}
    for name in hidden:
        if name in values:
            text = json.dumps(values[name]["value"])
            outputs[name] = Sensitive(json.loads(text, parse_float=Decimal))
    return {"outputs": outputs}


def _declared_outputs(source: Path) -> list[str]:
    """Return the names of the outputs that the files of a module seem to declare. Only the names are needed, not more."""
    names: list[str] = []
    for path in sorted(source.glob("*.tf")):
        with contextlib.suppress(OSError):
            names += _OUTPUT.findall(path.read_text(encoding="utf-8", errors="replace"))
    return names
