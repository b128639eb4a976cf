"""``doctor``: what this machine offers, and where things are."""

from __future__ import annotations

import argparse
import platform
import re
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clockwork_nb import __version__
from clockwork_nb.errors import ClockworkError, StoreIOError
from clockwork_nb.policy import POLICY_NAME
from clockwork_nb.settings import VARIABLES, load_settings

if TYPE_CHECKING:
    from clockwork_nb.cli.output import Output
    from clockwork_nb.settings import Settings

__all__ = ["doctor"]

_PACKAGES = ("ipykernel", "ipywidgets", "anywidget", "papermill", "jupyterlab", "pydantic", "cryptography")


def doctor(args: argparse.Namespace, out: Output) -> int:
    """Say what this machine offers."""
    document = _facts()
    out.document(document)
    width = max(len(name) for name, _ in document["lines"] if name not in VARIABLES)
    wide = max(map(len, VARIABLES))
    for name, value in document["lines"]:
        out.text(f"{name:<{wide if name in VARIABLES else width}}  {value}")
    return 0


def _facts() -> dict[str, Any]:
    from clockwork_nb.forge.confinement import probe
    from clockwork_nb.forge.facts import collect_facts
    from clockwork_nb.forge.tiers import probe_strict

    settings = load_settings()
    confinement, strict = probe(), probe_strict()
    not_strict = strict if isinstance(strict, str) else ""
    policy = _policy(settings)
    facts = collect_facts(engine=True)
    versions = {name: _version(name) for name in _PACKAGES}
    lines = [
        ("clockwork", f"{__version__} on Python {platform.python_version()}, {facts.os} {facts.arch}"),
        ("confinement", f"{confinement.tier}   {confinement.reason}".rstrip()),
        ("", f"strict is not offered: {not_strict}" if not_strict else "strict on demand (--confinement strict)"),
        ("policy", policy["text"]),
        *([("", f"nobody is asked about {policy['unasked']}")] if policy.get("unasked") else []),
        ("engine", _engine_line(facts.engine)),
        ("runtimes", ", ".join(f"{k} {v}".strip() for k, v in sorted(facts.runtimes.items()))),
        ("job store", _store_line(settings.home)),
        ("keys", str(settings.config)),
        ("packages", ", ".join(f"{k} {v or 'not installed'}" for k, v in versions.items())),
        ("approvals", _buttons(versions["ipykernel"])),
        *((name, text) for name, text in VARIABLES.items()),
    ]
    return {
        "version": __version__,
        "python": sys.version.split()[0],
        "confinement": {
            "tier": confinement.tier,
            "reason": confinement.reason,
            "strict": not not_strict,
            "strict_reason": not_strict,
            **policy["demand"],
        },
        "policy": {k: v for k, v in policy.items() if k not in {"text", "demand", "unasked"}},
        "facts": facts.to_document(),
        "home": str(settings.home),
        "config": str(settings.config),
        "packages": versions,
        "lines": lines,
    }


def _policy(settings: Settings) -> dict[str, Any]:
    """Return the operator's policy for people and machines, and whether this machine meets its demand."""
    from clockwork_nb.session.policy import operator_policy, tier_for, unasked_words

    path = settings.config / POLICY_NAME
    try:
        policy = operator_policy(settings)
    except ClockworkError as error:
        refused = f"{error.message}; nothing runs before that is mended"
        return {"path": str(path), "digest": "", "error": error.message, "text": refused, "demand": {}}
    found = {"path": str(path), "digest": policy.digest, "error": ""}
    text = f"{path}   {policy.digest[:8]}" if policy.source is not None else f"none ({path} is not there)"
    try:
        demand = {"runs_under": tier_for(settings, policy).tier}
    except ClockworkError as error:
        return {**found, "text": f"{text}; {error.message}", "demand": {"runs_under": "", "refused": error.message}}
    text = f"{text}; steps run under {demand['runs_under']}"
    return {**found, "text": text, "demand": demand, "unasked": unasked_words(policy)}


def _engine_line(engine: str) -> str:
    """Return which container engine services with an image run in."""
    if engine == "process":
        return "process   no container engine is here; services run as supervised processes"
    if engine.startswith("process "):
        return f"process   {engine.partition(' ')[2].strip('()')}; services run as supervised processes"
    return f"{engine}   services with an image run in it, others as supervised processes"


def _store_line(home: Path) -> str:
    """Return where the job store is, on what, and whether locks hold there, as tried just now."""
    from clockwork_nb.mounts import mount_of, probe_locks

    mount = mount_of(home)
    where = f"{home}   {mount.kind or 'unnamed file system'}"
    if mount.shared:
        where += ", which other machines may use too"
    if not home.is_dir():
        return f"{where}, not made yet"
    try:
        problem = probe_locks(home)
    except StoreIOError as error:
        problem = error.message
    return f"{where}, {problem or 'locks hold between processes'}"


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _buttons(ipykernel: str) -> str:
    found = re.match(r"(\d+)\.(\d+)", ipykernel)
    new_enough = found is not None and (int(found[1]), int(found[2])) >= (7, 4)
    return (
        "buttons in notebooks work"
        if new_enough
        else "ipykernel 7.4 or newer is needed for buttons; use clockwork approve"
    )
