"""What one connection can speak of: our capabilities, under the numbers that hold on its wire."""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import replace
from itertools import chain
from typing import Final

from rtp.sdp.codecs import OPUS, RED, Codec, MediaKind, prefer
from rtp.sdp.description import Direction
from rtp.sdp.transceiver import Capabilities, Transceiver

PAYLOAD_TYPES: Final = (*range(96, 128), *range(35, 64))
"""The dynamic ones, without those that would look like RTCP beside RTP (RFC 5761 §4)."""
EXTENSION_IDS: Final = (*range(1, 15), *range(16, 256))
"""15 means nothing in the one-byte form (RFC 8285 §4.2)."""


class Numbering:
    """Gives each thing one number, and no number to two things, as long as the connection lives.

    One transport carries all sections, so a payload type must mean one codec in all of them (RFC 9143 §9.1), and an
    extension id one URI (RFC 8285 §5); later offers may not change them (RFC 3264 §8.3.2).
    """

    def __init__(self, pool: Iterable[int]) -> None:
        self._pool = tuple(pool)
        self._numbers: dict[Hashable, int] = {}

    def adopt(self, key: Hashable, number: int) -> None:
        """Take over the number that the peer has given to `key`; whatever had it before gets another when asked for."""
        for other in [other for other, given in self._numbers.items() if given == number and other != key]:
            del self._numbers[other]
        self._numbers[key] = number

    def number(self, key: Hashable, wish: int | None = None) -> int:
        """Return the number of `key`: what it has, else `wish` if that is free, else the pool's first free one."""
        if key not in self._numbers:
            taken = set(self._numbers.values())
            wishes = () if wish is None else (wish,)
            # There is always one: the pool is larger than anybody's capabilities.
            self._numbers[key] = next(number for number in chain(wishes, self._pool) if number not in taken)
        return self._numbers[key]


class Vocabulary:
    """Our codecs and header extensions on one connection."""

    def __init__(self, receive: Capabilities, send: Capabilities) -> None:
        self._receive = receive
        self._send = send
        self._payload_types = Numbering(PAYLOAD_TYPES)
        self._extension_ids = Numbering(EXTENSION_IDS)
        self._opus = next((codec for codec in (*receive.audio, *send.audio) if codec.mime == OPUS), None)
        self.uris = frozenset(uri for side in (receive, send) for kind in MediaKind for uri in side.extensions(kind))
        """All header extensions that we understand."""

    def capabilities(self, kind: MediaKind, direction: Direction) -> Capabilities:
        """Return what a section of ours goes by: one that only sends by what we send, others by what we receive.

        One that might go both ways, and one that goes neither, takes what there is, lest it be left without a codec.
        """
        needs_receiving = direction is Direction.RECVONLY or bool(self._receive.codecs(kind))
        return self._send if direction is Direction.SENDONLY or not needs_receiving else self._receive

    def offered_codecs(self, transceiver: Transceiver, direction: Direction) -> tuple[Codec, ...]:
        """Return what an offer of ours lists for a section, in the order that the application prefers."""
        codecs = self.capabilities(transceiver.kind, direction).codecs(transceiver.kind)
        return tuple(self._numbered(codec) for codec in prefer(codecs, transceiver.preferred_mimes))

    def offered_extensions(self, transceiver: Transceiver, direction: Direction) -> dict[str, int]:
        """Return the header extension ids by URI that an offer of ours lists for a section."""
        uris = self.capabilities(transceiver.kind, direction).extensions(transceiver.kind)
        return {uri: self._extension_ids.number(uri) for uri in uris}

    def adopt(self, transceiver: Transceiver) -> None:
        """Keep, for offers of ours, the numbers of what the peer's offer and we have in common."""
        for codec in transceiver.codecs:
            self._payload_types.adopt(codec.identity, codec.payload_type)
            if codec.rtx_payload_type is not None:
                self._payload_types.adopt(("rtx", codec.identity), codec.rtx_payload_type)
        for uri, number in transceiver.extensions.items():
            self._extension_ids.adopt(uri, number)

    def with_own_opus(self, codecs: Sequence[Codec], wishes: str) -> tuple[Codec, ...]:
        """Return the codecs with our parameters and `wishes` for Opus.

        They tell the peer's encoder what its decoder here would like (RFC 7587 §7), so they are never the peer's own.
        """
        own = "" if self._opus is None else self._opus.fmtp
        fmtp = ";".join(text for text in (own, wishes) if text)
        return tuple(replace(codec, fmtp=fmtp) if codec.mime == OPUS else codec for codec in codecs)

    def _numbered(self, codec: Codec) -> Codec:
        identity = codec.identity
        rtx = codec.rtx_payload_type
        fmtp = codec.fmtp
        if codec.mime == RED and self._opus is not None:
            opus = self._payload_types.number(self._opus.identity, self._opus.payload_type)
            fmtp = f"{opus}/{opus}"
        return replace(
            codec,
            payload_type=self._payload_types.number(identity, codec.payload_type),
            fmtp=fmtp,
            rtx_payload_type=None if rtx is None else self._payload_types.number(("rtx", identity), rtx),
        )
