"""Data tracks: what is refused, who gets what, and under which handle."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from livekit.protocol import models, rtc

from rtp.errors import DecodeError
from sfu.data.frames import MAX_HANDLE, parse_handle, with_handle
from sfu.data.tracks import MAX_REQUEST_BYTES, MAX_TRACKS, DataTrackRefusedError, DataTracks
from sfu.model import MAX_SID_LENGTH, TrackSid
from tests.sfu.data.people import Someone, someone

ALICE, BOB = someone("alice"), someone("bob")
RECORDED = bytes.fromhex("1800000100000000a39b7c670707070707")
"""Sent by livekit-client 2.23, published under the handle 1."""

RECORDED_AT_READER = bytes.fromhex("1800006f00000000a39b7c670707070707")
"""The same as LiveKit's server handed it on to a reader that knew the track as 111."""


def open_tracks(*people: Someone, first_handle: int = 111, automatic: bool = False) -> DataTracks:
    numbers = itertools.count(1)
    tracks = DataTracks(lambda: f"DTR_{next(numbers)}", lambda _: first_handle, lambda _reader, _track: True)
    for person in people:
        tracks.join(person.sid, automatic=automatic)
    return tracks


def request(handle: int = 1, name: str = "sensor", **fields: object) -> rtc.PublishDataTrackRequest:
    return rtc.PublishDataTrackRequest(pub_handle=handle, name=name, **fields)


def test_a_packet_is_handed_on_with_nothing_changed_but_the_handle() -> None:
    tracks = open_tracks(ALICE, BOB)
    info = tracks.publish(ALICE, request())
    tracks.set_wanted(BOB.sid, TrackSid(info.sid), wanted=True)
    assert tracks.reconcile(BOB)
    assert tracks.route(ALICE.sid, RECORDED) == [(BOB.sid, RECORDED_AT_READER)]


def test_a_track_is_told_as_it_was_asked_for() -> None:
    tracks = open_tracks(ALICE)
    encoding = models.DataTrackFrameEncoding(custom="mine")
    info = tracks.publish(ALICE, request(frame_encoding=encoding, encryption=models.Encryption.GCM))
    assert info == models.DataTrackInfo(
        pub_handle=1, sid="DTR_1", name="sensor", encryption=models.Encryption.GCM, frame_encoding=encoding
    )
    assert tracks.published(ALICE.sid) == [info]


@pytest.mark.parametrize(
    ("wish", "reason"),
    [
        (request(handle=0), "INVALID_HANDLE"),
        (request(handle=MAX_HANDLE + 1), "INVALID_HANDLE"),
        (request(name=""), "INVALID_NAME"),
        (request(name="n" * 257), "INVALID_NAME"),
        (request(frame_encoding=models.DataTrackFrameEncoding(custom="")), "INVALID_REQUEST"),
        (
            request(schema=models.DataTrackSchemaId(encoding=models.DataTrackSchemaEncoding(custom="c" * 33))),
            "INVALID_REQUEST",
        ),
        (request(schema=models.DataTrackSchemaId(name="n" * MAX_REQUEST_BYTES)), "INVALID_REQUEST"),
        (request(handle=7, name="other"), "DUPLICATE_HANDLE"),
        (request(handle=8, name="taken"), "DUPLICATE_NAME"),
    ],
)
def test_what_cannot_be_published_is_refused(wish: rtc.PublishDataTrackRequest, reason: str) -> None:
    tracks = open_tracks(ALICE)
    tracks.publish(ALICE, request(handle=7, name="taken"))
    with pytest.raises(DataTrackRefusedError) as refusal:
        tracks.publish(ALICE, wish)
    assert rtc.RequestResponse.Reason.Name(refusal.value.reason) == reason


def test_who_may_not_publish_data_publishes_no_track() -> None:
    silent = someone("silent", can_publish_data=False)
    with pytest.raises(DataTrackRefusedError) as refusal:
        open_tracks(silent).publish(silent, request(handle=0))
    assert refusal.value.reason == rtc.RequestResponse.NOT_ALLOWED


def test_one_participant_has_so_many_tracks_and_no_more() -> None:
    tracks = open_tracks(ALICE)
    for number in range(MAX_TRACKS):
        tracks.publish(ALICE, request(handle=number + 1, name=f"{number}"))
    with pytest.raises(DataTrackRefusedError) as refusal:
        tracks.publish(ALICE, request(handle=MAX_TRACKS + 1, name="one more"))
    assert refusal.value.reason == rtc.RequestResponse.LIMIT_EXCEEDED


def test_a_track_that_was_ended_cannot_be_ended_again() -> None:
    tracks = open_tracks(ALICE)
    info = tracks.publish(ALICE, request())
    assert tracks.unpublish(ALICE.sid, 1) == info
    with pytest.raises(DataTrackRefusedError) as refusal:
        tracks.unpublish(ALICE.sid, 1)
    assert refusal.value.reason == rtc.RequestResponse.NOT_FOUND


def test_a_wish_may_come_before_its_track() -> None:
    tracks = open_tracks(ALICE, BOB)
    tracks.set_wanted(BOB.sid, TrackSid("DTR_1"), wanted=True)
    assert not tracks.reconcile(BOB)
    tracks.publish(ALICE, request())
    assert tracks.reconcile(BOB)
    assert {handle: track.sid for handle, track in tracks.handles(BOB.sid).items()} == {111: "DTR_1"}


def test_nobody_gets_what_it_has_not_asked_for_but_who_wants_all() -> None:
    for automatic in (False, True):
        tracks = open_tracks(ALICE, BOB, automatic=automatic)
        tracks.publish(ALICE, request())
        assert tracks.reconcile(BOB) is automatic
        assert not tracks.reconcile(ALICE)


@pytest.mark.parametrize(("publisher", "reader"), [({"hidden": True}, {}), ({}, {"can_subscribe": False})])
def test_nobody_gets_what_it_may_not_have(publisher: dict[str, object], reader: dict[str, object]) -> None:
    alice, bob = someone("alice", **publisher), someone("bob", **reader)
    tracks = open_tracks(alice, bob, automatic=True)
    tracks.publish(alice, request())
    assert not tracks.reconcile(bob)


def test_handles_are_not_used_again_at_once() -> None:
    tracks = open_tracks(ALICE, BOB, first_handle=MAX_HANDLE, automatic=True)
    used = []
    for _ in range(3):
        tracks.publish(ALICE, request())
        tracks.reconcile(BOB)
        used += tracks.handles(BOB.sid)
        tracks.unpublish(ALICE.sid, 1)
        assert tracks.reconcile(BOB)
    assert used == [MAX_HANDLE, 1, 2]


def test_who_leaves_takes_its_tracks_along_and_gets_nothing_more() -> None:
    carol = someone("carol")
    tracks = open_tracks(ALICE, BOB, carol, automatic=True)
    tracks.publish(ALICE, request())
    for reader in (BOB, carol):
        tracks.reconcile(reader)
    tracks.leave(BOB.sid)
    route = tracks.route(ALICE.sid, RECORDED)
    assert route is not None
    assert [reader for reader, _ in route] == [carol.sid]
    tracks.leave(ALICE.sid)
    assert tracks.reconcile(carol)
    assert tracks.handles(carol.sid) == {}


def test_a_packet_of_no_track_goes_nowhere() -> None:
    assert open_tracks(ALICE).route(ALICE.sid, RECORDED) is None


@pytest.mark.parametrize("packet", [b"", RECORDED[:11], b"\x38" + RECORDED[1:], RECORDED[:2] + b"\0\0" + RECORDED[4:]])
def test_what_is_no_packet_of_a_data_track_is_not_read(packet: bytes) -> None:
    with pytest.raises(DecodeError):
        parse_handle(packet)


@given(st.binary(max_size=100), st.integers(1, MAX_HANDLE))
def test_a_new_handle_is_all_that_changes(packet: bytes, handle: int) -> None:
    try:
        parse_handle(packet)
    except DecodeError:
        return
    changed = with_handle(packet, handle)
    assert parse_handle(changed) == handle
    assert (changed[:2], changed[4:]) == (packet[:2], packet[4:])


def test_a_wish_is_not_remembered_for_what_can_be_no_id_of_a_track() -> None:
    tracks = open_tracks(ALICE, BOB)
    tracks.set_wanted(BOB.sid, TrackSid("D" * (MAX_SID_LENGTH + 1)), wanted=True)
    assert not tracks._readers[BOB.sid].wishes
