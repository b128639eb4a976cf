"""ArtifactBundles as JSON bytes that are not what they should be, each with the code it must get."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from clockwork_nb.forge.bundle_limits import AGENT_LIMITS
from clockwork_nb.forge.runtimes import Interpreters
from tests.conformance.bundles.hostile_bundles import LIMIT, MAPPING, PATH, RUNTIME, SCHEMA, SHA, action

ACTIONS = (action("file.a:write_file"), action("check.b:verify_http"))
INTERPRETERS = Interpreters({name: (f"/usr/bin/{name}", SHA) for name in ("sh", "bash", "python3", "deno", "go")})


@dataclass(frozen=True)
class Document:
    """The bytes, the code of the refusal, the class it counts for, and words that its finding must have."""

    name: str
    kind: str
    code: str
    data: bytes = field(repr=False)
    place: str = ""


def honest() -> dict[str, Any]:
    """Return a bundle that passes, fresh each time."""
    return {
        "version": "1",
        "artifacts": [
            {
                "path": "scripts/file.a/write_file.sh", "mode": "0755", "purpose": "write_file", "lang": "sh",
                "content": '#!/bin/sh\ncat "$CW_CONTENT" > out/a\n',
            },
            {
                "path": "scripts/file.a/content.bin", "mode": "0644", "purpose": "content", "lang": "data",
                "content": base64.b64encode(b"\0\1\2").decode(), "encoding": "base64",
            },
            {
                "path": "scripts/check.b/verify_http.py", "mode": "0644", "purpose": "verify_http", "lang": "python",
                "content": "print(200)\n",
            },
        ],
        "steps": [
            {
                "purpose": "write_file", "run": {"cmd": ["sh", "scripts/file.a/write_file.sh"]}, "vars": ["MODE"],
                "data": {"CW_CONTENT": "scripts/file.a/content.bin"}, "confinement": {"write": ["out/a"]},
            },
            {
                "purpose": "verify_http", "id": "check.b:verify_http",
                "run": {"cmd": ["python3", "-I", "scripts/check.b/verify_http.py"]},
                "confinement": {"network": [8080]},
            },
        ],
        "vars": {"MODE": "0644", "PORT": 8080, "DEBUG": False},
    }  # fmt: skip


def changed(path: str, value: Any) -> bytes:
    """Return the honest bundle with *value* at *path* (``artifacts.0.mode``), None for leaving it out."""
    document = honest()
    *way, last = (int(part) if part.isdigit() else part for part in path.split("."))
    inner: Any = document
    for part in way:
        inner = inner[part]
    if value is None:
        del inner[last]
    else:
        inner[last] = value
    return json.dumps(document).encode()


def text() -> str:
    """Return the honest bundle as JSON text."""
    return json.dumps(honest(), indent=1)


def documents() -> Iterator[Document]:
    """Yield every case."""
    yield from _tricks()
    yield from _forms()
    yield from _limits()
    yield from _refused_by_the_gate()


def _tricks() -> Iterator[Document]:
    plain = text()
    tricks: Mapping[str, bytes] = {
        "key twice": plain.replace('"version": "1"', '"version": "1", "version": "1"').encode(),
        "key twice inside": plain.replace('"lang": "sh"', '"lang": "sh", "lang": "data"').encode(),
        "key twice by escape": plain.replace('"lang": "sh"', '"lang": "sh", "l\\u0061ng": "data"').encode(),
        "nan": plain.replace("8080,", "NaN,", 1).encode(),
        "infinity": plain.replace("8080,", "-Infinity,", 1).encode(),
        "1e999": plain.replace("8080,", "1e999,", 1).encode(),
        "a number of 5,000 digits": plain.replace("8080,", f"{'9' * 5000},", 1).encode(),
        "beyond 2^53": plain.replace("8080,", "9007199254740993,", 1).encode(),
        "beyond 2^53 as a fraction": plain.replace("8080,", "9007199254740993.0,", 1).encode(),
        "beyond 2^53 by exponent": plain.replace("8080,", "1e16,", 1).encode(),
        "lone surrogate": plain.replace("print(200)", "print('\\ud800')").encode(),
        "lone surrogate in a name": plain.replace('"DEBUG"', '"\\udc00"').encode(),
        "surrogate as bytes": plain.replace("print(200)", "@").encode().replace(b"@", b"\xed\xa0\x80"),
        "prose before": b"Here is the bundle you asked for:\n" + plain.encode(),
        "prose after": plain.encode() + b"\nLet me know if you need more!",
        "two documents": plain.encode() + plain.encode(),
        "two lines": json.dumps(honest()).encode() + b"\n" + json.dumps(honest()).encode(),
        "markdown fence": b"```json\n" + plain.encode() + b"\n```\n",
        "bare fence": b"\n```\n" + plain.encode() + b"\n```",
        "byte order mark": b"\xef\xbb\xbf" + plain.encode(),
        "utf-16": plain.encode("utf-16"),
        "utf-16 without a mark": plain.encode("utf-16-le"),
        "utf-32": plain.encode("utf-32-be"),
        "latin-1": plain.replace("print(200)", "print('\xe9')").encode("latin-1"),
        "overlong": plain.encode().replace(b"print(200)", b"\xc0\xae\xc0\xae"),
        "line comment": plain.replace('"steps"', '// the steps\n"steps"').encode(),
        "block comment": plain.replace('"steps"', '/* the steps */ "steps"').encode(),
        "trailing comma": plain.replace('"DEBUG": false', '"DEBUG": false,').encode(),
        "trailing comma in a list": plain.replace("8080\n", "8080,\n", 1).encode(),
        "single quotes": plain.replace('"version"', "'version'").encode(),
        "control character": plain.replace("print(200)", "print(200)\x01").encode(),
        "line break in a string": plain.replace("print(200)", "print(200)\n").encode(),
        "nothing": b"",
        "white space": b" \n ",
        "a list": b"[" + plain.encode() + b"]",
        "text": json.dumps(plain).encode(),
        "null": b"null",
        "cut off": plain.encode()[:-20],
        "a nul at the end": plain.encode() + b"\0",
    }
    for name, data in tricks.items():
        yield Document(f"json {name}", "J", SCHEMA, data)


def _forms() -> Iterator[Document]:
    def form(name: str, path: str, value: Any, place: str) -> Document:
        return Document(f"form {name}", "S", SCHEMA, changed(path, value), place)

    yield form("version 2", "version", "2", "version")
    yield form("version as a number", "version", 1, "version")
    yield form("no version", "version", None, "bundle")
    yield form("no steps", "steps", None, "bundle")
    yield form("steps as an object", "steps", {}, "steps")
    yield form("unknown key", "notes", "trust me", "bundle")
    yield form("unknown key in an artifact", "artifacts.0.owner", "root", "artifacts[0]")
    yield form("unknown key in a step", "steps.0.environment", "inherited", "steps[0]")
    yield form("shell string", "steps.0.run", "sh scripts/file.a/write_file.sh", "steps[0].run")
    yield form("command as text", "steps.0.run.cmd", "sh x; rm -rf /", "steps[0].run.cmd")
    yield form("word as a number", "steps.0.run.cmd", ["sh", 1], "steps[0].run.cmd[1]")
    yield form("mode as a number", "artifacts.0.mode", 755, "artifacts[0].mode")
    yield form("content as a list", "artifacts.0.content", ["#!/bin/sh"], "artifacts[0].content")
    yield form("content missing", "artifacts.0.content", None, "artifacts[0]")
    yield form("not base64", "artifacts.1.content", "%%%", "artifacts[1].content")
    yield form("encoding unknown", "artifacts.1.encoding", "rot13", "artifacts[1].encoding")
    yield form("script in base64", "artifacts.0.encoding", "base64", "artifacts[0].encoding")
    yield form("variable as a list", "vars.MODE", [], "vars['MODE']")
    yield form("variable null", "vars", {"MODE": 0, "X": {"secret": 1}}, "vars['X'].secret")
    yield form("variable nobody has", "steps.0.vars", ["NONE"], "steps[0].vars")
    yield form("port as text", "steps.1.confinement.network", ["8080"], "steps[1].confinement.network[0]")
    yield form("port as a boolean", "steps.1.confinement.network", [True], "steps[1].confinement.network[0]")
    yield form("confinement off", "steps.0.confinement", False, "steps[0].confinement")
    yield form("an artifact null", "artifacts.1", 0, "artifacts[1]")


def _limits() -> Iterator[Document]:
    most = AGENT_LIMITS
    spare = {"mode": "0644", "purpose": "p", "lang": "data", "content": "x"}
    files = [{**spare, "path": f"scripts/{n}"} for n in range(most.files + 1)]
    yield Document("limit document", "L", LIMIT, text().encode().ljust(most.document_bytes + 1))
    yield Document("limit depth", "L", LIMIT, b'{"a":' * 17 + b"1" + b"}" * 17)
    yield Document("limit depth of a bomb", "L", LIMIT, b"[" * 2_000_000)
    yield Document("limit files", "L", LIMIT, changed("artifacts", files))
    yield Document("limit steps", "L", LIMIT, changed("steps", [honest()["steps"][0]] * (most.steps + 1)))
    yield Document("limit file", "L", LIMIT, changed("artifacts.0.content", "#" * (most.file_bytes + 1)))
    yield Document("limit purpose", "L", LIMIT, changed("artifacts.0.purpose", "p" * (most.purpose_bytes + 1)))
    yield Document("limit variables", "L", LIMIT, changed("vars.MODE", "m" * most.vars_bytes))


def _refused_by_the_gate() -> Iterator[Document]:
    yield Document("gate path", "P", PATH, changed("artifacts.0.path", "../../etc/cron.d/x"))
    yield Document("gate runtime", "R", RUNTIME, changed("steps.0.run.cmd", ["sh", "-c", "id"]))
    yield Document(
        "gate seed's own permissions", "R", RUNTIME, changed("steps.0.run.cmd", ["deno", "run", "--allow-all", "x"])
    )
    yield Document("gate host step", "R", RUNTIME, changed("steps.0.class", "host"))
    yield Document(
        "gate built-in", "R", RUNTIME, changed("steps.0.run.cmd", ["cw:service", "ensure", "scripts/file.a/x"])
    )
    yield Document("gate no such action", "M", MAPPING, changed("steps.0.purpose", "write_fi1e"))
    yield Document("gate id of another action", "M", MAPPING, changed("steps.1.id", "file.a:write_file"))
    yield Document(
        "gate two steps for one action", "M", MAPPING, changed("steps", [*honest()["steps"], honest()["steps"][0]])
    )
    yield Document("gate another address", "M", MAPPING, changed("steps.0.address", "file.b"))
    yield Document("gate secret nobody has", "S", SCHEMA, changed("vars.MODE", {"secret": "password"}))
    yield Document("gate write elsewhere", "P", PATH, changed("steps.0.confinement.write", ["/etc/passwd"]))
    yield Document("gate no such file", "S", SCHEMA, changed("steps.0.data.X", "scripts/none"))
