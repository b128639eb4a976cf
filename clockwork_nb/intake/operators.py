"""What values are and what operators do to them (HCL specification, "Operations"; Terraform's conversions).

Numbers are ``int``, or ``Decimal`` when there is a fraction; arithmetic is exact where the result is, and otherwise
rounded to 154 digits, the precision of HCL's 512-bit numbers. Nothing here sees `Unknown` or `Sensitive`: the evaluator
takes them off first.
"""

from __future__ import annotations

import decimal
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from clockwork_nb.intake.lexer import number
from clockwork_nb.intake.limits import LIMITS
from clockwork_nb.intake.values import SetValue, Unknown
from clockwork_nb.patterns import pattern
from clockwork_nb.secrets import Sensitive

__all__ = [
    "BINARY",
    "CONTEXT",
    "ConversionError",
    "Number",
    "TooLargeError",
    "article",
    "equal",
    "kind_of",
    "normal",
    "number_text",
    "to_bool",
    "to_number",
    "to_text",
    "unmarked",
]

Number = int | Decimal
CONTEXT: Final = decimal.Context(prec=154, rounding=decimal.ROUND_HALF_EVEN, Emin=-999_999, Emax=999_999)
_NUMBER: Final = pattern(r"[+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?\Z")
_MAX_EXPONENT: Final = 1_000
_TOO_LARGE: Final = 10**1_000

_KINDS: Final[dict[type, str]] = {
    str: "string",
    bool: "bool",
    int: "number",
    Decimal: "number",
    list: "list",
    dict: "object",
    SetValue: "set",
    type(None): "null",
    Unknown: "unknown",
    Sensitive: "sensitive",
}


class ConversionError(Exception):
    """A value that has not the form that is needed; the message is a half sentence ("a number is needed, …")."""

    code = "cw-evaluation"


class TooLargeError(ConversionError):
    """A value that is larger than values may be."""

    code = "cw-limit"


def kind_of(value: Any) -> str:
    """Return ``string``, ``number``, ``bool``, ``null``, ``list``, ``set``, ``object``, ``unknown`` or ``sensitive``."""
    kind = _KINDS.get(type(value))
    if kind is None:
        raise TypeError(f"{type(value).__name__} is not a value of the language")
    return kind


def article(kind: str) -> str:
    """Return *kind* in words: "a number", "an object", "null"."""
    if kind in {"null", "unknown", "sensitive"}:
        return kind
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"


def normal(value: Number) -> Number:
    """Return *value* as an ``int`` when it is whole, else as a ``Decimal`` without trailing zeros.

    Raises:
        ConversionError: it has more than 1,000 digits.
    """
    if isinstance(value, int):
        if not -_TOO_LARGE < value < _TOO_LARGE:
            raise TooLargeError("the number has more than 1,000 digits")
        return value
    if not value.is_finite():
        raise ConversionError("the number is not finite")
    if not value:
        return 0
    exponent = value.as_tuple().exponent
    assert isinstance(exponent, int)
    if value.adjusted() > _MAX_EXPONENT or exponent < -_MAX_EXPONENT - CONTEXT.prec:
        raise TooLargeError("the number has more than 1,000 digits")
    if exponent >= 0 or value == value.to_integral_value():
        return int(value)
    return value.normalize(CONTEXT) if len(value.as_tuple().digits) <= CONTEXT.prec else _stripped(value)


def _stripped(value: Decimal) -> Decimal:
    sign, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    kept = len(digits)
    while kept > 1 and digits[kept - 1] == 0:
        kept -= 1
    return Decimal((sign, digits[:kept], exponent + len(digits) - kept))


def number_text(value: Number) -> str:
    """Return *value* in decimal digits without exponent and without trailing zeros."""
    return str(value) if isinstance(value, int) else format(normal(value), "f")


def to_text(value: Any) -> str:
    """Return *value* as text.

    Raises:
        ConversionError: it is null, a list or an object.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, Decimal)):
        return number_text(value)
    raise ConversionError(f"text is needed, this is {article(kind_of(value))}")


def to_number(value: Any) -> Number:
    """Return *value* as a number; text must be one in decimal digits.

    Raises:
        ConversionError: it is none.
    """
    if isinstance(value, (int, Decimal)) and not isinstance(value, bool):
        return value
    if isinstance(value, str):
        found = number(value) if _NUMBER.match(value) else None
        if found is None:
            raise ConversionError("a number is needed, this text is none")
        return found
    raise ConversionError(f"a number is needed, this is {article(kind_of(value))}")


def to_bool(value: Any) -> bool:
    """Return *value* as true or false; the texts "true" and "false" count.

    Raises:
        ConversionError: it is neither.
    """
    if isinstance(value, bool):
        return value
    if value == "true":
        return True
    if value == "false":
        return False
    if isinstance(value, str):
        raise ConversionError('true or false is needed, this text is neither "true" nor "false"')
    raise ConversionError(f"true or false is needed, this is {article(kind_of(value))}")


def equal(left: Any, right: Any) -> bool:
    """Return whether two values have the same type and content: ``"1" == 1`` is false (iterative).

    Raises:
        TooLargeError: they have more elements than values may have.
    """
    stack = [(left, right)]
    steps = 0
    while stack:
        steps += 1
        if steps > LIMITS.elements:
            raise TooLargeError("these values are too large to compare")
        a, b = stack.pop()
        if a is b:
            continue
        if isinstance(a, list) and isinstance(b, list):
            if len(a) != len(b):
                return False
            stack.extend(zip(a, b, strict=True))
        elif isinstance(a, dict) and isinstance(b, dict):
            if a.keys() != b.keys():
                return False
            stack.extend((v, b[k]) for k, v in a.items())
        elif isinstance(a, bool) or isinstance(b, bool):
            if a is not b:
                return False
        elif isinstance(a, (int, Decimal)) and isinstance(b, (int, Decimal)):
            if a != b:
                return False
        elif type(a) is not type(b) or a != b:
            return False
    return True


def unmarked(value: Any) -> tuple[Any, bool, bool]:
    """Return *value* without any `Sensitive` in it, whether there was one, and whether it holds an `Unknown`.

    What holds no mark comes back as it is, not copied (iterative).

    Raises:
        TooLargeError: it has more elements than values may have.
    """
    if not isinstance(value, (list, dict, Sensitive, Unknown)):
        return value, False, False
    sensitive = unknown = False
    stack, steps = [value], 0
    while stack:
        item = stack.pop()
        if isinstance(item, Sensitive):
            sensitive = True
            item = item.value
        if isinstance(item, Unknown):
            unknown = True
        elif isinstance(item, (list, dict)):
            steps += len(item)
            if steps > LIMITS.elements:
                raise TooLargeError(f"a value has more than {LIMITS.elements:,} elements")
            stack.extend(item.values() if isinstance(item, dict) else item)
    return (_stripped_of_marks(value) if sensitive else value), sensitive, unknown


def _stripped_of_marks(value: Any) -> Any:
    # Only values with a mark are copied; their nesting is bounded by the depth limit of values.
    if isinstance(value, Sensitive):
        return _stripped_of_marks(value.value)
    if isinstance(value, list):
        return type(value)(_stripped_of_marks(v) for v in value)
    if isinstance(value, dict):
        return {k: _stripped_of_marks(v) for k, v in value.items()}
    return value


def _arithmetic(exact: Callable[[Any, Any], Any], rounded: Callable[[Decimal, Decimal], Decimal]) -> Any:
    def apply(left: Any, right: Any) -> Number:
        a, b = to_number(left), to_number(right)
        if isinstance(a, int) and isinstance(b, int):
            return normal(exact(a, b))
        return normal(rounded(Decimal(a), Decimal(b)))

    return apply


def _divide(left: Any, right: Any) -> Number:
    a, b = to_number(left), to_number(right)
    if b == 0:
        raise ConversionError("a division by zero")
    if isinstance(a, int) and isinstance(b, int) and a % b == 0:
        return a // b
    return normal(CONTEXT.divide(Decimal(a), Decimal(b)))


def _remainder(left: Any, right: Any) -> Number:
    # The sign is that of the left side, as in Go and HCL; Python's % takes the right side's.
    a, b = to_number(left), to_number(right)
    if b == 0:
        raise ConversionError("a division by zero")
    if isinstance(a, int) and isinstance(b, int):
        rest = abs(a) % abs(b)
        return -rest if a < 0 else rest
    with decimal.localcontext(CONTEXT) as context:
        context.prec = 2_400  # the whole quotient must fit
        return normal(Decimal(a) % Decimal(b))


def _compare(test: Callable[[Any, Any], bool]) -> Any:
    return lambda left, right: test(to_number(left), to_number(right))


BINARY: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "+": _arithmetic(lambda a, b: a + b, CONTEXT.add),
    "-": _arithmetic(lambda a, b: a - b, CONTEXT.subtract),
    "*": _arithmetic(lambda a, b: a * b, CONTEXT.multiply),
    "/": _divide,
    "%": _remainder,
    "<": _compare(lambda a, b: a < b),
    ">": _compare(lambda a, b: a > b),
    "<=": _compare(lambda a, b: a <= b),
    ">=": _compare(lambda a, b: a >= b),
    "==": equal,
    "!=": lambda left, right: not equal(left, right),
    "&&": lambda left, right: to_bool(left) and to_bool(right),
    "||": lambda left, right: to_bool(left) or to_bool(right),
}
