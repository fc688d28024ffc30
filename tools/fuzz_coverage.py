"""Say how much of `rtp/` the fuzz targets reach: `python tools/fuzz_coverage.py [--fuzz-inputs=N]`, from the root.

Runs only the fuzz tests, under coverage, and fails if they fail or take fewer than `MINIMUM_PERCENT` of the branches.
A branch that fuzzing does not reach is a parser without a target, or one whose seeds lack a case.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Final

import coverage
import pytest

MINIMUM_PERCENT: Final = 80.0


def main(options: list[str]) -> int:
    measure = coverage.Coverage(data_file=None, branch=True, source=["rtp"])
    with measure.collect():
        failed = pytest.main(["-q", "-p", "no:cacheprovider", "tests/fuzz/test_fuzz.py", *options])
    if failed:
        return int(failed)
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "coverage.json")
        measure.json_report(outfile=str(report))
        found = json.loads(report.read_text())
    for name, file in sorted(found["files"].items(), key=lambda item: _missing(item[1]), reverse=True):
        if missing := _missing(file):
            print(f"{missing:5} of {file['summary']['num_branches']:5} branches not taken in {name}")
    totals = found["totals"]
    percent = 100 * totals["covered_branches"] / totals["num_branches"]
    print(f"fuzz targets take {percent:.1f} % of the branches of rtp (at least {MINIMUM_PERCENT:.0f} % wanted)")
    return int(percent < MINIMUM_PERCENT)


def _missing(file: dict[str, dict[str, int]]) -> int:
    return file["summary"]["missing_branches"]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
