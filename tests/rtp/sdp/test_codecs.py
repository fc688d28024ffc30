"""When two descriptions mean the same codec."""

import pytest

from rtp.sdp.codecs import Codec, MediaKind, agree, codec_attributes, decodable_as, parse_codecs, prefer
from rtp.sdp.grammar import group, parse_sdp
from tests.rtp.sdp.peers import LIVEKIT, OPUS, RED, VP8, recorded


def h264(profile: str, mode: int | None = 1, payload_type: int = 100) -> Codec:
    mode_text = "" if mode is None else f"packetization-mode={mode};"
    fmtp = f"level-asymmetry-allowed=1;{mode_text}profile-level-id={profile}"
    return Codec("video/H264", payload_type, 90000, fmtp=fmtp)


def vp9(profile: int, payload_type: int) -> Codec:
    return Codec("video/VP9", payload_type, 90000, fmtp=f"profile-id={profile}")


def read(kind: MediaKind, formats: str, *lines: str) -> tuple[Codec, ...]:
    attributes = group(tuple((name, value) for name, _, value in (line.partition(":") for line in lines)))
    return parse_codecs(kind, formats.split(), attributes)


def test_a_browsers_codecs_are_read_in_its_order_with_their_retransmission_formats() -> None:
    section = parse_sdp(recorded("join.js-v1.client-offer")).sections[3]
    codecs = parse_codecs(MediaKind.VIDEO, section.formats, group(section.attributes))
    assert [codec.payload_type for codec in codecs[:5]] == [96, 98, 100, 35, 37]
    assert codecs[0] == Codec(
        "video/VP8",
        96,
        90000,
        feedback=("goog-remb", "transport-cc", "ccm fir", "nack", "nack pli"),
        rtx_payload_type=97,
    )


def test_what_is_said_again_is_read_once_unless_it_is_too_long_to_remember() -> None:
    lines = ["rtpmap:96 VP8/90000", "fmtp:96 x=1"]
    assert read(MediaKind.VIDEO, "96", *lines) is read(MediaKind.VIDEO, "96", *lines)
    assert read(MediaKind.VIDEO, "96", *lines) != read(MediaKind.VIDEO, "96", *lines, "rtcp-fb:96 nack")
    lines.append("fmtp:97 " + "x" * 8192)
    assert read(MediaKind.VIDEO, "96", *lines) == read(MediaKind.VIDEO, "96", *lines)
    assert read(MediaKind.VIDEO, "96", *lines) is not read(MediaKind.VIDEO, "96", *lines)


def test_names_match_in_any_case_and_come_out_as_livekit_spells_them() -> None:
    assert [codec.mime for codec in read(MediaKind.VIDEO, "96", "rtpmap:96 vp8/90000")] == ["video/VP8"]
    assert [codec.mime for codec in read(MediaKind.AUDIO, "96", "rtpmap:96 OPUS/48000/2")] == ["audio/opus"]


def test_opus_has_two_channels_also_where_none_are_named() -> None:
    """As in the offers of GStreamer's whepclientsrc 0.15."""
    assert read(MediaKind.AUDIO, "96", "rtpmap:96 OPUS/48000") == read(MediaKind.AUDIO, "96", "rtpmap:96 opus/48000/2")
    assert [codec.channels for codec in read(MediaKind.AUDIO, "0", "rtpmap:0 PCMU/8000")] == [1]


def test_static_payload_types_need_no_rtpmap() -> None:
    assert read(MediaKind.AUDIO, "0 8") == (Codec("audio/PCMU", 0, 8000), Codec("audio/PCMA", 8, 8000))


def test_feedback_for_any_payload_type_counts_for_each() -> None:
    codecs = read(MediaKind.VIDEO, "96", "rtpmap:96 VP8/90000", "rtcp-fb:* nack pli", "rtcp-fb:96 nack")
    assert codecs[0].feedback == ("nack", "nack pli")


@pytest.mark.parametrize(
    "lines",
    [["rtpmap:96 VP8"], ["rtpmap:96 VP8/x"], ["rtpmap:96"], ["rtpmap:x VP8/90000"], [], ["rtpmap:96 opus/48000/0"]],
)
def test_a_format_that_cannot_be_read_is_left_out(lines: list[str]) -> None:
    assert read(MediaKind.VIDEO, "96 128 x -1", *lines) == ()


@pytest.mark.parametrize(
    ("ours", "theirs", "same"),
    [
        (h264("42e01f"), h264("42e034"), True),  # the level may differ
        (h264("42e01f"), h264("42E01F"), True),
        (h264("42e01f"), h264("42c01f"), True),  # constrained baseline, said otherwise
        (h264("42e01f"), h264("4d801f"), True),
        (h264("42e01f"), h264("42001f"), True),  # a subset of baseline
        (h264("42001f"), h264("42e01f"), False),
        (h264("42e01f"), h264("4d001f"), False),
        (h264("42e01f"), h264("640032"), False),
        (h264("42e01f"), h264("42e01f", 0), False),
        (h264("42e01f", 0), h264("42e01f", None), True),
        (h264("42e01f"), h264("nonsense"), False),
        (Codec("video/VP9", 98, 90000), Codec("video/VP9", 98, 90000, fmtp="profile-id=0"), True),
        (Codec("video/VP9", 98, 90000), Codec("video/VP9", 98, 90000, fmtp="profile-id=2"), False),
        (Codec("video/AV1", 35, 90000), Codec("video/AV1", 35, 90000, fmtp="level-idx=8;profile=0;tier=1"), True),
        (Codec("video/AV1", 35, 90000), Codec("video/AV1", 35, 90000, fmtp="profile=1"), False),
        (Codec("video/H265", 1, 90000), Codec("video/H265", 1, 90000, fmtp="level-id=93;profile-id=1"), True),
        (Codec("video/H265", 1, 90000), Codec("video/H265", 1, 90000, fmtp="profile-id=2"), False),
        (VP8, Codec("video/VP8", 120, 90000, fmtp="x-google-start-bitrate=1000"), True),
        (OPUS, Codec("audio/opus", 96, 48000, 2, "stereo=1;maxaveragebitrate=510000"), True),
        (OPUS, Codec("audio/opus", 96, 48000), False),
        (OPUS, Codec("audio/opus", 96, 16000, 2), False),
    ],
)
def test_codecs_are_the_same_if_their_streams_are_compatible(ours: Codec, theirs: Codec, same: bool) -> None:
    assert bool(agree([ours], [theirs])) == same


@pytest.mark.parametrize(
    ("stream", "agreed", "found"),
    [
        (VP8, [Codec("video/H264", 108, 90000), Codec("video/VP8", 100, 90000)], 100),
        (Codec("video/VP9", 98, 90000), [Codec("video/VP9", 100, 90000, fmtp="profile-id=2")], None),
        (vp9(2, 100), [vp9(0, 98), vp9(2, 35)], 35),
        (vp9(2, 100), [vp9(0, 98), vp9(1, 35)], None),
        (h264("42e01f", 1), [h264("42e034", 0, 114), h264("42e034", 1, 108)], 108),
        (h264("42e01f", 0), [h264("42e01f", 1, 108), h264("42e01f", 0, 114)], 114),
        (h264("42e01f", 0), [h264("42e01f", 1, 108)], 108),  # a part of it
        (h264("42e01f", 1), [h264("42e01f", 0, 114)], None),
        (h264("42001f", 1), [h264("42e01f", 1, 108)], 108),  # baseline that a browser makes is constrained
        (h264("42e01f", 0), [h264("42001f", 1, 102)], 102),
        (h264("42e01f", 1), [h264("640032", 1, 123)], None),
        (VP8, [], None),
    ],
)
def test_a_stream_goes_to_those_who_decode_its_profile(stream: Codec, agreed: list[Codec], found: int | None) -> None:
    codec = decodable_as(stream, agreed)
    assert (codec and codec.payload_type) == found


def test_of_two_baselines_the_exact_one_is_agreed() -> None:
    offered = [h264("42001f", payload_type=102), h264("42e01f", payload_type=108)]
    assert [codec.payload_type for codec in agree([h264("42e01f")], offered)] == [108]


def test_agreed_are_the_peers_order_numbers_and_parameters_and_the_common_feedback() -> None:
    offered = [
        Codec("video/H264", 127, 90000, fmtp=h264("42e01f").fmtp),
        Codec("video/VP8", 100, 90000, 1, "x-google-start-bitrate=1000", ("nack", "nack pli"), 101),
    ]
    assert agree([VP8, h264("42e01f")], offered) == (
        Codec("video/H264", 127, 90000, fmtp=h264("42e01f").fmtp),
        Codec("video/VP8", 100, 90000, 1, "x-google-start-bitrate=1000", ("nack pli",)),
    )


def test_retransmission_is_agreed_when_both_name_it() -> None:
    offered = Codec("video/VP8", 100, 90000, rtx_payload_type=101)
    assert agree(LIVEKIT.video, [offered])[0].rtx_payload_type == 101
    assert agree([VP8], [offered])[0].rtx_payload_type is None
    assert agree(LIVEKIT.video, [VP8])[0].rtx_payload_type is None


@pytest.mark.parametrize(("fmtp", "agreed"), [("109/109", True), ("111/111", False), ("", False), ("109/0", False)])
def test_red_is_agreed_when_it_carries_the_agreed_opus(fmtp: str, agreed: bool) -> None:
    offered = [Codec("audio/red", 63, 48000, 2, fmtp), Codec("audio/opus", 109, 48000, 2)]
    assert (63 in {codec.payload_type for codec in agree([OPUS, RED], offered)}) == agreed


def test_preferred_codecs_come_first_and_the_others_stay_in_order() -> None:
    names = [codec.mime for codec in prefer(LIVEKIT.video, ["video/av1", "video/VP9"])]
    assert names[:4] == ["video/AV1", "video/VP9", "video/VP9", "video/VP8"]


def test_a_codec_that_was_written_reads_the_same() -> None:
    for codec in LIVEKIT.video:
        formats = [str(codec.payload_type), str(codec.rtx_payload_type)]
        assert parse_codecs(MediaKind.VIDEO, formats, group(codec_attributes(codec))) == (codec,)
