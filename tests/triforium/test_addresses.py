"""Where media is received, and what clients are told."""

import pytest

from triforium.addresses import MediaAddress, choose_addresses, choose_media_addresses, discover_addresses
from triforium.config import Choice, Config, ConfigError, RtcConfig
from triforium.interfaces import InterfaceAddress, list_addresses

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


PRESENT = [
    InterfaceAddress("lo", "127.0.0.1"),
    InterfaceAddress("eth0", "192.0.2.1"),
    InterfaceAddress("eth0", "fe80::1"),
    InterfaceAddress("eth0", "2001:db8::1"),
    InterfaceAddress("docker0", "172.17.0.1"),
    InterfaceAddress("eth1", "10.0.0.1"),
]


@pytest.mark.parametrize(
    ("interfaces", "ips", "left"),
    [
        (Choice(includes=("eth0",)), Choice(), ["192.0.2.1", "2001:db8::1"]),
        (Choice(excludes=("docker0", "lo")), Choice(), ["192.0.2.1", "2001:db8::1", "10.0.0.1"]),
        (Choice(), Choice(includes=("10.0.0.0/8", "172.17.0.1")), ["172.17.0.1", "10.0.0.1"]),
        (Choice(excludes=("lo",)), Choice(excludes=("10.0.0.0/8", "2001:db8::/32")), ["192.0.2.1", "172.17.0.1"]),
        (Choice(includes=("eth0", "eth1"), excludes=("eth0",)), Choice(), ["10.0.0.1"]),
        (Choice(includes=("wlan0",)), Choice(), []),
    ],
    ids=["included", "excluded", "networks", "both", "exclusion wins", "none"],
)
def test_interfaces_and_networks_are_chosen(interfaces: Choice, ips: Choice, left: list[str]) -> None:
    assert list(choose_addresses(RtcConfig(interfaces=interfaces, ips=ips), PRESENT)) == left


def test_what_is_listened_on_is_chosen_from_too() -> None:
    rtc = RtcConfig(ips=Choice(excludes=("10.0.0.0/8",)))
    addresses = choose_media_addresses(Config(bind_addresses=("10.0.0.1", V4), rtc=rtc), ())
    assert [address.offered for address in addresses] == [V4]


def test_a_choice_that_leaves_nothing_is_named_as_the_reason() -> None:
    rtc = RtcConfig(interfaces=Choice(includes=("wlan0",)))
    with pytest.raises(ConfigError, match=r"rtc\.interfaces and rtc\.ips leave none"):
        choose_media_addresses(Config(rtc=rtc), ())


def test_the_addresses_of_this_machine_have_their_interfaces() -> None:
    assert "127.0.0.1" in {each.address for each in list_addresses()}
    (loopback,) = {each.interface for each in list_addresses() if each.address == "127.0.0.1"}
    assert discover_addresses(
        RtcConfig(interfaces=Choice(includes=(loopback,)), ips=Choice(includes=("127.0.0.1",)))
    ) == ("127.0.0.1",)
