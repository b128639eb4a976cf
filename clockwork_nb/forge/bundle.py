"""The ArtifactBundle: what will run, byte for byte, and the digest an approval is bound to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from msgspec import Struct, field

from clockwork_nb.canonical import canonical_json, sha256_hex
from clockwork_nb.ports import Artifact, StepClass
from clockwork_nb.secrets import repr_without

__all__ = ["Bundle", "BundleStep"]


class BundleStep(Struct, frozen=True):
    """One step: which action it carries out and exactly how.

    ``interpreter`` is the resolved absolute path of ``cmd[0]`` and ``interpreter_sha256`` its content's digest; both
    are empty for a built-in. ``inherits_environment``: it gets the variables of whoever runs it, which only a host step
    may; their values are in no document. ``detaches``: what left its process group goes on after the step,
    which only a host step may. Everything else as in `clockwork_nb.ports.CompiledStep`.
    """

    id: str
    purpose: str
    address: str
    cmd: tuple[str, ...]
    vars: Mapping[str, str] = field(default_factory=dict)
    secret_vars: Mapping[str, str] = field(default_factory=dict)
    data: Mapping[str, str] = field(default_factory=dict)
    write: tuple[str, ...] = ()
    network: bool | tuple[int, ...] = False
    cls: StepClass = "confined"
    cwd: str = "."
    interpreter: str = ""
    interpreter_sha256: str = ""
    inherits_environment: bool = False
    detaches: bool = False

    def to_document(self) -> dict[str, Any]:
        """Return the step as it stands in ``bundle.json``."""
        out: dict[str, Any] = {
            "id": self.id,
            "purpose": self.purpose,
            "address": self.address,
            "run": {"cmd": list(self.cmd)},
            "class": self.cls,
            "cwd": self.cwd,
            "confinement": {
                "write": list(self.write),
                "network": list(self.network) if isinstance(self.network, tuple) else self.network,
            },
        }
        if self.vars or self.secret_vars:
            out["vars"] = {**self.vars, **{k: {"secret": v} for k, v in self.secret_vars.items()}}
        if self.data:
            out["data"] = dict(self.data)
        if self.interpreter:
            out["interpreter"] = {"path": self.interpreter, "sha256": self.interpreter_sha256}
        if self.inherits_environment:
            out["environment"] = "inherited"
        if self.detaches:
            out["detaches"] = True
        return out

    @classmethod
    def from_document(cls, doc: Mapping[str, Any]) -> BundleStep:
        """Return the step of a trusted ``bundle.json`` (one this tool wrote and whose digest was checked)."""
        variables = doc.get("vars", {})
        network = doc["confinement"]["network"]
        return cls(
            id=doc["id"],
            purpose=doc["purpose"],
            address=doc["address"],
            cmd=tuple(doc["run"]["cmd"]),
            vars={k: v for k, v in variables.items() if isinstance(v, str)},
            secret_vars={k: v["secret"] for k, v in variables.items() if not isinstance(v, str)},
            data=dict(doc.get("data", {})),
            write=tuple(doc["confinement"]["write"]),
            network=tuple(network) if isinstance(network, list) else network,
            cls=doc["class"],
            cwd=doc["cwd"],
            interpreter=doc.get("interpreter", {}).get("path", ""),
            interpreter_sha256=doc.get("interpreter", {}).get("sha256", ""),
            inherits_environment=doc.get("environment") == "inherited",
            detaches=doc.get("detaches") is True,
        )


class Bundle(Struct, frozen=True, dict=True):
    """Artifacts and steps. ``secrets`` (name → value) stay in memory and are in no document."""

    artifacts: tuple[Artifact, ...]
    steps: tuple[BundleStep, ...]
    secrets: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return repr_without(self, "secrets")

    def to_document(self) -> dict[str, Any]:
        """Return ``bundle.json``: the bundle with each content replaced by its digest and size (contracts.md)."""
        artifacts = []
        for a in sorted(self.artifacts, key=lambda a: a.path):
            doc: dict[str, Any] = {"path": a.path, "mode": a.mode, "purpose": a.purpose, "lang": a.lang}
            if a.secret:
                doc["secret"] = a.secret
            else:
                doc["sha256"] = sha256_hex(a.content)
                doc["size"] = len(a.content)
            artifacts.append(doc)
        return {"version": "1", "artifacts": artifacts, "steps": [s.to_document() for s in self.steps]}

    @classmethod
    def from_document(cls, doc: Mapping[str, Any], content: Callable[[str], bytes]) -> Bundle:
        """Return the bundle of a trusted ``bundle.json``; *content* gives the bytes of a digest. Without secrets."""
        artifacts = tuple(
            Artifact(
                a["path"],
                content(a["sha256"]) if "sha256" in a else b"",
                a["mode"],
                a["purpose"],
                a["lang"],
                secret=a.get("secret", ""),
            )
            for a in doc["artifacts"]
        )
        return cls(artifacts, tuple(BundleStep.from_document(s) for s in doc["steps"]))

    @cached_property
    def _bytes(self) -> bytes:
        return canonical_json(self.to_document())

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the canonical ``bundle.json``."""
        return sha256_hex(self._bytes)

    def document_bytes(self) -> bytes:
        """Return the canonical bytes of ``bundle.json``."""
        return self._bytes

    def artifact(self, path: str) -> Artifact:
        """Return the artifact at *path*; KeyError if there is none."""
        for a in self.artifacts:
            if a.path == path:
                return a
        raise KeyError(path)
