"""Whether a path that is missing now may be there in time, by what the resources of a configuration claim and need."""

from __future__ import annotations

from typing import Any

import pytest

from clockwork_nb.diagnostics import SourceRange, SourceText
from clockwork_nb.intake.desired import ResourceInstance
from clockwork_nb.intake.values import Unknown
from clockwork_nb.resources.registry import builtin_types
from clockwork_nb.session.path_makers import PathMakers

TYPES = builtin_types()
PLACE = SourceRange(SourceText("main.cw", "x"), 0, 1)


def makers(**resources: tuple[dict[str, Any], list[str]]) -> PathMakers:
    """Return the makers of *resources*: ``type__name`` → attributes that matter and what it needs."""
    made = {}
    for key, (config, needs) in {"image__web": ({"context": "src/web"}, []), **resources}.items():
        kind, name = key.split("__")
        address = f"{kind}.{name}"
        made[address] = ResourceInstance(address, kind, name, config, "main.cw", tuple(needs), PLACE)
    return PathMakers(made, TYPES)


@pytest.mark.parametrize(
    ("path", "made"),
    [
        ("src/web", True),
        ("src", True),
        ("src/web/deep/er", True),
        ("src/webs", False),
        ("src/we", False),
        ("other", False),
    ],
)
def test_a_path_is_made_by_who_claims_it_what_is_in_it_or_what_it_is_in(path: str, made: bool) -> None:
    for kind in ("directory", "file", "repository"):
        assert makers(**{f"{kind}__a": ({"path": path}, [])}).makes("src/web", besides="image.web") is made


def test_nobody_makes_what_it_needs_itself() -> None:
    own = makers(directory__a=({"path": "out"}, []))
    assert own.makes("out", besides="directory.b") and not own.makes("out", besides="directory.a")


def test_what_stands_on_a_command_may_find_anything() -> None:
    command: tuple[dict[str, Any], list[str]] = ({"creates": None}, [])
    assert not makers(command__c=command).makes("src/web", besides="image.web")
    needing = {"image__web": ({"context": "src/web"}, ["file.f"])}
    far = {"file__f": ({"path": "else"}, ["command.c", "gone.x"]), "command__c": ({"creates": "else2"}, ["file.f"])}
    assert makers(**needing, **far).makes("src/web", besides="image.web"), "also when that is far behind it"
    known = {"file__f": ({"path": "else"}, ["check.k"]), "check__k": ({}, [])}
    assert not makers(**needing, **known).makes("src/web", besides="image.web"), "a file or check makes nothing else"
    later: dict[str, tuple[dict[str, Any], list[str]]] = {"file__f": ({"path": Unknown("later")}, [])}
    assert makers(**needing, **later).makes("src/web", besides="image.web"), "nobody knows where that file will be"
