"""What publishers and subscribers can agree on here, and that the one always fits the other."""

import pytest

from rtp.sdp.codecs import Codec, agree, decodable_as
from sfu.media.capabilities import RECEIVE, SEND, without


def h264(payload_type: int, profile: str, mode: int) -> Codec:
    fmtp = f"packetization-mode={mode};profile-level-id={profile}"
    return Codec("video/H264", payload_type, 90000, fmtp=fmtp)


BROWSER = (
    h264(102, "42001f", 1),
    h264(104, "42001f", 0),
    h264(108, "42e01f", 1),
    h264(114, "42e01f", 0),
    h264(116, "4d001f", 1),
    h264(123, "640032", 1),
)


@pytest.mark.parametrize(
    ("offered", "agreed"),
    [
        (BROWSER, [108, 114]),  # Chromium
        ((h264(96, "640c1f", 1), h264(98, "42e01f", 1)), [98]),  # Safari
        ((h264(126, "42e01f", 1), h264(97, "42e01f", 0)), [126, 97]),  # Firefox
        ((h264(97, "42001f", 1),), [97]),  # baseline alone, which is never more than constrained baseline
        ((h264(97, "42e034", 1),), [97]),  # another level
        ((h264(97, "42e01f", 0),), [97]),
        ((h264(97, "640032", 1), h264(98, "4d001f", 1)), []),
    ],
)
def test_h264_is_agreed_in_the_one_profile_that_everybody_decodes(
    offered: tuple[Codec, ...], agreed: list[int]
) -> None:
    assert [codec.payload_type for codec in agree(RECEIVE.video, offered)] == agreed
    assert [codec.payload_type for codec in agree(SEND.video, offered)] == agreed


def test_whatever_can_be_published_can_be_sent_on_as_just_that() -> None:
    for received, sent in ((RECEIVE.audio, SEND.audio), (RECEIVE.video, SEND.video)):
        for codec in received:
            found = decodable_as(codec, sent)
            assert found is not None
            assert found.identity == codec.identity


def test_each_payload_type_of_our_offers_means_one_codec() -> None:
    taken = [(each.payload_type, each.rtx_payload_type) for each in (*SEND.audio, *SEND.video)]
    numbers = [number for pair in taken for number in pair if number is not None]
    assert len(numbers) == len(set(numbers))


def test_codecs_can_be_left_out_by_name() -> None:
    left = dict.fromkeys(codec.mime for codec in without(RECEIVE, {"video/H264", "video/H265"}).video)
    assert list(left) == ["video/VP8", "video/VP9", "video/AV1"]
    assert without(RECEIVE, ()) == RECEIVE
