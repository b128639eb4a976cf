"""Attributes whose values are plain and right become a config without the type's Pydantic model.

Importing pydantic and building the models takes longer than a small plan. So a type has, beside its model, a
`PlainAttributes` that knows the ordinary values: texts, numbers, flags, lists and objects of them, all right. It says
yes or nothing: whatever it does not know or would refuse is left to the model, which alone finds the words for it.
What it returns is what the model would make of the same values. `Unknown` and `Sensitive` pass where the model lets them.

The rules here are functions of one value, which return it as a config keeps it, or raise ValueError: `NotPlain`, or
what the shared `rules` refuse.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final

from clockwork_nb.intake.values import Unknown
from clockwork_nb.resources import rules
from clockwork_nb.resources.rules import MAX_SECONDS
from clockwork_nb.secrets import Sensitive

__all__ = [
    "REQUIRED",
    "NotPlain",
    "PlainAttributes",
    "Rule",
    "block",
    "each",
    "env_map",
    "file_path",
    "flag",
    "idle_seconds",
    "json_object",
    "later",
    "left_to_the_model",
    "line",
    "mode",
    "named",
    "network_ports",
    "object_of",
    "one_of",
    "port",
    "project_folder",
    "project_path",
    "seconds",
    "secret_text",
    "text",
    "text_map",
    "time",
    "tries",
    "whole_number",
    "whole_seconds",
    "word",
    "words",
]

Rule = Callable[[Any], Any]

REQUIRED: Final = object()
"""Stands for the default of an attribute that has to be given."""

_LEAVES: Final = frozenset({str, int, bool, float, type(None), Unknown})
_DEPTH: Final = 20  # of an object of any values; the model takes deeper ones too, but they are not ordinary


class NotPlain(ValueError):
    """Only the model can judge this value."""


class PlainAttributes:
    """The attributes of a type, or of one of its blocks, in the order of its model.

    Args:
        attributes: name → rule and default (`REQUIRED` for none; a list or dict is copied for each config).
        whole: refuses what does not go together, and may change the config that it is given; its second argument
            holds the names that were given.
        sparse: names that are left out of the config while they are None.
    """

    def __init__(
        self,
        attributes: Mapping[str, tuple[Rule, Any]],
        *,
        whole: Callable[[dict[str, Any], Collection[str]], object] | None = None,
        sparse: Iterable[str] = (),
    ) -> None:
        self.attributes = attributes
        self.names = frozenset(attributes)
        self._rules = {name: rule for name, (rule, _) in attributes.items()}
        self._defaults = {name: default for name, (_, default) in attributes.items()}
        self._required = frozenset(name for name, default in self._defaults.items() if default is REQUIRED)
        self._copied = tuple(name for name, default in self._defaults.items() if isinstance(default, (list, dict)))
        self._whole = whole
        self._sparse = tuple(sparse)

    def accepts(self, given: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the config that the model would make of *given*; None when the model has to be asked."""
        try:
            return self.config(given)
        except ValueError:
            return None

    def config(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """As `accepts`, but raises ValueError when the model has to be asked."""
        if not given.keys() <= self.names:
            raise NotPlain
        if None in given.values():
            # As in HCL: an attribute that is null takes its default.
            given = {name: value for name, value in given.items() if value is not None}
        if not self._required <= given.keys():
            raise NotPlain
        config = self._defaults.copy()
        for name in self._copied:
            config[name] = config[name].copy()
        all_rules = self._rules
        for name, value in given.items():
            config[name] = all_rules[name](value)
        if self._whole is not None:
            self._whole(config, given)
        for name in self._sparse:
            if config[name] is None:
                del config[name]
        return config


# --- rules of rules -----------------------------------------------------------------------------------------------


def later(value: Any) -> Any:
    """Take a value that is known only after apply: every kind of attribute here can have one."""
    if type(value) is not Unknown:
        raise NotPlain
    return value


def secret(rule: Rule) -> Rule:
    """Return the rule that takes what *rule* takes, sensitive or not."""

    def judge(value: Any) -> Any:
        if type(value) is not Sensitive:
            return rule(value)
        return value if type(value.value) is Unknown else Sensitive(rule(value.value))

    return judge


def text(rule: Rule) -> Rule:
    """Return the rule for a text that *rule* judges."""

    def judge(value: Any) -> Any:
        return rule(value) if type(value) is str else later(value)

    return judge


def one_of(*choices: str) -> Rule:
    """Return the rule for one of some words."""
    known = frozenset(choices)

    def judge(value: Any) -> Any:
        if type(value) is not str:
            return later(value)
        if value not in known:
            raise NotPlain
        return value

    return judge


def whole_number(low: int, high: int) -> Rule:
    """Return the rule for an integer from *low* to *high*."""

    def judge(value: Any) -> Any:
        if type(value) is not int:
            return later(value)
        if not low <= value <= high:
            raise NotPlain
        return value

    return judge


def time(then: Rule, *, low: float = 0, also: Rule | None = None) -> Rule:
    """Return the rule for a number of seconds, or text such as ``5m``; *then* and *also* have the last word."""

    def judge(value: Any) -> Any:
        if type(value) is not int:
            if type(value) is not str and type(value) is not float:
                return later(value)
            value = rules.duration(value)
        if not low <= value <= MAX_SECONDS:
            raise NotPlain
        value = then(value)
        return value if also is None else also(value)

    return judge


def each(rule: Rule, then: Rule | None = None) -> Rule:
    """Return the rule for a list whose elements *rule* judges; *then* judges what comes out."""

    def judge(value: Any) -> Any:
        if type(value) is not list:
            return later(value)
        made = [rule(v) for v in value]
        return made if then is None else then(made)

    return judge


def named(rule: Rule, then: Rule) -> Rule:
    """Return the rule for an object whose values *rule* judges; *then* judges what comes out."""

    def judge(value: Any) -> Any:
        if type(value) is not dict:
            return later(value)
        if any(type(name) is not str for name in value):
            raise NotPlain
        return then({name: rule(v) for name, v in value.items()})

    return judge


def object_of(attributes: PlainAttributes) -> Rule:
    """Return the rule for an object with *attributes*."""

    def judge(value: Any) -> Any:
        return attributes.config(value) if type(value) is dict else later(value)

    return judge


def block(attributes: PlainAttributes, first: Rule = rules.single_block) -> Rule:
    """Return the rule for a nested block; *first* makes one of its other spellings."""
    rule = object_of(attributes)
    return lambda value: rule(first(value))


# --- the kinds of attribute ---------------------------------------------------------------------------------------


def _any_text(value: Any) -> Any:
    return value if type(value) is str else later(value)


def flag(value: Any) -> Any:
    """Take true and false."""
    return value if type(value) is bool else later(value)


def word(value: Any) -> Any:
    """Take a text without NUL; whole numbers and booleans become text."""
    if type(value) is not str:
        if type(value) is not int and type(value) is not bool:
            return later(value)
        value = rules.as_text(value)
    return rules.no_nul(value)


def json_object(value: Any) -> dict[str, Any]:
    """Take an object of JSON values, unknown ones among them; it is copied, what is inside is shared."""
    if type(value) is not dict:
        raise NotPlain
    level: list[Any] = [value]
    for _ in range(_DEPTH):
        inside: list[Any] = []
        for item in level:
            if type(item) is dict:
                if any(type(name) is not str for name in item):
                    raise NotPlain
                inside += item.values()
            elif type(item) is list:
                inside += item
            elif type(item) not in _LEAVES:
                raise NotPlain
        if not inside:
            return dict(value)
        level = inside
    raise NotPlain


def left_to_the_model(value: Any) -> Any:
    """Take nothing: the model says what is to be written instead."""
    raise NotPlain


secret_text = secret(_any_text)
line = text(rules.no_nul)
words = each(word, rules.program)
port = whole_number(1, 65535)
_ports = each(port, rules.port_list)


def network_ports(value: Any) -> Any:
    """Take a flag, or a list of ports."""
    return value if type(value) is bool else _ports(value)


tries = whole_number(1, 100_000)
mode = text(rules.mode)
project_path = text(rules.project_path)
file_path = text(rules.file_path)
project_folder = text(rules.project_folder)
seconds = time(rules.shortest)
idle_seconds = time(rules.whole_seconds)
whole_seconds = time(rules.whole_seconds, low=1)
_kept_word = secret(word)
text_map = named(_kept_word, rules.sorted_map)
env_map = named(_kept_word, rules.env_names)
