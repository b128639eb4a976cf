"""``report.html``: one page that shows a person what the log says. A pure function of the log; verify recomputes it.

Self-contained: no script, nothing fetched, light and dark by the reader's preference. Its bytes are frozen with the
projection, so it uses nothing of the renderers that may change from release to release: escaping and wording are here.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Final

from clockwork_nb.jobpack.history import Approval, History, SectionHistory, StepRun, read_history
from clockwork_nb.jobpack.log import read_log
from clockwork_nb.patterns import pattern

__all__ = ["build_report", "report_of_log"]

_MAX_ROWS: Final = 500
_MAX_TAIL: Final = 2_000

# Controls, soft hyphen, invisible and bidirectional format characters, line separators: shown as what they are. Fixed
# ranges, because Python's own tables grow with each Unicode version and these bytes may not.
_HIDDEN: Final = pattern(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e0fff]"
)

_STYLE: Final = """
:root{color-scheme:light dark;--bg:#fff;--fg:#1b1b1d;--mute:#5c5c64;--line:#d9d9de;--soft:#f5f5f7;--ok:#1b7f3b;--warn:#8a5a00;--bad:#b3261e}
@media (prefers-color-scheme:dark){:root{--bg:#1b1b1d;--fg:#e6e6e6;--mute:#a0a0a6;--line:#3a3a40;--soft:#26262a;--ok:#6fcf8b;--warn:#e6b455;--bad:#f28b82}}
body{margin:0 auto;padding:24px 20px 60px;max-width:980px;background:var(--bg);color:var(--fg);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
h1{font-size:22px;margin:0 0 4px}h2{font-size:16px;margin:32px 0 8px}p{margin:4px 0}
code,pre{font:13px/1.45 ui-monospace,Menlo,Consolas,monospace;overflow-wrap:anywhere}
pre{white-space:pre-wrap;background:var(--soft);border-left:3px solid var(--bad);padding:8px 12px;margin:4px 0}
table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;padding:5px 12px 5px 0;border-top:1px solid var(--line)}
th{font-weight:600;color:var(--mute);font-size:13px}.mute{color:var(--mute)}.ok{color:var(--ok)}.warn{color:var(--warn)}.bad{color:var(--bad)}b.ok,b.warn,b.bad{font-weight:600}
.scroll{overflow-x:auto}
""".replace("\n", "")

_STATUS_CLASS: Final = {"completed": "ok", "canceled": "warn"}
_OUTCOME: Final = {
    "completed": ("✓ done", "ok"),
    "failed": ("✗ failed", "bad"),
    "interrupted": ("✗ interrupted", "bad"),
    "running": ("▸ no result", "warn"),
}


def _text(value: object) -> str:
    shown = _HIDDEN.sub(lambda found: f"\\u{{{ord(found[0]):x}}}", str(value))
    return escape(shown, quote=True)


def _code(value: object) -> str:
    return f"<code>{_text(value)}</code>"


def _marked(text: str, kind: str) -> str:
    return f'<b class="{kind}">{_text(text)}</b>'


def _table(head: Iterable[str], rows: Iterable[str]) -> str:
    cells = "".join(f"<th>{_text(name)}</th>" for name in head)
    first = f"<tr>{cells}</tr>" if cells else ""
    return f'<div class="scroll"><table>{first}{"".join(rows)}</table></div>'


def _row(*cells: str) -> str:
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _when(stamp: str) -> str:
    return _text(f"{stamp[:10]} {stamp[11:19]} UTC") if stamp else ""


def build_report(history: History) -> bytes:
    """Return the page, UTF-8: the outcome first, then decisions, sections with their steps, and what it rests on."""
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        f"<title>{_text(history.name)} · {_text(history.job_id)}</title><style>{_STYLE}</style></head><body>",
        _outcome(history),
        _decisions(history),
        *(_section(s) for _, s in sorted(history.sections.items()) if s.verb != "plan"),
        _looks(history),
        _cells(history),
        _evidence(history),
        "</body></html>\n",
    ]
    return "".join(parts).encode()


def report_of_log(genesis: bytes, events: bytes) -> bytes:
    """Return the page for a job's header (``job.json``) and log (``events.jsonl``), as it would be in its pack.

    Raises:
        ChainBrokenError, EvidenceInconsistentError: see `clockwork_nb.jobpack.log.read_log`.
    """
    header, records = read_log(genesis, events)
    return build_report(read_history(header, records))


def _outcome(history: History) -> str:
    counts = history.counts()
    word = (
        history.status.replace("_", " ") if history.finished else f"not finished ({history.status.replace('_', ' ')})"
    )
    kind = _STATUS_CLASS.get(history.status, "warn") if history.finished else "warn"
    if counts["failed"]:
        kind = "bad"
    out = f"<h1>{_text(history.name)}: {_marked(word, kind)}</h1>"
    figures = f"{counts['steps']} steps, {counts['failed']} failed"
    if counts["cells"]:
        figures = f"{counts['cells']} cells, {figures}"
    out += f'<p>{_text(figures)} <span class="mute">· {_code(history.job_id)} · last event {_when(history.last_at)}</span></p>'
    if history.objective:
        out += f"<p>{_text(history.objective)}</p>"
    if history.tainted:
        out += f"<p>{_marked('The log was repaired by hand', 'bad')}: {_text(history.tainted)}</p>"
    return out


def _decisions(history: History) -> str:
    if not history.approvals:
        return ""
    rows = [_decision_row(approval) for approval in history.approvals.values()]
    return "<h2>Decisions</h2>" + _table(("plan", "decision", "by", "reason", "at"), rows)


def _decision_row(approval: Approval) -> str:
    plan = _code(str(approval.binds.get("plan", ""))[:8])
    if approval.decision == "open":
        return _row(plan, _marked("waiting", "warn"), "", "", "")
    kind = "ok" if approval.decision == "granted" else "bad"
    if approval.via in {"auto", "policy"} and approval.decision == "granted":
        by = (
            _marked(f"no person approved ({approval.via})", "warn") + f' <span class="mute">{_text(approval.by)}</span>'
        )
        kind = "warn"
    else:
        by = f'{_text(approval.by)} <span class="mute">({_text(approval.via)})</span>'
    return _row(plan, _marked(approval.decision, kind), by, _text(approval.reason), _when(approval.at))


def _looks(history: History) -> str:
    """Return one line a plan that was only shown; many cells may have shown the same one."""
    cells: dict[str, list[str]] = {}
    for _, section in sorted(history.sections.items()):
        if section.verb == "plan":
            cells.setdefault(section.plan, []).append(section.cell)
    if not cells:
        return ""
    rows = [_row(_code(plan[:8]), _text(", ".join(dict.fromkeys(names)))) for plan, names in cells.items()]
    return "<h2>Plans that were only shown</h2>" + _table(("plan", "in cells"), rows)


def _section(section: SectionHistory) -> str:
    title = f"Section {section.number}: {section.verb}" + (f" · {section.cell}" if section.cell else "")
    out = f'<h2>{_text(title)} <span class="mute">{_text(section.outcome or "open")}</span></h2>'
    if section.plan:
        out += f'<p class="mute">plan {_code(section.plan)}<br>bundle {_code(section.bundle or "none")}</p>'
    if not section.runs and not section.skipped:
        return out + "<p>No step ran.</p>"
    shown = _shown(section.runs)
    rows = [_run_rows(run) for run in shown]
    room = _MAX_ROWS - len(shown)
    rows += [
        _row(
            str(p["index"]),
            _code(p["step_id"]),
            _text(p["summary"]),
            '<span class="mute">skipped</span>',
            _text(p["reason"]),
        )
        for p in section.skipped[: max(0, room)]
    ]
    hidden = len(section.runs) + len(section.skipped) - len(rows)
    if hidden:
        rows.append(f'<tr><td colspan="5" class="mute">{hidden} more in clockwork/events.jsonl</td></tr>')
    return out + _table(("no.", "step", "what", "outcome", "took"), rows)


def _shown(runs: list[StepRun]) -> list[StepRun]:
    # Of a long section every run that did not end well is shown first in line; the rest fills up in order.
    if len(runs) <= _MAX_ROWS:
        return runs
    bad = [run for run in runs if run.outcome != "completed"][:_MAX_ROWS]
    chosen = {id(run) for run in bad}
    for run in runs:
        if len(chosen) >= _MAX_ROWS:
            break
        chosen.add(id(run))
    return [run for run in runs if id(run) in chosen]


def _run_rows(run: StepRun) -> str:
    start, end = run.start, run.end or {}
    label, kind = _OUTCOME.get(run.outcome, (run.outcome, "warn"))
    attempt = f' <span class="mute">attempt {start["attempt"]}</span>' if start["attempt"] > 1 else ""
    took = f"{end['duration_ms']} ms" if "duration_ms" in end else ""
    if end.get("exit_code"):
        label += f", exit {end['exit_code']}"
    note = f'<br><span class="mute">{_text(end["note"])}</span>' if end.get("note") else ""
    out = _row(
        str(start["index"]),
        f"{_code(start['step_id'])}{attempt}",
        f'{_text(start["summary"])} <span class="mute">({_text(start["class"])}, {_text(start["confinement"])})</span>{note}',
        _marked(label, kind),
        _text(took),
    )
    if run.outcome == "failed" and end.get("tail"):
        out += f'<tr><td></td><td colspan="4"><pre>{_text(end["tail"][-_MAX_TAIL:])}</pre></td></tr>'
    return out


def _cells(history: History) -> str:
    if not history.cells:
        return ""
    rows = [
        _row(str(index), _text(name), _text(outcome))
        for index, (name, outcome) in sorted(history.cells.items())[:_MAX_ROWS]
    ]
    return "<h2>Cells</h2>" + _table(("no.", "cell", "outcome"), rows)


def _evidence(history: History) -> str:
    rows = [
        _row("events", f"{history.count}, hash-chained"),
        _row("head", _code(history.head)),
        _row("made with", _text(history.producer_version)),
    ]
    return (
        "<h2>What this page rests on</h2>"
        + _table((), rows)
        + '<p class="mute">This page is drawn from clockwork/events.jsonl. It is worth what that file is worth: check '
        "the pack with <code>clockwork jobpack verify</code>.</p>"
    )
