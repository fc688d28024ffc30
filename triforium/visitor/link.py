"""One of a visitor's peer connections: its own socket, the controlling end of ICE, the client's part of DTLS."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from ipaddress import ip_address
from typing import Final

import trio

from rtp.datachannel import DataChannels
from rtp.dcep import ChannelParameters
from rtp.dtls import DtlsRole, DtlsTransport
from rtp.extensions import (
    ABS_SEND_TIME,
    AUDIO_LEVEL,
    DEPENDENCY_DESCRIPTOR,
    MID,
    PLAYOUT_DELAY,
    REPAIRED_RID,
    RID,
    TRANSPORT_CC,
)
from rtp.ice.candidates import Candidate, IceCredentials, host_candidate, new_credentials, parse_candidate
from rtp.ice.controlling import IceControllingAgent
from rtp.ice.outputs import ConsentLost, IceOutput
from rtp.sctp.association import SctpAssociation
from rtp.sdp.codecs import AV1, H264, H265, VP9, Codec
from rtp.sdp.description import Setup
from rtp.sdp.negotiation import Negotiation
from rtp.sdp.transceiver import Capabilities, LocalTransport, Transceiver
from rtp.transport import Lost, PeerTransport, TransportOutput
from rtp.units import Path, Ssrc
from sfu.transport.connection import ConnectionOwner, PeerConnection
from sfu.transport.endpoint import UdpEndpoint
from triforium.visitor.feedback import BandwidthFeedback, with_feedback
from triforium.visitor.media import VisitorMedia
from triforium.visitor.sending import Sender
from triforium.visitor.socket import MovableSocket
from triforium.visitor.sources import VP8
from triforium.visitor.world import VisitorWorld

_VIDEO_FEEDBACK: Final = ("goog-remb", "ccm fir", "nack", "nack pli")
_H264_FORMAT: Final = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"

CAPABILITIES: Final = Capabilities(
    audio=(Codec("audio/opus", 111, 48_000, 2, "minptime=10;useinbandfec=1", ("nack",)),),
    video=(
        Codec(VP8, 96, 90_000, 1, "", _VIDEO_FEEDBACK, 97),
        Codec(H264, 102, 90_000, 1, _H264_FORMAT, _VIDEO_FEEDBACK, 103),
        Codec(H265, 104, 90_000, 1, "", _VIDEO_FEEDBACK, 105),
        Codec(VP9, 98, 90_000, 1, "profile-id=0", _VIDEO_FEEDBACK, 99),
        Codec(AV1, 45, 90_000, 1, "", _VIDEO_FEEDBACK, 46),
    ),
    audio_extensions=(MID, AUDIO_LEVEL, ABS_SEND_TIME),
    video_extensions=(MID, RID, REPAIRED_RID, ABS_SEND_TIME, DEPENDENCY_DESCRIPTOR, PLAYOUT_DELAY),
)
"""What a visitor sends and receives."""

WITHOUT_RTX: Final = replace(
    CAPABILITIES, video=tuple(replace(codec, rtx_payload_type=None) for codec in CAPABILITIES.video)
)
"""What a visitor sends that has no stream for retransmissions, as LiveKit's Rust core."""

CHANNELS: Final = (
    ChannelParameters("_lossy", ordered=False, max_retransmits=0),
    ChannelParameters("_reliable"),
    ChannelParameters("_data_track", ordered=False, max_retransmits=0),
)
"""The data channels that LiveKit's clients open, in JavaScript's order."""


class Link:
    """A peer connection as a client has it. `sends_rtx`: what it sends is sent again on a stream for that."""

    def __init__(
        self,
        world: VisitorWorld,
        owner: ConnectionOwner,
        *,
        cname: str,
        tell: Callable[[], None],
        sends_rtx: bool,
        feedback: BandwidthFeedback = BandwidthFeedback.PLENTY,
    ) -> None:
        dice = world.random
        self.socket = MovableSocket(world.host, world.open_socket)
        self.endpoint = UdpEndpoint([self.socket])
        self._dice = dice
        self._ice = IceControllingAgent(
            new_credentials(dice.randbytes),
            tie_breaker=dice.getrandbits(64),
            new_transaction_id=lambda: dice.randbytes(12),
        )
        self._dtls = DtlsTransport(world.certificate, DtlsRole.CLIENT, world.dtls)
        transport = PeerTransport(self._ice, self._dtls)
        self.connection = PeerConnection(transport, self.endpoint, owner)
        self.connection.answer_to(self._ice.local.ufrag)
        self.media = VisitorMedia(
            self.connection, ssrc=self.new_ssrc(), cname=cname, wall=world.wall, tell=tell, feedback=feedback
        )
        self.connection.media = self.media
        self.negotiation = Negotiation(
            LocalTransport(self._ice.local, world.certificate.fingerprint, (), lite=False, setup=Setup.ACTIVE),
            receive=with_feedback(CAPABILITIES, feedback),
            send=with_feedback(CAPABILITIES if sends_rtx else WITHOUT_RTX, feedback),
            session_id=dice.getrandbits(62),
            with_data=True,
        )

    @property
    def candidate(self) -> Candidate:
        """Where we can be reached, as far as we know."""
        return host_candidate(self.socket.address, 0)

    @property
    def is_established(self) -> bool:
        """Whether media can flow."""
        return self.connection.connected

    async def run(self) -> None:
        """Carry datagrams and keep timers until cancelled.

        Raises:
            PeerConnectionLostError: the handshake failed, or the server stopped answering.
        """
        try:
            async with trio.open_nursery() as nursery:
                await nursery.start(self.endpoint.run)
                await self.connection.run()
        finally:
            self.socket.close()

    def new_ssrc(self) -> Ssrc:
        """Draw an SSRC."""
        return Ssrc(self._dice.randrange(1, 1 << 32))

    def open_channels(self) -> None:
        """Offer a data section, and open LiveKit's channels in it."""
        self.negotiation.add_data_section()
        channels = self._attach_channels()
        for parameters in CHANNELS:
            channels.open(parameters, trio.current_time())

    def apply_answer(self, sdp: str) -> None:
        """Take the server's answer. Raises DecodeError or NegotiationError."""
        self.negotiation.receive_answer(sdp)
        self._described()

    def restart_ice(self) -> None:
        """Take new credentials, for the next description; the old path is kept until there is a new one."""
        credentials = new_credentials(self._dice.randbytes)
        self._ice.restart(credentials, trio.current_time())
        self.connection.answer_to(credentials.ufrag)
        self.negotiation.restart_ice(credentials)

    def answer(self, sdp: str) -> str:
        """Take the server's offer and return our answer. Raises DecodeError or NegotiationError."""
        self.negotiation.receive_offer(sdp)
        if self.negotiation.remote_restarted:
            self.restart_ice()
        for transceiver in self.negotiation.transceivers:
            transceiver.direction = transceiver.direction.of(sends=transceiver.local_track is not None, receives=True)
        answer = self.negotiation.create_answer()
        self._described()
        return answer

    def add_candidate(self, text: str) -> None:
        """Check one more of the server's addresses: a candidate as trickled. Raises DecodeError."""
        self._check(parse_candidate(text))

    def apply_fragment(self, credentials: IceCredentials, candidates: Iterable[Candidate]) -> None:
        """Look for the server, which has begun a new generation of ICE too, at these addresses."""
        self._ice.set_remote(credentials)
        for candidate in candidates:
            self._check(candidate)

    def migrate(self, host: str) -> None:
        """Move to another local address, and look for the server from there at once."""
        self.socket.move(host)
        self.connection.do(lambda now: _outputs(self._ice.migrate(self.socket.address, now)))

    def hang_up(self) -> None:
        """Say goodbye to the server's transport."""
        self.connection.close()

    def start_sender(self, sender: Sender, transceiver: Transceiver) -> None:
        """Send as the section was agreed, if it was, and with the sender's codec."""
        codec = next((codec for codec in transceiver.codecs if codec.mime == sender.mime), None)
        if transceiver.mid is not None and codec is not None and transceiver.current_direction.sends:
            sender.agree(codec.payload_type, transceiver.mid, transceiver.extensions, codec.rtx_payload_type)
            self.media.transport_changed()

    def _described(self) -> None:
        """Set ICE, DTLS and the data channels up as the server's last description says."""
        remote = self.negotiation.remote
        assert remote is not None, "a description was just taken"
        self._ice.set_remote(remote.credentials)
        self._dtls.set_remote_fingerprints(remote.fingerprints)
        if self.negotiation.data_mid is not None and self.connection.transport.channels is None:
            self._attach_channels()
        for candidate in remote.candidates:
            self._check(candidate)
        agreed = {uri: number for each in self.negotiation.transceivers for uri, number in each.extensions.items()}
        self.media.time_by(transport_cc_id=agreed.get(TRANSPORT_CC), abs_send_time_id=agreed.get(ABS_SEND_TIME))
        self.connection.reschedule()

    def _check(self, candidate: Candidate) -> None:
        local = self.socket.address
        same_family = candidate.is_usable and (ip_address(candidate.address[0]).version == ip_address(local[0]).version)
        if same_family and candidate.transport == "udp":
            path = Path(local, candidate.address)
            self.connection.expect_on(path)
            self.connection.do(lambda now: _outputs(self._ice.add_remote_candidate(path, now)))

    def _attach_channels(self) -> DataChannels:
        association = SctpAssociation(
            tag=self._dice.randrange(1, 1 << 32),
            initial_tsn=self._dice.getrandbits(32),
            cookie_secret=self._dice.randbytes(32),
        )
        channels = DataChannels(association, is_dtls_client=True)
        self.connection.do(lambda now: self.connection.transport.attach_channels(channels, now, initiate=True))
        return channels


def _outputs(outputs: list[IceOutput]) -> list[TransportOutput]:
    return [
        Lost("no sign of life from the server") if isinstance(output, ConsentLost) else output for output in outputs
    ]
