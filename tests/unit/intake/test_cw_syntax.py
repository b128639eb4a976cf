"""Reading text: encodings, places, going on after errors, limits, and the cache of blocks."""

from __future__ import annotations

import pytest
from msgspec import structs

from clockwork_nb.intake.lexer import number
from clockwork_nb.intake.limits import LIMITS, Limits
from clockwork_nb.intake.nodes import Attribute, Block, Literal, Reference, walk
from clockwork_nb.intake.syntax import SyntaxCache, parse, parse_expression


def codes(data: bytes, **options: object) -> list[tuple[str, int, int]]:
    _, found = parse(data, filename="x.cw", **options)  # type: ignore[arg-type]
    out = []
    for d in found.sorted():
        assert d.subject is not None
        out.append((d.code, d.subject.begin.line, d.subject.begin.column))
    return out


@pytest.mark.parametrize(
    ("data", "code", "place"),
    [
        (b"a = \xff", "cw-encoding", (1, 5)),
        ("a = 1".encode("utf-16"), "cw-encoding", (1, 1)),
        (b"\xef\xbb\xbfa = 1", "cw-encoding", (1, 1)),
        (b"a = 1\nb = \x00", "cw-encoding", (2, 5)),
        (b"a = 1\rb = 2", "cw-syntax", (1, 6)),
        ("a = 1\u00a0".encode(), "cw-syntax", (1, 6)),
        ("v\u0430r\u200b = 1".encode(), "cw-syntax", (1, 4)),
        (b"a = 1;", "cw-syntax", (1, 6)),
    ],
)
def test_what_is_no_text_has_a_place(data: bytes, code: str, place: tuple[int, int]) -> None:
    assert codes(data) == [(code, *place)]


def test_crlf_and_lf_give_the_same_tree() -> None:
    text = 'box "a" {\n  b = "x"\n  c = <<EOT\nl1\nl2\nEOT\n  d = [\n    1,\n  ]\n}\n'
    ours, found = parse(text.encode(), filename="x")
    theirs, found_too = parse(text.replace("\n", "\r\n").encode(), filename="x")
    assert not found and not found_too
    values = []
    for document in (ours, theirs):
        (block, _), *_ = document.items
        values.append([n.value for n in walk(block) if isinstance(n, Literal)])
    assert values[0] == values[1]


def test_a_last_line_needs_no_line_end() -> None:
    for text in ("a = 1", "a {}", 'a "b" {\n}', "a = <<E\nx\nE", "# only", "/* x */", "a = 1 # x"):
        assert codes(text.encode()) == [], text


def test_every_node_says_where_it_is() -> None:
    text = '\n\nbox "a" {\n  path = "${var.x}/b"\n}\nbox "b" {\n  path = box.a.path\n}\n'
    document, _ = parse(text.encode(), filename="main.cw")
    found = {}
    for item, origin in document.items:
        for node in walk(item):
            place = origin.range(node)
            if isinstance(node, Reference):
                found[".".join(node.parts)] = (str(place), place.source.text[place.start : place.end])
    assert found == {
        "var.x": ("main.cw, line 4, column 13", "var.x"),
        "box.a.path": ("main.cw, line 7, column 10", "box.a.path"),
    }


def test_parts_of_a_reference_have_places() -> None:
    item, _, _ = parse_expression("service.web.url", name="x")
    assert item is not None and isinstance(item.value, Reference)
    assert [item.value.part_range(i) for i in range(3)] == [(0, 7), (8, 11), (12, 15)]
    assert item.value.prefix_range(2) == (0, 11)
    assert item.value.prefix_range(9) == (0, 15)


def test_one_run_reports_errors_of_all_blocks() -> None:
    text = 'a {\n  x = = 1\n  y = 2\n  z = [1 2]\n}\nb {\n  "k" = 1\n  ok = 1\n}\nc = )\nd = 1\n'
    assert codes(text.encode()) == [
        ("cw-syntax", 2, 7),
        ("cw-syntax", 4, 10),
        ("cw-syntax", 7, 3),
        ("cw-syntax", 10, 5),
    ]


def test_what_could_be_read_is_in_the_tree() -> None:
    document, found = parse(b"a {\n  x = = 1\n  y = 2\n}\nb = 3\n", filename="x")
    (block, _), (attribute, _) = document.items
    assert len(found) == 1
    assert isinstance(block, Block) and block.broken
    assert [item.name for item in block.body.items if isinstance(item, Attribute)] == ["y"]
    assert isinstance(attribute, Attribute) and attribute.name == "b"


def test_an_unclosed_block_does_not_swallow_the_next_ones() -> None:
    document, found = parse(b'box "a" {\n  x = 1\n\nbox "b" {\n  y = 1\n}\n', filename="x")
    assert [d.summary for d in found] == ["this block is never closed"]
    assert [item.labels[0].value for item, _ in document.items if isinstance(item, Block)] == ["a", "b"]


def test_an_error_in_a_heredoc_does_not_hide_what_comes_after_it() -> None:
    text = "a {\n  x = <<EOT\n  y = 1\n  ${ + }\n  z = 2 3\n  EOT\n  w = 1 2\n}\n"
    assert codes(text.encode()) == [("cw-syntax", 4, 6), ("cw-syntax", 7, 9)]


def test_after_many_errors_the_reader_stops() -> None:
    text = b"a = )\n" * 500
    found = codes(text, limits=structs.replace(LIMITS, syntax_errors=10))
    assert 10 <= len(found) <= 11


@pytest.mark.parametrize(("size", "good"), [(99, True), (100, True), (101, False)])
def test_limit_of_bytes(size: int, good: bool) -> None:
    assert (codes(b"#" * size, max_bytes=100) == []) is good


def _brackets(depth: int) -> bytes:
    return b"a = " + b"[" * depth + b"]" * depth


def _groups(depth: int) -> bytes:
    return b"a = " + b"(" * depth + b"1" + b")" * depth


def _blocks(depth: int) -> bytes:
    return b"a {\n" * depth + b"}\n" * depth


def _templates(depth: int) -> bytes:
    return b"a = " + b'"${' * depth + b"1" + b'}"' * depth


def _unary(depth: int) -> bytes:
    return b"a = " + b"!" * depth + b"true"


def _directives(depth: int) -> bytes:
    return b'a = "' + b"%{ if true }" * depth + b"x" + b"%{ endif }" * depth + b'"'


def _conditions(depth: int) -> bytes:
    return b"a = " + b"true ? " * depth + b"1" + b" : 2" * depth


@pytest.mark.parametrize("make", [_brackets, _groups, _blocks, _templates, _unary, _directives, _conditions])
@pytest.mark.parametrize(("over", "good"), [(-1, True), (0, True), (1, False), (5000, False)])
def test_limit_of_depth(make: object, over: int, good: bool) -> None:
    found = codes(make(LIMITS.depth + over))  # type: ignore[operator]
    assert [c for c, _, _ in found] == ([] if good else ["cw-limit"])


@pytest.mark.parametrize(("count", "good"), [(9, True), (10, True), (11, False)])
def test_limit_of_blocks_counts_nested_ones(count: int, good: bool) -> None:
    text = b"a {\n" + b"  b {\n  }\n" * (count - 1) + b"}\n"
    found = [c for c, _, _ in codes(text + b"z {\n}\n" * 0, limits=Limits(blocks=10))]
    assert found == ([] if good else ["cw-limit"])
    one_by_one = [c for c, _, _ in codes(b"a {\n}\n" * count, limits=Limits(blocks=10))]
    assert one_by_one == found


def test_blocks_from_the_cache_count_too() -> None:
    cache = SyntaxCache()
    text = b"a {\n  b {\n  }\n}\n" * 6
    for _ in range(2):
        _, found = parse(text, filename="x", cache=cache, limits=Limits(blocks=11))
        cache.finish()
        assert [d.code for d in found] == ["cw-limit"]


@pytest.mark.parametrize(("digits", "good"), [(999, True), (1000, True), (1001, False)])
def test_limit_of_digits(digits: int, good: bool) -> None:
    assert (codes(b"a = " + b"9" * digits) == []) is good


@pytest.mark.parametrize(
    ("text", "value"), [("1e3", 1000), ("1.50", "1.5"), ("0.0", 0), ("120e-1", 12), ("1e-3", "0.001"), ("007", 7)]
)
def test_numbers_are_exact(text: str, value: object) -> None:
    found = number(text)
    assert (str(found) if isinstance(value, str) else found) == value


@pytest.mark.parametrize("text", ["1e1000", "0." + "1" * 1000, "1e-1000", "1e-9999999", "1e999999999", "9" * 100_000])
def test_numbers_of_absurd_size_are_refused(text: str) -> None:
    assert number(text) is None


def test_long_chains_need_no_recursion() -> None:
    for text in (
        "a = " + " + ".join(["1"] * 50_000),
        "a = " + "x" + ".y" * 50_000,
        "a = " + "x" + "[0]" * 50_000,
        "a = " + "".join(f"c{i} ? {i} : " for i in range(20_000)) + "0",
        "a = [" + "1, " * 50_000 + "]",
    ):
        assert codes(text.encode()) == []


def test_the_cache_gives_back_the_same_tree_at_its_new_place() -> None:
    cache = SyntaxCache()
    first, _ = parse(b'a "x" {\n  v = var.y\n}\nb {\n}\n', filename="x", cache=cache)
    cache.finish()
    second, _ = parse(b'# a new first line\nb {\n}\na "x" {\n  v = var.y\n}\n', filename="x", cache=cache)
    assert second.items[1].item is first.items[0].item
    assert second.items[0].item is first.items[1].item
    (node,) = [n for n in walk(second.items[1].item) if isinstance(n, Reference)]
    assert second.items[1].origin.range(node).begin.line == 5
    assert str(first.items[0].origin.range(node)) == "x, line 2, column 7"


def test_the_cache_forgets_what_is_gone() -> None:
    cache = SyntaxCache()
    first, _ = parse(b"a {\n}\n", filename="x", cache=cache)
    cache.finish()
    parse(b"b {\n}\n", filename="x", cache=cache)
    cache.finish()
    parse(b"", filename="x", cache=cache)
    cache.finish()
    again, _ = parse(b"a {\n}\n", filename="x", cache=cache)
    assert again.items[0].item is not first.items[0].item


@pytest.mark.parametrize(
    "text",
    [
        "a {\n  x = <<EOT\n  }\n}\nEOT\n}\n",  # a brace at the beginning of a line inside a heredoc
        "a {\n  /* x\n}\n*/\n  y = 1\n}\n",
        "a {\n  x = [\n1,\n]\n}\n",
        "a {\nb {\n}\n}\n",
        'a {\n  x = "}"\n}\n',
    ],
)
def test_unusual_layout_is_read_right_with_and_without_cache(text: str) -> None:
    cache = SyntaxCache()
    for _ in range(2):
        document, found = parse(text.encode(), filename="x", cache=cache)
        assert not found
        assert [type(item).__name__ for item, _ in document.items] == ["Block"]
        (block, origin), *_ = document.items
        assert origin.range(block).end >= len(text) - 1
        cache.finish()


def test_the_largest_numbers_are_taken() -> None:
    assert number("1e999") == 10**999
    assert number("0." + "1" * 999) is not None
    assert number("-1.50") is not None and str(number("-1.50")) == "-1.5"
    assert number("+2e1") == 20
