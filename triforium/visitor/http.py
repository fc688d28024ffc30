"""One HTTP request on a stream of its own, from the client's end."""

from collections.abc import Mapping
from dataclasses import dataclass

import h11
import trio

from rtp.units import Address
from triforium.visitor.world import VisitorWorld

_READ_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Request:
    """What to ask; the headers that every request has need not be named."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Response:
    """An answer; the names of its headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


async def ask(world: VisitorWorld, server: Address, request: Request) -> Response:
    """Ask once, and wait for the answer.

    Raises:
        OSError: nobody is there.
        trio.BrokenResourceError: the connection broke.
        h11.RemoteProtocolError: what came is no HTTP, or was cut short.
    """
    host, port = server
    every = {"Host": f"[{host}]:{port}" if ":" in host else f"{host}:{port}", "Connection": "close"} | dict(
        request.headers
    )
    if request.body:
        every["Content-Length"] = str(len(request.body))
    http = h11.Connection(h11.CLIENT)
    head = h11.Request(method=request.method, target=request.target, headers=list(every.items()))
    parts = (head, h11.Data(data=request.body), h11.EndOfMessage())
    async with await world.connect(server) as stream:
        await stream.send_all(b"".join(http.send(part) or b"" for part in parts))
        return await _receive(http, stream)


async def _receive(http: h11.Connection, stream: trio.abc.Stream) -> Response:
    head: h11.Response | None = None
    body = b""
    while not isinstance(event := http.next_event(), h11.EndOfMessage):
        if event is h11.NEED_DATA:
            http.receive_data(bytes(await stream.receive_some(_READ_BYTES)))
        elif isinstance(event, h11.Response):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
    assert head is not None, "an answer has a head"
    return Response(head.status_code, {name.decode(): value.decode() for name, value in head.headers}, body)
