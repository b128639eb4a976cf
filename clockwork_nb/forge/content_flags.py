"""What in a bundle's scripts a person has to see before it runs: patterns of theft, escape and destruction.

Reading text cannot tell what a program does: this is the second net, behind the walls that a step runs in. A flag never
refuses a bundle. It is a risk of its step, shown with its line, and asks for a person's yes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from msgspec import Struct

from clockwork_nb.forge.bundle import Bundle, BundleStep
from clockwork_nb.forge.content_patterns import ASSIGNED, ENVIRONMENT, NETWORK, PATTERNS, SECRETS, Pattern, Rule
from clockwork_nb.forge.runtimes import script_index
from clockwork_nb.patterns import pattern
from clockwork_nb.ports import Artifact

__all__ = ["FLAG_WORDS", "RISK", "Flag", "content_flags", "flag_risks"]

RISK: Final = "suspicious"
"""The risk class of a step with a flag. No rule may approve it in a person's stead."""

FLAG_WORDS: Final[Mapping[str, str]] = {
    **{p.code: p.words for p in PATTERNS},
    "environment-sent": "reads all variables and talks to the network",
    "secret-literal": "holds what looks like a password or key",
    "hidden-text": "holds characters that show other than they run",
    "unreadable": "is longer than anybody reads, a line or the whole of it; the rest was not looked at",
}
"""Code → what it means, for people."""

_HIDDEN: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200b\u2060\ufeff")
_HEADER: Final = pattern(r"(?:#[^\n]*\n)*")
_PROGRAMS: Final = {"sh": "sh", "bash": "bash", "py": "python3", "ts": "typescript", "js": "javascript", "go": "go"}
_TEXT_SHOWN: Final = 160
_LINE_LOOKED_AT: Final = 4096
_LOOKED_AT: Final = 256 * 1024  # of a script, in characters
_FLAGS_A_CODE: Final = 20  # in one file; a person has seen enough then

# What a type is there for is no surprise in its scripts.
_EXPECTED: Final[Mapping[str, frozenset[str]]] = {"schedule": frozenset({"scheduled-job"})}


class Flag(Struct, frozen=True):
    """One line to look at: the step that runs it, the artifact it stands in, its number from 1, and the line itself.

    ``code`` is one of `FLAG_WORDS`. ``path`` is empty and ``line`` 0 for the step's own words and variables. ``text``
    has at most 160 characters; of a secret it shows nothing.
    """

    step: str
    code: str
    path: str
    line: int
    text: str

    def to_dict(self) -> dict[str, str | int]:
        """Return the JSON form, with the words for people."""
        return {
            "step": self.step, "code": self.code, "words": FLAG_WORDS[self.code], "path": self.path, "line": self.line,
            "text": self.text,
        }  # fmt: skip


def content_flags(bundle: Bundle) -> list[Flag]:
    """Return what in *bundle* asks for a person's eyes: by step in the bundle's order, then by file and line.

    Scripts are looked at as programs, also those that are handed to an interpreter as data, which their names tell; other
    data for literal secrets only. Linear in the text.
    """
    by_path = {a.path: a for a in bundle.artifacts}
    seen: dict[str, list[tuple[int, str, str]]] = {}
    bodies: dict[tuple[str, str], list[tuple[int, str, str]]] = {}
    out = []
    for step in bundle.steps:
        at = script_index(step.cmd)
        named = [step.cmd[at]] if at >= 0 else []
        expected = _EXPECTED.get(step.address.partition(".")[0], frozenset())
        for path in dict.fromkeys([*named, *(step.data[name] for name in sorted(step.data))]):
            if path not in by_path:
                continue
            if path not in seen:
                seen[path] = _flags_of(by_path[path], bodies)
            out += [Flag(step.id, code, path, line, text) for line, code, text in seen[path] if code not in expected]
        out += [Flag(step.id, code, "", 0, text) for code, text in _own_flags(step, at)]
    return out


def flag_risks(flags: Iterable[Flag]) -> dict[str, tuple[str, ...]]:
    """Return step id → the codes of its flags, sorted; steps without one are not in it."""
    out: dict[str, set[str]] = {}
    for flag in flags:
        out.setdefault(flag.step, set()).add(flag.code)
    return {step: tuple(sorted(codes)) for step, codes in out.items()}


def _flags_of(
    artifact: Artifact, known: dict[tuple[str, str], list[tuple[int, str, str]]]
) -> list[tuple[int, str, str]]:
    """Return line, code and text of what is in *artifact*, by line; *known* has the bodies that were looked at before."""
    text = artifact.content.decode("utf-8", "replace")
    lang, head = _lang_of(artifact), ""
    if lang in {"sh", "bash", "python", "python3"}:  # many scripts differ in the comments at their head alone
        found = _HEADER.match(text)
        head = found.group() if found else ""
    key = (lang, text[len(head) :])
    if key not in known:
        known[key] = sorted(_scan(key[1], lang))
    down = head.count("\n")
    above = sorted(_scan(head, lang, comments=True)) if head else []
    return above + [(number + down, code, line) for number, code, line in known[key]]


def _lang_of(artifact: Artifact) -> str:
    """Return the language to read *artifact* in: a person's own script may reach an interpreter as data."""
    suffix = artifact.path.rpartition(".")[2]
    return _PROGRAMS.get(suffix, artifact.lang) if artifact.lang == "data" else artifact.lang


def _scan(text: str, lang: str, *, comments: bool = False) -> Iterator[tuple[int, str, str]]:
    """Yield line, code and text of what is in *text*; with *comments* each line is one, which does nothing."""
    program = lang != "data"
    code = program and not comments
    if program and len(text) > _LOOKED_AT:
        text = text[:_LOOKED_AT]
        yield text.count("\n") + 1, "unreadable", "…"
    lowered = text.lower()
    patterns = [p for p in PATTERNS if p.worth_trying(lowered)] if code else []
    secrets = [r for r in ((SECRETS, ASSIGNED) if program else (SECRETS,)) if r.worth_trying(lowered)]
    hidden = program and not _HIDDEN.isdisjoint(text)
    if patterns or secrets or hidden:
        count: Counter[str] = Counter()
        for number, line in _logical_lines(text, joined=lang in {"sh", "bash"}):
            for flag in _codes(line, [] if _is_comment(line, lang) else patterns, secrets, hidden=hidden):
                count[flag] += 1
                if count[flag] <= _FLAGS_A_CODE:
                    yield number, flag, _shown(flag, line)
    if code and ENVIRONMENT.worth_trying(lowered):
        yield from _environment_sent(text)
    if program:
        yield from _too_wide(text)


def _codes(line: str, patterns: Iterable[Pattern], secrets: Iterable[Rule], *, hidden: bool) -> set[str]:
    codes = {p.code for p in patterns if p.regex.search(line)}
    if any(rule.regex.search(line) for rule in secrets):
        codes.add("secret-literal")
    if hidden and not _HIDDEN.isdisjoint(line):
        codes.add("hidden-text")
    return codes


def _logical_lines(text: str, *, joined: bool) -> Iterator[tuple[int, str]]:
    """Yield each line with its number; a shell's line that goes on after a backslash is one line."""
    start, pieces, size = 1, [], 0
    for number, line in enumerate(text.split("\n"), 1):
        pieces.append(line[:_LINE_LOOKED_AT])
        size += len(pieces[-1])
        if joined and line.endswith("\\") and size < _LINE_LOOKED_AT:
            pieces[-1] = pieces[-1].removesuffix("\\")
            continue
        yield start, "".join(pieces)
        start, pieces, size = number + 1, [], 0
    if pieces:
        yield start, "".join(pieces)


def _is_comment(line: str, lang: str) -> bool:
    if lang == "json":
        return False
    return line.lstrip().startswith("//" if lang in {"deno", "typescript", "javascript", "go"} else "#")


def _environment_sent(text: str) -> Iterator[tuple[int, str, str]]:
    if not NETWORK.regex.search(text):
        return
    for number, line in enumerate(text.split("\n"), 1):
        if not line.lstrip().startswith(("#", "//")) and ENVIRONMENT.regex.search(line[:_LINE_LOOKED_AT]):
            yield number, "environment-sent", _shown("environment-sent", line)
            return


def _too_wide(text: str) -> Iterator[tuple[int, str, str]]:
    for number, line in enumerate(text.split("\n"), 1):
        if len(line) > _LINE_LOOKED_AT:
            yield number, "unreadable", _shown("unreadable", line)
            return


def _own_flags(step: BundleStep, at: int) -> Iterator[tuple[str, str]]:
    """Yield the flags of a step's words and variables: they may tell a program what to do."""
    for text in (*step.cmd[at + 1 :], *(f"{name}={value}" for name, value in step.vars.items())):
        line, lowered = text[:_LINE_LOOKED_AT], text[:_LINE_LOOKED_AT].lower()
        patterns = [p for p in PATTERNS if p.worth_trying(lowered)]
        secrets = [r for r in (SECRETS, ASSIGNED) if r.worth_trying(lowered)]
        for code in sorted(_codes(line, patterns, secrets, hidden=True)):
            yield code, _shown(code, line)


def _shown(code: str, line: str) -> str:
    return "…" if code == "secret-literal" else line.strip()[:_TEXT_SHOWN]
