"""The limits that a step is started with, seen from inside."""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

from clockwork_nb.forge.confinement import read_roots
from clockwork_nb.forge.launch import DEFAULT_LIMITS, Launcher, LaunchSpec

CODE = """
import json, resource
print(json.dumps({n: resource.getrlimit(getattr(resource, "RLIMIT_" + n)) for n in ("CORE", "DATA", "NOFILE")}))
"""


def test_a_step_has_the_limits_that_are_promised_and_cannot_raise_them(tmp_path: Path) -> None:
    said: list[bytes] = []
    spec = LaunchSpec(
        ("python3", "-I", "-S", "s"), sys.executable, {}, tmp_path, script=CODE.encode(), script_name="s",
        read_roots=read_roots(tmp_path, interpreters=[sys.executable]),
    )  # fmt: skip
    with Launcher() as launcher:
        assert launcher.run(spec, on_output=lambda _s, data: said.append(data)).ok
    found = json.loads(b"".join(said))
    assert found["DATA"] == [1 << 30, 1 << 30]
    assert found["CORE"] == [0, 0]
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    most = DEFAULT_LIMITS["NOFILE"] if hard == resource.RLIM_INFINITY else min(DEFAULT_LIMITS["NOFILE"], hard)
    assert found["NOFILE"] == [most, most]
