"""What participants send on data channels."""

import trio
from livekit.protocol.models import ChatMessage, DataPacket, DataStream, RpcAck, UserPacket
from livekit.protocol.rtc import PublishDataTrackRequest

from rtp.datachannel import ChannelMessage, ChannelOpened
from rtp.dcep import ChannelParameters
from sfu.data.relay import DataRelay
from sfu.data.tracks import DataTracks
from sfu.model import ParticipantKind
from sfu.settings import DataSettings
from tests.fuzz.target import Target
from tests.sfu.data.people import someone


class Connection:
    """Reads whatever it is sent."""

    def send_message(self, channel_id: int, data: bytes, *, is_text: bool = False) -> None:
        assert channel_id == 2 or DataPacket.FromString(data) is not None

    def buffered_bytes(self, channel_id: int) -> int:
        return 0

    def set_drain_threshold(self, channel_id: int, threshold: int) -> None: ...

    def drop_unsent(self, channel_id: int, keep_bytes: int) -> int:
        return 0

    def hold(self, size: int) -> None: ...

    def release(self, size: int) -> None: ...

    def fail(self, error: Exception) -> None:
        raise error


def packets() -> list[bytes]:
    frame = bytes.fromhex("1800000100000000a39b7c670707070707")  # sent by livekit-client 2.23
    return [frame] + [
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


PEOPLE = (someone("alice"), someone("bob", kind=ParticipantKind.AGENT))
CHANNELS = ("_reliable", "_lossy", "_data_track")


def run_message(data: bytes) -> None:
    async def pass_on() -> None:
        tracks = DataTracks(lambda: "DTR_1", lambda _: 1, lambda _reader, _track: True)
        relay = DataRelay(SETTINGS, tracks)
        members = [relay.join(person, Connection()) for person in PEOPLE]
        for person in PEOPLE:
            tracks.join(person.sid, automatic=True)
        tracks.publish(PEOPLE[0], PublishDataTrackRequest(pub_handle=1, name="t"))
        tracks.reconcile(PEOPLE[1])
        for number, label in enumerate(CHANNELS):
            relay.channel_opened(members[1], ChannelOpened(number, ChannelParameters(label)))
            for member in members:
                relay.receive(member, member.connection, ChannelMessage(number, label, data, is_text=False))

    trio.run(pass_on)


SETTINGS = DataSettings(slow_threshold=1, lossy_latency_seconds=0.1, track_latency_seconds=0.1)

TARGETS = [Target("a message on a data channel", packets, run_message)]
