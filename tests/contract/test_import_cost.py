"""``import clockwork_nb`` is light: no Jupyter module, no pydantic, little time."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

FORBIDDEN = (
    "IPython", "ipykernel", "ipywidgets", "anywidget", "papermill", "nbformat", "nbclient", "traitlets",
    "pydantic", "jsonschema", "cryptography", "hcl2", "asyncio",
)  # fmt: skip


def modules_after(statement: str) -> set[str]:
    code = f"import sys, json\n{statement}\nprint(json.dumps(sorted(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    return {name.split(".")[0] for name in json.loads(out)}


@pytest.mark.parametrize(
    "statement",
    [
        "import clockwork_nb",
        "from clockwork_nb import Session",
        "import clockwork_nb.cli.main",
        "import clockwork_nb.intake.decode, clockwork_nb.assembly.planner, clockwork_nb.jobs.state",
        "import clockwork_nb.store.files, clockwork_nb.jobpack.verify",
    ],
)
def test_light_imports_stay_light(statement: str) -> None:
    assert not modules_after(statement) & set(FORBIDDEN)


def test_public_names_resolve() -> None:
    import clockwork_nb

    for name in clockwork_nb.__all__:
        assert getattr(clockwork_nb, name) is not None
