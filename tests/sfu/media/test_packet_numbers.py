import pytest

from rtp.extensions import find_extension
from rtp.packet import build_packet, parse_header, payload_end
from rtp.units import Ssrc
from sfu.media.packet_numbers import PacketNumbers
from sfu.media.padding import PADDING_BYTES, padding_packet


class Counter:
    def __init__(self, first: int) -> None:
        self.next = first
        self.sizes: list[int] = []

    def count(self, size: int, now: float) -> int:
        self.sizes.append(size)
        self.next += 1
        return self.next - 1


@pytest.mark.parametrize("identifier", [1, 14, 16, 255])
def test_each_packet_carries_the_next_number_in_either_form(identifier: int) -> None:
    numbers = PacketNumbers(identifier, Counter(0xFFFF).count)
    for expected in (0xFFFF, 0):
        block = numbers.block(100, 0.0)
        packet = build_packet(payload_type=96, sequence=1, timestamp=2, ssrc=3, payload=b"media", extensions=block)
        assert find_extension(packet, parse_header(packet), identifier) == expected.to_bytes(2)


@pytest.mark.parametrize("send_time_id", [None, 3])
def test_padding_is_all_padding_and_says_when_it_left(send_time_id: int | None) -> None:
    counter = Counter(7)
    numbers = None if send_time_id else PacketNumbers(5, counter.count)
    packet = padding_packet(
        Ssrc(9), payload_type=97, sequence=65_537, timestamp=4, now=1.0, numbers=numbers, abs_send_time_id=send_time_id
    )
    header = parse_header(packet)
    assert (header.ssrc, header.payload_type, header.sequence, header.timestamp) == (9, 97, 1, 4)
    assert payload_end(packet, header) == header.size == len(packet) - PADDING_BYTES
    if send_time_id:
        assert find_extension(packet, header, send_time_id) is not None
    else:
        assert find_extension(packet, header, 5) == (7).to_bytes(2)
        assert counter.sizes == [len(packet)]
