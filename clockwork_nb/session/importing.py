"""``import``: take an existing thing into the state, or write the block that describes it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from clockwork_nb.errors import ConfigurationError, InvalidInputError
from clockwork_nb.ids import valid_address
from clockwork_nb.ports import ObserveContext

if TYPE_CHECKING:
    from clockwork_nb.session.options import PlanOptions
    from clockwork_nb.session.sections import Section
    from clockwork_nb.session.session import Session

__all__ = ["Described", "begin_import", "describe", "write_block"]


class Described(Struct, frozen=True):
    """An existing thing as a block: its ``address``, the ``id`` it is imported by, and the ``text``."""

    address: str
    id: str
    text: str

    def to_document(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"address": self.address, "id": self.id, "text": self.text}


def describe(session: Session, address: str, import_id: str) -> Described:
    """Return the block for the existing thing *import_id* as *address*, which is not declared yet. Reads only.

    Raises:
        InvalidInputError: no address, a type that cannot be imported, or there is no such thing.
    """
    from clockwork_nb.intake.generated import block_text

    type_name, _, name = address.partition(".")
    kind = session.types.get(type_name)
    if kind is None or not valid_address(address) or "[" in address:
        raise InvalidInputError(
            f'"{address}" is not the address of a resource',
            hint="Write the type and a name: clockwork import file.conf …",
        )
    found = getattr(kind, "found", None)
    if found is None:
        raise InvalidInputError(
            f"a {kind.name} cannot be described from what is there",
            hint=f'Declare {kind.name} "{name}" yourself, then run this again.',
        )
    workspace = session.workspace
    attributes = found(import_id, ObserveContext(workspace.root, workspace.folder, f"{kind.name}.{name}"))
    if attributes is None:
        raise InvalidInputError(
            f'there is no {kind.name} "{import_id}"',
            hint="Nothing was written. Check the id, or declare it: apply makes it.",
        )
    return Described(f"{kind.name}.{name}", import_id, block_text(kind.name, name, attributes))


def write_block(session: Session, described: Described, path: Path) -> None:
    """Add the block to the ``.cw`` file *path* of the project, which is made when it is not there.

    Raises:
        InvalidInputError: no file of the configuration, or a block that says the opposite is there.
        StoreIOError, StoreFullError: it could not be written.
    """
    from clockwork_nb.fs import write_atomic
    from clockwork_nb.workspace import read_input

    place = path if path.is_absolute() else session.workspace.root / path
    if place.suffix != ".cw" or place.parent.resolve() != session.workspace.root.resolve():
        raise InvalidInputError(
            f"{path} is no file of this configuration",
            hint="Name a .cw file of the project folder: --write imported.cw",
        )
    _check_nothing_contradicts(session, described.address)
    before = read_input(place) if place.exists() else b""
    parts = [before.rstrip(b"\n"), described.text.encode()] if before.strip() else [described.text.encode()]
    write_atomic(place, b"\n\n".join(parts))


def _check_nothing_contradicts(session: Session, address: str) -> None:
    """Check that the block may be added: with a ``removed`` or ``moved`` beside it the configuration could not be read."""
    try:
        configuration = session.sources.configuration()
    except ConfigurationError:
        raise
    except InvalidInputError:  # there is no text at all yet
        return
    for word, addresses in (("removed", configuration.removals), ("moved", configuration.moves)):
        if address in addresses:
            raise InvalidInputError(
                f'a "{word}" block says that {address} is declared no more',
                hint="Nothing was written. Take that block away, then run this again.",
            )


def begin_import(session: Session, address: str, import_id: str, options: PlanOptions) -> Section:
    """Return the section that takes *import_id* into the state as *address*, and changes nothing else.

    Raises:
        ConfigurationError: there is no such thing, or the block is about another one.
        InvalidInputError: it is recorded already.
    """
    if address in session.prior().resources:
        raise InvalidInputError(
            f"{address} is recorded already",
            hint=f"clockwork state show {address} tells what; clockwork state rm {address} forgets it.",
        )
    return session.begin("apply", replace(options, imports=((address, import_id),)))
