"""Ask the person at the terminal."""

from __future__ import annotations

import sys

__all__ = ["ask"]


def ask(question: str) -> str:
    """Return what the person typed after *question*, without the blanks around it; empty at end of input."""
    sys.stderr.write(question)
    sys.stderr.flush()
    answer = ""
    try:
        answer = sys.stdin.readline()
    finally:
        if not answer.endswith("\n"):
            sys.stderr.write("\n")  # end of input and Ctrl-C leave the cursor behind the question
            sys.stderr.flush()
    return answer.strip()
