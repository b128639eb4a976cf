"""The codes of mistakes in ``.cw`` text. No code ever changes meaning; new ones are added."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["CODES"]

CODES: Final[Mapping[str, str]] = {
    "cw-block-labels": "a block has too few or too many labels, or one that cannot be a name",
    "cw-cycle": "things that need one another in a circle",
    "cw-duplicate": "something is declared or given twice",
    "cw-encoding": "the text is not plain UTF-8",
    "cw-evaluation": "an expression has no value",
    "cw-invalid-value": "a value of the right type that the resource type refuses",
    "cw-limit": "larger, deeper or more than is taken",
    "cw-machine": "this machine lacks what a resource needs",
    "cw-missing-attribute": "an attribute that must be there is not",
    "cw-missing-variable": "a declared variable without a value",
    "cw-not-built": "part of the language that this version does not have",
    "cw-not-constant": "a reference where a constant must stand",
    "cw-sensitive-output": "a sensitive value in an output that is not",
    "cw-syntax": "the text cannot be read",
    "cw-undeclared-variable": "a value for a variable that is not declared",
    "cw-unknown-attribute": "an attribute or nested block that does not exist",
    "cw-unknown-block": "a block that does not exist",
    "cw-unknown-function": "a function that does not exist",
    "cw-unknown-reference": "a reference to something that is not there",
    "cw-unknown-type": "a resource type that does not exist",
    "cw-validation": "the value of a variable does not pass its validation",
    "cw-wrong-type": "a value of another type than is needed",
}
"""Code → what it stands for."""
