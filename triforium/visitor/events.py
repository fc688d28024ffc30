"""Server-sent events from the reader's end (the HTML standard, section 9.2), as far as WHEP's extension uses them."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import h11
import trio

from rtp.units import Address
from triforium.visitor.world import VisitorWorld

_READ_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Event:
    """One event; `data` is what its JSON says."""

    name: str
    data: Any


class EventReader:
    """What `open_events` yields. `status` is the answer's: if it is not 200 there are no events."""

    def __init__(self, http: h11.Connection, stream: trio.abc.Stream) -> None:
        self.status = 0
        self._http = http
        self._stream = stream
        self._text = ""

    async def receive(self) -> Event | None:
        """Wait for the next event; None: there will be none. Raises h11.RemoteProtocolError if it is cut short."""
        while "\n\n" not in self._text:
            part = await self.next_part()
            if part is None:
                return None
            self._text += part.decode()
        block, _, self._text = self._text.partition("\n\n")
        fields = dict(line.split(": ", 1) for line in block.split("\n") if not line.startswith(":"))
        return Event(fields["event"], json.loads(fields["data"])) if fields else await self.receive()

    async def next_part(self) -> bytes | None:
        """Wait for the head, which is an empty part, or for a part of the body; None at its end."""
        while (event := self._http.next_event()) is h11.NEED_DATA:
            self._http.receive_data(bytes(await self._stream.receive_some(_READ_BYTES)))
        if isinstance(event, h11.Response):
            self.status = event.status_code
            return b""
        return bytes(event.data) if isinstance(event, h11.Data) else None


@asynccontextmanager
async def open_events(world: VisitorWorld, server: Address, path: str) -> AsyncIterator[EventReader]:
    """Read an event stream inside the block. Raises OSError if nobody is there."""
    http = h11.Connection(h11.CLIENT)
    head = h11.Request(method="GET", target=path, headers=[("Host", "triforium"), ("Accept", "text/event-stream")])
    async with await world.connect(server) as stream:
        await stream.send_all(b"".join(http.send(part) or b"" for part in (head, h11.EndOfMessage())))
        reader = EventReader(http, stream)
        await reader.next_part()
        yield reader
