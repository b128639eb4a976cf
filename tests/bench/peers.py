"""The same no-op shell steps by peers: ``terraform apply`` with local-exec, and pyinfra ``@local``.

Both are optional: Terraform from the path, pyinfra from the path or from ``CW_BENCH_PYINFRA``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["peer_rows"]

Measure = Callable[..., dict[str, float]]


def peer_rows(
    base: Path, env: dict[str, str], measure: Measure, sizes: list[int], ours: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Run *sizes* steps with every peer there is; print and return a row each, with the ratio to *ours*."""
    mine = {row["steps"]: row["apply"]["wall"] for row in ours}
    rows = []
    for count in sizes:
        for name, run in (("terraform", _terraform), ("pyinfra", _pyinfra)):
            folder = base / f"{name}-{count}"
            folder.mkdir()
            found = run(folder, env, measure, count)
            if found is None:
                continue
            row = {"peer": name, "steps": count, "apply": found, "ratio": found["wall"] / mine[count]}
            rows.append(row)
            print(
                f"peer   {count:>6} sh steps   {name:<10} {found['wall']:6.2f} s wall {found['cpu']:6.2f} s CPU   "
                f"{count / found['wall']:6.0f}/s   {1000 * found['cpu'] / count:5.1f} ms CPU a step   "
                f"ours {row['ratio']:4.1f}x faster",
                flush=True,
            )
    return rows


def _terraform(folder: Path, env: dict[str, str], measure: Measure, count: int) -> dict[str, float] | None:
    tool = shutil.which("terraform")
    if tool is None:
        return None
    text = 'provisioner "local-exec" {\n    command = "true"\n  }'
    steps = "\n".join(f'resource "terraform_data" "s{i}" {{\n  {text}\n}}' for i in range(count))
    (folder / "main.tf").write_text(steps)
    subprocess.run([tool, "init", "-input=false"], cwd=folder, env=env, check=True, capture_output=True)
    return measure([tool, "apply", "-input=false", "-auto-approve"], cwd=folder, env=env)


def _pyinfra(folder: Path, env: dict[str, str], measure: Measure, count: int) -> dict[str, float] | None:
    tool = os.environ.get("CW_BENCH_PYINFRA") or shutil.which("pyinfra")
    if not tool:
        return None
    (folder / "deploy.py").write_text(
        f'from pyinfra.operations import server\n\nfor i in range({count}):\n    server.shell(name=f"s{{i}}", commands=["true"])\n'
    )
    return measure([tool, "@local", "deploy.py", "-y"], cwd=folder, env={**env, "PYTHONPATH": ""})
