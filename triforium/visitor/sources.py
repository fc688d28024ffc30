"""Where the payloads of what a visitor sends come from: the samples, or whatever else does as a `Source`. Does no I/O."""

from abc import abstractmethod
from random import Random
from typing import Final, Protocol, runtime_checkable

from rtp.sdp.codecs import OPUS
from triforium.visitor.plan import MediaPlan
from triforium.visitor.samples import samples

VP8: Final = "video/VP8"


class Source(Protocol):
    """Where payloads come from, a burst at each beat. `mime` names the codec as SDP does ("video/VP8")."""

    mime: str
    interval_seconds: float
    clock_rate: int

    @abstractmethod
    def next_burst(self) -> list[bytes]:
        """Return the payloads of one frame."""

    @abstractmethod
    def request_key_frame(self) -> None:
        """Let the next frame be one that a decoder can start with."""


@runtime_checkable
class DescribedSource(Source, Protocol):
    """A source whose packets tell in the dependency descriptor which frames theirs needs."""

    @abstractmethod
    def last_descriptors(self) -> list[bytes]:
        """Return those of the last burst, one for each of its payloads."""


class AudioSource:
    """The tone, a packet at a time."""

    mime = OPUS
    clock_rate = 48_000

    def __init__(self, plan: MediaPlan) -> None:
        self.interval_seconds = 1 / plan.audio_packets_per_second
        self._frames = samples("opus").frames
        self._sent = 0

    def next_burst(self) -> list[bytes]:
        """Return the next sample."""
        self._sent += 1
        return [self._frames[self._sent % len(self._frames)]]

    def request_key_frame(self) -> None:
        """Do nothing: every packet is one."""


class Vp8Source:
    """The VP8 loop, each payload behind a descriptor with picture id and TL0PICIDX (RFC 7741 §4.2)."""

    mime = VP8
    clock_rate = 90_000

    def __init__(self, plan: MediaPlan, random: Random) -> None:
        self.interval_seconds = 1 / plan.video_frames_per_second
        self._plan = plan
        self._length = len(samples("vp8 ").frames)
        self._picture_id = random.randrange(1 << 15)
        self._tl0 = random.randrange(1 << 8)
        self._key_frame_wanted = True
        self._sample = 0
        self._sent = self._since_key_frame = 0

    def next_burst(self) -> list[bytes]:
        """Return the packets of the next frame: a key frame if one is due, else the loop goes on."""
        interval = self._plan.key_frame_interval
        if self._key_frame_wanted or (interval is not None and self._since_key_frame >= interval):
            self._key_frame_wanted = False
            self._sample = self._since_key_frame = 0
        else:
            self._sample = self._sample % (self._length - 1) + 1  # 1, 2, … and round again: see SampleStream
        payloads = self._plan.video_frame(self._sample, self._sent)
        self._sent += 1
        self._since_key_frame += 1
        self._picture_id = (self._picture_id + 1) & 0x7FFF
        self._tl0 = (self._tl0 + 1) & 0xFF
        # X | S (in the first packet only); I, L, T; M and 15 bits of picture id; TL0PICIDX; TID 0
        tail = bytes((0xE0, 0x80 | self._picture_id >> 8, self._picture_id & 0xFF, self._tl0, 0))
        return [bytes((0x90 if index == 0 else 0x80,)) + tail + payload for index, payload in enumerate(payloads)]

    def request_key_frame(self) -> None:
        """Begin the loop anew with the next frame."""
        self._key_frame_wanted = True
