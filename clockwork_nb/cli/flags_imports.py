"""Flags of ``job import``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from clockwork_nb.cli.verbs import add_json

if TYPE_CHECKING:
    from clockwork_nb.cli.verbs import Verbs

__all__ = ["add_to_job_group"]


def add_to_job_group(jobs: Verbs) -> None:
    """Add the verb to the verbs of ``clockwork job``."""
    text = "look into a Wrkr job folder and export it as a pack; it is never changed, and never becomes a job here"
    jobs.add("import", text, _import, add_json, module="clockwork_nb.cli.imports", run="job_import")


def _import(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="FOLDER", help="the job's folder, like ~/.wrkr/jobs/ID")
    parser.add_argument("--export", action="store_true", help="write its pack as well")
    parser.add_argument("--out-dir", metavar="DIR", help="output root (default clockwork-out)")
    parser.add_argument("--unsigned", action="store_true", help="leave the signature out")
