from collections import Counter
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtp.extensions import abs_send_time, find_extension, serialize_extensions
from rtp.history import PacketHistory
from rtp.packet import build_packet, parse_header
from rtp.payload.rtx import parse_retransmission
from rtp.payload.vp8 import parse_vp8
from rtp.units import Ssrc
from sfu.media.frames import FrameFacts
from sfu.media.packet_numbers import PacketNumbers
from sfu.media.resending import MAX_AGE, MAX_RESENDS, MAX_RUNS, Refusal, Resend, Resender, Run
from sfu.media.vp8_munger import Vp8Facts, Vp8Offsets, Vp8Source

SSRC, RTX_SSRC = Ssrc(7), Ssrc(8)
ROUND_TRIP = 0.05


@dataclass(slots=True)
class Facts:
    marker: bool = False
    timestamp: int = 0
    payload_at: int = 12
    payload_end: int = 17
    arrived_at: float = 0.0
    vp8: Vp8Facts | None = None
    sequence: int = 0
    frame: FrameFacts | None = None
    captured: bytes | None = None


def source_packet(sequence: int) -> tuple[bytes, Facts]:
    """What arrived as `sequence`: it carries its number, and has 90 ticks and a millisecond for each."""
    payload = b"p%08d" % sequence
    packet = bytes(12) + payload + b"padding"
    return packet, Facts(sequence % 3 == 0, sequence * 90, 12, 12 + len(payload), sequence / 1000)


class Sources:
    """The histories of several sources, by epoch."""

    def __init__(self) -> None:
        self.histories: dict[int, PacketHistory[Facts]] = {}

    def receive(self, epoch: int, *sequences: int) -> None:
        history = self.histories.setdefault(epoch, PacketHistory(max_packets=500))
        for sequence in sequences:
            history.put(sequence, *source_packet(sequence))

    def find(self, epoch: int, sequence: int) -> tuple[bytes, Facts] | None:
        history = self.histories.get(epoch)
        return None if history is None else history.get(sequence)


def run(first: int, *, epoch: int = 1, sequence_offset: int = 0) -> Run:
    return Run(first, epoch, sequence_offset, 0, 96)


class Subscriber:
    """A resender with a source of 100 packets from 1000 on, sent on under their own numbers."""

    def __init__(self) -> None:
        self.sources = Sources()
        self.sources.receive(1, *range(1000, 1100))
        self.resender: Resender[Facts] = Resender()
        self.resender.begin(run(1000))
        self.highest = 1099

    def ask(self, *sequences: int, now: float = 10.0, round_trip: float = ROUND_TRIP) -> list[int]:
        return [
            resend.number
            for resend in self.resender.answer(
                sequences,
                highest=self.highest,
                now=now,
                round_trip_seconds=round_trip,
                find=self.sources.find,
            )
        ]

    @property
    def refused(self) -> dict[Refusal, int]:
        return self.resender.statistics().refused


def test_what_was_lost_is_sent_again() -> None:
    subscriber = Subscriber()
    assert subscriber.ask(1005, 1007) == [1005, 1007]
    assert subscriber.resender.statistics().resent == 2
    assert subscriber.refused == {}


def test_numbers_are_unwrapped_near_the_newest_that_was_sent() -> None:
    subscriber = Subscriber()
    subscriber.resender.begin(run(0x1_0000, sequence_offset=0x1_0000 - 1010))
    subscriber.highest = 0x1_0002
    assert subscriber.ask(0, 2) == [0x1_0000, 0x1_0002]


@pytest.mark.parametrize("number", [999, 1100, 1099 - MAX_AGE, 0x8000])
def test_what_was_never_sent_or_long_ago_is_refused(number: int) -> None:
    subscriber = Subscriber()
    assert subscriber.ask(number) == []
    assert subscriber.refused == {Refusal.UNKNOWN: 1}


def test_a_hole_in_the_source_is_refused_until_it_is_filled() -> None:
    subscriber = Subscriber()
    subscriber.highest = 1105
    assert subscriber.ask(1102) == []
    assert subscriber.refused == {Refusal.MISSING: 1}
    subscriber.sources.receive(1, 1102)
    assert subscriber.ask(1102) == [1102]


def test_a_packet_is_not_sent_again_while_the_last_answer_may_be_on_its_way() -> None:
    subscriber = Subscriber()
    assert subscriber.ask(1005, now=10.0) == [1005]
    assert subscriber.ask(1005, now=10.049) == []
    assert subscriber.ask(1005, now=10.051) == [1005]
    assert subscriber.refused == {Refusal.TOO_SOON: 1}
    assert subscriber.resender.statistics().repeated == 1


def test_however_long_the_round_trip_a_tenth_of_a_second_is_enough() -> None:
    subscriber = Subscriber()
    assert subscriber.ask(1005, now=10.0, round_trip=3.0) == [1005]
    assert subscriber.ask(1005, now=10.101, round_trip=3.0) == [1005]


def test_a_number_named_twice_is_sent_once() -> None:
    subscriber = Subscriber()
    assert subscriber.ask(1005, 1005) == [1005]


def test_a_packet_is_sent_again_as_often_as_libwebrtc_asks() -> None:
    subscriber = Subscriber()
    for second in range(13):
        subscriber.ask(1005, now=10.0 + second)
    assert subscriber.resender.statistics().resent == MAX_RESENDS == 10
    assert subscriber.refused == {Refusal.TOO_OFTEN: 3}


def test_who_asks_for_a_key_frame_gets_nothing_again_until_it_is_sent() -> None:
    subscriber = Subscriber()
    subscriber.resender.hold()
    assert subscriber.ask(1005) == []
    assert subscriber.refused == {Refusal.HELD: 1}
    subscriber.resender.release()
    assert subscriber.ask(1005) == [1005]


def test_a_number_is_looked_up_in_the_source_that_it_was_sent_from() -> None:
    subscriber = Subscriber()
    subscriber.sources.receive(2, *range(1, 60))
    subscriber.resender.begin(run(1100, epoch=2, sequence_offset=1090))
    subscriber.highest = 1110
    resends = subscriber.resender.answer(
        [1099, 1100, 1101], highest=1110, now=0.0, round_trip_seconds=0.0, find=subscriber.sources.find
    )
    assert [resend.packet for resend in resends] == [source_packet(number)[0] for number in (1099, 10, 11)]


def test_a_run_in_which_nothing_was_sent_is_forgotten() -> None:
    subscriber = Subscriber()
    subscriber.sources.receive(3, 5)
    subscriber.resender.begin(run(1100, epoch=2, sequence_offset=900))
    subscriber.resender.begin(run(1100, epoch=3, sequence_offset=1095))
    subscriber.highest = 1100
    assert subscriber.ask(1100) == [1100]


def test_memory_is_bounded_whatever_is_spliced_and_asked_for() -> None:
    subscriber = Subscriber()
    for number in range(1000, 1000 + 3 * MAX_RUNS):
        subscriber.resender.begin(run(number))
    subscriber.highest = 1099
    assert subscriber.ask(1000) == [], "its run is forgotten"
    total = 20_000
    subscriber.sources.receive(1, *range(1100, total))
    for subscriber.highest in range(total - 500, total):
        subscriber.ask(subscriber.highest, subscriber.highest - 1)
    assert subscriber.resender.statistics().resent <= MAX_RESENDS * 501


def resend_of(facts: Facts, packet: bytes, how: Run) -> Resend[Facts]:
    return Resend(0x1_0005, how, packet, facts)


def test_a_packet_sent_again_on_its_ssrc_is_what_it_was() -> None:
    packet, facts = source_packet(2001)
    how = Run(0x1_0000, 1, 0x1_0005 - 2001, 0xFFFF_FFFF, 96, 3)
    assert resend_of(facts, packet, how).serialize(SSRC) == build_packet(
        payload_type=96,
        sequence=5,
        timestamp=(2001 * 90 - 1) & 0xFFFF_FFFF,
        ssrc=SSRC,
        payload=b"p00002001",
        marker=True,
        extensions=serialize_extensions([(3, abs_send_time(2.001))]),  # when it was sent first
    )


def test_a_retransmission_is_the_packet_behind_its_number() -> None:
    packet, facts = source_packet(2001)
    how = Run(0x1_0000, 1, 0x1_0005 - 2001, 7, 96, 3)
    resend = resend_of(facts, packet, how)
    again = resend.serialize_rtx(RTX_SSRC, payload_type=97, sequence=0x2_0001, now=9.0)
    header = parse_header(again)
    assert (header.ssrc, header.payload_type, header.sequence) == (RTX_SSRC, 97, 1)
    assert serialize_extensions([(3, abs_send_time(9.0))]) in again, "it is stamped as it leaves"
    restored = parse_retransmission(again, header, ssrc=SSRC, payload_type=96)
    assert restored is not None
    first = resend.serialize(SSRC)
    assert restored[:12] == first[:12]
    assert restored[header.size :] == first[header.size :]


def test_vp8_ids_are_those_that_were_sent() -> None:
    payload = bytes.fromhex("90e0812207c0 00")
    facts = Facts(payload_end=12 + len(payload), vp8=Vp8Source().read(parse_vp8(payload)))
    how = Run(0x1_0000, 1, 0, 0, 96, vp8=Vp8Offsets(1, 2, 3))
    sent = resend_of(facts, bytes(12) + payload, how).serialize(SSRC)
    assert sent[12:] == bytes.fromhex("90e0812309c0 00")


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["send", "send", "send", "late", "lose", "switch", "pause", "nack"]),
        st.integers(0, 1),
        st.integers(0, 40),
    ),
    max_size=120,
)


@given(STEPS)
def test_every_number_that_can_be_asked_for_stands_for_the_packet_that_was_sent(
    steps: list[tuple[str, int, int]],
) -> None:
    sources, resender = Sources(), Resender[Facts]()
    nexts, lost = {0: 100, 1: 60_000}, list[tuple[int, int]]()
    sent: dict[int, bytes] = {}
    highest, current, resent = 65_500, None, Counter[int]()
    for now, (step, epoch, number) in enumerate([("switch", 0, 0), *steps]):
        match step:
            case "switch":
                offset = highest + 1 - nexts[epoch]
                current = Run(highest + 1, epoch, offset, 17 * now, 96, 3)
                resender.begin(current)
            case "pause":
                current = None
            case "lose":
                lost.append((epoch, nexts[epoch]))
                nexts[epoch] += 1
            case "nack":
                asked = [(highest - back) & 0xFFFF for back in range(number)]
                for resend in resender.answer(
                    asked, highest=highest, now=float(now), round_trip_seconds=0.0, find=sources.find
                ):
                    again = resend.serialize(SSRC)
                    assert sent.setdefault(resend.number, again) == again
                    resent[resend.number] += 1
            case _:
                late = lost.pop() if step == "late" and lost else None
                source, sequence = late or (epoch, nexts[epoch])
                nexts[source] += late is None
                sources.receive(source, sequence)
                if (
                    current is not None
                    and current.epoch == source
                    and sequence + current.sequence_offset >= current.first
                ):
                    out = sequence + current.sequence_offset
                    again = Resend(out, current, *source_packet(sequence)).serialize(SSRC)
                    assert sent.setdefault(out, again) == again
                    highest = max(highest, out)
    assert max(resent.values(), default=0) <= MAX_RESENDS


def test_what_was_sent_with_a_transport_wide_number_is_sent_again_with_the_next() -> None:
    sources = Sources()
    sources.receive(1, 1000)
    found = sources.find(1, 1000)
    assert found is not None
    resend = Resend(1000, replace(run(1000), numbered=True), *found)
    sizes: list[int] = []

    def count(size: int, now: float) -> int:
        sizes.append(size)
        return 77

    packet = resend.serialize_rtx(RTX_SSRC, payload_type=97, sequence=5, now=1.0, numbers=PacketNumbers(4, count))
    header = parse_header(packet)
    assert find_extension(packet, header, 4) == (77).to_bytes(2)
    assert sizes == [len(packet)]
    original = parse_retransmission(packet, header, ssrc=SSRC, payload_type=96)
    assert original is not None
    assert original.endswith(b"p00001000")
