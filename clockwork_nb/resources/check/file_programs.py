"""The programs of ``verify_file`` and ``verify_command``: what can be seen from inside the walls of a confined step."""

from __future__ import annotations

from clockwork_nb.resources.probes import TRIES

__all__ = ["COMMAND", "DISK", "EXISTS", "LINES", "LOG_FILE", "MATCHES", "PERMISSIONS", "SHA256", "SIZE"]

_HEAD = """\
import os
import sys
import time
"""

EXISTS = f"""\
{_HEAD}

def probe():
    path = os.environ["CW_PATH"]
    there = os.path.isfile(path)
    return there, f"{{path}} is there" if there else f"{{path}} is not there or no file"


{TRIES}"""

PERMISSIONS = f"""\
import grp
{_HEAD.replace("import sys", "import pwd" + chr(10) + "import stat" + chr(10) + "import sys")}

def account(find, number):
    \"\"\"The number and, if it has one, the name.\"\"\"
    try:
        return [find(number)[0], str(number)]
    except KeyError:
        return [str(number)]


def probe():
    path = os.environ["CW_PATH"]
    try:
        info = os.stat(path)
    except OSError as problem:
        return False, f"{{path}} cannot be looked at: {{problem.strerror}}"
    found = {{
        "mode": [f"{{stat.S_IMODE(info.st_mode):04o}}"],
        "owner": account(pwd.getpwuid, info.st_uid),
        "group": account(grp.getgrgid, info.st_gid),
    }}
    for name, values in found.items():
        wanted = os.environ.get(f"CW_{{name.upper()}}")
        if wanted is not None and wanted not in values:
            return False, f"{{path}} has the {{name}} {{values[0]}}, expected {{wanted}}"
    return True, f"{{path}} is as expected"


{TRIES}"""

SIZE = f"""\
{_HEAD}

def probe():
    path = os.environ["CW_PATH"]
    least, most = os.environ.get("CW_MIN"), os.environ.get("CW_MAX")
    try:
        size = os.stat(path).st_size
    except OSError as problem:
        return False, f"{{path}} cannot be looked at: {{problem.strerror}}"
    if not os.path.isfile(path):
        return False, f"{{path}} is no file"
    if least is not None and size < int(least):
        return False, f"{{path}} has {{size}} bytes, expected at least {{least}}"
    if most is not None and size > int(most):
        return False, f"{{path}} has {{size}} bytes, expected at most {{most}}"
    return True, f"{{path}} has {{size}} bytes"


{TRIES}"""

_READ = '''
def opened(path):
    """The file as a stream of bytes; a pipe in its place does not stop us."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    return open(handle, "rb")
'''

MATCHES = f"""\
import os
import re
import sys
import time

{_READ}

def probe():
    path, pattern = os.environ["CW_PATH"], os.environ["CW_PATTERN"]
    try:
        with opened(path) as stream:
            text = stream.read(64 << 20).decode("utf-8", "replace")
    except OSError as problem:
        return False, f"{{path}} cannot be read: {{problem.strerror}}"
    found = re.search(pattern, text, re.MULTILINE)
    return found is not None, f"{{path}} matches" if found else f"{{path}} does not match {{pattern!r}}"


{TRIES}"""

SHA256 = f"""\
import hashlib
{_HEAD}
{_READ}

def probe():
    path, wanted = os.environ["CW_PATH"], os.environ["CW_SHA256"]
    digest = hashlib.sha256()
    try:
        with opened(path) as stream:
            while chunk := stream.read(1 << 20):
                digest.update(chunk)
    except OSError as problem:
        return False, f"{{path}} cannot be read: {{problem.strerror}}"
    found = digest.hexdigest()
    if found != wanted:
        return False, f"{{path}} has the digest {{found[:12]}}, expected {{wanted[:12]}}"
    return True, f"{{path}} has the digest {{found[:12]}}"


{TRIES}"""

LINES = '''
MOST = 16 << 20


def lines_of(streams):
    """The lines of what the streams hold one after the other; of each the last 16 MiB."""
    found = []
    for stream in streams:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, size - MOST))
        found += stream.read(MOST).decode("utf-8", "replace").splitlines()
    return found


def judged(where, found):
    """Whether one of the last lines that are found matches."""
    pattern, found = os.environ["CW_PATTERN"], found[-int(os.environ["CW_LINES"]) :]
    if any(re.search(pattern, line) for line in found):
        return True, f"{where} has such a line"
    if not found:
        return False, f"{where} is empty, expected a line that matches {pattern!r}"
    if len(found) == 1:
        return False, f"the only line of {where} does not match {pattern!r}"
    return False, f"none of the last {len(found)} lines of {where} matches {pattern!r}"
'''
"""What the checks of logs share: it needs ``os`` and ``re``."""

LOG_FILE = f"""\
import os
import re
import sys
import time

{_READ}
{LINES}

def probe():
    path = os.environ["CW_PATH"]
    try:
        with opened(path) as stream:
            found = lines_of([stream])
    except OSError as problem:
        return False, f"{{path}} cannot be read: {{problem.strerror}}"
    return judged(path, found)


{TRIES}"""

DISK = f'''\
{_HEAD}
MIB = 1 << 20


def below(path):
    """The bytes that a file, or everything in a folder, takes on the disk. Links are not followed."""
    taken, seen, folders = os.lstat(path).st_blocks * 512, set(), [path] if os.path.isdir(path) else []
    while folders:
        try:
            entries = list(os.scandir(folders.pop()))
        except OSError:
            continue  # not ours to read
        for entry in entries:
            try:
                info = entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
            except OSError:
                continue  # gone meanwhile
            if info.st_nlink == 1 or (info.st_dev, info.st_ino) not in seen:
                seen.add((info.st_dev, info.st_ino))
                taken += info.st_blocks * 512
    return taken


def probe():
    path, unit, limit = os.environ["CW_PATH"], os.environ["CW_LIMIT"], float(os.environ["CW_VALUE"])
    try:
        taken = below(path) / MIB if unit == "max_mb" else 0.0
        disk = os.statvfs(path)
    except OSError as problem:
        return False, f"{{path}} cannot be looked at: {{problem.strerror}}"
    used, free = disk.f_blocks - disk.f_bfree, disk.f_bavail
    percent = 100 * used / (used + free) if used + free else 0.0
    free_mb = free * disk.f_frsize / MIB
    good, seen, expected = {{
        "max_mb": (taken <= limit, f"{{path}} takes {{taken:.1f}} MiB", f"at most {{limit:g}} MiB"),
        "min_free_mb": (free_mb >= limit, f"{{free_mb:.0f}} MiB are free", f"at least {{limit:g}} MiB"),
        "max_percent": (percent <= limit, f"the disk is {{percent:.1f}} % full", f"at most {{limit:g}} %"),
    }}[unit]
    return good, seen if good else f"{{seen}}, expected {{expected}}"


{TRIES}'''

COMMAND = f'''\
import json
import os
import subprocess
import sys
import tempfile
import time


def argv():
    if "CW_COMMAND" in os.environ:
        return json.loads(os.environ["CW_COMMAND"])
    return [os.environ["CW_INTERPRETER"], os.environ["CW_SCRIPT"]]


def inherited():
    """The descriptor that the script stands in: the program must have it too."""
    number = os.environ.get("CW_SCRIPT", "").removeprefix("/proc/self/fd/")
    return [int(number)] if number.isdigit() else []


def last_line(stream):
    stream.seek(max(0, stream.seek(0, os.SEEK_END) - 2000))
    lines = stream.read().decode("utf-8", "replace").splitlines()
    return next((line.strip()[:200] for line in reversed(lines) if line.strip()), "")


def probe():
    expected, wanted = int(os.environ["CW_EXPECT_EXIT"]), os.environ.get("CW_CONTAINS", "")
    with tempfile.TemporaryFile() as printed:
        try:
            code = subprocess.run(
                argv(),
                cwd=os.environ["CW_WORKING_DIR"],
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.STDOUT,
                timeout=float(os.environ["CW_TIMEOUT"]),
                pass_fds=inherited(),
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            return False, f"it did not end within {{os.environ['CW_TIMEOUT']}} s"
        except OSError as problem:
            return False, f"it cannot be started: {{problem.strerror}}"
        said = last_line(printed)
        if code != expected:
            words = f"exit {{code}}, expected {{expected}}"
            return False, f"{{words}} ({{said}})" if said else words
        printed.seek(0)
        if wanted.encode() not in printed.read(1 << 20):
            return False, f"exit {{code}} without the expected text in what it printed"
    return True, said or f"exit {{code}}"


{TRIES}'''
