"""The prose of a pack: a page a person can read and metadata a catalogue can read."""

from __future__ import annotations

from html.parser import HTMLParser

from clockwork_nb.canonical import parse_json
from clockwork_nb.jobpack.history import read_history
from clockwork_nb.jobpack.report_html import build_report, report_of_log
from tests.conformance.packs import samples
from tests.conformance.packs.tamper import pack, unpack


class Outline(HTMLParser):
    """Collects tags, attributes and text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data + " "


def page(job: samples.Job) -> Outline:
    outline = Outline()
    outline.feed(report_of_log(job.genesis, job.log).decode())
    return outline


def test_the_page_says_the_outcome_first_and_who_approved() -> None:
    shown = page(samples.sample_job())
    assert shown.text.index("completed") < shown.text.index("Decisions") < shown.text.index("Section 1")
    assert "no person approved (auto)" in shown.text
    assert "needs nothing" in shown.text
    unfinished = samples.open_job()
    assert "not finished (running)" in page(unfinished).text


def test_the_page_fetches_and_runs_nothing_and_follows_the_readers_colours() -> None:
    data = report_of_log(samples.sample_job().genesis, samples.sample_job().log).decode()
    shown = page(samples.sample_job())
    assert not {"script", "img", "link", "iframe", "a", "form"} & set(shown.tags)
    assert not {name for name in shown.attributes if name.startswith("on")} | ({"href", "src"} & shown.attributes)
    assert "default-src 'none'" in data
    assert "prefers-color-scheme:dark" in data
    assert "url(" not in data
    assert "@import" not in data


def test_text_of_the_log_cannot_become_markup_or_hide() -> None:
    evil = '"><script>alert(1)</script>\u202e\u200b\x1b[2J'
    job = samples.Job(job_id="job_evil", name=evil)
    job.add("job.created", name=evil, adapter="notebook", objective=evil, spec="")
    job.add("lease.taken", runner_id="r", host_id="h", ttl_ms=1, tool_version="0.1.0", takeover=False)
    job.add("job.status", from_="queued", to="running")
    job.add("cell.started", cell=evil, index=0)
    data = report_of_log(job.genesis, job.log).decode()
    assert "<script>" not in data
    for hidden in "\u202e\u200b\x1b":
        assert hidden not in data
    assert "\\u{202e}" in data


def test_a_long_section_shows_what_went_wrong_and_counts_the_rest() -> None:
    job = samples.open_job()
    steps = tuple(samples.Step(f"file.f{n}", "write_file", fails=int(n == 700)) for n in range(720))
    samples.apply_section(job, 1, steps, serial=0)
    shown = page(job)
    assert "file.f700:write_file" in shown.text
    assert "220 more in clockwork/events.jsonl" in shown.text
    assert "FATAL: <script>alert(1)</script>" in shown.text


def test_the_page_in_the_pack_is_this_page() -> None:
    job = samples.sample_job()
    assert unpack(pack(job).data)["clockwork/report.html"] == build_report(read_history(job.header, job.events))


def test_the_crate_describes_files_that_are_there() -> None:
    files = unpack(pack(samples.sample_job()).data)
    graph = {item["@id"]: item for item in parse_json(files["clockwork/ro-crate-metadata.json"])["@graph"]}
    root = graph["./"]
    assert graph["ro-crate-metadata.json"]["about"] == {"@id": "./"}
    assert root["mainEntity"] == {"@id": "notebook/input.ipynb"}
    assert "ComputationalWorkflow" in graph["notebook/input.ipynb"]["@type"]
    for part in root["hasPart"]:
        assert f"clockwork/{part['@id']}" in files
        assert part["@id"] in graph
    assert graph["#run"]["actionStatus"] == {"@id": "http://schema.org/CompletedActionStatus"}
    assert not {"signer.pub", "statement.dsse.json"} & {part["@id"] for part in root["hasPart"]}
