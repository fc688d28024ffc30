"""SRTP and SRTCP: what `pylibsrtp` does, with our errors and bounds (RFC 3711, 7714)."""

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

import pylibsrtp

from rtp.dtls import SrtpKeys, SrtpProfile
from rtp.errors import LocalProtocolError, RemoteProtocolError
from rtp.srtp_direct import direct
from rtp.units import Ssrc

REPLAY_WINDOW: Final = 1024
"""Packets. Publishers without RTX resend on the media SSRC: 300 packets a second, asked for during two seconds, want
more than 512. Our own resends need as much of the indices that we have used. libsrtp shifts the whole window for each
packet: eight times as many would cost half a microsecond."""

MAX_REMOTE_STREAMS: Final = 1024
"""SSRCs of one peer that are remembered: libsrtp keeps state for each, and would for all 2**32. A meeting of a day in
which screens are shared often has more of them, but never so many at a time."""

_RTP_SSRC: Final = slice(8, 12)
_RTCP_SSRC: Final = slice(4, 8)

_PROFILES: Final[Mapping[SrtpProfile, int]] = {
    SrtpProfile.AEAD_AES_128_GCM: pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
    SrtpProfile.AES128_CM_HMAC_SHA1_80: pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
}


class SrtpFailure(Enum):
    """Why a packet could not be protected or unprotected."""

    AUTHENTICATION = auto()
    REPLAYED = auto()
    TOO_OLD = auto()
    TOO_LONG = auto()
    MALFORMED = auto()


# What libsrtp says, as `pylibsrtp` words it; all the rest is about packets that make no sense.
_CAUSES: Final[Mapping[str, SrtpFailure]] = {
    "authentication failure": SrtpFailure.AUTHENTICATION,
    "cipher failure": SrtpFailure.AUTHENTICATION,  # so an AEAD profile calls a wrong tag in older releases
    "replay check failed (bad index)": SrtpFailure.REPLAYED,
    "replay check failed (index too old)": SrtpFailure.TOO_OLD,
    "packet index is too old to consider": SrtpFailure.TOO_OLD,
    "packet is too long": SrtpFailure.TOO_LONG,
}


class SrtpError(RemoteProtocolError):
    """A packet that is not what the peer's stream needs next: drop it. `cause` says why, and has been counted."""

    def __init__(self, cause: SrtpFailure) -> None:
        super().__init__(f"packet refused: {cause.name}")
        self.cause = cause


class SrtpSendError(LocalProtocolError):
    """A packet of ours that cannot be protected: too long, older than the window, or not RTP or RTCP at all."""

    def __init__(self, cause: SrtpFailure) -> None:
        super().__init__(f"packet cannot be protected: {cause.name}")
        self.cause = cause


@dataclass(frozen=True, slots=True)
class SrtpStatistics:
    """How many packets of the peer were refused, by cause, and how many of its SSRCs are remembered."""

    refused: Mapping[SrtpFailure, int]
    remote_streams: int


class SrtpSession:
    """The SRTP and SRTCP contexts of one transport, both directions (RFC 3711, 7714).

    Streams begin by themselves with the first packet of an SSRC. Each keeps a rollover counter, so a stream must not
    begin near the wrap of its sequence numbers: start below 2**15. Of the peer's, those that have been silent while half
    of MAX_REMOTE_STREAMS others spoke are forgotten when there are too many.

    `protect(packet)` returns an RTP packet of at most `srtp_direct.MAX_PACKET_BYTES` as SRTP, and `protect_rtcp(packet)`
    an RTCP compound or reduced-size packet as SRTCP of its first sender SSRC. Both raise SrtpSendError if that cannot be
    done. An RTP packet may be protected again as long as it is the same to the last byte, header extensions included: a nonce
    used for two different packets gives the authentication key of an AEAD profile away (RFC 7714 §8).
    """

    def __init__(self, keys: SrtpKeys) -> None:
        outbound = _session(keys.profile, keys.local, pylibsrtp.Policy.SSRC_ANY_OUTBOUND)
        inbound = _session(keys.profile, keys.remote, pylibsrtp.Policy.SSRC_ANY_INBOUND)
        self._outbound = outbound
        self._inbound = inbound
        # Functions, not methods: the hot loop calls one for each subscriber of each packet.
        self.protect = direct(outbound, "protect", _judged(outbound.protect))
        self.protect_rtcp = direct(outbound, "protect_rtcp", _judged(outbound.protect_rtcp))
        self._unprotect = direct(inbound, "unprotect", inbound.unprotect)
        self._unprotect_rtcp = direct(inbound, "unprotect_rtcp", inbound.unprotect_rtcp)
        self._remote_ssrcs: set[bytes] = set()  # heard since `_earlier_ssrcs` were set aside
        self._earlier_ssrcs: set[bytes] = set()  # and those that were only heard before
        self._refused: Counter[SrtpFailure] = Counter()

    def unprotect(self, packet: bytes) -> bytes:
        """Return what the peer protected, an RTP packet that is authentic and new.

        Raises:
            SrtpError: if it is not.
        """
        try:
            plain = self._unprotect(packet)
        except (pylibsrtp.Error, ValueError) as error:
            raise self._refusal(_cause(error)) from error
        ssrc = packet[_RTP_SSRC]
        if ssrc not in self._remote_ssrcs:
            self._remember(ssrc)
        return plain

    def unprotect_rtcp(self, packet: bytes) -> bytes:
        """Return what the peer protected, an RTCP packet that is authentic and new.

        Raises:
            SrtpError: if it is not.
        """
        try:
            plain = self._unprotect_rtcp(packet)
        except (pylibsrtp.Error, ValueError) as error:
            raise self._refusal(_cause(error)) from error
        ssrc = packet[_RTCP_SSRC]
        if ssrc not in self._remote_ssrcs:
            self._remember(ssrc)
        return plain

    def remove_stream(self, ssrc: Ssrc) -> None:
        """Forget an SSRC in both directions, when its track is gone: else its index stays, and its memory."""
        self._remote_ssrcs.discard(ssrc.to_bytes(4))
        self._earlier_ssrcs.discard(ssrc.to_bytes(4))
        for session in (self._outbound, self._inbound):
            with suppress(pylibsrtp.Error):  # it may never have sent there
                session.remove_stream(ssrc)

    def statistics(self) -> SrtpStatistics:
        """Return what has happened so far."""
        return SrtpStatistics(dict(self._refused), len(self._remote_ssrcs) + len(self._earlier_ssrcs))

    def _remember(self, ssrc: bytes) -> None:
        """Note that an SSRC has spoken; forget what has not for long, as often as half of the places are taken anew."""
        self._earlier_ssrcs.discard(ssrc)
        self._remote_ssrcs.add(ssrc)
        if len(self._remote_ssrcs) >= MAX_REMOTE_STREAMS // 2:
            for silent in self._earlier_ssrcs:
                self._inbound.remove_stream(int.from_bytes(silent))
            self._earlier_ssrcs, self._remote_ssrcs = self._remote_ssrcs, set()

    def _refusal(self, cause: SrtpFailure) -> SrtpError:
        self._refused[cause] += 1
        return SrtpError(cause)


def _session(profile: SrtpProfile, key: bytes, direction: int) -> pylibsrtp.Session:
    policy = pylibsrtp.Policy(key=key, ssrc_type=direction, srtp_profile=_PROFILES[profile])
    policy.window_size = REPLAY_WINDOW
    policy.allow_repeat_tx = True  # resends without RTX repeat an index
    return pylibsrtp.Session(policy)


def _judged(protect: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """Return `protect` with our errors."""

    def judged(packet: bytes) -> bytes:
        try:
            return protect(packet)
        except (pylibsrtp.Error, ValueError) as error:
            raise SrtpSendError(_cause(error)) from error

    return judged


def _cause(error: Exception) -> SrtpFailure:
    return _CAUSES.get(str(error), SrtpFailure.MALFORMED)
