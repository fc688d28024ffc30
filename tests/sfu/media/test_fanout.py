from rtp.extensions import parse_extensions
from rtp.packet import build_packet, parse_header
from rtp.units import Ssrc
from sfu.media.fanout import NO_EPOCH, NO_LAYER, FanOut, PacketFacts, Row
from sfu.media.packet_numbers import PacketNumbers
from tests.sfu.media.rig import OTHER_PATH, PATH, Keys

PACKET = build_packet(payload_type=111, sequence=1, timestamp=2, ssrc=3, payload=b"sound")


def facts(
    sequence: int = 50, *, layer: int = 0, epoch: int = 1, is_entry: bool = True, marker: bool = False
) -> PacketFacts:
    return PacketFacts(sequence, 1000 + sequence, marker, layer, epoch, is_entry, 12, len(PACKET), 10.0 + sequence)


class Owner:
    """Enters at once, each time at the number after the last."""

    def __init__(self, ssrc: int = 7, *, target: int = 0) -> None:
        self.row = Row(self, Ssrc(ssrc))
        self.keys = Keys()
        self.queued: list[tuple[bytes, tuple[str, int]]] = []
        self.failures: list[Exception] = []
        self.fault: Exception | None = None
        self.is_ready = True
        self.row.retarget(self.keys.protect, self.queued.append, PATH.remote)
        self.row.payload_type = 96
        self.row.target = target

    def enter(self, facts: PacketFacts) -> bool:
        if self.fault is not None:
            raise self.fault
        if not self.is_ready:
            return False
        self.row.splice(facts, self.row.last_sequence + 1 - facts.sequence, 0)
        return True

    def fail(self, error: Exception) -> None:
        self.failures.append(error)

    @property
    def numbers(self) -> list[int]:
        return [packet.index for packet in self.keys.sent.get(self.row.ssrc, [])]


def forward(owners: list[Owner], *packets: PacketFacts) -> None:
    fan_out = FanOut()
    for owner in owners:
        fan_out.add(owner.row)
    for each in packets:
        fan_out.forward(PACKET, each)


def test_each_row_gets_its_own_header_and_everybodys_payload() -> None:
    plain, timed = Owner(ssrc=7), Owner(ssrc=8)
    timed.row.payload_type, timed.row.abs_send_time_id = 120, 15
    timed.row.remote = OTHER_PATH.remote
    forward([plain, timed], facts(marker=True))
    ((packet, to),) = plain.queued
    header = parse_header(packet)
    assert (header.ssrc, header.payload_type, header.sequence, header.timestamp, header.marker, header.size) == (
        *(7, 96, 0, 1050, True),
        12,
    )
    assert (packet[12:], to) == (b"sound", PATH.remote)
    ((packet, to),) = timed.queued
    header = parse_header(packet)
    assert parse_extensions(packet, header) == {15: (60 * 2**18 & 0xFF_FFFF).to_bytes(3)}
    assert (header.payload_type, packet[header.size :], to) == (120, b"sound", OTHER_PATH.remote)
    assert (plain.row.packets, plain.row.octets) == (1, 5)


def test_rows_of_one_extension_id_share_the_block() -> None:
    owners = [Owner(ssrc) for ssrc in (1, 2, 3)]
    for owner, identifier in zip(owners, (3, 3, 4), strict=True):
        owner.row.abs_send_time_id = identifier
    forward(owners, facts())
    blocks = [owner.keys.sent[owner.row.ssrc][0].extensions for owner in owners]
    assert blocks[0] == blocks[1] != blocks[2]


def test_a_source_is_entered_only_where_it_can_be_and_only_by_who_wants_its_layer() -> None:
    here, elsewhere, nowhere = Owner(), Owner(target=1), Owner(target=NO_LAYER)
    forward([here, elsewhere, nowhere], facts(50, is_entry=False), facts(51), facts(52, is_entry=False))
    assert (here.numbers, elsewhere.numbers, nowhere.numbers) == ([0, 1], [], [])
    assert nowhere.row.epoch == NO_EPOCH


def test_the_old_source_goes_on_until_the_new_one_is_entered() -> None:
    owner = Owner()
    forward([owner], facts(50), facts(7, epoch=2, is_entry=False), facts(51, is_entry=False))
    assert owner.numbers == [0, 1]
    forward([owner], facts(8, epoch=2), facts(52, is_entry=False), facts(9, epoch=2, is_entry=False))
    assert owner.numbers == [0, 1, 2, 3]


def test_a_source_that_is_not_ready_is_not_entered_and_the_old_one_goes_on() -> None:
    owner = Owner()
    forward([owner], facts(50))
    owner.is_ready = False
    forward([owner], facts(7, epoch=2), facts(51, is_entry=False))
    assert owner.numbers == [0, 1]


def test_what_came_before_the_splice_is_not_sent_after_it() -> None:
    owner = Owner()
    forward([owner], facts(50), facts(49, is_entry=False), facts(51))
    assert owner.numbers == [0, 1]


def test_a_late_packet_takes_its_place_and_moves_nothing_on() -> None:
    owner = Owner()
    forward([owner], facts(50), facts(53, is_entry=False), facts(51, is_entry=False))
    assert owner.numbers == [0, 3, 1]
    assert (owner.row.last_sequence, owner.row.last_timestamp, owner.row.packets) == (3, 1053, 3)


def test_one_too_late_for_srtp_is_refused_and_nobody_is_to_blame() -> None:
    owner = Owner()
    forward([owner], facts(50), *(facts(number, is_entry=False) for number in range(52, 1300)))
    fan_out = FanOut()
    fan_out.add(owner.row)
    fan_out.forward(PACKET, facts(51, is_entry=False))
    assert (owner.row.refused, owner.failures) == (1, [])


def test_a_fault_in_one_row_ends_its_owner_and_everybody_elses_packet_leaves() -> None:
    owners = [Owner(ssrc) for ssrc in range(1, 5)]
    owners[1].keys.fault = ZeroDivisionError()
    owners[2].fault = KeyError()
    forward(owners, facts(50), facts(51))
    assert [owner.numbers for owner in owners] == [[0, 1], [], [], [0, 1]]
    assert [[type(failure) for failure in owner.failures] for owner in owners] == [
        [],
        [ZeroDivisionError] * 2,
        [KeyError] * 2,
        [],
    ]


def test_rows_may_come_and_go_while_a_packet_is_forwarded() -> None:
    class Busybody(Owner):
        def enter(self, facts: PacketFacts) -> bool:
            fan_out.add(newcomer.row)
            fan_out.remove(self.row)
            return super().enter(facts)

    fan_out = FanOut()
    busybody, newcomer = Busybody(1), Owner(2)
    fan_out.add(busybody.row)
    for number in (50, 51):
        fan_out.forward(PACKET, facts(number))
    assert (busybody.numbers, newcomer.numbers) == ([0], [0])


def test_a_paused_row_is_silent_and_goes_on_without_a_gap() -> None:
    owner = Owner()
    fan_out = FanOut()
    fan_out.add(owner.row)
    fan_out.forward(PACKET, facts(50))
    owner.row.pause()
    fan_out.forward(PACKET, facts(51))
    owner.row.target = 0
    fan_out.forward(PACKET, facts(52, is_entry=False))
    fan_out.forward(PACKET, facts(53))
    assert owner.numbers == [0, 1]


def test_packets_are_numbered_over_all_streams_of_a_connection_where_the_peer_takes_that() -> None:
    sizes: list[int] = []

    def count(size: int, now: float) -> int:
        sizes.append(size)
        return len(sizes) - 1

    numbers = PacketNumbers(4, count)
    one, other, plain = Owner(ssrc=7), Owner(ssrc=8), Owner(ssrc=9)
    one.row.numbers = other.row.numbers = numbers
    forward([one, other, plain], facts(50), facts(51))
    assert not one.failures + other.failures
    for owner, expected in ((one, (0, 2)), (other, (1, 3))):
        packets = [packet for packet, _ in owner.queued]
        assert [parse_extensions(each, parse_header(each)) for each in packets] == [
            {4: number.to_bytes(2)} for number in expected
        ]
        assert all(packet.endswith(b"sound") for packet in packets)
        assert [len(packet) for packet in packets] == sizes[:2]
    assert parse_header(plain.queued[0][0]).extension_profile == 0


def test_who_wants_to_know_is_told_of_each_packet() -> None:
    owner, told = Owner(), []
    owner.row.count = lambda size, now: told.append((size, now))
    forward([owner], facts(50), facts(51))
    assert told == [(len(packet), 60.0 + at) for at, (packet, _) in enumerate(owner.queued)]
