"""What a magic can know about where it runs: the notebook's file, the cell, the front end, the kernel."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct

from clockwork_nb.errors import InvalidInputError

__all__ = [
    "BUTTONS_SINCE",
    "FrontEnd",
    "NotebookFile",
    "Request",
    "current_request",
    "front_end",
    "kernel_version",
    "notebook_file",
    "parameter_names",
]

FrontEnd = Literal["buttons", "prompt", "none"]
"""How a person can answer: widget buttons, a typed answer, or only by a record that another process writes."""

BUTTONS_SINCE = (7, 4)
"""The first ipykernel that hands clicks to a cell that is being awaited."""


class NotebookFile(Struct, frozen=True):
    """The notebook's folder and its file name without ``.ipynb``; ``known`` is False when both are guesses."""

    folder: Path
    stem: str
    known: bool


class Request(Struct, frozen=True):
    """The execution request that a magic runs in.

    ``cell_id`` is empty where the front end sends none. ``allow_stdin`` is None outside a kernel. ``count`` is the
    number in the cell's prompt.
    """

    msg_id: str
    cell_id: str
    source: str
    count: int
    allow_stdin: bool | None

    @property
    def cell_key(self) -> str:
        """The cell's id, or ``h-`` and 8 hex of its source where the front end sends no id.

        The source alone: with a position in it, running a cell again would declare its blocks twice.
        """
        return self.cell_id or "h-" + hashlib.sha256(self.source.encode()).hexdigest()[:8]


def notebook_file(env: Mapping[str, str], user_ns: Mapping[str, Any]) -> NotebookFile:
    """Return which notebook this kernel belongs to.

    ``CW_NOTEBOOK`` is set by the engine, ``JPY_SESSION_NAME`` by Jupyter servers (the notebook's path; consoles get a
    name that is no notebook), ``__vsc_ipynb_file__`` by VS Code. Otherwise it is "notebook" in the working folder.
    """
    for told in (env.get("CW_NOTEBOOK"), env.get("JPY_SESSION_NAME"), user_ns.get("__vsc_ipynb_file__")):
        if isinstance(told, str) and told.endswith(".ipynb"):
            path = Path(told).absolute()
            if path.parent.is_dir():
                return NotebookFile(path.parent, path.stem, known=True)
    return NotebookFile(Path.cwd(), "notebook", known=False)


def current_request(shell: Any) -> Request:
    """Return the request that *shell* is carrying out."""
    parent: Any = shell.get_parent() if hasattr(shell, "get_parent") else {}
    if not isinstance(parent, dict):
        parent = {}
    content = parent.get("content") or {}
    metadata = parent.get("metadata") or {}
    cell_id = metadata.get("cellId") or metadata.get("cell_id") or ""
    allow_stdin = content.get("allow_stdin")
    count = int(getattr(shell, "execution_count", 0) or 0)
    return Request(
        msg_id=str((parent.get("header") or {}).get("msg_id") or count),
        cell_id=cell_id if isinstance(cell_id, str) else "",
        source=str(content.get("code") or ""),
        count=count,
        allow_stdin=allow_stdin if isinstance(allow_stdin, bool) else None,
    )


def kernel_version() -> tuple[int, ...]:
    """Return ipykernel's version, or ``()`` where no kernel is loaded."""
    kernel = sys.modules.get("ipykernel")
    return tuple(getattr(kernel, "version_info", ()))[:2] if kernel is not None else ()


def front_end(shell: Any, request: Request, *, headless: bool) -> FrontEnd:
    """Return how a person who watches this request can answer it.

    *headless* is what the settings say; without it, a request that does not allow input comes from a program.
    """
    if headless:
        return "none"
    if not hasattr(shell, "kernel"):
        return "prompt" if sys.stdin is not None and sys.stdin.isatty() else "none"
    if request.allow_stdin is False:
        return "none"
    return "buttons" if kernel_version() >= BUTTONS_SINCE else "prompt"


def parameter_names(env: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Return the names that the notebook's ``parameters`` cell assigns, as the engine found them.

    Raises:
        InvalidInputError: ``CW_PARAMETERS`` is not a JSON list of names.
    """
    text = (os.environ if env is None else env).get("CW_PARAMETERS", "")
    if not text:
        return ()
    try:
        names = json.loads(text)
    except ValueError as error:
        raise InvalidInputError(
            "CW_PARAMETERS is not JSON", hint='It is set by the engine: ["port", "greeting"]'
        ) from error
    if not isinstance(names, list) or not all(isinstance(n, str) for n in names):
        raise InvalidInputError("CW_PARAMETERS is not a list of names", hint='It is set by the engine: ["port"]')
    return tuple(names)
