"""What a live notebook shows while a person decides and steps run. Shows what it is given, sends what is clicked.

Importing this package imports ipywidgets and anywidget; ``import clockwork_nb`` does not import this package.
"""

from __future__ import annotations

from clockwork_nb.widgets.approval import ApprovalPanel
from clockwork_nb.widgets.run_panel import RunPanel
from clockwork_nb.widgets.run_view import RunView

__all__ = ["ApprovalPanel", "RunPanel", "RunView"]
