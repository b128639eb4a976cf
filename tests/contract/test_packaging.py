"""The package list is whole, the links point home, the wheel has what the tree has."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]


def test_every_package_is_listed() -> None:
    found = {
        ".".join((package, *init.parent.relative_to(ROOT / folder).parts))
        for package, folder in SETUPTOOLS["package-dir"].items()
        for init in (ROOT / folder).rglob("__init__.py")
    }
    assert sorted(SETUPTOOLS["packages"]) == sorted(found)


def test_links_point_home() -> None:
    for name in ("magics", "widgets"):
        link = ROOT / "clockwork_nb" / name
        assert link.is_symlink()
        assert link.resolve() == ROOT / name


def test_links_are_relative_and_committed_as_links() -> None:
    listing = subprocess.run(
        ["git", "ls-files", "-s", "clockwork_nb/magics", "clockwork_nb/widgets"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if listing.returncode:
        pytest.skip("not a git checkout")
    assert [line.split()[0] for line in listing.stdout.splitlines()] == ["120000", "120000"]


def test_wheel_holds_every_module_and_data_file(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT)],
        check=True, timeout=300,
    )  # fmt: skip
    (wheel,) = tmp_path.glob("*.whl")
    inside = {n for n in zipfile.ZipFile(wheel).namelist() if n.startswith("clockwork_nb/")}
    wanted = set()
    for package, folder in SETUPTOOLS["package-dir"].items():
        base = Path(*package.split("."))
        for path in (ROOT / folder).rglob("*"):
            inside_link = folder == "clockwork_nb" and path.relative_to(ROOT / folder).parts[0] in {"magics", "widgets"}
            if path.is_file() and path.suffix in {".py", ".js", ".css", ".json"} and not inside_link:
                wanted.add(str(base / path.relative_to(ROOT / folder)))
    assert wanted <= inside
    assert "clockwork_nb/py.typed" in inside
