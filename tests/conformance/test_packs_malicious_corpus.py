"""Every archive of the corpus is refused, with the code its class allows, in little time and memory."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conformance.packs import cases, corpus, rawzip
from tests.conformance.packs.tamper import code, verify

ROOT = Path(__file__).resolve().parents[2]
MEMORY = 256 << 20
SECONDS = 2.0


def test_the_archive_every_case_starts_from_is_good() -> None:
    report = verify(rawzip.write(cases.good_files()))
    assert (report.headline, report.failure) == ("VERIFIED signed", None)


def test_the_corpus_has_not_shrunk() -> None:
    assert sum(corpus.LEAST.values()) == 264
    assert {letter for letter in corpus.CLASSES if len(corpus.cases_of(letter)) < corpus.LEAST[letter]} == set()
    ids = [case.id for case in corpus.every_case()]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("letter", sorted(corpus.CLASSES))
def test_every_case_is_refused_with_its_code(letter: str) -> None:
    wrong = []
    for case in corpus.cases_of(letter):
        for require, allowed in (("signed", case.codes), ("integrity", case.integrity or case.codes)):
            report = verify(case.data, require=require, **case.options)
            found = code(report)
            if found not in allowed or (report.exit_code == 0) != (found == "") or (found == "") != (allowed == ("",)):
                wrong.append(f"{case.id} ({require}): {found or report.headline}, not {' or '.join(allowed)}")
    assert wrong == []


def test_no_report_of_a_refused_pack_calls_it_verified_or_shows_what_it_claims() -> None:
    for case in corpus.cases_of("M"):
        report = verify(case.data)
        assert report.headline == "NOT VERIFIED"
        assert (report.job_id, report.manifest_sha256, report.level) == ("", "", "none")


_BATCH = """
import json, re, resource, sys, time
from pathlib import Path
from clockwork_nb.jobpack.verify import verify_jobpack
from clockwork_nb.signing import TrustStore
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[2]), int(sys.argv[2])))
for path in sorted(Path(sys.argv[1]).iterdir()):
    begun = time.process_time()
    report = verify_jobpack(path.read_bytes(), trust=TrustStore())
    seconds = time.process_time() - begun
    peak = int(re.search(r"VmHWM:\\s*([0-9]+)", Path("/proc/self/status").read_text())[1])
    print(json.dumps([path.name, report.exit_code, report.failure.code, seconds, peak]))
"""


def batch(folder: Path, memory: int) -> list[tuple[str, int, str, float, int]]:
    """Verify every file of *folder* in a process that may have *memory* bytes; its results, one a file."""
    before = sorted((path.name, path.stat().st_mtime_ns, path.stat().st_size) for path in folder.iterdir())
    done = subprocess.run(
        [sys.executable, "-c", _BATCH, str(folder), str(memory)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert before == sorted((path.name, path.stat().st_mtime_ns, path.stat().st_size) for path in folder.iterdir())
    return [tuple(json.loads(line)) for line in done.stdout.splitlines()]


def test_no_case_takes_two_seconds_or_256_mib(tmp_path: Path) -> None:
    expected = {}
    for case in corpus.every_case():
        if not case.options:  # what a flag of the command decides has no place in a batch
            (tmp_path / case.id).write_bytes(case.data)
            expected[case.id] = case.codes
    results = batch(tmp_path, MEMORY)
    assert {name for name, *_ in results} == expected.keys()
    # With nobody trusted a pack that is fine but for its signer is refused for that.
    assert [r for r in results if r[1] != 2 or r[2] not in (*expected[r[0]], "E_SIG_UNTRUSTED")] == []
    assert [r for r in results if r[3] > SECONDS] == []


def test_a_gigabyte_bomb_costs_neither_time_nor_memory(tmp_path: Path) -> None:
    bombs = {case.id: case.data for case in corpus.cases_of("B")}
    names = ("B-a-real-gigabyte", "B-claims-a-gigabyte", "B-forged-stored-size", "B-sum-over-limit", "B-nested")
    for name in names:
        (tmp_path / name).write_bytes(bombs[name])
    results = batch(tmp_path, resource.RLIM_INFINITY)
    assert sum(seconds for *_, seconds, _peak in results) < 1.0
    assert max(peak for *_, peak in results) < 100 * 1024
