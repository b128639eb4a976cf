"""The programs of ``verify_service``: services, containers, processes and the machine, which a confined step cannot see."""

from __future__ import annotations

from clockwork_nb.resources.check.file_programs import LINES
from clockwork_nb.resources.containers import ENGINE_PATH
from clockwork_nb.resources.probes import TRIES

__all__ = [
    "CONTAINER_HEALTHY",
    "CONTAINER_LOG",
    "CONTAINER_RUNNING",
    "CPU",
    "MEMORY",
    "PROCESS_ABSENT",
    "PROCESS_COUNT",
    "SERVICE_LOG",
    "SERVICE_STATUS",
]

_SERVICE = '''
def folder():
    """Where the supervisor of the service keeps its state and its log."""
    return os.path.join(os.environ["CW_WORKSPACE"], "services", os.environ["CW_SERVICE_FOLDER"])


def start_time(pid):
    """When the process began, in ticks since the machine's start; 0 when there is none (proc_pid_stat(5), field 22)."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stream:
            return int(stream.read().rpartition(")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return 0


def status():
    """How the service is: what its supervisor wrote last, as long as that supervisor is still there."""
    try:
        with open(os.path.join(folder(), "state.json"), encoding="utf-8") as stream:
            state = json.load(stream)
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as stream:
            boot = stream.read().strip()
        written = state["status"]
        ours = state["boot_id"] == boot and start_time(state["supervisor_pid"]) == state["supervisor_starttime"] != 0
    except FileNotFoundError:
        return "absent"
    except (OSError, ValueError, KeyError, TypeError):
        return "unreadable"
    return "lost" if written in {"starting", "running", "backoff"} and not ours else written
'''

SERVICE_STATUS = f"""\
import json
import os
import sys
import time

{_SERVICE}

def probe():
    name, expected, found = os.environ["CW_SERVICE"], os.environ["CW_EXPECT"], status()
    words = f"{{name}} is {{found}}" + ("" if found == expected else f", expected {{expected}}")
    if found == "absent" != expected:
        words += " (no supervised process of that name; of a container ask container_running)"
    return found == expected, words


{TRIES}"""

SERVICE_LOG = f"""\
import contextlib
import json
import os
import re
import sys
import time

{_SERVICE}
{LINES}

def probe():
    name = os.environ["CW_SERVICE"]
    with contextlib.ExitStack() as stack:
        streams = []
        for file in ("out.log.1", "out.log"):
            with contextlib.suppress(FileNotFoundError):
                streams.append(stack.enter_context(open(os.path.join(folder(), file), "rb")))
        if not streams:
            return False, f"{{name}} has no log, it is {{status()}}; expected one with such a line"
        found = lines_of(streams)
    return judged(f"the log of {{name}}", found)


{TRIES}"""

_ENGINE = f'''
os.environ["PATH"] = "{ENGINE_PATH}"
'''
_ENGINE += '''

def ask(*words):
    """Return the exit code of the container engine, what it printed and its last error line; None without an engine."""
    wanted = os.environ["CW_ENGINE"]
    names = ("podman", "docker") if wanted == "auto" else (wanted,)
    answer = None
    for name in names:
        program = shutil.which(name)
        if program is None:
            continue
        try:
            done = subprocess.run(
                [program, *words],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=float(os.environ["CW_TIMEOUT"]),
                check=False,
            )
        except subprocess.TimeoutExpired:
            answer = answer or (1, b"", f"{name} did not answer within {os.environ['CW_TIMEOUT']} s")
            continue
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        out = done.stdout + (done.stderr if "logs" in words else b"")
        if done.returncode == 0:
            return 0, out, ""
        answer = answer or (done.returncode, out, lines[-1] if lines else "")
    return answer


def state():
    """Return the state of the container as the engine tells it, and why there is none."""
    name = os.environ["CW_CONTAINER"]
    answer = ask("container", "inspect", "--format", "{{json .State}}", name)
    if answer is None:
        return None, "no container engine is installed (podman or docker)"
    code, out, problem = answer
    if code:
        missing = "no such" in problem.lower() or "no container" in problem.lower()
        return None, f"there is no container {name}" if missing else f"the engine says: {problem[:150]}"
    return json.loads(out), ""
'''

_ENGINE_IMPORTS = """\
import json
import os
import shutil
import subprocess
import sys
import time
"""

CONTAINER_RUNNING = f"""\
{_ENGINE_IMPORTS}
{_ENGINE}

def probe():
    name = os.environ["CW_CONTAINER"]
    found, problem = state()
    if found is None:
        return False, f"{{problem}}, expected it to run"
    word = str(found.get("Status", "unknown"))
    return word == "running", f"{{name}} is {{word}}" + ("" if word == "running" else ", expected running")


{TRIES}"""

CONTAINER_HEALTHY = f"""\
{_ENGINE_IMPORTS}
{_ENGINE}

def probe():
    name = os.environ["CW_CONTAINER"]
    found, problem = state()
    if found is None:
        return False, f"{{problem}}, expected it to be healthy"
    # Docker and podman from 4 say Health; podman before that said Healthcheck.
    health = (found.get("Health") or found.get("Healthcheck") or {{}}).get("Status") or "without a health check"
    if found.get("Status") != "running":
        health = str(found.get("Status", "unknown"))
    return health == "healthy", f"{{name}} is {{health}}" + ("" if health == "healthy" else ", expected healthy")


{TRIES}"""

CONTAINER_LOG = f"""\
{_ENGINE_IMPORTS.replace("import shutil", "import re" + chr(10) + "import shutil")}
{_ENGINE}
{LINES}

def probe():
    name = os.environ["CW_CONTAINER"]
    answer = ask("logs", "--tail", os.environ["CW_LINES"], name)
    if answer is None:
        return False, "no container engine is installed (podman or docker)"
    code, out, problem = answer
    if code:
        return False, f"the log of {{name}} cannot be read: {{problem[:150]}}"
    return judged(f"the log of {{name}}", out.decode("utf-8", "replace").splitlines())


{TRIES}"""

_PROCESSES = '''
def ours():
    """This process and all above it: the tool that runs the check does not count."""
    found, pid = set(), os.getpid()
    while pid > 1 and pid not in found:
        found.add(pid)
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stream:
                pid = int(stream.read().rpartition(")")[2].split()[1])
        except OSError:
            break
    return found


def program(pid):
    """The name of the program's file; empty for another user's process."""
    try:
        return os.path.basename(os.readlink(f"/proc/{pid}/exe").removesuffix(" (deleted)"))
    except OSError:
        return ""


def named(name):
    """The processes of the program: by the name the kernel keeps (15 bytes of it), or by that of its file."""
    found, skipped = [], ours()
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) in skipped:
            continue
        try:
            with open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as stream:
                before, _, after = stream.read().rpartition(")")
        except OSError:
            continue  # gone meanwhile
        short, own = before.partition("(")[2], program(entry)
        if after.split()[0] not in "ZX" and (short == name or own == name or (not own and short == name[:15])):
            found.append(int(entry))
    return found
'''

PROCESS_COUNT = f"""\
import os
import sys
import time

{_PROCESSES}

def probe():
    name, least = os.environ["CW_PROCESS"], int(os.environ["CW_MIN_COUNT"])
    count = len(named(name))
    seen = f"{{count}} process{{'' if count == 1 else 'es'}} of {{name}}"
    return count >= least, seen if count >= least else f"{{seen}}, expected at least {{least}}"


{TRIES}"""

PROCESS_ABSENT = f"""\
import os
import sys
import time

{_PROCESSES}

def probe():
    name = os.environ["CW_PROCESS"]
    found = named(name)
    if found:
        return False, f"{{name}} runs (pid {{', '.join(map(str, found[:5]))}}), expected none"
    return True, f"no process of {{name}}"


{TRIES}"""

MEMORY = f"""\
import os
import sys
import time

{_PROCESSES}

def figures(path):
    \"\"\"Name to KiB of a file of proc_meminfo(5) or proc_pid_status(5).\"\"\"
    out = {{}}
    with open(path, encoding="utf-8", errors="replace") as stream:
        for line in stream:
            name, _, rest = line.partition(":")
            words = rest.split()
            if len(words) == 2 and words[1] == "kB":
                out[name] = int(words[0])
    return out


def probe():
    name, limit, unit = os.environ.get("CW_PROCESS"), float(os.environ["CW_VALUE"]), os.environ["CW_LIMIT"]
    machine = figures("/proc/meminfo")
    used, who = machine["MemTotal"] - machine["MemAvailable"], "the machine"
    if name is not None:
        used, who, found = 0, name, named(name)
        if not found:
            return False, f"{{name}} does not run, expected to see its memory"
        for pid in found:
            try:
                used += figures(f"/proc/{{pid}}/status").get("VmRSS", 0)
            except OSError:
                continue  # ended meanwhile
    value = used / 1024 if unit == "max_mb" else 100 * used / machine["MemTotal"]
    sign = "MiB" if unit == "max_mb" else "%"
    seen = f"{{who}} uses {{value:.1f}} {{sign}} of memory"
    return value <= limit, seen if value <= limit else f"{{seen}}, expected at most {{limit:g}} {{sign}}"


{TRIES}"""

CPU = f"""\
import os
import sys
import time

{_PROCESSES}

def machine():
    \"\"\"Ticks of all processors: busy ones, and all (proc_stat(5)).\"\"\"
    with open("/proc/stat", encoding="ascii") as stream:
        ticks = [int(word) for word in stream.readline().split()[1:9]]
    return sum(ticks) - ticks[3] - ticks[4], sum(ticks)


def process(pid):
    \"\"\"Ticks that the process used, 0 when it is gone (proc_pid_stat(5), fields 14 and 15).\"\"\"
    try:
        with open(f"/proc/{{pid}}/stat", encoding="ascii", errors="replace") as stream:
            fields = stream.read().rpartition(")")[2].split()
    except OSError:
        return 0
    return int(fields[11]) + int(fields[12])


def probe():
    name, limit, window = os.environ.get("CW_PROCESS"), float(os.environ["CW_VALUE"]), float(os.environ["CW_WINDOW"])
    if name is None:
        busy, total = machine()
        time.sleep(window)
        now_busy, now_total = machine()
        percent, who = 100 * (now_busy - busy) / max(1, now_total - total), "the machine"
    else:
        before, began = {{pid: process(pid) for pid in named(name)}}, time.monotonic()
        if not before:
            return False, f"{{name}} does not run, expected to see what it uses"
        time.sleep(window)
        ticks = sum(max(0, process(pid) - used) for pid, used in before.items())
        seconds = time.monotonic() - began
        percent, who = 100 * ticks / os.sysconf("SC_CLK_TCK") / seconds, name
    seen = f"{{who}} is at {{percent:.0f}} %"
    return percent <= limit, seen if percent <= limit else f"{{seen}}, expected at most {{limit:g}} %"


{TRIES}"""
