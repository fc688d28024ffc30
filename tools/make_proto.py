"""Make Python modules of the schemas in `proto/`: `make proto`. With `--check`: see whether they are up to date."""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parent.parent
SCHEMA = "triforium/routing.proto"
TARGET = ROOT / "sfu" / "routing"

HEADER = f"""# Made from proto/{SCHEMA} by `make proto`.
# What the compiler writes is not in our style:
# ruff: noqa: PGH004
# ruff: noqa
# mypy: disable-error-code=type-arg
# fmt: off
"""


def main() -> None:
    with TemporaryDirectory() as scratch:
        outputs = [f"--{kind}_out={scratch}" for kind in ("python", "pyi")]
        command = [sys.executable, "-m", "grpc_tools.protoc", f"--proto_path={ROOT / 'proto'}", *outputs, SCHEMA]
        subprocess.run(command, check=True)
        made = {
            TARGET / file.name: HEADER + file.read_text() for file in (Path(scratch) / SCHEMA).parent.glob("*_pb2.py*")
        }
    if "--check" in sys.argv:
        stale = [file.name for file, text in made.items() if not file.exists() or file.read_text() != text]
        if stale:
            raise SystemExit(f"older than proto/{SCHEMA}: {', '.join(sorted(stale))}; `make proto` makes them anew")
    else:
        for file, text in made.items():
            file.write_text(text)


if __name__ == "__main__":
    main()
