"""Lines of magics: quoting, options, and mistakes that are told in one line."""

from __future__ import annotations

import pytest

from clockwork_nb.errors import InvalidInputError
from clockwork_nb.magics._arguments import MAGICS, option_names, parse, usage


def test_quotes_work_as_in_a_shell_and_braces_stay() -> None:
    found = parse("cw_plan", """--var greeting="hello again" --var 'shape=${x} {y}' --target file.index""")
    assert found.var == [("greeting", "hello again"), ("shape", "${x} {y}")]
    assert found.target == ["file.index"]


def test_an_empty_line_is_enough_for_most() -> None:
    for magic in set(MAGICS) - {"cw_approve", "cw_reject", "cw_cancel", "cw_verify_pack", "cw_load"}:
        parse(magic, "")


@pytest.mark.parametrize(
    ("magic", "line", "words"),
    [
        ("cw_plan", "--tagret x", "%cw_plan: there is no '--tagret' here; did you mean '--target'?"),
        ("cw_plan", "--targ x", "%cw_plan: there is no '--targ' here; did you mean '--target'?"),
        ("cw_plan", "out", "%cw_plan: there is no 'out' here"),
        ("cw_apply", "--parallelism many", "%cw_apply: argument --parallelism: 'many' is not a"),
        ("cw_apply", "--keep-edits --force", "not allowed with"),
        ("cw_plan", "--var port", "'port' is not NAME=VALUE"),
        ("cw_var", "9port=1", "'9port=1' is not NAME=VALUE"),
        ("cw_plan", '--var a="b', "%cw_plan: no closing quotation"),
        ("cw_approve", "job_1 --reason x", "--plan"),
        ("cw_load", "", "PATH"),
        ("cw", "a b", "%%cw: there is no 'b' here"),
    ],
)
def test_a_mistake_is_one_line_with_the_usage_as_hint(magic: str, line: str, words: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        parse(magic, line)
    assert words in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.hint
    assert caught.value.exit_code == 6


def test_every_option_is_in_the_usage() -> None:
    for magic in MAGICS:
        text = usage(magic)
        assert all(option in text for option in option_names(magic))
