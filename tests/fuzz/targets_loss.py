"""What is lost and sent again, other layers, other ids: everything that works on numbers that peers make up."""

import struct
from contextlib import suppress
from dataclasses import dataclass

from rtp.errors import DecodeError
from rtp.history import PacketHistory
from rtp.nack import MAX_MISSING, KeyframeNeeded, NackGenerator, NackOutput, Request
from rtp.packet import parse_header
from rtp.payload.h264 import is_keyframe
from rtp.payload.h264_sps import parse_picture_size
from rtp.payload.rtx import parse_retransmission
from rtp.payload.vp8 import parse_vp8
from rtp.reception import SenderClock
from rtp.rtcp.nack import MAX_SEQUENCES, parse_generic_nack
from rtp.units import Ssrc
from sfu.media.forwarder import Sent
from sfu.media.frames import FrameFacts
from sfu.media.parameter_sets import MAX_BYTES, ParameterSets
from sfu.media.resending import MAX_RESENDS, Resender, Run
from sfu.media.speakers import AudioLevels
from sfu.media.splicing import StreamSplicer
from sfu.media.vp8_munger import Vp8Facts, Vp8Munger, Vp8Source, shift_ids
from tests.fuzz.target import Target
from tests.rtp.wire import recorded_rtcp, recorded_rtp

_ARRIVAL = struct.Struct("!BHB")  # what happens, sequence, hundredths of a second since the last
_LEVEL = struct.Struct("!BIB")  # level, timestamp, hundredths of a second since the last
_SPLICE = struct.Struct("!BIQIQI")  # epoch, timestamp, then NTP and timestamp of two reports
_SOURCE_PACKETS = 100


@dataclass(slots=True)
class _Facts:
    marker: bool = False
    timestamp: int = 0
    payload_at: int = 12
    payload_end: int = 20
    arrived_at: float = 0.0
    vp8: Vp8Facts | None = None
    sequence: int = 0
    frame: FrameFacts | None = None
    captured: bytes | None = None


def _payloads(what: str, *, every: int) -> list[bytes]:
    packets = [recorded for recorded in recorded_rtp() if recorded.what == what]
    return [recorded.packet[recorded.line["payload_at"] :][:64] for recorded in packets[::every]]


def _nacks() -> list[bytes]:
    recorded = [bytes.fromhex(line["hex"]) for line in recorded_rtcp() if "NACK" in line["parts"]]
    return [data[4:16] for data in recorded if data[1] == 205] + [bytes(8) + b"\x00\x01\xff\xff" * 9]


def _run_nack(data: bytes) -> None:
    nack = parse_generic_nack(data)
    assert 0 < len(nack.sequences) <= MAX_SEQUENCES
    written = nack.serialize()
    assert len(written) <= len(data) + 4
    assert set(parse_generic_nack(written[4:]).sequences) == set(nack.sequences)


def _rtx() -> list[bytes]:
    return [recorded.packet for recorded in recorded_rtp() if recorded.what in ("rtx", "rtx-padding")][::4]


def _run_rtx(data: bytes) -> None:
    header = parse_header(data)
    restored = parse_retransmission(data, header, ssrc=Ssrc(1), payload_type=96)
    if restored is not None:
        assert len(restored) == len(data) - 2
        assert parse_header(restored).size == header.size


def _h264() -> list[bytes]:
    return _payloads("h264", every=4)


def _run_h264(data: bytes) -> None:
    is_keyframe(data)


def _h264_sps() -> list[bytes]:
    return [
        *(payload[3:40] for payload in _payloads("h264", every=1) if is_keyframe(payload)),
        bytes.fromhex("67640028acd94078044fdc20000003002000000783e2c5b2c0"),
        bytes.fromhex("67f4001e919b281485fc7c4420000003002000000781e2c5b2c0"),
    ]


def _run_h264_sps(data: bytes) -> None:
    width, height = parse_picture_size(data)
    assert 0 < width < 1 << 16
    assert 0 < height < 1 << 16


def _parameter_sets() -> list[bytes]:
    # a timestamp and a length in front of each payload
    packets = [
        bytes((at // 8, len(payload[:99]))) + payload[:99] for at, payload in enumerate(_payloads("h264", every=1))
    ]
    return [b"".join(packets[at : at + 40]) for at in range(0, len(packets), 40)]


def _run_parameter_sets(data: bytes) -> None:
    sets, at = ParameterSets(), 0
    while at + 1 < len(data):
        payload = data[at + 2 : at + 2 + data[at + 1]]
        with suppress(DecodeError):
            supplied = sets.receive(payload, data[at])
            assert sum(map(len, supplied)) <= MAX_BYTES
            assert not supplied or not is_keyframe(payload)
        at += 2 + data[at + 1]


def _vp8() -> list[bytes]:
    # a length in front of each payload; those of a publisher without RTX have no ids, so some are made up
    made_up = [bytes((0x90, 0xE0, 0x80 | number >> 8, number & 0xFF, number & 0xFF, 0x20, 0)) for number in range(20)]
    payloads = [*made_up, *(payload[:16] for payload in _payloads("vp8", every=9))]
    return [b"".join(bytes((len(payload),)) + payload for payload in payloads[at : at + 10]) for at in range(0, 30, 10)]


def _run_vp8_ids(data: bytes) -> None:
    source, munger, last, at = Vp8Source(), Vp8Munger(), None, 0
    while at < len(data):
        what, size = data[at] >> 6, data[at] & 0x3F
        payload = data[at + 1 : at + 1 + size]
        at += 1 + size
        try:
            facts = source.read(parse_vp8(payload))
        except DecodeError:
            continue
        if what == 1:
            munger.switch(facts, last)
        else:
            shifted = shift_ids(payload, facts, munger.offsets)
            assert parse_vp8(shifted).temporal_id == facts.descriptor.temporal_id
            assert len(payload) <= len(shifted) <= len(payload) + 1
            last = facts


def _arrivals() -> list[bytes]:
    steady = [_ARRIVAL.pack(0, number, 1) for number in range(60) if number % 7]
    late = [*steady, *(_ARRIVAL.pack(number % 4, number, 0) for number in range(0, 60, 7))]
    wrapping = [_ARRIVAL.pack(0, (0xFFF0 + 3 * number) & 0xFFFF, 3) for number in range(20)]
    return [b"".join(events) for events in (steady, late, wrapping)]


def _run_nack_generator(data: bytes) -> None:
    nacks, now, highest, asked = NackGenerator(), 0.0, 0, 0
    for what, sequence, elapsed in _ARRIVAL.iter_unpack(data[: len(data) // _ARRIVAL.size * _ARRIVAL.size]):
        now += elapsed / 100
        outputs: list[NackOutput] = []
        while (due := nacks.next_timeout()) is not None and due <= now:
            outputs += nacks.handle_timeout(due)
        number = highest - 0x8000 + ((sequence - highest + 0x8000) & 0xFFFF)
        highest = max(highest, number)
        outputs += nacks.receive_packet(number, now, is_keyframe=what & 1 > 0, is_resend=what & 2 > 0)
        for output in outputs:
            match output:
                case Request(sequences):
                    assert 0 < len(sequences) <= MAX_MISSING
                    asked += len(sequences)
                case KeyframeNeeded():
                    pass
    assert nacks.statistics().requests == asked


def _run_resender(data: bytes) -> None:
    history: PacketHistory[_Facts] = PacketHistory(max_packets=50)
    for sequence in range(_SOURCE_PACKETS):
        history.put(sequence, b"%020d" % sequence, _Facts())
    resender: Resender[_Facts] = Resender()
    resender.begin(Run(0, 0, 0, 0, 96))
    sent: dict[int, bytes] = {}
    now, highest, answers = 0.0, _SOURCE_PACKETS - 1, 0
    for what, sequence, elapsed in _ARRIVAL.iter_unpack(data[: len(data) // _ARRIVAL.size * _ARRIVAL.size]):
        now += elapsed / 100
        match what & 7:
            case 0:
                resender.begin(Run(highest + 1, 0, highest + 1 - sequence, sequence, 96))
                highest += 1 + what
            case 1:
                resender.hold()
            case 2:
                resender.release()
            case _:
                asked = range(sequence, sequence + (what >> 3))
                for resend in resender.answer(
                    (number & 0xFFFF for number in asked),
                    highest=highest,
                    now=now,
                    round_trip_seconds=0.05,
                    find=lambda _, number: history.get(number),
                ):
                    again = resend.serialize(Ssrc(1))
                    assert sent.setdefault(resend.number, again) == again
                    answers += 1
    assert resender.statistics().resent == answers <= MAX_RESENDS * len(sent)


def _levels() -> list[bytes]:
    return [b"".join(_LEVEL.pack(number % 128, number * 960, 2) for number in range(80))]


def _run_levels(data: bytes) -> None:
    levels, now = AudioLevels(48_000), 0.0
    for level, timestamp, elapsed in _LEVEL.iter_unpack(data[: len(data) // _LEVEL.size * _LEVEL.size]):
        now += elapsed / 100
        levels.receive_packet(level & 0x7F, timestamp, now)
        assert 0.0 <= levels.level(now) <= 1.0


def _splices() -> list[bytes]:
    second = 1 << 32
    return [
        b"".join(
            _SPLICE.pack(number % 3, number * 90_000, number * second, number * 90_000, number * second, 7)
            for number in range(9)
        )
    ]


def _run_splicer(data: bytes) -> None:
    stream = StreamSplicer(first_sequence=0, clock_rate=90_000)
    sent, now = None, 0.0
    for epoch, timestamp, ntp, reported, last_ntp, last_reported in _SPLICE.iter_unpack(
        data[: len(data) // _SPLICE.size * _SPLICE.size]
    ):
        now += 0.1
        splice = stream.splice(
            sequence=timestamp,
            timestamp=timestamp,
            epoch=epoch,
            now=now,
            sent=sent,
            clock=SenderClock(ntp, reported, now) if ntp else None,
            last_clock=SenderClock(last_ntp, last_reported, now) if last_ntp else None,
        )
        if splice is not None:
            number = timestamp + splice.sequence_offset
            stamp = (timestamp + splice.timestamp_offset) & 0xFFFF_FFFF
            if sent is not None:
                assert number == sent.sequence + 1
                assert 0 < (stamp - sent.timestamp) & 0xFFFF_FFFF < 1 << 31
            sent = Sent(number, stamp, now)


TARGETS = [
    Target("generic-nack", _nacks, _run_nack),
    Target("rtx", _rtx, _run_rtx),
    Target("h264", _h264, _run_h264),
    Target("h264-sps", _h264_sps, _run_h264_sps),
    Target("parameter-sets", _parameter_sets, _run_parameter_sets),
    Target("vp8-ids", _vp8, _run_vp8_ids),
    Target("nack-generator", _arrivals, _run_nack_generator),
    Target("resender", _arrivals, _run_resender),
    Target("audio-levels", _levels, _run_levels),
    Target("splicer", _splices, _run_splicer),
]
