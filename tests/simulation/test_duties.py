"""The page that says what a room does names tests that there are."""

import re
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parent.parent
PAGE = TESTS.parent / "docs" / "rooms.md"


def rows() -> Iterator[tuple[str, str]]:
    """Yield each duty, with the cell beside it."""
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| ") and cells[0] not in {"it does", "---"}:
            duty, shown_by = cells
            yield duty, shown_by


def test_every_duty_of_a_room_names_tests_that_there_are() -> None:
    missing = []
    for duty, shown_by in rows():
        named = re.findall(r"(?:([\w/]+\.py): )?`(test_\w+)`", shown_by)
        assert named, f"nothing shows that {duty}"
        path = ""
        for file, test in named:
            path = file or path
            if not re.search(rf"^(async )?def {test}\(", (TESTS / path).read_text(), re.MULTILINE):
                missing.append(f"{path}: {test}")
    assert not missing
    assert len(list(rows())) > 40
