"""Requests on in-memory streams: answers, limits, deadlines, fences."""

import logging

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair, wait_all_tasks_blocked

from signaling.http import admission, exchange
from signaling.http.admission import Admission
from signaling.http.errors import HttpError
from signaling.http.exchange import Exchange
from signaling.http.listener import serve_stream
from signaling.http.routes import Routes
from tests.signaling.client import Client

ORIGIN = {"Origin": "http://localhost:5173"}


async def ok(an_exchange: Exchange) -> None:
    await an_exchange.respond(200, b"OK")


async def echo(an_exchange: Exchange) -> None:
    await an_exchange.respond(200, await an_exchange.body(), content_type="application/octet-stream")


# The answers below were recorded from LiveKit's server 1.13.4.


async def test_health_answers_ok_with_cors(nursery: trio.Nursery) -> None:
    client = Client(nursery, ok)
    answer = await client.get("/", ORIGIN)
    assert (answer.status, answer.body) == (200, b"OK")
    assert answer.headers == {
        "Access-Control-Allow-Origin": "http://localhost:5173",
        "Access-Control-Expose-Headers": "*",
        "Vary": "Origin",
        "Content-Length": "2",
        "Content-Type": "text/plain; charset=utf-8",
    }
    assert (await client.get("/")).headers == {
        "Vary": "Origin",
        "Content-Length": "2",
        "Content-Type": "text/plain; charset=utf-8",
    }


async def test_head_has_the_headers_of_get_and_no_body(nursery: trio.Nursery) -> None:
    client = Client(nursery, ok)
    answer = await client.ask("HEAD", "/", ORIGIN)
    assert (answer.status, answer.body, answer.headers["Content-Length"]) == (200, b"", "2")
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN["Origin"]
    assert (await client.get("/")).body == b"OK"  # on the same connection


async def test_an_unknown_path_is_not_found(nursery: trio.Nursery) -> None:
    answer = await Client(nursery, ok).get("/nosuch", ORIGIN)
    assert (answer.status, answer.text) == (404, "404 page not found\n")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN["Origin"]


@pytest.mark.parametrize("path", ["/", "/rtc/validate", "/nosuch", "/twirp/livekit.RoomService/CreateRoom"])
async def test_a_preflight_is_granted_on_any_path(nursery: trio.Nursery, path: str) -> None:
    asked = ORIGIN | {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    answer = await Client(nursery, ok).ask("OPTIONS", path, asked)
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers == {
        "Access-Control-Allow-Headers": "authorization,content-type",
        "Access-Control-Allow-Methods": "POST",
        "Access-Control-Allow-Origin": "http://localhost:5173",
        "Access-Control-Max-Age": "86400",
        "Vary": "Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
    }


async def test_a_preflight_for_an_unlisted_method_grants_nothing(nursery: trio.Nursery) -> None:
    answer = await Client(nursery, ok).ask("OPTIONS", "/", ORIGIN | {"Access-Control-Request-Method": "PUT"})
    assert answer.status == 204
    assert answer.headers == {"Vary": "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"}


async def test_options_without_a_preflight_is_an_ordinary_request(nursery: trio.Nursery) -> None:
    assert (await Client(nursery, ok).ask("OPTIONS", "/")).body == b"OK"


async def test_a_handler_may_override_what_every_answer_carries(nursery: trio.Nursery) -> None:
    async def anybody(an_exchange: Exchange) -> None:
        await an_exchange.body()
        raise HttpError(401, "no", {"Access-Control-Allow-Origin": "*"})

    answer = await Client(nursery, anybody).get("/", ORIGIN)
    assert (answer.status, answer.body, answer.headers["Access-Control-Allow-Origin"]) == (401, b"no", "*")


@pytest.mark.parametrize("target", ["/rtc/validate?a=1", "//rtc/validate?a=1", "http://host:7880/rtc/validate?a=1"])
async def test_leading_slashes_and_absolute_targets_are_tolerated(nursery: trio.Nursery, target: str) -> None:
    async def validate(an_exchange: Exchange) -> None:
        await an_exchange.respond(200, an_exchange.request.parameter("a").encode())

    assert (await Client(nursery, Routes({"/rtc/validate": validate})).get(target)).body == b"1"


async def test_a_path_with_a_slash_at_its_end_stands_for_all_below(nursery: trio.Nursery) -> None:
    client = Client(nursery, Routes({"/": ok, "/twirp/": echo}))
    assert (await client.ask("POST", "/twirp/livekit.RoomService/ListRooms", body=b"{}")).body == b"{}"
    assert (await client.get("/twir")).status == 404


async def test_the_client_address_is_what_the_proxy_says(nursery: trio.Nursery) -> None:
    async def whoami(an_exchange: Exchange) -> None:
        await an_exchange.respond(200, an_exchange.request.client_address.encode())

    client = Client(nursery, whoami)
    assert (await client.get("/", {"X-Real-IP": "10.0.0.1"})).text == "10.0.0.1"
    assert (await client.get("/", {"X-Real-IP": "10.0.0.1", "x-forwarded-for": "1.2.3.4, 5.6.7.8"})).text == (
        "1.2.3.4, 5.6.7.8"
    )
    assert (await client.get("/", {"X-Forwarded-For": "1.2.3.4", "CF-Connecting-IP": "9.9.9.9"})).text == "9.9.9.9"


async def test_bodies_arrive_whole_and_the_connection_goes_on(nursery: trio.Nursery) -> None:
    client = Client(nursery, echo)
    for body in (b"x" * 100_000, b"", b"y"):
        assert (await client.ask("POST", "/", body=body)).body == body


async def test_a_body_that_nobody_read_does_not_become_a_request(nursery: trio.Nursery) -> None:
    client = Client(nursery, ok)
    assert (await client.ask("POST", "/", body=b"GET / HTTP/1.1")).body == b"OK"
    assert (await client.get("/")).body == b"OK"


async def test_a_body_that_says_it_is_too_large_is_refused_unread(nursery: trio.Nursery) -> None:
    client = Client(nursery, echo)
    size = exchange.MAX_BODY_BYTES + 1
    await client.stream.send_all(f"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {size}\r\n\r\n".encode())
    answer = await client.closed()
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert answer.endswith(b"\r\n\r\nrequest body too large")


async def test_a_body_that_lies_about_its_size_is_cut_off(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    client = Client(nursery, echo)
    await client.stream.send_all(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
    chunk = b"100000\r\n" + bytes(0x100000) + b"\r\n"
    for _ in range(10):
        await client.stream.send_all(chunk)
    await client.stream.send_all(b"1\r\nx\r\n")
    assert b"request body too large" in await client.closed()


async def test_a_slow_body_is_given_up(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    client = Client(nursery, echo)
    await client.stream.send_all(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nx")
    assert (await client.closed()).startswith(b"HTTP/1.1 408 ")
    assert trio.current_time() == exchange.BODY_SECONDS + exchange.LINGER_SECONDS


async def test_a_client_that_waits_for_permission_to_send_gets_it(nursery: trio.Nursery) -> None:
    client = Client(nursery, echo)
    await client.stream.send_all(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
    assert (await client.stream.receive_some()).startswith(b"HTTP/1.1 100 ")
    await client.stream.send_all(b"hi")
    assert (await client.stream.receive_some()).endswith(b"hi")


async def test_a_head_must_come_in_time(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    client = Client(nursery, ok)
    await client.stream.send_all(b"GET / HT")
    assert await client.closed() == b""
    assert trio.current_time() >= exchange.HEAD_SECONDS


async def test_an_idle_connection_closes(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    client = Client(nursery, ok)
    await client.get("/")
    assert await client.closed() == b""
    assert trio.current_time() == exchange.IDLE_SECONDS


async def test_a_trickled_head_has_the_deadline_of_its_first_byte(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    client = Client(nursery, ok)
    await client.get("/")
    await trio.sleep(30)
    with pytest.raises(trio.BrokenResourceError):
        await trickle(client.stream, b"GET / HTTP/1.1\r\n")
    assert trio.current_time() == 30 + exchange.HEAD_SECONDS


async def trickle(stream: trio.abc.Stream, data: bytes) -> None:
    for byte in data:
        await stream.send_all(bytes([byte]))
        await trio.sleep(1)


@pytest.mark.parametrize(
    ("noise", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", b"400"),  # a TLS client on a plain port
        (b"GET / HTTP/1.1\r\n\r\n", b"400"),  # no Host
        (b"GET /?" + b"&".join([b"a=1"] * 1_001) + b" HTTP/1.1\r\nHost: h\r\n\r\n", b"400"),
        (b"GET /" + b"x" * exchange.MAX_HEAD_BYTES, b"431"),
        (b"GET / HTTP/1.1\r\nHost: h\r\n" + b"a:\r\n" * exchange.MAX_HEADERS + b"\r\n", b"431"),
    ],
)
async def test_what_is_no_request_is_refused(
    nursery: trio.Nursery, autojump_clock: MockClock, noise: bytes, status: bytes
) -> None:
    client = Client(nursery, ok)
    await client.stream.send_all(noise)
    assert (await client.closed()).split()[1] == status


async def test_a_long_request_line_is_read(nursery: trio.Nursery) -> None:
    async def length(an_exchange: Exchange) -> None:
        await an_exchange.respond(200, str(len(an_exchange.request.parameter("join_request"))).encode())

    assert (await Client(nursery, length).get(f"/?join_request={'x' * 700_000}")).body == b"700000"


async def test_in_a_full_house_whoever_has_waited_longest_makes_room(nursery: trio.Nursery) -> None:
    house = Admission(max_guests=2)
    first, second = Client(nursery, ok, house), Client(nursery, ok, house)
    assert [(await each.get("/")).status for each in (first, second, first)] == [200] * 3
    third = Client(nursery, ok, house)
    assert await second.closed() == b""
    assert (house.guests, house.turned_away) == (2, 1)
    assert [(await each.get("/")).status for each in (third, first)] == [200] * 2
    for each in (first, third):
        await each.stream.aclose()
    await wait_all_tasks_blocked()
    assert house.guests == 0


class Deaf(trio.abc.SendStream):
    """Takes nothing, as TLS does until the client has said hello, and never ends what was begun."""

    async def wait_send_all_might_not_block(self) -> None:
        await trio.sleep_forever()

    async def send_all(self, data: object) -> None:
        await trio.sleep_forever()

    async def aclose(self) -> None:
        await trio.sleep_forever()


async def test_whoever_makes_room_keeps_no_socket_by_not_listening(autojump_clock: MockClock) -> None:
    house, gone = Admission(max_guests=1), trio.Event()
    _, far = memory_stream_pair()

    async def serve_the_deaf() -> None:
        await serve_stream(Routes({"/": ok}), house, trio.StapledStream(Deaf(), far.receive_stream))
        gone.set()

    with trio.fail_after(1):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve_the_deaf)
            await wait_all_tasks_blocked()
            assert (await Client(nursery, ok, house).get("/")).status == 200
            await gone.wait()
            nursery.cancel_scope.cancel("nobody else is to be served")


async def test_whoever_is_vouched_for_is_no_guest(nursery: trio.Nursery) -> None:
    async def known(an_exchange: Exchange) -> None:
        an_exchange.vouch()
        await an_exchange.respond(200, await an_exchange.body())

    house = Admission(max_guests=1, max_held_bytes=1_000)
    client = Client(nursery, known, house)
    await client.ask("POST", "/", body=b"x" * 900)
    assert (house.guests, house.held_bytes) == (0, 0)
    assert (await client.ask("POST", "/", body=b"x" * 5_000)).status == 200
    await client.stream.aclose()
    await wait_all_tasks_blocked()
    assert (house.guests, house.held_bytes) == (0, 0)


async def test_guests_may_hold_so_much_in_all(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    house = Admission(max_held_bytes=100_000)
    first, second = Client(nursery, ok, house), Client(nursery, ok, house)
    await first.stream.send_all(b"GET /" + b"x" * 60_000)
    await wait_all_tasks_blocked()
    await second.stream.send_all(b"GET /" + b"x" * 60_000)
    assert (await second.closed()).startswith(b"HTTP/1.1 503 ")
    assert house.held_bytes == 60_005
    await first.stream.aclose()
    await wait_all_tasks_blocked()
    assert (house.guests, house.held_bytes) == (0, 0)


def test_the_limits_are_those_of_the_product() -> None:
    assert (admission.MAX_GUESTS, admission.MAX_HELD_BYTES) == (1_000, 32 * 1024 * 1024)
    assert (exchange.MAX_HEAD_BYTES, exchange.MAX_BODY_BYTES) == (1024 * 1024, 10 * 1024 * 1024)


async def test_a_handler_that_fails_ends_its_request_only(
    nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    async def fails(an_exchange: Exchange) -> None:
        async with trio.open_nursery() as inner:
            inner.start_soon(trio.lowlevel.checkpoint)
            raise LookupError("planted")

    client = Client(nursery, Routes({"/": ok, "/bad": fails}))
    answer = await client.get("/bad")
    assert (answer.status, answer.text) == (500, "internal server error")
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR] == ["GET /bad failed"]
    assert (await client.get("/")).status == 200


async def test_a_handler_that_answers_nothing_is_an_error(nursery: trio.Nursery) -> None:
    async def silent(an_exchange: Exchange) -> None:
        await trio.lowlevel.checkpoint()

    assert (await Client(nursery, silent).get("/")).status == 500


@pytest.mark.parametrize("target", ["example.com:443", "/"])
async def test_connect_is_refused_and_the_connection_goes_on(nursery: trio.Nursery, target: str) -> None:
    client = Client(nursery, ok)
    await client.stream.send_all(b"CONNECT %s HTTP/1.1\r\nHost: h\r\n\r\n" % target.encode())
    refused = bytes(await client.stream.receive_some(65536))
    assert refused.startswith(b"HTTP/1.1 405 ")
    assert b"\r\nAllow: " in refused
    assert (await client.get("/")).status == 200


async def test_a_flood_of_headers_is_refused_before_its_end(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    client = Client(nursery, ok)
    with trio.move_on_after(1):
        await client.stream.send_all(b"GET / HTTP/1.1\r\nHost: h\r\n" + b"a:\r\n" * 100_000)
    assert (await client.closed()).split()[1] == b"431"
    assert trio.current_time() < exchange.HEAD_SECONDS


async def test_the_lines_of_a_body_are_not_those_of_a_head(nursery: trio.Nursery) -> None:
    client = Client(nursery, echo)
    body = b"\n" * 2 * exchange.MAX_HEADERS
    assert (await client.ask("POST", "/", body=body)).body == body
    assert (await client.ask("POST", "/", body=body)).body == body
