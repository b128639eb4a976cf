"""A project folder in which the actions of resource types are carried out for real, without the runner around them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from clockwork_nb.ids import step_id
from clockwork_nb.ports import Action, ChangeKind, CompiledStep, Observation, ObserveContext, ResourceType
from clockwork_nb.resources.registry import builtin_types
from clockwork_nb.secrets import unseal

__all__ = ["Ran", "StepPlace"]


class Ran(Struct, frozen=True):
    """How one step ended."""

    code: int
    out: str
    err: str


class StepPlace(Struct):
    """Runs steps as the launcher does: clean environment, data by path; but without walls.

    Args:
        root: the project folder.
        side: an empty folder beside it, for what is not the project's.
        extra: further variables for every step.
    """

    root: Path
    side: Path
    extra: dict[str, str] = field(default_factory=dict)
    ran: list[Ran] = field(default_factory=list)

    def kind(self, name: str) -> ResourceType:
        """Return the resource type *name*."""
        return builtin_types()[name]

    def config(self, kind: str, **attributes: Any) -> dict[str, Any]:
        """Return the normalised config of a resource."""
        out: dict[str, Any] = self.kind(kind).model().model_validate(attributes).model_dump()
        return out

    def steps(
        self, address: str, change: ChangeKind, config: dict[str, Any] | None, recorded: dict[str, Any] | None = None
    ) -> list[CompiledStep]:
        """Return the compiled steps of *change*."""
        kind = self.kind(address.split(".", maxsplit=1)[0])
        actions = [
            Action(step_id(address, spec.name), spec.name, address, spec.args, change=change)
            for spec in kind.actions(change, config, recorded)
        ]
        return [kind.compile(action) for action in actions]

    def do(
        self, address: str, change: ChangeKind, config: dict[str, Any] | None, recorded: dict[str, Any] | None = None
    ) -> Ran:
        """Carry out every action of *change* up to the first that fails; return how the last one ended."""
        for step in self.steps(address, change, config, recorded):
            if self.run(step).code:
                break
        return self.ran[-1]

    def run(self, step: CompiledStep, **values: str) -> Ran:
        """Carry out one step, with further *values* as variables."""
        files: dict[str, Path] = {}
        for artifact in step.artifacts:
            content = unseal(step.secrets[artifact.secret]).encode() if artifact.secret else artifact.content
            files[artifact.path] = self.side / artifact.path.replace("/", "_")
            files[artifact.path].write_bytes(content)
        environment = {"PATH": "/usr/bin:/bin", "TMPDIR": str(self.side), "LANG": "C.UTF-8"}
        environment |= {name: os.environ[name] for name in step.environment if os.environ.get(name)}
        environment |= {**step.vars, **self.extra, **values}
        environment |= {name: str(files[path]) for name, path in step.data.items()}
        for name, secret in step.secret_vars.items():
            path = self.side / f"secret_{name}"
            path.write_text(step.secrets[secret])
            environment[name] = str(path)
        argv = [str(files.get(word, word)) for word in step.cmd]
        argv[0] = sys.executable if argv[0] == "python3" else argv[0]
        done = subprocess.run(
            argv, cwd=self.root, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        self.ran.append(Ran(done.returncode, done.stdout, done.stderr))
        return self.ran[-1]

    def look(self, kind: str, config: dict[str, Any], address: str = "") -> Observation:
        """Return what is observed of *config*."""
        context = ObserveContext(self.root, self.root / ".clockwork", address)
        return self.kind(kind).observe(config, None, context)

    def drift(self, kind: str, config: dict[str, Any]) -> dict[str, Any]:
        """Return what differs from *config*."""
        return dict(self.kind(kind).drift(config, self.look(kind, config)))

    def names(self) -> set[str]:
        """Return every path in the project."""
        return {str(p.relative_to(self.root)) for p in self.root.rglob("*")}
