"""Parameter sets that come too rarely: what is kept of them, and what goes out to whom."""

from base64 import b64encode
from dataclasses import replace
from itertools import chain

import pytest

from rtp.packet import build_packet, parse_header
from rtp.sdp.codecs import Codec, MediaKind
from rtp.units import Ssrc
from sfu.media.downtrack import DownTrack
from sfu.media.layers import TrackLayers
from sfu.media.parameter_sets import MAX_BYTES, ParameterSets
from sfu.media.receiver import Receiver
from tests.sfu.in_trio import in_trio
from tests.sfu.media.rig import Connection

SPS, PPS, OTHER_PPS = b"\x67\x42\xc0\x1f", b"\x68\xce\x3c", b"\x68\x42"
SETS = b"\x78\x00\x04" + SPS + b"\x00\x03" + PPS
IDR, OTHER_SLICE, DELTA = b"\x65\x88idr", b"\x65\x40idr", b"\x41\x9adelta"
IDR_START = b"\x7c\x85\x88idr"


def supplied(*packets: tuple[int, bytes], known: tuple[bytes, ...] = ()) -> list[tuple[bytes, ...]]:
    sets = ParameterSets(known)
    return [sets.receive(payload, timestamp) for timestamp, payload in packets]


@pytest.mark.parametrize(
    ("packets", "before_last"),
    [
        ([(1, SETS), (1, IDR)], ()),
        ([(1, SETS), (1, IDR), (2, DELTA), (3, DELTA)], ()),
        ([(1, SETS), (1, IDR), (2, IDR)], (SPS, PPS)),
        ([(1, SETS), (1, IDR), (2, IDR_START)], (SPS, PPS)),
        ([(1, SETS), (1, IDR), (2, OTHER_SLICE)], ()),
        ([(1, SETS), (2, IDR), (2, IDR)], ()),  # once is enough
        ([(1, SETS), (2, IDR), (3, IDR)], (SPS, PPS)),
        ([(1, SPS), (1, PPS), (1, OTHER_PPS), (2, IDR)], (SPS, PPS, OTHER_PPS)),
        ([(1, SETS), (2, PPS), (2, IDR)], (SPS, PPS)),  # half of them
        ([(1, SETS), (2, SPS), (2, OTHER_PPS), (3, IDR)], (SPS, OTHER_PPS)),
        ([(1, IDR)], ()),
        ([(1, PPS), (2, IDR)], ()),
        ([(1, SETS), (1, PPS + bytes(MAX_BYTES)), (2, IDR)], ()),
    ],
)
def test_sets_that_came_last_are_supplied_where_a_picture_comes_without(
    packets: list[tuple[int, bytes]], before_last: tuple[bytes, ...]
) -> None:
    assert supplied(*packets)[-1] == before_last


def test_sets_may_be_known_from_the_description_until_others_come() -> None:
    assert supplied((1, IDR), (2, SETS), (3, IDR), known=(SPS, OTHER_PPS)) == [(SPS, OTHER_PPS), (), (SPS, PPS)]


class Call:
    """A publisher of H.264, and those who come when they like."""

    def __init__(self, codec: Codec) -> None:
        self.now = 100.0
        self.receiver = Receiver(codec, MediaKind.VIDEO, TrackLayers(), lambda: None)
        self.stream = self.receiver.add_stream(Ssrc(5), None)
        self._sequence = self._timestamp = 1000

    def join(self) -> Connection:
        connection = Connection()
        down_track = DownTrack(self.receiver, connection, Ssrc(77), first_sequence=0)
        down_track.bind(payload_type=100, abs_send_time_id=None)
        return connection

    def frame(self, *payloads: bytes) -> list[bytes]:
        """Return the packets of the next frame."""
        self._timestamp += 3000
        packets = []
        for payload in payloads:
            self._sequence += 1
            packets.append(
                build_packet(
                    payload_type=108, sequence=self._sequence, timestamp=self._timestamp, ssrc=5, payload=payload
                )
            )
        return packets

    def feed(self, *frames: list[bytes]) -> None:
        for packet in chain(*frames):
            self.now += 0.02
            self.receiver.receive(self.stream, packet, parse_header(packet), self.now)

    def key(self) -> None:
        """Feed a key frame that has all that it needs."""
        self.feed(self.frame(SETS, IDR))

    def bare_key(self) -> None:
        self.feed(self.frame(IDR))

    def delta(self) -> None:
        self.feed(self.frame(DELTA))


H264 = Codec("video/H264", 108, 90_000)


def payloads(connection: Connection) -> list[bytes]:
    sent = connection.sent(Ssrc(77))
    assert [packet.index for packet in sent] == list(range(len(sent)))
    return [packet.payload for packet in sent]


@in_trio
def test_who_comes_late_starts_at_an_idr_picture_with_the_sets_that_came_long_before() -> None:
    call = Call(H264)
    early = call.join()
    call.key()
    call.delta()
    late = call.join()
    call.delta()
    call.bare_key()
    call.delta()
    assert payloads(early) == [SETS, IDR, DELTA, DELTA, SPS, PPS, IDR, DELTA]
    assert payloads(late) == [SPS, PPS, IDR, DELTA]
    first, second, third, _ = late.sent(Ssrc(77))
    assert first.header.timestamp == second.header.timestamp == third.header.timestamp
    assert not first.header.marker


@in_trio
def test_sets_of_the_description_are_enough() -> None:
    units = ",".join(b64encode(unit).decode() for unit in (SPS, PPS))
    call = Call(replace(H264, fmtp=f"packetization-mode=1;sprop-parameter-sets={units};profile-level-id=42e01f"))
    connection = call.join()
    call.delta()
    call.bare_key()
    assert payloads(connection) == [SPS, PPS, IDR]


@pytest.mark.parametrize("sets", ["", "%%", "Z", "é", ","])
@in_trio
def test_a_description_without_sets_that_can_be_read_has_none(sets: str) -> None:
    call = Call(replace(H264, fmtp=f"sprop-parameter-sets={sets}"))
    connection = call.join()
    call.bare_key()
    assert payloads(connection) == []


@in_trio
def test_sets_hold_for_a_sender_that_numbers_anew() -> None:
    call = Call(H264)
    connection = call.join()
    call.key()
    call._sequence += 20_000
    for _ in range(6):
        call.delta()
    assert call.receiver.statistics().streams[Ssrc(5)].reception.restarts == 1
    call.bare_key()
    assert payloads(connection) == [SETS, IDR, SPS, PPS, IDR]


@in_trio
def test_what_is_late_comes_before_what_was_supplied() -> None:
    call = Call(H264)
    connection = call.join()
    call.key()
    late = call.frame(DELTA)
    call.delta()
    call.bare_key()
    call.feed(late)
    call.delta()
    by_number = {packet.index: packet.payload for packet in connection.sent(Ssrc(77))}
    assert [by_number[index] for index in range(8)] == [SETS, IDR, DELTA, DELTA, SPS, PPS, IDR, DELTA]


@pytest.mark.parametrize(
    ("sets", "lost"), [((SPS, OTHER_PPS), 0), ((SPS, OTHER_PPS), 1), ((SETS,), 0), ((SPS, PPS, b"\x06sei"), 1)]
)
@in_trio
def test_old_sets_do_not_stand_in_for_new_ones_that_are_lost(sets: tuple[bytes, ...], lost: int) -> None:
    call = Call(H264)
    connection = call.join()
    call.key()
    call.delta()
    *others, idr = call.frame(*sets, IDR)
    late = others.pop(lost)
    call.feed(others, [idr], [late])
    call.delta()
    by_number = {packet.index: packet.payload for packet in connection.sent(Ssrc(77))}
    assert [by_number[index] for index in range(len(by_number))] == [SETS, IDR, DELTA, *sets, IDR, DELTA]


@in_trio
def test_a_late_picture_is_no_place_to_start() -> None:
    call = Call(H264)
    call.key()
    late = call.frame(IDR)
    call.delta()
    connection = call.join()
    call.feed(late)
    call.delta()
    assert payloads(connection) == []
