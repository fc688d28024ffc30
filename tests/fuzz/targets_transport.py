"""What an untrusted network can bring to a whole transport: datagrams of every protocol, from known and unknown paths."""

from random import Random

from rtp.dtls import DtlsRole
from rtp.packet import is_rtcp
from rtp.transport import PeerTransport
from rtp.units import Path
from tests.fuzz.target import Target
from tests.fuzz.targets_dtls_srtp import clients_datagrams, protected_packets
from tests.rtp.ice.checks import HERE, MOBILE, SERVER, check
from tests.rtp.ice.forge import seal
from tests.rtp.transport_pair import HOME, Pair, channels, dtls, server

KNOWN = Path(HERE, HOME)


def _datagrams() -> list[bytes]:
    hello = dtls(DtlsRole.CLIENT).start(0.0)[0].data
    return [check(), check(nominate=True), hello, *clients_datagrams(), *protected_packets()[:8]]


def _feed(transport: PeerTransport, datagram: bytes, path: Path) -> None:
    if datagram and 128 <= datagram[0] <= 191:
        take = transport.receive_rtcp if is_rtcp(datagram) else transport.receive_rtp
        take(datagram, path, 1.0)
    else:
        transport.receive(datagram, path, 1.0)
    transport.next_timeout()


def _run_strangers(datagram: bytes) -> None:
    transport = server()
    _feed(transport, datagram, MOBILE)
    if not transport.ice.is_validated(MOBILE):
        assert transport.dtls.statistics() == server().dtls.statistics()
        assert transport.srtp is None


def _run_validated(datagram: bytes) -> None:
    transport = server()
    transport.receive(check(nominate=True), KNOWN, 0.0)
    for each in (datagram, seal(datagram, SERVER.password)):
        _feed(transport, each, KNOWN)
    transport.handle_timeout(2.0)
    assert transport.statistics().datagrams == 3


def _packets() -> list[bytes]:
    attached = channels(Random(1), is_dtls_client=True)
    return [output.data for output in attached.connect(0.0)] + protected_packets()[:8]


def _run_connected(data: bytes) -> None:
    """Each input comes as it is, and under the protection of the peer's own DTLS."""
    pair = Pair()
    pair.open_channels()
    pair.connect(until=0.3)
    _feed(pair.server, data, KNOWN)
    if 0 < len(data) <= 1163:
        for output in pair.client.dtls.send(data):
            _feed(pair.server, output.data, KNOWN)
    pair.server.handle_timeout(5.0)
    assert pair.server.connected


TARGETS = [
    Target("transport-strangers", _datagrams, _run_strangers),
    Target("transport-validated", _datagrams, _run_validated),
    Target("transport-connected", _packets, _run_connected),
]
