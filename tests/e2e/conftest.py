"""Where a test's logs and screenshots are kept, and the ends of its logs in what pytest says of a failure."""

import re
import shutil
from collections.abc import Generator
from pathlib import Path
from typing import Final

import pytest

ARTIFACTS: Final = Path(__file__).parents[2] / "build" / "e2e"
LINES: Final = 60
"""Of each log."""


@pytest.fixture
def folder(request: pytest.FixtureRequest) -> Path:
    """An empty folder of the test's own, which stays when the test is over."""
    path = folder_of(request.node)
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "call" and report.failed:
        for log in sorted(folder_of(item).glob("*.log")):
            lines = log.read_text(errors="replace").splitlines()
            report.sections.append((f"end of {log.name}", "\n".join(lines[-LINES:])))
    return report


def folder_of(item: pytest.Item) -> Path:
    return ARTIFACTS / re.sub(r"\W+", "-", item.name).strip("-")
