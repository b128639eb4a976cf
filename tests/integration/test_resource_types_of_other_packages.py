"""A resource type of another package is planned, applied and removed through the command; a broken one is named."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from clockwork_nb.testing.project import Project

PACKAGE = Path(__file__).parents[1] / "data/example_resource_package"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which the example package was installed by pip, without an index."""
    work = tmp_path_factory.mktemp("package")
    copy, target = work / "source", work / "site"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__", "build", "*.egg-info"))
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-index", "--no-deps"]
    done = subprocess.run(
        [*pip, "--no-build-isolation", "--target", str(target), str(copy)],
        env={**os.environ, "HOME": str(work), "PIP_NO_CACHE_DIR": "1", "PIP_ROOT_USER_ACTION": "ignore"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return target


def test_a_type_of_another_package_is_planned_applied_changed_and_removed(tmp_path: Path, site: Path) -> None:
    project = Project(tmp_path, {"NO_COLOR": "1", "PYTHONPATH": str(site)})
    text = (
        'file "release" {{\n  path    = "releases/{version}/VERSION"\n  content = "{version}"\n}}\n'
        'link "current" {{\n  path       = "releases/current"\n  target     = "{version}"\n'
        '  depends_on = [file.release]\n}}\noutput "where" {{ value = link.current.leads_to }}\n'
    )
    project.write({"main.cw": text.format(version="2.4.1")})
    project.run("validate")
    plan = project.run("plan", "--json").json
    assert {c["address"]: c["kind"] for c in plan["changes"]} == {
        "file.release": "create",
        "symlink.current": "create",
    }
    project.run("apply", "--auto-approve")
    current = project.folder / "releases/current"
    assert os.readlink(current) == "2.4.1" and (current / "VERSION").read_text() == "2.4.1"
    assert '"releases/2.4.1"' in project.run("output").out
    project.run("plan", "--detailed-exitcode")

    project.write({"main.cw": text.format(version="2.5.0")})
    project.run("apply", "--auto-approve")
    assert os.readlink(current) == "2.5.0"
    current.unlink()
    assert "symlink.current" in project.run("plan", "--detailed-exitcode", expect=2).out
    project.run("apply", "--auto-approve")
    project.run("destroy", "--auto-approve")
    assert not current.is_symlink()


def test_attributes_of_such_a_type_are_checked_like_ours(tmp_path: Path, site: Path) -> None:
    project = Project(tmp_path, {"NO_COLOR": "1", "PYTHONPATH": str(site)})
    project.write({"main.cw": 'symlink "a" {\n  path = "../x"\n  target = "y"\n  tarted = 1\n}\n'})
    shown = project.run("validate", expect=6)
    assert "cw-unknown-attribute" in shown.err and 'did you mean "target"' in shown.err
    project.write({"main.cw": 'symlnk "a" {\n  path = "d/x"\n}\n'})
    assert 'did you mean "symlink"' in project.run("validate", expect=6).err


def test_without_the_package_what_it_made_is_not_touched_and_the_way_out_is_told(tmp_path: Path, site: Path) -> None:
    project = Project(tmp_path, {"NO_COLOR": "1", "PYTHONPATH": str(site)})
    project.write({"main.cw": 'symlink "a" {\n  path = "d/x"\n  target = "y"\n}\n'})
    project.run("apply", "--auto-approve")
    del project.env["PYTHONPATH"]
    shown = project.run("plan", expect=6)
    assert 'there is no block "symlink"' in shown.err
    assert os.readlink(project.folder / "d/x") == "y"


def test_a_type_that_raises_or_returns_nonsense_is_told_with_its_package(tmp_path: Path, site: Path) -> None:
    broken = tmp_path / "site"
    (broken / "cw_broken-1.5.dist-info").mkdir(parents=True)
    (broken / "cw_broken-1.5.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: cw-broken\nVersion: 1.5\n")
    (broken / "cw_broken-1.5.dist-info/entry_points.txt").write_text(
        "[clockwork_nb.resources]\nbroken = cw_broken:TYPE\n"
    )
    (broken / "cw_broken.py").write_text(
        "from cw_symlink import SymlinkType\n"
        "class Broken(SymlinkType):\n"
        "    name, aliases = 'broken', ()\n"
        "    def describe(self, config): return None\n"
        "    def observe(self, config, recorded, context): raise KeyError('where')\n"
        "TYPE = Broken()\n"
    )
    project = Project(tmp_path, {"NO_COLOR": "1", "PYTHONPATH": f"{broken}{os.pathsep}{site}"})
    project.write({"main.cw": 'broken "a" {\n  path = "d/x"\n  target = "y"\n}\n'})
    project.run("validate")
    shown = project.run("plan", "--json", expect=6)
    assert shown.error["code"] == "E_INVALID_INPUT_SCHEMA"
    assert 'the resource type "broken" of the package cw-broken 1.5' in shown.error["message"]
    assert "Traceback" not in shown.err
    assert not (project.folder / "d").exists()
