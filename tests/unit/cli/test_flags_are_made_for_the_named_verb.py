"""Only the verb that is named gets flags; help and mistakes know all of them."""

from __future__ import annotations

import argparse

import pytest

from clockwork_nb.arguments import Parser
from clockwork_nb.cli.main import _GROUPS, build_parser
from clockwork_nb.cli.verbs import Verbs, verbs_of
from clockwork_nb.errors import InvalidInputError


def verbs_in(parser: argparse.ArgumentParser) -> Verbs:
    (found,) = [action for action in parser._actions if isinstance(action, Verbs)]
    return found


def every_verb() -> list[tuple[str, ...]]:
    out: list[tuple[str, ...]] = []
    for name in verbs_in(build_parser()).choices:
        parser = build_parser()
        with pytest.raises((InvalidInputError, SystemExit)):
            parser.parse_args([name, "--no-such-flag"])
        group = [a for a in verbs_in(parser)._name_parser_map[name]._actions if isinstance(a, Verbs)]
        out += [(name, verb) for verb in group[0].choices] if group else [(name,)]
    return out


def test_the_table_of_groups_names_the_verbs_that_each_adds() -> None:
    from importlib import import_module

    for group, names in _GROUPS.items():
        verbs = verbs_of(Parser(prog="p"))
        import_module(f"clockwork_nb.cli.flags_{group}").add(verbs)
        assert tuple(verbs.choices) == names
    assert len({name for names in _GROUPS.values() for name in names}) == sum(map(len, _GROUPS.values()))


def test_a_named_verb_is_parsed_the_same_with_its_group_alone() -> None:
    words = ["job", "status", "x", "--json"]
    assert vars(build_parser("job").parse_args(words)) == vars(build_parser().parse_args(words))
    assert set(verbs_in(build_parser("job")).choices) == {"job"}
    assert set(verbs_in(build_parser("jib")).choices) == set(verbs_in(build_parser()).choices)


def test_no_other_verb_gets_a_parser() -> None:
    parser = build_parser()
    assert parser.parse_args(["job", "status", "x"]).run == "job_status"
    verbs = verbs_in(parser)
    assert list(verbs._name_parser_map) == ["job"]
    assert list(verbs_in(verbs._name_parser_map["job"])._name_parser_map) == ["status"]


def test_a_parser_can_be_asked_again() -> None:
    parser = build_parser()
    for job in ("x", "y"):
        assert parser.parse_args(["job", "status", job]).job == job
    assert parser.parse_args(["plan", "--json"]).json


def test_help_lists_every_verb_with_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        build_parser().parse_args(["--help"])
    shown = capsys.readouterr().out
    assert "show what would change, and why" in shown
    for name in verbs_in(build_parser()).choices:
        assert f"\n    {name} " in shown or f"\n    {name}\n" in shown


@pytest.mark.parametrize("words", every_verb(), ids=" ".join)
def test_every_verb_tells_its_flags_and_names_what_runs_it(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    from importlib import import_module

    parser = build_parser()
    with pytest.raises(SystemExit) as left:
        parser.parse_args([*words, "--help"])
    assert left.value.code == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"usage: clockwork {' '.join(words)} ")
    assert "--json" in shown
    for word in words:
        parser = verbs_in(parser)._name_parser_map[word]
    assert callable(getattr(import_module(parser.get_default("module")), parser.get_default("run")))


def test_a_verb_is_carried_out_by_the_function_of_its_name_unless_another_is_named() -> None:
    parser = Parser(prog="p")
    verbs = verbs_of(parser)
    verbs.add("one", "do one", module="m")
    verbs.add("two", "do two", module="m", run="second")
    assert (parser.parse_args(["one"]).run, parser.parse_args(["two"]).run) == ("one", "second")
