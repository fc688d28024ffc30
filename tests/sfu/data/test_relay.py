"""What a room does with messages, whatever its participants' connections are like."""

from livekit.protocol.models import DataPacket, UserPacket

from rtp.datachannel import ChannelClosed, ChannelMessage, ChannelOpened
from rtp.dcep import ChannelParameters
from sfu.data.history import MAX_KEPT_BYTES
from sfu.data.packets import Drop
from sfu.data.relay import DataRelay, Member
from sfu.data.tracks import DataTracks
from sfu.settings import DataSettings
from tests.sfu.data.people import someone
from tests.sfu.in_trio import in_trio

RELIABLE_ID, LOSSY_ID = 3, 5
PARAMETERS = {
    RELIABLE_ID: ChannelParameters("_reliable"),
    LOSSY_ID: ChannelParameters("_lossy", ordered=False, max_retransmits=0),
}


class Connection:
    """Keeps what it is sent, at once read. If `is_broken`, sending raises."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, bytes]] = []
        self.is_broken = False
        self.failure: Exception | None = None

    @property
    def payloads(self) -> list[bytes]:
        return [DataPacket.FromString(data).user.payload for _, data in self.sent]

    def send_message(self, channel_id: int, data: bytes, *, is_text: bool = False) -> None:
        if self.is_broken:
            raise ZeroDivisionError
        self.sent.append((channel_id, data))

    def buffered_bytes(self, channel_id: int) -> int:
        return 0

    def set_drain_threshold(self, channel_id: int, threshold: int) -> None: ...

    def drop_unsent(self, channel_id: int, keep_bytes: int) -> int:
        return 0

    def hold(self, size: int) -> None: ...

    def release(self, size: int) -> None: ...

    def fail(self, error: Exception) -> None:
        self.failure = error


class Scene:
    """Alice, Bob and Carol, all of whom can read."""

    def __init__(self) -> None:
        tracks = DataTracks(lambda: "DTR_1", lambda _: 1, lambda _reader, _track: True)
        self.relay = DataRelay(DataSettings(1, 0.1, 0.1), tracks)
        self.alice, self.bob, self.carol = (self.relay.join(someone(name), Connection()) for name in NAMES)
        for member in (self.alice, self.bob, self.carol):
            tracks.join(member.person.sid, automatic=False)
            for channel_id in PARAMETERS:
                self.open(member, channel_id)

    def open(self, member: Member, channel_id: int, *, as_kind: int | None = None) -> None:
        self.relay.channel_opened(member, ChannelOpened(channel_id, PARAMETERS[as_kind or channel_id]))

    def close(self, member: Member, channel_id: int, label: str = "_reliable") -> None:
        self.relay.channel_closed(member, ChannelClosed(channel_id, label))

    def say(self, payload: bytes, channel_id: int = RELIABLE_ID, **user: object) -> None:
        data = DataPacket(user=UserPacket(payload=payload, **user)).SerializeToString()
        self.say_bytes(data, channel_id)

    def say_bytes(self, data: bytes, channel_id: int = RELIABLE_ID) -> None:
        message = ChannelMessage(channel_id, PARAMETERS[channel_id].label, data, is_text=False)
        self.relay.receive(self.alice, self.alice.connection, message)


NAMES = ("alice", "bob", "carol")


def read(member: Member) -> list[bytes]:
    assert isinstance(member.connection, Connection)
    return member.connection.payloads


@in_trio
def test_a_reader_whose_connection_is_broken_ends_alone() -> None:
    scene = Scene()
    assert isinstance(scene.bob.connection, Connection)
    scene.bob.connection.is_broken = True
    scene.say(b"hello")
    assert read(scene.carol) == [b"hello"]
    assert isinstance(scene.bob.connection.failure, ZeroDivisionError)


@in_trio
def test_everybody_is_sent_the_very_same_bytes() -> None:
    scene = Scene()
    scene.say(b"hello")
    first, second = (member.connection.sent[0][1] for member in (scene.bob, scene.carol))
    assert first is second


@in_trio
def test_what_comes_while_a_reliable_channel_is_closed_waits_for_the_next() -> None:
    scene = Scene()
    scene.close(scene.bob, RELIABLE_ID)
    scene.say(b"1")
    scene.say(b"2")
    scene.say(b"not for him", destination_identities=["carol"])
    assert read(scene.bob) == []
    scene.open(scene.bob, 7, as_kind=RELIABLE_ID)
    scene.say(b"3")
    assert scene.bob.connection.sent[0][0] == 7
    assert read(scene.bob) == [b"1", b"2", b"3"]


@in_trio
def test_a_second_channel_of_the_same_label_is_not_used() -> None:
    scene = Scene()
    scene.open(scene.bob, 7, as_kind=RELIABLE_ID)
    scene.say(b"hello")
    scene.close(scene.bob, 7)
    scene.say(b"again")
    assert [channel_id for channel_id, _ in scene.bob.connection.sent] == [RELIABLE_ID] * 2


@in_trio
def test_more_than_is_kept_for_a_reader_is_counted() -> None:
    scene = Scene()
    scene.close(scene.bob, RELIABLE_ID)
    size = MAX_KEPT_BYTES // 10
    for number in range(20):
        scene.say(bytes([number]) * size)
    scene.open(scene.bob, RELIABLE_ID)
    kept = len(read(scene.bob))
    assert [payload[0] for payload in read(scene.bob)] == list(range(20 - kept, 20))
    assert scene.relay.statistics() == {Drop.OUTDATED: 20 - kept}


@in_trio
def test_nothing_is_sent_to_who_has_left() -> None:
    scene = Scene()
    scene.relay.leave(scene.bob)
    scene.relay.leave(scene.bob)
    scene.say(b"hello")
    assert (read(scene.bob), read(scene.carol)) == ([], [b"hello"])


@in_trio
def test_what_goes_no_further_is_counted_by_cause() -> None:
    scene = Scene()
    scene.close(scene.bob, LOSSY_ID, "_lossy")
    scene.say(b"lossy", LOSSY_ID)
    scene.say_bytes(b"\xff\xff")
    numbered = DataPacket(sequence=1, user=UserPacket(payload=b"p")).SerializeToString()
    scene.say_bytes(numbered)
    scene.say_bytes(numbered)
    scene.say(b"nonce", nonce=b"n" * 16)
    scene.say(b"nonce", nonce=b"n" * 16)
    scene.say_bytes(DataPacket(transcription={}).SerializeToString())
    frame = bytes.fromhex("1800000100000000a39b7c67")
    scene.relay.receive(scene.alice, scene.alice.connection, ChannelMessage(1, "_data_track", frame, is_text=False))
    assert scene.relay.statistics() == {
        Drop.NO_CHANNEL: 1,
        Drop.MALFORMED: 1,
        Drop.REPEATED_SEQUENCE: 1,
        Drop.REPEATED_NONCE: 1,
        Drop.NOT_AN_AGENT: 1,
        Drop.UNKNOWN_TRACK: 1,
    }
    assert read(scene.bob) == [b"p", b"nonce"]
