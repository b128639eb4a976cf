"""The prose of a pack: a page a person can read and metadata a catalogue can read."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest

from clockwork_nb.canonical import parse_json
from clockwork_nb.clock import rfc3339_short
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


def crate(job: samples.Job) -> tuple[dict[str, dict[str, Any]], set[str]]:
    """Return the crate's entities by id, and the files of the pack below its root."""
    files = unpack(pack(job).data)
    document = parse_json(files["clockwork/ro-crate-metadata.json"])
    assert document["@context"][0] == "https://w3id.org/ro/crate/1.1/context"
    graph = {item["@id"]: item for item in document["@graph"]}
    assert len(graph) == len(document["@graph"])
    return graph, {name.removeprefix("clockwork/") for name in files if name.startswith("clockwork/")}


def ids(value: Any) -> list[str]:
    return [item["@id"] for item in (value if isinstance(value, list) else [value])]


@pytest.mark.parametrize(
    "job", [samples.sample_job(), samples.small_job(), samples.open_job()], ids=["notebook", "plan", "no workflow"]
)
def test_the_crate_is_a_workflow_run_crate(job: samples.Job) -> None:
    """RO-Crate 1.1 (metadata file, root data entity), Process Run Crate 0.5 and Workflow Run Crate 0.5."""
    graph, files = crate(job)
    descriptor, root, action = graph["ro-crate-metadata.json"], graph["./"], graph["#run"]
    assert descriptor["@type"] == "CreativeWork"
    assert (ids(descriptor["about"]), ids(descriptor["conformsTo"])) == (["./"], ["https://w3id.org/ro/crate/1.1"])
    assert root["@type"] == "Dataset"
    assert root["name"]
    assert root["description"]
    # What is not part: the metadata file itself, and the two files that depend on who signs.
    assert set(ids(root["hasPart"])) == files - {"ro-crate-metadata.json", "signer.pub", "statement.dsse.json"}
    assert all("File" in graph[part]["@type"] for part in ids(root["hasPart"]))
    for profile in ids(root["conformsTo"]):
        assert graph[profile]["@type"] == "CreativeWork"
        assert graph[profile]["version"] == profile.rpartition("/")[2]
    assert ids(root["mentions"]) == ["#run"]
    assert action["@type"] == "CreateAction"
    (instrument,) = ids(action["instrument"])
    assert set(ids(action.get("result", []))) <= files
    if "mainEntity" in root:
        assert ids(root["mainEntity"]) == [instrument]
        workflow = graph[instrument]
        assert set(workflow["@type"]) == {"File", "SoftwareSourceCode", "ComputationalWorkflow"}
        assert graph[ids(workflow["programmingLanguage"])[0]]["@type"] == "ComputerLanguage"
        assert "https://w3id.org/ro/wfrun/workflow/0.5" in ids(root["conformsTo"])
    else:
        assert graph[instrument]["@type"] == "SoftwareApplication"
        assert ids(root["conformsTo"]) == ["https://w3id.org/ro/wfrun/process/0.5"]


def test_every_reference_of_the_crate_leads_to_an_entity() -> None:
    graph, _files = crate(samples.sample_job())
    stack: list[Any] = list(graph.values())
    outside = {"https://w3id.org/ro/crate/1.1"}
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            if set(item) == {"@id"}:
                assert item["@id"] in graph or item["@id"] in outside or item["@id"].startswith("http://schema.org/")
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)


def test_dates_and_people_of_the_crate_are_those_of_the_log() -> None:
    job = samples.sample_job()
    graph, _files = crate(job)
    action = graph["#run"]
    assert action["startTime"] == "2026-11-22T00:00:00Z"
    assert action["endTime"] == graph["./"]["datePublished"] == rfc3339_short(job.events[-1].created_at)
    assert [graph[person]["name"] for person in ids(action["agent"])] == ["ops"]  # nobody approved the other section
    assert "endTime" not in crate(samples.open_job())[0]["#run"]
    assert "agent" not in crate(samples.open_job())[0]["#run"]
