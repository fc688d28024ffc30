"""Which of our addresses carry media, and under which they are offered."""

import ipaddress
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from triforium.config import Config, ConfigError, RtcConfig
from triforium.interfaces import InterfaceAddress, list_addresses

# Nothing is sent to these (RFC 5737, RFC 3849): the kernel is asked which source address it would choose.
_ANYWHERE: Final = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))


@dataclass(frozen=True, slots=True)
class MediaAddress:
    """`bound` is ours, for a socket to be bound to; `offered` is where clients are told to send."""

    bound: str
    offered: str


def discover_addresses(rtc: RtcConfig) -> tuple[str, ...]:
    """Return those of our addresses that may carry media, as far as nobody has named any to listen on.

    They are ours on the way to the internet, of each family that has one; or, once `rtc.interfaces` or `rtc.ips` choose,
    all that these leave.
    """
    if rtc.interfaces.is_open and rtc.ips.is_open:
        return _routed_addresses()
    return choose_addresses(rtc, list_addresses())


def choose_addresses(rtc: RtcConfig, present: Iterable[InterfaceAddress]) -> tuple[str, ...]:
    """Return the addresses that `rtc.interfaces` and `rtc.ips` leave; one that needs its interface named is none."""
    return tuple(
        each.address
        for each in present
        if rtc.interfaces.has(each.interface.__eq__)
        and _is_chosen(each.address, rtc)
        and not _ip(each.address).is_link_local
    )


def _routed_addresses() -> tuple[str, ...]:
    found = []
    for family, target in _ANYWHERE:
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((target, 9))
                found.append(str(probe.getsockname()[0]))
        except OSError:
            continue  # no route, or no such family on this machine
    return tuple(found)


def choose_media_addresses(config: Config, discovered: Iterable[str]) -> tuple[MediaAddress, ...]:
    """Decide where media is received and what is offered.

    We use the addresses that we listen on, or if that is all of them, the `discovered` ones. An address of
    `rtc.node_ip` is offered in place of our own of its family: a proxy or a container's host has it for us. What
    `rtc.ips` does not choose is not used. Loopback is offered only if `rtc.enable_loopback_candidate` asks for it.

    Raises:
        ConfigError: if there is nothing to offer.
    """
    own = [address for address in config.bind_addresses if not _ip(address).is_unspecified]
    if not own:
        own = [address for address in discovered if not _ip(address).is_loopback]
        if config.rtc.enable_loopback_candidate:
            own.append("127.0.0.1")
    own = [address for address in own if _is_chosen(address, config.rtc)]
    chosen = [MediaAddress(_bound_for(node_ip, own), node_ip) for node_ip in config.rtc.node_ips]
    replaced = {_ip(node_ip).version for node_ip in config.rtc.node_ips}
    for address in own:
        ip = _ip(address)
        if config.rtc.enable_loopback_candidate if ip.is_loopback else ip.version not in replaced:
            chosen.append(MediaAddress(address, address))
    if not chosen and not (config.rtc.interfaces.is_open and config.rtc.ips.is_open):
        raise ConfigError(
            "no address to offer for media: rtc.interfaces and rtc.ips leave none, and rtc.node_ip is empty"
        )
    if not chosen:
        raise ConfigError("no address to offer for media: set rtc.node_ip, or rtc.enable_loopback_candidate")
    return tuple(dict.fromkeys(chosen))


def _bound_for(node_ip: str, own: list[str]) -> str:
    version = _ip(node_ip).version
    of_family = sorted((address for address in own if _ip(address).version == version), key=_is_loopback)
    if of_family:
        return of_family[0]
    return "0.0.0.0" if version == 4 else "::"  # noqa: S104  # the operator named an address that we cannot see


def _is_chosen(address: str, rtc: RtcConfig) -> bool:
    return rtc.ips.has(lambda network: _ip(address) in ipaddress.ip_network(network, strict=False))


def _is_loopback(address: str) -> bool:
    return _ip(address).is_loopback


def _ip(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    return ipaddress.ip_address(address)
