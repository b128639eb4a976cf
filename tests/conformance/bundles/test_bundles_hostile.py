"""Every hostile bundle is refused with its code, wherever it comes in, and no file is made or changed for it (P26)."""

from __future__ import annotations

import hashlib
import os
import stat
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from clockwork_nb.errors import BundleError, BundlePathError
from clockwork_nb.forge.artifacts import stage
from clockwork_nb.forge.bundle import Bundle
from clockwork_nb.forge.bundle_reader import bundle_from_json
from clockwork_nb.forge.content_flags import FLAG_WORDS, content_flags
from clockwork_nb.forge.validate import check_bundle, validate_bundle
from clockwork_nb.ports import Artifact
from tests.conformance.bundles import hostile_documents as documents
from tests.conformance.bundles.hostile_bundles import ACTIONS, ESCAPES, HONEST, PATH, SECRET, Case, at_path, cases, step
from tests.conformance.bundles.suspicious_scripts import HARMLESS, Suspicious, suspicious
from tests.fault.test_only_approved_bytes_run import ATTACKS

CASES = list(cases())
DOCUMENTS = list(documents.documents())
SUSPICIOUS = list(suspicious())


def tree_hash(root: Path) -> str:
    """Return a digest over every name, kind, mode, link and content below *root*."""
    out = hashlib.sha256()
    for path in sorted(root.rglob("*")):
        found = path.lstat()
        content = (
            os.readlink(path).encode() if stat.S_ISLNK(found.st_mode) else path.read_bytes() if path.is_file() else b""
        )
        out.update(f"{path.relative_to(root)}\0{found.st_mode}\0{found.st_nlink}\0".encode() + content + b"\0")
    return out.hexdigest()


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A home folder with a project and things worth having; nothing in it may change."""
    build = tmp_path / "home" / "project" / ".clockwork" / "build"
    build.mkdir(parents=True)
    for name in ("home/.ssh/authorized_keys", "home/.bashrc", "home/project/out/a", "etc/passwd"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("mine")
    before = tree_hash(tmp_path)
    yield build
    assert tree_hash(tmp_path) == before


def test_the_honest_ones_pass() -> None:
    assert validate_bundle(HONEST, ACTIONS) == []
    data = documents.text().encode()
    bundle = bundle_from_json(data, documents.ACTIONS, interpreters=documents.INTERPRETERS)
    assert [s.id for s in bundle.steps] == [a["id"] for a in documents.ACTIONS]


def test_the_corpus_is_as_large_as_promised_and_its_names_are_unique() -> None:
    count = (
        Counter(c.kind for c in CASES) + Counter(d.kind for d in DOCUMENTS) + Counter(C=len(SUSPICIOUS), W=len(ATTACKS))
    )
    wanted = {"P": 34, "R": 24, "M": 12, "L": 8, "J": 14, "C": 12, "W": 8}
    assert {k: n for k, n in wanted.items() if count[k] < n} == {}
    names = [c.name for c in CASES] + [d.name for d in DOCUMENTS] + [s.name for s in SUSPICIOUS]
    assert len(set(names)) == len(names) >= 110


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_it_is_refused_with_its_code(case: Case) -> None:
    with pytest.raises(BundleError) as caught:
        check_bundle(case.bundle, case.actions, source=case.source)
    found = caught.value.details["findings"]
    assert caught.value.code == case.code, found
    assert all(f["place"] and f["message"] for f in found)
    assert SECRET not in str(found) + caught.value.message


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: d.name)
def test_a_document_is_refused_with_its_code_and_place(document: documents.Document) -> None:
    with pytest.raises(BundleError) as caught:
        bundle_from_json(document.data, documents.ACTIONS, interpreters=documents.INTERPRETERS)
    found = caught.value.details["findings"]
    assert caught.value.code == document.code, found
    assert document.place in {"", *(f["place"] for f in found)}, found
    assert len(caught.value.message) < 1000


@pytest.mark.parametrize("case", SUSPICIOUS, ids=lambda c: c.name)
def test_a_suspicious_script_is_flagged_at_its_line(case: Suspicious) -> None:
    flags = content_flags(_running(case.script, case.lang))
    assert case.code in {f.code for f in flags}, flags
    assert (
        case.line in {f.line for f in flags if f.code == case.code}
        or case.code == "environment-sent"
        or "E" in case.script
    )
    assert {f.step for f in flags} == {"file.a:write_file"}
    assert all(f.code in FLAG_WORDS for f in flags)


@pytest.mark.parametrize("script", HARMLESS)
def test_an_ordinary_script_is_not_flagged(script: str) -> None:
    assert content_flags(_running(script, "sh")) == []


def test_the_corpus_of_suspicious_scripts_covers_every_code() -> None:
    assert {c.code for c in SUSPICIOUS} == set(FLAG_WORDS)


def _running(script: str, lang: str) -> Bundle:
    path = "scripts/file.a/write_file"
    runtime = {"python": "python3"}.get(lang, lang)
    return Bundle((Artifact(path, script.encode(), "0755", "p", lang),), (step("file.a:write_file", runtime, path),))


def test_nothing_is_written_for_any_of_them(home: Path) -> None:
    for case in CASES:
        with pytest.raises(BundleError):
            check_bundle(case.bundle, case.actions, source=case.source)
            stage(case.bundle, home)
    for document in DOCUMENTS:
        with pytest.raises(BundleError):
            stage(bundle_from_json(document.data, documents.ACTIONS, interpreters=documents.INTERPRETERS), home)


@pytest.mark.parametrize("path", ESCAPES.values(), ids=ESCAPES.keys())
def test_nothing_is_written_for_an_escape_even_unvalidated(path: str, home: Path) -> None:
    with pytest.raises(BundlePathError) as caught:
        stage(at_path(path), home)
    assert caught.value.code == PATH
