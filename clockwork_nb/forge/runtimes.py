"""The runtimes a step may be started by: which words may stand before the script, and where the interpreter is.

A step's argv is ``[runtime, safe flags…, script, arguments…]`` and nothing else: no code on the command line, no module
by name, no launcher that starts another program.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct, field

from clockwork_nb.canonical import sha256_hex
from clockwork_nb.errors import BundleRuntimeError
from clockwork_nb.patterns import pattern

__all__ = [
    "BUILT_IN",
    "FIXED_PATH",
    "LANGUAGES",
    "RUNTIMES",
    "SERVICE_VERBS",
    "Interpreters",
    "Runtime",
    "argv_problems",
    "find_runtime",
    "script_index",
    "shebang_runtime",
]

FIXED_PATH = "/usr/local/bin:/usr/bin:/bin"
"""The PATH every step gets, and the first place interpreters are looked for."""

BUILT_IN = "cw:service"
SERVICE_VERBS = ("ensure", "remove", "stop")


class Runtime(Struct, frozen=True):
    """One allowed interpreter. ``flags`` are what may stand before the script; ``languages`` are what it runs."""

    name: str
    languages: tuple[str, ...]
    flags: re.Pattern[str]
    subcommands: tuple[str, ...] = ()


_PYTHON_FLAGS = pattern(r"-[IBESsu]{1,6}\Z")
# Permissions must name what they open; --allow-run and --allow-ffi start programs, so they are not in the list.
_DENO_FLAGS = pattern(
    r"--(?:no-prompt|no-remote|no-npm|no-config|no-lock|cached-only|quiet|ext=(?:ts|js|mjs)"
    r"|allow-(?:read|write|net|env)=[^\s*]+|deny-(?:read|write|net|env|run|ffi|sys)(?:=\S+)?)\Z"
)
_NO_FLAGS = pattern(r"(?!)")

RUNTIMES: Mapping[str, Runtime] = {
    r.name: r
    for r in (
        Runtime("sh", ("sh",), pattern(r"-[efux]{1,4}\Z")),
        Runtime("bash", ("bash", "sh"), pattern(r"(?:-[efux]{1,4}|--norc|--noprofile|--posix)\Z")),
        Runtime("python3", ("python3", "python"), _PYTHON_FLAGS),
        Runtime("deno", ("deno", "typescript", "javascript"), _DENO_FLAGS, ("run",)),
        Runtime("go", ("go",), _NO_FLAGS, ("run", "build")),
    )
}

LANGUAGES = frozenset({lang for r in RUNTIMES.values() for lang in r.languages} | {"json", "data"})
"""Every ``lang`` an artifact may have; ``json`` is for specs of built-ins, ``data`` is never executed."""

_SHEBANG_ENV = pattern(r"#!\s*/usr/bin/env (?:-S )?([A-Za-z0-9._-]+)(?:\s|\Z)")
_SHEBANG = pattern(r"#!\s*(?:/usr/local/bin/|/usr/bin/|/bin/)([A-Za-z0-9._-]+)(?:\s|\Z)")


def shebang_runtime(content: bytes) -> str | None:
    """Return the runtime that the first line names, ``""`` when it names none of ours, None without a ``#!`` line."""
    if not content.startswith(b"#!"):
        return None
    line = content.split(b"\n", 1)[0][:256].decode("utf-8", "replace").rstrip("\r")
    found = _SHEBANG_ENV.match(line) or _SHEBANG.match(line)
    if found is None:
        return ""
    name = {"python": "python3", "dash": "sh"}.get(found.group(1), found.group(1))
    return name if name in RUNTIMES else ""


def script_index(cmd: Sequence[str]) -> int:
    """Return where in *cmd* the script (or the built-in's spec) stands, -1 when nothing can be one."""
    if not cmd:
        return -1
    if cmd[0] == BUILT_IN:
        return 2 if len(cmd) == 3 else -1
    runtime = RUNTIMES.get(cmd[0])
    if runtime is None:
        return -1
    at = 1
    if runtime.subcommands:
        if len(cmd) < 2 or cmd[1] not in runtime.subcommands:
            return -1
        at = 2
    while at < len(cmd) and cmd[at].startswith("-"):
        at += 1
    return at if at < len(cmd) else -1


_CONTROL = pattern(r"[\x00-\x1f\x7f]")


def argv_problems(cmd: Sequence[str]) -> list[tuple[str, str]]:
    """Return ``(what is wrong, what to do)`` for each rule that *cmd* breaks; whether the script exists is not asked."""
    if not cmd:
        return [("there is no command", "Write [runtime, script, arguments…].")]
    out = [
        (f"word {i + 1} holds a line break or a control character", "Pass text with line breaks as a data artifact.")
        for i, word in enumerate(cmd)
        if _CONTROL.search(word)
    ]
    if cmd[0] == BUILT_IN:
        if len(cmd) != 3 or cmd[1] not in SERVICE_VERBS:
            out.append((f"{BUILT_IN} is called with other words", f"Write [{BUILT_IN}, ensure|remove|stop, SPEC]."))
        return out
    runtime = RUNTIMES.get(cmd[0])
    if runtime is None:
        allowed = ", ".join(RUNTIMES)
        return [*out, (f"{cmd[0][:60]!r} is not an allowed runtime", f"Allowed: {allowed}; by bare name, no path.")]
    if runtime.subcommands and (len(cmd) < 2 or cmd[1] not in runtime.subcommands):
        return [*out, (f"{cmd[0]} must be followed by {' or '.join(runtime.subcommands)}", "")]
    at = script_index(cmd)
    first = 2 if runtime.subcommands else 1
    for word in cmd[first : at if at >= 0 else len(cmd)]:
        if not runtime.flags.match(word):
            out.append(
                (f"{cmd[0]} may not be given {word[:60]!r}", "Only fixed, harmless flags may precede the script.")
            )
    if at < 0:
        out.append(("there is no script", "Write [runtime, script, arguments…]."))
    return out


def find_runtime(name: str) -> str:
    """Return the absolute path of the runtime *name*: on the fixed PATH first, then on this process's; ``""`` if none."""
    # Not shutil.which: importing that costs each plan 2 ms. An empty entry is the project folder, which is not trusted.
    for folder in filter(None, [*FIXED_PATH.split(":"), *os.get_exec_path()]):
        path = os.path.join(folder, name)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return os.path.abspath(path)
    return ""


class Interpreters(Struct):
    """Finds and hashes each interpreter once."""

    found: dict[str, tuple[str, str]] = field(default_factory=dict)

    def resolve(self, name: str) -> tuple[str, str]:
        """Return the absolute path of *name* and the SHA-256 of its content.

        The path is not resolved further: a multi-call binary or a virtual environment looks at the name it is
        started by. The digest is of what the name leads to.

        Raises:
            BundleRuntimeError: E_BUNDLE_RUNTIME, not allowed or not installed.
        """
        if name not in self.found:
            if name not in RUNTIMES:
                raise BundleRuntimeError(f"{name!r} is not an allowed runtime", hint=f"Allowed: {', '.join(RUNTIMES)}")
            path = find_runtime(name)
            if not path:
                raise BundleRuntimeError(
                    f"the runtime {name} is not installed here",
                    hint=f"Install {name}, or choose another interpreter; looked in {FIXED_PATH} and in PATH.",
                    details={"runtime": name},
                )
            self.found[name] = (path, sha256_hex(Path(path).read_bytes()))
        return self.found[name]
