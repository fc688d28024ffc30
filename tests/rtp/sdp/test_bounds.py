"""What a hostile or very long description may cost."""

import time
from contextlib import suppress

import pytest

from rtp.errors import RemoteProtocolError
from rtp.sdp.description import MAX_CANDIDATES
from rtp.sdp.grammar import MAX_CHARACTERS
from tests.rtp.sdp.peers import LIVEKIT, recorded, server

OFFER = recorded("publish-mute-unpublish.js-v0.client-offer").replace("\r\n", "\n")

SLOWEST_SECONDS = 1.0
"""Of processor time, some ten times what the slowest takes: this catches what grows with the square, not a busy day."""


def repeated(line: str) -> str:
    """An offer as long as is allowed, whose last section is filled with one kind of line."""
    room = (MAX_CHARACTERS - len(OFFER)) // (len(line.format(100_000, 100_000)) + 1)
    return OFFER + "".join(f"{line.format(number, number)}\n" for number in range(room))


def in_media_line(words: str) -> str:
    return OFFER.replace("SAVPF 96", "SAVPF 96 " + words)


def with_video_sections(count: int) -> str:
    head, data, video, _ = OFFER.split("\nm=")
    mids = range(10, 10 + count)
    head = head.replace("BUNDLE 0 1 2", " ".join(("BUNDLE 0", *map(str, mids))))
    return "\nm=".join((head, data, *(video.replace("a=mid:1", f"a=mid:{mid}") for mid in mids))) + "\n"


@pytest.mark.parametrize(
    "text",
    [
        repeated("a=rtpmap:{} rtx/90000"),
        repeated("a=fmtp:{} apt={}"),
        repeated("a=rtcp-fb:* x{}"),
        repeated("a=extmap:9 urn:{}"),
        repeated("a=ssrc:{} cname:x"),
        repeated("a=ssrc-group:FID {} {}"),
        repeated("a=rid:{} send"),
        repeated("a=candidate:{}"),
        repeated("a=fingerprint:x {}"),
        repeated("a=x"),
        in_media_line("96 " * 300_000),
        in_media_line(" ".join(str(number) for number in range(150_000))),
        OFFER.replace("BUNDLE 0 1 2", "BUNDLE 0 1 2 " + " ".join(str(number) for number in range(3, 150_000))),
        OFFER.replace("send q;h;f", "send q;h;f" + ";q" * 400_000),
        with_video_sections(130),
    ],
    ids=lambda text: f"{len(text)} characters",
)
def test_no_description_takes_long(text: str) -> None:
    sfu = server(LIVEKIT)
    began = time.process_time()
    with suppress(RemoteProtocolError):
        sfu.receive_offer(text)
        sfu.create_answer()
    assert time.process_time() - began < SLOWEST_SECONDS


def test_a_description_of_ten_thousand_lines_is_answered_in_full() -> None:
    text = with_video_sections(90)
    assert text.count("\n") > 10_000
    sfu = server(LIVEKIT)
    began = time.process_time()
    sfu.receive_offer(text)
    sfu.create_answer()
    assert time.process_time() - began < SLOWEST_SECONDS
    assert len(sfu.transceivers) == 90


def test_no_more_candidates_are_kept_than_anybody_has() -> None:
    candidate = "a=candidate:1 1 udp 1 192.0.2.9 {} typ host\n"
    many = "".join(candidate.format(port) for port in range(1, 1000))
    sfu = server()
    sfu.receive_offer(OFFER.replace("a=mid:0\n", "a=mid:0\n" + many))
    assert sfu.remote is not None
    assert len(sfu.remote.candidates) == MAX_CANDIDATES
