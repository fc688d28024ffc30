"""What a server stands on: opened sockets, clocks, dice and a certificate. The kernel's here; in memory for tests."""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random, SystemRandom
from typing import Final

import trio

from rtp.certificate import Certificate
from rtp.ice.candidates import host_candidate
from sfu.environment import Offered
from sfu.transport.socket import DatagramSocket, UdpSocket, open_udp_socket
from signaling.webhooks import Post
from triforium.addresses import MediaAddress, choose_media_addresses, discover_addresses
from triforium.config import Config
from triforium.external import STUN_SERVERS, ExternalLookup, resolve
from triforium.https import (
    CertificateFiles,
    HttpsError,
    LocalAuthority,
    ReloadingContext,
    TlsListener,
    default_folder,
    local_certificate,
    local_names,
)
from triforium.posting import open_post

CLOCK_SKEW: Final = timedelta(days=1)
"""How far a client's clock may be behind ours for our certificate to be valid there already."""


class StartError(Exception):
    """The server cannot start; the text is one line for the operator."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Everything that a server takes from the world outside.

    `metrics_listeners` are for metrics alone, and `feedback_sockets`, on the ports of the `sockets`, for what can wait.
    `post` reaches the receivers of webhooks. `wall` gives Unix seconds. `random` makes keys and ids, so it is a seeded one in tests only. `is_secure` says that
    the listeners speak TLS, `authority` by whose word if it is our own; `workers` run for as long as the server does.
    """

    listeners: Sequence[trio.abc.Listener[trio.abc.Stream]]
    sockets: Sequence[DatagramSocket]
    offered: Offered
    certificate: Certificate
    wall: Callable[[], float]
    random: Random
    post: Post
    port: int
    is_secure: bool = False
    authority: LocalAuthority | None = None
    workers: Sequence[Callable[[], Awaitable[None]]] = ()
    metrics_listeners: Sequence[trio.abc.Listener[trio.abc.Stream]] = ()
    feedback_sockets: Sequence[DatagramSocket] = ()


async def open_surroundings(config: Config) -> Surroundings:
    """Open the kernel's sockets as the configuration says.

    Raises:
        StartError: if a port is taken, an address is not ours, or a certificate cannot be used.
        ConfigError: if there is no address to offer.
    """
    discovered = discover_addresses(config.rtc)
    addresses = choose_media_addresses(config, discovered)
    tls, authority = _open_tls(config, discovered)
    listeners = await _open_listeners(config, config.port)
    metrics_listeners: list[trio.SocketListener] = []
    try:
        if config.prometheus.port:
            metrics_listeners = await _open_listeners(config, config.prometheus.port)
        sockets = _open_media_sockets(config, addresses)
    except StartError:
        for listener in (*listeners, *metrics_listeners):
            await trio.aclose_forcefully(listener)
        raise
    port_of = {socket.address[0]: socket.address[1] for socket in sockets}
    offered = Offered(
        tuple(
            host_candidate((address.offered, port_of[address.bound]), index) for index, address in enumerate(addresses)
        )
    )
    random = SystemRandom()
    workers: list[Callable[[], Awaitable[None]]] = [tls.run] if tls else []
    if config.rtc.use_external_ip:
        own = tuple(each.bound for each in addresses if each.bound == each.offered)
        workers.append(
            ExternalLookup(offered, own, config.rtc.stun_servers or STUN_SERVERS, _open_any_port, resolve, random).run
        )
    return Surroundings(
        listeners=[TlsListener(listener, tls) if tls else listener for listener in listeners],
        sockets=sockets,
        offered=offered,
        certificate=Certificate.generate(not_before=datetime.now(UTC) - CLOCK_SKEW),
        wall=time.time,
        random=random,
        post=open_post(),
        port=listeners[0].socket.getsockname()[1],
        is_secure=tls is not None,
        authority=authority,
        workers=workers,
        metrics_listeners=metrics_listeners,
        feedback_sockets=[aside for each in sockets if (aside := each.open_feedback_socket()) is not None],
    )


def _open_tls(config: Config, discovered: Sequence[str]) -> tuple[ReloadingContext | None, LocalAuthority | None]:
    """Make ready for HTTPS, if it is wanted."""
    if not config.https.is_on:
        return None, None
    try:
        if config.https.cert_file:
            files = CertificateFiles(Path(config.https.cert_file), Path(config.https.key_file))
            return ReloadingContext(files), None
        files, authority = local_certificate(default_folder(), local_names(discovered), datetime.now(UTC))
        return ReloadingContext(files), authority
    except HttpsError as error:
        raise StartError(str(error)) from error


async def _open_listeners(config: Config, port: int) -> list[trio.SocketListener]:
    """Listen on one port of every configured address."""
    listeners: list[trio.SocketListener] = []
    for address in config.bind_addresses or (None,):
        try:
            listeners += await trio.open_tcp_listeners(port, host=address)
        except OSError as error:
            for listener in listeners:
                await trio.aclose_forcefully(listener)
            raise StartError(f"cannot listen on {address or '*'} port {port}: {error.strerror}") from error
        port = listeners[0].socket.getsockname()[1]  # if any free port was asked for: the same one on each address
    return listeners


def _open_any_port(host: str) -> UdpSocket:
    return open_udp_socket(host, 0, quiet=True)


def _open_media_sockets(config: Config, addresses: Sequence[MediaAddress]) -> list[UdpSocket]:
    """Bind one socket for each local address, all of them to the first port of the range that is free on all."""
    hosts = list(dict.fromkeys(address.bound for address in addresses))
    failure: OSError | None = None
    for port in config.rtc.udp_ports:
        sockets: list[UdpSocket] = []
        try:
            for host in hosts:
                bound = sockets[0].address[1] if sockets else port
                sockets.append(open_udp_socket(host, bound, quiet=config.development))
        except OSError as error:
            failure = error
            for socket in sockets:
                socket.close()
        else:
            return sockets
    assert failure is not None, "a range of ports is not empty"
    ports = config.rtc.udp_ports
    span = f"port {ports[0]}" if len(ports) == 1 else f"any port from {ports[0]} to {ports[-1]}"
    raise StartError(f"cannot receive media on {', '.join(hosts)}, {span}: {failure.strerror}") from failure
