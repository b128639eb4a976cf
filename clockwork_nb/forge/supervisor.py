"""One service's supervisor: starts the process, restarts it, keeps its log, and ends it with everything below it.

Run as ``python -I -S supervisor.py DIRECTORY`` by `forge.services`. DIRECTORY holds ``service.json``, the order::

    {"version": "1", "spec": {…}, "spec_digest": hex, "cwd": absolute path, "instance": hex}

``instance`` marks this start: every process of it that keeps its environment can be told by `INSTANCE_VARIABLE`, also
when the supervisor was killed.

One line of JSON on stdin, variable → value, gives the secret part of the environment; it is never written. The program
exits at once: 0 when the supervisor now runs on its own (session of its own, child of nobody), 3 when another one holds
the folder, 2 when the order is unusable. What the supervisor writes into DIRECTORY:

* ``lock``: held (flock) while it lives; ``state.json``: replaced as a whole at each change, see `_Supervisor.save`;
* ``out.log``, ``out.log.1``…: what the service printed, secret values masked; two of at most 8 MiB each, unless the
  spec says otherwise with ``log_bytes`` and ``log_files``;
* ``supervisor.log``: its own trouble, normally empty.

SIGTERM or SIGINT ends the service: SIGTERM to its process group, after ``stop_timeout_s`` SIGKILL, and then everything
that had left the group. The service must stay in the foreground: when its first process ends, whatever that left running
is killed before a restart. Standard library only, one thread.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import json
import os
import resource
import select
import signal
import sys
import time
from datetime import UTC, datetime
from typing import Any, NoReturn

LOG_BYTES = 8 << 20
LOG_FILES = 2
FIRST_DELAY_S = 0.1
LONGEST_DELAY_S = 60.0
HEALTHY_S = 10.0
"""A run of this length makes the next restart a first one again."""

INSTANCE_VARIABLE = "CW_SERVICE_INSTANCE"

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_MASK = b"(sensitive)"
_INHERITED = ("PATH", "LANG", "TZ")
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def restart_delay(failures: int) -> float:
    """Return the seconds to wait before a restart after *failures* (0, 1, …) short runs in a row.

    >>> [restart_delay(n) for n in (0, 1, 4, 40)]
    [0.1, 0.2, 1.6, 60.0]
    """
    return min(LONGEST_DELAY_S, FIRST_DELAY_S * 2.0 ** min(failures, 30))


def restart_wanted(policy: str, failed: bool, failures: int) -> bool:
    """Return whether *policy* (``no``, ``always``, ``unless-stopped``, ``on-failure[:N]``) restarts after an end.

    Args:
        policy: compose's word.
        failed: whether it ended with a signal or a code other than 0.
        failures: how many short runs in a row came before this one.
    """
    if policy in {"always", "unless-stopped"}:
        return True
    if not policy.startswith("on-failure"):
        return False
    most = policy.partition(":")[2]
    return failed and (not most or failures < int(most))


def boot_id() -> str:
    """Return the id of this boot of the kernel."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def start_time(pid: int) -> int:
    """Return when *pid* started, in clock ticks after boot; 0 when there is no such process or it is a zombie."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] in {b"Z", b"X"} else int(fields[19])


class Log:
    """``out.log``: masks the secrets, also when a chunk's border cuts one, and turns over at *limit* bytes.

    *files* are kept, the one being written included.
    """

    def __init__(self, path: str, secrets: list[bytes], limit: int = LOG_BYTES, files: int = LOG_FILES) -> None:
        self.path = path
        self.limit = limit
        self.files = files
        self.secrets = sorted({s for s in secrets if len(s) >= 4}, key=lambda s: (-len(s), s))
        self.held = b""
        self.open()

    def open(self) -> None:
        self.fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        self.size = os.fstat(self.fd).st_size

    def add(self, chunk: bytes) -> None:
        data = self.held + chunk
        cut = self.cut(data)
        self.held = data[cut:]
        self.put(self.masked(data[:cut]))

    def masked(self, data: bytes) -> bytes:
        for secret in self.secrets:
            data = data.replace(secret, _MASK)
        return data

    def cut(self, data: bytes) -> int:
        """Return where *data* may be cut without cutting a secret, or what the next chunk may make one."""
        cut = len(data)
        for secret in self.secrets:
            for size in range(min(len(secret) - 1, len(data)), len(data) - cut, -1):
                if data.endswith(secret[:size]):
                    cut = len(data) - size
                    break
        moved = True
        while moved:  # a whole secret across the cut moves the cut before it
            moved = False
            for secret in self.secrets:
                at = data.find(secret, max(0, cut - len(secret) + 1), cut + len(secret) - 1)
                if 0 <= at < cut:
                    cut, moved = at, True
        return cut

    def flush(self) -> None:
        self.put(self.masked(self.held))
        self.held = b""

    def put(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            if self.size >= self.limit:
                os.close(self.fd)
                self.turn_over()
                self.open()
            try:
                written = os.write(self.fd, view[: self.limit - self.size])
            except OSError as error:
                if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                    return  # a full disk loses log lines; it must not stop the service
                raise
            self.size += written
            view = view[written:]

    def turn_over(self) -> None:
        """Make room for a new file: each older one moves on by one, the oldest is overwritten."""
        names = [self.path, *(f"{self.path}.{n}" for n in range(1, self.files))]
        for older, newer in zip(names[:0:-1], names[-2::-1], strict=True):
            with contextlib.suppress(FileNotFoundError):
                os.replace(newer, older)
        if self.files == 1:
            os.unlink(self.path)


class _Supervisor:
    def __init__(self, directory: str, order: dict[str, Any], secrets: dict[str, str]) -> None:
        self.directory = directory
        self.spec: dict[str, Any] = order["spec"]
        self.cwd: str = order["cwd"]
        self.env = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        # The person's home is not the service's: no library shall find credentials there that nobody declared.
        self.env |= {"HOME": self.cwd, **self.spec["env"], **secrets}
        self.env[INSTANCE_VARIABLE] = order["instance"]
        self.log = Log(
            os.path.join(directory, "out.log"),
            [v.encode() for v in secrets.values()],
            self.spec.get("log_bytes", LOG_BYTES),
            self.spec.get("log_files", LOG_FILES),
        )
        self.pid = 0
        self.output = -1
        self.stopping = False
        self.failures = 0
        me = os.getpid()
        self.state: dict[str, Any] = {
            "version": "1",
            "service": self.spec["service"],
            "address": self.spec["address"],
            "pid": 0,
            "starttime": 0,
            "boot_id": boot_id(),
            "spec_digest": order["spec_digest"],
            "instance": order["instance"],
            "status": "starting",
            "restarts": 0,
            "last_exit": None,
            "supervisor_pid": me,
            "supervisor_starttime": start_time(me),
            "started_at": "",
            "ports": self.spec["ports"],
        }
        self.children = os.open(f"/proc/self/task/{me}/children", os.O_RDONLY | os.O_CLOEXEC)
        self.wake, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        for number in _STOP_SIGNALS:
            signal.signal(number, self.on_stop)
        for number in (signal.SIGCHLD, signal.SIGHUP, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, _nothing)  # handlers are reset by execve, ignored signals would be inherited

    def on_stop(self, _number: int, _frame: object) -> None:
        self.stopping = True

    def save(self, **changes: Any) -> None:
        """Replace ``state.json``. Not synced: after a crash of the machine its boot id is old, and nothing runs."""
        self.state.update(changes)
        path = os.path.join(self.directory, "state.json")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path + ".tmp")  # of a killed one, or a link that came with somebody's folder
        fd = os.open(path + ".tmp", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(fd, "w", encoding="utf-8") as file:
            json.dump(self.state, file, indent=1, sort_keys=True)
        os.replace(path + ".tmp", path)

    # -- the life of the service

    def supervise(self) -> None:
        self.save()
        while True:
            begun = time.monotonic()
            self.start()
            code = self.watch()
            self.sweep()
            ended = {"code": code, "signal": None} if code >= 0 else {"code": None, "signal": -code}
            self.log.flush()
            if self.stopping:
                self.save(status="stopped", pid=0, starttime=0, last_exit=ended)
                return
            if time.monotonic() - begun >= HEALTHY_S:
                self.failures = 0
            if not restart_wanted(self.spec["restart"], code != 0, self.failures):
                self.save(status="failed" if code else "exited", pid=0, starttime=0, last_exit=ended)
                return
            self.save(status="backoff", pid=0, starttime=0, last_exit=ended)
            self.rest(restart_delay(self.failures))
            if self.stopping:
                self.save(status="stopped")
                return
            self.failures += 1
            self.state["restarts"] += 1

    def start(self) -> None:
        read_end, write_end = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(read_end, False)
        supervisor = os.getpid()
        # A stop that comes between fork and exec must reach the new program, not our handler in its copy.
        signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
        pid = os.fork()
        if pid == 0:
            self.become(write_end, supervisor)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)
        os.close(write_end)
        self.pid, self.output = pid, read_end
        self.save(
            status="running",
            pid=pid,
            starttime=start_time(pid),
            started_at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        )

    def become(self, output: int, supervisor: int) -> NoReturn:
        try:
            os.setsid()
            _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != supervisor:
                os._exit(1)
            os.dup2(output, 1)
            os.dup2(output, 2)
            os.chdir(self.cwd)
            os.umask(0o022)
            if "memory_bytes" in self.spec:
                hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
                limit = self.spec["memory_bytes"]
                limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
                resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
            for number in _STOP_SIGNALS:
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)
            os.execvpe(self.spec["command"][0], self.spec["command"], self.env)  # noqa: S606 - argv was approved
        except BaseException as error:
            os.write(2, f"clockwork: {self.spec['command'][0]} could not be started: {error}\n".encode())
        finally:
            os._exit(127)

    def watch(self) -> int:
        """Keep the log until the service's process ends; returns its exit code, or minus its signal."""
        poller = select.poll()
        poller.register(self.wake, select.POLLIN)
        poller.register(self.output, select.POLLIN)
        kill_at = 0.0
        code: int | None = None
        while code is None:
            wait = max(0.0, kill_at - time.monotonic()) * 1000 if kill_at else None
            for fd, _ in poller.poll(wait):
                if fd == self.wake:
                    _drain(self.wake)
                elif self.copy() == 0:
                    poller.unregister(fd)
            code = self.reap()
            if self.stopping and not kill_at:
                kill_at = time.monotonic() + self.spec["stop_timeout_s"]
                _signal_group(self.pid, signal.SIGTERM)
            elif kill_at and time.monotonic() >= kill_at:
                _signal_group(self.pid, signal.SIGKILL)
                kill_at = time.monotonic() + 1
        return code

    def copy(self) -> int:
        """Move what the service printed into the log; returns the size, 0 at the end, -1 when nothing is there now."""
        try:
            chunk = os.read(self.output, 1 << 16)
        except BlockingIOError:
            return -1
        self.log.add(chunk)
        return len(chunk)

    def reap(self) -> int | None:
        code = None
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    break
                if pid == self.pid:
                    code = os.waitstatus_to_exitcode(status)
        return code

    def sweep(self) -> None:
        """Kill what the service left running, in its group or outside, and take the rest of its output."""
        deadline = time.monotonic() + 5
        while (pids := self.below()) and time.monotonic() < deadline:
            for pid in pids:  # our own unreaped children, so no number can be somebody else's
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.reap()
            time.sleep(0.001)
        while self.copy() > 0:
            pass
        os.close(self.output)

    def below(self) -> list[int]:
        return [int(p) for p in os.pread(self.children, 1 << 16, 0).split()]

    def rest(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        poller = select.poll()
        poller.register(self.wake, select.POLLIN)
        while not self.stopping and (left := until - time.monotonic()) > 0:
            if poller.poll(left * 1000):
                _drain(self.wake)


def _nothing(_number: int, _frame: object) -> None:
    """A handler that does nothing."""


def _drain(fd: int) -> None:
    with contextlib.suppress(BlockingIOError):
        while os.read(fd, 4096):
            pass


def _signal_group(pid: int, number: int) -> None:
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)  # not yet a session of its own


def _prctl(option: int, value: int) -> None:
    zero = ctypes.c_ulong(0)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(ctypes.c_int(option), ctypes.c_ulong(value), zero, zero, zero) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _detach(directory: str) -> None:
    """Leave the caller: a session of our own, no terminal, no open file of the caller's, the supervisor's log as stderr."""
    if os.fork():
        os._exit(0)
    os.setsid()
    if os.fork():
        os._exit(0)
    os.chdir("/")
    os.umask(0o077)
    null = os.open(os.devnull, os.O_RDWR)
    own = os.open(
        os.path.join(directory, "supervisor.log"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600
    )
    for target, fd in ((0, null), (1, null), (2, own)):
        os.dup2(fd, target)
    os.close(null)
    os.close(own)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    for number in signal.valid_signals():
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def main(argv: list[str]) -> int:
    """Take the lock, detach and supervise; see the module's text."""
    directory = os.path.abspath(argv[1])
    try:
        with open(os.path.join(directory, "service.json"), encoding="utf-8") as file:
            order = json.load(file)
        secrets = json.loads(sys.stdin.readline() or "{}")
    except (OSError, ValueError) as error:
        print(f"the order is unusable: {error}", file=sys.stderr)
        return 2
    lock = os.open(os.path.join(directory, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # goes with the open file through the forks
    except BlockingIOError:
        print("another supervisor holds this service", file=sys.stderr)
        return 3
    _detach(directory)
    status = 1
    try:
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)
        _Supervisor(directory, order, secrets).supervise()
        status = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
        sys.stderr.flush()
    finally:
        os._exit(status)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
