"""The command line refuses what it does not know, at the verb that does not know it, with the nearest word."""

from __future__ import annotations

import pytest

from clockwork_nb.cli.main import build_parser
from clockwork_nb.errors import InvalidInputError

CASES = [
    (["plann"], "clockwork: there is no 'plann' here; did you mean 'plan'?"),
    (["job", "statu", "x"], "clockwork job: there is no 'statu' here; did you mean 'status'?"),
    (["plan", "--jsno"], "clockwork plan: there is no '--jsno' here; did you mean '--json'?"),
    (["plan", "--parallelism", "3"], "clockwork plan: there is no '--parallelism' here"),
    (["apply", "a", "b"], "clockwork apply: there is no 'b' here"),
    (["graph", "--format", "svgg"], "clockwork graph: there is no 'svgg' here; did you mean 'svg'?"),
    (["x" * 300], f"clockwork: there is no '{'x' * 60}…' here"),
    (["apply", "--parallelism", "0"], "is not a whole number from 1 to 256"),
    (["apply", "--parallelism", "9" * 5000], "is not a whole number from 1 to 256"),
    (["apply", "--parallelism", "²"], "is not a whole number from 1 to 256"),
    (["apply", "--timeout-per-step", "86401"], "is not a whole number from 1 to 86400"),
    (["plan", "--var", "x"], "'x' is not NAME=VALUE"),
    (["plan", "--var", "a b=1"], "'a b=1' is not NAME=VALUE"),
    (["apply", "--keep-edits", "--force"], "not allowed with argument"),
    (["approve", "job"], "the following arguments are required: --reason"),
    ([], "the following arguments are required: VERB"),
]


@pytest.mark.parametrize(("words", "said"), CASES, ids=lambda v: " ".join(v)[:40] if isinstance(v, list) else "")
def test_mistake_is_told(words: list[str], said: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        build_parser().parse_args(words)
    assert said in caught.value.message
    assert "--help" in caught.value.hint


def test_flags_are_never_shortened() -> None:
    with pytest.raises(InvalidInputError):
        build_parser().parse_args(["apply", "--auto"])


def test_value_may_hold_an_equals_sign_and_a_later_one_comes_later() -> None:
    args = build_parser().parse_args(["plan", "--var", "a=b=c", "--var", "a="])
    assert args.var == [("a", "b=c"), ("a", "")]


@pytest.mark.parametrize("number", ["1", "256"])
def test_limits_of_parallelism_are_allowed(number: str) -> None:
    assert build_parser().parse_args(["apply", "--parallelism", number]).parallelism == int(number)
