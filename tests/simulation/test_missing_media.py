"""A participant whose packets do not get through leaves one line for the operator: what was offered, came, and to look at."""

import pytest
import trio

from rtp.stun import binding_request
from rtp.units import Address
from sfu.room.participant import MEDIA_PATH_SECONDS
from tests.simulation.house import open_house
from tests.simulation.rawsocket import open_raw_client
from triforium.testing.world import MEDIA_PORT, SERVER_HOST

MEDIA: Address = (SERVER_HOST, MEDIA_PORT)


def explanations(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if "no media path" in record.getMessage()]


async def test_where_nothing_came_the_address_and_the_port_are_named(
    autojump_clock, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_house() as house, open_raw_client(house, house.token("alice")) as alice:
        await alice.receive("offer")
        await trio.sleep(MEDIA_PATH_SECONDS - 1)
        assert not explanations(caplog)
        await trio.sleep(2)
        (line,) = explanations(caplog)
    assert "alice in lobby has no media path after 10 s" in line
    assert f"offered {SERVER_HOST}:{MEDIA_PORT}; no STUN came" in line
    assert "rtc.node_ip" in line
    assert "rtc.udp_port" in line


async def test_where_checks_came_and_were_refused_it_says_from_where_and_why(
    autojump_clock, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_house() as house, open_raw_client(house, house.token("alice")) as alice:
        offer = (await alice.receive("offer")).offer.sdp
        ufrag = offer.partition("a=ice-ufrag:")[2].split()[0]
        check = binding_request(
            bytes(12), username=f"{ufrag}:me", password="wrong", priority=1, tie_breaker=1, use_candidate=False
        )
        stranger = house.network.socket("10.9.9.9")
        stranger.send_batch([(check, MEDIA)])
        await trio.sleep(MEDIA_PATH_SECONDS + 1)
        stranger.close()
        (line,) = explanations(caplog)
    assert "STUN came from 10.9.9.9; checks refused: {'BAD_INTEGRITY': 1}" in line


async def test_where_media_flows_nothing_is_explained(autojump_clock, caplog: pytest.LogCaptureFixture) -> None:
    async with open_house() as house, house.visitor("bob", single=True) as bob:
        await bob.wait_connected()
        await trio.sleep(MEDIA_PATH_SECONDS + 1)
    assert not explanations(caplog)
