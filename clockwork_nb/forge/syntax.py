"""Syntax checks that run nothing: a shell's own ``-n``, Python's parser, strict JSON, ``deno check``, ``gofmt -e``.

Deno's check also refuses an import from the network: what is fetched at run time was not approved. Go's types are left to
the build, which comes before anything runs; ``go vet`` would first compile the standard library.
"""

from __future__ import annotations

import re
import subprocess
import threading
import warnings
from collections import OrderedDict
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from clockwork_nb.canonical import parse_json
from clockwork_nb.errors import InvalidInputError
from clockwork_nb.forge.runtimes import FIXED_PATH, find_runtime
from clockwork_nb.patterns import pattern

__all__ = ["SyntaxChecker", "shared_checker"]

_TIMEOUT_S = 20
_REMEMBERED = 8192
_SHELL_SAYS = pattern(r"\S+: (?:line )?(\d+): (.*)")
_SHELL = {"sh": ("-n",), "bash": ("--norc", "--noprofile", "-n")}
_ALIASES = {"python": "python3", "typescript": "deno"}
_CHECKED = frozenset({"sh", "bash", "python3", "json", "deno", "javascript", "go"})
_DENO = ("check", "--quiet", "--no-config", "--no-lock", "--no-remote", "--no-npm")
_DENO_SAYS = pattern(r"(?:error: |(TS\d+) \[ERROR\]: )(.*)")
_GO_SAYS = pattern(r"\S+?:(\d+):\d+: (.*)")


class SyntaxChecker:
    """Checks the text of scripts; each distinct text is looked at once. Thread-safe.

    ``runs`` counts the checks really made, ``spawned`` the shells started for them.
    """

    def __init__(self) -> None:
        self.runs = 0
        self.spawned = 0
        self._known: OrderedDict[tuple[str, bytes], tuple[int, str]] = OrderedDict()
        self._lock = threading.Lock()

    def problem(self, lang: str, content: bytes) -> str:
        """Return the first syntax error of *content* in one line, ``""`` when there is none or no checker is here."""
        lang = _ALIASES.get(lang, lang)
        if lang not in _CHECKED:
            return ""
        body = _without_header(content) if lang in _SHELL else content
        key = (lang, sha256(body).digest())
        with self._lock:
            answer = self._known.get(key)
        if answer is None:
            answer = self._check(lang, body)
            with self._lock:
                self.runs += 1
                self._known[key] = answer
                if len(self._known) > _REMEMBERED:
                    self._known.popitem(last=False)
        line, text = answer
        header = content.count(b"\n") - body.count(b"\n")
        return f"{text} at line {line + header}" if line else text

    def _check(self, lang: str, body: bytes) -> tuple[int, str]:
        # The line counts from the body's first, 0 when there is none to name.
        if b"\0" in body:
            return 0, "it holds a NUL byte"
        try:
            text = body.decode()
        except UnicodeDecodeError as error:
            return 0, f"it is not UTF-8 ({error.reason})"
        if lang == "json":
            return 0, _json_problem(body)
        if lang == "python3":
            return _python_problem(text)
        if lang in {"deno", "javascript"}:
            return self._deno_problem(lang, body)
        if lang == "go":
            return self._go_problem(body)
        return self._shell_problem(lang, body)

    def _shell_problem(self, lang: str, body: bytes) -> tuple[int, str]:
        path = find_runtime(lang)
        if not path:
            return 0, ""
        # -n reads and parses but executes nothing; an empty environment keeps BASH_ENV and functions out.
        status, said = self._run(lang, [path, *_SHELL[lang]], body)
        if status == 0:
            return 0, ""
        found = _SHELL_SAYS.match(said)
        return (int(found.group(1)), found.group(2)[:200]) if found else (0, said.split("\n")[0][:200])

    def _deno_problem(self, lang: str, body: bytes) -> tuple[int, str]:
        path = find_runtime("deno")
        if not path:
            return 0, ""
        name = "script.js" if lang == "javascript" else "script.ts"
        from tempfile import TemporaryDirectory

        with TemporaryDirectory(prefix="clockwork-check-") as folder:
            Path(folder, name).write_bytes(body)
            env = {"HOME": folder, "DENO_DIR": f"{folder}/deno", "NO_COLOR": "1", "DENO_NO_UPDATE_CHECK": "1"}
            status, said = self._run("deno", [path, *_DENO, name], b"", env, folder)
        if status == 0:
            return 0, ""
        found = _DENO_SAYS.search(said)
        line = re.search(rf"{re.escape(name)}:(\d+):", said)
        words = " ".join(filter(None, found.groups())) if found else said.split("\n")[0]
        return int(line.group(1)) if line else 0, words[:200]

    def _go_problem(self, body: bytes) -> tuple[int, str]:
        go = find_runtime("go")
        if not go:
            return 0, ""
        env = {"HOME": "/nonexistent", "GOENV": "off", "GOTOOLCHAIN": "local", "GOTELEMETRY": "off"}
        status, root = self._run("go", [go, "env", "GOROOT"], b"", env)
        formatter = Path(root.strip(), "bin", "gofmt")
        if status != 0 or not formatter.is_file():
            return 0, ""
        status, said = self._run("go", [str(formatter), "-e", "-l"], body, env)
        found = _GO_SAYS.search(said)
        if status == 0:
            return 0, ""
        return (int(found.group(1)), found.group(2)[:200]) if found else (0, said.split("\n")[0][:200])

    def _run(
        self, name: str, argv: list[str], body: bytes, env: Mapping[str, str] | None = None, cwd: str = "/"
    ) -> tuple[int, str]:
        """Run a checker on *body* and return its exit status and what it said; -1 when it could not check."""
        self.spawned += 1
        try:
            done = subprocess.run(
                argv, input=body, capture_output=True, timeout=_TIMEOUT_S, cwd=cwd, check=False,
                env={"PATH": FIXED_PATH, "LC_ALL": "C", **(env or {})},
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return -1, f"{name} could not check it in {_TIMEOUT_S} s"
        except OSError as error:
            return -1, f"{name} could not be started: {error.strerror}"
        said = done.stderr if done.returncode else done.stdout
        return done.returncode, said.decode("utf-8", "replace").strip() or f"{name} refuses it"


def _without_header(content: bytes) -> bytes:
    # The lines before the first command cannot hold an open quote: leaving out those that are comments changes nothing
    # for the parser, and scripts that differ in their header alone share one check.
    at = 0
    while content.startswith(b"#", at):
        end = content.find(b"\n", at)
        if end < 0:
            return b""
        at = end + 1
    return content[at:]


def _python_problem(text: str) -> tuple[int, str]:
    import ast

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(text, "script", "exec", flags=ast.PyCF_ONLY_AST, dont_inherit=True)
    except SyntaxError as error:
        return error.lineno or 0, error.msg
    except (ValueError, RecursionError, MemoryError) as error:
        return 0, f"it cannot be parsed: {str(error) or 'nested too deeply'}"
    return 0, ""


def _json_problem(body: bytes) -> str:
    try:
        value = parse_json(body, what="the spec")
    except InvalidInputError as error:
        return error.message
    return "" if isinstance(value, dict) else "it is not a JSON object"


_SHARED = SyntaxChecker()


def shared_checker() -> SyntaxChecker:
    """Return this process's checker, so that a second build does not check the same scripts again."""
    return _SHARED
