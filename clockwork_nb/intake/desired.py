"""What Intake hands to Assembly: the evaluated configuration."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from msgspec import Struct, field

from clockwork_nb.diagnostics import SourceRange

__all__ = ["Desired", "EnvFacts", "Output", "ResourceInstance", "VariableValue"]


_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


class ResourceInstance(Struct, frozen=True):
    """One resource with its values.

    Attributes:
        address: ``type.name``; aliases of types are already replaced by the type's own name.
        config: normalised by the type's model; may hold Unknown and Sensitive.
        declared_in: the key of the file or cell ("main.cw", "web").
        dependencies: addresses it needs, sorted, each once (references and ``depends_on``).
        range: the block's header.
        create_before_destroy: whether a replacement is made before the old one is removed; None leaves it to the type.
        triggers: address and attribute (``""`` for any) whose change replaces this resource.
        volatile: attributes whose value depends on the time of the run (``timestamp()``) → the value they would have
            at a fixed time. While that is what it was, the recorded value is kept, so a second plan is empty.
        known: whether it was found out that no value of the config is Unknown; False also when nobody looked.
    """

    address: str
    type: str
    name: str
    config: Mapping[str, Any]
    declared_in: str
    dependencies: tuple[str, ...]
    range: SourceRange
    prevent_destroy: bool = False
    ignore_changes: tuple[str, ...] = ()
    create_before_destroy: bool | None = None
    triggers: tuple[tuple[str, str], ...] = ()
    volatile: Mapping[str, Any] = _NOTHING
    known: bool = False


class Output(Struct, frozen=True):
    """One ``output`` block with its value."""

    name: str
    value: Any
    description: str = ""
    sensitive: bool = False


class VariableValue(Struct, frozen=True):
    """One variable with the value in force and where that came from ("default", "--var", "CW_VAR_port", "%cw_var", …)."""

    name: str
    value: Any
    source: str
    sensitive: bool = False


class EnvFacts(Struct, frozen=True):
    """The facts of this machine that a plan may depend on; nothing that varies with time. Collected once at the edge.

    ``runtimes`` maps the names of found runtimes (``sh``, ``bash``, ``python3``, …) to their version text.
    """

    os: str
    arch: str
    confinement: str
    engine: str = "process"
    runtimes: Mapping[str, str] = field(default_factory=dict)

    def to_document(self) -> dict[str, Any]:
        """Return the JSON form that goes into plans."""
        return {
            "os": self.os,
            "arch": self.arch,
            "confinement": self.confinement,
            "engine": self.engine,
            "runtimes": dict(sorted(self.runtimes.items())),
        }


class Desired(Struct, frozen=True):
    """Everything a configuration asks for.

    ``loaded`` are the keys of all files or cells that were read: a resource of the state whose ``declared_in`` is not
    among them is *not loaded*, so it is neither changed nor deleted. ``digest`` is the configuration's digest.
    ``ports`` are the names given to ``free_port`` and the ports it answered.

    ``moves`` maps an address to those it had before, latest first, ``imports`` an address to the id and the place of its block,
    ``removals`` an address that is wanted no more to whether the thing is destroyed too.
    """

    resources: Mapping[str, ResourceInstance]
    outputs: tuple[Output, ...]
    variables: tuple[VariableValue, ...]
    loaded: frozenset[str]
    digest: str
    ports: Mapping[str, int] = field(default_factory=dict)
    moves: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    imports: Mapping[str, tuple[str, SourceRange]] = field(default_factory=dict)
    removals: Mapping[str, bool] = field(default_factory=dict)
