"""``python -m tests.mutants [NAME…] [--list LIST]``: break the code on purpose, one place at a time; the tests must notice.

The tree is copied once; each mutant is one replacement of text there, the tests it names are run on it, and the text is
put back. Prints a table; the exit status is 1 when a mutant survives or does not apply.
"""

from __future__ import annotations

import argparse
import importlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.mutants.mutant import Mutant

__all__ = ["Outcome", "all_lists", "copied_tree", "mutants_of", "problem_of", "run_mutant"]

ROOT: Final = Path(__file__).resolve().parents[2]
_TREE: Final = ("clockwork_nb", "magics", "widgets", "tests", "pyproject.toml")
_LEFT_OUT: Final = shutil.ignore_patterns("__pycache__", "*.egg-info")
_TIMEOUT_S: Final = 600


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a mutant: ``caught``, ``survived`` or ``does not apply``; seconds; the last lines of the tests."""

    mutant: Mutant
    verdict: str
    seconds: float
    output: str = ""


def all_lists() -> list[str]:
    """Return the names of the lists there are, sorted."""
    here = Path(__file__).parent
    return sorted(
        path.stem
        for path in here.glob("*.py")
        if path.stem not in {"__init__", "__main__", "mutant"} and not path.stem.startswith("test_")
    )


def mutants_of(name: str) -> list[Mutant]:
    """Return the mutants of the list *name* (``tests/mutants/<name>.py``)."""
    found: list[Mutant] = importlib.import_module(f"tests.mutants.{name}").MUTANTS
    return found


def problem_of(mutant: Mutant, root: Path = ROOT) -> str:
    """Return why *mutant* cannot be tried on the tree at *root*, empty when it can."""
    path = root / mutant.file
    if not path.is_file():
        return f"there is no {mutant.file}"
    count = path.read_text(encoding="utf-8").count(mutant.old)
    if count != 1:
        return f"its text occurs {count} times in {mutant.file}"
    if mutant.old == mutant.new:
        return "it changes nothing"
    missing = [test for test in mutant.tests if not (root / test.partition("::")[0]).exists()]
    return f"there is no {missing[0]}" if missing else "" if mutant.tests else "it names no tests"


@contextmanager
def copied_tree() -> Iterator[Path]:
    """Yield a copy of the project that may be broken."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as place:
        root = Path(place)
        for name in _TREE:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, root / name, symlinks=True, ignore=_LEFT_OUT)
            else:
                shutil.copy2(source, root / name)
        yield root


def run_mutant(mutant: Mutant, root: Path) -> Outcome:
    """Try *mutant* on the copy at *root*, which is as before afterwards."""
    problem = problem_of(mutant, root)
    if problem:
        return Outcome(mutant, "does not apply", 0.0, problem)
    path = root / mutant.file
    text = path.read_text(encoding="utf-8")
    start = time.monotonic()
    try:
        path.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")
        status, output = run_tests(mutant.tests, root)
    finally:
        path.write_text(text, encoding="utf-8")
    # Only failed tests count: a mutant that cannot be imported, or tests that are not found, prove nothing.
    verdict = "caught" if status == 1 else "survived" if status == 0 else "does not apply"
    return Outcome(mutant, verdict, time.monotonic() - start, output)


def run_tests(tests: Sequence[str], root: Path) -> tuple[int, str]:
    """Run *tests* in the copy at *root* and return pytest's exit status and its last lines."""
    env = {key: value for key, value in os.environ.items() if not key.startswith(("CW_", "CLOCKWORK_"))}
    # No bytecode: a file that changes twice within a second must not be taken for its older self.
    env |= {"PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-m", "not slow", *tests],
            cwd=root, env=env, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return 1, f"the tests did not end within {_TIMEOUT_S} s"
    return done.returncode, "\n".join((done.stdout + done.stderr).splitlines()[-12:])


def main(argv: Sequence[str]) -> int:
    """Try the mutants that *argv* names; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutants", description="Break the code; the tests must notice."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these mutants")
    parser.add_argument("--list", action="append", choices=all_lists(), help="only the mutants of this list")
    args = parser.parse_args(argv)
    chosen = [mutant for name in args.list or all_lists() for mutant in mutants_of(name)]
    if args.names:
        unknown = set(args.names) - {mutant.name for mutant in chosen}
        if unknown:
            parser.error(f"there is no mutant {sorted(unknown)[0]}")
        chosen = [mutant for mutant in chosen if mutant.name in args.names]
    outcomes = []
    with copied_tree() as root:
        for mutant in chosen:
            outcome = run_mutant(mutant, root)
            outcomes.append(outcome)
            print(f"{outcome.verdict:<15} {outcome.seconds:6.1f} s  {mutant.promise:<5} {mutant.name}", flush=True)
            if outcome.verdict != "caught":
                print(
                    f"    {mutant.file}\n" + "\n".join(f"    {line}" for line in outcome.output.splitlines()),
                    flush=True,
                )
    caught = sum(outcome.verdict == "caught" for outcome in outcomes)
    print(f"{caught} of {len(outcomes)} caught, {sum(outcome.seconds for outcome in outcomes):.0f} s")
    return 0 if caught == len(outcomes) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
