"""What a person reads after a verification."""

from __future__ import annotations

from clockwork_nb.render.verification import report_html_fragment, report_text
from clockwork_nb.signing import TrustStore
from tests.conformance.packs import samples
from tests.conformance.packs.tamper import pack, verify


def test_a_verified_pack_says_who_what_and_how_much() -> None:
    made = pack(samples.sample_job())
    text = report_text(verify(made.data, file_name=made.name).to_document())
    first, *rest = text.split("\n")
    assert first.startswith(f"VERIFIED  signed   {made.name}   (sha256:{made.manifest_sha256[:4]}…")
    shown = {line[2:16].strip(): line[16:] for line in rest}
    assert shown["signed by"].startswith("ops (ed25519 SHA256:")
    assert shown["job"] == "quickstart.ipynb, completed, 3 cells, 3 steps, 0 failed"
    assert "no person approved (auto)" in text
    assert "  approved      plan " in text and 'by ops "port move agreed", 00:00 UTC, before its first step' in text
    assert "3 steps ⇔ plan ⇔ artifacts" in shown["checked"]
    assert len(rest) < 20


def test_a_changed_pack_names_the_file_and_both_digests() -> None:
    made = pack(samples.small_job())
    data = made.data.replace(b"echo directory.site", b"echo directory.evil", 1)
    lines = report_text(verify(data, file_name=made.name).to_document()).split("\n")
    assert lines[0].startswith(f"NOT VERIFIED  {made.name}")
    assert lines[0].endswith("[E_VERIFY_HASH_MISMATCH]")
    assert "clockwork/artifacts/1/scripts/directory.site/create_directory.sh" in lines[1]
    assert lines[2].startswith("  expected sha256 ")
    assert lines[3] == "  Nothing in this file should be relied on."


def test_an_unknown_signer_gets_the_command_to_trust_them() -> None:
    made = pack(samples.small_job())
    text = report_text(verify(made.data, file_name=made.name, trust=TrustStore()).to_document())
    assert text.startswith(f"UNKNOWN SIGNER  intact  {made.name}")
    assert "[E_SIG_UNTRUSTED]" in text
    fingerprint = samples.KEY.public.fingerprint
    assert f"    clockwork keys trust --from {made.name} --fingerprint {fingerprint} --name NAME" in text
    hostile = report_text(verify(made.data, file_name="a; rm -rf ~", trust=TrustStore()).to_document())
    assert "--from PACK " in hostile


def test_settling_for_integrity_never_says_verified() -> None:
    for key in (samples.KEY, None):
        made = pack(samples.small_job(), key)
        for trust in (TrustStore(), verify(made.data) and TrustStore()):
            text = report_text(verify(made.data, require="integrity", trust=trust).to_document())
            assert text.startswith("INTACT")
            assert "verified" not in text.lower()


def test_an_unfinished_job_is_called_that() -> None:
    text = report_text(verify(pack(samples.open_job()).data).to_document())
    assert "NOT FINISHED (running, 4 events so far)" in text


def test_text_from_the_pack_cannot_move_the_cursor_or_become_markup() -> None:
    job = samples.Job(job_id="job_evil", name="\x1b[2J<b>\u202eevil")
    job.add("job.created", name=job.name, adapter="notebook", objective="", spec="")
    report = verify(pack(job).data, file_name="\x1b]0;x\x07.zip").to_document()
    assert "\x1b" not in report_text(report)
    assert "\u202e" not in report_text(report)
    panel = report_html_fragment(report)
    assert "\x1b" not in panel
    assert "<b>evil" not in panel
    assert "&lt;b&gt;" in panel


def test_the_panel_carries_the_same_words() -> None:
    made = pack(samples.sample_job())
    panel = report_html_fragment(verify(made.data, file_name=made.name).to_document())
    assert "no person approved (auto)" in panel
    assert "Verified" in panel
    refused = report_html_fragment(verify(made.data[:-1]).to_document())
    assert "E_PACK_MALFORMED" in refused


def test_colour_is_only_added_when_asked_for() -> None:
    document = verify(pack(samples.small_job()).data).to_document()
    assert "\x1b[" not in report_text(document)
    coloured = report_text(document, color=True)
    assert "\x1b[32m" in coloured


def rows(text: str) -> int:
    """Return how many lines of an 80-column terminal *text* takes."""
    return sum(max(1, -(-len(line) // 80)) for line in text.split("\n"))


def test_the_report_fits_on_one_screen_whatever_the_pack_says() -> None:
    long = "Wörd " * 80
    job = samples.Job(job_id="job_" + "x" * 60, name=long)
    job.add("job.created", name=long, adapter="notebook", objective=long, spec="")
    job.add("lease.taken", runner_id="r", host_id="h", ttl_ms=1, tool_version="0.1.0", takeover=False)
    job.add("job.status", from_="queued", to="running")
    job.add("artifact.published", path="data/large", op="added", blob=job.blob(b"x" * 500))
    for section in range(1, 12):
        job.add("section.opened", section=section, verb="apply", cell=long[:500], call=0, inputs="0" * 64)
        binds = samples.bind(job, section, samples.STEPS[:1], serial=0)
        approval, checkpoint = samples.ask(job, section, binds)
        samples.grant(job, approval, checkpoint, binds, reason=long)
        job.add("section.closed", section=section, outcome="canceled", done=0, failed=0, skipped=0)
    job.add("job.tainted", reason=long, offset=1)
    made = pack(job, most=100)
    for options in (
        {},
        {"require": "integrity"},
        {"require": "final"},
        {"trust": TrustStore()},
        {"trust": TrustStore(revoked=frozenset({samples.KEY.public.fingerprint}))},
        {"expect_job": "job_other"},
    ):
        report = verify(made.data, file_name="jobpack_" + "y" * 200 + ".zip", **options)
        text = report_text(report.to_document())
        assert rows(text) <= 24, text


def test_a_key_that_does_not_count_says_why() -> None:
    made = pack(samples.small_job())
    revoked = TrustStore(revoked=frozenset({samples.KEY.public.fingerprint}))
    text = report_text(verify(made.data, file_name=made.name, trust=revoked).to_document())
    assert text.startswith(f"NOT VERIFIED  {made.name}")
    assert "[E_SIG_REVOKED]" in text
    assert "The files are intact; what was asked for is not proven." in text
    settled = report_text(verify(made.data, trust=revoked, require="integrity").to_document())
    assert "a key that was REVOKED here" in settled
