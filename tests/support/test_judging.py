"""The judge finds what is wrong, and only that: packets as a server might send them, without any server."""

from collections.abc import Callable
from dataclasses import replace
from random import Random

import pytest

from tests.support.judging import CLOCK_RATE, PATIENCE_SECONDS, TrackJudge
from tests.support.packetizing import KINDS, EncodedSource
from triforium.visitor import ReceivedPacket

# What a server sends on has no picture ids of seven bits: those are widened.
every_kind = pytest.mark.parametrize("kind", sorted(KINDS.keys() - {"short-vp8"}))


class Stream:
    """What a perfect server would send: one stream, from whichever layer."""

    def __init__(self, kind: str) -> None:
        self.mime = KINDS[kind].mime
        self.packets: list[ReceivedPacket] = []
        packetizer = KINDS[kind].new_packetizer(Random(3))  # one for all: numbers go on
        self._sources = [EncodedSource(self.mime, layer, packetizer) for layer in range(3)]
        self._frames = 0

    def skip(self, layer: int, frames: int) -> None:
        self._sources[layer]._at += frames

    def send(self, layer: int, frames: int, *, key: bool = False) -> None:
        if key:
            self._sources[layer].request_key_frame()
        for _ in range(frames):
            payloads = self._sources[layer].next_burst()
            for at, payload in enumerate(payloads, 1):
                self.packets.append(
                    ReceivedPacket(
                        sequence=65_530 + len(self.packets),
                        timestamp=(0xFFFF_FF00 + self._frames * 9000) % 2**32,
                        marker=at == len(payloads),
                        payload_type=96,
                        payload=payload,
                        arrived_at=self._frames / 10,
                    )
                )
            self._frames += 1


def judged(stream: Stream, keep: Callable[[ReceivedPacket], bool] = lambda _: True) -> TrackJudge:
    judge = TrackJudge(stream.mime)
    for packet in stream.packets:
        if keep(packet):
            judge.receive(packet)
    return judge


def switching_stream(kind: str) -> Stream:
    stream = Stream(kind)
    for layer in (1, 2, 0, 2):
        stream.send(layer, 12, key=True)
    return stream


def is_wrong(fault: str) -> bool:
    """Whether a picture was found to be another than it says, or to be missing: H.265's decoder shows none then."""
    return "not the picture that it should be" in fault or "makes 0 pictures" in fault


@every_kind
def test_what_is_right_is_found_right(kind: str) -> None:
    judge = judged(switching_stream(kind))
    assert judge.faults == []
    assert (judge.pictures, judge.key_frames, judge.layers) == (48, 4, [1, 2, 0, 2])
    assert (judge.missing, judge.incomparable, judge.cut_short) == (0, 0, 0)


@every_kind
def test_order_on_the_way_does_not_matter(kind: str) -> None:
    stream = switching_stream(kind)
    dice = Random(1)
    first, *others = stream.packets
    others.sort(key=lambda packet: packet.sequence + dice.uniform(0, 6))
    stream.packets = [first, *others]
    judge = judged(stream)
    assert (judge.faults, judge.pictures, judge.missing) == ([], 48, 0)


@every_kind
def test_a_switch_at_no_key_frame_is_found(kind: str) -> None:
    stream = Stream(kind)
    stream.send(1, 5)
    stream.skip(2, 4)
    stream.send(2, 5)
    assert is_wrong(judged(stream).faults[0]) or "refuses" in judged(stream).faults[0]


@every_kind
def test_a_frame_left_out_without_a_trace_is_found(kind: str) -> None:
    stream = Stream(kind)
    stream.send(1, 4)
    stream.skip(1, 1)  # of the lowest temporal layer
    stream.send(1, 1)
    assert is_wrong(judged(stream).faults[0])


@every_kind
def test_a_frame_sent_again_as_another_is_found(kind: str) -> None:
    stream = Stream(kind)
    stream.send(0, 5)
    stream.skip(0, -1)
    stream.send(0, 1)
    assert is_wrong(judged(stream).faults[0])


@every_kind
def test_time_that_stands_still_or_goes_back_is_found(kind: str) -> None:
    for step, fault in ((0, "another frame with the same time"), (-9000, "its time goes back by 9000")):
        stream = switching_stream(kind)
        stamps = list(dict.fromkeys(packet.timestamp for packet in stream.packets))
        wrong = (stamps[23] + step) % 2**32  # a key frame of another layer follows: pictures are right all the same
        stream.packets = [
            replace(packet, timestamp=wrong) if packet.timestamp == stamps[24] else packet for packet in stream.packets
        ]
        assert fault in judged(stream).faults[0]


@pytest.mark.parametrize("seconds_each", [0.05, -0.05], ids=["fast", "slow"])
def test_time_that_runs_too_fast_or_too_slowly_is_found(seconds_each: float) -> None:
    stream = Stream("vp8")
    stream.send(0, 40)
    assert judged(stream).faults == []
    stamps = list(dict.fromkeys(packet.timestamp for packet in stream.packets))
    ticks = round(seconds_each * CLOCK_RATE)
    stream.packets = [
        replace(packet, timestamp=(packet.timestamp + ticks * stamps.index(packet.timestamp)) % 2**32)
        for packet in stream.packets
    ]
    assert "s ahead" in judged(stream).faults[0]


@pytest.mark.parametrize("byte", [3, 4], ids=["picture id", "TL0PICIDX"])
def test_pictures_that_are_numbered_wrongly_are_found(byte: int) -> None:
    stream = switching_stream("vp8")
    stamps = list(dict.fromkeys(packet.timestamp for packet in stream.packets))
    after = set(stamps[24:])
    stream.packets = [
        replace(packet, payload=bumped(packet.payload, byte)) if packet.timestamp in after else packet
        for packet in stream.packets
    ]
    judge = judged(stream)
    assert len(judge.faults) == 1
    assert ("picture_id goes from" if byte == 3 else "tl0_picture_index goes from") in judge.faults[0]


def bumped(payload: bytes, at: int) -> bytes:
    return payload[:at] + bytes((payload[at] + 1 & 0xFF,)) + payload[at + 1 :]


@every_kind
def test_after_a_loss_nothing_is_compared_until_the_next_key_frame(kind: str) -> None:
    stream = Stream(kind)
    stream.send(1, 40)
    stream.send(1, 10, key=True)
    stamps = list(dict.fromkeys(packet.timestamp for packet in stream.packets))
    lost = next(packet for packet in stream.packets if packet.timestamp == stamps[5])
    judge = judged(stream, lambda packet: packet is not lost)
    assert judge.faults == []
    assert (judge.missing, judge.key_frames) == (1, 2)
    assert judge.stretches == [0, judge.incomparable]
    assert 33 <= judge.incomparable <= 34  # of H.264 it is not known where the next frame starts
    assert judge.pictures == 5 + 10


@every_kind
def test_what_is_late_but_not_too_late_is_compared(kind: str) -> None:
    stream = Stream(kind)
    stream.send(1, 20)
    late = stream.packets.pop(7)
    arrival = late.arrived_at + PATIENCE_SECONDS / 2
    stream.packets.insert(
        next(at for at, packet in enumerate(stream.packets) if packet.arrived_at > arrival),
        replace(late, arrived_at=arrival),
    )
    judge = judged(stream)
    assert (judge.faults, judge.pictures, judge.missing) == ([], 20, 0)


@every_kind
def test_a_frame_may_be_cut_short_only_before_a_key_frame(kind: str) -> None:
    for is_key in (True, False):
        stream = Stream(kind)
        stream.send(2, 5)
        end = max(at for at, packet in enumerate(stream.packets) if not packet.marker)
        del stream.packets[end + 1 :]
        stream.send(2, 5, key=is_key)
        stream.packets = [replace(packet, sequence=100 + at) for at, packet in enumerate(stream.packets)]
        judge = judged(stream)
        assert judge.cut_short == 1
        assert bool(judge.faults) is not is_key


@every_kind
def test_who_misses_the_first_packet_waits_for_the_next_key_frame(kind: str) -> None:
    stream = Stream(kind)
    stream.send(2, 5)
    stream.send(2, 5, key=True)
    judge = judged(stream, lambda packet: packet is not stream.packets[0])
    assert (judge.faults, judge.pictures, judge.missing) == ([], 5, 0)
    assert judge.stretches == [4], "the first was not complete"


@every_kind
def test_a_key_frame_is_asked_for_when_there_is_nothing_to_compare(kind: str) -> None:
    stream = Stream(kind)
    stream.send(2, 3)
    stream.send(2, 1, key=True)
    judge = TrackJudge(stream.mime)
    wants = []
    for packet in stream.packets[1:]:
        judge.receive(packet)
        if packet.marker:
            wants.append(judge.wants_key_frame)
    assert wants == [True, True, True, False]
