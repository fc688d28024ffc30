"""RTP header extensions: the one-byte and two-byte forms (RFC 8285), and the few elements we read or write."""

from collections.abc import Iterator, Sequence
from typing import Final

from rtp.errors import DecodeError, LocalProtocolError
from rtp.packet import RtpHeader, parse_header, replace_extensions

MID: Final = "urn:ietf:params:rtp-hdrext:sdes:mid"
"""The media section a packet belongs to (RFC 9143 §15)."""
RID: Final = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
"""The encoding a media stream carries (RFC 8852)."""
REPAIRED_RID: Final = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"
"""The encoding that a retransmission stream repairs (RFC 8852)."""
AUDIO_LEVEL: Final = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
"""How loud the packet is (RFC 6464)."""
ABS_SEND_TIME: Final = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
"""When the packet left, for the receiver's bandwidth estimate."""
TRANSPORT_CC: Final = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
"""One sequence number over all streams of a transport, for the sender's bandwidth estimate."""
ABS_CAPTURE_TIME: Final = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time"
"""When the media was captured, as NTP time."""
DEPENDENCY_DESCRIPTOR: Final = "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension"
"""Which frames a frame depends on, for any codec."""
PLAYOUT_DELAY: Final = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"
"""How long the receiver may hold a frame back."""

# The element forms (RFC 8285 §4.2, §4.3). A zero byte between elements is padding in both.
#
#   one-byte   |  ID   | len-1 |  1 to 16 bytes   ID 1 to 14
#   two-byte   |      ID       |      len      |  0 to 255 bytes   ID 1 to 255
_ONE_BYTE: Final = 0xBEDE
_TWO_BYTE: Final = 0x1000
_APP_BITS: Final = 0x000F  # the low bits of the two-byte profile are the application's: any value is right
_STOP: Final = 15  # reserved in the one-byte form

CAPTURE_TIME_BYTES: Final = (8, 16)
"""Of abs-capture-time: NTP time on the capturing clock, and maybe how far that is from the clock of sender reports."""

MAX_PLAYOUT_DELAY_MS: Final = 40_950
"""The longest that 12 bits can tell, in units of 10 ms."""


def parse_extensions(packet: bytes, header: RtpHeader) -> dict[int, bytes]:
    """Return each extension element's data by its id; nothing for a form that RFC 8285 does not know.

    An id that comes twice counts the first time.

    Raises:
        DecodeError: if an element runs past the end of the block.
    """
    elements: dict[int, bytes] = {}
    for element, start, end in _elements(packet, header):
        elements.setdefault(element, packet[start:end])
    return elements


def find_extension(packet: bytes, header: RtpHeader, wanted: int) -> bytes | None:
    """Return the data of the one element `wanted`, or None: cheaper than reading them all.

    Raises:
        DecodeError: if an element before it, or it, runs past the end of the block.
    """
    for element, start, end in _elements(packet, header):
        if element == wanted:
            return packet[start:end]
    return None


def serialize_extensions(elements: Sequence[tuple[int, bytes]]) -> bytes:
    """Return the whole block, profile and length first, in the shortest form that can hold all `elements`.

    No elements make no block. The two-byte form needs the peer's `a=extmap-allow-mixed` where it is not the only one
    in use (RFC 8285 §6).

    Raises:
        LocalProtocolError: if an id is not in 1 to 255, or data is longer than 255 bytes.
    """
    if not elements:
        return b""
    if any(not 1 <= element <= 255 or len(data) > 255 for element, data in elements):
        raise LocalProtocolError("an extension element has an id of 1 to 255 and at most 255 bytes")
    if all(element < _STOP and 1 <= len(data) <= 16 for element, data in elements):
        profile = _ONE_BYTE
        block = b"".join(bytes((element << 4 | len(data) - 1,)) + data for element, data in elements)
    else:
        profile = _TWO_BYTE
        block = b"".join(bytes((element, len(data))) + data for element, data in elements)
    block += bytes(-len(block) % 4)
    return profile.to_bytes(2) + (len(block) // 4).to_bytes(2) + block


def with_extension(packet: bytes, element: int, data: bytes) -> bytes:
    """Return an RTP packet with one more extension element, which it must not have yet.

    Raises:
        DecodeError: if it is no RTP packet, or its extensions are cut short.
        LocalProtocolError: as `serialize_extensions` does.
    """
    header = parse_header(packet)
    block = serialize_extensions([*parse_extensions(packet, header).items(), (element, data)])
    return replace_extensions(packet, header, block)


def playout_delay(min_ms: int, max_ms: int) -> bytes:
    """Return the playout delay: 12 bits for the least and 12 for the most, each in units of 10 ms.

    Raises:
        LocalProtocolError: if they are not in order, or not in 0 to MAX_PLAYOUT_DELAY_MS.
    """
    if not 0 <= min_ms <= max_ms <= MAX_PLAYOUT_DELAY_MS:
        raise LocalProtocolError(f"playout delay from {min_ms} to {max_ms} ms")
    return (min_ms // 10 << 12 | max_ms // 10).to_bytes(3)


def parse_audio_level(data: bytes) -> int:
    """Return how far below the loudest possible the packet is, in dB: 0 to 127, where 127 is silence (RFC 6464 §3).

    The voice-activity bit is left out: Chromium 156 sets it in silence too.

    Raises:
        DecodeError: if there is no data.
    """
    if not data:
        raise DecodeError("audio level without data")
    return data[0] & 0x7F


def abs_send_time(now: float) -> bytes:
    """Return `now` as abs-send-time: 24 bits of 6.18 fixed-point seconds, which wrap every 64 s.

    Receivers only compare these with each other, so any steady clock will do.
    """
    return (int(now * (1 << 18)) & 0xFF_FFFF).to_bytes(3)


def _elements(packet: bytes, header: RtpHeader) -> Iterator[tuple[int, int, int]]:
    """Yield (id, start, end) of each element. `parse_header` has seen to it that the block lies in the packet."""
    at, block_end, profile = header.extension_at, header.size, header.extension_profile
    if profile == _ONE_BYTE:
        while at < block_end:
            head = packet[at]
            at += 1
            if not head:
                continue
            element = head >> 4
            if element == _STOP or not element:
                return  # "processing of the entire extension MUST terminate" (RFC 8285 §4.2), what came before counts
            end = at + (head & 0x0F) + 1
            if end > block_end:
                raise DecodeError(f"extension element {element} runs past its block")
            yield element, at, end
            at = end
    elif profile & ~_APP_BITS == _TWO_BYTE:
        while at < block_end:
            element = packet[at]
            at += 1
            if not element:
                continue
            if at == block_end:
                raise DecodeError(f"extension element {element} has no length")
            end = at + 1 + packet[at]
            if end > block_end:
                raise DecodeError(f"extension element {element} runs past its block")
            yield element, at + 1, end
            at = end
