"""The `triforium` command."""

import difflib
import logging
import os
import re
import secrets
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

import click
import msgspec
import segno
import trio

from sfu.model import Claims, Identity, VideoGrant
from signaling import tokens
from triforium.app import AUTHORITY_PATH, Server, StartError, run_until_signalled
from triforium.config import ConfigError
from triforium.failing import fail
from triforium.loading import load
from triforium.logs import set_up_logging
from triforium.options import API_KEY, API_SECRET
from triforium.port_command import show_ports
from triforium.recipes import whep_recipes, whip_recipes
from triforium.room_commands import agents, participants, rooms

logger = logging.getLogger(__name__)

_LETTERS: Final = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789"
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@click.group()
@click.version_option(package_name="triforium")
def main() -> None:
    """A WebRTC media server that LiveKit's clients connect to unchanged."""


@main.command()
@click.option("--dev", is_flag=True, help="Listen on this machine only, with a key and a secret known to everybody.")
@click.option("--config", "file", type=click.Path(path_type=Path), help="A file in LiveKit's YAML.")
@click.option("--port", type=int, help="HTTP and WebSocket; 0 takes any free one.")
@click.option("--udp-port", type=int, help="Media; 0 takes any free one.")
@click.option("--https", is_flag=True, help="Serve TLS on all addresses, by a local authority unless files are set.")
def serve(*, dev: bool, file: Path | None, port: int | None, udp_port: int | None, https: bool) -> None:
    """Run the server until SIGTERM or SIGINT."""
    try:
        config, warnings = load(
            file=file, environment=os.environ, is_development=dev, port=port, udp_port=udp_port, is_https=https
        )
        set_up_logging(config.logging)
        for warning in warnings:
            logger.warning(warning)
        trio.run(run_until_signalled, config, _announce)
    except (ConfigError, StartError) as error:
        fail(str(error))


def _announce(server: Server) -> None:
    offered = ", ".join(f"{host} port {port}" for host, port in server.media_addresses)
    click.echo(f"Triforium listens on {server.url}, and offers {offered} (UDP) for media")
    if server.config.development:
        key, secret = next(iter(server.config.keys.items()))
        click.echo(f"export LIVEKIT_URL={server.url} LIVEKIT_API_KEY={key} LIVEKIT_API_SECRET={secret}")
        click.echo("To join, give any LiveKit client this address, and the token that this prints:")
        click.echo("  triforium create-token --room lobby --identity alice")
        click.echo(f"or open http{server.url.removeprefix('ws')}/ in a browser.")
    if server.is_secure:
        _announce_https(server)


def _announce_https(server: Server) -> None:
    """Say how phones get in, and who else does."""
    if not server.config.bind_addresses:
        click.echo("It listens on all addresses of this machine: whoever is on its networks can connect.")
    if server.config.development and not server.config.bind_addresses:
        click.echo("With --dev, that is all it takes to enter any room.")
    if server.authority is not None:
        click.echo("Browsers warn of the certificate, until they trust the authority that made it:")
        click.echo(f"  {server.authority.file}, or {AUTHORITY_PATH} on this server")
        click.echo(f"  SHA-256 {server.authority.fingerprint}")
    for url in server.page_urls:
        click.echo(url)
    if server.page_urls:
        segno.make(server.page_urls[0], micro=False).terminal(sys.stdout, compact=True)
        sys.stdout.flush()


@main.command()
def generate_keys() -> None:
    """Make a key and a secret, as the configuration wants them."""
    key = "API" + "".join(secrets.choice(_LETTERS) for _ in range(12))
    click.echo(f"keys:\n  {key}: {secrets.token_urlsafe(32)}")


def _seconds(_context: click.Context, _parameter: click.Parameter, text: str) -> int:
    found = re.fullmatch(r"([0-9]{1,9})([smhd])", text)
    if found is None:
        raise click.BadParameter("expected a number with s, m, h or d behind it, such as 6h")
    return int(found[1]) * _UNITS[found[2]]


def _grants(_context: click.Context, _parameter: click.Parameter, texts: tuple[str, ...]) -> dict[str, object]:
    known = [field.encode_name for field in msgspec.structs.fields(VideoGrant)]
    grants: dict[str, object] = {}
    for text in texts:
        name, _, value = text.partition("=")
        if name not in known:
            nearest = difflib.get_close_matches(name, known, n=1)
            raise click.BadParameter(f"unknown grant {name}" + (f"; did you mean {nearest[0]}?" if nearest else ""))
        try:
            grants[name] = msgspec.json.decode(value or "true")
        except (msgspec.DecodeError, RecursionError):
            grants[name] = value
    return grants


def _token_options(command: Callable[..., None]) -> Callable[..., None]:
    """Ask for what every token is made of."""
    for option in (
        click.option("--valid-for", "valid_seconds", callback=_seconds, default="6h", show_default=True),
        API_SECRET,
        API_KEY,
        click.option("--identity", required=True, help="Who its bearer is."),
        click.option("--room", required=True, help="The room that the token is for."),
    ):
        command = option(command)
    return command


_URL = click.option("--url", default="http://127.0.0.1:7880", show_default=True, help="Where the server is.")


@main.command()
@_URL
@_token_options
def whip(*, url: str, room: str, identity: str, api_key: str, api_secret: str, valid_seconds: int) -> None:
    """Print how encoders publish in a room, with a token for one."""
    grant = VideoGrant(room_join=True, room=room, can_subscribe=False)
    token = _mint(Claims(identity=Identity(identity), video=grant), api_key, api_secret, valid_seconds)
    click.echo(whip_recipes(url, token))


@main.command()
@_URL
@click.option("--participant", default="", help="Watch this one alone.")
@click.option("--quality", type=click.Choice(["low", "medium", "high"]), help="How good a picture to ask for.")
@_token_options
def whep(
    *,
    url: str,
    participant: str,
    quality: str | None,
    room: str,
    identity: str,
    api_key: str,
    api_secret: str,
    valid_seconds: int,
) -> None:
    """Print how a room is watched, with a token for one who watches."""
    grant = VideoGrant(room_join=True, room=room, can_publish=False)
    token = _mint(Claims(identity=Identity(identity), video=grant), api_key, api_secret, valid_seconds)
    wishes = {name: value for name, value in (("participant", participant), ("quality", quality)) if value}
    click.echo(whep_recipes(url, room, token, urlencode(wishes)))


@main.command()
@_token_options
@click.option("--name", default="", help="What others see of the bearer.")
@click.option(
    "--grant",
    "grants",
    callback=_grants,
    multiple=True,
    help="More than joining, or less: roomAdmin, canPublish=false, canPublishSources='[\"camera\"]', …",
)
def create_token(
    *,
    room: str,
    identity: str,
    name: str,
    api_key: str,
    api_secret: str,
    valid_seconds: int,
    grants: dict[str, object],
) -> None:
    """Print a token with which a client can join a room."""
    try:
        grant = msgspec.convert({"roomJoin": True, "room": room} | grants, VideoGrant)
    except msgspec.ValidationError as error:
        fail(f"--grant: {error}")
    claims = Claims(identity=Identity(identity), name=name, video=grant)
    click.echo(_mint(claims, api_key, api_secret, valid_seconds))


def _mint(claims: Claims, api_key: str, api_secret: str, valid_seconds: int) -> str:
    return tokens.mint(claims, api_key, api_secret, wall=time.time(), lifetime_seconds=valid_seconds)


for each in (rooms, participants, agents, show_ports):
    main.add_command(each)
