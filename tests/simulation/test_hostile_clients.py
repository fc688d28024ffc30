"""Clients that have a token and mean no good, or say what none says by mistake: it is their own session that suffers."""

import trio
from livekit.protocol import models, rtc
from livekit.protocol.rtc import SignalRequest

from tests.simulation.house import open_house, sent
from tests.simulation.rawsocket import open_raw_client
from triforium.visitor.errors import JoinRefusedError


async def test_requests_behind_a_leave_change_nothing_any_more(autojump_clock) -> None:
    async with open_house() as house, house.visitor("bob", single=True) as bob:
        token = house.token("mallory", can_update_own_metadata=True)
        async with open_raw_client(house, token) as mallory:
            await mallory.receive("join")
            await bob.wait_until(lambda: "mallory" in bob.participants)
            await mallory.send_together(
                SignalRequest(leave=rtc.LeaveRequest()),
                SignalRequest(update_metadata=rtc.UpdateParticipantMetadata(name="ghost")),
                SignalRequest(add_track=rtc.AddTrackRequest(cid="ghost", type=models.AUDIO)),
            )
            assert await mallory.close_code() == 1000
            await trio.sleep(5)
        told = [info for update in sent(bob, "update") for info in update.participants if info.identity == "mallory"]
        assert told[-1].state == models.ParticipantInfo.DISCONNECTED
        assert {info.name for info in told} == {""}


async def test_a_token_whose_room_configuration_is_none_is_refused_with_a_reason(autojump_clock) -> None:
    async with open_house() as house:
        refusal = None
        try:
            async with open_raw_client(house, house.token("alice", claims={"room_config": {"emptyTimeout": -1}})):
                pass
        except JoinRefusedError as error:
            refusal = error
        assert str(refusal) == "400 the token's room configuration cannot be read"
