"""The page about the recorded state names verbs, flags, files and codes that exist, and all verbs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from clockwork_nb import errors
from clockwork_nb.cli.main import build_parser
from clockwork_nb.errors import InvalidInputError

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "state.md").read_text()
VERBS = ("list", "show", "mv", "rm", "taint", "untaint", "pull", "push", "history")
WORDS = {"list": (), "pull": (), "history": (), "mv": ("a.a", "a.b")}


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_is_on_the_page_and_parses(verb: str) -> None:
    assert re.search(rf"state {verb}\b", PAGE)
    args = build_parser().parse_args(["state", verb, *WORDS.get(verb, ("a.a",)), "--json"])
    assert args.run == f"state_{verb}"


def test_the_page_names_no_verb_that_is_not_there() -> None:
    assert set(re.findall(r"clockwork state ([a-z]+)", PAGE)) <= set(VERBS)


def test_every_flag_of_the_page_is_one_of_an_edit_or_of_all_verbs() -> None:
    known = {"--json", "--workspace", "--i-know-single-host", "--force"}
    for flag in set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", PAGE)) - known:
        value = ["3"] if flag == "--lock-timeout" else ["x"] if flag == "--reason" else []
        build_parser().parse_args(["state", "rm", "a.a", flag, *value])
    with pytest.raises(InvalidInputError):
        build_parser().parse_args(["state", "rm", "a.a", "--force"])
    build_parser().parse_args(["state", "push", "f", "--force", "--reason", "x"])


def test_links_and_codes_of_the_page_exist() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", PAGE):
        assert (ROOT / "docs" / target).exists(), target
    codes = {getattr(errors, name).code for name in errors.__all__}
    assert set(re.findall(r"\bE_[A-Z_]+", PAGE)) <= codes
