import heapq
import json
import random
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtp.certificate import Certificate, Fingerprint
from rtp.dtls import (
    DATAGRAM_BYTES,
    HANDSHAKE_SECONDS,
    MAX_APPLICATION_DATA,
    ApplicationData,
    Closed,
    DtlsContext,
    DtlsDrop,
    DtlsOutput,
    DtlsRole,
    DtlsState,
    DtlsTransport,
    Established,
    Failed,
    SendDatagram,
    SrtpProfile,
)
from rtp.errors import LocalProtocolError

VECTORS = Path(__file__).parents[1] / "vectors" / "wire" / "dtls-clienthello.jsonl"
NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
NEW_RECORD = bytes.fromhex("16fefd 0000 000000000009 0001 00")
FORGED_FATAL_ALERT = bytes.fromhex("15fefd 0000 0000000000ff 0002 0228")  # handshake_failure, in the clear


@cache
def certificate_of(name: str) -> Certificate:
    return Certificate.generate(not_before=NEW_YEAR, use_rsa=name.startswith("rsa"))


@cache
def context_of(name: str) -> DtlsContext:
    return DtlsContext(certificate_of(name))


def transport(role: DtlsRole, certificate: str = "", *, expects: str | None = "") -> DtlsTransport:
    """One end. `certificate` names its own, `expects` the peer's; the names are per role unless given."""
    names = {DtlsRole.SERVER: "server", DtlsRole.CLIENT: "client"}
    own = certificate or names[role]
    created = DtlsTransport(certificate_of(own), role, context_of(own))
    if expects is not None:
        peer = names[DtlsRole.CLIENT if role is DtlsRole.SERVER else DtlsRole.SERVER]
        created.set_remote_fingerprints([certificate_of(expects or peer).fingerprint])
    return created


def server(**options) -> DtlsTransport:
    return transport(DtlsRole.SERVER, **options)


def client(**options) -> DtlsTransport:
    return transport(DtlsRole.CLIENT, **options)


def sent(outputs: Iterable[DtlsOutput]) -> list[bytes]:
    return [output.data for output in outputs if isinstance(output, SendDatagram)]


def received(outputs: Iterable[DtlsOutput]) -> list[bytes]:
    return [output.data for output in outputs if isinstance(output, ApplicationData)]


def failures(outputs: Iterable[DtlsOutput]) -> list[str]:
    return [output.reason for output in outputs if isinstance(output, Failed)]


def records(datagram: bytes) -> list[tuple[int, int, int]]:
    """Return (type, epoch, length) of each record in a datagram, which must hold whole records only."""
    found = []
    while datagram:
        length = int.from_bytes(datagram[11:13])
        assert len(datagram) >= 13 + length
        found.append((datagram[0], int.from_bytes(datagram[3:5]), length))
        datagram = datagram[13 + length :]
    return found


@cache
def recorded(what: str) -> list[tuple[str, bytes]]:
    """The datagrams of one recorded handshake, with who sent them."""
    lines = [json.loads(text) for text in VECTORS.read_text().splitlines()]
    return [(line["from"], bytes.fromhex(line["hex"])) for line in lines if line["what"] == what]


@dataclass
class Link:
    """Two ends on a virtual clock, joined by a network that is as bad as its seed and chances say."""

    client: DtlsTransport
    server: DtlsTransport
    seed: int = 0
    loss: float = 0.0
    duplication: float = 0.0
    jitter_seconds: float = 0.0
    delay_seconds: float = 0.01
    eats: Callable[[DtlsRole, bytes, int], bool] = lambda *_: False  # sender, datagram, its number
    now: float = 100.0
    outputs: dict[DtlsRole, list[DtlsOutput]] = field(default_factory=lambda: {role: [] for role in DtlsRole})
    trace: list[tuple[float, DtlsRole, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._order = count()
        self._numbers = {role: count() for role in DtlsRole}
        self._flying: list[tuple[float, int, DtlsTransport, bytes]] = []
        self._ends = (self.client, self.server)

    def start(self) -> None:
        for end in reversed(self._ends):
            self.take(end, end.start(self.now))

    def take(self, end: DtlsTransport, outputs: list[DtlsOutput]) -> None:
        self.outputs[end.role] += outputs
        for datagram in sent(outputs):
            self.trace.append((round(self.now, 6), end.role, len(datagram)))
            assert len(datagram) <= DATAGRAM_BYTES
            number = next(self._numbers[end.role])
            copies = 1 + (self._random.random() < self.duplication)
            for _ in range(copies):
                arrival = self.now + self.delay_seconds + self._random.random() * self.jitter_seconds
                if self._random.random() >= self.loss and not self.eats(end.role, datagram, number):
                    other = self.server if end is self.client else self.client
                    heapq.heappush(self._flying, (arrival, next(self._order), other, datagram))

    def run(self, seconds: float) -> None:
        """Let the two do what they want until `seconds` from now."""
        end_time = self.now + seconds
        for _ in range(10_000):
            timeouts = [end.next_timeout() for end in self._ends]
            due = [timeout for timeout in timeouts if timeout is not None]
            arrivals = [self._flying[0][0]] if self._flying else []
            at = min(due + arrivals, default=end_time)
            if at >= end_time:
                self.now = end_time
                return
            self.now = max(self.now, at)
            while self._flying and self._flying[0][0] <= self.now:
                _, _, end, datagram = heapq.heappop(self._flying)
                self.take(end, end.receive(datagram, self.now))
            for end in self._ends:
                timeout = end.next_timeout()
                if timeout is not None and timeout <= self.now:
                    self.take(end, end.handle_timeout(self.now))
        pytest.fail("the two never come to rest")

    def established(self, role: DtlsRole) -> list[Established]:
        return [output for output in self.outputs[role] if isinstance(output, Established)]


def connected(**options) -> Link:
    """A link over which both ends have connected."""
    link = Link(client(), server(), **options)
    link.start()
    link.run(5)
    assert link.client.state is link.server.state is DtlsState.CONNECTED
    return link


# --- The handshake


def test_two_ends_connect_in_two_round_trips_with_the_same_keys():
    link = connected(delay_seconds=0.02)
    (ours,), (theirs,) = link.established(DtlsRole.SERVER), link.established(DtlsRole.CLIENT)
    assert ours.keys.profile is theirs.keys.profile is SrtpProfile.AEAD_AES_128_GCM
    assert (ours.keys.local, ours.keys.remote) == (theirs.keys.remote, theirs.keys.local)
    assert len(ours.keys.local) == 28
    assert ours.keys.local != ours.keys.remote
    assert [time for time, _, _ in link.trace] == [100.0, 100.02, 100.04, 100.06]


def test_keys_do_not_show_in_logs():
    (output,) = connected().established(DtlsRole.SERVER)
    assert output.keys.local.hex() not in repr(output)
    assert repr(output.keys.local) not in repr(output)


def test_records_fill_datagrams_and_are_never_split():
    ends = (
        client(certificate="rsa-client", expects="rsa-server"),
        server(certificate="rsa-server", expects="rsa-client"),
    )
    hello = ends[0].start(0)
    flight = sent(ends[1].receive(*sent(hello), 0))
    first, second = flight
    assert len(first) == DATAGRAM_BYTES
    assert {kind for kind, _, _ in records(first) + records(second)} == {22}


def test_the_server_prefers_aes_128_and_names_it():
    link = connected()
    assert link.server.statistics().cipher == link.client.statistics().cipher == "ECDHE-ECDSA-AES128-GCM-SHA256"


def test_there_is_no_cipher_before_the_handshake():
    statistics = server().statistics()
    assert statistics.cipher is None
    assert statistics.state is DtlsState.NEW
    assert statistics.role is DtlsRole.SERVER


def test_the_servers_handshake_may_start_with_the_first_datagram():
    ours = server()
    assert ours.state is DtlsState.NEW
    assert sent(ours.receive(*sent(client().start(7)), 7))
    assert ours.state is DtlsState.CONNECTING
    assert ours.start(7) == []


def test_a_client_that_has_not_begun_takes_nothing():
    ours = client()
    assert ours.receive(bytes(100), 0) == []
    assert ours.statistics().drops == {DtlsDrop.NOT_OPEN: 1}


# --- Recorded hellos


@pytest.mark.parametrize(
    ("what", "datagrams"),
    [("client-hello-default", 2), ("client-hello-no-pqc", 1), ("client-hello-rust", 1), ("client-hello-aiortc", 1)],
)
@pytest.mark.parametrize("reverse", [False, True])
def test_the_server_answers_recorded_hellos_with_one_datagram(what: str, datagrams: int, *, reverse: bool):
    # Chromium 156 with its post-quantum key share in two fragments, without it, the Rust client, aiortc 1.16
    hello = [datagram for _, datagram in recorded(what)]
    assert len(hello) == datagrams
    ours = server()
    *early, last = reversed(hello) if reverse else hello
    for datagram in early:
        assert ours.receive(datagram, 0) == []
        assert ours.next_timeout() == HANDSHAKE_SECONDS  # nothing to resend yet
    (flight,) = sent(ours.receive(last, 0))
    assert [kind for kind, _, _ in records(flight)] == [22] * 5
    assert ours.next_timeout() == 0.1


def test_a_hello_that_is_repeated_in_new_records_completes_one_of_which_half_was_lost():
    first, _, third, fourth, *_ = [datagram for _, datagram in recorded("client-hello-retransmits")]
    ours = server()
    assert ours.receive(first, 0) == []  # its second half is lost
    answers = sent(ours.receive(third, 0.05)) + sent(ours.receive(fourth, 0.05))
    assert len(answers) == 1


def test_a_whole_recorded_flight_is_refused_because_its_keys_are_others():
    # The client's second flight was made for another ServerHello: nothing in it may get through.
    ours = server(expects=None)
    outputs: list[DtlsOutput] = []
    for sender, datagram in recorded("handshake-server-role"):
        if sender == "Chromium 156":
            outputs += ours.receive(datagram, 0)
    assert ours.state is DtlsState.FAILED
    assert received(outputs) == []


# --- Loss


@pytest.mark.parametrize("seed", range(100))
def test_any_two_ends_connect_through_a_bad_link(seed: int):
    dice = random.Random(seed)
    rsa = seed % 5 == 0  # flights of two datagrams
    link = Link(
        client(certificate="rsa-client" if rsa else "client", expects="rsa-server" if rsa else "server"),
        server(certificate="rsa-server" if rsa else "server", expects="rsa-client" if rsa else "client"),
        seed=seed,
        loss=dice.uniform(0, 0.3),
        duplication=dice.uniform(0, 0.3),
        jitter_seconds=dice.choice([0, 0.05, 0.5]),
    )
    link.start()
    link.run(HANDSHAKE_SECONDS)
    (ours,), (theirs,) = link.established(DtlsRole.SERVER), link.established(DtlsRole.CLIENT)
    assert (ours.keys.local, ours.keys.remote) == (theirs.keys.remote, theirs.keys.local)
    link.run(60)
    assert link.client.next_timeout() is link.server.next_timeout() is None  # and they come to rest
    assert not failures(link.outputs[DtlsRole.SERVER] + link.outputs[DtlsRole.CLIENT])


@pytest.mark.parametrize("seed", range(5))
def test_the_same_seed_gives_the_same_trace(seed: int):
    def trace() -> list[tuple[float, DtlsRole, int]]:
        ends = (
            client(certificate="rsa-client", expects="rsa-server"),
            server(certificate="rsa-server", expects="rsa-client"),
        )
        link = Link(*ends, seed=seed, loss=0.3, duplication=0.1, jitter_seconds=0.1)
        link.start()
        link.run(HANDSHAKE_SECONDS)
        return link.trace

    assert trace() == trace()


def test_a_lost_flight_is_sent_again_after_100_ms_then_doubling_to_a_second():
    ours = client()
    first = sent(ours.start(5.0))
    times = []
    for _ in range(6):
        due = ours.next_timeout()
        assert ours.handle_timeout(due - 0.001) == []
        assert sent(ours.handle_timeout(due)) == first
        times.append(round(due - 5.0, 3))
    assert times == [0.1, 0.3, 0.7, 1.5, 2.5, 3.5]
    assert ours.statistics().flights_resent == 6


def test_a_new_flight_is_resent_at_the_first_pace_again():
    ours, theirs = client(), server()
    hello = sent(ours.start(0))
    for time in (0.1, 0.3, 0.7):
        ours.handle_timeout(time)
    ours.receive(*sent(theirs.receive(*hello, 0.7)), 0.8)
    assert ours.next_timeout() == pytest.approx(0.9)


def test_a_lost_finished_is_sent_again_when_the_client_repeats_the_same_bytes():
    final = lambda sender, _, number: sender is DtlsRole.SERVER and number == 1  # noqa: E731 (reads as a table)
    link = connected(eats=final)
    assert link.server.statistics().flights_resent == 1
    assert len(link.established(DtlsRole.SERVER)) == len(link.established(DtlsRole.CLIENT)) == 1


def test_a_last_flight_is_repeated_every_100_ms_at_most_and_for_a_minute():
    ours, theirs = server(), client()
    flight = sent(theirs.receive(*sent(ours.receive(*sent(theirs.start(0)), 0)), 0))
    last = sent(ours.receive(*flight, 0))
    assert len(last) == 1
    assert sent(ours.receive(*flight, 0.001)) == last
    assert sent(ours.receive(*flight, 0.1)) == []
    assert sent(ours.receive(*flight, 0.102)) == last
    assert sent(ours.receive(*flight, 59.9)) == last
    assert sent(ours.receive(*flight, 60.1)) == []


class Overdue:
    """In place of OpenSSL's connection: its timer, which goes by the real clock, has always just run out."""

    def __init__(self, connection) -> None:
        self._connection = connection
        self._anew = b""

    def __getattr__(self, name: str):
        return getattr(self._connection, name)

    def DTLSv1_handle_timeout(self) -> bool:
        self._anew = NEW_RECORD
        return True

    def bio_read(self, size: int) -> bytes:
        anew, self._anew = self._anew, b""
        return anew or self._connection.bio_read(size)


class OverdueContext(DtlsContext):
    def connection(self, role: DtlsRole):
        return Overdue(super().connection(role))


def test_the_client_of_a_foreign_server_resends_in_new_records_as_soon_as_there_are_any():
    """OpenSSL's server takes the same bytes for a replay: one lost Finished of its, and there is no connection."""
    ours = DtlsTransport(certificate_of("client"), DtlsRole.SERVER, OverdueContext(certificate_of("client")))
    ours.take_role(DtlsRole.CLIENT)
    assert NEW_RECORD not in sent(ours.start(0))
    assert sent(ours.handle_timeout(0.1)) == [NEW_RECORD]


def test_the_client_of_our_own_server_resends_the_same_bytes_whatever_the_real_clock_says():
    ours = DtlsTransport(certificate_of("client"), DtlsRole.CLIENT, OverdueContext(certificate_of("client")))
    assert sent(ours.start(0)) == sent(ours.handle_timeout(0.1))


def test_two_connected_ends_do_not_answer_each_others_stragglers_for_ever():
    link = connected(duplication=1.0, jitter_seconds=0.3)
    quiet_since = len(link.trace)
    link.run(60)
    assert len(link.trace) == quiet_since


def test_a_handshake_takes_half_a_minute_at_most():
    for ours in (client(), server()):
        ours.start(10.0)
        outputs: list[DtlsOutput] = []
        while (due := ours.next_timeout()) is not None:
            outputs += ours.handle_timeout(due)
        assert due is None
        assert failures(outputs) == ["no handshake within 30 s"]
        assert ours.state is DtlsState.FAILED
        assert len(sent(outputs)) < 35
        assert ours.handle_timeout(1000) == []


# --- Fingerprints


def test_a_wrong_fingerprint_fails_the_end_that_expected_another_and_tells_the_peer():
    link = Link(client(), server(expects="stranger"))
    link.start()
    link.run(5)
    assert failures(link.outputs[DtlsRole.SERVER])
    assert not link.established(DtlsRole.SERVER)
    assert link.server.state is DtlsState.FAILED
    assert Closed() in link.outputs[DtlsRole.CLIENT]


def test_wrong_fingerprints_at_both_ends_fail_both():
    link = Link(client(expects="stranger"), server(expects="stranger"))
    link.start()
    link.run(HANDSHAKE_SECONDS)
    assert link.server.state is link.client.state is DtlsState.FAILED
    assert not link.established(DtlsRole.SERVER)
    assert not link.established(DtlsRole.CLIENT)


def test_fingerprints_may_come_after_the_handshake_and_nothing_is_trusted_before():
    link = Link(client(), server(expects=None))
    link.start()
    link.run(1)
    assert not link.established(DtlsRole.SERVER)
    assert link.server.state is DtlsState.CONNECTING
    link.take(link.client, link.client.send(b"too early"))
    link.run(1)
    assert received(link.outputs[DtlsRole.SERVER]) == []
    assert link.server.statistics().drops == {DtlsDrop.UNVERIFIED: 1}
    link.server.set_remote_fingerprints([certificate_of("client").fingerprint])
    assert link.server.next_timeout() <= link.now
    link.run(0.001)
    assert len(link.established(DtlsRole.SERVER)) == 1
    assert link.server.state is DtlsState.CONNECTED


def test_a_wrong_fingerprint_after_the_handshake_fails_it():
    link = Link(client(), server(expects=None))
    link.start()
    link.run(1)
    link.server.set_remote_fingerprints([certificate_of("stranger").fingerprint])
    link.run(1)
    assert link.server.state is DtlsState.FAILED
    assert Closed() in link.outputs[DtlsRole.CLIENT]


def test_a_fingerprint_that_never_comes_fails_in_time():
    link = Link(client(), server(expects=None))
    link.start()
    link.run(HANDSHAKE_SECONDS + 1)
    assert failures(link.outputs[DtlsRole.SERVER]) == ["no fingerprint within 30 s"]


def test_one_fingerprint_of_several_will_do_with_any_sha_2():
    own = certificate_of("client")
    for algorithm in ("sha-256", "sha-384", "sha-512"):
        promised = own_fingerprint(own, algorithm)
        link = Link(client(), server(expects="stranger"))
        link.server.set_remote_fingerprints(
            [Fingerprint("sha-1", bytes(20)), Fingerprint(algorithm, bytes(9)), promised]
        )
        link.start()
        link.run(1)
        assert link.server.state is DtlsState.CONNECTED


def own_fingerprint(certificate: Certificate, algorithm: str) -> Fingerprint:
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415 (an independent way to the digest)

    functions = {"sha-1": hashes.SHA1, "sha-256": hashes.SHA256, "sha-384": hashes.SHA384, "sha-512": hashes.SHA512}
    return Fingerprint(algorithm, certificate.x509.fingerprint(functions[algorithm]()))


@pytest.mark.parametrize("promised", [["sha-1"], []])
def test_sha_1_alone_or_nothing_at_all_is_refused(promised: list[str]):
    link = Link(client(), server(expects=None))
    link.server.set_remote_fingerprints([own_fingerprint(certificate_of("client"), name) for name in promised])
    link.start()
    link.run(1)
    assert failures(link.outputs[DtlsRole.SERVER])


def test_the_same_fingerprint_again_changes_nothing_but_another_ends_it():
    link = connected()
    link.server.set_remote_fingerprints([certificate_of("client").fingerprint])
    link.run(1)
    assert link.server.state is DtlsState.CONNECTED
    assert len(link.established(DtlsRole.SERVER)) == 1
    link.server.set_remote_fingerprints([certificate_of("stranger").fingerprint])
    link.run(1)
    assert link.server.state is DtlsState.FAILED


# --- What peers must offer


def peer_context(**changes) -> "object":
    """A foreign client's context: ours, but for `changes`."""
    from OpenSSL import SSL  # noqa: PLC0415 (only the foreign peers of this section are made of it)

    context = SSL.Context(SSL.DTLS_METHOD)
    context.set_options(SSL.OP_NO_QUERY_MTU)
    context.set_verify(SSL.VERIFY_NONE, lambda *_: True)
    context.set_cipher_list(changes.get("ciphers", b"ALL:@SECLEVEL=0"))
    if version := changes.get("version"):
        context.set_max_proto_version(version)
    if profiles := changes.get("profiles", b"SRTP_AES128_CM_SHA1_80"):
        context.set_tlsext_use_srtp(profiles)
    if changes.get("certificate", True):
        context.use_certificate(certificate_of("client").x509)
        context.use_privatekey(certificate_of("client").private_key)
    connection = SSL.Connection(context)
    connection.set_connect_state()
    connection.set_ciphertext_mtu(DATAGRAM_BYTES)
    return connection


def shake_hands(peer, ours: DtlsTransport) -> list[DtlsOutput]:
    """Carry whole flights between a bare OpenSSL client and our server until both are still."""
    from OpenSSL import SSL  # noqa: PLC0415 (as above)

    outputs: list[DtlsOutput] = []
    for _ in range(4):
        with suppress(SSL.Error):
            peer.do_handshake()
        try:
            step = ours.receive(peer.bio_read(2000), 0)
        except SSL.WantReadError:
            break
        outputs += step
        for datagram in sent(step):
            peer.bio_write(datagram)
    return outputs


def test_a_foreign_peer_connects_and_our_first_profile_wins():
    both = peer_context(profiles=b"SRTP_AES128_CM_SHA1_80:SRTP_AEAD_AES_128_GCM")
    (established,) = [output for output in shake_hands(both, server()) if isinstance(output, Established)]
    assert established.keys.profile is SrtpProfile.AEAD_AES_128_GCM


def test_a_peer_without_gcm_gets_counter_mode():
    (established,) = [output for output in shake_hands(peer_context(), server()) if isinstance(output, Established)]
    assert established.keys.profile is SrtpProfile.AES128_CM_HMAC_SHA1_80
    assert len(established.keys.local) == len(established.keys.remote) == 30


@pytest.mark.parametrize("profiles", [b"SRTP_AES128_CM_SHA1_32", b""])
def test_no_common_srtp_profile_fails(profiles: bytes):
    assert failures(shake_hands(peer_context(profiles=profiles), server())) == ["no common SRTP profile"]


def test_a_peer_without_a_certificate_fails():
    (reason,) = failures(shake_hands(peer_context(certificate=False), server()))
    assert "certificate" in reason


def test_dtls_1_0_fails():
    (reason,) = failures(shake_hands(peer_context(version=0xFEFF), server()))
    assert "protocol" in reason or "version" in reason


@pytest.mark.parametrize("ciphers", [b"AES128-GCM-SHA256", b"ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0"])
def test_cipher_suites_without_forward_secrecy_or_aead_fail(ciphers: bytes):
    assert failures(shake_hands(peer_context(ciphers=ciphers), server())) == ["DTLS: no shared cipher"]


# --- Forgery and noise


def test_a_forged_record_during_the_handshake_fails_only_that_association():
    hit, spared = server(), server()
    for ours in (hit, spared):
        ours.receive(*sent(client().start(0)), 0)
    outputs = hit.receive(FORGED_FATAL_ALERT, 0.01)
    assert failures(outputs)
    assert hit.state is DtlsState.FAILED
    assert hit.next_timeout() is None
    assert hit.receive(FORGED_FATAL_ALERT, 0.02) == []
    assert hit.statistics().drops == {DtlsDrop.NOT_OPEN: 1}
    assert spared.state is DtlsState.CONNECTING
    assert connected().server.state is DtlsState.CONNECTED


def test_a_goodbye_before_the_handshake_is_done_is_a_failure():
    ours = server()
    ours.receive(*sent(client().start(0)), 0)
    outputs = ours.receive(bytes.fromhex("15fefd 0000 0000000000ff 0002 0100"), 0.01)
    assert failures(outputs)
    assert ours.state is DtlsState.FAILED


def test_once_connected_plaintext_is_powerless():
    link = connected()
    for forged in (FORGED_FATAL_ALERT, *[datagram for _, datagram in recorded("client-hello-default")]):
        assert not failures(link.server.receive(forged, link.now))
    link.take(link.client, link.client.send(b"still here"))
    link.run(1)
    assert received(link.outputs[DtlsRole.SERVER]) == [b"still here"]


def test_a_forged_encrypted_record_is_dropped():
    link = connected()
    (genuine,) = sent(link.client.send(b"genuine"))
    forged = genuine[:-1] + bytes([genuine[-1] ^ 1])
    assert link.server.receive(forged, link.now) == []
    assert received(link.server.receive(genuine, link.now)) == [b"genuine"]


def test_what_is_too_long_or_too_short_is_counted_and_not_fed():
    link = connected()
    assert link.server.receive(bytes(2049), link.now) == []
    assert link.server.receive(bytes(12), link.now) == []
    assert link.server.receive(b"", link.now) == []
    assert link.server.statistics().drops == {DtlsDrop.TOO_LONG: 1, DtlsDrop.TOO_SHORT: 2}


@given(st.lists(st.binary(max_size=100) | st.binary(max_size=100).map(lambda tail: b"\x16\xfe\xfd" + bytes(8) + tail)))
def test_noise_never_raises(datagrams: list[bytes]):
    ours = server()
    for datagram in datagrams:
        ours.receive(datagram, 0)
    assert ours.state is not DtlsState.CONNECTED


@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(1, 255)), min_size=1, max_size=3))
def test_a_flight_with_changed_bytes_never_raises(changes: list[tuple[int, int]]):
    theirs, ours = client(), server()
    (flight,) = sent(theirs.receive(*sent(ours.receive(*sent(theirs.start(0)), 0)), 0))
    changed = bytearray(flight)
    for position, flip in changes:
        changed[position % len(flight)] ^= flip
    outputs = ours.receive(bytes(changed), 0)
    assert (ours.state is DtlsState.FAILED) == bool(failures(outputs))


# --- Application data and the end


def test_application_data_goes_both_ways_whole():
    link = connected()
    for end, other in ((link.client, link.server), (link.server, link.client)):
        for size in (1, 100, MAX_APPLICATION_DATA):
            (datagram,) = sent(end.send(bytes(size)))
            assert len(datagram) <= DATAGRAM_BYTES
            assert received(other.receive(datagram, link.now)) == [bytes(size)]


def test_the_longest_message_fills_a_datagram():
    (datagram,) = sent(connected().server.send(bytes(MAX_APPLICATION_DATA)))
    assert len(datagram) == DATAGRAM_BYTES


def test_several_records_in_one_datagram_are_several_messages():
    link = connected()
    datagram = b"".join(sent(link.client.send(b"one") + link.client.send(b"two") + link.client.send(b"three")))
    assert received(link.server.receive(datagram, link.now)) == [b"one", b"two", b"three"]


def test_data_in_the_datagram_that_ends_the_handshake_comes_after_established():
    theirs, ours = client(), server()
    flight = sent(theirs.receive(*sent(ours.receive(*sent(theirs.start(0)), 0)), 0))
    last = sent(ours.receive(*flight, 0))
    joined = last[0] + sent(ours.send(b"at once"))[0]
    outputs = theirs.receive(joined, 0)
    assert [type(output) for output in outputs] == [Established, ApplicationData]


def test_a_repeated_message_is_received_once():
    link = connected()
    (datagram,) = sent(link.client.send(b"once"))
    assert received(link.server.receive(datagram, link.now)) == [b"once"]
    assert received(link.server.receive(datagram, link.now)) == []


def test_chromiums_datagrams_of_1225_bytes_are_taken():
    peer, ours = peer_context(), server()
    shake_hands(peer, ours)
    peer.send(bytes(1188))
    datagram = peer.bio_read(2000)
    assert len(datagram) == 1225
    assert received(ours.receive(datagram, 0)) == [bytes(1188)]


@pytest.mark.parametrize("size", [0, MAX_APPLICATION_DATA + 1])
def test_what_does_not_fit_one_datagram_cannot_be_sent(size: int):
    with pytest.raises(LocalProtocolError):
        connected().server.send(bytes(size))


def test_nothing_can_be_sent_before_it_is_connected_or_after_its_end():
    with pytest.raises(LocalProtocolError):
        server().send(b"data")
    link = connected()
    link.server.close()
    with pytest.raises(LocalProtocolError):
        link.server.send(b"data")


def test_close_tells_the_peer_which_answers_and_says_so_once():
    link = connected()
    link.take(link.client, link.client.close())
    link.run(1)
    assert link.outputs[DtlsRole.SERVER].count(Closed()) == 1
    assert link.client.state is link.server.state is DtlsState.CLOSED
    assert len(link.trace) == 6  # four flights, two goodbyes
    assert link.client.close() == link.server.close() == []


def test_closing_before_the_handshake_is_silent():
    for ours in (client(), server()):
        assert ours.close() == []
        assert ours.state is DtlsState.CLOSED
        assert ours.start(0) == []
        assert ours.next_timeout() is None
    ours = client()
    ours.start(0)
    assert ours.close() == []
    assert ours.next_timeout() is None


def test_a_failed_association_stays_failed_when_closed():
    ours = client()
    ours.start(0)
    ours.handle_timeout(HANDSHAKE_SECONDS)
    assert ours.close() == []
    assert ours.state is DtlsState.FAILED
