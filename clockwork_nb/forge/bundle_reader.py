"""An ArtifactBundle from JSON bytes that somebody else wrote: strict, everything wrong at once, nothing guessed.

The form is that of contracts.md: ``{"version":"1","artifacts":[…],"steps":[…],"vars":{…}}`` and nothing around it. What
comes out is a `Bundle` that still has to pass the gate (`clockwork_nb.forge.validate`); `bundle_from_json` does both.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import Struct, field

from clockwork_nb.canonical import canonical_json
from clockwork_nb.errors import BundleRuntimeError
from clockwork_nb.forge.bundle import Bundle, BundleStep
from clockwork_nb.forge.bundle_limits import AGENT_LIMITS, TEMPLATE_LIMITS, BundleLimits, Source
from clockwork_nb.forge.findings import LIMIT, RUNTIME, SCHEMA, Finding, refuse
from clockwork_nb.forge.runtimes import BUILT_IN, RUNTIMES, Interpreters
from clockwork_nb.forge.validate import action_key, validate_bundle
from clockwork_nb.patterns import pattern
from clockwork_nb.ports import Action, Artifact

__all__ = ["BundleReading", "bundle_from_json", "read_bundle"]

_MAX_INTEGER: Final = 2**53 - 1  # what every reader of JSON keeps exactly (RFC 8259 §6)
# Possessive, and a string without an end reaches to the end: one pass, whatever the text.
_BRACKETS: Final = pattern(r'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|[\[{]|[\]}]', re.DOTALL)
_SHOWN: Final = 60
_MOST_FINDINGS: Final = 1000  # nobody reads more, and a hostile document could hold millions


class BundleReading(Struct, frozen=True):
    """What a document says. ``bundle`` is None when so much is wrong that no bundle could be made of it."""

    bundle: Bundle | None
    findings: tuple[Finding, ...] = ()


def bundle_from_json(
    data: bytes,
    actions: Sequence[Action | Mapping[str, Any]],
    *,
    source: Source = "agent",
    limits: BundleLimits | None = None,
    secrets: Mapping[str, Any] | None = None,
    interpreters: Interpreters | None = None,
) -> Bundle:
    """Return the bundle that *data* holds, read strictly and past the gate: it may be shown for approval.

    Args:
        actions: the plan's steps, in order; each has to have exactly one step.
        source, limits: as for `clockwork_nb.forge.validate.validate_bundle`.
        secrets: name → value of what ``{"secret": name}`` may name.
        interpreters: where interpreters were found already.

    Raises:
        BundleError: the subclass of the most severe finding; all of them are in ``details["findings"]``.
    """
    limits = limits or (AGENT_LIMITS if source == "agent" else TEMPLATE_LIMITS)
    reading = read_bundle(data, actions, limits=limits, secrets=secrets, interpreters=interpreters)
    findings = list(reading.findings)
    if reading.bundle is not None:
        findings += validate_bundle(reading.bundle, actions, limits=limits, source=source)
    refuse(findings)
    assert reading.bundle is not None
    return reading.bundle


def read_bundle(
    data: bytes,
    actions: Sequence[Action | Mapping[str, Any]] = (),
    *,
    limits: BundleLimits = AGENT_LIMITS,
    secrets: Mapping[str, Any] | None = None,
    interpreters: Interpreters | None = None,
) -> BundleReading:
    """Return what *data* says, with everything that is wrong with its form; whether it may run is not asked.

    A step without an ``id`` is the one action of that name. ``vars`` of the document reach every step that does not
    list the names it wants. Numbers and booleans become the text that JSON writes for them.
    """
    if len(data) > limits.document_bytes:
        return BundleReading(None, (_too_large(len(data), limits),))
    document, findings = _parse(data, limits)
    if findings:
        return BundleReading(None, tuple(findings))
    reader = _Reader(actions, interpreters or Interpreters(), secrets or {})
    return reader.read(document)


def _too_large(size: int, limits: BundleLimits) -> Finding:
    return Finding(LIMIT, "bundle", f"{size} bytes of JSON, {limits.document_bytes} are allowed", "Write less.")


# --- JSON -----------------------------------------------------------------------------------------------------------


class _NotJson(Struct, frozen=True):
    """A value that JSON's grammar or its numbers do not have; the reader says where it stands."""

    message: str


class _Object(dict[str, Any]):
    """A JSON object that remembers which of its keys were there more than once."""

    twice: tuple[str, ...] = ()


def _object(pairs: list[tuple[str, Any]]) -> _Object:
    out = _Object(pairs)
    if len(out) != len(pairs):
        out.twice = tuple(sorted(key for key, times in Counter(k for k, _ in pairs).items() if times > 1))
    return out


def _integer(text: str) -> int | _NotJson:
    if len(text) > 17 or abs(int(text)) > _MAX_INTEGER:
        return _NotJson(f"the number {text[:_SHOWN]} is beyond what JSON keeps exactly")
    return int(text)


def _fraction(text: str) -> float | _NotJson:
    number = float(text)
    if number in {float("inf"), float("-inf")}:
        return _NotJson(f"the number {text[:_SHOWN]} is too large")
    if number == int(number) and abs(number) > _MAX_INTEGER:
        return _NotJson(f"the number {text[:_SHOWN]} is beyond what JSON keeps exactly")
    return number


def _parse(data: bytes, limits: BundleLimits) -> tuple[Any, list[Finding]]:
    """Return the document, or why there is none."""
    hint = "Send one JSON object in UTF-8 and nothing around it."
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in data[:4]:
        return None, [Finding(SCHEMA, "line 1, column 1", "it is UTF-16 or UTF-32, not UTF-8", hint)]
    if data.startswith(b"\xef\xbb\xbf"):
        return None, [Finding(SCHEMA, "line 1, column 1", "it begins with a byte order mark", hint)]
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return None, [Finding(SCHEMA, f"line {line}", f"it is not UTF-8 at byte {error.start}", hint)]
    if problem := _too_deep(text, limits.depth):
        return None, [problem]
    try:
        decoder = json.JSONDecoder(
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_float=_fraction,
            parse_constant=lambda word: _NotJson(f"{word} is not JSON"),
        )
        return decoder.decode(text), []
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        return None, [Finding(SCHEMA, place, _syntax_words(text, error), hint)]


def _too_deep(text: str, most: int) -> Finding | None:
    depth = 0
    for found in _BRACKETS.finditer(text):
        word = found.group()
        if word in "[{":
            depth += 1
            if depth > most:
                line = text.count("\n", 0, found.start()) + 1
                return Finding(LIMIT, f"line {line}", f"it is nested more than {most} deep", "Write it flat.")
        elif word in "]}":
            depth -= 1
    return None


def _syntax_words(text: str, error: json.JSONDecodeError) -> str:
    rest = text[error.pos :].lstrip()
    start = text.lstrip()
    if start.startswith("```"):
        return "it is wrapped in a Markdown fence"
    if error.pos == 0 or not start.startswith(("{", "[")):
        return f"text stands before the JSON: {_clip(start)!r}" if start else "it is empty"
    if error.msg == "Extra data":
        return f"more follows after the JSON: {_clip(rest)!r}"
    if rest.startswith(("//", "/*", "#")):
        return "it holds a comment, and JSON has none"
    if (rest.startswith(("}", "]")) and text[: error.pos].rstrip().endswith(",")) or "trailing comma" in error.msg:
        return "a comma stands before a closing bracket"
    if rest.startswith("'"):
        return "strings stand in double quotes"
    return f"it is not JSON: {error.msg}"


def _clip(text: str) -> str:
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


# --- the document's form ----------------------------------------------------------------------------------------------

_DOCUMENT: Final = {"version": True, "artifacts": True, "steps": True, "vars": False}
_ARTIFACT: Final = {
    "path": True, "mode": True, "purpose": True, "lang": True, "content": False, "encoding": False, "secret": False,
}  # fmt: skip
_STEP: Final = {
    "purpose": True, "run": True, "id": False, "address": False, "vars": False, "data": False, "class": False,
    "cwd": False, "confinement": False,
}  # fmt: skip
_KIND_WORDS: Final = {dict: "an object", list: "a list", str: "text", bool: "true or false", int: "a number"}


class _Reader(Struct):
    """Turns one parsed document into a `Bundle`; each thing wrong becomes a finding and the reading goes on."""

    actions: Sequence[Action | Mapping[str, Any]]
    interpreters: Interpreters
    secrets: Mapping[str, Any]
    findings: list[Finding] = field(default_factory=list)
    whole: bool = True

    def read(self, document: Any) -> BundleReading:
        doc = self._object(document, "bundle", _DOCUMENT)
        if doc is None:
            return BundleReading(None, tuple(self.findings))
        if doc.get("version", "1") != "1":
            self._wrong("version", f'the version is {_shown(doc["version"])}, not "1"', 'Write "version": "1".')
        artifacts = [
            self._artifact(entry, f"artifacts[{n}]")
            for n, entry in enumerate(self._list(doc.get("artifacts", []), "artifacts"))
        ]
        plain, secret = self._variables(doc.get("vars", {}), "vars")
        ids = self._ids()
        steps = [
            self._step(entry, f"steps[{n}]", ids, plain, secret)
            for n, entry in enumerate(self._list(doc.get("steps", []), "steps"))
        ]
        if not self.whole:
            return BundleReading(None, tuple(self.findings))
        bundle = Bundle(
            tuple(a for a in artifacts if a is not None), tuple(s for s in steps if s is not None), dict(self.secrets)
        )
        return BundleReading(bundle, tuple(self.findings))

    # --- small readers ------------------------------------------------------------------------------------------------

    def _wrong(self, place: str, message: str, hint: str = "") -> None:
        if len(self.findings) < _MOST_FINDINGS:
            self.findings.append(Finding(SCHEMA, place, message, hint))

    def _broken(self, place: str, message: str, hint: str = "") -> None:
        """Tell what leaves no value to go on with: then there is no bundle, and no findings about what is missing."""
        self._wrong(place, message, hint)
        self.whole = False

    def _object(self, value: Any, place: str, keys: Mapping[str, bool] | None = None) -> dict[str, Any] | None:
        if not isinstance(value, dict):
            self._broken(place, f"it is {_kind(value)}, not an object")
            return None
        for key in getattr(value, "twice", ()):
            self._broken(place, f"the key {_shown(key)} is there more than once", "Say each thing once.")
        if keys is None:
            return value
        for key in value:
            if key not in keys:
                self._wrong(place, f"the key {_shown(key)} is unknown", f"Known: {', '.join(keys)}")
        for key, needed in keys.items():
            if needed and key not in value:
                self._broken(place, f"{key!r} is missing")
        return value

    def _list(self, value: Any, place: str) -> list[Any]:
        if isinstance(value, list):
            return value
        self._broken(place, f"it is {_kind(value)}, not a list")
        return []

    def _text(self, value: Any, place: str, *, most: int = 0) -> str:
        if not isinstance(value, str):
            self._broken(place, f"it is {_kind(value)}, not text")
            return ""
        if not _encodes(value):
            self._broken(place, "it holds half of a surrogate pair, which has no UTF-8 form")
            return ""
        if most and len(value) > most:
            self.findings.append(Finding(LIMIT, place, f"it has {len(value)} characters, {most} are allowed"))
            self.whole = False
            return ""
        return value

    # --- artifacts ----------------------------------------------------------------------------------------------------

    def _artifact(self, entry: Any, place: str) -> Artifact | None:
        doc = self._object(entry, place, _ARTIFACT)
        if doc is None:
            return None
        text = {key: self._text(doc.get(key, ""), f"{place}.{key}", most=4096) for key in ("path", "purpose", "lang")}
        mode = self._text(doc.get("mode", ""), f"{place}.mode", most=16)
        secret = self._text(doc.get("secret", ""), f"{place}.secret", most=512)
        if "content" not in doc and "secret" not in doc:
            self._broken(place, "'content' is missing")
        content = self._text(doc.get("content", ""), f"{place}.content").encode()
        encoding = doc.get("encoding")
        if encoding == "base64":
            content = self._decoded(content, f"{place}.content")
        elif "encoding" in doc:
            self._wrong(f"{place}.encoding", f"the encoding {_shown(encoding)} is unknown", 'Known: "base64"')
        if encoding == "base64" and text["lang"] != "data":
            self._wrong(f"{place}.encoding", "only data may be in base64: a script is there to be read")
        return Artifact(text["path"], content, mode, text["purpose"], text["lang"], secret=secret)  # type: ignore[arg-type]

    def _decoded(self, content: bytes, place: str) -> bytes:
        try:
            return base64.b64decode(content, validate=True)
        except binascii.Error as error:
            self._broken(place, f"it is not base64: {error}")
            return b""

    # --- variables ----------------------------------------------------------------------------------------------------

    def _variables(self, value: Any, place: str) -> tuple[dict[str, str], dict[str, str]]:
        """Return name → text and name → secret's name."""
        plain: dict[str, str] = {}
        secret: dict[str, str] = {}
        for name, given in (self._object(value, place) or {}).items():
            here = f"{place}[{_shown(name)}]"
            if not _encodes(name):
                self._broken(place, "a name holds half of a surrogate pair, which has no UTF-8 form")
            elif isinstance(given, dict):
                if self._object(given, here, {"secret": True}) is not None:
                    secret[name] = self._text(given.get("secret", ""), f"{here}.secret", most=512)
            elif isinstance(given, (bool, int, float)):
                plain[name] = canonical_json(given).decode()
            else:
                plain[name] = self._text(given, here)
        return plain, secret

    def _chosen(
        self, doc: Mapping[str, Any], place: str, plain: Mapping[str, str], secret: Mapping[str, str]
    ) -> tuple[dict[str, str], dict[str, str]]:
        """Return the variables of one step: those it lists, those it holds itself, or all."""
        if "vars" not in doc:
            return dict(plain), dict(secret)
        if isinstance(doc["vars"], dict):
            return self._variables(doc["vars"], f"{place}.vars")
        names = [self._text(n, f"{place}.vars[{i}]") for i, n in enumerate(self._list(doc["vars"], f"{place}.vars"))]
        for name in names:
            if name not in plain and name not in secret:
                self._wrong(f"{place}.vars", f"the bundle has no variable {_shown(name)}")
        return {n: plain[n] for n in names if n in plain}, {n: secret[n] for n in names if n in secret}

    # --- steps --------------------------------------------------------------------------------------------------------

    def _ids(self) -> dict[str, list[tuple[str, str]]]:
        """Return action name → id and address of the actions with that name."""
        out: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for identity, name, address in map(action_key, self.actions):
            out[name].append((identity, address))
        return out

    def _step(
        self,
        entry: Any,
        place: str,
        ids: Mapping[str, Sequence[tuple[str, str]]],
        plain: Mapping[str, str],
        secret: Mapping[str, str],
    ) -> BundleStep | None:
        doc = self._object(entry, place, _STEP)
        if doc is None:
            return None
        purpose = self._text(doc.get("purpose", ""), f"{place}.purpose", most=300)
        identity, address = self._identity(doc, place, purpose, ids)
        run = self._object(doc.get("run", {}), f"{place}.run", {"cmd": True}) or {}
        words = self._list(run.get("cmd", []), f"{place}.run.cmd")
        cmd = tuple(self._text(word, f"{place}.run.cmd[{n}]") for n, word in enumerate(words))
        own, hidden = self._chosen(doc, place, plain, secret)
        data = self._object(doc.get("data", {}), f"{place}.data") or {}
        write, network = self._walls(doc, place)
        path, sha256 = self._interpreter(cmd, place)
        return BundleStep(
            id=identity,
            purpose=purpose,
            address=address,
            cmd=cmd,
            vars=own,
            secret_vars=hidden,
            data={n: self._text(p, f"{place}.data[{_shown(n)}]", most=4096) for n, p in data.items()},
            write=write,
            network=network,
            cls=self._text(doc.get("class", _usual_class(cmd)), f"{place}.class", most=16),  # type: ignore[arg-type]
            cwd=self._text(doc.get("cwd", "."), f"{place}.cwd", most=4096),
            interpreter=path,
            interpreter_sha256=sha256,
        )

    def _identity(
        self, doc: Mapping[str, Any], place: str, purpose: str, ids: Mapping[str, Sequence[tuple[str, str]]]
    ) -> tuple[str, str]:
        same = ids.get(purpose, ())
        if "id" in doc:
            identity = self._text(doc["id"], f"{place}.id", most=600)
            address = next((a for i, a in same if i == identity), "")
        elif len(same) == 1:
            identity, address = same[0]
        elif same:
            self._broken(place, f"{len(same)} actions are named {purpose!r}", "Give each step the id of its action.")
            identity, address = purpose, ""
        else:
            identity, address = purpose, ""  # the gate says that there is no such action
        return identity, self._text(doc.get("address", address), f"{place}.address", most=600)

    def _walls(self, doc: Mapping[str, Any], place: str) -> tuple[tuple[str, ...], bool | tuple[int, ...]]:
        here = f"{place}.confinement"
        walls = self._object(doc.get("confinement", {}), here, {"write": False, "network": False}) or {}
        write = [
            self._text(path, f"{here}.write[{n}]", most=4096)
            for n, path in enumerate(self._list(walls.get("write", []), f"{here}.write"))
        ]
        network = walls.get("network", False)
        if isinstance(network, bool):
            return tuple(write), network
        ports = self._list(network, f"{here}.network")
        for n, port in enumerate(ports):
            if not isinstance(port, int) or isinstance(port, bool):
                self._broken(f"{here}.network[{n}]", f"it is {_kind(port)}, not a port")
        return tuple(write), tuple(port for port in ports if isinstance(port, int))

    def _interpreter(self, cmd: Sequence[str], place: str) -> tuple[str, str]:
        if not cmd or cmd[0] == BUILT_IN or cmd[0] not in RUNTIMES:
            return "", ""  # the gate refuses what is no runtime
        try:
            return self.interpreters.resolve(cmd[0])
        except BundleRuntimeError as error:
            self.findings.append(Finding(RUNTIME, f"{place}.run.cmd[0]", error.message, error.hint))
            return f"/missing/{cmd[0]}", "0" * 64


def _usual_class(cmd: Sequence[str]) -> str:
    return "built-in" if cmd and cmd[0] == BUILT_IN else "confined"


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _kind(value: Any) -> str:
    if isinstance(value, _NotJson):
        return f"no value: {value.message}"
    if value is None:
        return "null"
    return next((words for kind, words in _KIND_WORDS.items() if isinstance(value, kind)), "a number")


def _shown(value: Any) -> str:
    return f"{str(value)[:_SHOWN]!r}" if isinstance(value, str) else _clip(repr(value))
