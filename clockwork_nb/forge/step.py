"""Carry out one step: the approved bytes, a clean environment, the rights it declared. Writes no journal."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self

from msgspec import Struct, field

from clockwork_nb.canonical import canonical_json, parse_json
from clockwork_nb.errors import (
    BundleSchemaError,
    ClockworkError,
    InterruptedByUserError,
    StepInterruptedError,
)
from clockwork_nb.forge.bundle import Bundle, BundleStep
from clockwork_nb.forge.confinement import (
    Grant,
    WriteBounds,
    grants_within,
    prepare_write_roots,
    read_roots,
    remove_prepared,
    resolver_roots,
)
from clockwork_nb.forge.launch import DEFAULT_LIMITS, FIRST_DATA_FD, LaunchResult, LaunchSpec
from clockwork_nb.forge.launch_spec import GRACE_S, HOST_GRACE_S
from clockwork_nb.forge.logs import StepLog
from clockwork_nb.forge.metering import METER_NAME, Usage, read_usage
from clockwork_nb.forge.runtimes import BUILT_IN, FIXED_PATH, script_index
from clockwork_nb.forge.temporary import make_private_folder, temporary_base
from clockwork_nb.ids import slug
from clockwork_nb.patterns import pattern
from clockwork_nb.ports import Artifact
from clockwork_nb.secrets import Redactor, unseal

if TYPE_CHECKING:
    from clockwork_nb.forge.golang import GoBuilder

__all__ = ["NOTE_CHARS", "OnOutput", "StepExecutor", "StepOutcome", "Workbench"]

OnOutput = Callable[[Literal["out", "err"], bytes], None]
"""Told the next bytes of a step's stream; called from the step's own thread."""

NOTE_CHARS = 200

# How a script is called inside a step: a link in the launcher's private folder, or the descriptor itself.
_SCRIPT_NAME = pattern(r"/proc/self/fd/30\b|(?:/[^\s:'\"]*)?/clockwork-names-[0-9a-f]+/[A-Za-z0-9._-]+")
_DENO_DATA = 4 << 30
_FOLDER = "clockwork-steps-"
_SWEEP_AFTER_S = 60  # a run takes its lock right after it made the folder


class StepExecutor(Protocol):
    """What runs a script: `clockwork_nb.forge.launch.Launcher`."""

    def run(
        self,
        spec: LaunchSpec,
        *,
        on_output: Callable[[Literal["out", "err"], bytes], None],
        cancel: threading.Event | None = None,
    ) -> LaunchResult:
        """Run one step to its end and return how it ended. Thread-safe."""
        ...


class StepOutcome(Struct, frozen=True):
    """How a step ended.

    ``status`` is ``ok``, ``failed`` or ``cancelled``. ``note`` is one line of at most 200 characters, ``tail`` the end
    of what it printed when it failed, ``log`` the file with all of it, if any. ``code`` is the error's when it failed.
    ``usage`` is what it says it used up.
    """

    status: Literal["ok", "failed", "cancelled"]
    exit_code: int | None = None
    duration_ms: int = 0
    note: str = ""
    code: str = ""
    tail: str = ""
    log: Path | None = None
    usage: Usage = field(default_factory=Usage)

    @property
    def final(self) -> bool:
        """Whether starting the step again could not help: it was refused before it ran."""
        return self.status == "failed" and self.exit_code is None and self.code not in {"E_ADAPTER_FAIL", "E_TIMEOUT"}


class _Times(Struct, frozen=True):
    """How long a step may take, and how long it may be silent, in seconds."""

    whole_s: float
    idle_s: float | None


class _PrivateFolder:
    """A step's own folder. One that no step did anything to serves the next step too."""

    __slots__ = ("_made", "path", "reusable")

    def __init__(self, path: str) -> None:
        os.mkdir(path, 0o700)
        self.path = path
        self._made = self._state()
        self.reusable = False

    def _state(self) -> tuple[int, int]:
        info = os.lstat(self.path)
        return info.st_ino, info.st_ctime_ns  # making or removing a name in it, its mode: all of that moves the ctime

    def is_untouched(self) -> bool:
        """Return whether it is as it was made."""
        try:
            return self._state() == self._made and not os.listdir(self.path)
        except OSError:
            return False

    def remove(self) -> None:
        """Remove it with what is in it."""
        try:
            os.rmdir(self.path)
        except OSError:
            _remove_tree(self.path)


class Workbench:
    """Runs the steps of one bundle. A context manager: it owns the folder that the private temporary folders are in.

    Args:
        bundle: what was approved, with its secrets.
        root: the project root; cwd and write paths are relative to it.
        workspace: the workspace's own folder, closed to every step.
        forbidden: what else no step may touch: the job store, the notebook.
        allowed_roots: folders outside the project where steps may write too, when they declare it.
        launcher: starts scripts.
        redactor: told every secret of the bundle.
        mark: ``<job>:<epoch>``, what a step may use as its fencing token.
        inherited: the variables that steps get which inherit their environment.
        on_output: shown every step's output as it comes, besides its log.

    Raises:
        UnsafeOperationError: E_UNSAFE_OPERATION, a step wants to write where none may; said before anything runs.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        root: Path,
        workspace: Path,
        launcher: StepExecutor,
        redactor: Redactor,
        mark: str,
        forbidden: tuple[Path, ...] = (),
        allowed_roots: tuple[Path, ...] = (),
        inherited: Mapping[str, str] | None = None,
        on_output: OnOutput | None = None,
    ) -> None:
        self._inherited = dict(inherited or {})
        self._on_output = on_output
        self._artifacts: dict[str, Artifact] = {a.path: a for a in bundle.artifacts}
        self._secrets = bundle.secrets
        self._root = root.resolve()
        self._workspace = workspace
        closed = (workspace, *forbidden)
        self._bounds = WriteBounds.of(self._root, closed, allowed_roots)
        self._launcher = launcher
        self._mark = mark
        for value in bundle.secrets.values():
            redactor.register(value)
        for path in sorted({path for s in bundle.steps for path in s.write}):
            self._check_write(path)
        interpreters = sorted({s.interpreter for s in bundle.steps if s.interpreter})
        self._read = read_roots(self._root, hidden=closed, interpreters=interpreters)
        self._go: GoBuilder | None = None
        if any(step.cmd[0] == "go" for step in bundle.steps):
            from clockwork_nb.forge import golang

            self._go = golang.GoBuilder()
        self._folder = ""
        self._held = -1
        self._count = 0
        self._lock = threading.Lock()
        self._made: list[Path] = []
        self._spare: list[_PrivateFolder] = []

    def __enter__(self) -> Self:
        base = temporary_base()
        _sweep(base)
        self._folder = make_private_folder(base, _FOLDER)
        self._held = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(self._held, fcntl.LOCK_EX)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for spare in self._spare:
            spare.remove()
        try:
            os.rmdir(self._folder)
        except OSError:
            _remove_tree(self._folder)
        os.close(self._held)
        remove_prepared(self._made)

    def _check_write(self, path: str) -> None:
        # What is not there yet may be a folder by the time of its step; then it is looked at as one, here. What it
        # turns out to be is looked at again right before the step.
        there = (self._root / path).exists()
        grants_within(self._bounds, [path if there else f"{path.rstrip('/')}/"])

    def artifacts_of(self, step: BundleStep) -> list[Artifact]:
        """Return the artifacts a step uses: its script or spec first, then its data."""
        at = script_index(step.cmd)
        paths = ([step.cmd[at]] if at >= 0 else []) + [step.data[name] for name in sorted(step.data)]
        return [self._artifacts[path] for path in paths]

    def run(
        self,
        step: BundleStep,
        *,
        timeout_s: float,
        key: str,
        log: StepLog,
        removes: bool,
        cancel: threading.Event,
        idle_timeout_s: float = 0,
    ) -> StepOutcome:
        """Carry *step* out and return how it ended. Blocking; thread-safe.

        Args:
            timeout_s: until it is stopped.
            key: the idempotency key it is told.
            removes: whether it takes something away: folders made only to give it its rights are removed at the end.
            cancel: set to stop it.
            idle_timeout_s: until it is stopped when it says nothing; 0 for never. Not for a service.

        Raises:
            StepInterruptedError: E_STEP_INTERRUPTED, the launcher died; it is not known what the step did.
        """
        try:
            if step.cmd[0] == BUILT_IN:
                return self._run_service(step, timeout_s, cancel)
            limits = _Times(timeout_s, idle_timeout_s or None)
            return self._run_script(step, limits, key, log, removes, cancel)
        except StepInterruptedError:
            raise
        except InterruptedByUserError:
            return StepOutcome("cancelled")
        except ClockworkError as error:
            return _refused(error)

    # --- services -------------------------------------------------------------------------------------------------

    def _run_service(self, step: BundleStep, timeout_s: float, cancel: threading.Event) -> StepOutcome:
        from clockwork_nb.forge import services  # brings an HTTP client along, which few runs need

        artifact = self._artifacts[step.cmd[2]]
        spec: dict[str, Any] = parse_json(artifact.content, what=artifact.path)
        name = slug(step.address)
        directory = self._workspace / "services" / name
        if step.cmd[1] == "remove":
            stop_s = spec.get("stop_timeout_s", 10)
            result = services.remove(name, directory=directory, timeout_s=min(float(stop_s) + 6, timeout_s))
        else:
            values = {s: self._secret_text(s) for s in step.secret_vars.values()}
            result = services.ensure(
                spec, directory=directory, root=self._root, secrets=values, timeout_s=timeout_s, cancel=cancel
            )
        return StepOutcome("ok", exit_code=0, note=result.note[:NOTE_CHARS])

    # --- scripts --------------------------------------------------------------------------------------------------

    def _run_script(
        self, step: BundleStep, times: _Times, key: str, log: StepLog, removes: bool, cancel: threading.Event
    ) -> StepOutcome:
        grants = grants_within(self._bounds, step.write) if step.write else []
        made = prepare_write_roots(grants) if grants else []
        if made and removes:
            with self._lock:
                self._made += made
        with self._private_folder() as folder:
            spec = self._spec(step, times, key, folder.path, grants)
            try:
                result = self._launcher.run(spec, on_output=self._listener(log), cancel=cancel)
            finally:
                log.close()
            folder.reusable = result.ok and not result.stuck and not step.detaches and folder.is_untouched()
            usage = Usage() if folder.reusable else read_usage(Path(folder.path, METER_NAME))
        return _judge(result, times, log, step.cmd[script_index(step.cmd)], usage)

    def _listener(self, log: StepLog) -> OnOutput:
        shown = self._on_output
        if shown is None:
            return log.write

        def both(stream: Literal["out", "err"], data: bytes) -> None:
            log.write(stream, data)
            shown(stream, data)

        return both

    def _spec(self, step: BundleStep, times: _Times, key: str, folder: str, grants: list[Grant]) -> LaunchSpec:
        at = script_index(step.cmd)
        if step.inherits_environment:
            env = {**self._inherited, **step.vars}
        else:
            env = {"PATH": FIXED_PATH, "HOME": folder, "TMPDIR": folder, "LANG": "C.UTF-8", "TZ": "UTC", **step.vars}
        if step.cls == "host" and not step.inherits_environment:
            env["CW_WORKSPACE"] = str(self._workspace)  # the walls of other steps hide it
        env["CW_FENCING_TOKEN"] = self._mark
        env["CW_IDEMPOTENCY_KEY"] = key
        env["CW_METER"] = f"{folder}/{METER_NAME}"
        data: dict[int, bytes] = {}
        inputs = [(name, self._content(step.data[name])) for name in sorted(step.data)]
        inputs += [(name, self._secret_text(step.secret_vars[name]).encode()) for name in sorted(step.secret_vars)]
        for number, (name, content) in enumerate(inputs, FIRST_DATA_FD):
            if step.cmd[0] == "deno":  # it opens nothing below /proc, whatever it is allowed
                env[name] = _private_file(f"{folder}/{number}", content)
            else:
                data[number] = content
                env[name] = f"/proc/self/fd/{number}"
        roots = (Grant(folder, "write"), *grants)
        exe, argv, script = step.interpreter, (step.interpreter, *step.cmd[1:]), self._artifacts[step.cmd[at]].content
        if step.cmd[0] == "go":
            assert self._go is not None
            exe, argv, script = "", step.cmd[at:], self._go.binary(step.interpreter, script, step.cmd[at])
        elif step.cmd[0] == "deno":
            from clockwork_nb.forge.deno import DENO_ENVIRONMENT, deno_flags

            flags = deno_flags(step.cmd[2:at], grants=(*self._read, *roots), names=env, network=step.network)
            argv = (step.interpreter, "run", *flags, *step.cmd[at:])
            env |= {"DENO_DIR": folder, **DENO_ENVIRONMENT}
        return LaunchSpec(
            argv=argv,
            exe=exe,
            script=script,
            script_name=step.cmd[at],
            data=data,
            env=env,
            cwd=self._root / step.cwd,
            write_roots=roots,
            read_roots=self._read if step.network is False else (*self._read, *resolver_roots()),
            network=step.network,
            confined=step.cls == "confined",
            timeout_s=times.whole_s,
            grace_s=HOST_GRACE_S if step.cls == "host" and not step.inherits_environment else GRACE_S,
            idle_timeout_s=times.idle_s,
            limits=_limits(step),
            detaches=step.detaches,
        )

    @contextlib.contextmanager
    def _private_folder(self) -> Iterator[_PrivateFolder]:
        with self._lock:
            folder = self._spare.pop() if self._spare else None
            if folder is None:
                self._count += 1
                number = self._count
        if folder is None:
            folder = _PrivateFolder(f"{self._folder}/{number}")
        folder.reusable = False
        try:
            yield folder
        finally:
            if folder.reusable:
                with self._lock:
                    self._spare.append(folder)
            else:
                folder.remove()

    def _content(self, path: str) -> bytes:
        artifact = self._artifacts[path]
        return self._secret_text(artifact.secret).encode() if artifact.secret else artifact.content

    def _secret_text(self, name: str) -> str:
        if name not in self._secrets:
            raise BundleSchemaError(
                f"the value of the secret {name} is not known any more",
                hint="Sensitive values are in no file. Resume with the same variables set, or plan again.",
                details={"secret": name},
            )
        value = unseal(self._secrets[name])
        return value if isinstance(value, str) else canonical_json(value).decode()


def _private_file(path: str, content: bytes) -> str:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(content)
    return path


def _limits(step: BundleStep) -> Mapping[str, int]:
    if step.inherits_environment:
        return {}  # what runs as the person's own command has the person's own limits
    if step.cls == "host":
        # What it drives brings its own limits, and what it leaves running would keep these for ever.
        return {} if step.detaches else {"CORE": 0}
    return {**DEFAULT_LIMITS, "DATA": _DENO_DATA} if step.cmd[0] == "deno" else DEFAULT_LIMITS


def _remove_tree(path: str) -> None:
    import shutil

    shutil.rmtree(path, ignore_errors=True)


def _sweep(base: Path) -> None:
    """Remove the private folders that runs which were killed left behind: ours, and held by nobody."""
    with os.scandir(base) as found:
        left = [e.path for e in found if e.name.startswith(_FOLDER) and e.is_dir(follow_symlinks=False)]
    for path in left:
        try:
            handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            continue  # another user's, or just gone
        try:
            info = os.fstat(handle)
            if info.st_uid == os.getuid() and info.st_mtime < time.time() - _SWEEP_AFTER_S:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove_tree(path)
        except BlockingIOError:
            continue  # a run that is under way
        finally:
            os.close(handle)


def _refused(error: ClockworkError) -> StepOutcome:
    tail = str(error.details.get("tail", "")) or error.hint
    log = error.details.get("log")
    exit_code = error.details.get("exit_code")
    return StepOutcome(
        "failed",
        exit_code=exit_code if isinstance(exit_code, int) else None,
        note=error.message[:NOTE_CHARS],
        code=error.code,
        tail=tail,
        log=Path(log) if isinstance(log, str) else None,
    )


def _judge(result: LaunchResult, times: _Times, log: StepLog, script: str, usage: Usage) -> StepOutcome:
    if result.killed == "cancelled":
        return StepOutcome("cancelled", duration_ms=result.duration_ms, usage=usage)
    code = "E_ADAPTER_FAIL"
    if result.killed == "idle":
        note, code = f"stopped after {times.idle_s:g} s without output (idle timeout)", "E_TIMEOUT"
    elif result.killed is not None:
        note, code = f"stopped after {times.whole_s:g} s", "E_TIMEOUT"
    elif result.error:
        note = f"could not be started: {result.error}"
    elif result.signal is not None:
        note = f"killed by {_signal_name(result.signal)}"
    elif result.exit_code:
        note = f"exit {result.exit_code}"
    else:
        note = _readable(log.out.last_line(), script)
        if result.strays:
            note = f"{note} (processes it left running were ended: {result.strays})".strip()
        return StepOutcome("ok", exit_code=0, duration_ms=result.duration_ms, note=note[:NOTE_CHARS], usage=usage)
    return StepOutcome(
        "failed",
        exit_code=result.exit_code,
        duration_ms=result.duration_ms,
        note=note[:NOTE_CHARS],
        code=code,
        tail=_readable(log.tail(), script),
        log=log.path() if log.out.total or log.err.total else None,
        usage=usage,
    )


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _readable(text: str, script: str) -> str:
    """Return *text* with the name that the script has inside a step replaced by its artifact path."""
    return _SCRIPT_NAME.sub(lambda _: script, text) if "/" in text else text
