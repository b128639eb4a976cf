"""Flags of ``job import``."""

from __future__ import annotations

from typing import Any

__all__ = ["add_to_job_group"]


def add_to_job_group(jobs: Any) -> None:
    """Add the verb to the verbs of ``clockwork job``."""
    text = "look into a Wrkr job folder and export it as a pack; it is never changed, and never becomes a job here"
    parser = jobs.add_parser("import", help=text, description=text[:1].upper() + text[1:] + ".")
    parser.set_defaults(module="clockwork_nb.cli.imports", run="job_import")
    parser.add_argument("folder", metavar="FOLDER", help="the job's folder, like ~/.wrkr/jobs/ID")
    parser.add_argument("--export", action="store_true", help="write its pack as well")
    parser.add_argument("--out-dir", metavar="DIR", help="output root (default clockwork-out)")
    parser.add_argument("--unsigned", action="store_true", help="leave the signature out")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
