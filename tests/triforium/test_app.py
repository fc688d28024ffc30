"""A whole server, embedded and under the command line. Real sockets on loopback, and the real clock."""

import http.client
import re
import signal
import subprocess
import sys
import time
from functools import partial

import msgspec
import pytest
import trio

import triforium
from signaling import tokens
from triforium import Config, RtcConfig, StartError
from triforium.config import PrometheusConfig

CONFIG = Config(
    port=0,
    bind_addresses=("127.0.0.1", "::1"),
    keys={"key": "a secret of more than thirty-two letters"},
    rtc=RtcConfig(udp_port=0, enable_loopback_candidate=True),
)


def ask(host: str, port: int, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


async def asked(host: str, port: int, path: str) -> tuple[int, bytes]:
    return await trio.to_thread.run_sync(ask, host, port, path)


async def test_it_serves_on_one_port_of_every_address_for_as_long_as_the_block_lasts() -> None:
    async with triforium.serve(CONFIG) as server:
        assert server.url == f"ws://127.0.0.1:{server.port}"
        for host in CONFIG.bind_addresses:
            assert await asked(host, server.port, "/") == (200, b"OK")
        token = server.token("lobby", "alice")
        assert await asked("::1", server.port, f"/rtc/validate?access_token={token}") == (200, b"success")
    with pytest.raises(ConnectionRefusedError):
        await asked("127.0.0.1", server.port, "/")


async def test_metrics_have_a_port_of_their_own() -> None:
    async with triforium.serve(CONFIG) as server:
        free = server.port
    config = msgspec.structs.replace(CONFIG, prometheus=PrometheusConfig(port=free))
    async with triforium.serve(config) as server:
        for host in CONFIG.bind_addresses:
            status, text = await asked(host, free, "/metrics")
            assert status == 200
            assert b"livekit_room_total" in text
        assert (await asked("127.0.0.1", server.port, "/metrics"))[0] == 404
    with pytest.raises(ConnectionRefusedError):
        await asked("127.0.0.1", free, "/metrics")


async def test_its_tokens_say_who_and_where() -> None:
    async with triforium.serve(CONFIG) as server:
        claims = tokens.verify(server.token("lobby", "alice"), CONFIG.keys, time.time())
    assert claims.identity == "alice"
    assert claims.video is not None
    assert (claims.video.room, claims.video.room_join) == ("lobby", True)


async def test_a_taken_port_is_one_clear_line() -> None:
    async with triforium.serve(CONFIG) as server:
        taken = Config(port=server.port, bind_addresses=("::1", "127.0.0.1"), keys=CONFIG.keys, rtc=CONFIG.rtc)
        with pytest.raises(StartError, match=f"cannot listen on ::1 port {server.port}: "):
            async with triforium.serve(taken):
                pass


TRIFORIUM = [sys.executable, "-m", "triforium"]
SERVE = [*TRIFORIUM, "serve", "--dev", "--port", "0", "--udp-port", "0"]


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
async def test_the_command_prints_how_to_join_and_stops_on_a_signal(stop: signal.Signals) -> None:
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            run = partial(trio.run_process, SERVE, stdout=subprocess.PIPE)
            process: trio.Process = await nursery.start(run)
            assert process.stdout is not None
            printed = b""
            while b"browser" not in printed:
                printed += await process.stdout.receive_some()
            found = re.search(
                r"export LIVEKIT_URL=(\S+) LIVEKIT_API_KEY=devkey LIVEKIT_API_SECRET=secret", printed.decode()
            )
            assert found is not None
            assert await asked("127.0.0.1", int(found[1].rpartition(":")[2]), "/") == (200, b"OK")
            process.send_signal(stop)  # run_process raises if the exit status is another than 0


async def test_what_cannot_start_ends_with_status_2_and_one_line() -> None:
    async with triforium.serve(CONFIG) as server:
        command = [*TRIFORIUM, "serve", "--dev", "--port", str(server.port)]
        ended = await trio.run_process(command, capture_stdout=True, capture_stderr=True, check=False)
    assert (ended.returncode, ended.stdout) == (2, b"")
    assert ended.stderr.decode().splitlines() == [
        f"triforium: cannot listen on 127.0.0.1 port {server.port}: Address already in use"
    ]
