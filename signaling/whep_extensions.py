"""The extensions of WHEP (draft-ietf-wish-whep, "Protocol extensions"): server-sent events, and the choice of a layer.

`POST …/sse` makes an event stream, `GET` reads it and `DELETE` ends it. Browsers read such streams without any header
of ours, so the name of one, which nobody can guess, is all that opens it. `POST …/layer` chooses a simulcast layer.
"""

from collections.abc import Sequence
from random import Random
from typing import Final
from weakref import WeakKeyDictionary

import msgspec
import trio

from sfu.media.layers import TrackLayers
from sfu.media.simulcast import PublishedLayer, Wish
from sfu.model import new_sid
from sfu.room.participant import Participant
from sfu.room.subscriptions import TrackSettings
from signaling.http.errors import HttpError
from signaling.http.exchange import Exchange
from signaling.whep_events import EVENTS, EventStream, Sight, find_section, look

SSE: Final = "sse"
LAYER: Final = "layer"

MAX_EVENT_STREAMS: Final = 4
"""What one session may have at a time: a reader that loses one makes another."""

BEAT_SECONDS: Final = 0.5
"""How often a watcher's sight is compared with what its readers know."""

KEEP_ALIVE_SECONDS: Final = 15.0
"""After so long without news a comment is sent: it finds out whether the reader is still there."""


class LayerChoice(msgspec.Struct, rename="camel"):
    """What of a section's video is wanted; nothing said: what the server thinks best."""

    media_id: str | None = None
    rid: str | None = None
    max_width: int | None = None
    max_height: int | None = None
    spatial_layer_id: int | None = None
    temporal_layer_id: int | None = None
    max_spatial_layer_id: int | None = None
    max_temporal_layer_id: int | None = None

    @property
    def is_of_one_stream(self) -> bool:
        """Whether it chooses within a scalable stream."""
        within = (self.spatial_layer_id, self.temporal_layer_id, self.max_spatial_layer_id, self.max_temporal_layer_id)
        return any(each is not None for each in within)


def links(session: str) -> str:
    """Return the `Link` header that tells of the extensions of a session, given by its path."""
    events = ",".join(EVENTS)
    return (
        f'<{session}/{SSE}>; rel="urn:ietf:params:whep:ext:core:server-sent-events"; events="{events}", '
        f'<{session}/{LAYER}>; rel="urn:ietf:params:whep:ext:core:layer"'
    )


class EventStreams:
    """The event streams of all sessions: each lives as long as its session, unless it is deleted before."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._of: WeakKeyDictionary[Participant, dict[str, EventStream]] = WeakKeyDictionary()

    async def create(self, exchange: Exchange, watcher: Participant) -> None:
        """Make a stream of the events that the body lists, or of all. Raises HttpError."""
        body = await exchange.body()
        try:
            asked = msgspec.json.decode(body, type=list[str]) if body else EVENTS
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise HttpError(400, f"the body is to be a list of events: {error}") from error
        streams = self._of.setdefault(watcher, {})
        if len(streams) >= MAX_EVENT_STREAMS:
            raise HttpError(429, f"a session has {MAX_EVENT_STREAMS} event streams at most: delete one")
        stream_id = new_sid("ES_", self._random)
        streams[stream_id] = EventStream(set(EVENTS) & set(asked), Sight())
        await exchange.respond(201, headers={"Location": f"{exchange.request.path}/{stream_id}"})

    async def answer(self, exchange: Exchange, stream_id: str) -> None:
        """Read or end a stream. Raises HttpError: 404 if there is none of that name (any more)."""
        watcher, stream = self._find(stream_id)
        exchange.vouch()
        match exchange.request.method:
            case "GET":
                stream = self._of[watcher][stream_id] = stream.hand_on()  # whoever read it before reads no more
                await self._read(exchange, watcher, stream_id, stream)
            case "DELETE":
                del self._of[watcher][stream_id]
                await exchange.respond(200)
            case _:
                raise HttpError(405, "an event stream is read or deleted", {"Allow": "DELETE, GET, OPTIONS"})

    async def _read(self, exchange: Exchange, watcher: Participant, stream_id: str, stream: EventStream) -> None:
        send = await exchange.begin(content_type="text/event-stream", headers={"Cache-Control": "no-store"})
        due = said_at = trio.current_time()
        while _is_there(watcher) and self._of.get(watcher, {}).get(stream_id) is stream:
            now = trio.current_time()
            if news := stream.tell(look(watcher, now)) or (b":\n\n" if now >= said_at + KEEP_ALIVE_SECONDS else b""):
                await send(news)
                said_at = now
            due = max(due + BEAT_SECONDS, now)
            await trio.sleep_until(due)
        await exchange.end()

    def _find(self, stream_id: str) -> tuple[Participant, EventStream]:
        for watcher, streams in self._of.items():
            if stream_id in streams and _is_there(watcher):
                return watcher, streams[stream_id]
        raise HttpError(404, "there is no such event stream (any more)")


async def choose_layer(exchange: Exchange, watcher: Participant) -> None:
    """Send another layer of a section's video from now on, as long as it carries that. Raises HttpError."""
    try:
        choice = msgspec.json.decode(await exchange.body(), type=LayerChoice)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise HttpError(400, f"the choice of a layer cannot be read: {error}") from error
    if choice.is_of_one_stream:
        raise HttpError(422, "layers are chosen by rid, maxWidth or maxHeight")
    track = find_section(watcher, choice.media_id)
    if track is None:
        raise HttpError(404, "this section carries no video now")
    layers = track.receiver.layers
    wanted = _candidates(layers, choice)
    if not wanted:
        raise HttpError(404, f"there is no layer {choice.rid}")
    is_free = (choice.rid, choice.max_width, choice.max_height) == (None, None, None)
    settings = (
        watcher.reconciler.watching.settings
        if is_free
        else TrackSettings(wish=Wish(layers.quality(_best(wanted, choice).layer)))
    )
    watcher.reconciler.set_settings(track.sid, settings)
    await exchange.respond(200)


def _candidates(layers: TrackLayers, choice: LayerChoice) -> list[PublishedLayer]:
    return [each for each in layers.published if choice.rid in {None, layers.name(each.layer)}]


def _best(ascending: Sequence[PublishedLayer], choice: LayerChoice) -> PublishedLayer:
    """Return the best that is not too large, or the least."""
    fitting = [
        each
        for each in ascending
        if (choice.max_width is None or each.width <= choice.max_width)
        and (choice.max_height is None or each.height <= choice.max_height)
    ]
    return fitting[-1] if fitting else ascending[0]


def _is_there(watcher: Participant) -> bool:
    return watcher.room.participants.get(watcher.identity) is watcher
