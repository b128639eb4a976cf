"""One widget tree for a gated run: plan and scripts, the question, then steps and log.

It is one tree, displayed before the gate, because a page that is reloaded while the cell waits still shows what was
displayed by then, and loses what that cell displays later.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import ipywidgets as widgets

from clockwork_nb.render.bundle import bundle_html
from clockwork_nb.render.html import Markup
from clockwork_nb.render.outcome import approval_words
from clockwork_nb.render.plan import plan_html
from clockwork_nb.widgets.approval import ApprovalPanel, DecisionCallback
from clockwork_nb.widgets.run_view import RunView

__all__ = ["RunPanel"]


class RunPanel(widgets.VBox):
    """Shows a plan, asks, and shows the run. Call `update`, `add_log`, `freeze` and `close` from the event loop's thread.

    Args:
        document: the plan document.
        digest: the plan's digest.
        bundle_summary: what `clockwork_nb.render.bundle.bundle_summary` made.
        serial: the state's serial; by default the plan's.
        ask: whether there is a question to put; False for a run that nobody is asked about.
    """

    def __init__(
        self,
        document: Mapping[str, Any],
        digest: str,
        bundle_summary: Mapping[str, Any],
        *,
        serial: int | None = None,
        ask: bool = True,
    ) -> None:
        intro = Markup(plan_html(document, digest) + bundle_html(bundle_summary))
        self.view = RunView(intro=intro, plan=digest, bundle=bundle_summary["digest"])
        self.approval: ApprovalPanel | None = None
        if ask:
            serial = int(document["serial"]) if serial is None else serial
            self.approval = ApprovalPanel(document, digest, bundle_summary, serial)
            self.view.on_rendered(self.approval.enable)
        self._settled = False
        super().__init__([self.view] if self.approval is None else [self.view, self.approval])

    def on_decision(self, callback: DecisionCallback) -> None:
        """Call *callback* with ``"granted"`` or ``"denied"`` and the reason when somebody clicks; on any thread.

        Raises:
            ValueError: this panel was made without a question.
        """
        if self.approval is None:
            raise ValueError("this panel asks nothing")
        self.approval.on_decision(callback)

    def update(self, document: Mapping[str, Any]) -> None:
        """Show a ``RunProgress.snapshot()`` or ``.delta()``; a decision in it settles the question, whoever made it."""
        state = document["approval"]["state"]
        if self.approval is not None and not self._settled and state in {"granted", "denied"}:
            self._settled = True
            self.approval.settle(state == "granted", approval_words(document["approval"]))
        self.view.push(document)

    def add_log(self, lines: Iterable[str]) -> None:
        """Show more lines of output."""
        self.view.add_log(lines)

    def freeze(self) -> None:
        """Disable the controls and send everything that was held back."""
        if self.approval is not None:
            self.approval.freeze()
        self.view.flush()

    def close(self) -> None:
        """Close every widget of the tree; no comm stays open. Closing again does nothing."""
        if self.comm is None:
            return
        self.view.close()
        if self.approval is not None:
            self.approval.close()
        self.layout.close()
        super().close()
