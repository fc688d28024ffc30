"""One client's connection, and each request on it with its answer (HTTP/1.1, RFC 9112); h11 knows the protocol."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Final

import h11
import trio

from signaling.http.admission import Guest
from signaling.http.cors import cors_headers
from signaling.http.errors import HttpError
from signaling.http.request import Request, parse_request
from signaling.http.websocket import WebSocketConnection, accept_handshake, check_handshake

MAX_HEAD_BYTES: Final = 1024 * 1024
"""A join request holds a whole SDP offer, and a token up to 512 KiB of metadata."""

MAX_HEADERS: Final = 200
"""A head of a million short lines would be a second's work, in which nobody's media moves."""

MAX_BODY_BYTES: Final = 10 * 1024 * 1024
HEAD_SECONDS: Final = 10.0
BODY_SECONDS: Final = 30.0
SEND_SECONDS: Final = 30.0
IDLE_SECONDS: Final = 60.0
"""How long a connection may stay open between requests."""

LINGER_SECONDS: Final = 0.5
"""How long we read on after a last answer: closing at once could destroy it on its way (RFC 9112 §9.6)."""

TEXT: Final = "text/plain; charset=utf-8"

_READ_BYTES: Final = 16 * 1024


class HttpConnection:
    """Reads requests from one stream, and writes their answers."""

    def __init__(self, stream: trio.abc.Stream, guest: Guest, peer: str) -> None:
        self._stream = stream
        self._guest = guest
        self._peer = peer
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
        self._requests = 0

    async def next_request(self) -> Request | None:
        """Wait for the head of the next request; None if there will be none.

        Raises:
            HttpError: if it is not HTTP, too long, or more than we can keep just now.
        """
        deadline = trio.current_time() + (IDLE_SECONDS if self._requests else HEAD_SECONDS)
        lines = 0
        while (event := self._next_event()) is h11.NEED_DATA:
            if lines > 1 + MAX_HEADERS:  # so far all was head, and the last piece of it is a small one
                raise HttpError(431, "too many header fields")
            with trio.move_on_at(deadline) as patience:
                lines += await self._receive()
            if patience.cancelled_caught:
                return None
            deadline = min(deadline, trio.current_time() + HEAD_SECONDS)
        if not isinstance(event, h11.Request):
            return None
        if len(event.headers) > MAX_HEADERS:
            raise HttpError(431, "too many header fields")
        self._requests += 1
        return parse_request(event, self._peer)

    async def receive_body(self) -> bytes:
        """Read what follows the head. Raises HttpError: 413 if it is too large, 408 if it is too slow."""
        body = bytearray()
        deadline = trio.current_time() + BODY_SECONDS
        if self._http.they_are_waiting_for_100_continue:
            await self._send(h11.InformationalResponse(status_code=100, headers=[]))
        while not isinstance(event := self._next_event(), h11.EndOfMessage):
            if isinstance(event, h11.Data):
                body += event.data
                if len(body) > MAX_BODY_BYTES:
                    raise HttpError(413, "request body too large")
            elif event is h11.NEED_DATA:
                with trio.move_on_at(deadline) as patience:
                    await self._receive()
                if patience.cancelled_caught:
                    raise HttpError(408, "request body too slow")
            else:  # the client is gone
                raise HttpError(400, "request body cut short")
        return bytes(body)

    async def respond(self, status: int, headers: Mapping[str, str], body: bytes = b"") -> None:
        """Answer the request, or what was not even one."""
        reason = HTTPStatus(status).phrase.encode("ascii")
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        parts = (
            h11.Response(status_code=status, headers=raw, reason=reason),
            *([h11.Data(data=body)] if body else []),
            h11.EndOfMessage(),
        )
        await self._send(*parts)

    async def begin(self, headers: Mapping[str, str]) -> None:
        """Begin an answer (200) whose body comes in parts, as long as there is something to say."""
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        await self._send(h11.Response(status_code=200, headers=raw, reason=b"OK"))

    async def send_part(self, data: bytes) -> None:
        """Send one part of the body that `begin` began."""
        await self._send(h11.Data(data=data))

    async def end(self) -> None:
        """End what `begin` began."""
        await self._send(h11.EndOfMessage())

    def check_switch(self) -> None:
        """Check that `switch` can follow. Raises HttpError (400) if the request has a body, or is HTTP/1.0."""
        if self._http.their_state is h11.SEND_BODY:
            self._next_event()
        if self._http.their_state is h11.SEND_BODY or self._http.their_http_version == b"1.0":
            raise HttpError(400, "Bad Request\nwebsocket: not a handshake")

    async def switch(self, headers: list[tuple[str, str]]) -> tuple[trio.abc.Stream, bytes]:
        """Answer 101: from now on the stream is the caller's, with what has been received of it already."""
        raw = [(name.encode("ascii"), value.encode("ascii")) for name, value in headers]
        await self._send(h11.InformationalResponse(status_code=101, headers=raw, reason=b"Switching Protocols"))
        received, _ = self._http.trailing_data
        self._guest.release()
        return self._stream, received

    def vouch(self) -> None:
        """Count this socket's bearer as known, until it closes."""
        self._guest.leave()

    def start_next(self) -> bool:
        """Make ready for another request on this connection; False if there can be none."""
        try:
            while self._http.their_state is h11.SEND_BODY and isinstance(self._next_event(), h11.Data):
                pass  # a small body that nobody asked for
        except HttpError:
            return False
        if self._http.states != {h11.CLIENT: h11.DONE, h11.SERVER: h11.DONE}:
            return False
        self._http.start_next_cycle()
        self._guest.release()
        return True

    async def linger(self) -> None:
        """Let a client that may still be sending read our last answer before the connection goes."""
        if self._http.their_state not in {h11.IDLE, h11.SEND_BODY, h11.ERROR}:
            return
        with trio.move_on_after(LINGER_SECONDS):
            while await self._stream.receive_some(_READ_BYTES):
                pass

    def _next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        try:
            return self._http.next_event()
        except h11.RemoteProtocolError as error:
            raise HttpError(error.error_status_hint, HTTPStatus(error.error_status_hint).phrase) from error

    async def _receive(self) -> int:
        """Receive a piece; return how many lines end in it."""
        received = await self._stream.receive_some(_READ_BYTES)
        self._guest.hold(len(received))
        self._http.receive_data(bytes(received))
        return received.count(b"\n")

    async def _send(self, *parts: h11.Event) -> None:
        data = b"".join(self._http.send(part) or b"" for part in parts)
        with trio.move_on_after(SEND_SECONDS) as patience:
            await self._stream.send_all(data)
        if patience.cancelled_caught:
            raise trio.BrokenResourceError("the client does not read its answer")


class Exchange:
    """One request, and the means to answer it: once, by `respond`, `begin` or `upgrade`."""

    def __init__(self, connection: HttpConnection, request: Request) -> None:
        self.request = request
        self.is_answered = False
        self._connection = connection

    def vouch(self) -> None:
        """Say that the client is authenticated: its socket no longer counts among the unknown."""
        self._connection.vouch()

    async def body(self) -> bytes:
        """Read the request's body, once. Raises HttpError: 413, 408, or 400 if it is cut short."""
        length = self.request.header("Content-Length")
        if length.isdecimal() and int(length) > MAX_BODY_BYTES:
            raise HttpError(413, "request body too large")
        return await self._connection.receive_body()

    async def respond(
        self,
        status: int,
        body: bytes = b"",
        *,
        content_type: str = TEXT,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Answer, with the headers that every answer carries and `headers` before them."""
        assert not self.is_answered, "a request is answered once"
        self.is_answered = True
        every = dict(cors_headers(self.request))
        if body:
            every["Content-Type"] = content_type
        if status != HTTPStatus.NO_CONTENT:
            every["Content-Length"] = str(len(body))
        is_head = self.request.method == "HEAD"
        await self._connection.respond(status, every | dict(headers or {}), b"" if is_head else body)

    async def begin(
        self, *, content_type: str, headers: Mapping[str, str] | None = None
    ) -> Callable[[bytes], Awaitable[None]]:
        """Begin to answer in parts; return what sends one. `end` ends it."""
        assert not self.is_answered, "a request is answered once"
        self.is_answered = True
        every = dict(cors_headers(self.request)) | {"Content-Type": content_type}
        await self._connection.begin(every | dict(headers or {}))
        return self._connection.send_part

    async def end(self) -> None:
        """End the answer that `begin` began."""
        await self._connection.end()

    def check_upgrade(self) -> None:
        """Check that `upgrade` can follow. Raises HttpError (400) if the client asked for no WebSocket that we could give."""
        check_handshake(self.request)
        self._connection.check_switch()

    async def upgrade(self) -> WebSocketConnection:
        """Accept the WebSocket that the client asked for. The connection is over when the handler returns.

        Raises:
            HttpError: 400, if the handshake is not one.
        """
        assert not self.is_answered, "a request is answered once"
        self.check_upgrade()
        headers, deflate = accept_handshake(self.request)
        self.is_answered = True
        self.request = replace(self.request, query={})  # the socket may live for hours, and a join request is long
        stream, received = await self._connection.switch(headers)
        return WebSocketConnection(stream, deflate, received)
