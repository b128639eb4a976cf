"""Regular expressions that are compiled when they are first used: a command needs few of those its modules have."""

from __future__ import annotations

import re
from typing import Any, AnyStr, cast

__all__ = ["pattern"]


class _Later:
    """Stands for a compiled expression; each of its methods becomes an attribute when it is first asked for."""

    def __init__(self, source: str | bytes, flags: int) -> None:
        self._source = source
        self._flags = flags

    def __getattr__(self, name: str) -> Any:
        found = getattr(re.compile(self._source, self._flags), name)
        setattr(self, name, found)
        return found

    def __repr__(self) -> str:
        return repr(re.compile(self._source, self._flags))


def pattern(source: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
    """Return what ``re.compile(source, flags)`` returns, compiled when it is first used.

    It is to be used by its methods; the functions of `re` do not take it. A mistake in *source* shows at the first use.
    """
    return cast("re.Pattern[AnyStr]", _Later(source, flags))
