"""Programs that know nothing of LiveKit: aiortc publishes by WHIP and watches by WHEP, FFmpeg publishes by WHIP."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest
import trio
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from rtp.certificate import Certificate
from tests.e2e.line_process import LineProcess, open_line_process
from tests.e2e.meeting import COLOURS, HERE, SINGLE, WAIT_SECONDS, Kind, Meeting, open_meeting

pytestmark = pytest.mark.e2e

GREEN: Final = (40, 160, 40)
POLL_SECONDS: Final = 0.1


@asynccontextmanager
async def open_peer(folder: Path, name: str) -> AsyncIterator[LineProcess]:
    async with open_line_process(name, [sys.executable, HERE / "aiortc_client.py"], folder / f"{name}.log") as peer:
        yield peer


def address(meeting: Meeting, path: str) -> str:
    return f"{meeting.server.page}{path}"


async def sees_and_hears(peer: LineProcess, colour: tuple[int, int, int]) -> None:
    """Wait until a peer has decoded new pictures of that colour, and sound."""
    before = await peer.call("state")
    with trio.fail_after(WAIT_SECONDS):
        while True:
            state = await peer.call("state")
            is_new = state["frames"] >= before["frames"] + 8 and state["energy"] > before["energy"] + 0.001
            if is_new and state["colour"] == pytest.approx(colour, abs=25):
                return
            await trio.sleep(POLL_SECONDS)


async def test_aiortc_publishes_by_whip_and_watches_by_whep(folder):
    async with open_meeting(folder) as meeting:
        alice = await meeting.invite("alice", Kind.PYTHON, SINGLE)
        await alice.join()
        async with open_peer(folder, "camera") as camera, open_peer(folder, "tv") as tv:
            token = meeting.server.token("camera")
            await camera.call("publish", url=address(meeting, "whip/v1"), token=token, colour=GREEN, frequency=600)
            view = await alice.until(
                lambda view: view.video("camera").frames >= 8 and view.audio("camera").energy > 0.1
            )
            assert view.video("camera").colour == pytest.approx(GREEN, abs=25)
            assert view.audio("camera").frequency == pytest.approx(600, abs=10)

            await tv.call("watch", url=address(meeting, "whep/v1"), token=meeting.server.token("tv"))
            await sees_and_hears(tv, GREEN)
            assert await camera.call("leave") == 200
            await alice.until(lambda view: "camera" not in view.participants)
            await alice.publish()
            await sees_and_hears(tv, COLOURS["alice"])
            assert await tv.call("leave") == 200


def write_certificate(folder: Path) -> tuple[Path, Path]:
    """Write a certificate and its key. FFmpeg makes its own where it is built with OpenSSL; PyAV's is not."""
    made = Certificate.generate(not_before=datetime.now(tz=UTC))
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    certificate.write_bytes(made.x509.public_bytes(Encoding.PEM))
    key.write_bytes(made.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return certificate, key


async def test_ffmpeg_publishes_by_whip(folder):
    async with open_meeting(folder) as meeting:
        alice = await meeting.invite("alice", Kind.PYTHON, SINGLE)
        await alice.join()
        where = (address(meeting, "whip/v1"), meeting.server.token("camera"), *write_certificate(folder))
        command = [sys.executable, HERE / "ffmpeg_client.py", *where, ",".join(map(str, GREEN)), "600"]
        async with open_line_process("ffmpeg", command, folder / "ffmpeg.log"):
            view = await alice.until(
                lambda view: view.video("camera").frames >= 8 and view.audio("camera").energy > 0.1
            )
            assert view.video("camera").colour == pytest.approx(GREEN, abs=25)
            assert view.audio("camera").frequency == pytest.approx(600, abs=10)
        await alice.until(lambda view: "camera" not in view.participants)
