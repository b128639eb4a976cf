"""Expressions that are compiled when they are first used are those that `re.compile` makes, and each of ours compiles."""

from __future__ import annotations

import importlib
import pkgutil
import re

import pytest

import clockwork_nb
from clockwork_nb.patterns import _Later, pattern

MODULES = [
    found.name
    for found in pkgutil.walk_packages(clockwork_nb.__path__, "clockwork_nb.")
    if not found.name.endswith("__main__")
]


def test_it_matches_as_the_compiled_one_does() -> None:
    ours, theirs = pattern(r"(?P<key>a+)(b)?\Z", re.IGNORECASE), re.compile(r"(?P<key>a+)(b)?\Z", re.IGNORECASE)
    for text in ("AAb", "aa", "b", ""):
        mine, other = ours.match(text), theirs.match(text)
        assert (mine and mine.groupdict()) == (other and other.groupdict())
    assert (ours.pattern, ours.flags, dict(ours.groupindex)) == (theirs.pattern, theirs.flags, dict(theirs.groupindex))
    assert ours.sub("-", "xAAb") == theirs.sub("-", "xAAb")
    assert repr(ours) == repr(theirs)


def test_it_is_compiled_once_and_not_before_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    compiled = re.compile

    def compile_noted(source: str, flags: int = 0) -> re.Pattern[str]:
        made.append(source)
        return compiled(source, flags)

    monkeypatch.setattr(re, "compile", compile_noted)
    first = pattern(r"x+")
    assert not made
    assert [bool(first.match(text)) for text in ("x", "y", "xx")] == [True, False, True]
    assert made == [r"x+"]


def test_bytes_have_expressions_too() -> None:
    assert pattern(rb"\d+").findall(b"1 22") == [b"1", b"22"]


@pytest.mark.parametrize("name", MODULES)
def test_every_expression_of_the_package_compiles(name: str) -> None:
    if "runbook" in name:
        importlib.import_module("papermill")  # it loads our engine itself, in the middle of its own import
    for value in vars(importlib.import_module(name)).values():
        if isinstance(value, _Later):
            assert value.pattern
