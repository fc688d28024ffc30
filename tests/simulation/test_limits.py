"""How many tracks there may be, for one participant and on the whole server, and how many bytes of them."""

import pytest
import trio

from sfu.room.load import LOAD_SECONDS
from tests.simulation.house import House, flows, open_house
from triforium.config import LimitConfig
from triforium.visitor import JoinRefusedError

both_layouts = pytest.mark.parametrize("single", [True, False], ids=["single", "dual"])


@both_layouts
async def test_of_more_videos_than_somebody_may_have_the_next_comes_when_one_ends(autojump_clock, single) -> None:
    async with (
        open_house(config={"limit": LimitConfig(subscription_limit_video=1)}) as house,
        house.visitor("alice", single=single) as alice,
        house.visitor("bob", single=single) as bob,
    ):
        first = await alice.publish_video()
        await bob.wait_until(flows(bob, first.sid))
        second, audio = await alice.publish_video(), await alice.publish_audio()
        await bob.wait_until(flows(bob, audio.sid))
        assert bob.subscribed == {first.sid, audio.sid}
        first.unpublish()
        await bob.wait_until(flows(bob, second.sid))


async def carol_is_turned_away(house: House) -> None:
    with pytest.raises(JoinRefusedError, match="503"):
        async with house.visitor("carol", single=True):
            pass


async def carol_is_let_in(house: House) -> None:
    async with house.visitor("carol", single=True):
        assert house.identities() == {"alice", "bob", "carol"}


async def test_where_there_are_as_many_tracks_as_there_may_be_nobody_new_is_let_in(autojump_clock) -> None:
    async with (
        open_house(config={"limit": LimitConfig(num_tracks=2)}) as house,
        house.visitor("alice", single=True) as alice,
        house.visitor("bob", single=True) as bob,
    ):
        audio = await alice.publish_audio()
        await bob.wait_until(flows(bob, audio.sid))
        await carol_is_turned_away(house)
        audio.unpublish()
        await bob.wait_until(lambda: not bob.subscribed)
        await carol_is_let_in(house)


async def test_where_there_is_as_much_media_as_there_may_be_nobody_new_is_let_in(autojump_clock) -> None:
    async with (
        open_house(config={"limit": LimitConfig(bytes_per_sec=1_000)}) as house,
        house.visitor("alice", single=True) as alice,
        house.visitor("bob", single=True) as bob,
    ):
        audio = await alice.publish_audio()
        await bob.wait_until(flows(bob, audio.sid))
        await trio.sleep(2 * LOAD_SECONDS)
        await carol_is_turned_away(house)
        audio.unpublish()
        await trio.sleep(2 * LOAD_SECONDS)
        await carol_is_let_in(house)
