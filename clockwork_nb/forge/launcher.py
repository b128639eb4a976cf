"""The step launcher: a small process that starts scripts, confines them, and leaves nothing behind.

Run as ``python -I -S launcher.py FD``, or imported and its `main` called, where FD is one end of a ``SOCK_SEQPACKET`` socket pair; `forge.launch` is the
other side. Standard library only, one thread, because it forks. Three processes are stacked:

* the **guard** only waits: should the worker die, it kills what the worker had started;
* the **worker** speaks the protocol and forks one child a step; it is the child subreaper, so that a process that
  left its session and its parent still ends up below us;
* each **step** is a session of its own.

The whole stack goes away when the caller dies (a pidfd tells), when the socket closes, or on ``shutdown``.

One message is one JSON object with its descriptors. To the launcher::

    {"op":"run","id","argv","exe","fds":[1,2,30,31],"env","cwd","umask","limits":[[number,value]],
     "rules":null|{"read","children","write","mkdir","rmdir","net"},"nnp","detaches","shield","name","timeout","grace"}
    {"op":"cancel","id","why"}    {"op":"hurry","grace"}    {"op":"stats"}    {"op":"shutdown"}

``fds`` are the numbers that the descriptors of the message have in the step. A step with a ``shield`` is started by a program that ignores SIGTERM and hands the signal's default on. One that
``detaches`` may leave processes running: those that have a process group of their own in its session (an engine's
network helpers), and those that have a session of their own (what watches a container) and, unlike everything a confined
step starts, no ``no_new_privs``. They are *kept* then, also by the guard, and are init's in the end.

From the launcher come ``ready`` once, ``failed`` (a step that could not be started, sent before its ``exited``), exactly one
``exited`` per run, sent when nothing of the step is left, and ``stats``.

A fork makes every page of this process one that is copied when either side writes to it, and in CPython to look at an
object is to write to it. So this process is kept small, and what happens for every step does little in few functions.
"""

from __future__ import annotations

import errno
import fcntl
import gc
import os
import resource
import select
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    import socket
    from _json import encode_basestring_ascii as _quoted
    from _json import make_scanner as _make_scanner
    from typing import Any, NoReturn

    from clockwork_nb.forge import landlock
else:
    # What `signal`, `socket` and `json` add in Python doubles the size of this process and the time it takes to start.
    import _signal as signal
    import _socket as socket

    try:
        from _json import encode_basestring_ascii as _quoted
        from _json import make_scanner as _make_scanner
    except ImportError:  # `json` can do without, too
        from json.encoder import py_encode_basestring_ascii as _quoted
        from json.scanner import py_make_scanner as _make_scanner

    if __package__:
        from clockwork_nb.forge import landlock
    else:  # started as a program: with -I its own folder is not searched, and may not stay so
        sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
        import landlock

        del sys.path[0]

if TYPE_CHECKING:
    _Command = tuple[bytes, list[bytes], dict[bytes, bytes]]

SCRIPT_FD = 30
MAX_FDS = 64
MESSAGE_BYTES = 1 << 18
_ROOM = socket.CMSG_SPACE(MAX_FDS * 4)
_EXITED = (  # of every step, so without `_to_json`
    '{"op":"exited","id":"%s","pid":%d,"code":%s,"sig":%s,"dur":%.6f,"killed":%s,"strays":%d,"stuck":%d,"ru":[%f,%f,%d]}'
)
BECOMES_MS = 2
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
                try:
                    with open(f"/proc/{name}/stat", "rb") as file:
                        if int(file.read().rpartition(b")")[2].split()[1]) == self.pid:
                            found.append(int(name))
                except OSError:
                    continue
        return found


def _kill_and_reap(pids: list[int]) -> list[int]:
    """SIGKILL *pids*, our own children, and wait for them; returns those that did not go within `STUCK_AFTER_S`."""
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
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


# --- messages ---------------------------------------------------------------------------------------------------


class _Plain:
    """How JSON is read: what `json.loads` does when it is not told otherwise."""

    strict = True
    object_hook = object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float


def _to_json(message: dict[str, str | int]) -> bytes:
    members = (f'"{name}":{_quoted(value) if isinstance(value, str) else value}' for name, value in message.items())
    return f"{{{','.join(members)}}}".encode()


# --- the worker -------------------------------------------------------------------------------------------------


class _Step:
    """A step that runs, and in the end how it ended.

    ``sent`` is the last signal it was sent, 0 for none; at ``due`` (monotonic seconds) it gets the next one. ``usage``
    stays None when it would not go.
    """

    __slots__ = (
        "detaches",
        "due",
        "grace",
        "id",
        "killed",
        "pid",
        "seconds",
        "sent",
        "started",
        "status",
        "strays",
        "usage",
    )

    def __init__(self, order: dict[str, Any], most_grace: float) -> None:
        self.id: str = order["id"]
        self.pid = 0
        self.grace: float = min(order["grace"], most_grace)
        self.detaches: bool = order.get("detaches", False)
        self.killed: str | None = None
        self.sent = 0
        self.strays = 0
        self.started = time.monotonic()
        self.due: float = self.started + order["timeout"]
        self.status = 0
        self.usage: resource.struct_rusage | None = None

    def ended(self, status: int, usage: resource.struct_rusage | None) -> None:
        self.seconds = time.monotonic() - self.started
        self.status = status
        self.usage = usage


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
        self.alarm = float("inf")
        """When the first step is due; too early when that one has ended since."""
        self.scan = _make_scanner(_Plain())  # type: ignore[arg-type] # typeshed has it take one of its own
        self.outbox: list[bytes] = []
        self.waits_to_send = False
        self.inbox = memoryview(bytearray(MESSAGE_BYTES))  # a new one of that size would be mapped for each message
        self.counts = {"runs": 0, "strays": 0}
        self.most_grace = float("inf")
        self.null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        self.wake, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, _nothing)
        self.epoll = select.epoll()
        self.becoming = select.poll()
        for fd in (sock.fileno(), caller, guard, self.wake):
            self.epoll.register(fd, select.EPOLLIN)
        self.gone = {caller, guard}

    # -- the loop

    def serve(self) -> None:
        self.reply({"op": "ready", "abi": self.abi, "pid": self.pid, "names": self.names})
        while True:
            wait = max(0.0, self.alarm - time.monotonic()) if self.steps else -1
            for fd, event in self.epoll.poll(wait):
                if fd in self.gone:
                    return
                if fd == self.wake:
                    self.reap()
                elif event & select.EPOLLOUT and self.outbox:
                    self.flush()
                elif not self.receive():
                    return
            if self.alarm <= time.monotonic():
                self.ring()

    def reply(self, message: dict[str, str | int]) -> None:
        self.outbox.append(_to_json(message))
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
            del self.outbox[0]
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
        fds: list[int] = []
        for level, kind, payload in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds += memoryview(payload[: len(payload) - len(payload) % 4]).cast("i")
        try:
            message, _ = self.scan(str(self.inbox[:size], "utf-8"), 0)
            if message["op"] == "shutdown":
                return False
            if message["op"] == "run":
                if flags & (socket.MSG_CTRUNC | socket.MSG_TRUNC) or len(fds) != len(message["fds"]):
                    self.refuse(message["id"], errno.EMFILE, "the launcher has too few file descriptors for this step")
                else:
                    self.run(message, fds)
            elif message["op"] == "cancel":
                self.stop(self.pids.get(message["id"], 0), message.get("why", "cancelled"))
            elif message["op"] == "hurry":
                self.hurry(message["grace"])
            elif message["op"] == "stats":
                self.reply({"op": "stats", "running": len(self.steps), "stuck": len(self.stuck), **self.counts})
        finally:
            for fd in fds:
                os.close(fd)
        return True

    # -- starting

    def refuse(self, run_id: str, code: int, text: str) -> None:
        self.reply({"op": "failed", "id": run_id, "errno": code, "text": text})
        self.outbox.append((_EXITED % (run_id, 0, "null", "null", 0.0, "null", 0, 0, 0.0, 0.0, 0)).encode())
        self.flush()

    def run(self, message: dict[str, Any], fds: list[int]) -> None:
        """Start a step. *fds* are closed by the caller, also those that are added to them."""
        try:
            if message["name"]:
                self.link(message["name"])
            ruleset = -1
            if message["rules"] is not None:
                ruleset = landlock.build_ruleset(message["rules"], self.abi)
                fds.append(ruleset)
            calls = self.calls(message, fds, ruleset)
            command = _command(message)
            step = _Step(message, self.most_grace)
            step.pid = pid = self.fork()
            if pid == 0:
                self.become(calls, command, message)
        except (OSError, ValueError, KeyError) as error:
            self.refuse(message["id"], getattr(error, "errno", None) or errno.EINVAL, _say(error))
            return
        self.steps[pid] = step
        self.pids[step.id] = pid
        self.counts["runs"] += 1
        self.alarm = min(self.alarm, step.due)

    def fork(self) -> int:
        """Do what `os.fork` does, but return here only when the child has become its step, or `BECOMES_MS` later.

        While both have one memory, each page that either of them writes to is copied.
        """
        waiting, held = os.pipe2(os.O_CLOEXEC)
        try:
            pid = os.fork()
        except OSError:
            os.close(waiting)
            os.close(held)
            raise
        if pid:
            os.close(held)  # the child's goes with execve
            self.becoming.register(waiting, 0)
            self.becoming.poll(BECOMES_MS)
            self.becoming.unregister(waiting)
            os.close(waiting)
        return pid

    def link(self, name: str) -> None:
        """Give the script a name that people recognise: a link to the descriptor, in a folder only we write to."""
        if name in self.linked:
            return
        if "/" in name or name in {".", ".."}:
            raise ValueError(f"{name!r} is not a file name")
        os.symlink(f"/proc/self/fd/{SCRIPT_FD}", f"{self.names}/{name}")
        self.linked.add(name)

    def calls(self, message: dict[str, Any], fds: list[int], ruleset: int) -> list[landlock.Call]:
        """Return the calls that make a child of ours what the step shall be, in their order.

        What they are given is made here, where it is memory of ours: made in the child it would be copies of that.
        """
        placed: dict[int, int] = {0: self.null, **dict(zip(message["fds"], fds, strict=False))}  # the ruleset has none
        for number, fd in placed.items():
            if fd in placed:  # out of the way of the others first
                placed[number] = _above(placed, fd, fds)
        if ruleset in placed:
            ruleset = _above(placed, ruleset, fds)
        calls: list[landlock.Call] = [(os.setsid, ()), landlock.DIE_WITH_PARENT]
        calls += [(os.dup2, (fd, number)) for number, fd in placed.items()]
        calls += [(os.chdir, (message["cwd"],)), (os.umask, (message["umask"],))]
        calls += [(resource.setrlimit, (which, (value, value))) for which, value in message["limits"]]
        # Kept by execve, not inherited by fork: the step's orphans stay below the step while it lives.
        calls.append(landlock.KEEP_ORPHANS)
        if message.get("shield"):
            calls.append((signal.signal, (signal.SIGTERM, signal.SIG_IGN)))
        if message["nnp"]:
            calls.append(landlock.NO_NEW_PRIVILEGES)
        if ruleset >= 0:
            calls.append(landlock.restriction(ruleset))
        return calls

    def become(self, calls: list[landlock.Call], command: _Command, message: dict[str, Any]) -> NoReturn:
        """In the child: turn into the step."""
        try:
            for call, arguments in calls:
                if call(*arguments) == -1:  # only libc's calls say it so, the others raise
                    raise landlock.refused(arguments)
            if os.getppid() != self.pid:  # it ended before there was a signal that would have told
                os._exit(1)
            os.execve(*command)  # noqa: S606 - argv was approved
        except BaseException as error:
            code = getattr(error, "errno", None) or 0
            text = {"op": "failed", "id": message["id"], "errno": code, "text": _say(error, message["exe"])}
            self.sock.send(_to_json(text), socket.MSG_NOSIGNAL)
        finally:
            os._exit(127)

    # -- ending

    def ring(self) -> None:
        """Go on with the steps that are due: ask them to end, end them, give them up."""
        now = time.monotonic()
        for pid, step in list(self.steps.items()):
            if step.due > now:
                continue
            if not step.sent:
                self.stop(pid, "timeout")
            elif step.sent == signal.SIGTERM:
                os.kill(pid, signal.SIGKILL)  # its orphans come to us as strays
                step.sent, step.due = signal.SIGKILL, now + STUCK_AFTER_S
            else:
                self.forget(pid).ended(signal.SIGKILL, None)
                self.stuck.add(pid)
                self.report([step])
        self.alarm = min((step.due for step in self.steps.values()), default=float("inf"))

    def stop(self, pid: int, why: str) -> None:
        step = self.steps.get(pid)
        if step is None or step.killed:
            return
        step.killed = why
        try:
            os.killpg(pid, signal.SIGTERM)
        except ProcessLookupError:
            os.kill(pid, signal.SIGTERM)  # not yet a session of its own
        step.sent, step.due = signal.SIGTERM, time.monotonic() + step.grace
        self.alarm = min(self.alarm, step.due)

    def hurry(self, grace: float) -> None:
        """Let no step have more than *grace* seconds between SIGTERM and SIGKILL, whatever it was granted."""
        self.most_grace = min(self.most_grace, grace)
        for step in self.steps.values():
            step.grace = min(step.grace, grace)
            if step.sent == signal.SIGTERM:
                step.due = min(step.due, time.monotonic() + step.grace)
                self.alarm = min(self.alarm, step.due)

    def reap(self) -> None:
        try:
            while len(os.read(self.wake, 4096)) == 4096:
                pass
        except BlockingIOError:
            pass
        ended = []
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            if pid in self.steps:
                step = self.forget(pid)
                step.ended(status, usage)
                ended.append(step)
            else:
                self.stuck.discard(pid)
                self.kept.discard(pid)
        if ended:
            self.report(ended)

    def forget(self, pid: int) -> _Step:
        step = self.steps.pop(pid)
        del self.pids[step.id]
        return step

    def report(self, ended: list[_Step]) -> None:
        """Clear away what the steps of *ended* left, then tell the caller."""
        unowned, stuck = self.sweep(ended)
        for step in ended:
            code = os.waitstatus_to_exitcode(step.status)
            usage = step.usage
            told = (
                step.id,
                step.pid,
                code if code >= 0 else "null",
                "null" if code >= 0 else -code,
                step.seconds,
                f'"{step.killed}"' if step.killed else "null",
                step.strays + unowned,
                stuck + (usage is None),
                *((usage.ru_utime, usage.ru_stime, usage.ru_maxrss) if usage else (0.0, 0.0, 0)),
            )
            self.outbox.append((_EXITED % told).encode())
        self.flush()

    def sweep(self, ended: list[_Step]) -> tuple[int, int]:
        """Kill every child that is not a running step: whatever it is, its step has ended.

        Each is counted for the step whose session it was still in; that one may have ended too late to be in *ended*.
        What a step that detaches left behind on purpose is kept.
        Returns how many had left theirs (any of *ended* may have started those), and how many did not go.
        """
        unowned = stuck = 0
        while hit := [p for p in self.children.read() if not (p in self.steps or p in self.stuck or p in self.kept)]:
            owners = {step.pid: step for step in ended}
            keeps = any(step.detaches for step in ended)
            if keeps and (kept := [p for p in hit if self.may_stay(p, owners)]):
                self.keep(kept)
                continue
            self.counts["strays"] += len(hit)
            for pid in hit:
                session = os.getsid(pid)
                if (step := owners.get(session) or self.steps.get(session)) is not None:
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


def _above(placed: dict[int, int], fd: int, fds: list[int]) -> int:
    """Return a copy of *fd* at a number above those of *placed*, and add it to *fds*."""
    fds.append(fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, max(placed) + 1))
    return fds[-1]


def _command(message: dict[str, Any]) -> _Command:
    """Return what execve takes."""
    encode = os.fsencode
    env = {encode(name): encode(value) for name, value in message["env"].items()}
    return encode(message["exe"]), [encode(word) for word in message["argv"]], env


# --- start and end ----------------------------------------------------------------------------------------------


def _clean_signals() -> None:
    """Undo what was inherited: a blocked mask, ignored signals. Steps start with the defaults."""
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    for number in signal.valid_signals():
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, _nothing)


def _work(sock: socket.socket, caller: int, names: str, kept: int) -> NoReturn:
    status = 1
    try:
        parent = os.getppid()
        guard = os.pidfd_open(parent)
        if os.getppid() == parent:
            landlock.carry_out(landlock.KEEP_ORPHANS)
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
    try:
        for name in os.listdir(names):
            os.unlink(f"{names}/{name}")
        os.rmdir(names)
    except OSError:
        pass  # the guard does it too


def main(argv: list[str]) -> int:
    """Be the guard: start the worker, wait for its end, and leave no process and no file behind."""
    caller = os.getppid()
    caller_fd = os.pidfd_open(caller)
    inherited = int(argv[1])
    fd = fcntl.fcntl(inherited, fcntl.F_DUPFD_CLOEXEC, 3)  # a low number: 30 and above belong to the steps
    os.close(inherited)
    sock = socket.socket(fileno=fd)
    # The pair was made by the caller; when that is not our parent, the caller died before we could hold its pidfd.
    maker = memoryview(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)).cast("i")[0]
    if os.getppid() != caller or maker != caller:
        return 1
    _clean_signals()
    landlock.carry_out(landlock.KEEP_ORPHANS)
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
