"""The server under test: the installed `triforium` command, in a process of its own."""

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import trio
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from livekit import api

from tests.e2e.line_process import LineReader

KEY, SECRET = "devkey", "secret" * 6  # as long as RFC 7518 wants it
START_SECONDS: Final = 15
STOP_SECONDS: Final = 5


class RunningServer:
    """Made by `open_server`. `url` is what clients connect to."""

    def __init__(self, process: trio.Process, url: str, log: Path) -> None:
        self.url = url
        self._process = process
        self._log = log

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def page(self) -> str:
        """Where the built-in page is."""
        return f"http{self.url.removeprefix('ws')}/"

    def authority_pin(self) -> str:
        """Return how Chromium is told to trust who has certified the server: the digest of that public key."""
        authority = x509.load_pem_x509_certificate((self._log.parent / "triforium" / "authority.crt").read_bytes())
        key = authority.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return base64.b64encode(hashlib.sha256(key).digest()).decode()

    def token(self, identity: str, kind: str = "standard", room: str = "lobby") -> str:
        grants = api.VideoGrants(room_join=True, room=room, can_update_own_metadata=True)
        return api.AccessToken(KEY, SECRET).with_identity(identity).with_grants(grants).with_kind(kind).to_jwt()

    def nominations(self) -> list[str]:
        """Return what the log says of the addresses that media went to, one line for each change of one."""
        return self._lines("media goes to")

    def undecodable(self) -> list[str]:
        """Return what the log says of tracks that somebody cannot have for want of their codec, one line for each."""
        return self._lines("cannot decode")

    async def stop(self) -> None:
        """Send SIGTERM, unless it was sent. The server has to close its room, complain of nothing, and end in time."""
        if self._process.returncode is None:
            self._process.terminate()
        with trio.fail_after(STOP_SECONDS):
            assert await self._process.wait() == 0
        log = self._log.read_text()
        assert "Traceback" not in log, f"something failed inside the server: see {self._log}"
        assert "room lobby closed" in log, f"the server ended without closing its room: see {self._log}"

    def _lines(self, words: str) -> list[str]:
        return [line for line in self._log.read_text().splitlines() if words in line]


@asynccontextmanager
async def open_server(
    folder: Path, config: Mapping[str, object], *, flags: Sequence[str] = ()
) -> AsyncIterator[RunningServer]:
    """Run `triforium serve --dev` with `config` for as long as the block lasts; its log goes to `server.log`."""
    file, log = folder / "triforium.yaml", folder / "server.log"
    file.write_text(json.dumps({"keys": {KEY: SECRET}, "logging": {"level": "debug"}} | config))  # JSON is YAML
    ports = ["--port", "0"] + ([] if "udp_port" in config.get("rtc", {}) else ["--udp-port", "0"])
    command = [Path(sys.executable).with_name("triforium"), "serve", "--dev", "--config", file, *ports, *flags]
    environment = os.environ | {"XDG_DATA_HOME": str(folder)}  # where an authority of its own is kept
    with log.open("wb") as errors:
        process = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE, stderr=errors, env=environment)
    try:
        async with trio.open_nursery() as nursery:
            lines = LineReader(process.stdout)
            server = RunningServer(process, await _find_url(lines), log)
            nursery.start_soon(_drain, lines)
            yield server
            await server.stop()
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()


async def _find_url(lines: LineReader) -> str:
    with trio.fail_after(START_SECONDS):
        while (line := await lines.read_line()) is not None:
            if found := re.search(rb"LIVEKIT_URL=(\S+)", line):
                return found[1].decode()
    raise AssertionError("the server ended without telling its address: see server.log")


async def _drain(lines: LineReader) -> None:
    """Read on, so that the server is never held up by what it says."""
    while await lines.read_line() is not None:
        pass
