"""The documentation of the contract runs, and what it shows in the repository is what it shows today.

``python -m tests.notebooks.test_contract_notebook`` runs the notebook and writes what it shows into its file.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import nbformat
import pytest

from clockwork_nb import errors
from clockwork_nb.testing.project import Project
from tests.notebooks.runbooks import left_behind, output, project_in, shown, statuses

CONTRACT = Path(__file__).resolve().parents[2] / "notebooks" / "contract.ipynb"
REFRESH = "python -m tests.notebooks.test_contract_notebook"

pytestmark = pytest.mark.notebook


def executed(env: Mapping[str, str]) -> Any:
    """Return the notebook after a run with a plain client, each cell's output in one piece."""
    from nbclient import NotebookClient

    notebook = nbformat.read(CONTRACT, as_version=4)
    metadata = dict(notebook.metadata)
    NotebookClient(notebook, timeout=100, record_timing=False).execute(env=dict(env), cwd=str(CONTRACT.parent))
    for cell in notebook.cells:
        if cell.cell_type == "code" and cell.outputs:
            assert {o.get("name", o.output_type) for o in cell.outputs} == {"stdout"}, cell.id
            text = "".join(o.text for o in cell.outputs)
            cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=text)]
    notebook.metadata = nbformat.from_dict(metadata)
    return notebook


def steady(text: str) -> str:
    """Return *text* without what differs from run to run and from machine to machine: digests, dates, figures, names."""
    text = re.sub(r"\b[0-9a-f]{4}…[0-9a-f]{4}\b|\b[0-9a-f]{8,64}\b|SHA256:\S+|\bap_\w+", "#", text)
    text = re.sub(r'\bby \S+(?= "| \()|(?<=\(auto, )\w+', "by #", text)
    text = re.sub(r"\S*\d\S*", "#", text)
    return re.sub(r"[ \t]+", " ", re.sub(r"# +(?:ms|s|min)\b", "#", text))


# --- the file -------------------------------------------------------------------------------------------------------


def test_the_file_is_valid_and_was_run_from_top_to_bottom() -> None:
    notebook = nbformat.read(CONTRACT, as_version=4)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert notebook.metadata == {
        "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    ids = [c.id for c in notebook.cells]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch("[a-z-]+", i) for i in ids)
    code = [c for c in notebook.cells if c.cell_type == "code"]
    assert [c.execution_count for c in code] == list(range(1, len(code) + 1))
    assert all(c.metadata == {} for c in notebook.cells)


def test_nothing_of_the_machine_it_was_run_on_is_in_the_file() -> None:
    text = CONTRACT.read_text()
    assert not re.search(r"/tmp/|/home/|/root/|/Users/|site-packages|Traceback|\\u001b", text)


def test_no_output_fills_a_screen() -> None:
    for cell in nbformat.read(CONTRACT, as_version=4).cells:
        if cell.cell_type == "code" and cell.outputs:
            assert cell.outputs[0].text.count("\n") <= 36, cell.id


def test_its_table_names_every_code_with_its_exit_status() -> None:
    (cell,) = [c for c in nbformat.read(CONTRACT, as_version=4).cells if c.id == "exit-codes"]
    rows: dict[int, str] = {}
    status = 0
    for line in cell.outputs[0].text.splitlines():
        status = int(line[:3]) if line[:3].strip() else status
        rows[status] = rows.get(status, "") + line[3:]
    for name in errors.__all__:
        error = getattr(errors, name)
        assert re.search(rf"\b{error.code}\b", rows[error.exit_code]), name


# --- a run with a plain client --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Path]]:
    """The notebook after a run among variables that would change a job, and the folder its user's things would be in."""
    place = tmp_path_factory.mktemp("contract")
    (place / "tmp").mkdir()
    env = {k: v for k, v in os.environ.items() if not k.startswith(("CW_", "CLOCKWORK_"))}
    env |= {
        "TMPDIR": str(place / "tmp"),
        "CLOCKWORK_HOME": str(place / "store"),
        "XDG_CONFIG_HOME": str(place / "config"),
        "IPYTHONDIR": str(place / "ipython"),
        "CW_AUTO_APPROVE": "1",
        "CW_JOB_ID": "job_of_somebody_else",
    }
    yield executed(env), place


def test_every_cell_shows_what_the_file_shows(fresh: tuple[Any, Path]) -> None:
    kept = nbformat.read(CONTRACT, as_version=4)
    for ours, now in zip(kept.cells, fresh[0].cells, strict=True):
        if ours.cell_type == "code":
            before, after = ("".join(o.text for o in cell.outputs) for cell in (ours, now))
            assert steady(after) == steady(before), f"cell {ours.id} shows something else now; if it should: {REFRESH}"


def test_a_run_leaves_nothing_behind_and_touches_nothing_of_its_users(fresh: tuple[Any, Path]) -> None:
    place = fresh[1]
    assert list((place / "tmp").glob("clockwork-*")) == []
    assert not (place / "store").exists()
    assert not (place / "config").exists()
    assert not (CONTRACT.parent / "clockwork-out").exists()


# --- as a runbook ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = project_in(tmp_path_factory.mktemp("runbook"))
    shutil.copy(CONTRACT, project.folder)
    project.run("runbook", "run", "contract.ipynb")
    return project


def test_as_a_runbook_it_is_one_finished_job_with_its_own_verified_pack(ran: Project) -> None:
    (job,) = ran.jobs()
    assert job["status"] == "completed"
    saved = output(ran, job["id"])
    assert set(statuses(saved)) == {"completed"}
    assert ran.run("jobpack", "verify", job["id"]).out.startswith("VERIFIED  signed")
    assert left_behind(ran) == []


def test_what_it_claims_is_shown_in_the_saved_notebook(ran: Project) -> None:
    saved = output(ran, ran.jobs()[0]["id"])
    submitted = shown(saved, "submit")
    assert "needs approval" in submitted
    assert submitted.endswith("exit 4\n\n")
    flipped = re.match(r"by hand: line (\d+) does not have its hash\n", shown(saved, "flip-a-byte"))
    assert flipped
    assert f"record {flipped[1]}: a record's hash does not fit its content (midfile)" in shown(saved, "flip-a-byte")
    assert "unfinished write" in shown(saved, "tear-the-tail")
    assert "E_STORE_CORRUPT" in shown(saved, "lose-the-end")
    assert "scripts changed" in shown(saved, "edit-and-approve")
    assert "moved: bundle\n" in shown(saved, "edit-and-approve")
    assert "E_ENV_FINGERPRINT_MISMATCH" in shown(saved, "resume")
    assert shown(saved, "resume").endswith("exit 3\n\n")
    assert shown(saved, "verify-pack").splitlines()[1].startswith("VERIFIED  signed")
    assert "digests are right" in shown(saved, "digests")
    assert "is signed" in shown(saved, "dsse")
    assert "this is another pack than the one that was named" in shown(saved, "receipt")
    assert "B is the longer log of the same job" in shown(saved, "diff")
    tampered = shown(saved, "tamper-with-it")
    assert tampered.count("NOT VERIFIED") == tampered.count("exit 2") == 2
    assert "E_VERIFY_HASH_MISMATCH" in tampered
    assert "E_SIG_SUBJECT" in tampered
    stranger = shown(saved, "trust")
    assert stranger.index("UNKNOWN SIGNER") < stranger.index("trusted  SHA256:") < stranger.index("VERIFIED  signed")


if __name__ == "__main__":
    nbformat.write(executed(os.environ), CONTRACT)
