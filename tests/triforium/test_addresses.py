"""Where media is received, and what clients are told."""

import pytest

from triforium.addresses import MediaAddress, choose_media_addresses
from triforium.config import Config, ConfigError, RtcConfig

V4, V6 = "198.51.100.4", "2001:db8::4"


def chosen(*discovered: str, bind: tuple[str, ...] = (), node_ip: str = "", loopback: bool = False) -> list[str]:
    rtc = RtcConfig(node_ip=node_ip, enable_loopback_candidate=loopback)
    addresses = choose_media_addresses(Config(bind_addresses=bind, rtc=rtc), discovered)
    return [
        address.bound if address.bound == address.offered else f"{address.bound} as {address.offered}"
        for address in addresses
    ]


def test_all_our_addresses_are_offered_but_loopback() -> None:
    assert chosen(V4, V6, "127.0.0.1") == [V4, V6]


def test_loopback_is_offered_when_asked_for() -> None:
    assert chosen(V4, loopback=True) == [V4, "127.0.0.1"]


def test_only_what_we_listen_on_is_offered() -> None:
    assert chosen(V4, V6, bind=(V6,)) == [V6]
    assert chosen(V4, bind=("0.0.0.0",)) == [V4]
    assert chosen(V4, bind=("127.0.0.1", "::1"), loopback=True) == ["127.0.0.1", "::1"]


def test_a_node_ip_stands_for_our_address_of_its_family() -> None:
    assert chosen(V4, V6, node_ip="192.0.2.7") == [f"{V4} as 192.0.2.7", V6]
    assert chosen(V4, V6, node_ip="192.0.2.7,2001:db8::7") == [f"{V4} as 192.0.2.7", f"{V6} as 2001:db8::7"]


def test_a_port_published_from_loopback_needs_one_key() -> None:
    assert chosen(V4, bind=("127.0.0.1",), node_ip="127.0.0.2") == ["127.0.0.1 as 127.0.0.2"]


def test_a_node_ip_of_a_family_that_we_do_not_see_is_received_anywhere() -> None:
    assert chosen(V4, node_ip="2001:db8::7") == [":: as 2001:db8::7", V4]


def test_with_nothing_to_offer_the_keys_to_set_are_named() -> None:
    with pytest.raises(ConfigError, match=r"rtc\.node_ip"):
        choose_media_addresses(Config(bind_addresses=("127.0.0.1",)), [V4])


def test_an_address_is_used_once() -> None:
    assert choose_media_addresses(Config(bind_addresses=(V4, V4)), []) == (MediaAddress(V4, V4),)
