"""The step launcher: a small process that starts scripts, confines them, and leaves nothing behind.

Run as ``python -I -S launcher.py FD``, or imported and its `main` called, where FD is one end of a ``SOCK_SEQPACKET`` socket pair; `forge.launch` is the
other side. Standard library only, one thread, because it forks. Three processes are stacked:

* the **guard** only waits: should the worker die, it kills what the worker had started;
* the **worker** speaks the protocol and forks one child a step; it is the child subreaper, so that a process that
  left its session and its parent still ends up below us;
* each **step** is a session of its own.

The whole stack goes away when the caller dies (a pidfd tells), when the socket closes, or on ``shutdown``.

One message is one JSON object with its descriptors. To the launcher::

    {"op":"run","id","argv","exe","fds":["stdout","stderr","script","stdin","data:31"],"env","cwd","umask",
     "rules":null|{"read","children","write","mkdir","rmdir","net"},"nnp","detaches","shield","name","limits","timeout","grace"}
    {"op":"cancel","id","why"}    {"op":"hurry","grace"}    {"op":"stats"}    {"op":"shutdown"}

A step with a ``shield`` is started by a program that ignores SIGTERM and hands the signal's default on. One that
``detaches`` may leave processes running: those that have a process group of their own in its session (an engine's
network helpers), and those that have a session of their own (what watches a container) and, unlike everything a confined
step starts, no ``no_new_privs``. They are *kept* then, also by the guard, and are init's in the end.

From the launcher come ``ready`` once, ``failed`` (a step that could not be started, sent before its ``exited``), exactly one
``exited`` per run, sent when nothing of the step is left, and ``stats``.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import gc
import heapq
import json
import os
import resource
import select
import signal
import socket
import struct
import sys
import time
from array import array
from collections import deque

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from clockwork_nb.forge import landlock
elif __package__:
    from clockwork_nb.forge import landlock
else:  # started as a program: with -I its own folder is not searched, and may not stay so
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    import landlock

    del sys.path[0]

SCRIPT_FD = 30
MAX_FDS = 64
MESSAGE_BYTES = 1 << 18
_ROOM = socket.CMSG_SPACE(MAX_FDS * 4)
STUCK_AFTER_S = 2.0
"""How long a killed process may take to go; one in uninterruptible sleep is reported, not waited for."""

# --- processes below us -----------------------------------------------------------------------------------------


class _Children:
    """The pids whose parent is this process. Unreaped, so none of these numbers can be somebody else's."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        try:
            self.fd = os.open(f"/proc/self/task/{self.pid}/children", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            self.fd = -1  # a kernel without CONFIG_PROC_CHILDREN

    def read(self) -> list[int]:
        if self.fd < 0:
            return self._scan()
        text, at = b"", 0
        while chunk := os.pread(self.fd, 1 << 16, at):
            text += chunk
            at += len(chunk)
        return [int(p) for p in text.split()]

    def _scan(self) -> list[int]:
        found = []
        for name in os.listdir("/proc"):
            if name.isdigit():
                with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:
                    if int(file.read().rpartition(b")")[2].split()[1]) == self.pid:
                        found.append(int(name))
        return found


def _kill_and_reap(pids: list[int]) -> list[int]:
    """SIGKILL *pids*, our own children, and wait for them; returns those that did not go within `STUCK_AFTER_S`."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + STUCK_AFTER_S
    stuck = []
    for pid in pids:
        # Only pids that were just killed are waited for: a fresh orphan may live as long as it likes.
        while True:
            try:
                if os.waitpid(pid, os.WNOHANG)[0]:
                    break
            except ChildProcessError:
                break
            if time.monotonic() > deadline:
                stuck.append(pid)
                break
            time.sleep(0.0005)
    return stuck


def _kill_all(children: _Children, kept: set[tuple[int, int]]) -> None:
    stuck: set[int] = set()
    spared = {pid for pid, started in kept if _started(pid) == started}
    while pids := [p for p in children.read() if p not in stuck and p not in spared]:
        stuck.update(_kill_and_reap(pids))


def _started(pid: int) -> int:
    """Return when our child *pid* started, in clock ticks after boot; 0 when there is none."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[19])
    except OSError:
        return 0


def _no_new_privs(pid: int | str) -> bool:
    """Return whether *pid* or what started it gave up new privileges; True when that cannot be seen."""
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            return b"\nNoNewPrivs:\t0\n" not in file.read()
    except OSError:
        return True


def _read_kept(fd: int) -> set[tuple[int, int]]:
    words = os.pread(fd, os.fstat(fd).st_size, 0).split()
    return {(int(pid), int(started)) for pid, started in zip(words[::2], words[1::2], strict=True)}


# --- the worker -------------------------------------------------------------------------------------------------


class _Step:
    __slots__ = ("detaches", "grace", "id", "killed", "started", "strays")

    def __init__(self, run_id: str, grace: float, detaches: bool) -> None:
        self.id = run_id
        self.grace = grace
        self.detaches = detaches
        self.killed: str | None = None
        self.strays = 0
        self.started = time.monotonic()


class _End:
    """The end of a step's first process: its wait status and use, or no use when it would not go."""

    __slots__ = ("pid", "seconds", "status", "step", "usage")

    def __init__(self, pid: int, step: _Step, status: int, usage: resource.struct_rusage | None) -> None:
        self.pid = pid
        self.step = step
        self.status = status
        self.usage = usage
        self.seconds = time.monotonic() - step.started


def _nothing(_signal: int, _frame: object) -> None:
    """A handler that does nothing. Unlike SIG_IGN it is not inherited through execve."""


class _Worker:
    def __init__(self, sock: socket.socket, caller: int, guard: int, names: str, kept_file: int) -> None:
        self.sock = sock
        self.names = names
        self.kept_file = kept_file
        self.kept: set[int] = set()
        self.always_nnp = _no_new_privs("self")
        self.pid = os.getpid()
        self.abi = landlock.landlock_abi()
        self.children = _Children()
        self.steps: dict[int, _Step] = {}
        self.pids: dict[str, int] = {}
        self.stuck: set[int] = set()
        self.linked: set[str] = set()
        self.timers: list[tuple[float, int, int, str, str]] = []
        self.timer_count = 0
        self.outbox: deque[bytes] = deque()
        self.waits_to_send = False
        self.inbox = memoryview(bytearray(MESSAGE_BYTES))  # a new one of that size would be mapped for each message
        self.counts = {"runs": 0, "strays": 0}
        self.most_grace = float("inf")
        self.null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        self.wake, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, _nothing)
        self.epoll = select.epoll()
        for fd in (sock.fileno(), caller, guard, self.wake):
            self.epoll.register(fd, select.EPOLLIN)
        self.gone = {caller, guard}

    # -- the loop

    def serve(self) -> None:
        self.reply({"op": "ready", "abi": self.abi, "pid": self.pid, "names": self.names})
        while True:
            wait = max(0.0, self.timers[0][0] - time.monotonic()) if self.timers else -1
            for fd, event in self.epoll.poll(wait):
                if fd in self.gone:
                    return
                if fd == self.wake:
                    self.reap()
                elif event & select.EPOLLOUT and self.outbox:
                    self.flush()
                elif not self.receive():
                    return
            self.ring()

    def reply(self, message: dict[str, Any]) -> None:
        self.outbox.append(json.dumps(message).encode())
        self.flush()

    def flush(self) -> None:
        # A caller that does not read (stopped in a debugger) must not stop our timers, so nothing blocks here.
        while self.outbox:
            try:
                self.sock.send(self.outbox[0], socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
            except BlockingIOError:
                self.epoll.modify(self.sock.fileno(), select.EPOLLIN | select.EPOLLOUT)
                self.waits_to_send = True
                return
            except OSError:
                self.outbox.clear()  # the caller is gone; the pidfd says so in a moment
                return
            self.outbox.popleft()
        if self.waits_to_send:
            self.epoll.modify(self.sock.fileno(), select.EPOLLIN)
            self.waits_to_send = False

    def receive(self) -> bool:
        """Take one message; returns False when this process shall end."""
        try:
            # socket.recv_fds ignores its flags, and without close-on-exec the descriptors leak into other steps.
            size, ancillary, flags, _ = self.sock.recvmsg_into([self.inbox], _ROOM, socket.MSG_CMSG_CLOEXEC)
        except ConnectionError:
            return False
        if not size:
            return False
        fds = array("i")
        for level, kind, payload in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds.frombytes(payload[: len(payload) - len(payload) % 4])
        try:
            message = json.loads(str(self.inbox[:size], "utf-8"))
            if message["op"] == "shutdown":
                return False
            if message["op"] == "run":
                if flags & (socket.MSG_CTRUNC | socket.MSG_TRUNC) or len(fds) != len(message["fds"]):
                    self.refuse(message["id"], errno.EMFILE, "the launcher has too few file descriptors for this step")
                else:
                    self.run(message, list(fds))
            elif message["op"] == "cancel":
                self.stop(self.pids.get(message["id"], 0), message.get("why", "cancelled"))
            elif message["op"] == "hurry":
                self.hurry(message["grace"])
            elif message["op"] == "stats":
                self.reply(
                    {"op": "stats", "running": len(self.steps), "stuck": len(self.stuck), "timers": len(self.timers)}
                    | self.counts
                )
        finally:
            for fd in fds:
                os.close(fd)
        return True

    # -- starting

    def refuse(self, run_id: str, code: int, text: str) -> None:
        self.reply({"op": "failed", "id": run_id, "errno": code, "text": text})
        self.reply(
            {"op": "exited", "id": run_id, "pid": 0, "code": None, "sig": None, "dur": 0.0}
            | {"killed": None, "strays": 0, "stuck": 0, "ru": [0.0, 0.0, 0]}
        )

    def run(self, message: dict[str, Any], fds: list[int]) -> None:
        ruleset = -1
        try:
            if message["name"]:
                self.link(message["name"])
            if message["rules"] is not None:
                ruleset = landlock.build_ruleset(message["rules"], self.abi)
            limits = _limits(message["limits"])
            targets = {_target(role): fd for role, fd in zip(message["fds"], fds, strict=True)}
            command = _command(message)
            pid = os.fork()
            if pid == 0:
                self.become(message, command, targets, limits, ruleset)
        except (OSError, ValueError, KeyError) as error:
            self.refuse(message["id"], getattr(error, "errno", None) or errno.EINVAL, _say(error))
            return
        finally:
            if ruleset >= 0:
                os.close(ruleset)
        step = self.steps[pid] = _Step(
            message["id"], min(message["grace"], self.most_grace), message.get("detaches", False)
        )
        self.pids[step.id] = pid
        self.counts["runs"] += 1
        self.push(step.started + message["timeout"], pid, step.id, "timeout")

    def link(self, name: str) -> None:
        """Give the script a name that people recognise: a link to the descriptor, in a folder only we write to."""
        if name in self.linked:
            return
        if "/" in name or name in {".", ".."}:
            raise ValueError(f"{name!r} is not a file name")
        os.symlink(f"/proc/self/fd/{SCRIPT_FD}", f"{self.names}/{name}")
        self.linked.add(name)

    def become(
        self,
        message: dict[str, Any],
        command: tuple[bytes, list[bytes], dict[bytes, bytes]],
        targets: dict[int, int],
        limits: list[tuple[int, tuple[int, int]]],
        ruleset: int,
    ) -> NoReturn:
        """In the child: turn into the step. Touches as little memory as possible; every page is a copy."""
        try:
            os.setsid()
            landlock.die_with_parent(9)
            if os.getppid() != self.pid:
                os._exit(1)
            targets.setdefault(0, self.null)
            ruleset = _place(targets, ruleset)
            os.chdir(message["cwd"])
            os.umask(message["umask"])
            for which, pair in limits:
                resource.setrlimit(which, pair)
            # Kept by execve, not inherited by fork: the step's orphans stay below the step while it lives.
            landlock.keep_orphans()
            if message.get("shield"):
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
            if message["nnp"]:
                landlock.no_new_privileges()
            if ruleset >= 0:
                landlock.restrict_self(ruleset)
            os.execve(*command)  # noqa: S606 - argv was approved
        except BaseException as error:
            text = {
                "op": "failed",
                "id": message["id"],
                "errno": getattr(error, "errno", None) or 0,
                "text": _say(error, message["exe"]),
            }
            with contextlib.suppress(OSError):
                self.sock.send(json.dumps(text).encode(), socket.MSG_NOSIGNAL)
        finally:
            os._exit(127)

    # -- ending

    def push(self, when: float, pid: int, run_id: str, what: str) -> None:
        if len(self.timers) > 64 + 4 * len(self.steps):  # 10,000 short steps with a long timeout leave no heap behind
            self.timers = [t for t in self.timers if self.pids.get(t[3]) == t[2]]
            heapq.heapify(self.timers)
        self.timer_count += 1
        heapq.heappush(self.timers, (when, self.timer_count, pid, run_id, what))

    def ring(self) -> None:
        now = time.monotonic()
        while self.timers and self.timers[0][0] <= now:
            _, _, pid, run_id, what = heapq.heappop(self.timers)
            if self.pids.get(run_id) != pid:
                continue
            if what == "timeout":
                self.stop(pid, "timeout")
            elif what == "kill":
                os.kill(pid, signal.SIGKILL)  # its orphans come to us as strays
                self.push(time.monotonic() + STUCK_AFTER_S, pid, run_id, "give up")
            else:
                step = self.forget(pid)
                self.stuck.add(pid)
                self.report([_End(pid, step, signal.SIGKILL, None)])

    def stop(self, pid: int, why: str) -> None:
        step = self.steps.get(pid)
        if step is None or step.killed:
            return
        step.killed = why
        try:
            os.killpg(pid, signal.SIGTERM)
        except ProcessLookupError:
            os.kill(pid, signal.SIGTERM)  # not yet a session of its own
        self.push(time.monotonic() + step.grace, pid, step.id, "kill")

    def hurry(self, grace: float) -> None:
        """Let no step have more than *grace* seconds between SIGTERM and SIGKILL, whatever it was granted."""
        self.most_grace = min(self.most_grace, grace)
        for pid, step in self.steps.items():
            step.grace = min(step.grace, grace)
            if step.killed:
                self.push(time.monotonic() + step.grace, pid, step.id, "kill")

    def reap(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while len(os.read(self.wake, 4096)) == 4096:
                pass
        ended = []
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            self.stuck.discard(pid)
            self.kept.discard(pid)
            if pid in self.steps:
                ended.append(_End(pid, self.forget(pid), status, usage))
        if ended:
            self.report(ended)

    def forget(self, pid: int) -> _Step:
        step = self.steps.pop(pid)
        del self.pids[step.id]
        return step

    def report(self, ended: list[_End]) -> None:
        """Clear away what the steps of *ended* left, then tell the caller."""
        unowned, stuck = self.sweep({end.pid: end.step for end in ended})
        for end in ended:
            by = os.WTERMSIG(end.status) if os.WIFSIGNALED(end.status) else None
            usage = end.usage
            self.reply(
                {
                    "op": "exited",
                    "id": end.step.id,
                    "pid": end.pid,
                    "code": None if by is not None else os.waitstatus_to_exitcode(end.status),
                    "sig": by,
                    "dur": end.seconds,
                    "killed": end.step.killed,
                    "strays": end.step.strays + unowned,
                    "stuck": stuck + (usage is None),
                    "ru": [usage.ru_utime, usage.ru_stime, usage.ru_maxrss] if usage else [0.0, 0.0, 0],
                }
            )

    def sweep(self, ended: dict[int, _Step]) -> tuple[int, int]:
        """Kill every child that is not a running step: whatever it is, its step has ended.

        Each is counted for the step whose session it was still in; that one may have ended too late to be in *ended*.
        What a step that detaches left behind on purpose is kept.
        Returns how many had left theirs (any of *ended* may have started those), and how many did not go.
        """
        unowned = stuck = 0
        keeps = any(step.detaches for step in ended.values())
        while hit := [p for p in self.children.read() if not (p in self.steps or p in self.stuck or p in self.kept)]:
            if keeps and (kept := [p for p in hit if self.may_stay(p, ended)]):
                self.keep(kept)
                continue
            self.counts["strays"] += len(hit)
            for pid in hit:
                session = os.getsid(pid)
                if (step := ended.get(session) or self.steps.get(session)) is not None:
                    step.strays += 1
                else:
                    unowned += 1
            still_there = _kill_and_reap(hit)
            self.stuck.update(still_there)
            stuck += len(still_there)
        return unowned, stuck

    def may_stay(self, pid: int, ended: dict[int, _Step]) -> bool:
        """Return whether our child *pid* detached itself on purpose, and comes from a step that may leave it running.

        Nobody can enter another step's session; with a session of its own it could be a confined step's too.
        """
        session = os.getsid(pid)
        if (step := ended.get(session)) is not None:
            return step.detaches and os.getpgid(pid) != session
        return session not in self.steps and (self.always_nnp or not _no_new_privs(pid))

    def keep(self, pids: list[int]) -> None:
        """Leave *pids*, our own children, alone from now on, and let the guard know."""
        self.kept.update(pids)
        os.write(self.kept_file, b"".join(b"%d %d\n" % (pid, _started(pid)) for pid in pids))


def _say(error: BaseException, exe: str = "") -> str:
    if isinstance(error, OSError) and error.strerror:
        where = error.filename or ("" if ":" in error.strerror or "/" in error.strerror else exe)
        return f"{error.strerror}: {where}" if where else error.strerror
    return str(error) or type(error).__name__


def _target(role: str) -> int:
    fixed = {"stdin": 0, "stdout": 1, "stderr": 2, "script": SCRIPT_FD}
    if role in fixed:
        return fixed[role]
    kind, _, number = role.partition(":")
    if kind != "data" or not SCRIPT_FD < int(number) <= SCRIPT_FD + MAX_FDS:
        raise ValueError(f"{role!r} is not a descriptor a step can have")
    return int(number)


def _place(targets: dict[int, int], ruleset: int) -> int:
    """Put each descriptor at its number, inheritable, and return where the ruleset is now."""
    above = max(targets) + 1
    for target, fd in targets.items():  # first out of the way of the others, as many as stand in it
        if fd in targets and fd != target:
            targets[target] = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, above)
    if ruleset in targets:
        ruleset = fcntl.fcntl(ruleset, fcntl.F_DUPFD_CLOEXEC, above)
    for target, fd in targets.items():
        if fd == target:
            os.set_inheritable(fd, True)  # dup2 of a number onto itself keeps close-on-exec
        else:
            os.dup2(fd, target, inheritable=True)
    return ruleset


def _command(message: dict[str, Any]) -> tuple[bytes, list[bytes], dict[bytes, bytes]]:
    """Return what execve takes, encoded: before the fork that is memory of ours, after it copies of it."""
    encode = os.fsencode
    env = {encode(name): encode(value) for name, value in message["env"].items()}
    return encode(message["exe"]), [encode(word) for word in message["argv"]], env


def _limits(wanted: dict[str, int]) -> list[tuple[int, tuple[int, int]]]:
    out = []
    for name, value in wanted.items():
        which = getattr(resource, f"RLIMIT_{name}")
        hard = resource.getrlimit(which)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        out.append((which, (value, value)))
    return out


# --- start and end ----------------------------------------------------------------------------------------------


def _clean_signals() -> None:
    """Undo what was inherited: a blocked mask, ignored signals. Steps start with the defaults."""
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    for number in signal.valid_signals():
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, _nothing)


def _work(sock: socket.socket, caller: int, names: str, kept: int) -> NoReturn:
    status = 1
    try:
        parent = os.getppid()
        guard = os.pidfd_open(parent)
        if os.getppid() == parent:
            landlock.keep_orphans()
            worker = _Worker(sock, caller, guard, names, kept)
            gc.collect()
            gc.freeze()
            gc.disable()
            worker.serve()
            worker.steps.clear()
            _kill_all(worker.children, _read_kept(kept))
            _remove_names(names)
            status = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
        sys.stderr.flush()
    finally:
        os._exit(status)


def _remove_names(names: str) -> None:
    with contextlib.suppress(OSError):
        for name in os.listdir(names):
            os.unlink(f"{names}/{name}")
        os.rmdir(names)


def main(argv: list[str]) -> int:
    """Be the guard: start the worker, wait for its end, and leave no process and no file behind."""
    caller = os.getppid()
    caller_fd = os.pidfd_open(caller)
    inherited = int(argv[1])
    fd = fcntl.fcntl(inherited, fcntl.F_DUPFD_CLOEXEC, 3)  # a low number: 30 and above belong to the steps
    os.close(inherited)
    sock = socket.socket(fileno=fd)
    # The pair was made by the caller; when that is not our parent, the caller died before we could hold its pidfd.
    maker = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
    if os.getppid() != caller or maker != caller:
        return 1
    _clean_signals()
    landlock.keep_orphans()
    names = f"{os.environ['TMPDIR']}/clockwork-names-{os.urandom(8).hex()}"
    os.mkdir(names, 0o700)
    kept = os.memfd_create("clockwork-kept", os.MFD_CLOEXEC)
    try:
        worker = os.fork()
        if worker == 0:
            _work(sock, caller_fd, names, kept)
        sock.close()
        os.close(caller_fd)
        while True:
            pid, status = os.wait()
            if pid == worker:
                break
        _kill_all(_Children(), _read_kept(kept))
    finally:
        _remove_names(names)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv))
