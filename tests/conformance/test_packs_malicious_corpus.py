"""Every archive of the corpus is refused, with the code its class allows, and none of them for a dull reason."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conformance.packs import corpus, rawzip
from tests.conformance.packs.tamper import code, verify

LEAST = {"N": 32, "D": 9, "H": 20, "L": 13, "E": 18, "Z": 6, "B": 7, "T": 10, "C": 10, "X": 7, "M": 28, "F": 14, "S": 30, "G": 26, "O": 10}  # fmt: skip


def test_the_archive_every_case_starts_from_is_good() -> None:
    report = verify(rawzip.write(corpus.good_files()))
    assert (report.headline, report.failure) == ("VERIFIED signed", None)


@pytest.mark.parametrize("letter", sorted(corpus.CLASSES))
def test_every_case_is_refused_with_its_code(letter: str) -> None:
    wrong = []
    seen = set()
    for case in corpus.CLASSES[letter]():
        assert case.id not in seen
        seen.add(case.id)
        for require, allowed in (("signed", case.codes), ("integrity", case.integrity or case.codes)):
            report = verify(case.data, require=require, **case.options)
            found = code(report)
            if found not in allowed or (report.exit_code == 0) != (found == "") or (found == "") != (allowed == ("",)):
                wrong.append(f"{case.id} ({require}): {found or report.headline}, not {' or '.join(allowed)}")
    assert wrong == []
    assert len(seen) >= LEAST[letter]


def test_no_report_of_a_refused_pack_calls_it_verified_or_shows_what_it_claims() -> None:
    for case in corpus.manifests():
        report = verify(case.data)
        assert report.headline == "NOT VERIFIED"
        assert (report.job_id, report.manifest_sha256, report.level) == ("", "", "none")


def test_a_gigabyte_bomb_costs_neither_time_nor_memory(tmp_path: Path) -> None:
    bombs = {case.id: case.data for case in corpus.bombs()}
    for name in ("B-claims-a-gigabyte", "B-forged-stored-size", "B-sum-over-limit"):
        (tmp_path / name).write_bytes(bombs[name])
    script = (
        "import resource, sys\n"
        "from clockwork_nb.jobpack.verify import verify_jobpack\n"
        "from clockwork_nb.signing import TrustStore\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "for path in sys.argv[1:]:\n"
        "    assert verify_jobpack(open(path, 'rb').read(), trust=TrustStore()).exit_code == 2\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, tmp_path.iterdir())],
        cwd=root, check=True, capture_output=True, text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (10, 10)),
    )  # fmt: skip
    assert int(done.stdout) < 20 * 1024
