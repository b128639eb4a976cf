"""Completion of options, and of addresses after ``--target``, for the line that starts with one of our magics."""

from __future__ import annotations

from typing import Any

from clockwork_nb.patterns import pattern

__all__ = ["complete", "matcher_for"]

_LINE = pattern(r"^\s*(?:[\w.]+\s*=\s*)?%{1,2}(cw\w*)[ \t](.*)$")


def complete(line: str, addresses: tuple[str, ...]) -> tuple[str, list[str]] | None:
    """Return the word being typed at the end of *line* and what it can become; None when the line is not ours.

    >>> complete("%cw_apply --par", ())
    ('--par', ['--parallelism'])
    """
    from clockwork_nb.magics._arguments import MAGICS, option_names

    found = _LINE.match(line)
    if found is None or found[1] not in MAGICS:
        return None
    words = found[2].split(" ")
    word, before = words[-1], [w for w in words[:-1] if w]
    if before and before[-1] == "--target":
        return word, [a for a in addresses if a.startswith(word)]
    if word.startswith("-"):
        return word, [o for o in option_names(found[1]) if o.startswith(word)]
    return word, []


def matcher_for(notebook: Any) -> Any:
    """Return a matcher for ``Completer.custom_matchers`` that knows the addresses of *notebook*'s cells."""
    from IPython.core.completer import SimpleCompletion, SimpleMatcherResult, context_matcher

    @context_matcher(identifier="clockwork", priority=200)
    def match(context: Any) -> Any:
        line = context.line_with_cursor[: context.cursor_position]
        answer = complete(line, ()) if "%cw" in line else None
        if answer is not None and "--target" in line:
            answer = complete(line, notebook.addresses())
        if answer is None or not answer[1]:
            return SimpleMatcherResult(completions=[], suppress=False)
        word, options = answer
        found = [SimpleCompletion(option, type="clockwork") for option in options]
        return SimpleMatcherResult(completions=found, suppress=True, matched_fragment=word)

    return match
