"""What is inside a pack, as text: the logs are never among what is left out."""

from __future__ import annotations

from typing import Any

from clockwork_nb.render.packs import inspection_text

REPORT: dict[str, Any] = {
    "headline": "NOT VERIFIED",
    "file_name": "a.zip",
    "level": "none",
    "failure": {
        "code": "E_PACK_LIMIT",
        "message": "",
        "hint": "",
        "details": {},
        "file": "",
        "expected": "",
        "found": "",
    },
}


def inspected(files: list[dict[str, Any]]) -> list[str]:
    document = {
        "verified": True, "verification": REPORT, "job": {}, "acceptance": {}, "environment": {}, "decisions": [],
        "sections": [], "files": files, "not_included": [],
    }  # fmt: skip
    return inspection_text(document).splitlines()


def file(path: str, size: int) -> dict[str, Any]:
    return {"path": path, "size": size, "sha256": "cd" * 32}


def test_an_ordinary_pack_shows_every_file() -> None:
    files = [file(f"clockwork/sections/{n}/plan.json", 1000 + n) for n in range(30)] + [
        file("clockwork/logs/1-0001.1.out", 3)
    ]
    shown = inspected(files)
    assert all(any(f["path"] in line for line in shown) for f in files)
    assert "more (--json shows all)" not in shown[-1]


def test_of_many_files_the_logs_are_shown_and_the_smallest_others_are_not() -> None:
    logs = [file(f"clockwork/logs/1-{n:04d}.1.err", n) for n in range(1, 21)]
    others = [file(f"clockwork/artifacts/1/scripts/s{n}.sh", 5000 + n) for n in range(60)]
    shown = inspected([*others, *logs])
    assert all(any(f["path"] in line for line in shown) for f in logs)
    assert any("/s59.sh" in line for line in shown) and not any("/s0.sh" in line for line in shown)
    assert shown[-1] == "  and 40 more (--json shows all)"
