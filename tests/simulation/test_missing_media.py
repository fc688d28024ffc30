"""A participant whose packets do not get through leaves one line for the operator: what was offered, came, and to look at."""

import pytest
import trio
from livekit.protocol.models import DisconnectReason, TrackType
from livekit.protocol.rtc import AddTrackRequest, JoinRequest, LeaveRequest, SignalRequest

from rtp.stun import binding_request
from rtp.units import Address
from sfu.room.arrival import JOIN_SECONDS, MEDIA_PATH_SECONDS
from sfu.room.supervision import PATIENCE_SECONDS
from tests.signaling.client import packed
from tests.simulation.house import open_house, sent
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


@pytest.mark.parametrize("path", [None, f"/rtc/v1?join_request={packed(JoinRequest())}"], ids=["dual", "single"])
async def test_who_joins_and_finds_no_media_path_in_a_minute_is_sent_away(autojump_clock, path: str | None) -> None:
    async with open_house() as house, open_raw_client(house, house.token("alice", can_subscribe=False), path) as alice:
        await alice.receive("join")
        joined_at = trio.current_time()
        leave = (await alice.receive("leave")).leave
        assert trio.current_time() - joined_at == pytest.approx(JOIN_SECONDS, abs=1)
        assert (leave.reason, leave.action) == (DisconnectReason.JOIN_FAILURE, LeaveRequest.DISCONNECT)
        assert await alice.close_code() == 1000
        assert not house.identities()


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


async def test_a_track_of_which_nothing_comes_is_told_of_once_and_a_muted_one_never(
    autojump_clock, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_house() as house, house.visitor("alice", single=True) as alice:
        await alice.publish_audio()
        for cid in ("camera", "muted"):
            alice.send(SignalRequest(add_track=AddTrackRequest(cid=cid, type=TrackType.VIDEO, muted=cid == "muted")))
        await alice.wait_until(lambda: len(sent(alice, "track_published")) == 3)
        camera = next(each.track.sid for each in sent(alice, "track_published") if each.cid == "camera")
        await trio.sleep(PATIENCE_SECONDS - 1)
        assert "nothing has come" not in caplog.text
        await trio.sleep(60)
    lines = [record.getMessage() for record in caplog.records if "nothing has come" in record.getMessage()]
    assert lines == [f"nothing has come of track {camera} of alice, after 30 s"]
