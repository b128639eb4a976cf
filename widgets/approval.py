"""The question put to a person: what exactly is approved, a reason, and two buttons.

The panel decides nothing. It tells its callback what was clicked; the record that follows is what counts, and it may
come from elsewhere as well.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from typing import Any, Literal

import ipywidgets as widgets

from clockwork_nb.render.html import Markup, element
from clockwork_nb.render.text import plural, short_digest
from clockwork_nb.render.theme import wrap

__all__ = ["ApprovalPanel", "DecisionCallback"]

DecisionCallback = Callable[[Literal["granted", "denied"], str], None]
"""Called with the decision and the reason, on whichever thread the click arrives."""


class ApprovalPanel(widgets.VBox):
    """The card with the reason field, Reject and Approve. Approve stays disabled until `enable`.

    Args:
        document: the plan document.
        digest: the plan's digest.
        bundle_summary: what `clockwork_nb.render.bundle.bundle_summary` made.
        serial: the state's serial the plan was made from.
    """

    def __init__(
        self, document: Mapping[str, Any], digest: str, bundle_summary: Mapping[str, Any], serial: int
    ) -> None:
        self._digest = digest
        self._summary = bundle_summary
        self._serial = serial
        self._callback: DecisionCallback | None = None
        self._open = True
        self._may_approve = False
        self._lock = threading.Lock()
        self._thread = threading.get_ident()
        try:
            self._loop: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            self._loop = None
        count = len(document["actions"]["steps"])
        self.card = widgets.HTML(self._card_html("waiting", "warn", ""))
        self.reason = widgets.Text(description="Reason", placeholder="optional, kept in the record")
        self.reject = widgets.Button(description="Reject", tooltip="Run nothing and stop here")
        self.approve = widgets.Button(
            description=f"Approve {plural(count, 'step')}", tooltip="Run exactly what is shown", disabled=True
        )
        self.reject.add_class("cw-reject")
        self.approve.add_class("cw-approve")
        self.reject.on_click(lambda _: self._decide("denied"))
        self.approve.on_click(lambda _: self._decide("granted"))
        self.controls = widgets.HBox([self.reason, self.reject, self.approve])
        self.controls.add_class("cw-controls")
        super().__init__([self.card, self.controls])
        self.add_class("cw-approval")

    def _card_html(self, pill: str, color: str, said: str) -> Markup:
        bundle = short_digest(self._summary["digest"])
        scripts = sum(bool(s["path"]) and s["lang"] != "data" for s in self._summary["scripts"])
        facts = f"{plural(self._summary['steps'], 'step')} from {plural(scripts, 'script')}"
        if self._summary["confinement"]:
            facts += f", confinement {self._summary['confinement']}"
        header = element(
            "header",
            element("b", "Approve plan" if not said else "Plan"),
            " ",
            element("code", short_digest(self._digest), class_="cw-muted", title=self._digest),
            " ",
            element("span", facts),
            " ",
            element("span", pill, class_=f"cw-pill cw-{color} cw-right"),
        )
        sentence: Markup = element("div", said, class_="cw-note") if said else element(
            "div",
            "This approves exactly what is shown: plan ", element("code", short_digest(self._digest)),
            ", scripts ", element("code", bundle), f", state serial {self._serial}. ",
            "A change to any of them asks again.",
            class_="cw-note cw-muted",
        )  # fmt: skip
        return wrap(element("div", header, sentence, class_="cw-card"), label="approval", style=False)

    # --- what callers do ------------------------------------------------------------------------------------------

    def on_decision(self, callback: DecisionCallback) -> None:
        """Ask: call *callback* once with what is clicked next. Asking again opens the controls again."""
        with self._lock:
            self._callback = callback
            self._open = True
        self._refresh()

    def enable(self) -> None:
        """Allow Approve: plan and scripts are on the screen."""
        self._may_approve = True
        self._refresh()

    def freeze(self) -> None:
        """Disable every control for good, or until the next `on_decision`."""
        with self._lock:
            self._open = False
        self._refresh()

    def settle(self, granted: bool, words: str) -> None:
        """Show the recorded decision in *words* ("approved by ops …") in place of the controls."""
        self.freeze()
        self.controls.layout.display = "none"
        self.card.value = self._card_html("approved" if granted else "rejected", "ok" if granted else "bad", words)

    def _refresh(self) -> None:
        """Show the controls as they are, from the loop's thread: some kernels bring clicks on another one."""
        if self._loop is None or threading.get_ident() == self._thread:
            self._show_controls()
        elif not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._show_controls)

    def _show_controls(self) -> None:
        self.reason.disabled = self.reject.disabled = not self._open
        self.approve.disabled = not (self._open and self._may_approve)

    def _decide(self, decision: Literal["granted", "denied"]) -> None:
        with self._lock:
            # A disabled button of a page can still send a click; one click is one answer.
            if not self._open or (decision == "granted" and not self._may_approve) or self._callback is None:
                return
            self._open = False
            callback = self._callback
        self._refresh()
        callback(decision, self.reason.value.strip())

    def close(self) -> None:
        """Close the panel and everything in it. Closing again does nothing."""
        if self.comm is None:
            return
        for child in (self.card, self.reason, self.reject, self.approve, self.controls):
            style = getattr(child, "style", None)  # boxes have none
            if style is not None:
                style.close()
            child.layout.close()
            child.close()
        self.layout.close()
        super().close()
