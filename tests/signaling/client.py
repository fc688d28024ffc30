"""An HTTP client on an in-memory stream, whose other end the server has."""

import base64
import gzip
from collections.abc import Mapping
from dataclasses import dataclass

import h11
import trio
from livekit.protocol.rtc import JoinRequest, WrappedJoinRequest
from trio.testing import memory_stream_pair

from signaling.http.admission import Admission
from signaling.http.listener import serve_stream
from signaling.http.routes import Handler, Routes


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


class HttpClient:
    """One connection to a server."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self._http = h11.Connection(h11.CLIENT)

    async def ask(
        self, method: str, target: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        """Send a request and wait for its answer."""
        if self._http.our_state is h11.DONE:
            self._http.start_next_cycle()  # on the connection that is kept
        every = {"Host": "triforium.test"} | dict(headers or {})
        if body:
            every["Content-Length"] = str(len(body))
        request = self._http.send(h11.Request(method=method, target=target, headers=list(every.items())))
        data = self._http.send(h11.Data(data=body)) if body else b""
        end = self._http.send(h11.EndOfMessage())
        await self.stream.send_all((request or b"") + (data or b"") + (end or b""))
        return await self.answer()

    async def get(self, target: str, headers: Mapping[str, str] | None = None) -> Answer:
        return await self.ask("GET", target, headers)

    async def answer(self) -> Answer:
        """Wait for an answer."""
        head: h11.Response | h11.InformationalResponse | None = None
        body = b""
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                self._http.receive_data(bytes(await self.stream.receive_some(65536)))
            elif isinstance(event, h11.Response | h11.InformationalResponse):
                head = event
                if event.status_code == 101:
                    break
            elif isinstance(event, h11.Data):
                body += event.data
            else:
                break
        assert head is not None, f"the server closed without an answer: {event}"
        headers = {name.decode(): value.decode() for name, value in head.headers.raw_items()}
        return Answer(head.status_code, headers, body)

    async def closed(self) -> bytes:
        """Wait until the server closes the connection; what it sent until then."""
        received = b""
        while data := await self.stream.receive_some(65536):
            received += data
        return received


class Client(HttpClient):
    """One connection to a server that runs in `nursery`."""

    def __init__(self, nursery: trio.Nursery, routes: Routes | Handler, admission: Admission | None = None) -> None:
        if not isinstance(routes, Routes):
            routes = Routes({"/": routes})
        near, far = memory_stream_pair()
        super().__init__(near)
        nursery.start_soon(serve_stream, routes, admission or Admission(), far)


UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


def packed(request: JoinRequest, *, compress: bool = True) -> str:
    """A join request as the `join_request` parameter has it."""
    message = request.SerializeToString()
    if compress:
        wrapped = WrappedJoinRequest(compression="GZIP", join_request=gzip.compress(message, mtime=0))
    else:
        wrapped = WrappedJoinRequest(join_request=message)
    return base64.urlsafe_b64encode(wrapped.SerializeToString()).decode()
