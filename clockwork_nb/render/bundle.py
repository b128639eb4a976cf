"""A bundle as people read it: which scripts would run, inside which walls, and what is in them.

Works on the bundle *document* (``Bundle.to_document()`` or ``bundle.json``) and the contents by path, so that a bundle
on disk, in a job and in a pack look the same.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from clockwork_nb.render.html import Child, Markup, element, fragment
from clockwork_nb.render.text import Paint, clip, columns_of, pad, plural, short_digest, sized, visible
from clockwork_nb.render.theme import wrap

__all__ = ["bundle_html", "bundle_summary", "bundle_text", "notable_text", "scripts_html"]

_FILE_SHOWN: Final = 64 * 1024
_TOTAL_SHOWN: Final = 1024 * 1024


def bundle_summary(
    document: Mapping[str, Any],
    digest: str,
    *,
    contents: Mapping[str, bytes] | None = None,
    confinement: str = "",
    edited: Collection[str] = (),
    diffs: Mapping[str, str] | None = None,
    flags: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Return the JSON-safe form that views draw: ``digest``, ``confinement``, ``steps`` (a count) and ``scripts``.

    A script has ``path, lang, mode, purpose, size, text`` (None when it is not text, secret, or not at hand), ``note``,
    ``diff``, ``flags`` and ``steps``: ``{id, class, words, command}`` of each step that names it. Steps that name no file stand
    under a script with an empty path.

    Args:
        document: ``Bundle.to_document()``.
        digest: the bundle's digest.
        contents: path → bytes. At most 64 KiB a file and 1 MiB in all are taken in; ``note`` says what was cut.
        confinement: the tier, as people read it.
        edited: paths that carry a person's edit.
        diffs: path → unified diff from what was generated.
        flags: ``{step, code, words, path, line, text}`` each, lines that a person has to look at.
    """
    contents, diffs = contents or {}, diffs or {}
    users: dict[str, list[dict[str, Any]]] = {}
    paths = {artifact["path"] for artifact in document["artifacts"]}
    for step in document["steps"]:
        named = [w for w in dict.fromkeys([*step["run"]["cmd"], *step.get("data", {}).values()]) if w in paths]
        for path in named or [""]:
            users.setdefault(path, []).append(_step_summary(step))
    marked = _marked(flags, document["steps"], paths)
    scripts, room = [], _TOTAL_SHOWN
    for artifact in document["artifacts"]:
        path = artifact["path"]
        text, note = _content(artifact, contents.get(path), room)
        room -= len(text or "")
        notes = [n for n in ("edited by hand" if path in edited else "", note) if n]
        scripts.append(
            {
                "path": path,
                "lang": artifact["lang"],
                "mode": artifact["mode"],
                "purpose": artifact["purpose"],
                "size": artifact.get("size"),
                "text": text,
                "note": ", ".join(notes),
                "diff": diffs.get(path, ""),
                "flags": marked.get(path, []),
                "steps": users.get(path, []),
            }
        )
    if "" in users:
        bare = {"path": "", "lang": "", "mode": "", "purpose": "steps without a script", "size": None, "text": None}
        scripts.append({**bare, "note": "", "diff": "", "flags": marked.get("", []), "steps": users[""]})
    return {"digest": digest, "confinement": confinement, "steps": len(document["steps"]), "scripts": scripts}


def _marked(
    flags: Sequence[Mapping[str, Any]], steps: Sequence[Mapping[str, Any]], paths: Collection[str]
) -> dict[str, list[dict[str, Any]]]:
    """Return path → its flags, each once; those of a step's words stand with its script."""
    script_of = {s["id"]: next((w for w in s["run"]["cmd"] if w in paths), "") for s in steps}
    out: dict[str, dict[tuple[Any, ...], dict[str, Any]]] = {}
    for flag in flags:
        shown = {key: flag[key] for key in ("code", "words", "line", "text")}
        path = flag["path"] or script_of.get(flag["step"], "")
        out.setdefault(path, {})[tuple(shown.values())] = shown
    return {path: list(found.values()) for path, found in out.items()}


def _content(artifact: Mapping[str, Any], data: bytes | None, room: int) -> tuple[str | None, str]:
    if artifact.get("secret"):
        return None, "(sensitive) content, never written to disk"
    if data is None:
        return None, f"sha256 {short_digest(artifact['sha256'])}…"
    if b"\0" in data:
        return None, f"not text, sha256 {short_digest(artifact['sha256'])}…"
    limit = min(_FILE_SHOWN, room)
    text = data[: max(0, limit)].decode("utf-8", "replace")
    return text, f"first {sized(limit)} shown" if len(data) > limit else ""


def _step_summary(step: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": step["id"],
        "class": step["class"],
        "words": _walls(step),
        "command": " ".join(step["run"]["cmd"]),
    }


def _walls(step: Mapping[str, Any]) -> str:
    """Return what a step may touch, in words."""
    walls = step["confinement"]
    network = walls["network"]
    if isinstance(network, list):
        reach = f"network: {'port' if len(network) == 1 else 'ports'} {', '.join(map(str, network))}"
    else:
        reach = "network: any" if network else "no network"
    write = walls["write"]
    roots = clip(", ".join(map(visible, write)), 60) if write else "nothing"
    class_words = {"confined": "confined", "host": "host, not confined", "built-in": "built-in"}[step["class"]]
    return f"{class_words} · writes {roots} · {reach}"


def bundle_text(
    summary: Mapping[str, Any],
    *,
    color: bool = False,
    findings: Sequence[Mapping[str, str]] = (),
    removed: Collection[str] = (),
    show: Collection[str] = (),
    next_lines: Sequence[str] = (),
) -> str:
    """Return a bundle as text without a line end at the end.

    Args:
        summary: what `bundle_summary` made.
        color: use terminal colours.
        findings: ``{code, place, message, hint}`` each, the bundle's problems.
        removed: paths that are no longer part of the build.
        show: paths (or step ids) whose content is written out.
        next_lines: commands to offer, one a line.
    """
    paint = Paint(color)
    lines = [_headline(summary, paint)]
    scripts = summary["scripts"]
    column = min(max((columns_of(visible(s["path"])) for s in scripts), default=0), 52) + 2
    if scripts:
        lines.append("")
    for script in scripts:
        facts = ", ".join(filter(None, (script["lang"], _size(script), script["note"])))
        lines.append(f"  {pad(visible(script['path']) or '(no script)', column)}{visible(facts)}".rstrip())
        lines += [f"      {visible(step['id'])}  {paint.dim(step['words'])}" for step in script["steps"]]
        if script["path"] in show or any(step["id"] in show for step in script["steps"]):
            lines += [f"      | {visible(line)}" for line in (script["text"] or "").splitlines()]
        lines += _notable_lines(script, paint)
    lines += [f"  {pad(visible(path), column)}removed" for path in sorted(removed)]
    for finding in findings:
        lines += ["", *_finding_lines(finding, paint)]
    if next_lines:
        lines += ["", *(("Next      " if i == 0 else " " * 10) + line for i, line in enumerate(next_lines))]
    return "\n".join(lines)


def notable_text(summary: Mapping[str, Any], *, color: bool = False) -> str:
    """Return the edits and flags of a bundle as text, script by script; empty when there are none."""
    paint = Paint(color)
    lines: list[str] = []
    for script in summary["scripts"]:
        if notable := _notable_lines(script, paint):
            facts = f"  {visible(script['note'])}" if script["note"] else ""
            lines += [f"  {visible(script['path']) or '(no script)'}{facts}", *notable]
    return "\n".join(lines)


def _notable_lines(script: Mapping[str, Any], paint: Paint) -> list[str]:
    """Return the flags of a script and how it was edited."""
    lines = [f"      {paint.bad('look')}  {visible(_flag_words(flag))}" for flag in script.get("flags", ())]
    return lines + [f"      {visible(line)}" for line in script["diff"].split("\n") if script["diff"]]


def _flag_words(flag: Mapping[str, Any]) -> str:
    place = f"line {flag['line']} " if flag["line"] else "its words "
    return f"{place}{flag['words']}: {flag['text']}"


def _headline(summary: Mapping[str, Any], paint: Paint) -> str:
    parts = [paint.bold(f"Bundle {short_digest(summary['digest'])}"), _script_words(summary)]
    if summary["confinement"]:
        parts.append(f"confinement {visible(summary['confinement'])}")
    if count := sum(len(script.get("flags", ())) for script in summary["scripts"]):
        parts.append(paint.bad(f"{plural(count, 'line')} to look at"))
    return " · ".join(parts)


def _script_words(summary: Mapping[str, Any]) -> str:
    count = sum(bool(script["path"]) and script["lang"] != "data" for script in summary["scripts"])
    return f"{plural(summary['steps'], 'step')} from {plural(count, 'script')}"


def _size(script: Mapping[str, Any]) -> str:
    if script["text"] is not None and not script["note"].endswith("shown"):
        return f"{plural(len(script['text'].splitlines()), 'line')}"
    return sized(script["size"]) if script["size"] is not None else ""


def _finding_lines(finding: Mapping[str, str], paint: Paint) -> list[str]:
    head = f"{paint.bad('error')}: {visible(finding['message'])}  [{visible(finding['code'])}]"
    lines = [head, f"  {visible(finding['place'])}"]
    return [*lines, f"  {visible(finding['hint'])}"] if finding.get("hint") else lines


def scripts_html(summary: Mapping[str, Any]) -> Markup:
    """Return the list of scripts, each behind a disclosure with its content, as a fragment without the outer box."""
    return fragment(_script(script) for script in summary["scripts"])


def _script(script: Mapping[str, Any]) -> Markup:
    facts = " · ".join(filter(None, (script["lang"], _size(script), script["note"])))
    lines: list[Child] = [
        element("div", element("code", step["id"]), " ", element("span", step["words"], class_="cw-muted"))
        for step in script["steps"]
    ]
    summary = element(
        "summary", element("code", script["path"] or "(no script)"), " ", element("span", facts, class_="cw-muted")
    )
    about = element("div", lines, element("div", script["purpose"], class_="cw-muted"), class_="cw-note")
    marks = [
        element("div", element("b", "look", class_="cw-bad"), " ", _flag_words(flag), class_="cw-note")
        for flag in script.get("flags", ())
    ]
    diff = element("pre", script["diff"], data_cw_diff=script["path"]) if script["diff"] else None
    content = element("pre", script["text"]) if script["text"] is not None else None
    # What a person has to see is not folded away.
    return element("details", summary, about, marks, diff, content, open=bool(diff or marks))


def bundle_html(
    summary: Mapping[str, Any],
    *,
    findings: Iterable[Mapping[str, str]] = (),
    removed: Collection[str] = (),
) -> str:
    """Return a bundle as an HTML fragment, every text escaped; arguments as in `bundle_text`."""
    problems = list(findings)
    pill = element("span", plural(len(problems), "problem"), class_="cw-pill cw-bad cw-right") if problems else None
    confinement = f" · confinement {summary['confinement']}" if summary["confinement"] else ""
    header = element(
        "header",
        element("b", "Bundle"),
        " ",
        element("code", short_digest(summary["digest"]), class_="cw-muted", title=summary["digest"]),
        " ",
        element("span", _script_words(summary), confinement),
        " ",
        pill,
    )
    notes = [
        element("div", element("b", finding["message"], class_="cw-bad"), f" {finding['place']} ",
                element("code", finding["code"], class_="cw-muted"), element("div", finding.get("hint", "")), class_="cw-note")
        for finding in problems
    ]  # fmt: skip
    gone = [element("div", element("code", path), " removed", class_="cw-note cw-muted") for path in sorted(removed)]
    card = element(
        "div", header, notes, scripts_html(summary), gone, class_="cw-card", data_cw_bundle=summary["digest"]
    )
    return str(wrap(card, label=f"bundle {short_digest(summary['digest'])}"))
