"""What a section tells of the streams in it."""

from rtp.sdp.codecs import Codec, MediaKind
from rtp.sdp.description import Direction, RemoteEncoding, RemoteTrack
from rtp.sdp.transceiver import Transceiver
from rtp.units import Mid, Rid, Ssrc
from sfu.room.peer import encoding_name, incoming_section

VP8 = Codec("video/VP8", 96, 90000, rtx_payload_type=97)


def receiving(*encodings: RemoteEncoding) -> Transceiver:
    track = RemoteTrack("stream", "cam", encodings)
    return Transceiver(MediaKind.VIDEO, Direction.RECVONLY, mid=Mid("1"), remote_track=track, codecs=(VP8,))


def test_layers_known_by_ssrc_alone_are_called_as_livekits_clients_call_them() -> None:
    encodings = [RemoteEncoding(None, Ssrc(10 * place + 10), Ssrc(10 * place + 11), place) for place in range(3)]
    assert [encoding_name(each) for each in encodings] == ["q", "h", "f"]
    section = incoming_section(receiving(*encodings))
    assert section.rids == ()
    assert section.ssrcs == {10: "q", 20: "h", 30: "f"}
    assert section.rtx_ssrcs == {11: "q", 21: "h", 31: "f"}


def test_a_single_stream_has_no_name() -> None:
    section = incoming_section(receiving(RemoteEncoding(None, Ssrc(10), Ssrc(11))))
    assert (section.ssrcs, section.rtx_ssrcs, section.rids) == ({10: None}, {11: None}, ())


def test_encodings_with_rids_are_called_by_them() -> None:
    section = incoming_section(receiving(*(RemoteEncoding(Rid(rid), None, None) for rid in "fq")))
    assert (section.rids, section.ssrcs) == (("f", "q"), {})
