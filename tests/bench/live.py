"""What a plan costs in a session that goes on, as in a kernel: the first one, and one after an edit of one block."""

from __future__ import annotations

import gc
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from tests.bench.graphs import SHAPES, clockwork

__all__ = ["live_rows"]

_EDITS = 5


def live_costs(folder: Path) -> dict[str, float]:
    """Return CPU seconds of the first plan of *folder*, and of one after an edit of one block in its ``main.cw``.

    The edited block is another one each time, and the new text is longer, so that all that follows has moved.
    """
    from clockwork_nb.session import Session

    source = folder / "main.cw"
    session = Session.for_folder(folder, live=True)
    first = _cpu(session)
    edits = []
    for i in range(1, _EDITS + 1):
        text = source.read_text()
        source.write_text(text.replace(f'"${{local.base}}-{i} ', f'"${{local.base}}-edited-{i} ', 1))
        edits.append(_cpu(session))
    return {"first": first, "edited": statistics.median(edits)}


def _cpu(session: Any) -> float:
    gc.collect()
    start = time.process_time()
    session.plan()
    return time.process_time() - start


def live_rows(base: Path, count: int = 10_000) -> list[dict[str, Any]]:
    """Print and return a row for each shape of graph with *count* nodes, each measured in a process of its own."""
    import subprocess

    rows = []
    for shape in SHAPES:
        folder = base / f"live-{shape}-{count}"
        folder.mkdir()
        (folder / "main.cw").write_text(clockwork(shape, count))
        out = subprocess.run(
            [sys.executable, "-m", "tests.bench.live", str(folder)],
            cwd=Path(__file__).resolve().parents[2], capture_output=True, check=True,
        ).stdout  # fmt: skip
        costs = json.loads(out)
        rows.append({"shape": shape, "nodes": count, **costs})
        print(
            f"live   {shape:<12} {count:>6}   first plan {costs['first']:5.2f} s CPU   "
            f"after an edit of one block {costs['edited']:5.2f} s CPU",
            flush=True,
        )
    return rows


if __name__ == "__main__":
    print(json.dumps(live_costs(Path(sys.argv[1]))))
