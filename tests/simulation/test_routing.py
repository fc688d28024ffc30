"""The routing seam holds: with the session at the far end of a wire, everything is as if it were here."""

from collections import Counter

import pytest
import trio
from livekit.protocol.models import DisconnectReason

from sfu.errors import CloseReason
from tests.simulation.far_router import FarRouter
from tests.simulation.house import flows, open_house
from tests.simulation.rawsocket import open_raw_client
from triforium.config import RoomConfig
from triforium.visitor import JoinRefusedError

layouts = pytest.mark.parametrize("single", [True, False], ids=["single", "dual"])
forms = pytest.mark.parametrize("use_json", [True, False], ids=["json", "protobuf"])


@pytest.fixture
def far(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Put the far router in the place of the local one; what has crossed it."""
    monkeypatch.setattr("triforium.app.LocalRouter", FarRouter)
    monkeypatch.setattr(FarRouter, "crossings", Counter())
    return FarRouter.crossings


async def meet(*, single: bool, use_json: bool) -> list[tuple[str, str]]:
    """Let Bob hear Alice, lose his socket, come back and hear on; return what the server told both, by kind.

    What clocks of their own say is left out: that comes before or after what happens then.
    """
    async with (
        open_house() as house,
        house.visitor("alice", single=single) as alice,
        house.visitor("bob", single=single, resumes=True, use_json=use_json) as bob,
    ):
        audio = await alice.publish_audio()
        await bob.wait_until(flows(bob, audio.sid))
        await bob.cut_signal()
        await bob.wait_until(lambda: bob.resumptions == 1)
        await bob.wait_until(flows(bob, audio.sid))
        await trio.sleep(5)
        everybody = {"alice": alice, "bob": bob}
        told = [(name, each.kind) for name, who in everybody.items() for each in who.messages if not each.is_sent]
    return [(name, kind) for name, kind in told if kind not in {"speakers_changed", "connection_quality"}]


@layouts
@forms
async def test_people_meet_and_resume_over_a_router_between_processes(
    autojump_clock, monkeypatch, single, use_json
) -> None:
    here = await meet(single=single, use_json=use_json)
    with monkeypatch.context() as patch:
        patch.setattr("triforium.app.LocalRouter", FarRouter)
        patch.setattr(FarRouter, "crossings", crossings := Counter())
        there = await meet(single=single, use_json=use_json)
    assert there == here
    assert crossings["started"] == 3  # Bob's second socket, too
    assert crossings["frame"] > len(there)


async def test_a_refusal_crosses_over(autojump_clock, far) -> None:
    async with open_house(room=RoomConfig(max_participants=1)) as house, house.visitor("alice", single=True):
        with pytest.raises(JoinRefusedError) as refusal:
            async with house.visitor("bob", single=True):
                pass
        assert "500" in str(refusal.value)
    assert (far["started"], far["refused"]) == (1, 1)


async def test_who_is_removed_is_told_over_there_too(autojump_clock, far) -> None:
    async with open_house() as house, open_raw_client(house, house.token("alice")) as client:
        await client.receive("join")
        house.room().remove(house.participant("alice"), CloseReason.PARTICIPANT_REMOVED)
        assert (await client.receive("leave")).leave.reason == DisconnectReason.PARTICIPANT_REMOVED
        assert await client.close_code() == 1000
        assert far["started"] == 1
