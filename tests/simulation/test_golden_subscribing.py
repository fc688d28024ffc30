"""Tracks are subscribed, and wanted in other ways, as it was recorded; and who speaks is told as it was."""

import trio
from livekit.protocol.models import TrackType, VideoQuality
from livekit.protocol.rtc import SignalRequest, UpdateTrackSettings

from tests.simulation.back_end import open_back_end
from tests.simulation.house import ROOM, sent
from tests.simulation.recording import recorded
from tests.simulation.stage import Stage, layouts, play
from tests.simulation.test_golden_sessions import leave_together
from triforium.visitor import Visitor


@layouts
async def test_what_is_subscribed_and_wanted_is_told_as_recorded(autojump_clock, layout) -> None:
    async def act(stage: Stage) -> dict[str, Visitor]:
        alice = await stage.enter("alice", dynacast=True)
        camera = (await alice.publish_simulcast()).sid
        microphone = (await alice.publish_audio()).sid
        await trio.sleep(2)
        bob = await stage.enter("bob", auto_subscribe=False)
        await trio.sleep(3.5)
        await watch(stage, bob, camera, microphone)
        await alice.leave()
        await trio.sleep(0.4 if stage.single else 0)  # the recorded Bob was gone before he was offered anew
        await bob.leave()
        return {"alice": alice, "bob": bob}

    await play("s05-subscribe-settings", "js", layout, act)


@layouts
async def test_what_python_subscribes_and_wants_is_told_as_recorded(autojump_clock, layout) -> None:
    async def act(stage: Stage) -> dict[str, Visitor]:
        alice = await stage.enter("alice", dynacast=True)
        await stage.begin(alice.publish_simulcast, alice.publish_audio)
        bob = await stage.enter("bob", auto_subscribe=False)  # between the announcements and the media
        await trio.sleep(3)
        sids = {track.type: track.sid for track in alice.me.tracks}
        camera, microphone = sids[TrackType.VIDEO], sids[TrackType.AUDIO]
        bob.subscribe(camera)
        await trio.sleep(3)
        low = UpdateTrackSettings(track_sids=[camera], quality=VideoQuality.LOW)
        bob.send(SignalRequest(track_setting=low))
        await trio.sleep(2)
        bob.subscribe(camera, wanted=False)
        await trio.sleep(2)
        bob.subscribe(camera)
        bob.subscribe(microphone)
        await trio.sleep(4)
        # The recorded two left at once, and Bob heard of that in one layout only.
        await leave_together(*((bob, alice) if stage.single else (alice, bob)))
        return {"alice": alice, "bob": bob}

    await play("s05-subscribe-settings", "py", layout, act)


async def watch(stage: Stage, bob: Visitor, camera: str, microphone: str) -> None:
    for sid in (camera, microphone):
        bob.subscribe(sid)
        await trio.sleep(3)
    small = {"width": 1, "height": 1}  # as small as her smallest layer, or smaller
    for wish in (
        {"quality": VideoQuality.LOW},
        {"quality": VideoQuality.HIGH},
        small,
        small | {"fps": 10},
        small | {"fps": 10, "disabled": True},
        small | {"fps": 10},
    ):
        bob.send(SignalRequest(track_setting=UpdateTrackSettings(track_sids=[camera], **wish)))
        await trio.sleep(6 if wish == small else 1.5)  # there the wait for less goes on through wishes for more
    bob.subscribe(camera, wanted=False)
    await trio.sleep(6)  # and so that for nothing had begun when he disabled it
    bob.subscribe(camera)
    await trio.sleep(3)
    async with open_back_end(stage.house) as api:
        for wanted in (False, True):
            about = {"room": ROOM, "identity": "bob", "track_sids": [microphone]}
            await api.call("UpdateSubscriptions", **about, subscribe=wanted)
            await trio.sleep(2)


@layouts
async def test_who_speaks_is_told_to_those_who_hear_it_as_recorded(autojump_clock, layout) -> None:
    async def act(stage: Stage) -> dict[str, Visitor]:
        alice = await stage.enter("alice")
        await trio.sleep(1)
        bob = await stage.enter("bob")
        await trio.sleep(1)
        carol = await stage.enter("carol", auto_subscribe=False)
        await trio.sleep(0.2)
        microphone = await alice.publish_audio()
        await trio.sleep(12)
        microphone.mute(True)
        await trio.sleep(4)
        async with open_back_end(stage.house) as api:
            await api.call("UpdateRoomMetadata", room=ROOM, metadata="x")
        await trio.sleep(6)
        await alice.leave()
        await bob.leave()
        people = {"alice": alice, "bob": bob, "carol": carol}
        for identity, visitor in people.items():
            theirs = [each for each in recorded(stage.recording, identity, "s>c") if each.kind == "speakers_changed"]
            ours = [speaker for message in sent(visitor, "speakers_changed") for speaker in message.speakers]
            assert bool(ours) == bool(theirs), f"{identity} is told of voices, or is not"
            assert {speaker.sid for speaker in ours} <= {alice.me.sid}
            assert [speaker.active for speaker in ours][-1:] in ([], [False])
        if stage.single:
            del people["bob"]  # the recorded one left before he was asked to offer again without her track
        return people

    await play("s12-speakers-quality", "js", layout, act)
