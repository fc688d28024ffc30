"""Two ends of data channels over a network that the input directs: what is said, lost, repeated, mangled and waited for.

Mutated packets alone seldom get past the handshake. Here each pair of bytes is one step of a conversation, so that
retransmission, congestion, resets and closing are reached as well; corpora are scripts.
"""

from collections.abc import Callable
from random import Random
from typing import Final

from rtp.datachannel import ChannelOpened, DataChannelOutput, DataChannels
from rtp.dcep import ChannelParameters
from rtp.errors import LocalProtocolError
from rtp.sctp.association import SctpAssociation
from rtp.sctp.outputs import SendPacket
from tests.fuzz.target import Target

SECRETS: Final = (bytes(32), bytes(range(32)))
MAX_STEPS: Final = 400
CHECKSUM: Final = slice(8, 12)
CHANNELS: Final = (
    ChannelParameters("_reliable"),
    ChannelParameters("_lossy", ordered=False, max_retransmits=0),
    ChannelParameters("timed", ordered=False, max_lifetime=300),
    ChannelParameters("", protocol="x"),
)


class Conversation:
    """Both ends, the packets on their way to each, and the time."""

    def __init__(self) -> None:
        self.now = 0.0
        self.ends = [
            DataChannels(
                SctpAssociation(tag=7 + n, initial_tsn=0xFFFF_FFF0, cookie_secret=SECRETS[n], max_message_size=9000),
                is_dtls_client=bool(n),
            )
            for n in range(2)
        ]
        self.wires: list[list[bytes]] = [[], []]  # to end 0, to end 1
        self.opened: list[list[int]] = [[], []]
        self.held = [0, 0]

    def perform(self, end: int, outputs: list[DataChannelOutput]) -> None:
        for output in outputs:
            if isinstance(output, SendPacket):
                self.wires[1 - end].append(output.data)
            elif isinstance(output, ChannelOpened):
                self.opened[end].append(output.channel_id)

    def deliver(self, end: int, at: int, *, keep: bool = False) -> None:
        wire = self.wires[end]
        if wire:
            packet = wire[at % len(wire)] if keep else wire.pop(at % len(wire))
            self.perform(end, self.ends[end].receive(packet, self.now))

    def wait(self, seconds: float) -> None:
        self.now += seconds
        for end, channels in enumerate(self.ends):
            due = channels.next_timeout()
            if due is not None and due <= self.now:
                self.perform(end, channels.handle_timeout(self.now))
            channels.statistics()

    def mangle(self, end: int, value: int) -> None:
        if self.wires[end]:
            packet = bytearray(self.wires[end][0])
            packet[value % len(packet)] ^= 1 + value % 255
            packet[CHECKSUM] = bytes(4)  # which is as good as the right one: or nothing mangled would be read
            self.perform(end, self.ends[end].receive(bytes(packet), self.now))

    def say(self, end: int, value: int) -> None:
        if self.opened[end]:
            channel = self.opened[end][value % len(self.opened[end])]
            size = (0, 1, 60, 1100, 1200, 5000, 8999)[value % 7]
            self._locally(end, lambda: self.ends[end].send(channel, bytes(size), self.now, is_text=bool(value & 64)))

    def close(self, end: int, value: int) -> None:
        if self.opened[end]:
            channel = self.opened[end][value % len(self.opened[end])]
            self.perform(end, self.ends[end].close_channel(channel, self.now))

    def open(self, end: int, value: int) -> None:
        self._locally(end, lambda: self.ends[end].open(CHANNELS[value % len(CHANNELS)], self.now)[1])

    def hold(self, end: int, value: int) -> None:
        if self.opened[end]:  # nothing is received before
            self.held[end] += value * 8192
            self.ends[end].hold(value * 8192)

    def release(self, end: int, value: int) -> None:
        size = self.held[end] * value // 255
        self.held[end] -= size
        self.perform(end, self.ends[end].release(size, self.now))

    def press(self, end: int, value: int) -> None:
        for channel in self.opened[end]:
            self.ends[end].drop_unsent(channel, value * 100)
            if channel in self.ends[end].channels and not self.ends[end].channels[channel].is_closing:
                self.ends[end].set_drain_threshold(channel, value * 100)
            assert self.ends[end].buffered_bytes(channel) >= 0

    def _locally(self, end: int, act: Callable[[], list[DataChannelOutput]]) -> None:
        try:
            outputs = act()
        except LocalProtocolError:  # this end asked for what it may not: its own fault, and not the network's
            return
        self.perform(end, outputs)


def converse(script: bytes) -> None:
    """Act out a script: of each pair of bytes the first says what and at which end, the second how."""
    conversation = Conversation()
    for step in range(0, min(len(script) - 1, 2 * MAX_STEPS), 2):
        what, value = script[step], script[step + 1]
        end = what & 1
        match what >> 1 & 15:
            case 0:
                conversation.perform(end, conversation.ends[end].connect(conversation.now))
            case 1:
                conversation.open(end, value)
            case 2 | 3:
                conversation.say(end, value)
            case 4:
                conversation.close(end, value)
            case 5:
                conversation.wires[end] = conversation.wires[end][1:]  # lost
            case 6:
                conversation.deliver(end, value, keep=True)  # repeated
            case 7:
                conversation.mangle(end, value)
            case 8 | 9:
                conversation.wait(value / 100)
            case 10:
                conversation.deliver(end, value)  # out of order
            case 11 if value == 0:
                conversation.perform(end, conversation.ends[end].close(conversation.now))
            case 12:
                conversation.hold(end, value)
            case 13:
                conversation.release(end, value)
            case 14:
                conversation.press(end, value)
            case _:
                for _ in range(1 + value % 4):
                    conversation.deliver(end, 0)
    conversation.wait(60)


def _scripts() -> list[bytes]:
    """Return conversations of all kinds: a quiet one, and some that dice have written."""
    quiet = bytes((1, 0, *(30, 0, 31, 0) * 4, 2, 0, 3, 1, *(30, 0, 31, 0) * 4, 4, 3, 5, 6, *(30, 3, 31, 3) * 6, 8, 0))
    lossy = bytes((10, 0, 16, 40, 31, 1, 5, 5, 30, 3)) * 20
    ending = bytes((8, 0, 9, 0, *(30, 3, 31, 3) * 4, 2, 1, 30, 3, 31, 3, 16, 90, 22, 0, 30, 3))
    held = bytes((25, 130, *(2, 6, 3, 6, 28, 9, 30, 3, 31, 3) * 20, 27, 255, *(30, 3, 31, 3) * 9))
    return [
        quiet,
        quiet + lossy,
        quiet + held,
        quiet + ending,
        *(quiet + Random(seed).randbytes(300) for seed in range(5)),
    ]


TARGETS: list[Target] = [Target("data-channels-conversation", _scripts, converse)]
