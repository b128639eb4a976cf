"""The step launcher: a small process that starts scripts, confines them, and leaves nothing behind.

Run as ``python -I -S launcher.py FD``, where FD is one end of a ``SOCK_SEQPACKET`` socket pair; `forge.launch` is the
other side. Standard library only, one thread, because it forks. Three processes are stacked:

* the **guard** only waits: should the worker die, it kills what the worker had started;
* the **worker** speaks the protocol and forks one child a step; it is the child subreaper, so that a process that
  left its session and its parent still ends up below us;
* each **step** is a session of its own.

The whole stack goes away when the caller dies (a pidfd tells), when the socket closes, or on ``shutdown``.

One message is one JSON object with its descriptors. To the launcher::

    {"op":"run","id","argv","exe","fds":["stdout","stderr","script","stdin","data:31"],"env","cwd","umask",
     "rules":null|{"read","children","write","mkdir","rmdir","net"},"nnp","name","limits","timeout","grace"}
    {"op":"cancel","id","why"}    {"op":"hurry","grace"}    {"op":"stats"}    {"op":"shutdown"}

and from it ``ready`` once, ``failed`` (a step that could not be started, sent before its ``exited``), exactly one
``exited`` per run, sent when nothing of the step is left, and ``stats``.
"""

from __future__ import annotations

import contextlib
import ctypes
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
import stat
import struct
import sys
import time
from array import array
from collections import deque
from typing import Any, NoReturn

SCRIPT_FD = 30
MAX_FDS = 64
MESSAGE_BYTES = 1 << 18
STUCK_AFTER_S = 2.0
"""How long a killed process may take to go; one in uninterruptible sleep is reported, not waited for."""

_SYS_CREATE_RULESET, _SYS_ADD_RULE, _SYS_RESTRICT_SELF = 444, 445, 446
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 1, 36, 38
_RULE_PATH_BENEATH, _RULE_NET_PORT = 1, 2

# include/uapi/linux/landlock.h
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _REMOVE_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3, 1 << 4
_MAKE_CHAR, _MAKE_DIR, _MAKE_BLOCK = 1 << 6, 1 << 7, 1 << 11
_TRUNCATE, _IOCTL_DEV = 1 << 14, 1 << 15
_READ = _EXECUTE | _READ_FILE | _READ_DIR
_ON_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_NEVER = _MAKE_CHAR | _MAKE_BLOCK

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def _syscall(what: str, number: int, *args: Any) -> int:
    result = int(_libc.syscall(ctypes.c_long(number), *args))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
    return result


def _prctl(what: str, option: int, value: int) -> None:
    zero = ctypes.c_ulong(0)
    if _libc.prctl(ctypes.c_int(option), ctypes.c_ulong(value), zero, zero, zero) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


# --- Landlock ---------------------------------------------------------------------------------------------------


def landlock_abi() -> int:
    """Return the Landlock ABI of this kernel, 1 or more, or the negative errno that says why there is none."""
    if sys.platform != "linux":
        return -errno.ENOSYS
    flag_version = ctypes.c_uint32(1)
    abi = int(_libc.syscall(ctypes.c_long(_SYS_CREATE_RULESET), None, ctypes.c_size_t(0), flag_version))
    return abi if abi >= 0 else -ctypes.get_errno()


def _handled_files(abi: int) -> int:
    bits = (1 << 13) - 1
    for since, bit in ((2, 13), (3, 14), (5, 15)):
        if abi >= since:
            bits |= 1 << bit
    return bits


def _open_exactly(path: str) -> int:
    """Open *path* for a rule; it must be where it was when the rights were decided, through no symlink."""
    fd = os.open(path, os.O_PATH | os.O_CLOEXEC | os.O_NOFOLLOW)
    if _is_link(fd) or os.readlink(f"/proc/self/fd/{fd}") != path:
        os.close(fd)
        raise OSError(errno.ELOOP, f"{path} is not what it was when the rights were decided")
    return fd


def _is_dir(fd: int) -> bool:
    return stat.S_ISDIR(os.fstat(fd).st_mode)


def _is_link(fd: int) -> bool:
    return stat.S_ISLNK(os.fstat(fd).st_mode)


class _Ruleset:
    """A Landlock ruleset under construction; ``fd`` is what the step restricts itself with."""

    def __init__(self, abi: int, ports: list[int] | None) -> None:
        self.files = _handled_files(abi)
        # TCP bind and connect from ABI 4; abstract sockets and signals to outsiders from ABI 6.
        net = 3 if ports is not None and abi >= 4 else 0
        attr = struct.pack("=QQQ", self.files, net, 3)[: 8 if abi < 4 else 16 if abi < 6 else 24]
        self.fd = _syscall(
            "landlock_create_ruleset", _SYS_CREATE_RULESET, attr, ctypes.c_size_t(len(attr)), ctypes.c_uint32(0)
        )
        for port in ports if ports and net else ():
            self._add(_RULE_NET_PORT, struct.pack("=QQ", net, port))

    def _add(self, kind: int, attr: bytes) -> None:
        _syscall(
            "landlock_add_rule",
            _SYS_ADD_RULE,
            ctypes.c_int(self.fd),
            ctypes.c_int(kind),
            attr,
            ctypes.c_uint32(0),
        )

    def allow(self, fd: int, rights: int) -> None:
        rights &= self.files if _is_dir(fd) else self.files & _ON_FILES
        self._add(_RULE_PATH_BENEATH, struct.pack("=Qi", rights, fd))

    def allow_path(self, path: str, rights: int) -> None:
        fd = _open_exactly(path)
        try:
            self.allow(fd, rights)
        finally:
            os.close(fd)

    def allow_read(self, path: str) -> None:
        """Like `allow_path`, but follows links and skips what this system does not have."""
        try:
            fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            return
        try:
            self.allow(fd, _READ)
        finally:
            os.close(fd)

    def allow_children(self, path: str, hidden: list[str]) -> None:
        """Let every entry of *path* be read but the *hidden* ones and symlinks; names may be listed everywhere."""
        top = _open_exactly(path)
        try:
            self.allow(top, _READ_DIR)
            skip = frozenset(hidden)
            for name in os.listdir(path):
                if name in skip:
                    continue
                try:
                    fd = os.open(name, os.O_PATH | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=top)
                except OSError:
                    continue  # gone since the listing
                try:
                    if not _is_link(fd):
                        self.allow(fd, _READ)
                finally:
                    os.close(fd)
        finally:
            os.close(top)


def build_ruleset(rules: dict[str, Any], abi: int) -> int:
    """Return the descriptor of a new ruleset for *rules*; everything not named there is denied.

    Raises:
        OSError: no Landlock, a path to write to that is gone or moved, or too few descriptors.
    """
    if abi < 1:
        raise OSError(-abi, "this kernel offers no Landlock")
    ruleset = _Ruleset(abi, rules["net"])
    try:
        for path in rules["read"]:
            ruleset.allow_read(path)
        for path, hidden in rules["children"]:
            ruleset.allow_children(path, hidden)
        for path in rules["write"]:
            ruleset.allow_path(path, ruleset.files & ~_NEVER)
        for path in rules["mkdir"]:
            ruleset.allow_path(path, _MAKE_DIR)
        for path in rules["rmdir"]:
            ruleset.allow_path(path, _REMOVE_DIR)
    except BaseException:
        os.close(ruleset.fd)
        raise
    return ruleset.fd


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


def _kill_all(children: _Children) -> None:
    stuck: set[int] = set()
    while pids := [p for p in children.read() if p not in stuck]:
        stuck.update(_kill_and_reap(pids))


# --- the worker -------------------------------------------------------------------------------------------------


class _Step:
    __slots__ = ("grace", "id", "killed", "started", "strays")

    def __init__(self, run_id: str, grace: float) -> None:
        self.id = run_id
        self.grace = grace
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
    def __init__(self, sock: socket.socket, caller: int, guard: int, names: str) -> None:
        self.sock = sock
        self.names = names
        self.pid = os.getpid()
        self.abi = landlock_abi()
        self.children = _Children()
        self.steps: dict[int, _Step] = {}
        self.pids: dict[str, int] = {}
        self.stuck: set[int] = set()
        self.linked: set[str] = set()
        self.timers: list[tuple[float, int, int, str, str]] = []
        self.timer_count = 0
        self.outbox: deque[bytes] = deque()
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
                return
            except OSError:
                self.outbox.clear()  # the caller is gone; the pidfd says so in a moment
                return
            self.outbox.popleft()
        self.epoll.modify(self.sock.fileno(), select.EPOLLIN)

    def receive(self) -> bool:
        """Take one message; returns False when this process shall end."""
        room = socket.CMSG_SPACE(MAX_FDS * 4)
        try:
            # socket.recv_fds ignores its flags, and without close-on-exec the descriptors leak into other steps.
            data, ancillary, flags, _ = self.sock.recvmsg(MESSAGE_BYTES, room, socket.MSG_CMSG_CLOEXEC)
        except ConnectionError:
            return False
        if not data:
            return False
        fds = array("i")
        for level, kind, payload in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds.frombytes(payload[: len(payload) - len(payload) % 4])
        try:
            message = json.loads(data)
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
                ruleset = build_ruleset(message["rules"], self.abi)
            limits = _limits(message["limits"])
            targets = {_target(role): fd for role, fd in zip(message["fds"], fds, strict=True)}
            pid = os.fork()
            if pid == 0:
                self.become(message, targets, limits, ruleset)
        except (OSError, ValueError, KeyError) as error:
            self.refuse(message["id"], getattr(error, "errno", None) or errno.EINVAL, _say(error))
            return
        finally:
            if ruleset >= 0:
                os.close(ruleset)
        step = self.steps[pid] = _Step(message["id"], min(message["grace"], self.most_grace))
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
        self, message: dict[str, Any], targets: dict[int, int], limits: list[tuple[int, tuple[int, int]]], ruleset: int
    ) -> NoReturn:
        """In the child: turn into the step. Touches as little memory as possible; every page is a copy."""
        try:
            os.setsid()
            _prctl("PR_SET_PDEATHSIG", _PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != self.pid:
                os._exit(1)
            targets.setdefault(0, self.null)
            ruleset = _place(targets, ruleset)
            os.chdir(message["cwd"])
            os.umask(message["umask"])
            for which, pair in limits:
                resource.setrlimit(which, pair)
            # Kept by execve, not inherited by fork: the step's orphans stay below the step while it lives.
            _prctl("PR_SET_CHILD_SUBREAPER", _PR_SET_CHILD_SUBREAPER, 1)
            if message["nnp"]:
                _prctl("PR_SET_NO_NEW_PRIVS", _PR_SET_NO_NEW_PRIVS, 1)
            if ruleset >= 0:
                _syscall("landlock_restrict_self", _SYS_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(0))
            os.execve(message["exe"], message["argv"], message["env"])  # noqa: S606 - argv was approved
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
        Returns how many had left theirs (any of *ended* may have started those), and how many did not go.
        """
        unowned = stuck = 0
        while hit := [p for p in self.children.read() if p not in self.steps and p not in self.stuck]:
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


def _work(sock: socket.socket, caller: int, names: str) -> NoReturn:
    status = 1
    try:
        parent = os.getppid()
        guard = os.pidfd_open(parent)
        if os.getppid() == parent:
            _prctl("PR_SET_CHILD_SUBREAPER", _PR_SET_CHILD_SUBREAPER, 1)
            worker = _Worker(sock, caller, guard, names)
            gc.collect()
            gc.freeze()
            gc.disable()
            worker.serve()
            worker.steps.clear()
            _kill_all(worker.children)
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
    _prctl("PR_SET_CHILD_SUBREAPER", _PR_SET_CHILD_SUBREAPER, 1)
    names = f"{os.environ['TMPDIR']}/clockwork-names-{os.urandom(8).hex()}"
    os.mkdir(names, 0o700)
    try:
        worker = os.fork()
        if worker == 0:
            _work(sock, caller_fd, names)
        sock.close()
        os.close(caller_fd)
        while True:
            pid, status = os.wait()
            if pid == worker:
                break
        _kill_all(_Children())
    finally:
        _remove_names(names)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv))
