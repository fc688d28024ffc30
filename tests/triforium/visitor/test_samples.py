import av
import pytest

from rtp.errors import DecodeError
from triforium.visitor.plan import MediaPlan
from triforium.visitor.samples import OPUS_FRAME_SECONDS, SampleStream, parse_samples, samples


def decode_vp8(frames: list[bytes]) -> list[av.VideoFrame]:
    decoder = av.CodecContext.create("vp8", "r")
    return [picture for frame in frames for picture in decoder.decode(av.Packet(frame))]


def test_the_vp8_loop_decodes_round_and_round_from_one_key_frame() -> None:
    key_frame, *rest = samples("vp8 ").frames

    pictures = decode_vp8([key_frame, *rest, *rest, *rest])

    assert len(pictures) == 1 + 3 * len(rest)
    assert {(picture.width, picture.height) for picture in pictures} == {(64, 48)}
    assert pictures[1].to_ndarray().tolist() != pictures[9].to_ndarray().tolist(), "the square moves"


def test_zeros_that_fill_a_vp8_frame_up_change_no_pixel() -> None:
    plan = MediaPlan(video_bursts=(4, 5), video_payload_bytes=1150)
    numbers = range(len(samples("vp8 ").frames))
    filled = [b"".join(plan.video_frame(number, burst=number)) for number in numbers]

    pictures = decode_vp8(filled)

    assert {len(frame) for frame in filled} == {4 * 1150, 5 * 1150}
    plain = decode_vp8(list(samples("vp8 ").frames))
    assert [picture.to_ndarray().tolist() for picture in pictures] == [each.to_ndarray().tolist() for each in plain]


def test_the_opus_samples_decode_to_a_tone() -> None:
    decoder = av.CodecContext.create("libopus", "r")
    decoder.sample_rate = 48_000

    sounds = [sound for frame in samples("opus").frames for sound in decoder.decode(av.Packet(frame))]

    assert [sound.samples for sound in sounds] == [round(OPUS_FRAME_SECONDS * 48_000)] * 10
    assert abs(sounds[-1].to_ndarray()).max() > 8_000
    assert {len(frame) for frame in samples("opus").frames} == {80}


def test_a_file_of_samples_reads_as_written() -> None:
    streams = [SampleStream("opus", 0, 0, (b"one", b"")), SampleStream("vp8 ", 64, 48, (b"two",))]

    assert parse_samples(b"".join(stream.serialize() for stream in streams)) == streams


@pytest.mark.parametrize("length", [1, 9, 11, 14])
def test_a_file_cut_short_is_refused(length: int) -> None:
    data = SampleStream("opus", 0, 0, (b"one", b"two")).serialize()

    with pytest.raises(DecodeError):
        parse_samples(data[:length])
