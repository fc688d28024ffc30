"""`triforium ports`: what a firewall has to let in, told without a server."""

import os
from pathlib import Path

import click

from triforium.addresses import choose_media_addresses, discover_addresses
from triforium.config import Config, ConfigError
from triforium.failing import fail
from triforium.loading import load
from triforium.operating import table


def listening(config: Config, discovered: tuple[str, ...]) -> list[tuple[str, str, str, str]]:
    """Return each protocol, port and address that a server listens on, and for what. Raises ConfigError."""
    own = config.bind_addresses or ("*",)
    scheme = "HTTPS" if config.https.is_on else "HTTP"
    rows = [
        ("tcp", _ports(range(config.port, config.port + 1)), each, f"{scheme}: signalling, API, page") for each in own
    ]
    if port := config.prometheus.port:
        rows += [("tcp", str(port), each, "HTTP: metrics") for each in own]
    for address in choose_media_addresses(config, discovered):
        offered = "" if address.offered == address.bound else f", offered as {address.offered}"
        rows.append(("udp", _ports(config.rtc.udp_ports), address.bound, f"media{offered}"))
    return rows


def _ports(ports: range) -> str:
    if len(ports) > 1:
        return f"first free of {ports[0]}-{ports[-1]}"
    return str(ports[0]) if ports[0] else "any free one"


@click.command("ports")
@click.option("--dev", is_flag=True, help="As `triforium serve --dev` would listen.")
@click.option("--config", "file", type=click.Path(path_type=Path), help="A file in LiveKit's YAML.")
@click.option("--https", is_flag=True, help="As `triforium serve --https` would listen.")
def show_ports(*, dev: bool, file: Path | None, https: bool) -> None:
    """Print what the configuration makes a server listen on: what firewalls have to let in.

    Nothing is opened, and no server need run.

    Example: triforium ports --config triforium.yaml
    """
    try:
        config, _ = load(file=file, environment=os.environ, is_development=dev, is_https=https)
        rows = listening(config, discover_addresses(config.rtc))
    except ConfigError as error:
        fail(str(error))
    click.echo(table(("PROTOCOL", "PORT", "ADDRESS", "FOR"), rows))
