"""Old forms of the state document become the present one, one version at a time. Pure.

Each version has a function that makes the next one of it; a document is led through all that it lacks. What another
program version wrote later is refused by its name, never guessed at.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from clockwork_nb import __version__
from clockwork_nb.assembly.prior import SCHEMA
from clockwork_nb.errors import InvalidInputError
from clockwork_nb.patterns import pattern

__all__ = ["MIGRATIONS", "Migration", "migrate", "version_of"]

Migration = Callable[[Mapping[str, Any]], dict[str, Any]]
"""Returns the document of the next version; the one it is given is left as it is."""

MIGRATIONS: Final[Mapping[int, Migration]] = {}
"""Version → what makes the next version of it. Version 1 is the first that was ever released."""

_FORM = pattern(r"clockwork\.state\.v(\d{1,4})\Z", re.ASCII)


def version_of(schema: object) -> int:
    """Return the number of the state form that *schema* names; -1 when it names none."""
    found = _FORM.match(schema) if isinstance(schema, str) else None
    return int(found.group(1)) if found else -1


def migrate(
    document: Any, *, migrations: Mapping[int, Migration] = MIGRATIONS, schema: str = SCHEMA
) -> tuple[Any, str]:
    """Return *document* in the form *schema* and the name of the form it had; the name is empty if it was that already.

    What is no state document at all comes back as it is: saying so is the reader's part.

    Raises:
        InvalidInputError: E_INVALID_INPUT_SCHEMA, it was written by a newer version, or there is no way from its form.
    """
    had = document.get("schema") if isinstance(document, Mapping) else None
    version, wanted = version_of(had), version_of(schema)
    if version < 0 or version == wanted:
        return document, ""
    if version > wanted:
        by = document.get("tool_version")
        who = f"by {by[:80]}" if isinstance(by, str) and by.isprintable() else "by a newer version"
        raise InvalidInputError(
            f"this state was written {who}: it has the form {had}, and clockwork_nb {__version__} reads up to {schema}",
            hint="Nothing was changed. Use the version that wrote it, or a newer one.",
            details={"schema": had, "reads": schema},
        )
    while version < wanted:
        step = migrations.get(version)
        if step is None:
            raise InvalidInputError(
                f"this state has the form {had}, and clockwork_nb {__version__} knows no way from there to {schema}",
                hint="Apply once with the version that wrote it and every version since, or start from a backup.",
                details={"schema": had, "reads": schema},
            )
        document = step(document)
        if version_of(document.get("schema")) != version + 1:
            raise InvalidInputError(f"the way from state version {version} does not lead to version {version + 1}")
        version += 1
    return document, str(had)
