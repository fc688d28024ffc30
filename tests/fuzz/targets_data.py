"""What participants send on data channels."""

import trio
from livekit.protocol.models import ChatMessage, DataPacket, DataStream, RpcAck, UserPacket

from rtp.datachannel import ChannelMessage, ChannelOpened
from rtp.dcep import ChannelParameters
from sfu.data.relay import DataRelay
from sfu.model import ParticipantKind
from tests.fuzz.target import Target
from tests.sfu.data.people import someone


class Channel:
    """Reads whatever it is sent."""

    def send_message(self, channel_id: int, data: bytes, *, is_text: bool = False) -> None:
        assert DataPacket.FromString(data) is not None

    def fail(self, error: Exception) -> None:
        raise error


def packets() -> list[bytes]:
    return [
        packet.SerializeToString()
        for packet in (
            DataPacket(
                sequence=1, user=UserPacket(payload=b"p", topic="t", destination_sids=["PA_b"], nonce=b"n" * 16)
            ),
            DataPacket(chat_message=ChatMessage(id="c", message="hi"), destination_identities=["bob"]),
            DataPacket(participant_identity="bob", stream_header=DataStream.Header(stream_id="s", topic="t")),
            DataPacket(rpc_ack=RpcAck(request_id="r")),
        )
    ]


def run_packet(data: bytes) -> None:
    async def relay_it() -> None:
        relay = DataRelay()
        alice, agent = (relay.join(someone(name, kind=kind), Channel()) for name, kind in KINDS)
        for number, label in enumerate(("_reliable", "_lossy")):
            relay.channel_opened(agent, ChannelOpened(number, ChannelParameters(label)))
            relay.receive(alice, ChannelMessage(number, label, data, is_text=False))
            relay.receive(agent, ChannelMessage(number, label, data, is_text=False))

    trio.run(relay_it)


KINDS = (("alice", ParticipantKind.STANDARD), ("bob", ParticipantKind.AGENT))

TARGETS = [Target("a data packet", packets, run_packet)]
