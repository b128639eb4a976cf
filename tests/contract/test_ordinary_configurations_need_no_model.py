"""An ordinary configuration is judged, and planned, without importing pydantic: that takes longer than the plan itself."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from clockwork_nb.resources.registry import builtin_types

PAGES = Path(__file__).parents[2] / "docs/resources"
TYPES = sorted({kind.name for kind in builtin_types().values()})
_BLOCK = re.compile(r"^(?:<!-- with files: (?P<files>[^>]*) -->\n)?```hcl\n(?P<text>.*?)^```$", re.M | re.S)

CODE = """
import json, sys
from pathlib import Path
from clockwork_nb.session.session import Session
from clockwork_nb.settings import load_settings
session = Session.for_folder(Path("."), settings=load_settings())
{call}
print(json.dumps([len(found), sorted(name for name in sys.modules if name.startswith("pydantic"))]))
"""


def run(folder: Path, call: str) -> tuple[int, list[str]]:
    """Return how much *call* found in the project *folder*, and which modules of pydantic it imported."""
    environment = {**os.environ, "CLOCKWORK_HOME": str(folder / "home"), "XDG_CONFIG_HOME": str(folder / "settings")}
    done = subprocess.run(
        [sys.executable, "-c", CODE.format(call=call)], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    number, modules = json.loads(done.stdout)
    return number, modules


@pytest.mark.parametrize("kind", TYPES)
def test_the_first_example_of_a_type_is_valid_without_its_model(tmp_path: Path, kind: str) -> None:
    found = _BLOCK.search((PAGES / f"{kind}.md").read_text(encoding="utf-8"))
    assert found is not None
    (tmp_path / "main.cw").write_text(found["text"], encoding="utf-8")
    for name in filter(None, (name.strip() for name in (found["files"] or "").split(","))):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("text\n", encoding="utf-8")
    assert run(tmp_path, "found = session.validate()") == (0, [])


def test_a_small_plan_is_made_without_models(tmp_path: Path) -> None:
    (tmp_path / "main.cw").write_text(
        """
variable "port" { default = 8123 }
directory "out" { path = "out" }
file "page" {
  path       = "${directory.out.path}/index.html"
  content    = "hello\\n"
  depends_on = [directory.out]
}
service "web" {
  command = ["python3", "-m", "http.server", var.port]
  port    = var.port
  health_check { path = "/" }
}
command "made" { script = "echo ${file.page.sha256}" }
check "up" {
  http     = { url = "http://127.0.0.1:${service.web.port}/", expect_status = 200 }
  interval = 0.5
}
output "page" { value = file.page.path }
""",
        encoding="utf-8",
    )
    assert run(tmp_path, "found = session.plan().plan.changes") == (5, [])


def test_a_mistake_is_still_told_by_the_model(tmp_path: Path) -> None:
    (tmp_path / "main.cw").write_text('directory "out" { path = 5 }\n', encoding="utf-8")
    number, modules = run(tmp_path, "found = session.validate()")
    assert number == 1 and "pydantic" in modules
