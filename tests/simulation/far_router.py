"""A router between two processes, as far as a test can tell: its halves share nothing but two streams of bytes.

All that crosses is a message of proto/triforium/routing.proto, written at one end and read at the other.
"""

from collections import Counter
from contextlib import suppress
from typing import ClassVar

import trio

from sfu.routing import routing_pb2 as wire
from sfu.routing.router import Frame, MessageSink, MessageSource, SessionHost, SessionRefusedError
from sfu.routing.start import SessionStart, parse_session_start

WINDOW = 1000
"""Messages on their way."""


class FarRouter:
    """Serves each session by a host at the far end. `crossings` counts what has come from there."""

    crossings: ClassVar[Counter[str]] = Counter()

    def __init__(self, host: SessionHost) -> None:
        self._host = host

    async def serve(
        self,
        start: SessionStart,
        source: MessageSource,
        sink: MessageSink,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        up, far_up = trio.open_memory_channel[bytes](WINDOW)
        far_down, down = trio.open_memory_channel[bytes](WINDOW)
        refusal: SessionRefusedError | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._serve_far, far_up, far_down)
            message = wire.ToSession(start=wire.SessionStart.FromString(start.serialize()))
            await up.send(message.SerializeToString())
            async for data in down:
                answer = wire.FromSession.FromString(data)
                kind = answer.WhichOneof("message")
                self.crossings[kind] += 1
                if kind == "frame":
                    sink.send(_frame(answer.frame))
                elif kind == "started":
                    nursery.start_soon(_carry, source, up)
                    task_status.started()
                else:
                    refusal = SessionRefusedError(answer.refused.status, answer.refused.text)
            sink.close()
            nursery.cancel_scope.cancel("the session is over")
        if refusal is not None:
            raise refusal

    async def _serve_far(self, up: trio.MemoryReceiveChannel[bytes], down: trio.MemorySendChannel[bytes]) -> None:
        start = wire.ToSession.FromString(await up.receive()).start
        session = parse_session_start(start.SerializeToString())
        with down:
            try:
                async with trio.open_nursery() as nursery:
                    await nursery.start(self._host.serve, session, _FarSource(up), _FarSink(down))
                    down.send_nowait(wire.FromSession(started=wire.SessionStarted()).SerializeToString())
            except* SessionRefusedError as refusals:
                (refusal,) = refusals.exceptions
                refused = wire.SessionRefused(status=refusal.status, text=refusal.text)
                down.send_nowait(wire.FromSession(refused=refused).SerializeToString())


async def _carry(source: MessageSource, up: trio.MemorySendChannel[bytes]) -> None:
    with up, suppress(trio.EndOfChannel):
        while True:
            await up.send(wire.ToSession(frame=_message(await source.receive())).SerializeToString())


class _FarSource:
    def __init__(self, up: trio.MemoryReceiveChannel[bytes]) -> None:
        self._up = up

    async def receive(self) -> Frame:
        return _frame(wire.ToSession.FromString(await self._up.receive()).frame)


class _FarSink:
    def __init__(self, down: trio.MemorySendChannel[bytes]) -> None:
        self._down = down

    def send(self, frame: Frame) -> None:
        with suppress(trio.ClosedResourceError, trio.BrokenResourceError):
            self._down.send_nowait(wire.FromSession(frame=_message(frame)).SerializeToString())

    def close(self) -> None:
        self._down.close()


def _message(frame: Frame) -> wire.Frame:
    return wire.Frame(text=frame) if isinstance(frame, str) else wire.Frame(binary=frame)


def _frame(message: wire.Frame) -> Frame:
    return message.text if message.HasField("text") else message.binary
