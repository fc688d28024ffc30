"""AV1 in RTP (AV1 RTP payload specification §4.4): where a decoder can start, by the aggregation header alone."""

from typing import Final

from rtp.errors import DecodeError

_CONTINUES: Final = 0x80  # Z: the first element goes on with what the packet before began
_NEW_SEQUENCE: Final = 0x08  # N: the first packet of a coded video sequence, which begins with a key frame


def starts_sequence(payload: bytes) -> bool:
    """Tell whether a coded video sequence starts in this packet. It holds whatever the frames are encrypted with.

    Raises:
        DecodeError: if there is no aggregation header, or one that says both that it starts and that it goes on.
    """
    if not payload:
        raise DecodeError("AV1 payload without an aggregation header")
    starts = bool(payload[0] & _NEW_SEQUENCE)
    if starts and payload[0] & _CONTINUES:
        raise DecodeError("an AV1 sequence starts with what the packet before began")
    return starts
