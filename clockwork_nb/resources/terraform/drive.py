"""Drives terraform or tofu in one root module: init, plan, show, apply, output. Standard library only.

The scripts of a step are made of this text, and looking at a module calls it, so both see the same plan. Nothing is
taken from the caller's environment, and nothing is written into the module but what terraform itself writes there.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clockwork_nb.resources.terraform.reading import Trouble, counted, decoded, is_data, plain, problems, summary

__all__ = ["PATH", "Module", "Trouble", "applied", "ask", "asked_before", "outputs_of", "source_digest", "step"]

PATH = "/usr/local/bin:/usr/bin:/bin"
SOURCES = (".tf", ".tf.json", ".tofu", ".tofu.json", ".tfvars", ".tfvars.json", ".tftpl")
SKIPPED = {".terraform", "terraform.tfstate.d", ".git", ".clockwork", ".ipynb_checkpoints"}
MOST_FILES = 10_000
MOST_BYTES_OF_A_FILE = 64 << 20
PLAN_WAITS_FOR_LOCK = "10s"
MOST_BYTES = 256 << 20
STOPPED: list[int] = []
"""The signals that asked this process to stop, when it runs a step."""


@dataclass(frozen=True)
class Module:
    """A root module and how it is run.

    ``source`` and ``var_files`` are absolute; ``folder`` is our own folder for it. ``variables`` is the text of a variable
    file, ``names`` the variables in it, ``secret`` those whose value nobody may see. ``deadline`` is on the monotonic clock.
    """

    source: Path
    folder: Path
    binary: str = "auto"
    workspace: str = "default"
    parallelism: int = 10
    var_files: Sequence[Path] = ()
    variables: str = field(default="", repr=False)
    names: Sequence[str] = ()
    secret: Sequence[str] = ()
    outputs: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    deadline: float = float("inf")


# --- running it -------------------------------------------------------------------------------------------------------


def program(module: Module) -> str:
    """Return the path of the program that ``binary`` asks for; ``auto`` takes terraform before tofu."""
    names = ("terraform", "tofu") if module.binary == "auto" else (module.binary,)
    where = module.env.get("PATH", PATH)
    found = next((path for path in (shutil.which(name, path=where) for name in names) if path), None)
    if found is None:
        raise Trouble(f"{' and '.join(names)} cannot be found in {where}: install it, or set binary or env.PATH")
    return found


def environment(module: Module) -> dict[str, str]:
    """Return the whole environment that terraform gets."""
    own = {
        "PATH": PATH,
        "HOME": str(module.folder),
        "TMPDIR": tempfile.gettempdir(),
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "TF_IN_AUTOMATION": "1",
        "TF_INPUT": "0",
        "CHECKPOINT_DISABLE": "1",
        "TF_DATA_DIR": str(module.folder / "data"),
        "TF_PLUGIN_CACHE_DIR": str(module.folder / "plugins"),
    }
    return {**own, **module.env}


@contextmanager
def memory_file(content: bytes = b"") -> Iterator[tuple[int, str]]:
    """Give the descriptor of a file in memory with *content*, and the path by which terraform finds it.

    What may hold a secret (variables, plans, answers) is in such files: in no argument, no environment and on no disk.
    """
    handle = os.memfd_create("terraform")
    try:
        with open(handle, "wb", closefd=False) as stream:
            stream.write(content)
        os.lseek(handle, 0, os.SEEK_SET)
        yield handle, f"/proc/self/fd/{handle}"
    finally:
        os.close(handle)


def _content(handle: int) -> bytes:
    with open(handle, "rb", closefd=False) as stream:
        stream.seek(0)
        data = stream.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise Trouble(f"terraform wrote more than {MOST_BYTES >> 20} MiB")
    return data


def run(module: Module, *words: str, keep: bool = True, fds: Sequence[int] = ()) -> tuple[int, bytes, bytes]:
    """Run terraform in the module and return its exit status and, unless *keep* is false, what it wrote.

    It is asked to stop when the time is over, and killed only when it does not: a lock it holds would stay.
    """
    if STOPPED:
        raise Trouble(f"stopped before terraform {words[0]}")
    command = [program(module), f"-chdir={module.source}", *words]
    with memory_file() as (out, _), memory_file() as (err, _):
        process = subprocess.Popen(
            command,
            env=environment(module),
            stdin=subprocess.DEVNULL,
            stdout=out if keep else None,
            stderr=err if keep else None,
            pass_fds=tuple(fds),
        )
        try:
            status = process.wait(max(1.0, min(module.deadline - time.monotonic(), 7 * 24 * 3600.0)))
        except BaseException as problem:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if isinstance(problem, subprocess.TimeoutExpired):
                raise Trouble(f"terraform {words[0]} took too long and was stopped: set a longer timeout") from None
            raise
        return (status, _content(out), _content(err)) if keep else (status, b"", b"")


@contextmanager
def held(module: Module) -> Iterator[None]:
    """Keep every other run of ours out of the module's folder; it is made when it is not there."""
    for path in (*reversed(module.folder.parents), module.folder, module.folder / "data", module.folder / "plugins"):
        if not path.exists():
            path.mkdir(mode=0o700, exist_ok=True)  # with parents=True only the last one would get this mode
    handle = os.open(module.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        until = min(module.deadline, time.monotonic() + 60)
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise Trouble("another run of clockwork uses this module: wait for its end") from None
                time.sleep(0.1)
        yield
    finally:
        os.close(handle)


# --- files of ours and of the module ----------------------------------------------------------------------------------


def source_digest(module: Module) -> str:
    """Return the SHA-256 of the module's files and variable files, without states, locks and what terraform keeps."""
    made = hashlib.sha256()
    for path in (*_sources(module.source), *module.var_files):
        name = os.path.relpath(path, module.source)
        content = hashlib.sha256(_bytes(path)).hexdigest() if path.is_file() else "(missing)"
        made.update(f"{name}\0{content}\0".encode("utf-8", "surrogateescape"))
    return made.hexdigest()


def _bytes(path: Path) -> bytes:
    if path.stat().st_size > MOST_BYTES_OF_A_FILE:
        raise Trouble(f"{path} has more than {MOST_BYTES_OF_A_FILE >> 20} MiB")
    return path.read_bytes()


def _sources(source: Path) -> list[Path]:
    found: list[Path] = []
    for folder, folders, names in os.walk(source):
        folders[:] = sorted(name for name in folders if name not in SKIPPED)
        found += [Path(folder, name) for name in sorted(names) if name.endswith(SOURCES)]
        if len(found) > MOST_FILES:
            raise Trouble(f"{source} holds more than {MOST_FILES:,} files of terraform")
    return found


def _encoded(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True).encode()


def _write(module: Module, name: str, content: bytes) -> None:
    new = module.folder / f"{name}.new"
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(handle, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(handle)
    new.replace(module.folder / name)


def _read(module: Module, name: str) -> dict[str, Any]:
    path = module.folder / name
    try:
        found = json.loads(_bytes(path)) if path.is_file() else {}
    except (OSError, ValueError, Trouble):
        return {}
    return found if isinstance(found, dict) else {}


def _remove(module: Module, *names: str) -> None:
    for name in names:
        (module.folder / name).unlink(missing_ok=True)


def asked_before(module: Module, asked: str) -> dict[str, Any]:
    """Return what `ask` found for *asked*, if the module's files are still the same; else nothing."""
    found = _read(module, "planned.json")
    return found if found.get("asked") == asked and found.get("source_digest") == source_digest(module) else {}


def applied(module: Module) -> dict[str, Any]:
    """Return what the last apply or destroy left word of; nothing before the first.

    ``state`` is ``applied`` or ``destroyed``, ``outputs`` the values that anybody may see, ``hidden`` the names of the others.
    """
    return _read(module, "applied.json")


# --- asking and doing -------------------------------------------------------------------------------------------------


def init(module: Module) -> None:
    """Make the module ready when its files changed since it was. A lock file of providers is never changed."""
    if not module.source.is_dir():
        raise Trouble(f"there is no module: {module.source} is not a folder")
    lock = module.source / ".terraform.lock.hcl"
    locked = lock.exists()
    needed = {
        "source": source_digest(module),
        "lock": hashlib.sha256(lock.read_bytes()).hexdigest() if locked else "",
        "program": program(module),
    }
    if _read(module, "ready.json") == needed:
        return
    flags = ["-input=false", "-no-color", *(["-lockfile=readonly"] if locked else [])]
    status, out, err = run(module, "init", *flags)
    if status:
        raise Trouble(f"terraform init failed\n{plain(err or out)}")
    if module.workspace != "default":
        status, out, err = run(module, "workspace", "select", "-or-create=true", module.workspace)
        if status:
            raise Trouble(f"the terraform workspace {module.workspace} cannot be chosen\n{plain(err or out)}")
    if not locked and lock.exists():
        needed["lock"] = hashlib.sha256(lock.read_bytes()).hexdigest()
    _write(module, "ready.json", _encoded(needed))


def plan(module: Module, mode: str, handle: int) -> dict[str, Any]:
    """Let terraform plan into the memory file *handle* and return the plan as JSON.

    *mode* is ``apply``, ``destroy``, or ``anew`` for a plan that replaces everything that is there.
    """
    flags = [
        "-input=false",
        "-no-color",
        "-json",
        f"-lock-timeout={PLAN_WAITS_FOR_LOCK}",
        f"-parallelism={module.parallelism}",
    ]
    if mode == "destroy":
        flags.append("-destroy")
    elif mode == "anew":
        status, out, err = run(module, "state", "list")
        if status and b"No state file was found" not in err:
            raise Trouble(f"terraform's state cannot be listed\n{plain(err or out)}")
        flags += [f"-replace={line}" for line in out.decode().splitlines() if not is_data(line)]
    flags += [f"-out=/proc/self/fd/{handle}", *(f"-var-file={path}" for path in module.var_files)]
    with memory_file(module.variables.encode()) as (variables, path):
        status, out, err = run(module, "plan", *flags, f"-var-file={path}", fds=(handle, variables))
    if status:
        raise Trouble(_lock_words(problems(out, err)))
    return show(module, handle)


def _lock_words(text: str) -> str:
    if "Error acquiring the state lock" in text:
        return f"somebody else holds the lock of terraform's state: wait, or look who it is.\n{text}"
    return text


def show(module: Module, handle: int) -> dict[str, Any]:
    """Return the plan in the memory file *handle* as JSON."""
    status, out, err = run(module, "show", "-json", f"/proc/self/fd/{handle}", fds=(handle,))
    if status:
        raise Trouble(f"terraform cannot read its plan\n{plain(err or out)}")
    return decoded(out, form="1.")


def check(module: Module, found: Mapping[str, Any]) -> None:
    """Refuse variables and outputs that the module does not declare, and secrets that it does not declare sensitive."""
    declared = found["variables_declared"]
    strange = [name for name in module.names if name not in declared]
    if strange:
        known = ", ".join(declared) or "none"
        raise Trouble(f'the module declares no variable "{strange[0]}" (it declares: {known})')
    shown = [name for name in module.secret if name not in found["variables_sensitive"]]
    if shown:
        raise Trouble(
            f'the variable "{shown[0]}" gets a sensitive value, but the module would show it:'
            " write sensitive = true in its variable block"
        )
    missing = [name for name in module.outputs if name not in found["outputs_declared"]]
    if missing:
        known = ", ".join(found["outputs_declared"]) or "none"
        raise Trouble(f'the module has no output "{missing[0]}" (it has: {known})')


def ask(module: Module, mode: str, asked: str) -> dict[str, Any]:
    """Return what terraform would do, and keep that for the apply.

    The plan file is kept too unless it holds something sensitive; then the plan is made again before it is applied.

    Args:
        asked: the digest of the question; `asked_before` answers it again.
    """
    with held(module), memory_file() as (handle, _):
        init(module)
        before = source_digest(module)
        _remove(module, "planned.json", "plan")
        found = summary(plan(module, mode, handle))
        check(module, found)
        if not found["secret"] and not module.secret:
            _write(module, "plan", _content(handle))
        answer = {**found, "asked": asked, "mode": mode, "source_digest": before}
        _write(module, "planned.json", _encoded(answer))
        return answer


def do(module: Module, mode: str, digest: str) -> dict[str, Any]:
    """Apply the plan with *digest*, the one that was looked at; refuse when terraform would do anything else now."""
    with held(module):
        init(module)
        try:
            with memory_file(_kept_plan(module)) as (handle, path):
                found, source = _approved(module, mode, digest, handle)
                flags = ["-input=false", "-no-color", "-lock-timeout=30s", f"-parallelism={module.parallelism}"]
                status, _, _ = run(module, "apply", *flags, path, keep=False, fds=(handle,))
        finally:
            _remove(module, "plan", "planned.json")
        if status:
            raise Trouble(
                "terraform did not finish (see above); what it did so far is in its state. Plan again to see what is left"
            )
        word: dict[str, Any] = {"state": "destroyed"}
        if mode != "destroy":
            values = outputs_of(module)
            shown = {name: about["value"] for name, about in values.items() if not about.get("sensitive")}
            hidden = sorted(values.keys() - shown.keys())
            word = {"state": "applied", "outputs": shown, "hidden": hidden, "source_digest": source}
        _write(module, "applied.json", _encoded(word))
        return found


def _kept_plan(module: Module) -> bytes:
    try:
        return (module.folder / "plan").read_bytes()
    except FileNotFoundError:
        return b""


def _approved(module: Module, mode: str, digest: str, handle: int) -> tuple[dict[str, Any], str]:
    """Return what the plan in *handle* does, and the digest of the files it was made of; it has *digest*.

    The plan that was kept, or else one that is made now and does the same.
    """
    source = _read(module, "planned.json").get("source_digest", "")
    if source and os.fstat(handle).st_size:
        found = summary(show(module, handle))
        if found["digest"] == digest:
            return found, source
    os.ftruncate(handle, 0)
    source = source_digest(module)
    found = summary(plan(module, mode, handle))
    check(module, found)
    if found["digest"] != digest:
        raise Trouble("stale: terraform would now do something else than what was approved; plan again")
    return found, source


def outputs_of(module: Module) -> dict[str, Any]:
    """Return the outputs that terraform's state has: name → ``{"value", "type", "sensitive"}``."""
    status, out, err = run(module, "output", "-json")
    if status:
        raise Trouble(f"terraform's outputs cannot be read\n{plain(err or out)}")
    return decoded(out)


# --- a step -----------------------------------------------------------------------------------------------------------


def _step_module() -> Module:
    settings = os.environ
    return Module(
        source=Path(settings["CW_SOURCE"]).absolute(),
        folder=Path(settings["CW_FOLDER"]).absolute(),
        binary=settings["CW_BINARY"],
        workspace=settings["CW_TF_WORKSPACE"],
        parallelism=int(settings["CW_PARALLELISM"]),
        var_files=[Path(path).absolute() for path in json.loads(settings["CW_VAR_FILES"])],
        variables=Path(settings["CW_VARIABLES"]).read_text(encoding="utf-8"),
        names=json.loads(settings["CW_NAMES"]),
        secret=json.loads(settings["CW_SECRET_NAMES"]),
        outputs=json.loads(settings["CW_OUTPUTS"]),
        env=json.loads(Path(settings["CW_ENVIRONMENT"]).read_text(encoding="utf-8")),
    )


def step(name: str) -> None:
    """Carry out the action *name* with the settings of the environment; ends the process with 1 when it cannot."""
    # terraform gets the signal too and stops in its own time; its state and lock are in order only when we wait for it.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda received, _: STOPPED.append(received))
    mode = os.environ["CW_MODE"]
    try:
        module = _step_module()
        if name == "terraform_plan":
            found = ask(module, mode, os.environ["CW_ASKED"])
            lines = [f"{'/'.join(change['actions'])}: {change['address']}\n" for change in found["changes"]]
            sys.stdout.write(f"{''.join(lines)}terraform would do: {counted(found)}\n")
        else:
            found = do(module, mode, os.environ["CW_PLAN_DIGEST"])
            sys.stdout.write(f"terraform did: {counted(found)}\n")
    except (Trouble, OSError) as problem:
        sys.exit(f"interrupted: {problem}" if STOPPED else str(problem))
    except (KeyError, TypeError, ValueError) as problem:
        sys.exit(f"terraform's answer is unusual: {problem!r}")
