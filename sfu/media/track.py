"""A published track, as subscribers see it: where it comes from, whether it is muted, and what codecs it is had in."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from rtp.sdp.codecs import RED, Codec, MediaKind, carried_by_red, decodable_as
from rtp.units import Mid
from sfu.media.derived import DerivedSource
from sfu.media.downtrack import DownTrack, Pause, Source, for_each_down_track
from sfu.media.dynacast import NOTHING
from sfu.media.receiver import Receiver
from sfu.media.redundancy import RedUnwrapper, RedWrapper
from sfu.media.silence import Silence
from sfu.media.simulcast import Quality
from sfu.model import Identity, ParticipantSid, TrackSid

MAX_GROUP_LENGTH: Final = 48
"""With the publisher's sid and the bar before it, the name of a stream has up to 64 characters."""


class MediaTrack:
    """One published track. The receiver of the codec that it came in first lives as long as it does.

    `backups` are further codecs that its publisher can be asked for, best first. Who gets the track in one of them is fed
    silence until it comes. `opus` is the publisher's Opus, where that can be had with redundancy (RED) and without,
    whichever of the two comes. `is_stereo`: there are two channels in it. `group` names what it belongs to of what its
    publisher shows, as camera and microphone do. `codecs` is all that it can be had in, by MIME type, best first: what is
    lost of RED is in what follows.

    Publishers are asked for codecs by name, so it comes in no more than one of a MIME type; but who does not decode just
    that one, with its profile, has to do with another.
    """

    def __init__(
        self,
        sid: TrackSid,
        publisher_sid: ParticipantSid,
        publisher: Identity,
        mid: Mid,
        receiver: Receiver,
        *,
        backups: Sequence[Codec] = (),
        opus: Codec | None = None,
        is_stereo: bool = False,
        group: str = "",
    ) -> None:
        self.sid = sid
        self.publisher_sid = publisher_sid
        self.publisher = publisher
        self.mid = mid
        self.receiver = receiver
        self.receivers = {receiver.codec.mime: receiver}
        self.is_stereo = is_stereo
        self.group = group
        self.muted = False
        self._opus = opus
        self._other_format: DerivedSource | None = None
        self._awaited = {
            codec.mime: Silence(receiver.kind, receiver.clock_rate, receiver.demand_changed)
            for codec in backups
            if codec.mime not in self.receivers
        }
        formats = () if opus is None else (replace(opus, mime=RED), opus)
        awaited = (codec for codec in backups if codec.mime in self._awaited)
        self.codecs = {codec.mime: codec for codec in (*formats, receiver.codec, *awaited)}

    @property
    def kind(self) -> MediaKind:
        """Audio or video."""
        return self.receiver.kind

    @property
    def codec(self) -> Codec:
        """What the publisher sends, with the publisher's payload type."""
        return self.receiver.codec

    def stream_id(self, *, is_shared: bool) -> str:
        """What subscribers' descriptions call its stream: its own, or one shared with all of its group.

        Clients find the participant in front of the bar. A group that is no name that can stand there is none.
        """
        return f"{self.publisher_sid}|{self.group if is_shared and _is_stream_name(self.group) else self.sid}"

    def comes_in(self, mime: str) -> bool:
        """Whether it is published in a codec, spelt in any case."""
        return mime.lower() in {each.lower() for each in self.receivers}

    def codec_for(self, agreed: Sequence[Codec]) -> Codec | None:
        """Return the codec that a subscriber gets it in, of those agreed with it; None if it can have it in none.

        RED names the Opus in it by its payload type, which has to be the same for both sides.
        """
        usable = [codec for codec in agreed if codec.mime != RED or self._carries_ours(codec, agreed)]
        decodable = (decodable_as(codec, usable) for codec in self.codecs.values())
        return next((codec for codec in decodable if codec is not None), None)

    def source_of(self, mime: str) -> Source:
        """Return what feeds those who get it in this codec, one of `codecs`."""
        if self._opus is not None and mime != self.codec.mime:
            return self._other_format or self._convert(self._opus)
        return self.receivers.get(mime) or self._awaited[mime]

    def add_receiver(self, receiver: Receiver) -> None:
        """It comes in another codec too: feed those who have waited for that.

        If what comes is another of the same MIME type, they get nothing before they are bound to what they can decode.
        """
        codec = receiver.codec
        expected = self.codecs.get(codec.mime, codec)
        self.receivers[codec.mime] = receiver
        self.codecs[codec.mime] = codec
        awaited = self._awaited.pop(codec.mime, None)
        if awaited is not None and decodable_as(codec, [expected]) is not None:
            _move(awaited.down_tracks, receiver)

    def remove_receiver(self, receiver: Receiver) -> None:
        """It does not come in this codec any more, but it can be asked for again."""
        mime = receiver.codec.mime
        del self.receivers[mime]
        self.codecs = {each: self.codecs[each] for each in dict.fromkeys([*self.receivers, *self.codecs])}
        self._awaited[mime] = awaited = Silence(receiver.kind, receiver.clock_rate, receiver.demand_changed)
        _move(receiver.down_tracks, awaited)

    def prefer(self, mime: str) -> None:
        """Have all who can in this codec from now on, which it comes in."""
        self.codecs = {mime: self.codecs[mime], **self.codecs}

    def close(self) -> None:
        """Tell every down track that the track is gone."""
        for_each_down_track(self._every_down_track(), DownTrack.source_ended)

    def level(self, now: float) -> float:
        """Return how loud the track is: 0 to 1, linear; nothing if it is muted, whatever its publisher sends."""
        return 0.0 if self.muted else self.receiver.levels.level(now)

    def wanted_qualities(self) -> dict[str, int]:
        """Return by codec the best quality that any subscriber would like to see now, or NOTHING."""
        wanted = {mime: Quality.HIGH if awaited.is_wanted else NOTHING for mime, awaited in self._awaited.items()}
        for mime, receiver in self.receivers.items():
            layer = receiver.wanted_layer()
            wanted[mime] = NOTHING if layer is None else receiver.layers.quality(layer)
        return {mime: wanted[mime] for mime in self.codecs if mime in wanted}

    def set_muted(self, *, muted: bool) -> None:
        """Stop or resume what subscribers get."""
        self.muted = muted
        for receiver in self.receivers.values():
            receiver.forget_activity()
        for_each_down_track(self._every_down_track(), lambda each: each.set_pause(Pause.MUTED, paused=muted))

    def _convert(self, opus: Codec) -> DerivedSource:
        """Make the other of RED and Opus of what comes, from now on."""
        conversion = RedUnwrapper if self.codec.mime == RED else RedWrapper
        source = DerivedSource(self.receiver, self.receiver.down_tracks, conversion(opus.payload_type))
        self._other_format = source
        self.receiver.formats.append(source)
        return source

    def _carries_ours(self, red: Codec, agreed: Sequence[Codec]) -> bool:
        opus = carried_by_red(red, agreed)
        return opus is not None and self._opus is not None and opus.payload_type == self._opus.payload_type

    def _every_down_track(self) -> Iterator[DownTrack]:
        sources: list[Receiver | Silence] = [*self.receivers.values(), *self._awaited.values()]
        for source in sources:
            yield from source.down_tracks


def _is_stream_name(text: str) -> bool:
    """Say whether the name of a stream in a description can hold `text` (RFC 8830 §2): in one word, and not long."""
    return 0 < len(text) <= MAX_GROUP_LENGTH and text.isprintable() and " " not in text


def _move(down_tracks: Sequence[DownTrack], source: Source) -> None:
    for_each_down_track(down_tracks, lambda down_track: down_track.set_source(source))
