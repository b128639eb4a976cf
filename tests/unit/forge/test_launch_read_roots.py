"""What a step may read, and what the probe says."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from clockwork_nb.forge import confinement
from clockwork_nb.forge.confinement import Grant, interpreter_read_roots, probe, read_roots


def test_the_home_folder_and_proc_are_never_readable(tmp_path: Path) -> None:
    home = os.path.realpath(os.path.expanduser("~"))
    for grant in read_roots(tmp_path, interpreters=[sys.executable]):
        assert grant.path not in {"/", "/proc", "/dev", home}
        assert not home.startswith(grant.path + "/")


def test_the_null_device_is_the_only_thing_outside_that_is_writable(tmp_path: Path) -> None:
    assert [g.path for g in read_roots(tmp_path) if g.kind == "write"] == ["/dev/null"]


def test_a_project_without_secrets_is_readable_as_a_whole(tmp_path: Path) -> None:
    assert read_roots(tmp_path, hidden=[Path("/elsewhere/x")])[-1] == Grant(str(tmp_path), "read")


def test_hidden_paths_are_left_out_at_every_depth(tmp_path: Path) -> None:
    (tmp_path / "deep/er/store").mkdir(parents=True)
    hidden = [tmp_path / ".clockwork", tmp_path / ".clockwork" / "nb" / "a", tmp_path / "deep" / "er" / "store"]
    grants = [g for g in read_roots(tmp_path, hidden=hidden) if str(tmp_path) in g.path]
    assert grants == [
        Grant(str(tmp_path), "children", (".clockwork", "deep")),
        Grant(str(tmp_path / "deep"), "children", ("er",)),
        Grant(str(tmp_path / "deep" / "er"), "children", ("store",)),
    ]


def test_a_project_inside_what_is_hidden_is_not_readable(tmp_path: Path) -> None:
    assert not any(g.path.startswith(str(tmp_path)) for g in read_roots(tmp_path, hidden=[tmp_path]))


def test_a_system_interpreter_needs_nothing_more() -> None:
    assert interpreter_read_roots("/usr/bin/env") == ()


def test_a_python_says_where_its_library_is() -> None:
    roots = interpreter_read_roots(sys.executable)
    if not sys.base_prefix.startswith("/usr"):
        assert sys.base_prefix in roots
    assert "/" not in roots


def test_a_program_in_a_bin_folder_brings_the_folder_above(tmp_path: Path) -> None:
    exe = tmp_path / "tool" / "bin" / "deno"
    exe.parent.mkdir(parents=True)
    exe.write_text("")
    assert interpreter_read_roots(str(exe)) == (str(tmp_path / "tool"),)


def test_a_program_below_the_home_folder_does_not_open_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    exe = tmp_path / "bin" / "deno"
    exe.parent.mkdir()
    exe.write_text("")
    assert interpreter_read_roots(str(exe)) == (str(exe),)


def test_the_probe_names_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def said(abi: int) -> confinement.Confinement:
        monkeypatch.setattr(confinement, "landlock_abi", lambda: abi)
        probe.cache_clear()
        return probe()

    try:
        assert said(7) == confinement.Confinement("standard", 7, "")
        assert "network is not limited" in said(3).reason
        assert said(3).tier == "standard"
        assert said(-38).tier == "basic"
        assert "not offered" in said(-38).reason
        assert said(-38).abi == 0
    finally:
        probe.cache_clear()
