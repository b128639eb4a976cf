"""The input transformer puts ``await`` where something waits, and nowhere else."""

from __future__ import annotations

import ast

import pytest
from IPython.core.inputtransformer2 import TransformerManager

from clockwork_nb.errors import InvalidInputError
from clockwork_nb.magics._transform import AWAITED, await_magics


def transformed(cell: str) -> str:
    text = TransformerManager().transform_cell(cell)
    out = "".join(await_magics(text.splitlines(keepends=True)))
    compile(out, "<cell>", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    return out


@pytest.mark.parametrize("magic", sorted(AWAITED))
def test_a_bare_magic_is_awaited_and_not_shown_twice(magic: str) -> None:
    assert (
        transformed(f"%{magic} --target a.b\n") == f"(await get_ipython().run_line_magic('{magic}', '--target a.b'));\n"
    )


def test_an_assigned_magic_is_awaited_and_keeps_its_value() -> None:
    assert transformed("r = %cw_apply\n") == "r = (await get_ipython().run_line_magic('cw_apply', ''))\n"


def test_only_the_last_statement_is_silenced() -> None:
    out = transformed("%cw_apply\nprint(1)\n%cw_destroy\n")
    assert out.splitlines() == [
        "(await get_ipython().run_line_magic('cw_apply', ''))",
        "print(1)",
        "(await get_ipython().run_line_magic('cw_destroy', ''));",
    ]


def test_magics_in_loops_and_async_functions_are_awaited() -> None:
    out = transformed("for x in 'ab':\n    %cw_verify\nasync def f():\n    r = %cw_apply\n    return r\n")
    assert out.count("(await get_ipython()") == 2


def test_columns_after_wide_characters_are_right() -> None:
    out = transformed("é = '→'; ü = get_ipython().run_line_magic('cw_apply', 'ß')\n")
    assert out == "é = '→'; ü = (await get_ipython().run_line_magic('cw_apply', 'ß'))\n"


def test_an_await_that_is_there_is_not_doubled() -> None:
    cell = "r = await get_ipython().run_line_magic('cw_apply', '')\n"
    assert transformed(cell) == cell


@pytest.mark.parametrize(
    "cell",
    [
        "%cw_plan\n",
        "x = '''\nget_ipython().run_line_magic('cw_apply', '')\n'''\n",
        "# get_ipython().run_line_magic('cw_apply', '')\n1\n",
        "%%cw web\nx = \"get_ipython().run_line_magic('cw_apply', '')\"\n",
        "1 + \n# get_ipython().run_line_magic('cw_apply', '')\n",
    ],
)
def test_everything_else_is_left_alone(cell: str) -> None:
    text = TransformerManager().transform_cell(cell)
    assert "".join(await_magics(text.splitlines(keepends=True))) == text


@pytest.mark.parametrize(
    ("cell", "where"),
    [
        ("def roll_out():\n    %cw_apply\n", "the function roll_out"),
        ("class A:\n    %cw_apply\n", "the class A"),
        ("f = lambda: get_ipython().run_line_magic('cw_apply', '')\n", "a lambda"),
        ("[get_ipython().run_line_magic('cw_apply', '') for _ in 'ab']\n", "a comprehension"),
        ("async def f():\n    def g():\n        %cw_apply\n", "the function g"),
    ],
)
def test_where_nothing_can_be_awaited_the_cell_says_so(cell: str, where: str) -> None:
    with pytest.raises(InvalidInputError, match=f"%cw_apply waits for an approval, so it cannot stand inside {where}"):
        transformed(cell)
