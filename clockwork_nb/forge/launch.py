"""The caller's side of the step launcher: start it, run steps in it from many threads, end it.

Only approved bytes run: scripts and data reach the step as sealed memory files, never by a path that could be changed
in between. The calling thread of `Launcher.run` reads the step's output; one more thread receives the replies.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import resource
import select
import socket
import subprocess
import sys
import threading
import time
from array import array
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Self

from clockwork_nb.errors import AdapterFailedError, BundleLimitError, StepInterruptedError
from clockwork_nb.forge import launcher
from clockwork_nb.forge.confinement import Confinement, probe
from clockwork_nb.forge.launch_spec import (
    DEFAULT_LIMITS,
    FIRST_DATA_FD,
    Killed,
    LaunchResult,
    LaunchSpec,
    check_launch,
    landlock_rules,
    link_name,
)
from clockwork_nb.forge.temporary import temporary_base

__all__ = ["DEFAULT_LIMITS", "FIRST_DATA_FD", "LaunchResult", "LaunchSpec", "Launcher", "sealed_memfd"]

Stream = Literal["out", "err"]

_STREAMS: tuple[tuple[int, Stream], ...] = ((1, "out"), (2, "err"))

_TICK_MS = 100  # how soon a set `cancel` event is seen; an Event has no descriptor to wait for
_LINGER_S = 2.0  # how long output is awaited after the end, should a stranger hold the pipe
_CHUNK = 1 << 16
# Imported instead of run as a file: then its compiled form is kept, and what the compiler would have used is not part of
# a process that is copied for each step.
_BOOT = "import sys; sys.path.insert(0, sys.argv.pop(1)); import launcher; sys.exit(launcher.main(sys.argv))"


OnOutput = Callable[[Stream, bytes], None]


def sealed_memfd(content: bytes, *, executable: bool = False, name: str = "clockwork") -> int:
    """Return a descriptor of a memory file with *content* that nobody can change, positioned at 0.

    Args:
        content: the bytes.
        executable: whether the kernel may execute the file itself; an interpreter's script needs no such right.
        name: what ``/proc`` calls it.
    """
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    wanted = 0x10 if executable else 0x08  # MFD_EXEC, MFD_NOEXEC_SEAL: Linux 6.3, include/uapi/linux/memfd.h
    try:
        fd = os.memfd_create(name, flags | wanted)
    except OSError:
        fd = os.memfd_create(name, flags)
    try:
        written = 0
        while written < len(content):
            written += os.pwrite(fd, content[written:], written)
        seals = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    except BaseException:
        os.close(fd)
        raise
    return fd


class _Run:
    """A step that was sent off and has not been answered yet."""

    __slots__ = ("boxed", "done", "error", "id", "reply")

    def __init__(self, run_id: str) -> None:
        self.id = run_id
        self.done = threading.Event()
        self.boxed = False
        self.error = ""
        self.reply: dict[str, Any] | None = None


class Launcher:
    """A running step launcher. A context manager; `run` may be called from many threads at once.

    Args:
        confinement: what to rely on; by default what `probe` finds. A ``basic`` one runs steps without Landlock.
    """

    def __init__(self, confinement: Confinement | None = None) -> None:
        self.confinement = confinement or probe()
        self.pid = 0
        self._lock = threading.Lock()
        self._runs: dict[str, _Run] = {}
        self._counter = 0
        self._dead = "it was not started"
        self._names = ""
        self._ready = threading.Event()
        self._stats: dict[str, int] = {}
        self._stats_ready = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._sock: socket.socket | None = None
        self._reader: threading.Thread | None = None
        self._stderr = -1

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()

    # -- life

    def start(self) -> None:
        """Start the launcher's processes; returns when they answer.

        Raises:
            AdapterFailedError: E_ADAPTER_FAIL, not Linux, or the process did not come up.
        """
        if self._process is not None:
            raise AdapterFailedError("the launcher was started before", hint="Make a new Launcher.")
        if sys.platform != "linux" or not Path("/proc/self/fd").is_dir():
            raise AdapterFailedError(
                "steps can only be run on Linux with /proc mounted",
                hint="Planning, building and verifying work here; apply on Linux.",
            )
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._sock = ours
        self._stderr = os.memfd_create("clockwork-launcher-stderr", os.MFD_CLOEXEC)
        kept = {k: os.environ[k] for k in ("LD_LIBRARY_PATH",) if k in os.environ}  # some Pythons do not start without
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _BOOT, str(Path(launcher.__file__).parent), str(theirs.fileno())],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._stderr,
                env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TMPDIR": str(temporary_base()), **kept},
                cwd="/",
                start_new_session=True,  # the notebook's interrupt must not reach it
            )
        self._dead = ""
        self._reader = threading.Thread(target=self._receive, name="clockwork-launcher", daemon=True)
        self._reader.start()
        if not self._ready.wait(30) or self._dead:
            reason = self._dead or "it did not answer in 30 s"
            self.shutdown()
            raise AdapterFailedError(f"the step launcher did not start: {reason}", hint="Try again.")

    def shutdown(self) -> None:
        """End the launcher and kill everything it started. Steps still running end with an error. May be called twice."""
        process, sock = self._process, self._sock
        if process is None or sock is None or sock.fileno() < 0:
            return
        with contextlib.suppress(OSError):
            sock.send(b'{"op":"shutdown"}', socket.MSG_DONTWAIT)
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_WR)  # tells it too, should its queue be full
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()  # the worker sees its guard go and cleans up
            process.wait()
        if self._reader is not None:
            self._reader.join(timeout=10)
        sock.close()
        os.close(self._stderr)
        self._stderr = -1

    @property
    def alive(self) -> bool:
        """Whether steps can be run."""
        return not self._dead

    def hurry(self, grace_s: float) -> None:
        """Let every step have at most *grace_s* seconds from SIGTERM to SIGKILL from now on. For who must be gone soon."""
        with contextlib.suppress(AdapterFailedError):  # it has ended, and all steps with it
            self._send({"op": "hurry", "grace": grace_s}, [])

    def stats(self) -> Mapping[str, int]:
        """Return the launcher's counters: ``running``, ``runs``, ``strays``, ``stuck``."""
        self._stats_ready.clear()
        self._send({"op": "stats"}, [])
        self._stats_ready.wait(10)
        return dict(self._stats)

    # -- running

    def run(self, spec: LaunchSpec, *, on_output: OnOutput, cancel: threading.Event | None = None) -> LaunchResult:
        """Run one step to its end and return how it ended; nothing it started is left then.

        *on_output* is called in this thread with each piece of output as it comes, at most 64 KiB; the step is not held
        up longer than the call takes. Should it raise, the step is killed and the exception goes on. Setting *cancel*
        kills the step within about 100 ms and its grace time.

        Raises:
            AdapterFailedError: E_ADAPTER_FAIL, the launcher is not running; the step was not started.
            StepInterruptedError: E_STEP_INTERRUPTED, the launcher died meanwhile; it is not known what the step did.
            BundleLimitError: E_BUNDLE_LIMIT, words and environment are too large to be sent.
            InvalidInputError: E_INVALID_INPUT_SCHEMA, a spec that cannot be run.
        """
        check_launch(spec)
        if cancel is not None and cancel.is_set():
            return LaunchResult(killed="cancelled")
        run = self._register()
        ends: dict[int, Stream] = {}
        try:
            self._dispatch(run, spec, ends)
            try:
                self._pump(run, ends, on_output, cancel, spec.idle_timeout_s)
            except BaseException:
                self._cancel(run, "cancelled")
                _close(ends)  # a step that is writing gets SIGPIPE instead of waiting for us
                run.done.wait(spec.grace_s + 10)
                raise
        finally:
            _close(ends)
            with self._lock:
                self._runs.pop(run.id, None)
        return self._result(run)

    def _register(self) -> _Run:
        with self._lock:
            if self._dead:
                raise AdapterFailedError(
                    f"the step launcher is not running: {self._dead}", hint="Run the apply again; it resumes."
                )
            self._counter += 1
            run = self._runs[str(self._counter)] = _Run(str(self._counter))
        return run

    def _dispatch(self, run: _Run, spec: LaunchSpec, ends: dict[int, Stream]) -> None:
        """Send the step off, and add our ends of its output to *ends*."""
        theirs: dict[int, int] = {}  # number in the step → descriptor here
        try:
            for number, stream in _STREAMS:
                read_end, theirs[number] = os.pipe()
                ends[read_end] = stream
            if spec.stdin is not None:
                theirs[0] = sealed_memfd(spec.stdin)
            for number, content in spec.data.items():
                theirs[number] = sealed_memfd(content)
            if spec.script is not None:
                theirs[launcher.SCRIPT_FD] = sealed_memfd(spec.script, executable=not spec.exe)
            message = self._message(run, spec, theirs)
            if spec.confined and self.confinement.tier == "strict":
                run.boxed = True
                message = self._wrap(spec, message, theirs)
            self._send(message, list(theirs.values()))
        finally:
            for fd in theirs.values():
                os.close(fd)

    def _message(self, run: _Run, spec: LaunchSpec, fds: Mapping[int, int]) -> dict[str, Any]:
        confined = spec.confined and self.confinement.tier != "basic"
        # Without Landlock a step could change the links below; the bare descriptor path cannot be changed.
        name = link_name(spec.script_name) if spec.script is not None and confined else ""
        script = f"{self._names}/{name}" if name else f"/proc/self/fd/{launcher.SCRIPT_FD}"
        named = spec.script_name if spec.script is not None else None
        return {
            "op": "run",
            "id": run.id,
            # A Python looks for its library from the name it is called by, so that is where it really is.
            "argv": [spec.exe or script, *(script if word == named else word for word in spec.argv[1:])],
            "exe": spec.exe or script,
            "fds": list(fds),
            "env": dict(spec.env),
            "cwd": str(spec.cwd),
            "umask": spec.umask,
            "rules": landlock_rules(spec) if confined else None,
            "nnp": spec.confined,
            "detaches": spec.detaches and not spec.confined,
            "shield": False,
            "name": name,
            "limits": _limits(spec.limits),
            "timeout": spec.timeout_s,
            "grace": spec.grace_s,
        }

    def _wrap(self, spec: LaunchSpec, message: dict[str, Any], fds: dict[int, int]) -> dict[str, Any]:
        """Return *message* with the step started inside bubblewrap, and add the descriptors that this takes to *fds*."""
        from clockwork_nb.forge.sandbox import FILTER_FD, ORDER_FD, bubblewrap_words, inner_words
        from clockwork_nb.forge.syscall_filter import filter_program

        order = {"rules": message["rules"], "abi": self.confinement.abi}
        if self.confinement.abi < 1:
            order["rules"] = None
        order |= {name: message[name] for name in ("exe", "argv", "env")}
        fds[ORDER_FD] = sealed_memfd(json.dumps(order).encode())
        fds[FILTER_FD] = sealed_memfd(filter_program(os.uname().machine))
        grants = (*spec.read_roots, *spec.write_roots)
        words = bubblewrap_words(
            self.confinement.bwrap, grants, network=spec.network is not False, cwd=message["cwd"], names=self._names
        )
        # It gives up new privileges itself, and where it is set-uid it could not work without any.
        changed = {"rules": None, "nnp": False, "shield": True, "env": {"LC_ALL": "C"}, "cwd": "/"}
        return {**message, **changed, "exe": words[0], "argv": [*words, *inner_words()], "fds": list(fds)}

    def _send(self, message: Mapping[str, Any], fds: list[int]) -> None:
        assert self._sock is not None
        data = json.dumps(message).encode()
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", fds))] if fds else []
        try:
            self._sock.sendmsg([data], rights)
        except OSError as error:
            if error.errno == errno.EMSGSIZE or len(data) > launcher.MESSAGE_BYTES:
                raise BundleLimitError(
                    f"the step's words and variables are {len(data)} bytes, which is too much for one step",
                    hint="Pass large content as a data artifact.",
                ) from error
            raise AdapterFailedError(
                f"the step launcher is not running: {error.strerror}", hint="Run it again."
            ) from error

    def _cancel(self, run: _Run, why: Killed) -> None:
        with contextlib.suppress(AdapterFailedError):
            self._send({"op": "cancel", "id": run.id, "why": why}, [])

    def _pump(
        self,
        run: _Run,
        ends: dict[int, Stream],
        on_output: OnOutput,
        cancel: threading.Event | None,
        idle_timeout_s: float | None,
    ) -> None:
        """Hand on output until the step has ended, watching for what must end it early."""
        last = time.monotonic()
        told = False
        for fd in _readable(run, ends):
            if fd is not None:
                if chunk := os.read(fd, _CHUNK):
                    on_output(ends[fd], chunk)
                    last = time.monotonic()
                else:
                    del ends[fd]
                    os.close(fd)
            if told:
                continue
            if cancel is not None and cancel.is_set():
                self._cancel(run, "cancelled")
                told = True
            elif idle_timeout_s is not None and time.monotonic() - last >= idle_timeout_s:
                self._cancel(run, "idle")
                told = True

    def _result(self, run: _Run) -> LaunchResult:
        if run.reply is None:
            raise StepInterruptedError(
                f"the step launcher ended while the step was running: {self._dead}",
                hint="What the step did is not known; look before you run it again.",
            )
        reply = run.reply
        user, system, max_rss = reply["ru"]
        return LaunchResult(
            exit_code=None if run.error else reply["code"],
            signal=None if run.error else reply["sig"],
            killed=reply["killed"],
            error=run.error,
            duration_ms=round(reply["dur"] * 1000),
            strays=0
            if run.boxed
            else reply["strays"],  # the kernel ends its processes; what is seen is bubblewrap's own
            stuck=reply["stuck"],
            max_rss=max_rss,
            user_ms=round(user * 1000),
            system_ms=round(system * 1000),
        )

    # -- the receiving thread

    def _receive(self) -> None:
        assert self._sock is not None
        while True:
            try:
                data = self._sock.recv(launcher.MESSAGE_BYTES)
            except OSError:
                break
            if not data:
                break
            message = json.loads(data)
            if message["op"] == "ready":
                self.pid, self._names = message["pid"], message["names"]
                self._ready.set()
            elif message["op"] == "stats":
                self._stats = {k: v for k, v in message.items() if k != "op"}
                self._stats_ready.set()
            elif (run := self._runs.get(message["id"])) is not None:
                if message["op"] == "failed":
                    run.error = message["text"]
                else:
                    run.reply = message
                    run.done.set()
        self._all_ended()

    def _all_ended(self) -> None:
        reason = self._why_dead()
        with self._lock:
            self._dead = reason
            left = list(self._runs.values())
        for run in left:
            run.done.set()
        self._ready.set()
        self._stats_ready.set()

    def _why_dead(self) -> str:
        assert self._process is not None
        try:
            code = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return "it closed its connection"
        if code == 0:
            return "it was shut down"
        said = (
            os.pread(self._stderr, _CHUNK, 0).decode("utf-8", "replace").strip().splitlines()
            if self._stderr >= 0
            else []
        )
        how = f"it ended with code {code}" if code >= 0 else f"it was killed by signal {-code}"
        return f"{how}: {said[-1]}" if said else how


def _limits(wanted: Mapping[str, int]) -> list[tuple[int, int]]:
    """Return the number and value of each of *wanted*, cut to the hard limits, which the launcher has from this process."""
    out = []
    for name, value in wanted.items():
        which: int = getattr(resource, f"RLIMIT_{name}")
        hard = resource.getrlimit(which)[1]
        out.append((which, value if hard == resource.RLIM_INFINITY else min(value, hard)))
    return out


def _close(ends: dict[int, Stream]) -> None:
    while ends:
        os.close(ends.popitem()[0])


def _readable(run: _Run, ends: Mapping[int, Stream]) -> Iterator[int | None]:
    """Yield each of *ends* that has something to read (or its end), and None about every 100 ms, until the run is over.

    An end is dropped from *ends* by the caller. Ends that stay open after the run, because a stranger holds them, are
    given up after `_LINGER_S`.
    """
    poller = select.poll()
    for fd in ends:
        poller.register(fd, select.POLLIN)
    give_up = 0.0
    while ends:
        ready = poller.poll(_TICK_MS)
        for fd, _ in ready:
            yield fd
            if fd not in ends:
                poller.unregister(fd)
        if ready:
            continue
        yield None
        if run.done.is_set():
            give_up = give_up or time.monotonic() + _LINGER_S
            if time.monotonic() > give_up:
                return
    while not run.done.wait(_TICK_MS / 1000):
        yield None
