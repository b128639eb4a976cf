"""Where everything is required (``CW_REQUIRE_ALL=1``, as in CI) a test that skips itself has failed, and properties are
tried on the same examples each time: what fails there was changed. Elsewhere each run tries others.
"""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest
from hypothesis import settings

settings.register_profile("ci", derandomize=True)
if os.environ.get("CW_REQUIRE_ALL") == "1":
    settings.load_profile("ci")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip into a failure that says what is missing; outside CI leave it a skip."""
    report = yield
    # No system package brings terraform; its answers are recorded in tests/data for where it is missing. Go is 250 MB.
    if item.get_closest_marker("terraform") is None and item.get_closest_marker("go") is None:
        _fail_if_skipped(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Do the same for a module that skips itself as a whole."""
    report = yield
    _fail_if_skipped(report)
    return report


def _fail_if_skipped(report: pytest.TestReport | pytest.CollectReport) -> None:
    if report.skipped and os.environ.get("CW_REQUIRE_ALL") == "1":
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome, report.longrepr = "failed", f"everything is required here, and this was skipped: {reason}"
