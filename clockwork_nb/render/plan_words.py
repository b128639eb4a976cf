"""What is said of a plan, in words that its text, its page and its graph share. Pure.

Works on the plan *document* (``Plan.to_document()`` or a parsed ``plan.json``). Sealed and unknown values stay words.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from clockwork_nb.patterns import pattern
from clockwork_nb.render.text import clip, plural, visible
from clockwork_nb.render.values import ABSENT, changed_middle, is_sealed, value_text

__all__ = [
    "SIGNS",
    "Side",
    "change_words",
    "changing_addresses",
    "checks_of",
    "commands_of",
    "drift_words",
    "is_empty",
    "later_words",
    "needs_approval",
    "needs_words",
    "not_loaded_words",
    "nothing_words",
    "output_value",
    "risk_words",
    "sides_of",
    "step_words",
    "title_of",
]

SIGNS: Final = {
    "create": "+", "update": "~", "replace": "±", "delete": "-", "verify": "✓", "forget": "∅", "noop": " ", "run": "▸",
    "move": "→", "import": "↘",
}  # fmt: skip
"""The sign of each kind of change."""
_ORDER: Final = ("create", "update", "replace", "delete", "forget", "move", "import", "run", "verify")
_PLAIN: Final = pattern(r"[\w./:@+-]{1,64}")
_PLAIN_REASONS: Final = frozenset({"new", "everything is removed"})


def change_words(document: Mapping[str, Any], *, unchanged: bool = True, verb: str = "to ") -> str:
    """Return how many resources each kind of change has: ``2 to create, 1 to update, 7 unchanged``."""
    counts: dict[str, int] = {}
    for change in document["changes"]:
        counts[change["kind"]] = counts.get(change["kind"], 0) + 1
    parts = [f"{counts[kind]:,} {verb}{kind}" for kind in _ORDER if kind in counts]
    later = sum(1 for change in document["changes"] if change.get("deferred"))
    if later:
        parts.append(f"{later:,} of them later")
    if unchanged and "noop" in counts:
        parts.append(f"{counts['noop']:,} unchanged")
    return ", ".join(parts)


def risk_words(document: Mapping[str, Any]) -> str:
    """Return all risk classes of the plan, sorted, ``", "`` between; empty for none."""
    return ", ".join(sorted({visible(risk) for change in document["changes"] for risk in change["risk"]}))


def needs_approval(document: Mapping[str, Any]) -> bool:
    """Return whether the plan changes anything, so that somebody has to agree (contracts: approvals)."""
    return any(change["kind"] not in {"noop", "verify"} for change in document["changes"]) or any(
        output["before"] != output["after"] for output in document["outputs"]
    )


def is_empty(document: Mapping[str, Any]) -> bool:
    """Return whether the plan neither changes nor runs anything."""
    return not needs_approval(document) and not document["actions"]["steps"]


def step_words(step: Mapping[str, Any]) -> str:
    """Return the few words that say what one step of the ActionList looks at: a URL and what it expects, else its reason."""
    args = step.get("args", {})
    words = []
    target = args.get("url", args.get("path"))
    if isinstance(target, str):
        words.append(visible(target))
    expect = args.get("expect", args.get("status"))
    if isinstance(expect, (str, int)) and not isinstance(expect, bool):
        words.append(f"expects {visible(str(expect))}")
    return clip(" ".join(words) or visible(str(step.get("reason", ""))), 100)


def checks_of(document: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return address → the checks that follow its change."""
    out: dict[str, list[str]] = {}
    for step in document["actions"]["steps"]:
        if str(step["name"]).startswith("verify"):
            words = f"{visible(step['name'])} {step_words(step)}".rstrip()
            out.setdefault(step["address"], []).append(words)
    return out


def commands_of(document: Mapping[str, Any]) -> dict[str, str]:
    """Return address → the command of a job spec's step, on one line."""
    steps = (step for step in document["actions"]["steps"] if step["change"] == "run")
    return {step["address"]: visible(str(step.get("args", {}).get("command", ""))) for step in steps}


def needs_words(change: Mapping[str, Any], changing: frozenset[str]) -> str:
    """Return which of what *change* stands on is *changing* too; empty for none."""
    if change["kind"] in {"delete", "forget"}:
        return ""
    names = [visible(name) for name in change["dependencies"] if name in changing]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"needs {', '.join(names[:3])}{more}" if names else ""


def changing_addresses(document: Mapping[str, Any]) -> frozenset[str]:
    """Return the addresses of everything that the plan changes."""
    return frozenset(c["address"] for c in document["changes"] if c["kind"] not in {"noop", "verify"})


def title_of(change: Mapping[str, Any]) -> tuple[str, str]:
    """Return what the resource is, and why it changes and when."""
    # What "+ create" and "- delete" say by themselves is not said twice.
    reason = "" if change["reason"] in _PLAIN_REASONS else visible(change["reason"])
    later = f"later: {visible(change['deferred'])}" if change.get("deferred") else ""
    return visible(change["describe"]).strip(), ", ".join(filter(None, (reason, later)))


def nothing_words(document: Mapping[str, Any], observed_s: float | None) -> str:
    """Return what an empty plan says; *observed_s* is how long looking took, in seconds."""
    count = sum(change["kind"] in {"noop", "verify"} for change in document["changes"])
    observed = f" (observed in {observed_s:.1f} s)" if observed_s is not None else ""
    if not count and (document["targets"] or document.get("excluded")):
        return f"Nothing to do. Nothing of what is declared here was chosen{observed}."
    if not count:
        what = "Nothing is left to destroy" if document["destroy"] else "No resource is declared here"
        return f"Nothing to do. {what}{observed}."
    return f"Nothing to do. {plural(count, 'resource')} {'matches' if count == 1 else 'match'}{observed}."


Side: TypeAlias = tuple[str, str, str]
"""One side of a change in three parts: what leads to it, what changed, what follows."""


def sides_of(attribute: Mapping[str, Any], columns: int) -> tuple[Side, Side]:
    """Return (lead, changed, trail) of the value before and after, each in about *columns* columns."""
    before, after = attribute["before"], attribute["after"]
    if is_sealed(before) and is_sealed(after):
        # Equal words on both sides would read as "no change".
        return ("", value_text(before), ""), ("", f"{value_text(after)}, another value", "")
    if isinstance(before, str) and isinstance(after, str) and len(before) + len(after) > 40:
        old, new = changed_middle(before, after, columns - 2)
        return _quoted(old), _quoted(new)
    words = [ABSENT if value is None else value_text(value, columns) for value in (before, after)]
    return ("", words[0], ""), ("", words[1], "")


def _quoted(side: Side) -> Side:
    lead, middle, trail = (value_text(part)[1:-1] for part in side)
    return f'"{lead}', middle, f'{trail}"'


def drift_words(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return (address, sentence) for everything changed outside."""
    kinds = {change["address"]: change["kind"] for change in document["changes"]}
    theirs = {change["address"] for change in document["changes"] if change.get("imported")}
    # What the type says of its own action is nearer to the truth than a general word.
    whys = {change["address"]: change["reason"] for change in document["changes"]}
    said = {
        step["address"]: visible(step["reason"])
        for step in document["actions"]["steps"]
        if step.get("reason") and step["reason"] != whys.get(step["address"])
    }
    endings = {
        "noop": "it stays as it is",
        "delete": "this plan deletes it",
        "forget": "this plan forgets it",
        "replace": "this plan makes it anew",
        "import": "it stays as it is for now, and the next apply overwrites it",
    }
    out = []
    for drift in document["drift"]:
        kind = kinds.get(drift["address"], "noop")
        usual = "this plan makes it again" if drift["gone"] else said.get(drift["address"], "this plan puts it back")
        if drift["address"] in theirs:
            usual = "this plan overwrites it"
        ending = endings.get(kind, usual)
        facts = [f"{visible(a['path'])} {_bare(a['recorded'])} → {_bare(a['observed'])}" for a in drift["attributes"]]
        more = f" and {len(facts) - 3} more" if len(facts) > 3 else ""
        detail = ", ".join(facts[:3]) + more or visible(drift["detail"])
        what = "is gone" if drift["gone"] else "was changed outside"
        if drift["address"] in theirs:
            what = "is not as it is declared"
        out.append((visible(drift["address"]), f"{what}{f' ({detail})' if detail else ''}; {ending}"))
    return out


def _bare(value: Any) -> str:
    if isinstance(value, str) and _PLAIN.fullmatch(value):
        return value
    return ABSENT if value is None else value_text(value, 40)


def not_loaded_words(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return (address, sentence) for everything that is left alone because its cell or file was not read."""
    out = []
    for item in document["not_loaded"]:
        where = item["declared_in"]
        known = f"file '{visible(where)}' was not read here"
        if not where.endswith((".cw", ".cw.json")):
            known = f"cell '{visible(where)}' has not been run here"
        out.append((visible(item["address"]), known))
    return out


def later_words(document: Mapping[str, Any]) -> str:
    """Return what the reader must know when part of the plan waits; empty when nothing does."""
    if not any(change.get("deferred") for change in document["changes"]):
        return ""
    return "what waits is planned again, and asked about again, when what it waits for is known"


def output_value(output: Mapping[str, Any], side: str, columns: int) -> str:
    """Return the value of *output* on *side*, ``before`` or ``after`` the plan, in at most *columns* columns."""
    value = output[side]
    if value is None:
        return "(removed)" if side == "after" else ABSENT
    return "(sensitive)" if output["sensitive"] else value_text(value, max(20, columns))
