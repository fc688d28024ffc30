"""`triforium rooms`, `participants`, `agents` and `ports` as commands: their words, and one real server over sockets."""

import os
import socket
from functools import partial
from pathlib import Path

import click
import msgspec
import pytest
import trio
from click.testing import CliRunner, Result

import triforium
from tests.triforium.test_app import CONFIG, TRIFORIUM
from triforium.cli import main
from triforium.config import Config, HttpsConfig, PrometheusConfig, RtcConfig
from triforium.port_command import listening
from triforium.visitor import open_visitor, real_world

V4, V6 = "198.51.100.4", "2001:db8::4"
PAIR = {"LIVEKIT_API_KEY": "devkey", "LIVEKIT_API_SECRET": "secret"}

COMMANDS: list[tuple[tuple[str, ...], click.Command]] = [
    ((str(group.name), name), command)
    for group in (main.commands["rooms"], main.commands["participants"])
    if isinstance(group, click.Group)
    for name, command in group.commands.items()
] + [(("agents",), main.commands["agents"])]


def run(*arguments: str, env: dict[str, str | None] | None = None) -> Result:
    return CliRunner().invoke(main, arguments, env=env)


async def command(*words: str, **environment: str) -> tuple[int, str]:
    """Run the command with what opens a server of CONFIG; return its status and all that it printed."""
    key, secret = next(iter(CONFIG.keys.items()))
    pair = {"LIVEKIT_API_KEY": key, "LIVEKIT_API_SECRET": secret}
    with trio.fail_after(20):
        ended = await trio.run_process(
            [*TRIFORIUM, *words],
            capture_stdout=True,
            capture_stderr=True,
            check=False,
            env=os.environ | pair | environment,
        )
    return ended.returncode, (ended.stdout + ended.stderr).decode().rstrip()


async def test_a_server_is_looked_at_and_moderated_by_the_command_over_sockets() -> None:
    async with triforium.serve(CONFIG) as server:
        there = partial(command, LIVEKIT_URL=server.url)
        async with open_visitor(
            real_world(), server.url, server.token("lobby", "alice"), single_connection=True
        ) as alice:
            await alice.wait_connected()
            status, shown = await there("rooms", "show", "lobby")
            assert status == 0
            assert shown.splitlines()[-1].startswith("alice ")
            assert await there("participants", "remove", "lobby", "alice") == (0, "removed alice from lobby")
        assert await there("participants", "remove", "lobby", "alice") == (
            2,
            "triforium: participant does not exist",
        )
        assert await there("agents") == (0, "no worker is registered\n\nno job is open")
        assert await there("rooms", "close", "lobby") == (0, "closed lobby; 0 in it")
        assert await there("rooms", "close", "lobby") == (2, "triforium: no such room: lobby")


def test_a_server_that_is_not_there_is_named_with_status_2() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # and never listened on: nobody else gets the port
        port = bound.getsockname()[1]
        ended = run("rooms", "list", "--url", f"ws://127.0.0.1:{port}", env=PAIR)
    assert ended.exit_code == 2
    assert ended.stderr.startswith(f"triforium: no server answers at http://127.0.0.1:{port}: ")
    assert len(ended.stderr.splitlines()) == 1


async def test_a_server_whose_certificate_is_not_trusted_is_told_from_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    async with triforium.serve(msgspec.structs.replace(CONFIG, https=HttpsConfig(enabled=True))) as server:
        assert server.authority is not None
        there = partial(command, LIVEKIT_URL=server.url)
        status, said = await there("rooms", "list")
        assert (status, len(said.splitlines())) == (2, 1)
        assert "certificate verify failed" in said
        assert await there("rooms", "list", SSL_CERT_FILE=str(server.authority.file)) == (0, "no room is open")


@pytest.mark.parametrize(
    "url", ["127.0.0.1:7880", "ftp://host", "ws://", "ws://host:port", "ws://[::1", "http://host:0"]
)
def test_what_is_no_address_is_refused_with_an_example(url: str) -> None:
    ended = run("rooms", "list", "--url", url, env=PAIR)
    assert (ended.exit_code, len(ended.stderr.splitlines())) == (2, 1)
    assert ended.stderr == f"triforium: --url: expected an address such as ws://127.0.0.1:7880, not {url!r}\n"


def test_without_a_key_it_is_said_where_one_can_be_put() -> None:
    ended = run("rooms", "list", env=dict.fromkeys(PAIR))
    assert ended.exit_code == 2
    assert "LIVEKIT_API_KEY" in ended.stderr


@pytest.mark.parametrize(("path", "command"), COMMANDS)
def test_the_example_in_each_commands_help_is_one_of_it(path: tuple[str, ...], command: click.Command) -> None:
    shown = run(*path, "--help").stdout
    example = next(line for line in shown.splitlines() if "Example: " in line).partition("Example: ")[2]
    words = example.split()
    assert words[: 1 + len(path)] == ["triforium", *path]
    with command.make_context(path[-1], [*words[1 + len(path) :], "--api-key", "k", "--api-secret", "s"]) as context:
        assert context.args == []


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (Config(), ["tcp 7880 * HTTP", f"udp 7882 {V4} media", f"udp 7882 {V6} media"]),
        (
            Config(bind_addresses=(V4,), port=0, https=HttpsConfig(enabled=True), rtc=RtcConfig(udp_port=0)),
            [f"tcp any free one {V4} HTTPS", f"udp any free one {V4} media"],
        ),
        (
            Config(bind_addresses=(V4,), prometheus=PrometheusConfig(port=6789), rtc=RtcConfig(udp_port="7882-7892")),
            [f"tcp 7880 {V4} HTTP", f"tcp 6789 {V4} metrics", f"udp first free of 7882-7892 {V4} media"],
        ),
        (
            Config(bind_addresses=(V4,), rtc=RtcConfig(node_ip="192.0.2.7")),
            [f"tcp 7880 {V4} HTTP", f"udp 7882 {V4} media, offered as 192.0.2.7"],
        ),
    ],
    ids=["default", "any port", "range and metrics", "node_ip"],
)
def test_ports_are_those_that_a_firewall_has_to_let_in(config: Config, expected: list[str]) -> None:
    rows = listening(config, (V4, V6))
    shortened = [
        " ".join(row).removesuffix(": signalling, API, page").replace("HTTP: metrics", "metrics") for row in rows
    ]
    assert shortened == expected


def test_ports_are_told_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "triforium.yaml"
    file.write_text("port: 8000\nbind_addresses: [127.0.0.1]\nrtc: {enable_loopback_candidate: true}\nkeys: {a: b}\n")
    ended = run("ports", "--config", str(file), env={"LIVEKIT_KEYS": None})
    assert [line.split()[:3] for line in ended.stdout.splitlines()] == [
        ["PROTOCOL", "PORT", "ADDRESS"],
        ["tcp", "8000", "127.0.0.1"],
        ["udp", "7882", "127.0.0.1"],
    ]


def test_ports_of_what_cannot_be_read_end_with_status_2(tmp_path: Path) -> None:
    ended = run("ports", "--config", str(tmp_path / "none.yaml"))
    assert (ended.exit_code, len(ended.stderr.splitlines())) == (2, 1)
    assert "cannot be read" in ended.stderr
