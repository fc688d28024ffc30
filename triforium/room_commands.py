"""`triforium rooms`, `participants` and `agents`: a look at a server that runs, and an end to what happens there."""

import time
from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import urlsplit

import click
import trio

from triforium.failing import fail
from triforium.operating import (
    close_room,
    list_agents,
    list_participants,
    list_rooms,
    mute_participant,
    printable,
    remove_participant,
    show_room,
)
from triforium.options import API_KEY, API_SECRET
from triforium.posting import open_ask
from triforium.server_api import ServerApi, ServerApiError

ANSWER_SECONDS: Final = 10
"""A server that takes longer is not well. It lists thousands of people in less."""

_SCHEMES: Final = {"http": "http", "https": "https", "ws": "http", "wss": "https"}


def _server_options(command: Callable[..., None]) -> Callable[..., None]:
    """Ask for the server, and for what opens it."""
    for option in (
        API_SECRET,
        API_KEY,
        click.option(
            "--url",
            envvar="LIVEKIT_URL",
            default="http://127.0.0.1:7880",
            show_default=True,
            show_envvar=True,
            help="Where the server is; ws: and wss: will do.",
        ),
    ):
        command = option(command)
    return command


@click.group()
def rooms() -> None:
    """Look at the rooms of a server that runs, and close them.

    The server is the one that LIVEKIT_URL, LIVEKIT_API_KEY and LIVEKIT_API_SECRET name: `triforium serve --dev` prints
    the line that exports them. Any key of the server's will do.

    Example: triforium rooms show lobby
    """


@rooms.command("list")
@_server_options
def rooms_list(**server: str) -> None:
    """List the rooms that are open.

    Example: triforium rooms list
    """
    _print(server, list_rooms)


@rooms.command("show")
@click.argument("room")
@_server_options
def rooms_show(room: str, **server: str) -> None:
    """Show a room, those who are in it, and what they publish.

    Example: triforium rooms show lobby
    """
    _print(server, show_room, room)


@rooms.command("close")
@click.argument("room")
@_server_options
def rooms_close(room: str, **server: str) -> None:
    """End a room: everybody in it is told, and has to leave.

    Whoever joins afterwards opens it anew, if the server's `room.auto_create` lets them.

    Example: triforium rooms close lobby
    """
    _print(server, close_room, room)


@click.group()
def participants() -> None:
    """Look at those who are in a room of a server that runs; remove or mute them.

    The server is the one that LIVEKIT_URL, LIVEKIT_API_KEY and LIVEKIT_API_SECRET name: `triforium serve --dev` prints
    the line that exports them. Any key of the server's will do.

    Example: triforium participants list lobby
    """


@participants.command("list")
@click.argument("room")
@_server_options
def participants_list(room: str, **server: str) -> None:
    """List those who are in a room, and what they publish.

    Example: triforium participants list lobby
    """
    _print(server, list_participants, room)


@participants.command("remove")
@click.argument("room")
@click.argument("identity")
@_server_options
def participants_remove(room: str, identity: str, **server: str) -> None:
    """Send somebody out of a room.

    Their token lets them in again, unless the server's `room.removal_revokes` is set.

    Example: triforium participants remove lobby alice
    """
    _print(server, remove_participant, room, identity)


@participants.command("mute")
@click.argument("room")
@click.argument("identity")
@click.argument("track", required=False)
@_server_options
def participants_mute(room: str, identity: str, track: str | None, **server: str) -> None:
    """Mute what somebody publishes: one TRACK, by its sid or its source, or all.

    They can unmute it themselves.

    Example: triforium participants mute lobby alice microphone
    """
    _print(server, mute_participant, room, identity, track)


@click.command()
@_server_options
def agents(**server: str) -> None:
    """List the agents' workers that are registered with a server that runs, and the jobs that are not over.

    A job that waits says what for.

    Example: triforium agents
    """
    _print(server, list_agents)


def _print(server: dict[str, str], act: Callable[..., Awaitable[str]], *words: str | None) -> None:
    """Print what `act` returns of the server, or end with status 2."""
    try:
        click.echo(trio.run(_act, server, act, words))
    except ServerApiError as error:
        fail(printable(str(error)))


async def _act(server: dict[str, str], act: Callable[..., Awaitable[str]], words: tuple[Any, ...]) -> str:
    base = _http_address(server["url"])
    api = ServerApi(open_ask(base), server["api_key"], server["api_secret"], time.time)
    try:
        with trio.fail_after(ANSWER_SECONDS):
            return await act(api, *words)
    except trio.TooSlowError as error:
        raise ServerApiError(f"no answer from {base} within {ANSWER_SECONDS} s") from error


def _http_address(url: str) -> str:
    """Return where the API is that belongs to a server's address. Raises ServerApiError."""
    try:
        parts = urlsplit(url)
        is_whole = bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, or a bracket that is not closed
        is_whole = False
    if not is_whole or parts.scheme not in _SCHEMES:
        raise ServerApiError(f"--url: expected an address such as ws://127.0.0.1:7880, not {url!r}")
    return f"{_SCHEMES[parts.scheme]}://{parts.netloc}{parts.path.rstrip('/')}"
