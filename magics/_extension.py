"""Loading and unloading: what is put into the shell, and the one line that is printed."""

from __future__ import annotations

import os
import sys
from typing import Any

from clockwork_nb.magics._context import BUTTONS_SINCE, current_request, front_end, kernel_version, notebook_file
from clockwork_nb.magics._transform import await_magics
from clockwork_nb.notices import log

__all__ = ["load", "unload"]

_NAME = "ClockworkMagics"


def load(shell: Any) -> None:
    """Put the magics, the input transformer and the completion into *shell*, once, and print one line."""
    from clockwork_nb.magics._completer import matcher_for
    from clockwork_nb.magics._magics import ClockworkMagics

    if _NAME not in shell.magics_manager.registry:
        magics = ClockworkMagics(shell)
        shell.register_magics(magics)
        shell.input_transformers_post.append(await_magics)
        completer = getattr(shell, "Completer", None)
        if completer is not None:
            magics.matcher = matcher_for(magics.notebook)
            completer.custom_matchers.append(magics.matcher)
    sys.stdout.write(_greeting(shell) + "\n")
    headless = os.environ.get("CW_HEADLESS", "") not in {"", "0"}
    watched = front_end(shell, current_request(shell), headless=headless) != "none"
    if watched and () < kernel_version() < BUTTONS_SINCE:
        have = ".".join(map(str, kernel_version()))
        sys.stdout.write(
            f"ipykernel {have} does not hand clicks to a waiting cell: you will be asked to type instead of click.\n"
            "Buttons need ipykernel 7.4 or newer:  pip install 'ipykernel>=7.4,<8'\n"
        )


def unload(shell: Any) -> None:
    """Take out of *shell* what `load` put in; harmless when nothing is there."""
    magics = shell.magics_manager.registry.pop(_NAME, None)
    if await_magics in shell.input_transformers_post:
        shell.input_transformers_post.remove(await_magics)
    if magics is None:
        return
    for kind, names in magics.magics.items():
        for name in names:
            shell.magics_manager.magics[kind].pop(name, None)
    completer = getattr(shell, "Completer", None)
    if completer is not None and magics.matcher in completer.custom_matchers:
        completer.custom_matchers.remove(magics.matcher)


def _greeting(shell: Any) -> str:
    """Return version, workspace and confinement tier in one line; the container engine is not asked for, that takes time."""
    from clockwork_nb import __version__
    from clockwork_nb.workspace import notebook_workspace

    file = notebook_file(os.environ, shell.user_ns)
    parts = [f"Clockwork NB {__version__}", f"workspace {notebook_workspace(file.folder, file.stem).name}"]
    if not file.known:
        parts[-1] += " (this front end does not say which notebook this is: %cw_workspace NAME chooses)"
    try:
        from clockwork_nb.forge.confinement import probe

        tier = probe().tier
    except OSError as error:
        log(__name__).warning("this machine could not be looked at: %s", error)
        return " · ".join(parts)
    parts.append(f"confinement {tier}")
    return " · ".join(parts)
