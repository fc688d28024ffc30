"""One peer connection as a room sees it: its description, its transport and its media, kept in step."""

import logging
from collections.abc import Callable
from typing import Final

import trio
from livekit.protocol import models

from rtp.binding import Section
from rtp.datachannel import DataChannels
from rtp.dcep import ChannelParameters
from rtp.dtls import DtlsRole, DtlsTransport
from rtp.extensions import (
    ABS_CAPTURE_TIME,
    ABS_SEND_TIME,
    DEPENDENCY_DESCRIPTOR,
    MID,
    PLAYOUT_DELAY,
    REPAIRED_RID,
    RID,
    TRANSPORT_CC,
)
from rtp.ice.candidates import IceCredentials, new_credentials
from rtp.ice.lite import IceLiteAgent
from rtp.sctp.association import SctpAssociation
from rtp.sdp.codecs import MediaKind
from rtp.sdp.description import NegotiationError, RemoteEncoding, Setup
from rtp.sdp.negotiation import Negotiation
from rtp.sdp.transceiver import LocalTrack, LocalTransport, Transceiver
from rtp.transport import PeerTransport
from rtp.units import Rid, Ssrc
from sfu.environment import Environment
from sfu.media import capabilities
from sfu.media.capabilities import TRANSPORT_CC_FEEDBACK
from sfu.media.downtrack import DownTrack, Source
from sfu.media.session import MediaSession
from sfu.media.silence import Silence
from sfu.media.track import MediaTrack
from sfu.room.quirks import shares_streams, unpublished_mimes, unsent_mimes
from sfu.settings import PlayoutDelay
from sfu.transport.connection import ConnectionOwner, PeerConnection

logger = logging.getLogger(__name__)

CHANNELS: Final = (
    ChannelParameters("_reliable"),
    ChannelParameters("_lossy", ordered=False, max_retransmits=0),
    ChannelParameters("_data_track", ordered=False, max_retransmits=0),
)
"""The data channels that LiveKit's clients look for, by label."""

_RIDS_BY_PLACE: Final = (Rid("q"), Rid("h"), Rid("f"))
"""What LiveKit's clients call their simulcast layers, from the lowest up."""

_CLOCK_RATES: Final = {MediaKind.AUDIO: 48_000, MediaKind.VIDEO: 90_000}
"""Of all codecs that we send, by their kind."""


class Peer:
    """Answers and makes descriptions, and sets transport and media up as they say.

    `takes_media` is false for the connection on which a client only subscribes: all its sections speak of what we send.
    On the other it publishes, in the codecs that `receives` names. With `syncs_streams` what belongs together is one
    stream, for clients that take such. With a `playout_delay`, those that know it are told.
    `has_trickle` is false if nothing can tell the peer of our candidates but its descriptions.
    """

    def __init__(
        self,
        environment: Environment,
        owner: ConnectionOwner,
        client: models.ClientInfo,
        *,
        takes_media: bool,
        syncs_streams: bool,
        playout_delay: PlayoutDelay | None,
        has_trickle: bool = True,
    ) -> None:
        self._environment = environment
        self._playout_delay = playout_delay
        self._shares_streams = syncs_streams and shares_streams(client)
        dice = environment.random
        self._ice = IceLiteAgent(new_credentials(dice.randbytes), consent_seconds=environment.patience.consent_seconds)
        self._dtls = DtlsTransport(environment.certificate, DtlsRole.SERVER, environment.dtls)
        self.connection = PeerConnection(PeerTransport(self._ice, self._dtls), environment.endpoint, owner)
        self.connection.answer_to(self._ice.local.ufrag)
        self.media = MediaSession(self.connection, feedback_ssrc=self._new_ssrc(), congestion=environment.congestion)
        self.connection.media = self.media
        sends = capabilities.SEND_BESIDE_RECEIVING if takes_media else capabilities.SEND
        sends = capabilities.without(sends, unsent_mimes(client))
        if playout_delay is not None:
            sends = capabilities.with_playout_delay(sends)
        receives = capabilities.without(capabilities.RECEIVE, unpublished_mimes(client))
        self.receives = receives if takes_media else sends
        fingerprint, candidates = environment.certificate.fingerprint, () if has_trickle else environment.candidates
        self.negotiation = Negotiation(
            LocalTransport(self._ice.local, fingerprint, candidates, lite=True, setup=Setup.PASSIVE),
            receive=self.receives,
            send=sends,
            session_id=dice.getrandbits(62),
            with_data=True,
        )

    def answer(self, offer: str, bind: Callable[[], None]) -> str:
        """Return our answer to the peer's offer; `bind` gives tracks to sections between reading and writing.

        Raises:
            DecodeError: the offer cannot be read.
            NegotiationError: it asks for what cannot be.
        """
        self.negotiation.receive_offer(offer)
        if self.negotiation.setup is Setup.ACTIVE and self._dtls.role is DtlsRole.SERVER:
            self._dtls.take_role(DtlsRole.CLIENT)  # the first offer: nobody could reach us before
        if self.negotiation.remote_restarted:
            self.restart_ice()
        bind()
        answer = self.negotiation.create_answer()
        self._described()
        return answer

    def offer(self) -> str:
        """Return an offer of ours."""
        return self.negotiation.create_offer()

    def accept(self, answer: str) -> None:
        """Take the peer's answer to our offer. Raises as `answer` does."""
        self.negotiation.receive_answer(answer)
        if self.negotiation.setup is Setup.ACTIVE:
            raise NegotiationError("we are the DTLS server where we offer: answer a=setup:active")
        self._described()

    def open_channels(self) -> None:
        """Offer data channels of our own, for a peer that opens none on this connection."""
        self.negotiation.add_data_section()
        self._attach_channels(CHANNELS)

    def restart_ice(self) -> None:
        """Take new credentials; the old ones are answered until the new path is chosen (RFC 8445 §9)."""
        credentials: IceCredentials = new_credentials(self._environment.random.randbytes)
        self._ice.restart(credentials, trio.current_time())
        self.connection.answer_to(credentials.ufrag)
        self.negotiation.restart_ice(credentials)

    @property
    def heard_at(self) -> float:
        """When the peer last showed that it is there: by a check of the path, or by RTCP."""
        return max(self._ice.heard_at, self.media.rtcp_heard_at)

    @property
    def remote_credentials(self) -> IceCredentials | None:
        """The peer's ICE credentials, as it said them last."""
        return self._ice.remote

    def take_restart(self, remote: IceCredentials) -> LocalTransport:
        """Begin a new generation of ICE, as the peer has with these credentials; return what it is to know of ours."""
        self.restart_ice()
        self._ice.set_remote(remote)
        self.connection.reschedule()
        return self.negotiation.local

    def new_down_track(self, track: MediaTrack) -> tuple[DownTrack, LocalTrack]:
        """Make what sends `track` on this connection, with SSRCs of its own; it is silent until `bind_down_track`."""
        stream_id = track.stream_id(is_shared=self._shares_streams)
        return self._new_down_track(track.receiver, track.kind, stream_id, track.sid, outlives=False)

    def new_slot(self, kind: MediaKind, stream_id: str, track_id: str) -> tuple[DownTrack, LocalTrack]:
        """Make what sends one track after the other on this connection, under names and SSRCs that stay."""
        silence = Silence(kind, _CLOCK_RATES[kind])
        return self._new_down_track(silence, kind, stream_id, track_id, outlives=True)

    def bind_down_track(self, down_track: DownTrack, transceiver: Transceiver, track: MediaTrack) -> Source | None:
        """Send with the numbers that the section agreed on. Return what is to feed it; None: it agreed on no codec."""
        codec = track.codec_for(transceiver.codecs)
        if codec is None or not transceiver.current_direction.sends:
            return None
        numbers = None
        transport_cc_id = transceiver.extensions.get(TRANSPORT_CC)
        has_rtx = codec.rtx_payload_type is not None and down_track.rtx_ssrc is not None
        if transport_cc_id is not None and TRANSPORT_CC_FEEDBACK in codec.feedback and has_rtx:
            numbers = self.media.bandwidth.numbers(transport_cc_id)
        if down_track.source.kind is MediaKind.VIDEO:
            down_track.row.count = self.media.bandwidth.counter()
        down_track.bind(
            payload_type=codec.payload_type,
            abs_send_time_id=None if numbers is not None else transceiver.extensions.get(ABS_SEND_TIME),
            rtx_payload_type=codec.rtx_payload_type,
            numbers=numbers,
            descriptor_id=transceiver.extensions.get(DEPENDENCY_DESCRIPTOR),
            playout_delay_id=transceiver.extensions.get(PLAYOUT_DELAY),
            capture_time_id=transceiver.extensions.get(ABS_CAPTURE_TIME),
        )
        return track.source_of(codec.mime)

    def explain_missing_media(self) -> str:
        """Say, for the log, what was offered, what came of it, and which key to look at."""
        offered = ", ".join(f"{host}:{port}" for host, port in (each.address for each in self._environment.candidates))
        ice = self._ice.statistics()
        if self.connection.checked_from:
            came = f"STUN came from {', '.join(sorted(self.connection.checked_from))}"
            refused = {cause.name: count for cause, count in ice.dropped.items() if count}
            cure = f"checks refused: {refused}" if refused else "the DTLS handshake did not end: is UDP cut off midway?"
        else:
            came = "no STUN came"
            cure = "is this address the one that clients reach (rtc.node_ip), and the UDP port open (rtc.udp_port)?"
        return f"offered {offered or 'nothing'}; {came}; {cure}"

    def close_down_track(self, down_track: DownTrack) -> None:
        """Stop sending it."""
        with self.connection.endpoint.batch():
            self.media.remove_down_track(down_track)
        down_track.close()

    def _new_down_track(
        self, source: Source, kind: MediaKind, stream_id: str, track_id: str, *, outlives: bool
    ) -> tuple[DownTrack, LocalTrack]:
        dice = self._environment.random
        down_track = DownTrack(
            source,
            self.connection,
            self._new_ssrc(),
            first_sequence=dice.getrandbits(15),
            rtx_ssrc=self._new_ssrc() if kind is MediaKind.VIDEO else None,
            first_rtx_sequence=dice.getrandbits(15),
            outlives=outlives,
            playout_delay=self._playout_delay,
        )
        self.media.add_down_track(down_track, stream_id, trio.current_time())
        return down_track, LocalTrack(stream_id, track_id, down_track.ssrc, down_track.rtx_ssrc)

    def _described(self) -> None:
        """Set ICE, DTLS and the data channels up as the peer's last description says."""
        remote = self.negotiation.remote
        assert remote is not None, "a description was just taken"
        self._ice.set_remote(remote.credentials)
        self._dtls.set_remote_fingerprints(remote.fingerprints)
        if self.negotiation.data_mid is not None and self.connection.transport.channels is None:
            self._attach_channels(())
        self.connection.reschedule()  # fingerprints that come after the handshake are to be looked at

    def _attach_channels(self, parameters: tuple[ChannelParameters, ...]) -> None:
        dice = self._environment.random
        association = SctpAssociation(
            tag=dice.randrange(1, 1 << 32), initial_tsn=dice.getrandbits(32), cookie_secret=dice.randbytes(32)
        )
        channels = DataChannels(association, is_dtls_client=self._dtls.role is DtlsRole.CLIENT)
        now = trio.current_time()
        # Clients send the SCTP INIT, on both connections: we only answer.
        self.connection.do(lambda now: self.connection.transport.attach_channels(channels, now, initiate=False))
        for each in parameters:
            channels.open(each, now)

    def _new_ssrc(self) -> Ssrc:
        return Ssrc(self._environment.random.randrange(1, 1 << 32))


def encoding_name(encoding: RemoteEncoding) -> Rid | None:
    """Return the RID of an encoding, or what it would be called if it were not known by its SSRC alone."""
    return encoding.rid if encoding.place is None else _RIDS_BY_PLACE[encoding.place]


def incoming_section(transceiver: Transceiver) -> Section:
    """Say what a section tells of the streams that the peer sends in it."""
    assert transceiver.mid is not None, "a section that stands in a description has a name"
    assert transceiver.remote_track is not None, "the peer sends here"
    encodings = transceiver.remote_track.encodings
    return Section(
        mid=transceiver.mid,
        payload_types=frozenset(codec.payload_type for codec in transceiver.codecs),
        rtx_payload_types=frozenset(
            codec.rtx_payload_type for codec in transceiver.codecs if codec.rtx_payload_type is not None
        ),
        rids=tuple(encoding.rid for encoding in encodings if encoding.rid is not None),
        ssrcs={each.ssrc: encoding_name(each) for each in encodings if each.ssrc is not None},
        rtx_ssrcs={each.rtx_ssrc: encoding_name(each) for each in encodings if each.rtx_ssrc is not None},
        mid_extension=transceiver.extensions.get(MID),
        rid_extension=transceiver.extensions.get(RID),
        repaired_rid_extension=transceiver.extensions.get(REPAIRED_RID),
    )
