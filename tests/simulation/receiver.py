"""Whoever takes webhooks, and a house that sends them."""

import base64
import hashlib
from collections.abc import Mapping
from contextlib import asynccontextmanager

import jwt
import trio
from google.protobuf.json_format import Parse
from livekit.protocol.webhook import WebhookEvent

from signaling.webhooks import UnreachableError
from tests.simulation.house import KEY, SECRET, open_house
from triforium.config import RoomConfig, WebhookConfig
from triforium.testing.world import wall_clock

URL = "https://back-end.test/webhook"


class Receiver:
    """Takes webhooks. What `answers` says comes first, one for each post: a status, seconds to hang, or no answer."""

    def __init__(self, *answers: float | None, then: float | None = 200) -> None:
        self.posts: list[tuple[float, str, WebhookEvent]] = []
        self.taken: list[WebhookEvent] = []
        self.bodies: list[bytes] = []
        self.busy = 0
        self._answers = list(answers)
        self._then = then

    @property
    def names(self) -> list[str]:
        return [event.event for event in self.taken]

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        event = Parse(body, WebhookEvent())
        self.posts.append((trio.current_time(), url, event))
        check_signature(body, headers)
        answer = self._answers.pop(0) if self._answers else self._then
        if isinstance(answer, float):
            await trio.sleep(answer)
            answer = 200
        await trio.lowlevel.checkpoint()
        if answer is None:
            raise UnreachableError("nobody there")
        if 200 <= answer < 300:
            self.taken.append(event)
            self.bodies.append(body)
        return answer


def check_signature(body: bytes, headers: Mapping[str, str]) -> None:
    """Verify a post as LiveKit's WebhookReceiver does: the bare token, and the hash of exactly these bytes."""
    assert headers["Content-Type"] == "application/webhook+json"
    unchecked = {"verify_exp": False, "verify_nbf": False, "verify_iat": False}  # the clock is virtual
    said = jwt.decode(headers["Authorization"], SECRET, algorithms=["HS256"], options=unchecked)
    assert said["sha256"] == base64.b64encode(hashlib.sha256(body).digest()).decode()
    assert (said["iss"], said["exp"] - said["nbf"], said["nbf"]) == (KEY, 300, int(wall_clock()))


@asynccontextmanager
async def open_hooked(receiver: Receiver, *urls: str, room: RoomConfig | None = None):
    webhook = WebhookConfig(urls=urls or (URL,), api_key=KEY)
    async with open_house(config={"webhook": webhook}, room=room, post=receiver.post) as house:
        yield house
