"""Where a test's logs and screenshots are kept."""

import re
import shutil
from pathlib import Path

import pytest

ARTIFACTS = Path(__file__).parents[2] / "build" / "e2e"


@pytest.fixture
def folder(request: pytest.FixtureRequest) -> Path:
    """An empty folder of the test's own, which stays when the test is over."""
    path = ARTIFACTS / re.sub(r"\W+", "-", request.node.name).strip("-")
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path
