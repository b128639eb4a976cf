"""The one style sheet of every view, and the box that views are put in.

Colours follow JupyterLab and Notebook by their CSS variables (and VS Code's), with fallbacks for pages that have none.
The words of a view carry its meaning: it reads the same without CSS, which is what an untrusted notebook, GitHub and a
screen reader show.
"""

from __future__ import annotations

from typing import Final

from clockwork_nb.render.html import Child, Markup, document, element

__all__ = ["CSS", "DARK", "LIGHT", "page", "wrap"]

LIGHT: Final = {
    "ok": "#1b7f3b", "warn": "#8a5a00", "bad": "#b3261e", "info": "#0b57a4", "rep": "#5b3da5",
    "add-bg": "#e8f5ec", "del-bg": "#fdeceb", "go-bg": "#1b7f3b",
}  # fmt: skip
"""Colours that mean something, on light backgrounds; all at least 4.5:1 (WCAG 2.2 §1.4.3)."""

DARK: Final = {
    "ok": "#6fcf8b", "warn": "#e6b455", "bad": "#f28b82", "info": "#8ab4f8", "rep": "#b9a3f0",
    "add-bg": "#16301f", "del-bg": "#3a1c1a", "go-bg": "#1b7f3b",
}  # fmt: skip
"""The same on dark backgrounds."""


def _variables(colors: dict[str, str]) -> str:
    return "".join(f"--cw-{name}:{value};" for name, value in colors.items())


_BASE: Final = (
    "--cw-l0:var(--jp-layout-color0,var(--vscode-editor-background,#fff));"
    "--cw-l1:var(--jp-layout-color1,var(--vscode-editor-background,#fff));"
    "--cw-l2:var(--jp-layout-color2,var(--vscode-sideBar-background,#f5f5f5));"
    "--cw-line:var(--jp-border-color2,var(--vscode-panel-border,#e0e0e0));"
    "--cw-line1:var(--jp-border-color1,var(--vscode-panel-border,#bdbdbd));"
    "--cw-fg:var(--jp-ui-font-color1,var(--vscode-editor-foreground,#222));"
    # JupyterLab's font-color2 is black at 54 %, 4.4:1 on grey; mixed from the foreground it stays readable everywhere.
    "--cw-muted:color-mix(in srgb,var(--cw-fg) 75%,var(--cw-l1));"
    '--cw-font:var(--jp-content-font-family,system-ui,-apple-system,"Segoe UI",Roboto,sans-serif);'
    "--cw-mono:var(--jp-code-font-family,ui-monospace,Menlo,Consolas,monospace);"
)

_PAGE_LIGHT: Final = "--cw-l0:#fff;--cw-l1:#fff;--cw-l2:#f5f5f5;--cw-line:#e0e0e0;--cw-line1:#bdbdbd;--cw-fg:#222;"
_PAGE_DARK: Final = "--cw-l0:#111;--cw-l1:#1b1b1d;--cw-l2:#26262a;--cw-line:#333338;--cw-line1:#4a4a50;--cw-fg:#e6e6e6;"

# ".cw.cw.cw" outweighs what JupyterLab says about code and table rows in rendered HTML.
CSS: Final = (
    f".cw{{{_BASE}{_variables(LIGHT)}}}"
    '[data-jp-theme-light="false"] .cw,body.vscode-dark .cw,body.vscode-high-contrast .cw'
    f"{{{_variables(DARK)}}}"
    """
.cw{font:13px/1.45 var(--cw-font);color:var(--cw-fg);max-width:860px;margin:2px 0}
.cw .cw-card{border:1px solid var(--cw-line);border-radius:6px;background:var(--cw-l1);overflow:hidden;margin:0 0 8px}
.cw header,.cw footer{display:flex;gap:4px 10px;align-items:baseline;padding:9px 12px}.cw footer{flex-wrap:wrap}
.cw header>*{min-width:0;overflow-wrap:anywhere}.cw header>b{flex-shrink:.2}.cw header>.cw-pill,.cw header>.cw-right{flex:none}
.cw header b{font-size:14px}.cw footer{border-top:1px solid var(--cw-line);background:var(--cw-l2)}
.cw header+*{border-top:1px solid var(--cw-line)}.cw .cw-right{margin-left:auto}
.cw .cw-muted{color:var(--cw-muted)}.cw .cw-ok{color:var(--cw-ok)}.cw .cw-warn{color:var(--cw-warn)}
.cw .cw-bad{color:var(--cw-bad)}.cw .cw-info{color:var(--cw-info)}.cw .cw-rep{color:var(--cw-rep)}
.cw.cw.cw code{font:12px/1.45 var(--cw-mono);color:inherit;background:none;border:0;padding:0;overflow-wrap:anywhere}
.cw .cw-pill{font:600 11px/1 var(--cw-font);padding:3px 7px;border-radius:99px;border:1px solid currentColor;white-space:nowrap}
.cw table{border-collapse:collapse;width:100%;margin:0;border:0;font-size:13px;table-layout:auto}
.cw thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
.cw.cw.cw tr{background:none}
.cw td,.cw th{padding:4px 12px;vertical-align:top;border:0;text-align:left;white-space:normal;max-width:none;color:inherit;font-weight:400}
.cw .cw-plan tr+tr>*{border-top:1px solid var(--cw-line)}.cw .cw-act{font-weight:600;white-space:nowrap;width:92px}
.cw tr.cw-create>.cw-act,.cw tr.cw-verify>.cw-act{color:var(--cw-ok);box-shadow:inset 3px 0 var(--cw-ok)}
.cw tr.cw-update>.cw-act{color:var(--cw-warn);box-shadow:inset 3px 0 var(--cw-warn)}
.cw tr.cw-replace>.cw-act{color:var(--cw-rep);box-shadow:inset 3px 0 var(--cw-rep)}
.cw tr.cw-delete>.cw-act,.cw tr.cw-forget>.cw-act{color:var(--cw-bad);box-shadow:inset 3px 0 var(--cw-bad)}
.cw .cw-attr{display:grid;grid-template-columns:minmax(90px,max-content) 1fr;gap:2px 10px;margin-top:3px;font:12px/1.45 var(--cw-mono);color:var(--cw-muted)}
.cw .cw-attr>div{display:contents}.cw .cw-attr span{overflow-wrap:anywhere}
.cw del,.cw ins{text-decoration:none;padding:0 3px;border-radius:3px}
.cw del{background:var(--cw-del-bg);color:var(--cw-bad)}.cw ins{background:var(--cw-add-bg);color:var(--cw-ok)}
.cw.cw.cw pre{margin:0;padding:8px 12px;background:var(--cw-l2);border:0;border-top:1px solid var(--cw-line);font:12px/1.45 var(--cw-mono);color:var(--cw-fg);white-space:pre-wrap;overflow-wrap:anywhere;max-height:420px;overflow:auto}
.cw.cw.cw pre.cw-err{border-left:3px solid var(--cw-bad)}.cw.cw.cw pre.cw-source{white-space:pre;overflow-x:auto}
.cw.cw.cw pre.cw-words{background:none;border:0}.cw .cw-body>.cw-muted{padding:6px 12px}
.cw .cw-note{padding:5px 12px;border-top:1px solid var(--cw-line)}
.cw details>summary{cursor:pointer;padding:5px 12px;color:var(--cw-muted)}.cw td details>summary{padding:2px 0}
.cw details{border-top:1px solid var(--cw-line)}.cw td details{border:0}.cw.cw.cw td details>pre{border:1px solid var(--cw-line)}
.cw .cw-step td,.cw .cw-step th{padding:3px 12px;border:0}.cw .cw-st{width:18px;text-align:center}
.cw .cw-dur{text-align:right;color:var(--cw-muted);width:84px;white-space:nowrap;font-variant-numeric:tabular-nums}
.cw .cw-bar{height:4px;background:var(--cw-line);border:0}.cw .cw-bar>i{display:block;height:100%;background:var(--cw-info)}
.cw .cw-bar.cw-bad>i{background:var(--cw-bad)}.cw .cw-bar.cw-ok>i{background:var(--cw-ok)}
.cw .cw-sr{position:absolute;width:1px;height:1px;margin:-1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
.cw .cw-graph{overflow:auto;padding:8px 12px;max-height:640px}.cw .cw-graph svg{max-width:none;display:block}
@media print{.cw.cw.cw pre,.cw .cw-graph{max-height:none}}
"""
)
"""The rules of every view, all under ``.cw``."""


def wrap(*content: Child, label: str, extra_class: str = "", style: bool = True) -> Markup:
    """Return *content* in the box that carries the style sheet and keeps MathJax away from the text in it.

    *label* names the box for screen readers. ``style=False`` leaves the sheet out, where the page has it already.
    """
    sheet = Markup(f"<style>{CSS}</style>") if style else None
    names = " ".join(filter(None, ("cw", extra_class, "tex2jax_ignore", "mathjax_ignore")))
    return element("div", sheet, *content, class_=names, role="group", aria_label=label)


def page(title: str, body: Markup) -> str:
    """Return a self-contained page, light or dark as the reader's system asks; *body* is what `wrap` made."""
    # ":root .cw" outweighs the sheet that each view brings along.
    style = (
        f"<style>{CSS}body{{margin:16px;background:#fff}}:root .cw{{{_PAGE_LIGHT}}}"
        f"@media (prefers-color-scheme:dark){{body{{background:#1b1b1d}}:root .cw{{{_PAGE_DARK}{_variables(DARK)}}}}}"
        "</style>"
    )
    return document(title, body, Markup(style))
