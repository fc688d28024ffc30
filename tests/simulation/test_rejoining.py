"""What `livekit-client` is told later when it joins anew; a browser has shown why (e2e/browser/test_scenarios.py)."""

import pytest
import trio
from livekit.protocol import models, rtc

from sfu.model import Claims
from sfu.room.rejoining import HOLD_SECONDS, Rejoining
from tests.simulation.house import open_house
from tests.simulation.rawsocket import open_raw_client
from triforium.visitor.joining import dual_path

CLIENT = models.ClientInfo(sdk=models.ClientInfo.JS)
PUBLISHED = rtc.SignalResponse(track_published=rtc.TrackPublishedResponse(cid="mic"))
MUTED = rtc.SignalResponse(mute=rtc.MuteTrackRequest(sid="TR_AM", muted=True))
NEWS = rtc.SignalResponse(update=rtc.ParticipantUpdate())


def path_of(sdk: str) -> str:
    """Return what a client of this SDK joins by."""
    return dual_path(auto_subscribe=True).replace("sdk=unknown", f"sdk={sdk}")


@pytest.mark.parametrize(
    ("is_refreshed", "sdk", "seconds"),
    [(True, "js", HOLD_SECONDS), (True, "reactnative", HOLD_SECONDS), (True, "python", 0), (False, "js", 0)],
)
async def test_a_page_that_joins_anew_learns_that_its_tracks_are_published_once_it_heeds_what_others_do(
    autojump_clock, is_refreshed, sdk, seconds
) -> None:
    async with open_house() as house:
        token = house.token("alice", claims={"is_refreshed": is_refreshed})
        async with open_raw_client(house, token, path_of(sdk)) as alice:
            await alice.receive("join")
            joined_at = trio.current_time()
            await alice.send(rtc.SignalRequest(add_track=rtc.AddTrackRequest(cid="mic")))
            assert (await alice.receive("track_published")).track_published.cid == "mic"
            assert trio.current_time() - joined_at == pytest.approx(seconds, abs=0.1)


async def test_the_token_to_come_back_with_says_that_it_is_one(autojump_clock) -> None:
    async with open_house() as house, open_raw_client(house, house.token("alice")) as alice:
        token = (await alice.receive("refresh_token")).refresh_token
        async with open_raw_client(house, token, path_of("js")) as again:
            await again.send(rtc.SignalRequest(add_track=rtc.AddTrackRequest(cid="mic")))
            began_at = trio.current_time()
            await again.receive("track_published")
            assert trio.current_time() - began_at > HOLD_SECONDS / 2


async def test_what_is_said_of_its_own_tracks_waits_in_order_and_is_not_lost_when_its_tasks_begin_anew(
    autojump_clock,
) -> None:
    rejoining = Rejoining(Claims(is_refreshed=True), CLIENT)
    told: list[rtc.SignalResponse] = []
    assert rejoining.holds(PUBLISHED)
    assert not rejoining.holds(NEWS)
    with trio.move_on_after(HOLD_SECONDS / 2):
        await rejoining.run(told.append)
    assert rejoining.holds(MUTED)
    assert not told
    await rejoining.run(told.append)
    assert told == [PUBLISHED, MUTED]
    assert not rejoining.holds(PUBLISHED)
