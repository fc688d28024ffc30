"""RTP and RTCP: everything that reads a packet or keeps books on one."""

import struct

from rtp.binding import Section, SsrcBinder
from rtp.extensions import find_extension, parse_audio_level, parse_extensions
from rtp.packet import build_packet, parse_header, payload_end
from rtp.payload.av1 import starts_sequence
from rtp.payload.dependency_descriptor import parse_dependency_descriptor
from rtp.payload.vp8 import parse_keyframe_dimensions, parse_vp8
from rtp.payload.vp9 import parse_vp9
from rtp.reception import Reception
from rtp.rtcp.compound import parse_compound, serialize_compound
from rtp.units import Mid, Rid, Ssrc
from tests.fuzz.target import Target
from tests.rtp.wire import RecordedPacket, recorded_rtcp, recorded_rtp

_EVENT = struct.Struct("!BHIB")  # kind, sequence, timestamp, hundredths of a second since the last
_NAMES = struct.Struct("!IBB")  # SSRC, payload type, length of the extension block that follows


def _sample(*, every: int) -> list[RecordedPacket]:
    return list(recorded_rtp()[::every])


def _rtp() -> list[bytes]:
    return [recorded.packet for recorded in _sample(every=20)]


def _run_packet(data: bytes) -> None:
    header = parse_header(data)
    assert header.size <= payload_end(data, header) <= len(data)


def _run_extensions(data: bytes) -> None:
    header = parse_header(data)
    elements = parse_extensions(data, header)
    for element, value in elements.items():
        assert find_extension(data, header, element) == value
    for value in elements.values():
        parse_audio_level(value)


def _rtcp() -> list[bytes]:
    return [bytes.fromhex(line["hex"]) for line in recorded_rtcp()]


def _run_compound(data: bytes) -> None:
    # What we have read, we must be able to write, in no more than what came (and REMB's spare bits).
    assert len(serialize_compound(parse_compound(data))) <= len(data) + 255


def _heads(what: str) -> list[bytes]:
    return [
        recorded.packet[recorded.line["payload_at"] :][:64] for recorded in _sample(every=10) if recorded.what == what
    ]


def _vp8() -> list[bytes]:
    return _heads("vp8")


def _run_vp8(data: bytes) -> None:
    parse_keyframe_dimensions(data, parse_vp8(data))


def _vp9() -> list[bytes]:
    return _heads("vp9")


def _run_vp9(data: bytes) -> None:
    assert parse_vp9(data).size <= len(data)


def _av1() -> list[bytes]:
    return _heads("av1")


def _descriptors() -> list[bytes]:
    """Pairs of descriptors, the first with its length before it: the second is read by its structure."""
    read = [bytes.fromhex(each.line["ext"]["dd"]) for each in recorded_rtp() if "dd" in each.line["ext"]]
    keys = sorted({each for each in read if len(each) > 8})
    rest = sorted({each for each in read if len(each) <= 8})[::40]
    return [bytes((len(key),)) + key + each for key in keys[:3] for each in rest]


def _run_descriptors(data: bytes) -> None:
    if not data:
        return
    key = parse_dependency_descriptor(data[1 : 1 + data[0]], None)
    descriptor = parse_dependency_descriptor(data[1 + data[0] :], key.structure)
    again = parse_dependency_descriptor(descriptor.with_active_targets(0), key.structure)
    assert (again.active_targets, again.frame_diffs) == (0, descriptor.frame_diffs)


def _events() -> list[bytes]:
    steady = [_EVENT.pack(1, number, number * 960, 2) for number in range(50)]
    restarted = steady + [_EVENT.pack(1, 40_000 + number, number * 960, 2) for number in range(10)]
    reported = [*steady[:9], _EVENT.pack(2, 0, 9 * 960, 0), _EVENT.pack(3, 0, 0, 0), *steady[9:]]
    return [b"".join(events) for events in (steady, restarted, reported)]


def _run_reception(data: bytes) -> None:
    reception = Reception(48_000)
    now = 0.0
    for kind, sequence, timestamp, elapsed in _EVENT.iter_unpack(data[: len(data) // _EVENT.size * _EVENT.size]):
        now += elapsed / 100
        match kind % 4:
            case 2:
                reception.receive_sender_report(sequence << 48, timestamp, now)
            case 3:
                block = reception.report_block(Ssrc(1), now)
                assert block is None or len(block.serialize()) == 24
            case padding:
                packet = build_packet(payload_type=0, sequence=sequence, timestamp=timestamp, ssrc=1, payload=b"")
                reception.receive(parse_header(packet), now, 100 * padding)
    assert reception.statistics().lost >= 0


def _names() -> list[bytes]:
    seeds = []
    for recorded in _sample(every=30):
        header = parse_header(recorded.packet)
        block = recorded.packet[header.extension_at - 4 : header.size]
        if len(block) < 256:
            seeds.append(_NAMES.pack(header.ssrc, header.payload_type, len(block)) + block)
    return [*seeds, b"".join(seeds)]


def _run_binder(data: bytes) -> None:
    binder = SsrcBinder()
    ids = (9, 10, 11)
    binder.declare(Section(Mid("1"), frozenset({63, 111}), mid_extension=ids[0]))
    rids = (Rid("q"), Rid("h"), Rid("f"))
    binder.declare(Section(Mid("0"), frozenset({96}), frozenset({97}), rids, frozenset(), frozenset(), *ids))
    refused, packets, at = 0, 0, 0
    while at + _NAMES.size <= len(data):
        ssrc, kind, size = _NAMES.unpack_from(data, at)
        at += _NAMES.size
        block = data[at : at + size]
        at += size
        packet = build_packet(payload_type=kind & 0x7F, sequence=0, timestamp=0, ssrc=ssrc, payload=b"") + block
        packet = bytes((packet[0] | (0x10 if block else 0),)) + packet[1:]
        header = parse_header(packet)
        binding = binder.bind(header, parse_extensions(packet, header))
        assert binder.bound(header.ssrc) == binding
        refused += binding is None
        packets += 1
    assert binder.unbound.total() == refused <= packets


TARGETS = [
    Target("rtp-packet", _rtp, _run_packet),
    Target("rtp-extensions", _rtp, _run_extensions),
    Target("rtcp-compound", _rtcp, _run_compound),
    Target("vp8", _vp8, _run_vp8),
    Target("vp9", _vp9, _run_vp9),
    Target("av1", _av1, starts_sequence),
    Target("dependency-descriptor", _descriptors, _run_descriptors),
    Target("reception", _events, _run_reception),
    Target("ssrc-binder", _names, _run_binder),
]
