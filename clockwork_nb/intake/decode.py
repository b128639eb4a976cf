"""The front of this room: texts to a `Configuration`, and a `Configuration` to `Desired`.

    configuration, diagnostics = read_configuration(sources, types=types)
    desired, diagnostics = evaluate(configuration, types=types, inputs=inputs, context=context)

Both are pure, and both report every mistake they can find in one go.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clockwork_nb.canonical import digest, sha256_hex
from clockwork_nb.diagnostics import Diagnostics, SourceRange, SourceText
from clockwork_nb.intake.blocks import BlockReader
from clockwork_nb.intake.configuration import Configuration, Source
from clockwork_nb.intake.constants import constant_value
from clockwork_nb.intake.desired import Desired
from clockwork_nb.intake.evaluation import evaluate
from clockwork_nb.intake.limits import LIMITS, Limits
from clockwork_nb.intake.nodes import Block, Document
from clockwork_nb.intake.references import check_references
from clockwork_nb.intake.schema import plain
from clockwork_nb.intake.syntax import SyntaxCache, parse
from clockwork_nb.intake.transitions import check_transitions
from clockwork_nb.ports import Registry
from clockwork_nb.secrets import Sensitive

__all__ = ["Source", "declared", "evaluate", "read_configuration"]


def read_configuration(
    sources: Sequence[Source], *, types: Registry, cache: SyntaxCache | None = None, limits: Limits = LIMITS
) -> tuple[Configuration, Diagnostics]:
    """Return what *sources* declare and every mistake that can be found without values.

    The configuration holds what could be read, also when there are errors. Never raises, whatever the bytes.

    Args:
        sources: the texts, in the order in which ties are broken.
        types: name → resource type.
        cache: trees of an earlier reading of much the same texts; only used when given.
        limits: the bounds; sizes, depth and counts (cw-limit).
    """
    diagnostics = Diagnostics()
    configuration = Configuration(
        keys=tuple(source.key for source in sources),
        digest=digest(sorted([source.key, sha256_hex(source.data)] for source in sources)),
    )
    reader = BlockReader(configuration, types, diagnostics)
    complete = True
    bytes_left, blocks_left = limits.total_bytes, limits.blocks
    for source in sources:
        bytes_left -= len(source.data)
        if bytes_left < 0:
            diagnostics.error(
                "cw-limit",
                "the configuration is too large",
                SourceRange(SourceText(source.name, ""), 0, 0),
                note=f"limit {limits.total_bytes:,} bytes",
                detail="This text and those after it were not read.",
            )
            complete = False
            break
        document, problems = parse(
            source.data, filename=source.name, limits=limits, cache=cache, blocks_left=blocks_left
        )
        blocks_left -= document.blocks
        diagnostics.extend(problems)
        complete = complete and _is_whole(document, problems)
        reader.read(document, source.key)
    check_references(configuration, types, diagnostics, complete=complete, cache=cache)
    if cache is not None:
        cache.finish()
    check_transitions(configuration, diagnostics, complete=complete)
    return configuration, diagnostics


def _is_whole(document: Document, problems: Diagnostics) -> bool:
    """Return whether every declaration of a text is in its document, perhaps broken, in spite of *problems*."""
    if not problems:
        return True
    spans = []
    for item, origin in document.items:
        if isinstance(item, Block) and item.broken and item.kind == "locals":
            return False
        place = origin.range(item)
        spans.append((place.start, place.end))
    starts = [p.subject.start if p.subject is not None else -1 for p in problems]
    # The errors are few (limits.syntax_errors), so this stays linear in the text.
    return all(any(start <= at <= end for start, end in spans) for at in starts)


def declared(configuration: Configuration, desired: Desired | None = None) -> dict[str, dict[str, Any]]:
    """Return for each source key what it declares: what is shown below a ``%%cw`` cell.

    ``variables`` ({name, sensitive?, value?, source?}), ``locals`` and ``outputs`` (names), ``resources`` (addresses).
    Values are those of *desired*, else plain defaults; a sensitive one is not there.
    """
    out: dict[str, dict[str, Any]] = {
        key: {"variables": [], "locals": [], "resources": [], "outputs": []} for key in configuration.keys
    }
    known = {v.name: v for v in desired.variables} if desired is not None else {}
    for name, variable in configuration.variables.items():
        entry: dict[str, Any] = {"name": name}
        if variable.sensitive:
            entry["sensitive"] = True
        elif name in known:
            entry["value"], entry["source"] = known[name].value, known[name].source
        elif variable.default is not None:
            default = variable.default
            good, value = constant_value(default.value, variable.origin, default.references, Diagnostics())
            if good and not isinstance(value, Sensitive):
                entry["value"], entry["source"] = plain(value), "default"
        out[variable.key]["variables"].append(entry)
    for group, field in ((configuration.locals, "locals"), (configuration.outputs, "outputs")):
        for name, declaration in group.items():
            out[declaration.key][field].append(name)
    for address, resource in configuration.resources.items():
        out[resource.key]["resources"].append(address)
    return out
