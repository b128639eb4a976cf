"""What becomes of a declared command: actions and scripts. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct, field

from clockwork_nb.errors import InvalidInputError
from clockwork_nb.intake.values import Unknown
from clockwork_nb.ports import Action, ActionSpec, Artifact, ChangeKind, CompiledStep
from clockwork_nb.resources.scripts import (
    INSIDE,
    artifact_path,
    comment,
    data_artifact,
    parent,
    quote,
    require_known,
    safe_operand,
    sealed,
    sh_script,
)
from clockwork_nb.secrets import Sensitive

__all__ = ["actions", "compile_action", "describe", "risks"]

_RUN_AGAIN = ("script", "command", "interpreter", "triggers", "env", "working_dir", "creates", "stdin")
"""The attributes whose change means that the command must run again; the others only limit how it runs."""

_DIRECT = {"deno": "ts", "go": "go"}
"""Interpreters that are started with the author's script itself, and what its name ends with."""

_ALREADY_THERE = """\
# Not when an input changed or it failed before (CW_RUN_AGAIN=1, or CW_RETRY=1 for a failure a moment ago): then what
# is there may be old or half made.
if [ "$CW_RUN_AGAIN" = 0 ] && [ "${CW_RETRY:-0}" = 0 ] && { [ -e "$CW_CREATES" ] || [ -L "$CW_CREATES" ]; }; then
    echo "already there: $CW_CREATES"
    exit 0
fi
"""

_UNLESS = """\
if sh "$CW_UNLESS"; then
    echo "not needed: the test in unless succeeded"
    exit 0
fi
"""

_REMOVE_CREATED = f"""\
{INSIDE}
if [ -d "$CW_PARENT" ]; then stay_inside "$CW_PARENT"; fi
if [ -d "$CW_PATH" ] && [ ! -L "$CW_PATH" ]; then
    if [ -n "$(ls -A -- "$CW_PATH")" ]; then
        echo "left in place: $CW_PATH is a folder that is not empty"
    else
        rmdir -- "$CW_PATH"
    fi
else
    rm -f -- "$CW_PATH"
fi
"""


def describe(config: Mapping[str, Any]) -> str:
    """Return what the command creates, or how it is run."""
    if config.get("creates"):
        return f"creates {config['creates']}"
    command = config.get("command")
    if isinstance(command, list):
        return comment(" ".join(str(word) for word in command))[:60]
    return f"{config.get('interpreter', 'sh')} script"


def actions(
    change: ChangeKind, config: Mapping[str, Any] | None, recorded: Mapping[str, Any] | None
) -> Sequence[ActionSpec]:
    """Return the actions of *change*. A replacement undoes what was done before it is done anew."""
    specs: list[ActionSpec] = []
    if change in {"delete", "replace"} and recorded is not None:
        specs += _undone(recorded)
    if config is None or change not in {"create", "update", "replace"}:
        return specs
    if (
        change != "replace"
        and recorded is not None
        and all(config.get(name) == recorded.get(name) for name in _RUN_AGAIN)
    ):
        return specs
    names = (
        "script",
        "command",
        "interpreter",
        "creates",
        "unless",
        "env",
        "working_dir",
        "writes",
        "network",
        "stdin",
    )
    args = {name: config[name] for name in names}
    args["run_again"] = change != "create"
    specs.append(_spec("run_command", args, config))
    return specs


def _undone(recorded: Mapping[str, Any]) -> list[ActionSpec]:
    specs = []
    if recorded.get("destroy"):
        names = ("interpreter", "creates", "working_dir", "writes", "network")
        args = {name: recorded[name] for name in names}
        # Of a sensitive value only the digest is recorded.
        args["env"] = {name: value for name, value in recorded["env"].items() if not _secret(value)}
        args["script"] = recorded["destroy"]
        specs.append(_spec("remove_effect", args, recorded, risk=("network",) if recorded["network"] else ()))
    if recorded.get("creates"):
        specs.append(ActionSpec("remove_created", {"path": recorded["creates"]}, timeout_s=60, idempotent=True))
    return specs


def _secret(value: Any) -> bool:
    return isinstance(value, Sensitive) or sealed(value)


def _spec(name: str, args: Mapping[str, Any], config: Mapping[str, Any], *, risk: tuple[str, ...] = ()) -> ActionSpec:
    """Return an action with the limits that *config* sets. While one of these is unknown it stands in the arguments."""
    limits = {"timeout": 600, "idle_timeout": 0, "retries": 0, "retry_delay": 1}
    given = {limit: config.get(limit, default) for limit, default in limits.items()}
    later = {limit: value for limit, value in given.items() if isinstance(value, Unknown)}
    known = {**given, **{limit: limits[limit] for limit in later}}
    # A pause of 0 would mean the runner's own.
    pause = max(known["retry_delay"], 0.01) if known["retries"] else 0
    idempotent = config["idempotent"]
    return ActionSpec(
        name,
        {**args, **later},
        timeout_s=known["timeout"],
        idempotent=idempotent is True,
        risk=risk,
        retries=known["retries"],
        backoff_s=pause,
        idle_timeout_s=known["idle_timeout"],
    )


def risks(change: ChangeKind, config: Mapping[str, Any] | None, recorded: Mapping[str, Any] | None) -> Sequence[str]:
    """Return ``network`` when the command may use it, ``destroy`` when what was done is undone."""
    out = set()
    if change in {"delete", "replace"} and recorded and (recorded.get("creates") or recorded.get("destroy")):
        out.add("destroy")
    if config and config.get("network"):
        out.add("network")
    return tuple(sorted(out))


def compile_action(action: Action) -> CompiledStep:
    """Return the step of *action*."""
    require_known(action)
    if action.name == "remove_created":
        return _remove_created(action)
    if action.name == "remove_effect":
        return _remove_effect(action)
    if action.name != "run_command":
        raise InvalidInputError(f'a command has no action "{action.name}"')
    return _run_command(action)


def _remove_created(action: Action) -> CompiledStep:
    path = str(action.args["path"])
    script = sh_script(action, f"remove what the command made: {path}", _REMOVE_CREATED)
    values = {"CW_PATH": safe_operand(path), "CW_PARENT": safe_operand(parent(path))}
    # With the slash too: a folder can only be removed by who may write in the one around it.
    return CompiledStep((script,), ("sh", script.path), vars=values, write=(path, f"{path}/"))


class _Guard(Struct):
    """The sh script around an author's script: where it runs, with which variables, and whether at all."""

    action: Action
    body: list[str] = field(default_factory=list)
    artifacts: list[Artifact] = field(default_factory=list)
    values: dict[str, str] = field(default_factory=dict)
    data: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, Any] = field(default_factory=dict)
    secret_vars: dict[str, str] = field(default_factory=dict)

    def surroundings(self) -> None:
        """Set the folder and the variables."""
        args = self.action.args
        if args["working_dir"] != ".":
            self.body.append('cd -- "$CW_WORKING_DIR"\n')
            self.values["CW_WORKING_DIR"] = safe_operand(args["working_dir"])
        for name, value in args["env"].items():
            if isinstance(value, Sensitive):
                secret = f"{self.action.address}:env:{name}"
                self.secrets[secret], self.secret_vars[name] = value.value, secret
                # The variable holds the path of a file to read; the added x keeps line ends that $( ) would drop.
                self.body.append(f'{name}=$(cat -- "${name}"; printf x)\n{name}=${{{name}%x}}\nexport {name}\n')
            else:
                self.values[name] = value

    def input(self, variable: str, name: str, text: Any, purpose: str) -> Artifact:
        """Give the step *text* as the data artifact *name*, whose path is in *variable*."""
        artifact, secrets = data_artifact(self.action, name, text, purpose)
        self.artifacts.append(artifact)
        self.secrets.update(secrets)
        self.data[variable] = artifact.path
        return artifact

    def start_script(self, name: str, text: Any, purpose: str) -> None:
        """End with the author's script *text*."""
        interpreter = self.action.args["interpreter"]
        self.input("CW_SCRIPT", f"{name}.{'py' if interpreter == 'python3' else 'sh'}", text, purpose)
        if interpreter == "sh":
            self.go_on_in_script()
        else:
            self.start(f'{interpreter} "$CW_SCRIPT"')

    def go_on_in_script(self) -> None:
        """End with the author's sh script in this very shell: starting another one would cost more than most scripts do."""
        self.body.append(f'{self._stdin("exec ")}set +eu\n. "$CW_SCRIPT"\n')

    def _stdin(self, lead: str, end: str = "\n") -> str:
        """Return the redirection of what the command reads, between *lead* and *end*; nothing when it reads nothing."""
        if self.action.args.get("stdin") is None:
            return ""
        self.input("CW_STDIN", "stdin.txt", self.action.args["stdin"], "what the command reads")
        return f'{lead}< "$CW_STDIN"{end}'

    def start(self, line: str) -> None:
        """End with *line*, a command that takes this script's place."""
        self.body.append(f"exec {line}{self._stdin(' ', '')}\n")

    def step(self, what: str) -> CompiledStep:
        """Return the finished step."""
        args = self.action.args
        guard = sh_script(self.action, what, "\n".join(self.body))
        return CompiledStep(
            (guard, *self.artifacts),
            ("sh", guard.path),
            vars=self.values,
            secret_vars=self.secret_vars,
            data=self.data,
            secrets=self.secrets,
            write=_write_roots(args),
            network=_network(args),
        )


def _run_command(action: Action) -> CompiledStep:
    args = action.args
    if args["command"] is None and args["interpreter"] in _DIRECT:
        return _run_directly(action)
    guard = _Guard(action)
    if args["creates"]:
        guard.body.append(_ALREADY_THERE)
        guard.values["CW_CREATES"] = safe_operand(args["creates"])
        guard.values["CW_RUN_AGAIN"] = "1" if args["run_again"] else "0"
    guard.surroundings()
    if args["unless"]:
        guard.input("CW_UNLESS", "unless.sh", args["unless"], "the test that makes the command unnecessary")
        guard.body.append(_UNLESS)
    if args["command"] is not None:
        guard.start(" ".join(quote(word) for word in args["command"]))
        return guard.step(f"run {args['command'][0]}")
    guard.start_script("script", args["script"], "the author's script")
    name = guard.data["CW_SCRIPT"].rpartition("/")[2]
    return guard.step(f"run {name}, which is beside this file")


def _run_directly(action: Action) -> CompiledStep:
    """Return the step of a program that no shell can be put around: the script is what the interpreter is started with."""
    args = action.args
    runtime = args["interpreter"]
    path = artifact_path(action, _DIRECT[runtime])
    text = str(args["script"]).encode("utf-8", "surrogatepass")
    script = Artifact(path, text, "0755", "the author's script", runtime)
    return CompiledStep(
        (script,),
        (runtime, "run", path),
        vars=dict(args["env"]),
        write=_write_roots(args),
        network=_network(args),
        cwd=args["working_dir"],
    )


def _remove_effect(action: Action) -> CompiledStep:
    if action.args["interpreter"] in _DIRECT:
        return _run_directly(action)
    guard = _Guard(action)
    guard.surroundings()
    guard.start_script("destroy", action.args["script"], "the author's script that undoes it")
    name = guard.data["CW_SCRIPT"].rpartition("/")[2]
    return guard.step(f"undo what the command did: run {name}, which is beside this file")


def _network(args: Mapping[str, Any]) -> bool | tuple[int, ...]:
    return tuple(args["network"]) if isinstance(args["network"], list) else args["network"] is True


def _write_roots(args: Mapping[str, Any]) -> tuple[str, ...]:
    roots = set(args["writes"])
    if args["creates"]:
        roots.add(args["creates"])
    return tuple(sorted(roots))
