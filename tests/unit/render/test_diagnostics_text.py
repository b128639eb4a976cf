"""Diagnostics: the words, the caret, and nothing that hides."""

from __future__ import annotations

import re

import pytest

from clockwork_nb.diagnostics import Diagnostic, Severity, SourceRange, SourceText
from clockwork_nb.render.diagnostics import SOURCE_COLUMNS, render_html, render_json, render_text
from clockwork_nb.render.text import columns_of

WEB = SourceText(
    "cell web",
    'service "web" {\n'
    '  command = ["sh"]\n'
    '  imgae = "nginx:1.27"\n'
    "\n"
    "  ports = [{ external = var.prot, internal = 80 }]\n"
    "}\n",
)


def at(source: SourceText, text: str) -> SourceRange:
    start = source.text.index(text)
    return SourceRange(source, start, start + len(text))


def error(summary: str, subject: SourceRange | None = None, **fields: object) -> Diagnostic:
    return Diagnostic(Severity.ERROR, "cw-test", summary, subject=subject, **fields)  # type: ignore[arg-type]


def caret_line(text: str) -> tuple[str, str]:
    """Return what stands above the carets, and the carets."""
    lines = text.splitlines()
    index = next(i for i, line in enumerate(lines) if set(line.split("|")[-1].split(" ")) >= {""} and "^" in line)
    carets = lines[index]
    start = carets.index("^")
    stop = carets.rindex("^") + 1
    above = lines[index - 1]
    # Walk by columns, because a wide character above takes two of the carets' places.
    taken, out = 0, ""
    for character in above:
        if start <= taken < stop:
            out += character
        taken += columns_of(character)
    return out, carets[start:stop]


def test_a_mistake_reads_as_in_the_examples() -> None:
    found = [
        Diagnostic(
            Severity.ERROR,
            "cw-unknown-attribute",
            'unknown attribute "imgae" in service "web"',
            'A service takes either "image" (container) or "command" (process). See %cw_eval --types service',
            'did you mean "image"?',
            at(WEB, "imgae"),
        ),
        Diagnostic(
            Severity.ERROR,
            "cw-unknown-reference",
            '"var.prot" is not declared',
            note='did you mean "var.port" (declared in cell settings, line 1)?',
            subject=at(WEB, "var.prot"),
        ),
    ]
    assert render_text(found) == (
        'error: unknown attribute "imgae" in service "web"                              [cw-unknown-attribute]\n'
        "  cell web, line 3, column 3\n"
        '  3 |   imgae = "nginx:1.27"\n'
        '    |   ^^^^^ did you mean "image"?\n'
        '  A service takes either "image" (container) or "command" (process). See %cw_eval --types service\n'
        "\n"
        'error: "var.prot" is not declared                                              [cw-unknown-reference]\n'
        "  cell web, line 5, column 25\n"
        "  5 |   ports = [{ external = var.prot, internal = 80 }]\n"
        '    |                         ^^^^^^^^ did you mean "var.port" (declared in cell settings, line 1)?'
    )


def test_a_cycle_reads_as_in_the_examples() -> None:
    api = SourceText("cell api", "service api {\n\n\n  env.DB = service.db.url\n}")
    main = SourceText(
        "main.cw", "\n" * 11 + "  depends_on = [file.seed]\n" + "\n" * 7 + "  content = service.api.url\n"
    )
    cycle = Diagnostic(
        Severity.ERROR,
        "cw-cycle",
        "these resources need each other",
        "Break one of the three.",
        trail=(
            ("service.api needs service.db", at(api, "env.DB = service.db.url")),
            ("service.db needs file.seed", at(main, "depends_on")),
            ("file.seed needs service.api", at(main, "content")),
        ),
    )
    assert render_text([cycle]) == (
        "error: these resources need each other                                         [cw-cycle]\n"
        "  service.api  needs  service.db     (cell api, line 4: env.DB = service.db.url)\n"
        "  service.db   needs  file.seed      (main.cw, line 12: depends_on)\n"
        "  file.seed    needs  service.api    (main.cw, line 20: content)\n"
        "  Break one of the three."
    )


@pytest.mark.parametrize("columns", [60, 80, 120])
@pytest.mark.parametrize("color", [False, True])
def test_nothing_is_lost_and_nothing_is_wider_than_the_terminal(columns: int, color: bool) -> None:
    name = "customer_facing_storefront_web_application"
    source = SourceText("main.cw", f'file "{name}" {{\n  content = "{"x" * 90}" + service.{name}.address\n}}\n')
    summary = f'service.{name} has no attribute "very_long_attribute_name_here"'
    note = "did you mean the attribute address of the service that is declared in the cell before this one?"
    found = error(summary, at(source, "address"), note=note, detail="It has " + ", ".join(["attribute"] * 30))
    text = re.sub(r"\x1b\[[0-9;]*m", "", render_text([found], color=color, columns=columns))
    assert max(columns_of(line) for line in text.splitlines()) <= columns
    words = " ".join(line.strip().lstrip("| ") for line in text.splitlines())
    assert summary in words and note in words and "[cw-test]" in words
    assert caret_line(text) == ("address", "^" * 7)
    assert summary in render_html([found]).replace("&quot;", '"') and "did you mean the attribute" in render_html(
        [found]
    )


def test_the_code_stands_at_the_end_of_the_terminals_line() -> None:
    assert render_text([error("declared twice")], columns=60) == (
        "error: declared twice                              [cw-test]"
    )


def test_further_places_follow_the_caret() -> None:
    text = render_text(
        [error("declared twice", at(WEB, "imgae"), trail=(("first declared here", at(WEB, "command")),))]
    )
    assert text.splitlines()[-1] == "  first declared here    (cell web, line 2: command)"


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("\tname = bogus", "bogus"),
        ("\t\ta\tb = bogus", "bogus"),
        ('name = "日本語" + bogus', "bogus"),
        ("e\u0301 = bogus", "bogus"),
        ("x = 日本", "日本"),
        ("a" * 300 + " = bogus" + "z" * 400, "bogus"),
        ("日" * 300 + " = bogus", "bogus"),
    ],
)
def test_the_carets_stand_under_what_they_mean(line: str, wrong: str) -> None:
    source = SourceText("main.cw", f"first\n{line}\nlast")
    text = render_text([error("wrong", at(source, wrong))])
    above, carets = caret_line(text)
    assert above == wrong
    assert len(carets) == columns_of(wrong)
    assert all(columns_of(row) <= SOURCE_COLUMNS + 12 for row in text.splitlines())


def test_a_long_line_is_cut_on_both_sides() -> None:
    source = SourceText("main.cw", "a" * 300 + " = bogus" + "z" * 400)
    line = render_text([error("wrong", at(source, "bogus"))]).splitlines()[2]
    assert line.startswith("  1 | …aaa")
    assert line.endswith("zzz…")


def test_a_line_of_megabytes_is_looked_at_only_near_the_caret(monkeypatch: pytest.MonkeyPatch) -> None:
    from clockwork_nb.render import diagnostics

    looked_at = 0

    def counting(text: str, *, keep: str = "") -> str:
        nonlocal looked_at
        looked_at += len(text)
        return text

    monkeypatch.setattr(diagnostics, "visible", counting)
    source = SourceText("main.cw", "a" * 2_000_000 + "bogus" + "z" * 2_000_000)
    render_text([error("wrong", at(source, "bogus"))])
    assert looked_at < 5_000


def test_hidden_characters_show_and_do_not_move_the_caret() -> None:
    source = SourceText("main.cw", 'a = "\x1b[2J\u202e\u200b" + bogus')
    text = render_text([error("\x1b[31mred\u2066", at(source, "bogus"), note="\u202enote", detail="\x07bell")])
    assert not any(c in text for c in "\x1b\u202e\u200b\u2066\x07")
    assert '"\\x1b[2J\\u202e\\u200b"' in text
    assert caret_line(text)[0] == "bogus"


def test_the_end_of_the_text_has_a_caret() -> None:
    source = SourceText("main.cw", "a {\n")
    text = render_text([error("a block is not closed", SourceRange(source, 4, 4), note='expected "}"')])
    assert text.splitlines()[1:] == ["  main.cw, line 2, column 1", "  2 |", '    | ^ expected "}"']


def test_a_range_over_lines_is_marked_to_the_end_of_its_first_line() -> None:
    text = render_text([error("wrong", SourceRange(WEB, 0, 60))])
    assert text.splitlines()[-2:] == ['  1 | service "web" {', "    | ^^^^^^^^^^^^^^^"]


def test_no_finding_makes_no_text() -> None:
    assert render_text([]) == ""
    assert render_html([]) == ""
    assert render_json([]) == []


def test_colour_adds_nothing_but_colour() -> None:
    import re

    found = [error("wrong", at(WEB, "imgae"), note="here", detail="why")]
    assert re.sub(r"\x1b\[[0-9;]*m", "", render_text(found, color=True)) == render_text(found)


def test_the_html_has_the_same_words_and_escapes_them() -> None:
    source = SourceText("cell <b>", "x = <script>alert(1)</script>")
    html = render_html([error('"<img src=x>" & more', at(source, "<script>"), note="<i>", detail="$x$ </pre>")])
    assert "<script" not in html
    assert "<img" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "cell &lt;b&gt;, line 1, column 5" in html
    assert "$x$ &lt;/pre&gt;" in html
    assert 'class="cw cw-diagnostics tex2jax_ignore mathjax_ignore"' in html


def test_the_json_form_is_the_diagnostic() -> None:
    document = render_json([error("wrong", at(WEB, "imgae"))])
    assert document[0]["code"] == "cw-test"
    assert document[0]["range"]["start"] == {"line": 3, "column": 3, "offset": WEB.text.index("imgae")}
