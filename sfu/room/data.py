"""Data as a room and its participants have it: who is told what of channels and of data tracks."""

from collections.abc import Mapping
from random import Random
from typing import TYPE_CHECKING, NoReturn

import trio
from livekit.protocol import models, rtc

from rtp.datachannel import ChannelClosed, ChannelDrained, ChannelMessage, ChannelOpened
from sfu.data.blobs import BlobRefusedError, DataBlobs
from sfu.data.packets import Drop
from sfu.data.relay import DataRelay
from sfu.data.tracks import DataTrackRefusedError, DataTracks
from sfu.model import Identity, TrackSid, new_sid
from sfu.settings import DataSettings
from sfu.transport.connection import PeerConnection

if TYPE_CHECKING:
    from sfu.room.participant import Participant
    from sfu.room.room import Room


_NOT_ALLOWED = rtc.RequestResponse.NOT_ALLOWED


class RoomData:
    """What goes through the data channels of a room's participants."""

    def __init__(self, room: "Room", settings: DataSettings, dice: Random) -> None:
        self.tracks = DataTracks(
            lambda: new_sid("DTR_", dice),
            lambda number: dice.randint(1, number),
            lambda reader, track: room.may_have(reader, track.publisher.identity, track.sid),
        )
        self.relay = DataRelay(settings, self.tracks)
        self.settings = settings
        self._room = room

    def join(self, participant: "Participant", connection: PeerConnection, *, automatic: bool) -> "ParticipantData":
        """Let a participant send data, and read it on `connection`; if `automatic`, all data tracks too."""
        return ParticipantData(self, self._room, participant, connection, automatic=automatic)

    def tracks_changed(self) -> None:
        """Give everybody the data tracks that they want and may have."""
        for person in list(self._room.participants.values()):
            person.data.reconcile()

    def statistics(self) -> Mapping[Drop, int]:
        """Return how many messages, or readers' copies of them, went no further, by cause."""
        return self.relay.statistics()

    async def run(self) -> NoReturn:
        """Do what is due, until cancelled."""
        await self.relay.run()


class ParticipantData:
    """One participant's data. It reads on `connection`, and sends on that or on another."""

    def __init__(
        self, data: RoomData, room: "Room", participant: "Participant", connection: PeerConnection, *, automatic: bool
    ) -> None:
        self._data = data
        self._room = room
        self._participant = participant
        self._connection = connection
        self._automatic = automatic
        self._member = data.relay.join(participant, connection)
        self.blobs = DataBlobs()
        self._has_told_handles = False
        self._carried: tuple[list[ChannelOpened], list[models.DataTrackInfo]] = ([], [])
        data.tracks.join(participant.sid, automatic=automatic)

    @property
    def last_sequence(self) -> int:
        """The number of the last reliable packet that was taken from the client, 0 before the first."""
        return self._member.last_sequence

    def knows(self, track: rtc.PublishDataTrackResponse) -> bool:
        """Say whether a data track that the client believes to publish is published."""
        return any(info.sid == track.info.sid for info in self.tracks)

    @property
    def tracks(self) -> list[models.DataTrackInfo]:
        """The data tracks that it publishes."""
        return self._data.tracks.published(self._participant.sid)

    def leave(self) -> None:
        """Send and take nothing more. Idempotent."""
        self._data.relay.leave(self._member)
        had_tracks = bool(self.tracks)
        self._data.tracks.leave(self._participant.sid)
        if had_tracks:
            self._data.tracks_changed()

    def depart(self) -> None:
        """Leave the room for another; `arrive` goes on there with the channels and the data tracks that there were."""
        self._carried = self._member.channels, self.tracks
        self.leave()

    def arrive(self, room: "Room") -> None:
        """Send and take data in another room."""
        channels, tracks = self._carried
        self._room, self._data = room, room.data
        self._member = room.data.relay.take_over(self._member, channels)
        room.data.tracks.join(self._participant.sid, automatic=self._automatic)
        room.data.tracks.adopt(self._participant, tracks)

    # What the connections tell

    def channel_opened(self, connection: PeerConnection, channel: ChannelOpened) -> None:
        """Send on a channel, if it is on the connection on which the client reads."""
        if connection is self._connection:
            self._data.relay.channel_opened(self._member, channel)

    def channel_closed(self, connection: PeerConnection, channel: ChannelClosed) -> None:
        """Send on a channel no more."""
        if connection is self._connection:
            self._data.relay.channel_closed(self._member, channel)

    def channel_drained(self, connection: PeerConnection, channel: ChannelDrained) -> None:  # noqa: ARG002 - which one, we see
        """See whether senders need still wait for the client."""
        self._member.check(trio.current_time())

    def channel_message(self, connection: PeerConnection, message: ChannelMessage) -> None:
        """Pass a message on."""
        if not self._participant.has_left:
            self._data.relay.receive(self._member, connection, message)

    # What the client asks for

    def publish_track(self, request: rtc.PublishDataTrackRequest) -> None:
        """Publish a data track, or say why not."""
        if self._participant.has_left:
            return
        try:
            self._check_has_tracks()
            info = self._data.tracks.publish(self._participant, request)
        except DataTrackRefusedError as refusal:
            self._refuse(refusal, rtc.RequestResponse(publish_data_track=request))
            return
        self._participant.is_publisher = True
        self._participant.tell(rtc.SignalResponse(publish_data_track_response=rtc.PublishDataTrackResponse(info=info)))
        self._changed()

    def unpublish_track(self, request: rtc.UnpublishDataTrackRequest) -> None:
        """End a data track, or say that there is none."""
        if self._participant.has_left:
            return
        try:
            info = self._data.tracks.unpublish(self._participant.sid, request.pub_handle)
        except DataTrackRefusedError as refusal:
            self._refuse(refusal, rtc.RequestResponse(unpublish_data_track=request))
            return
        self._tell_unpublished(info)
        self._changed()

    def subscribe(self, request: rtc.UpdateDataSubscription) -> None:
        """Note which data tracks the client wants, and let it have those that there are."""
        if self._participant.has_left:
            return
        for update in request.updates:
            self._data.tracks.set_wanted(self._participant.sid, TrackSid(update.track_sid), wanted=update.subscribe)
        self.reconcile()

    def store_blob(self, request: rtc.StoreDataBlobRequest) -> None:
        """Keep a blob for others to ask for, or say why not."""
        try:
            self._check_has_blobs()
            self._check_may_publish()
            self.blobs.store(request.blob)
        except BlobRefusedError as refusal:
            self._refuse(refusal, rtc.RequestResponse(request_id=request.request_id))
            return
        response = rtc.StoreDataBlobResponse(request_id=request.request_id, key=request.blob.key)
        self._participant.tell(rtc.SignalResponse(store_data_blob_response=response))

    def get_blob(self, request: rtc.GetDataBlobRequest) -> None:
        """Give a blob of somebody's who is in the room, or say why not."""
        try:
            self._check_has_blobs()
            blob = self._blobs_of(Identity(request.participant_identity)).get(request.key)
        except BlobRefusedError as refusal:
            self._refuse(refusal, rtc.RequestResponse(request_id=request.request_id))
            return
        response = rtc.GetDataBlobResponse(request_id=request.request_id, blob=blob)
        self._participant.tell(rtc.SignalResponse(get_data_blob_response=response))

    # What the room asks for

    def reconcile(self) -> None:
        """Give the client the data tracks that it wants and may have, and tell it if that has changed any handle."""
        if not self._participant.has_left and self._data.tracks.reconcile(self._participant):
            self._tell_handles()

    def permission_changed(self) -> None:
        """Take back what may not be published any longer, and give what may be had."""
        if not self._participant.grant.may_publish_data:
            for info in self._data.tracks.unpublish_all(self._participant.sid):
                self._tell_unpublished(info)
        self._data.tracks_changed()

    def resumed(self) -> None:
        """Tell the client again what it may have missed."""
        if self._has_told_handles:
            self._tell_handles()

    def _check_has_tracks(self) -> None:
        if not self._data.settings.has_tracks:
            raise DataTrackRefusedError(_NOT_ALLOWED, "data tracks are not enabled")

    def _check_has_blobs(self) -> None:
        if not self._data.settings.has_blobs:
            raise BlobRefusedError(_NOT_ALLOWED, "data blobs are not enabled")

    def _check_may_publish(self) -> None:
        if not self._participant.grant.may_publish_data:
            raise BlobRefusedError(_NOT_ALLOWED, "does not have permission to publish data")

    def _blobs_of(self, identity: Identity) -> DataBlobs:
        owner = self._room.participants.get(identity)
        if owner is None or (owner.is_hidden and owner is not self._participant):
            raise BlobRefusedError(rtc.RequestResponse.NOT_FOUND, "participant does not exist")
        return owner.data.blobs

    def _changed(self) -> None:
        self._room.news.changed(self._participant)
        self._data.tracks_changed()

    def _tell_unpublished(self, info: models.DataTrackInfo) -> None:
        self._participant.tell(
            rtc.SignalResponse(unpublish_data_track_response=rtc.UnpublishDataTrackResponse(info=info))
        )

    def _tell_handles(self) -> None:
        self._has_told_handles = True
        handles = {
            handle: rtc.DataTrackSubscriberHandles.PublishedDataTrack(
                publisher_identity=track.publisher.identity, publisher_sid=track.publisher.sid, track_sid=track.sid
            )
            for handle, track in self._data.tracks.handles(self._participant.sid).items()
        }
        self._participant.tell(
            rtc.SignalResponse(data_track_subscriber_handles=rtc.DataTrackSubscriberHandles(sub_handles=handles))
        )

    def _refuse(self, refusal: DataTrackRefusedError | BlobRefusedError, response: rtc.RequestResponse) -> None:
        response.reason = refusal.reason
        response.message = str(refusal)
        self._participant.tell(rtc.SignalResponse(request_response=response))
