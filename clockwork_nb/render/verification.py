"""What a person sees of a verification: one screen of text, or a panel of HTML.

Input is the document of a `clockwork_nb.jobpack.report.VerificationReport`. Names, reasons and paths in it come from
the pack and may be hostile; everything is made visible or escaped here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from clockwork_nb.patterns import pattern
from clockwork_nb.render.html import Markup, element, fragment
from clockwork_nb.render.text import Paint, clip, pad, plural, short_digest, sized, visible
from clockwork_nb.render.theme import wrap

__all__ = ["report_html_fragment", "report_text"]

_INDENT: Final = 2
_LABEL: Final = 14
_SHOWN_APPROVALS: Final = 3
_TEXT: Final = 160
_ROW: Final = 2 * 80 - 16  # a row takes at most two lines of a small terminal, the whole report one screen
_SHELL_SAFE: Final = pattern(r"[A-Za-z0-9_@%+=:,./-]+\Z")

Document = Mapping[str, Any]


def report_text(report_document: Document, *, color: bool = False) -> str:
    """Return the report as text, outcome first, without a final line end; at most one screen."""
    doc, paint = report_document, Paint(color)
    lines = [_headline(doc, paint)]
    if doc["headline"] == "UNKNOWN SIGNER intact":
        lines += _unknown_signer(doc)
    elif doc["headline"] == "NOT VERIFIED":
        lines += _failure(doc)
    else:
        lines += [f"{' ' * _INDENT}{pad(label, _LABEL)}{clip(text, _ROW)}" for label, text in _facts(doc)]
    return "\n".join(lines)


def _headline(doc: Document, paint: Paint) -> str:
    name = _clean(doc["file_name"]) or _clean(doc["job_id"]) or "the pack"
    headline = doc["headline"]
    if headline == "NOT VERIFIED":
        start = f"{paint.bad(paint.bold('NOT VERIFIED'))}  {name}"
    elif headline == "UNKNOWN SIGNER intact":
        start = f"{paint.warn(paint.bold('UNKNOWN SIGNER'))}  intact  {name}"
    elif headline == "INTACT":
        return f"{paint.bold('INTACT')}  {_intact_word(doc)}  {name}  ({_identity(doc)})"
    else:
        kind = "signed import" if headline == "VERIFIED signed import" else "signed"
        return f"{paint.good(paint.bold('VERIFIED'))}  {kind}   {name}   ({_identity(doc)})"
    failure = doc["failure"]
    return f"{pad(start, 78)} [{_clean(failure['code'])}]" if failure else start


def _intact_word(doc: Document) -> str:
    signer = doc["signer"]
    if signer is None:
        return "unsigned"
    return f"signed by {_clean(signer['name'])}" if signer["name"] else "signer unknown"


def _identity(doc: Document) -> str:
    digest = doc["manifest_sha256"]
    return f"sha256:{digest[:4]}…{digest[-4:]}" if digest else "no identity"


def _facts(doc: Document) -> list[tuple[str, str]]:
    counts = doc["counts"]
    out: list[tuple[str, str]] = []
    if doc["signer"] is not None:
        out.append(("signed by", _signer(doc["signer"])))
    out.append(("job", _job(doc)))
    if doc["tainted"]:
        out.append(("tainted", f"the log was repaired by hand: {_clean(doc['taint_reason'])}"))
    out += [("approved", text) for text in _approvals(doc["approvals"])]
    if doc["profile"] == "clockwork":
        checked = [plural(counts["files"], "file"), f"{plural(counts['events'], 'event')} chained"]
        if counts["steps"]:
            checked.append(f"{plural(counts['steps'], 'step')} ⇔ plan ⇔ artifacts")
        if counts["approvals"]:
            checked.append(f"{plural(counts['approvals'], 'approval')} ⇔ digests")
    else:
        checked = [plural(counts["files"], "file"), plural(counts["events"], "event")]
    out.append(("checked", ", ".join(checked)))
    if relation := _RELATIONS.get(doc["relation"]):
        out.append(("remembered", relation))
    if left_out := doc["not_included"]:
        size = sized(sum(file["size"] for file in left_out))
        out.append(("not included", f"{plural(len(left_out), 'published file')} of {size}, listed by digest only"))
    out += [("found", _clean(text)) for text in doc["notes"]]
    out += [("not in it", _clean(text)) for text in doc["missing"]]
    if doc["headline"] == "INTACT" and not (doc["signer"] or {}).get("name"):
        out.append(("", "Anybody can have made this pack: nothing here says who it is from."))
    return out


_RELATIONS: Final = {
    "same": "the same log was seen before",
    "extends": "the continuation of a log that was seen before",
}


def _signer(signer: Document) -> str:
    if signer["name"]:
        return f"{_clean(signer['name'])} (ed25519 {_clean(signer['fingerprint'])})"
    return f"{_clean(signer['fingerprint'])}, {_KEYS.get(signer['standing'], _KEYS['unknown'])}"


_KEYS: Final = {
    "unknown": "a key that is not trusted here",
    "revoked": "a key that was REVOKED here",
    "expired": "a key that did not count any more at that time",
    "not yet valid": "a key that did not count yet at that time",
}


def _job(doc: Document) -> str:
    counts = doc["counts"]
    status = _clean(doc["status"])
    state = status if doc["final"] else f"NOT FINISHED ({status}, {plural(doc['count'], 'event')} so far)"
    parts = [_clean(doc["name"]), state]
    if counts["cells"]:
        parts.append(plural(counts["cells"], "cell"))
    parts += [plural(counts["steps"], "step"), f"{counts['failed']} failed"]
    return ", ".join(parts)


def _approvals(approvals: Sequence[Document]) -> list[str]:
    out = []
    for approval in approvals[:_SHOWN_APPROVALS]:
        at = f"{_clean(approval['at'])[11:16]} UTC"
        plan, reason = f"plan {short_digest(approval['plan'])}", f'"{clip(_clean(approval["reason"]), 60)}"'
        if approval["via"] in {"auto", "policy"}:
            text = f"{plan}: no person approved ({approval['via']}) {reason}, {at}"
        else:
            text = f"{plan} by {_approvers(approval)} {reason}, {at}"
        out.append(f"{text}, {'before its first step' if approval['used'] else 'not used'}")
    if len(approvals) > _SHOWN_APPROVALS:
        out.append(f"and {len(approvals) - _SHOWN_APPROVALS} more (--json shows all)")
    return out


def _approvers(approval: Document) -> str:
    signers = approval.get("signers", ())
    if not signers:
        return _clean(approval["by"])
    keys = [_clean(s["name"]) or f"{s['standing']} key {_clean(s['fingerprint'])[:15]}…" for s in signers]
    users = ", ".join(dict.fromkeys(_KEY_IN_NAME.sub("", approval["by"]).split(", ")))
    return f"{_clean(users)} (signed by {', '.join(keys)})"


_KEY_IN_NAME: Final = pattern(r" with SHA256:[A-Za-z0-9+/]+")


def _failure(doc: Document) -> list[str]:
    failure = doc["failure"]
    out = [f"  {_clean(failure['message'])}"]
    if failure["expected"] or failure["found"]:
        out.append(f"  expected {_shorten(failure['expected'])}  found {_shorten(failure['found'])}")
    out += [f"  {line}" for line in _clean(failure["hint"]).split("\n") if line]
    if doc["level"] == "none" and failure["code"] != "E_SIG_REQUIRED":
        out.append("  Nothing in this file should be relied on.")
    elif doc["level"] != "none":
        out.append("  The files are intact; what was asked for is not proven.")
    return out


def _shorten(text: str) -> str:
    if len(text) == 64 and not text.strip("0123456789abcdef"):
        return f"sha256 {text[:4]}…{text[-4:]}"
    return _clean(text)


def _unknown_signer(doc: Document) -> list[str]:
    fingerprint = _clean(doc["signer"]["fingerprint"])
    file_name = doc["file_name"]
    target = file_name if _SHELL_SAFE.match(file_name) and not file_name.startswith("-") else "PACK"
    return [
        f"  signed by {fingerprint}, a key that is not trusted here",
        f"  job       {_job(doc)}",
        "  Compare the fingerprint with the sender, then",
        f"    clockwork keys trust --from {target} --fingerprint {fingerprint} --name NAME",
    ]


def _clean(text: Any) -> str:
    return clip(visible(str(text)), _TEXT)


_PILL: Final = {
    "VERIFIED signed": ("Verified", "signed", "ok"),
    "VERIFIED signed import": ("Verified", "signed import", "ok"),
    "INTACT": ("Intact", "not verified", "warn"),
    "UNKNOWN SIGNER intact": ("Unknown signer", "intact", "warn"),
    "NOT VERIFIED": ("Not verified", "", "bad"),
}


def report_html_fragment(report_document: Document) -> Markup:
    """Return the report as a panel in the style of the other notebook views."""
    doc = report_document
    title, pill, kind = _PILL[doc["headline"]]
    failure = doc["failure"]
    head = element(
        "header",
        element("b", title),
        element("code", _clean(doc["file_name"] or doc["job_id"]), class_="cw-muted"),
        element("span", pill or (failure or {}).get("code", ""), class_=f"cw-pill cw-{kind} cw-right"),
    )
    if doc["headline"] == "NOT VERIFIED":
        body = fragment(element("pre", "\n".join(line.strip() for line in _failure(doc)), class_="cw-err"))
    elif doc["headline"] == "UNKNOWN SIGNER intact":
        body = fragment(element("pre", "\n".join(line[2:] for line in _unknown_signer(doc))))
    else:
        rows = [
            element(
                "tr",
                element("td", label, class_="cw-muted", style="text-align:left"),
                element("td", text, style="text-align:left"),
            )
            for label, text in _facts(doc)
        ]
        body = element("table", rows)
    return wrap(element("div", head, body, class_="cw-card"), label="verification")
