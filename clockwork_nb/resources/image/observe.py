"""Looks at a built image through its engine, and at the files it would be built from now. Reads only."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from clockwork_nb.errors import AdapterFailedError
from clockwork_nb.ports import Observation, ObserveContext
from clockwork_nb.resources.containers import (
    ADDRESS_LABEL,
    CONTEXT_LABEL,
    ENGINES,
    PROJECT_LABEL,
    SPEC_LABEL,
    WORKSPACE_LABEL,
)
from clockwork_nb.resources.containers_inspect import inspect, unanswered
from clockwork_nb.resources.image.context import build_files, context_digest

__all__ = ["observe"]


def observe(config: Mapping[str, Any], context: ObserveContext) -> Observation:
    """Return ``id``, ``digest``, ``named`` (the tags that lead to it), ``spec`` and ``built_from`` (our labels), and the
    ``context_digest`` of the files that are there now.

    ``exists`` is False when there is no image of the first tag, or only one that is not ours (then ``taken`` is True), and
    None when the engine cannot be asked. What a build would miss, now and later, is in ``missing``, what to do in ``hint``.
    """
    seen = _observed(config, context)
    missing = _missing(config if context.wanted is None else context.wanted, context)
    return replace(seen, attributes={**missing, **seen.attributes}) if missing else seen


def _observed(config: Mapping[str, Any], context: ObserveContext) -> Observation:
    engine, tags = config.get("engine"), config.get("tags")
    if engine not in ENGINES or not isinstance(tags, list) or not all(isinstance(t, str) for t in tags):
        return Observation(None, detail="its engine or its names are not known yet")
    deadline = time.monotonic() + context.timeout_s
    try:
        found = inspect(engine, "image", tags[0], timeout_s=context.timeout_s)
        if found is None:
            return Observation(False, detail="not built")
        settings = found.get("Config")
        labels = (settings.get("Labels") if isinstance(settings, dict) else None) or {}
        place = str(context.workspace.resolve())
        mark = (labels.get(ADDRESS_LABEL), labels.get(PROJECT_LABEL), labels.get(WORKSPACE_LABEL) or place)
        if mark != (context.address, str(context.root.resolve()), place):
            return Observation(False, {"taken": True}, f"{tags[0]} is an image that is not ours")
        image = _image_id(found)
        named = [tags[0]]
        for tag in tags[1:]:
            other = inspect(engine, "image", tag, timeout_s=max(0.1, deadline - time.monotonic()))
            if other is not None and _image_id(other) == image:
                named.append(tag)
    except AdapterFailedError as error:
        return unanswered(error, context.address)
    seen: dict[str, Any] = {
        "id": image,
        "digest": _digest(found, image),
        "named": named,
        "spec": labels.get(SPEC_LABEL),
        "built_from": labels.get(CONTEXT_LABEL),
    }
    now, problem = _context_now(config, context.root, deadline)
    if now:
        seen["context_digest"] = now
    return Observation(True, seen, f"built, {image[:19]}{problem}")


def _missing(config: Mapping[str, Any], context: ObserveContext) -> dict[str, str]:
    """Return what a build of *config* would not find, as far as nothing else that is wanted makes it."""
    folder, dockerfile = config.get("context"), config.get("dockerfile")
    if context.asked == "removed" or not isinstance(folder, str) or not isinstance(dockerfile, (str, type(None))):
        return {}
    where = f"{context.address}: the context {folder}"
    if not (context.root / folder).is_dir():
        hint = "Make this folder, correct context, or declare what makes it: a repository, a directory, files in it."
        return {} if context.made_later(folder) else {"missing": f"{where} is not there", "hint": hint}
    names = build_files(dockerfile or "")
    if any((context.root / folder / name).is_file() or context.made_later(f"{folder}/{name}") for name in names):
        return {}
    return {"missing": f"{where} has no {' or '.join(names)}", "hint": "Add it, or name it in dockerfile."}


def _image_id(found: Mapping[str, Any]) -> str:
    image = str(found.get("Id", ""))
    return image if image.startswith("sha256:") else f"sha256:{image}"


def _digest(found: Mapping[str, Any], image: str) -> str:
    """Return the digest a registry would know it by; an engine that has none yet gives the id."""
    if isinstance(found.get("Digest"), str) and found["Digest"]:
        return str(found["Digest"])
    known = [d for d in found.get("RepoDigests") or () if isinstance(d, str) and "@" in d]
    return known[0].partition("@")[2] if known else image


def _context_now(config: Mapping[str, Any], root: Path, deadline: float) -> tuple[str, str]:
    """Return the digest of the files that are there, and what to say when they cannot be read."""
    folder, dockerfile = config.get("context"), config.get("dockerfile")
    if not isinstance(folder, str) or not isinstance(dockerfile, (str, type(None))):
        return "", ""
    try:
        return context_digest(str(root / folder), dockerfile or "", deadline=deadline), ""
    except OSError as error:
        return "", f"; its context cannot be read: {error}"
