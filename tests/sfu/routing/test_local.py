"""Within one process a session gets what it would get from another one, and what flows is handed over as it is."""

import pytest
import trio
from livekit.protocol.rtc import JoinRequest

from sfu.model import Claims, Identity, RoomName
from sfu.routing.local import LocalRouter
from sfu.routing.router import Frame, MessageSink, MessageSource, SessionRefusedError
from sfu.routing.start import SessionStart

START = SessionStart(
    RoomName("lobby"), Claims(identity=Identity("alice")), JoinRequest(participant_sid="PA_x"), single_connection=True
)


class Sink:
    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.is_closed = False

    def send(self, frame: Frame) -> None:
        self.frames.append(frame)

    def close(self) -> None:
        self.is_closed = True


class Host:
    """Remembers the start, and says again what it hears."""

    def __init__(self) -> None:
        self.start: SessionStart | None = None
        self.is_over = False

    async def serve(
        self,
        start: SessionStart,
        source: MessageSource,
        sink: MessageSink,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        self.start = start
        if start.room == "full":
            raise SessionRefusedError(500, "full")
        try:
            task_status.started()
            while True:
                sink.send(await source.receive())
        except trio.EndOfChannel:
            sink.close()
        finally:
            self.is_over = True


async def test_a_session_gets_the_start_written_and_read_again_and_the_frames_themselves(
    nursery: trio.Nursery,
) -> None:
    host, sink = Host(), Sink()
    client, source = trio.open_memory_channel[Frame](0)
    await nursery.start(LocalRouter(host).serve, START, source, sink)
    assert host.start == START
    assert host.start is not None
    assert host.start.join is not START.join
    frames: list[Frame] = [b"one" * 100, "two" * 100]
    for frame in frames:
        await client.send(frame)
    await client.aclose()
    await trio.testing.wait_all_tasks_blocked()
    assert all(got is sent for got, sent in zip(sink.frames, frames, strict=True))
    assert sink.is_closed


async def test_a_refusal_comes_back(nursery: trio.Nursery) -> None:
    host, sink = Host(), Sink()
    start = SessionStart(RoomName("full"), Claims(), JoinRequest(), single_connection=True)
    _, source = trio.open_memory_channel[Frame](0)
    with pytest.raises(SessionRefusedError) as refusal:
        await LocalRouter(host).serve(start, source, sink)
    assert (refusal.value.status, refusal.value.text, sink.frames) == (500, "full", [])


async def test_who_cancels_the_router_ends_the_session() -> None:
    host = Host()
    _client, source = trio.open_memory_channel[Frame](0)
    async with trio.open_nursery() as nursery:
        await nursery.start(LocalRouter(host).serve, START, source, Sink())
        nursery.cancel_scope.cancel()
    assert host.is_over
