"""Go scripts: built when the bundle is forged, run as the binary.

``go run`` would compile inside the step, against its clock and its confinement. The build runs confined itself: nothing of
the script is executed by it, it sees no network, and it may write to the tool's cache alone. A binary is found again by
the digest of its source and the version of the toolchain.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from clockwork_nb.canonical import digest, sha256_hex
from clockwork_nb.errors import BundleRuntimeError, BundleSchemaError, StoreCorruptError
from clockwork_nb.forge.confinement import Grant, read_roots
from clockwork_nb.forge.launch import DEFAULT_LIMITS, Launcher, LaunchSpec
from clockwork_nb.forge.runtimes import FIXED_PATH, script_index
from clockwork_nb.fs import write_atomic
from clockwork_nb.notices import log
from clockwork_nb.settings import cache_home

if TYPE_CHECKING:
    from clockwork_nb.forge.bundle import Bundle

__all__ = ["GoBuilder", "build_go_steps"]

_FIRST_S: Final = 900
_ASK_S: Final = 20
_SAID_BYTES: Final = 8 << 10
_FLAGS: Final = ("-trimpath", "-buildvcs=false")
_OFFLINE: Final = {
    "GOPROXY": "off",
    "GOTOOLCHAIN": "local",
    "GOTELEMETRY": "off",
    "GOENV": "off",
    "GOFLAGS": "-mod=mod",
    "GO111MODULE": "on",
    "CGO_ENABLED": "0",
}


class GoBuilder:
    """Builds Go scripts and remembers the binaries.

    Args:
        cache: the tool's own folder for that, by default ``$XDG_CACHE_HOME/clockwork/go``.
        tell: told one sentence before something that takes long.
    """

    def __init__(self, cache: Path | None = None, *, tell: Callable[[str], None] | None = None) -> None:
        self._cache = cache or cache_home() / "go"
        self._tell = tell or (lambda text: log(__name__).warning("%s", text))
        self._toolchains: dict[str, tuple[str, str]] = {}

    def binary(self, go: str, source: bytes, what: str) -> bytes:
        """Return the binary that the toolchain behind *go* makes of *source*; *what* names the script in errors.

        Raises:
            BundleSchemaError: E_BUNDLE_SCHEMA, it does not compile; the compiler's words are in the hint.
            BundleRuntimeError: E_BUNDLE_RUNTIME, the toolchain does not work here.
        """
        root, version = self._toolchain(go)
        key = digest([sha256_hex(source), version, list(_FLAGS), _OFFLINE])
        binaries = self._cache / "bin"
        for found in sorted(binaries.glob(f"{key}.*")):
            content = found.read_bytes()
            if sha256_hex(content) == found.suffix[1:]:
                return content
            found.unlink(missing_ok=True)  # half written, or not ours any more
        content = self._build(root, source, what)
        binaries.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomic(binaries / f"{key}.{sha256_hex(content)}", content, mode=0o600)
        return content

    def _toolchain(self, go: str) -> tuple[str, str]:
        """Return the root and the version of the toolchain behind *go*, which may be a launcher of the real program."""
        if go not in self._toolchains:
            try:
                done = subprocess.run(
                    [go, "env", "GOROOT", "GOVERSION"],
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    text=True,
                    timeout=_ASK_S,
                    env={"PATH": FIXED_PATH, "HOME": "/", "GOCACHE": "off", **_OFFLINE},
                    cwd="/",
                    check=True,
                )
                root, version = done.stdout.split()
            except (OSError, ValueError, subprocess.SubprocessError) as error:
                raise BundleRuntimeError(
                    f"the Go toolchain {go} does not answer: {error}", hint="Try: go env GOROOT GOVERSION"
                ) from error
            self._toolchains[go] = (root, version)
        return self._toolchains[go]

    def _build(self, root: str, source: bytes, what: str) -> bytes:
        objects = self._cache / "build"
        if not objects.is_dir():
            self._tell(
                f"building {what}: the first Go build compiles Go's standard library, which takes a minute or so; "
                f"what it makes is kept in {self._cache}"
            )
        self._cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        objects.mkdir(mode=0o700, exist_ok=True)
        # The owner's own: a private temporary folder beside the cache, so that no other step can reach it.
        work = Path(tempfile.mkdtemp(prefix="work-", dir=self._cache.resolve()))
        try:
            (work / "main.go").write_bytes(source)
            self._compile(root, work, objects.resolve(), what)
            return (work / "step").read_bytes()
        except FileNotFoundError as error:
            raise StoreCorruptError(f"the Go build of {what} left no binary", hint=f"Remove {self._cache}.") from error
        finally:
            shutil.rmtree(work, ignore_errors=True)

    def _compile(self, root: str, work: Path, objects: Path, what: str) -> None:
        exe = f"{root}/bin/go"
        env = {"PATH": FIXED_PATH, "HOME": str(work), "TMPDIR": str(work), "GOTMPDIR": str(work), "GOROOT": root}
        env |= {"GOCACHE": str(objects), "GOPATH": str(work / "path"), **_OFFLINE}
        spec = LaunchSpec(
            ("go", "build", *_FLAGS, "-o", "step", "main.go"),
            exe,
            env,
            work,
            read_roots=read_roots(work, interpreters=[exe]),
            write_roots=(Grant(str(work), "write"), Grant(str(objects), "write")),
            timeout_s=_FIRST_S,
            limits={**DEFAULT_LIMITS, "DATA": 4 << 30},
        )
        said = bytearray()
        with Launcher() as launcher:
            result = launcher.run(spec, on_output=lambda _stream, data: said.extend(data[: _SAID_BYTES - len(said)]))
        if not result.ok:
            text = said.decode("utf-8", "replace").replace("./main.go", what).strip()
            why = f"was stopped after {_FIRST_S} s" if result.killed else result.error or "does not compile"
            raise BundleSchemaError(
                f"{what} {why}", hint=text or "go build said nothing.", details={"findings": text.splitlines()[:50]}
            )


def build_go_steps(bundle: Bundle, builder: GoBuilder | None = None) -> int:
    """Build every Go script of *bundle*, so that its steps start at once later; return how many there are.

    Raises:
        BundleSchemaError, BundleRuntimeError: as `GoBuilder.binary`.
    """
    steps = [s for s in bundle.steps if s.cmd and s.cmd[0] == "go"]
    builder = builder or GoBuilder()
    sources = {a.path: a.content for a in bundle.artifacts}
    for step in steps:
        path = step.cmd[script_index(step.cmd)]
        builder.binary(step.interpreter, sources[path], path)
    return len(steps)
