"""The step launcher is copied for every step, so what it imports is paid for with every step."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from clockwork_nb.forge import launcher

LARGE = {"json", "re", "enum", "collections", "functools", "contextlib", "socket", "selectors", "signal", "typing"}


def test_the_launcher_imports_nothing_large() -> None:
    program = (
        f"import sys; sys.path.insert(0, {str(Path(launcher.__file__).parent)!r}); import launcher; print(*sys.modules)"
    )
    words = [sys.executable, "-I", "-S", "-c", program]
    out = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    found = set(out.split())
    assert {"launcher", "landlock"} <= found
    assert not found & LARGE


def test_what_it_says_is_json() -> None:
    said: dict[str, str | int] = {"op": "failed", "id": "1", "errno": -3, "text": 'no "such"\n\\file: \udcff ünï\0'}
    assert json.loads(launcher._to_json(said)) == said
