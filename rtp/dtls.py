"""DTLS 1.2 over memory BIOs, with the keys for SRTP that fall out of it (RFC 6347, 5764, 8827 §6.5).

Theory of operation. OpenSSL does the cryptography and the reassembly; this file does the time and the datagrams.

* OpenSSL resends flights by the real clock, from inside the calls that feed it, and its timer cannot be reached. So
  before each feed its timer is run and what that yields is thrown away; what it emits *after* a feed answers the
  peer and is always sent. The one timer that counts is ours: it sends the datagrams of the last flight again, bytes
  for bytes, after 100 ms, doubling up to a second, until the handshake is done or has taken too long.
* Peers on BoringSSL repeat a flight in new records, which OpenSSL answers by itself. Peers that repeat the same bytes
  (we do) are taken for a replay and get no answer: so whoever sent the last flight of the handshake, the server,
  sends it again when any datagram of epoch 0 comes (RFC 6347 §4.2.4). Were the client to do so too, each CCS would
  make the other send one.
* A foreign server does not do that: if its last flight is lost, only new records bring it again. Where we are the client
  of one, what OpenSSL resends by the real clock goes out in place of the bytes that we kept.
* OpenSSL's output is a stream of whole records, split here into datagrams at their headers.
* A forged plaintext record can end a handshake, which DTLS 1.2 cannot prevent: callers feed only datagrams from
  addresses that ICE has validated.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, TypeAlias

from OpenSSL import SSL, crypto

from rtp.certificate import HASHES, Certificate, Fingerprint, fingerprint_of
from rtp.errors import LocalProtocolError
from rtp.timers import is_due

DATAGRAM_BYTES: Final = 1200
"""The largest datagram that we send: RFC 8261 §5 and all browsers count on no more without path MTU discovery."""

MAX_APPLICATION_DATA: Final = 1163
"""What fits into one datagram beside header (13), explicit nonce (8) and AES-GCM tag (16): RFC 5288 §3."""

MAX_RECEIVED_BYTES: Final = 2048
"""Larger datagrams are dropped unseen. Chromium's SCTP reaches 1225 bytes, OpenSSL's flights 1500."""

FIRST_RESEND_SECONDS: Final = 0.1
MAX_RESEND_SECONDS: Final = 1.0
HANDSHAKE_SECONDS: Final = 30.0
LAST_FLIGHT_SECONDS: Final = 60.0
"""How long the server may still have to repeat its last flight. RFC 6347 §4.2.4 says twice the segment lifetime."""

DTLS_1_2: Final = 0xFEFD
RECORD_HEADER_BYTES: Final = 13  # type, version (2), epoch (2), sequence number (6), length (2): RFC 6347 §4.1
APPLICATION_DATA: Final = 23  # a record's type: RFC 5246 §6.2.1
EPOCH: Final = slice(3, 5)
LENGTH: Final = slice(11, 13)
EXPORTER_LABEL: Final = b"EXTRACTOR-dtls_srtp"  # RFC 5764 §4.2

CIPHER_SUITES: Final = b":".join([
    b"ECDHE-ECDSA-AES128-GCM-SHA256",
    b"ECDHE-RSA-AES128-GCM-SHA256",
    b"ECDHE-ECDSA-CHACHA20-POLY1305",
    b"ECDHE-RSA-CHACHA20-POLY1305",
    b"ECDHE-ECDSA-AES256-GCM-SHA384",
    b"ECDHE-RSA-AES256-GCM-SHA384",
])  # fmt: skip


class DtlsRole(Enum):
    """Who sends the ClientHello: the `active` side of `a=setup` is the client (RFC 8842)."""

    CLIENT = auto()
    SERVER = auto()


class DtlsState(Enum):
    """W3C's RTCDtlsTransportState. A handshake that is done but not yet verified is still `CONNECTING`."""

    NEW = auto()
    CONNECTING = auto()
    CONNECTED = auto()
    CLOSED = auto()
    FAILED = auto()


class DtlsDrop(Enum):
    """Why something received was dropped."""

    NOT_OPEN = auto()
    TOO_SHORT = auto()
    TOO_LONG = auto()
    UNVERIFIED = auto()


class SrtpProfile(Enum):
    """A protection profile, by its number in `use_srtp` (RFC 5764 §4.1.2, 7714 §14.2). Best first."""

    AEAD_AES_128_GCM = 0x0007
    AES128_CM_HMAC_SHA1_80 = 0x0001

    @property
    def key_bytes(self) -> int:
        """The length of a master key."""
        return 16

    @property
    def salt_bytes(self) -> int:
        """The length of a master salt."""
        return 12 if self is SrtpProfile.AEAD_AES_128_GCM else 14


_OPENSSL_NAMES: Final[Mapping[SrtpProfile, bytes]] = {
    SrtpProfile.AEAD_AES_128_GCM: b"SRTP_AEAD_AES_128_GCM",
    SrtpProfile.AES128_CM_HMAC_SHA1_80: b"SRTP_AES128_CM_SHA1_80",
}


@dataclass(frozen=True, slots=True, repr=False)
class SrtpKeys:
    """The master keys of both directions, each a key followed by its salt. `local` is for what we send."""

    profile: SrtpProfile
    local: bytes
    remote: bytes


@dataclass(slots=True)
class SendDatagram:
    """A datagram for the peer, of whole records and at most `DATAGRAM_BYTES`."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Established:
    """The handshake is done and the peer's certificate is the one its description promised."""

    keys: SrtpKeys


@dataclass(slots=True)
class ApplicationData:
    """One message of the peer: an SCTP packet."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Closed:
    """The peer sent close_notify after it was `Established`, and has been answered."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The association is dead, and says why in words."""

    reason: str


DtlsOutput: TypeAlias = SendDatagram | Established | ApplicationData | Closed | Failed


@dataclass(frozen=True, slots=True)
class DtlsStatistics:
    """What one association has done so far. `flights_resent` counts our own resends, not those that OpenSSL makes."""

    role: DtlsRole
    state: DtlsState
    cipher: str | None
    flights_resent: int
    drops: Mapping[DtlsDrop, int]


class DtlsContext:
    """What all associations with one certificate share. Making one takes a third of a millisecond."""

    def __init__(self, certificate: Certificate) -> None:
        context = SSL.Context(SSL.DTLS_METHOD)
        context.set_min_proto_version(DTLS_1_2)
        context.set_max_proto_version(DTLS_1_2)  # an OpenSSL that knows DTLS 1.3 is not to agree on records like those
        # NO_QUERY_MTU: else records are 256 bytes, whatever set_ciphertext_mtu is told. No resumption, so no ticket
        # (504 bytes of the flight) and no cache.
        context.set_options(
            SSL.OP_NO_QUERY_MTU | SSL.OP_NO_TICKET | SSL.OP_NO_RENEGOTIATION | SSL.OP_CIPHER_SERVER_PREFERENCE
        )
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        context.set_mode(SSL.MODE_RELEASE_BUFFERS)  # measured: a connection at rest takes 92 KiB instead of 140
        context.set_cipher_list(CIPHER_SUITES)
        context.set_tlsext_use_srtp(b":".join(_OPENSSL_NAMES[profile] for profile in SrtpProfile))
        # Any certificate will do here, but there must be one: its digest is what counts, and that is compared
        # when the handshake is done and the description known.
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *_: True)
        context.use_certificate(certificate.x509)
        context.use_privatekey(certificate.private_key)
        self._context = context

    def connection(self, role: DtlsRole) -> SSL.Connection:
        """Return a new connection over memory BIOs."""
        connection = SSL.Connection(self._context, None)
        if role is DtlsRole.CLIENT:
            connection.set_connect_state()
        else:
            connection.set_accept_state()
        connection.set_ciphertext_mtu(DATAGRAM_BYTES)
        return connection


class DtlsTransport:
    """One DTLS 1.2 association (RFC 6347) with the extension for SRTP (RFC 5764). Does no I/O.

    Each call returns all it wants done, in order. `now` is in seconds, on one monotonic clock. Nothing that the peer
    sends raises: what ends the association comes back as `Closed` or `Failed`, once, and from then on it does nothing.

    `context` saves building another for the same certificate.
    """

    def __init__(self, certificate: Certificate, role: DtlsRole, context: DtlsContext | None = None) -> None:
        self.role = role
        self.state = DtlsState.NEW
        self._connection = (context or DtlsContext(certificate)).connection(role)
        self._fingerprints: tuple[Fingerprint, ...] | None = None
        self._is_check_due = False  # the description came, or changed, after the handshake
        self._deadline = 0.0
        self._handshake_done_at: float | None = None
        self._flight: list[bytes] = []
        self._resend_at: float | None = None
        self._resend_interval = FIRST_RESEND_SECONDS
        self._may_repeat_at = 0.0
        self._resends_anew = False
        self._flights_resent = 0
        self._drops: Counter[DtlsDrop] = Counter()

    def set_remote_fingerprints(self, fingerprints: Sequence[Fingerprint]) -> None:
        """Say which certificates the peer may have: one match will do. Only SHA-2 digests count.

        May come before or after the handshake, and again with each description. Where it comes after, `next_timeout`
        is due at once, and `handle_timeout` returns the verdict: `Established`, or `Failed` if none matches. A
        different certificate would take a new association (RFC 8842 §4).
        """
        self._fingerprints = tuple(fingerprints)
        self._is_check_due = self._handshake_done_at is not None

    def take_role(self, role: DtlsRole) -> None:
        """Take the role that a description leaves to us (RFC 8842 §5.3), with a peer of whatever make. Before `start`."""
        assert self.state is DtlsState.NEW, "roles are known before the first datagram"
        self.role = role
        self._resends_anew = role is DtlsRole.CLIENT
        if role is DtlsRole.CLIENT:
            self._connection.set_connect_state()
        else:
            self._connection.set_accept_state()

    def start(self, now: float) -> list[DtlsOutput]:
        """Begin: the client speaks first, the server listens. The handshake must be done `HANDSHAKE_SECONDS` from now.

        A server that has not begun does so with the first datagram. Beginning twice does nothing.
        """
        if self.state is not DtlsState.NEW:
            return []
        self.state = DtlsState.CONNECTING
        self._deadline = now + HANDSHAKE_SECONDS
        return self._feed(None, now) if self.role is DtlsRole.CLIENT else []

    def receive(self, datagram: bytes, now: float) -> list[DtlsOutput]:
        """Take in a datagram from an address that ICE has validated, first byte 20 to 63 (RFC 7983)."""
        if self.role is DtlsRole.SERVER:
            self.start(now)
        if not self._is_open:
            self._drops[DtlsDrop.NOT_OPEN] += 1
        elif len(datagram) < RECORD_HEADER_BYTES:
            self._drops[DtlsDrop.TOO_SHORT] += 1
        elif len(datagram) > MAX_RECEIVED_BYTES:
            self._drops[DtlsDrop.TOO_LONG] += 1
        elif self.state is DtlsState.CONNECTED and _is_lone_message(datagram):
            return self._read_message(datagram)
        else:
            may_lack_our_last_flight = self._handshake_done_at is not None and not any(datagram[EPOCH])
            outputs = self._feed(datagram, now)
            if may_lack_our_last_flight and not outputs:
                outputs = self._repeat_last_flight(now)
            return outputs
        return []

    def send(self, data: bytes) -> list[DtlsOutput]:
        """Send 1 to `MAX_APPLICATION_DATA` bytes as one record in one datagram.

        Raises:
            LocalProtocolError: if the association is not `CONNECTED`, or the data does not fit.
        """
        if self.state is not DtlsState.CONNECTED:
            raise LocalProtocolError(f"cannot send while {self.state.name}")
        if not 0 < len(data) <= MAX_APPLICATION_DATA:
            raise LocalProtocolError(f"a datagram carries 1 to {MAX_APPLICATION_DATA} bytes, not {len(data)}")
        try:
            self._connection.send(data)
        except SSL.Error as error:
            return self._fail(_reason(error))
        return [SendDatagram(self._connection.bio_read(DATAGRAM_BYTES))]  # one record, and nothing else waits there

    def close(self) -> list[DtlsOutput]:
        """Say goodbye with close_notify, if there is anyone to say it to. Any number of times."""
        outputs = self._goodbye() if self._is_open else []
        if self.state is not DtlsState.FAILED:
            self._end(DtlsState.CLOSED)
        return outputs

    def next_timeout(self) -> float | None:
        """Return when `handle_timeout` is next due, or None."""
        if self._is_check_due and self._is_open:
            return self._handshake_done_at
        if self.state is not DtlsState.CONNECTING:
            return None
        return self._deadline if self._resend_at is None else min(self._resend_at, self._deadline)

    def handle_timeout(self, now: float) -> list[DtlsOutput]:
        """Do what is due: check the fingerprint, give up, or send the last flight again."""
        if not self._is_open:
            return []
        if self._is_check_due:
            return self._verify()
        if self.state is DtlsState.CONNECTING and now >= self._deadline:
            lacking = "handshake" if self._handshake_done_at is None else "fingerprint"
            return self._fail(f"no {lacking} within {HANDSHAKE_SECONDS:.0f} s")
        if is_due(self._resend_at, now):
            self._resend_interval = min(2 * self._resend_interval, MAX_RESEND_SECONDS)
            self._resend_at = now + self._resend_interval
            return self._resend()
        return []

    def statistics(self) -> DtlsStatistics:
        """Return what has happened so far."""
        cipher = self._connection.get_cipher_name()
        return DtlsStatistics(self.role, self.state, cipher, self._flights_resent, dict(self._drops))

    @property
    def _is_open(self) -> bool:
        return self.state is DtlsState.CONNECTING or self.state is DtlsState.CONNECTED

    def _feed(self, datagram: bytes | None, now: float) -> list[DtlsOutput]:
        messages: list[bytes] = []
        is_closed = False
        failure: str | None = None
        was_done = self._handshake_done_at is not None
        try:
            if self._connection.DTLSv1_handle_timeout():
                self._take_output()  # a resend that the real clock asked for: not ours to send
            if datagram is not None:
                self._connection.bio_write(datagram)
            if not was_done:
                self._connection.do_handshake()
                self._handshake_done_at = now
            while True:  # as often as there are records in the datagram
                messages.append(self._connection.recv(MAX_RECEIVED_BYTES))
        except SSL.WantReadError:
            pass
        except SSL.ZeroReturnError:
            is_closed = True
        except SSL.Error as error:
            failure = _reason(error)
        outputs = self._take_output()
        if failure is not None:
            return outputs + self._fail(failure)  # after the alert, if there is one
        if not was_done:
            self._keep_flight(outputs, now)
            if self._handshake_done_at is not None:
                outputs += self._verify()
        if self.state is DtlsState.CONNECTED:
            outputs += [ApplicationData(message) for message in messages]
        elif messages:
            self._drops[DtlsDrop.UNVERIFIED] += len(messages)
        if is_closed and self._is_open:
            if self.state is DtlsState.CONNECTING:
                return outputs + self._fail("closed by the peer before it was established")
            outputs += [*self._goodbye(), Closed()]
            self._end(DtlsState.CLOSED)
        return outputs

    def _read_message(self, datagram: bytes) -> list[DtlsOutput]:
        """Take what nearly every datagram is, at a quarter of what `_feed` costs: OpenSSL has nothing to say to it."""
        try:
            self._connection.bio_write(datagram)
            return [ApplicationData(self._connection.recv(MAX_RECEIVED_BYTES))]
        except SSL.WantReadError:  # forged, or a repetition: OpenSSL drops it without a word
            return []
        except SSL.Error as error:
            return self._take_output() + self._fail(_reason(error))

    def _take_output(self) -> list[DtlsOutput]:
        try:
            output = self._connection.bio_read(1 << 16)  # a flight is some 20 KiB at the very most
        except SSL.WantReadError:
            return []
        return [SendDatagram(datagram) for datagram in _split(output)]

    def _keep_flight(self, outputs: list[DtlsOutput], now: float) -> None:
        flight = [output.data for output in outputs if isinstance(output, SendDatagram)]
        if self._handshake_done_at is None:
            if flight:
                self._flight = flight
                self._resend_interval = FIRST_RESEND_SECONDS
                self._resend_at = now + FIRST_RESEND_SECONDS
        else:
            self._flight = flight  # the server's last; the client's is done with, and `flight` is empty
            self._resend_at = None
            self._may_repeat_at = now

    def _repeat_last_flight(self, now: float) -> list[DtlsOutput]:
        assert self._handshake_done_at is not None, "there is no last flight before"
        if not self._may_repeat_at <= now < self._handshake_done_at + LAST_FLIGHT_SECONDS:
            return []
        self._may_repeat_at = now + FIRST_RESEND_SECONDS
        return self._resend()

    def _resend(self) -> list[DtlsOutput]:
        if self._resends_anew and self._connection.DTLSv1_handle_timeout():
            self._flight = [output.data for output in self._take_output() if isinstance(output, SendDatagram)]
        self._flights_resent += bool(self._flight)
        return [SendDatagram(datagram) for datagram in self._flight]

    def _verify(self) -> list[DtlsOutput]:
        self._is_check_due = False
        if self._fingerprints is None:
            return []  # the description is still to come
        if not self._is_peer_certificate_promised(self._fingerprints):
            promised = ", ".join(fingerprint.algorithm for fingerprint in self._fingerprints)
            return self._fail(f"the peer's certificate has none of the fingerprints promised ({promised})")
        if self.state is DtlsState.CONNECTED:
            return []
        name = self._connection.get_selected_srtp_profile()
        profile = next((profile for profile in SrtpProfile if _OPENSSL_NAMES[profile] == name), None)
        if profile is None:
            return self._fail("no common SRTP profile")
        self.state = DtlsState.CONNECTED
        return [Established(self._export_keys(profile))]

    def _is_peer_certificate_promised(self, fingerprints: tuple[Fingerprint, ...]) -> bool:
        certificate = self._connection.get_peer_certificate()
        assert certificate is not None, "OpenSSL lets no handshake pass without one"
        der = crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate)
        return any(
            fingerprint.algorithm in HASHES and fingerprint == fingerprint_of(der, fingerprint.algorithm)
            for fingerprint in fingerprints
        )

    def _export_keys(self, profile: SrtpProfile) -> SrtpKeys:
        # client key | server key | client salt | server salt (RFC 5764 §4.2)
        key, salt = profile.key_bytes, profile.salt_bytes
        block = self._connection.export_keying_material(EXPORTER_LABEL, 2 * (key + salt))
        salts = block[2 * key :]
        client, server = block[:key] + salts[:salt], block[key : 2 * key] + salts[salt:]
        if self.role is DtlsRole.CLIENT:
            return SrtpKeys(profile, local=client, remote=server)
        return SrtpKeys(profile, local=server, remote=client)

    def _fail(self, reason: str) -> list[DtlsOutput]:
        outputs = self._goodbye()
        self._end(DtlsState.FAILED)
        return [*outputs, Failed(reason)]

    def _goodbye(self) -> list[DtlsOutput]:
        if self._handshake_done_at is None:
            return []
        try:
            self._connection.shutdown()
        except SSL.Error:  # a broken connection has said its alert already
            return []
        return self._take_output()

    def _end(self, state: DtlsState) -> None:
        self.state = state
        self._flight = []
        self._resend_at = None


def _is_lone_message(datagram: bytes) -> bool:
    """Say whether this is one encrypted record of application data, and no more."""
    return (
        datagram[0] == APPLICATION_DATA
        and any(datagram[EPOCH])
        and int.from_bytes(datagram[LENGTH]) == len(datagram) - RECORD_HEADER_BYTES
    )


def _split(output: bytes) -> Iterator[bytes]:
    """Cut OpenSSL's output into datagrams of whole records, as full as they go."""
    start = end = 0
    while end < len(output):
        record_end = end + RECORD_HEADER_BYTES
        record_end += int.from_bytes(output[end:record_end][LENGTH])
        if record_end - start > DATAGRAM_BYTES and end > start:
            yield output[start:end]
            start = end
        end = record_end
    if end > start:
        yield output[start:end]


def _reason(error: SSL.Error) -> str:
    """Put OpenSSL's queue of (library, function, reason) into words."""
    queue = error.args[0] if error.args and isinstance(error.args[0], list) else []
    return "DTLS: " + ("; ".join(entry[-1] for entry in queue) or repr(error))
