"""Puts ``await`` before the magics that wait for a person, so that the cell stays busy and Run All waits behind it.

IPython has already turned ``%cw_apply …`` into ``get_ipython().run_line_magic('cw_apply', '…')`` when this runs. The
places are found in the syntax tree, so strings and comments are left alone.
"""

from __future__ import annotations

import ast

from clockwork_nb.errors import InvalidInputError

__all__ = ["AWAITED", "await_magics"]

AWAITED = frozenset({"cw_apply", "cw_destroy", "cw_verify", "cw_resume"})

_SCOPES = (ast.FunctionDef, ast.Lambda, ast.ClassDef, ast.GeneratorExp, ast.ListComp, ast.SetComp, ast.DictComp)


def await_magics(lines: list[str]) -> list[str]:
    """Return *lines* with the awaited magics awaited (an IPython ``input_transformers_post``).

    A bare ``%cw_apply`` that ends the cell gets a ``;`` as well: it has shown its result itself.

    Raises:
        InvalidInputError: one of them stands inside a plain function, where nothing can be awaited.
    """
    text = "".join(lines)
    if not any(f"run_line_magic('{name}'" in text for name in AWAITED):
        return lines
    try:
        tree = compile(text, "<cell>", "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    except SyntaxError:
        return lines  # Python's own message is the better one
    assert isinstance(tree, ast.Module)
    encoded = text.encode().split(b"\n")  # columns of the tree are bytes, its lines end at "\n" alone
    inserts: list[tuple[int, int, bytes]] = []
    for call in _calls(tree):
        assert call.end_lineno is not None
        assert call.end_col_offset is not None
        closing = b");" if _ends_cell(tree, call) else b")"
        inserts += [(call.lineno, call.col_offset, b"(await "), (call.end_lineno, call.end_col_offset, closing)]
    for line, column, piece in sorted(inserts, reverse=True):
        at = encoded[line - 1]
        encoded[line - 1] = at[:column] + piece + at[column:]
    return b"\n".join(encoded).decode().splitlines(keepends=True)


def _magic_name(node: ast.AST) -> str:
    """Return the awaited magic that *node* calls, else the empty string."""
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "run_line_magic"
        and isinstance(node.func.value, ast.Call)
        and isinstance(node.func.value.func, ast.Name)
        and node.func.value.func.id == "get_ipython"
        and node.args
        and isinstance(node.args[0], ast.Constant)
        and node.args[0].value in AWAITED
    ):
        return str(node.args[0].value)
    return ""


def _calls(tree: ast.Module) -> list[ast.Call]:
    """Return the calls to await, in no order."""
    found: list[ast.Call] = []
    stack: list[tuple[ast.AST, str]] = [(tree, "")]
    while stack:
        node, inside = stack.pop()
        if isinstance(node, ast.Await) and _magic_name(node.value):
            continue
        name = _magic_name(node)
        if name and inside:
            raise InvalidInputError(
                f"%{name} waits for an approval, so it cannot stand inside {inside}",
                hint=f"Write it at the top level of a cell, or in an `async def` that the cell awaits (line {node.lineno}).",  # type: ignore[attr-defined]
            )
        if name:
            assert isinstance(node, ast.Call)
            found.append(node)
            continue
        if isinstance(node, ast.AsyncFunctionDef):
            inside = ""
        elif isinstance(node, _SCOPES):
            inside = _words(node)
        stack.extend((child, inside) for child in ast.iter_child_nodes(node))
    return found


def _words(node: ast.AST) -> str:
    match node:
        case ast.FunctionDef():
            return f"the function {node.name}"
        case ast.ClassDef():
            return f"the class {node.name}"
        case ast.Lambda():
            return "a lambda"
        case _:
            return "a comprehension"


def _ends_cell(tree: ast.Module, call: ast.Call) -> bool:
    last = tree.body[-1]
    return isinstance(last, ast.Expr) and last.value is call
