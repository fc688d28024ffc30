"""Offer and answer for one peer connection (RFC 9429, RFC 3264): server or client, the same code. Does no I/O.

Theory of operation

    stable ── create_offer ──> offering ── receive_answer ──> stable
    stable ── receive_offer ──> answering ── create_answer ──> stable

While offering, another `create_offer` replaces the offer; while answering, another `receive_offer` does. An offer that
meets ours on the way is refused: in both of LiveKit's layouts only one side of a connection ever offers. A description
is checked as a whole before anything of it is taken over, so that a refused one changes nothing.
"""

from dataclasses import replace
from itertools import count

from rtp.errors import LocalProtocolError
from rtp.ice.candidates import IceCredentials
from rtp.sdp.codecs import Codec, MediaKind, agree, prefer
from rtp.sdp.description import (
    DEFAULT_MAX_MESSAGE_SIZE,
    Description,
    Direction,
    NegotiationError,
    RemoteEncoding,
    RemoteTrack,
    RemoteTransport,
    Section,
    Setup,
    read_description,
)
from rtp.sdp.grammar import MediaSection
from rtp.sdp.slots import Slot, check_extensions, check_order, check_same, slot_for
from rtp.sdp.transceiver import Capabilities, LocalEncoding, LocalTrack, LocalTransport, Transceiver
from rtp.sdp.vocabulary import Vocabulary
from rtp.sdp.writing import (
    APPLICATION,
    DATA_PROTOCOL,
    RTP_PROTOCOL,
    data_section,
    rejected_section,
    rtp_section,
    transport_attributes,
    write_description,
)
from rtp.units import Mid

__all__ = [
    "Capabilities",
    "Direction",
    "LocalEncoding",
    "LocalTrack",
    "LocalTransport",
    "Negotiation",
    "NegotiationError",
    "RemoteEncoding",
    "RemoteTrack",
    "RemoteTransport",
    "Setup",
    "Transceiver",
]


class Negotiation:
    """The descriptions of one peer connection: what we offer and answer, what the peer said, what is agreed.

    `local` may be replaced between descriptions. `setup` is our DTLS role, once it is known; it never changes.
    `remote_restarted` tells whether the peer's last description changed its ICE credentials; if an offer did, the
    answer needs new ones of ours (`restart_ice`; RFC 8445 §9). `data_mid` is None as long as no data section is
    agreed; `remote_max_message_size` is in bytes. `tagged_mid` is the section that our last description names first in
    the BUNDLE group: the one that carries the transport for all (RFC 9143 §7.2.1). `is_offering`: an offer of ours
    waits for its answer.
    """

    def __init__(
        self, local: LocalTransport, *, receive: Capabilities, send: Capabilities, session_id: int, with_data: bool
    ) -> None:
        """Begin without sections.

        Args:
            local: our transport.
            receive: what we can receive.
            send: what we can send.
            session_id: the number in our origin line, below 2**63 (RFC 9429 §5.2.1).
            with_data: whether a data section is taken up when offered.
        """
        self.local = local
        self.remote: RemoteTransport | None = None
        self.remote_restarted = False
        self.remote_max_message_size = DEFAULT_MAX_MESSAGE_SIZE
        self.data_mid: Mid | None = None
        self.tagged_mid: Mid | None = None
        self.setup: Setup | None = None
        self.is_offering = False
        self._vocabulary = Vocabulary(receive, send)
        self._with_data = with_data
        self._session_id = session_id
        self._version = 0
        self._slots: list[Slot] = []
        self._waiting: list[Slot] = []  # added by us, without a place until our next offer
        self._answering: Description | None = None

    def add_transceiver(
        self, kind: MediaKind, direction: Direction, *, local_track: LocalTrack | None = None
    ) -> Transceiver:
        """Add a section, which our next offer will have."""
        transceiver = Transceiver(kind, direction, local_track)
        self._waiting.append(Slot(kind.value, transceiver, is_data=False))
        return transceiver

    def add_data_section(self) -> None:
        """Add the section for data channels, which our next offer will have, unless there is one."""
        if not any(slot.is_data for slot in (*self._slots, *self._waiting)):
            self._waiting.append(Slot(APPLICATION, None, is_data=True))

    def restart_ice(self, credentials: IceCredentials) -> None:
        """Use new ICE credentials from our next description on."""
        self.local = replace(self.local, credentials=credentials)

    def create_offer(self) -> str:
        """Return a new offer, which replaces one that is still unanswered.

        Raises:
            LocalProtocolError: if the peer's offer has not been answered, or there is no section to offer.
        """
        if self._answering is not None:
            raise LocalProtocolError("the peer's offer is to be answered first")
        self._place_waiting()
        if not self._slots:
            raise LocalProtocolError("an offer needs a section")
        sections: list[MediaSection] = []
        bundle: list[Mid] = []
        for slot in self._slots:
            section = self._offer_section(slot, is_tagged=not bundle)
            slot.is_offered = section.port != 0
            if slot.is_offered and slot.mid is not None:
                bundle.append(slot.mid)
            sections.append(section)
        self.is_offering = True
        return self._write(sections, bundle, mixed_extensions=True)

    def receive_answer(self, sdp: str) -> None:
        """Take in the answer to our offer.

        Raises:
            DecodeError: if it cannot be read.
            NegotiationError: if there is no offer to answer, if it does not match the offer, or breaks a rule.
        """
        if not self.is_offering:
            raise NegotiationError("an answer without an offer")
        description = read_description(sdp, absent_setup=Setup.ACTIVE)
        if len(description.sections) != len(self._slots):
            raise NegotiationError(f"{len(description.sections)} sections answer {len(self._slots)}")
        pairs = list(zip(self._slots, description.sections, strict=True))
        agreed = [self._answered_codecs(slot, section) for slot, section in pairs]
        if description.transport is not None and description.transport.setup is Setup.ACTPASS:
            raise NegotiationError("an answer that leaves the DTLS roles open")
        self._take_transport(description)
        self.is_offering = False
        for (slot, section), codecs in zip(pairs, agreed, strict=True):
            said = Direction.INACTIVE if slot.transceiver is None else slot.transceiver.described_direction
            self._take_section(slot, section, said, codecs)
            if slot.transceiver is not None and slot.is_active:
                # An answer may not widen the offer (RFC 3264 §6.1); where one does, the offer holds.
                slot.transceiver.current_direction = Direction.of(
                    sends=said.sends and section.direction.receives, receives=said.receives and section.direction.sends
                )

    def receive_offer(self, sdp: str) -> None:
        """Take in an offer. Each section that is new gets a transceiver, which wants all it can get.

        Until `create_answer` the application may bind tracks to transceivers and change what it wants.

        Raises:
            DecodeError: if it cannot be read.
            NegotiationError: if ours is unanswered, if sections moved, or it breaks another rule.
        """
        if self.is_offering:
            raise NegotiationError("an offer while ours is unanswered")
        description = read_description(sdp, absent_setup=Setup.ACTPASS)
        check_order(self._slots, description.sections)
        check_extensions(description.sections, self._vocabulary.uris)
        if description.transport is None and self.remote is None:
            raise NegotiationError("an offer without any section that we could take up")
        self._take_transport(description)
        self._answering = description
        for index, section in enumerate(description.sections):
            slot = slot_for(self._slots, index, section, with_data=self._with_data)
            ours = section.direction.mirrored
            codecs: tuple[Codec, ...] = ()
            if section.media is not None:
                codecs = agree(self._vocabulary.capabilities(section.media, ours).codecs(section.media), section.codecs)
            self._take_section(slot, section, ours, codecs)
            if slot.transceiver is not None:
                self._vocabulary.adopt(slot.transceiver)

    def create_answer(self) -> str:
        """Return the answer to the offer that came last.

        Raises:
            LocalProtocolError: if there is none to answer.
        """
        description, self._answering = self._answering, None
        if description is None:
            raise LocalProtocolError("there is no offer to answer")
        active = {slot.mid for slot in self._slots if slot.is_active}
        bundle = [mid for mid in description.bundle if mid in active]
        pairs = zip(self._slots, description.sections, strict=True)
        sections = [self._answer_section(slot, offered, is_tagged=slot.mid in bundle[:1]) for slot, offered in pairs]
        return self._write(sections, bundle, mixed_extensions=description.mixed_extensions)

    @property
    def transceivers(self) -> list[Transceiver]:
        """All transceivers, in the order of their sections; those that no description had yet come last."""
        return [slot.transceiver for slot in (*self._slots, *self._waiting) if slot.transceiver is not None]

    def index_of(self, transceiver: Transceiver) -> int:
        """Return the place of a transceiver's section in the description, counted from 0. It has to have one."""
        return next(at for at, slot in enumerate(self._slots) if slot.transceiver is transceiver)

    def transceiver_by_mid(self, mid: Mid) -> Transceiver | None:
        """Return the transceiver of a section."""
        return next((transceiver for transceiver in self.transceivers if transceiver.mid == mid), None)

    def track_ids_by_mid(self) -> dict[Mid, str]:
        """Return the ids of the tracks that our last description sends, by section."""
        return {
            transceiver.mid: transceiver.local_track.track_id
            for transceiver in self.transceivers
            if transceiver.mid is not None
            and transceiver.local_track is not None
            and transceiver.described_direction.sends
        }

    def _place_waiting(self) -> None:
        """Give the sections that we added their places, and the next free numbers for names."""
        if any(slot.is_data for slot in self._slots):  # the peer may have offered one before we did
            self._waiting = [slot for slot in self._waiting if not slot.is_data]
        self._slots += self._waiting
        self._waiting = []
        taken = {slot.mid for slot in self._slots}
        free = (mid for number in count() if (mid := Mid(str(number))) not in taken)
        # A section that the peer offered as rejected may lack a name as well, and Firefox wants one on every section.
        for slot, mid in zip([slot for slot in self._slots if slot.mid is None], free, strict=False):
            slot.mid = mid
            if slot.transceiver is not None:
                slot.transceiver.mid = mid

    def _answered_codecs(self, slot: Slot, section: Section) -> tuple[Codec, ...]:
        """Hold a section of an answer to our offer; return the codecs that it agrees to. Changes nothing."""
        check_same(slot, section)
        if not section.is_active:
            return ()
        if not slot.is_offered:
            raise NegotiationError(f"section {slot.mid} was not offered")
        if slot.transceiver is None:
            return ()
        said = slot.transceiver.described_direction
        codecs = agree(self._vocabulary.offered_codecs(slot.transceiver, said), section.codecs)
        if not codecs:
            raise NegotiationError(f"section {slot.mid} is accepted without any codec that was offered")
        return codecs

    def _take_transport(self, description: Description) -> None:
        """Take over the peer's transport. Raises NegotiationError before it changes anything."""
        remote = description.transport
        if remote is None:
            self.remote_restarted = False
            return
        setup = remote.setup.counterpart
        if setup is Setup.ACTPASS:
            setup = self.setup or self.local.setup
        # There is one handshake: its roles and certificates outlive every later description (RFC 8842 §5.5).
        if self.setup not in {None, setup}:
            raise NegotiationError("the DTLS roles changed")
        if self.remote is not None and set(self.remote.fingerprints).isdisjoint(remote.fingerprints):
            raise NegotiationError("the certificate changed")
        self.remote_restarted = self.remote is not None and self.remote.credentials != remote.credentials
        self.remote = remote
        self.setup = setup

    def _take_section(self, slot: Slot, section: Section, ours: Direction, codecs: tuple[Codec, ...]) -> None:
        """Take over what the peer says in a section, of which we say `ours` and which agrees to `codecs`."""
        slot.mid = section.mid or slot.mid
        slot.is_active = section.is_active and (slot.is_data or bool(codecs))
        if slot.is_data:
            self.data_mid = slot.mid if slot.is_active else None
            self.remote_max_message_size = section.max_message_size
        transceiver = slot.transceiver
        if transceiver is None:
            return
        transceiver.mid = slot.mid
        if not slot.is_active:
            transceiver.reject()
            return
        understood = self._vocabulary.capabilities(transceiver.kind, ours).extensions(transceiver.kind)
        transceiver.is_rejected = False
        transceiver.remote_track = section.track
        transceiver.remote_receives = section.direction.receives
        transceiver.codecs = codecs
        transceiver.extensions = {uri: number for uri, number in section.extensions.items() if uri in understood}

    def _offer_section(self, slot: Slot, *, is_tagged: bool) -> MediaSection:
        """Return a section of our offer: rejected if the peer would not have it, and we do not want it either."""
        assert slot.mid is not None, "every section has got its place and its name by now"
        transport = transport_attributes(self.local, Setup.ACTPASS, slot.mid, is_tagged=is_tagged)
        if slot.is_data and slot.is_active:
            return data_section(DATA_PROTOCOL, transport)
        transceiver = slot.transceiver
        if transceiver is None:
            protocol = DATA_PROTOCOL if slot.kind == APPLICATION else RTP_PROTOCOL
            return rejected_section(slot.kind, protocol, (), slot.mid)
        direction = transceiver.direction_to_offer()
        codecs = self._vocabulary.offered_codecs(transceiver, direction)
        if not codecs or (direction is Direction.INACTIVE and not slot.is_active):
            transceiver.reject()
            return rejected_section(slot.kind, RTP_PROTOCOL, (), slot.mid)
        transceiver.describe(direction)
        codecs = self._vocabulary.with_own_opus(codecs, transceiver.opus_fmtp)
        extensions = self._vocabulary.offered_extensions(transceiver, direction)
        return rtp_section(transport, transceiver, codecs, extensions, None)

    def _answer_section(self, slot: Slot, offered: Section, *, is_tagged: bool) -> MediaSection:
        if not slot.is_active or slot.mid is None or self.setup is None:
            return rejected_section(offered.kind, offered.protocol, offered.formats, offered.mid)
        transport = transport_attributes(self.local, self.setup, slot.mid, is_tagged=is_tagged)
        transceiver = slot.transceiver
        if transceiver is None:
            return data_section(offered.protocol, transport)
        direction = transceiver.direction_to_answer(offered.direction)
        transceiver.describe(direction)
        transceiver.current_direction = direction
        transceiver.codecs = prefer(transceiver.codecs, transceiver.preferred_mimes)
        codecs = self._vocabulary.with_own_opus(transceiver.codecs, transceiver.opus_fmtp)
        return rtp_section(transport, transceiver, codecs, transceiver.extensions, offered)

    def _write(self, sections: list[MediaSection], bundle: list[Mid], *, mixed_extensions: bool) -> str:
        self._version += 1
        self.tagged_mid = bundle[0] if bundle else None
        return write_description(
            self.local,
            sections,
            bundle,
            session_id=self._session_id,
            version=self._version,
            mixed_extensions=mixed_extensions,
        )
