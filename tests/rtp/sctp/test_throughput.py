"""How much gets through: against loss, and against a bottleneck. Virtual time, so the machine's speed says nothing."""

from math import sqrt

import pytest

from rtp.datachannel import ChannelDrained, ChannelMessage, DataChannels
from rtp.dcep import ChannelParameters
from rtp.sctp.outbound import MAX_FRAGMENT_BYTES
from tests.rtp.sctp.link import Link, association

RELIABLE = ChannelParameters("_reliable")
MESSAGE_BYTES = 16_384
LOW_BYTES, HIGH_BYTES = 65_536, 1 << 20
"""Between these a client of LiveKit keeps what it has buffered."""


class Feeder(DataChannels):
    """An end that sends on channel 0 whenever it has drained."""

    count = 0

    def feed(self, now: float) -> list[object]:
        outputs: list[object] = []
        while self.buffered_bytes(0) < HIGH_BYTES:
            outputs += self.send(0, self.count.to_bytes(4, "big") * (MESSAGE_BYTES // 4), now)
            self.count += 1
        return outputs

    def receive(self, packet: bytes, now: float) -> list[object]:
        outputs: list[object] = [*super().receive(packet, now)]
        return outputs + self.feed(now) if ChannelDrained(0) in outputs else outputs


def bytes_per_second(*, rtt: float, loss: float = 0.0, link_rate: float = 1e9, seconds: float = 30.0) -> float:
    """Return what one reliable channel carries, once it has been opened without loss."""
    client = Feeder(association(1), is_dtls_client=True)
    server = DataChannels(association(2), is_dtls_client=False)
    link = Link(client, server, seed=1, loss=loss, delay=(rtt / 2, rtt / 2), bytes_per_second=link_rate)
    network, link.drops = link.drops, lambda _end, _packet: False
    link.perform(0, client.open(RELIABLE, 0.0)[1])
    link.perform(0, client.connect(0.0))
    link.run(2.0)
    link.drops = network
    client.set_drain_threshold(0, LOW_BYTES)
    link.perform(0, client.feed(link.now))
    link.run(2.0 + seconds)
    messages = [output.data for output in link.seen[1] if isinstance(output, ChannelMessage)]
    assert messages == [number.to_bytes(4, "big") * (MESSAGE_BYTES // 4) for number in range(len(messages))]
    return len(messages) * MESSAGE_BYTES / seconds


@pytest.mark.parametrize("loss", [0.01, 0.05])
@pytest.mark.parametrize("rtt", [0.04, 0.1])
def test_loss_slows_no_more_than_it_must(loss: float, rtt: float) -> None:
    """By the law of one lost packet per window halved: 1.22 * MSS / (RTT * sqrt(p)), of which we want 60 %."""
    assert bytes_per_second(rtt=rtt, loss=loss) > 0.6 * 1.22 * MAX_FRAGMENT_BYTES / (rtt * sqrt(loss))


@pytest.mark.parametrize(("link_rate", "seconds"), [(250_000, 20.0), (1_250_000, 10.0)])
def test_a_bottleneck_is_filled(link_rate: float, seconds: float) -> None:
    assert bytes_per_second(rtt=0.04, link_rate=link_rate, seconds=seconds) > 0.8 * link_rate


def test_loss_and_a_bottleneck_together_are_no_worse_than_the_worse_of_both() -> None:
    link_rate = 250_000
    assert 1.22 * MAX_FRAGMENT_BYTES / (0.04 * sqrt(0.01)) > link_rate
    assert bytes_per_second(rtt=0.04, loss=0.01, link_rate=link_rate) > 0.6 * link_rate
