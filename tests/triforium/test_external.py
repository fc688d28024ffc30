"""The address that a NAT has for us: asked in the background, and offered once it is known."""

import logging
from random import Random

import pytest
import trio

from rtp.ice.candidates import host_candidate
from rtp.stun import TRANSACTION_ID_BYTES, address_request, parse_message, success_response
from rtp.units import Address
from sfu.environment import Offered
from triforium.external import AGAIN_SECONDS, ExternalLookup, mapped_address, resolve
from triforium.testing import Link, Network, open_network

OWN, OUTSIDE = "10.0.0.1", "203.0.113.9"
SERVER: Address = ("198.51.100.1", 3478)
SERVERS = ("stun.test:3478",)


async def found(host: str, port: int) -> list[Address]:
    assert (host, port) == ("stun.test", 3478)
    await trio.lowlevel.checkpoint()
    return [SERVER]


async def not_found(host: str, port: int) -> list[Address]:
    await trio.lowlevel.checkpoint()
    return []


def lookup(network: Network, offered: Offered, *own: str, names=found) -> ExternalLookup:
    return ExternalLookup(offered, own, SERVERS, lambda host: network.socket(host, 0), names, Random(1))


def offer(*hosts: str) -> Offered:
    return Offered(tuple(host_candidate((host, 7882), index) for index, host in enumerate(hosts)))


def addresses(offered: Offered) -> list[Address]:
    return [candidate.address for candidate in offered.candidates]


async def answer_requests(network: Network, *, liar: str = "", deaf_until: float = 0.0) -> None:
    """Be a STUN server in front of which a NAT stands; before, `liar` answers without having been asked."""
    socket, other = network.socket(*SERVER), network.socket("198.51.100.66", 3478)
    while True:
        await socket.wait_readable()
        for datagram, source, _ in socket.receive_batch(9):
            request = parse_message(datagram)
            if liar:
                other.send_batch([(success_response(request.transaction_id, (liar, 1), ""), source)])
                socket.send_batch([(success_response(bytes(TRANSACTION_ID_BYTES), (liar, 1), ""), source)])
            if trio.current_time() >= deaf_until:
                socket.send_batch([(success_response(request.transaction_id, (OUTSIDE, source[1]), ""), source)])


async def test_what_the_server_sees_is_offered_at_our_own_port(autojump_clock, nursery) -> None:
    async with open_network(Random(1)) as network:
        nursery.start_soon(answer_requests, network)
        offered = offer(OWN, "2001:db8::1")
        await lookup(network, offered, OWN, "2001:db8::1").run()
        assert addresses(offered) == [(OUTSIDE, 7882), ("2001:db8::1", 7882)]
        nursery.cancel_scope.cancel()


async def test_a_lost_request_is_sent_again(autojump_clock, nursery) -> None:
    async with open_network(Random(1)) as network:
        network.default_link = Link(delay_seconds=0.05)
        nursery.start_soon(lambda: answer_requests(network, deaf_until=0.4))
        offered = offer(OWN)
        await lookup(network, offered, OWN).run()
        assert (addresses(offered), trio.current_time()) == ([(OUTSIDE, 7882)], pytest.approx(0.6))
        nursery.cancel_scope.cancel()


async def test_only_the_server_that_was_asked_is_believed(autojump_clock, nursery) -> None:
    async with open_network(Random(1)) as network:
        nursery.start_soon(lambda: answer_requests(network, liar="192.0.2.66"))
        offered = offer(OWN)
        await lookup(network, offered, OWN).run()
        assert addresses(offered) == [(OUTSIDE, 7882)]
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("names", [found, not_found])
async def test_without_an_answer_our_own_address_stands_and_we_ask_again(
    autojump_clock, nursery, caplog, names
) -> None:
    async with open_network(Random(1)) as network:
        offered = offer(OWN)
        with caplog.at_level(logging.WARNING):
            nursery.start_soon(lookup(network, offered, OWN, names=names).run)
            await trio.sleep(3 * AGAIN_SECONDS)
        (warning,) = caplog.records
        assert "stun.test:3478" in warning.getMessage()
        assert addresses(offered) == [(OWN, 7882)]
        nursery.cancel_scope.cancel()


async def test_two_addresses_that_are_one_outside_are_offered_once(autojump_clock, nursery) -> None:
    async with open_network(Random(1)) as network:
        nursery.start_soon(answer_requests, network)
        offered = offer(OWN, "10.0.0.2")
        await lookup(network, offered, OWN, "10.0.0.2").run()
        assert addresses(offered) == [(OUTSIDE, 7882)]
        nursery.cancel_scope.cancel()


async def test_nobody_is_asked_about_addresses_that_need_no_nat(autojump_clock) -> None:
    async with open_network(Random(1)) as network:
        offered = offer("8.8.4.4", "127.0.0.1", "fd00::1")
        await lookup(network, offered, "8.8.4.4", "127.0.0.1", "fd00::1").run()
        assert addresses(offered) == [("8.8.4.4", 7882), ("127.0.0.1", 7882), ("fd00::1", 7882)]


async def test_an_address_that_is_not_ours_any_more_costs_nothing(autojump_clock, nursery) -> None:
    def refuse(host: str) -> object:
        raise OSError(f"{host} is gone")

    async with open_network(Random(1)):
        offered = offer(OWN)
        nursery.start_soon(ExternalLookup(offered, (OWN,), SERVERS, refuse, found, Random(1)).run)
        await trio.sleep(1)
        assert addresses(offered) == [(OWN, 7882)]
        nursery.cancel_scope.cancel()


def test_a_request_that_comes_back_is_no_answer() -> None:
    request = address_request(bytes(TRANSACTION_ID_BYTES))
    assert mapped_address(request, bytes(TRANSACTION_ID_BYTES)) is None
    assert mapped_address(b"noise", bytes(TRANSACTION_ID_BYTES)) is None


async def test_a_literal_resolves_to_itself() -> None:
    assert await resolve("192.0.2.7", 3478) == [("192.0.2.7", 3478)]


@pytest.mark.parametrize("host", ["a..test", "a" * 64 + ".test", "\xfc" * 64, "\udcff"])
async def test_a_name_that_cannot_be_has_no_address(host: str) -> None:
    assert await resolve(host, 3478) == []
