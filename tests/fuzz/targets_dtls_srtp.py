"""What an untrusted network can bring to DTLS, to SRTP and to `a=fingerprint` lines."""

import json
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from rtp.certificate import Certificate, parse_fingerprint
from rtp.dtls import DtlsContext, DtlsRole, DtlsTransport, SendDatagram, SrtpKeys, SrtpProfile
from rtp.srtp import SrtpError, SrtpSession
from tests.fuzz.target import Target

WIRE = Path(__file__).parents[1] / "vectors" / "wire"
PROFILES = {
    "SRTP_AEAD_AES_128_GCM": SrtpProfile.AEAD_AES_128_GCM,
    "SRTP_AES128_CM_SHA1_80": SrtpProfile.AES128_CM_HMAC_SHA1_80,
}


@cache
def identity() -> tuple[Certificate, DtlsContext]:
    """Made once: the state that must be fresh is the association's."""
    certificate = Certificate.generate(not_before=datetime(2026, 1, 1, tzinfo=UTC))
    return certificate, DtlsContext(certificate)


def end(role: DtlsRole) -> DtlsTransport:
    certificate, context = identity()
    transport = DtlsTransport(certificate, role, context)
    transport.set_remote_fingerprints([certificate.fingerprint])
    return transport


def only(outputs: list) -> bytes:
    (datagram,) = [output.data for output in outputs if isinstance(output, SendDatagram)]
    return datagram


def recorded(file: str) -> list[dict]:
    return [json.loads(text) for text in (WIRE / file).read_text().splitlines()]


def clients_datagrams() -> list[bytes]:
    return [
        bytes.fromhex(line["hex"])
        for line in recorded("dtls-clienthello.jsonl")
        if "hex" in line and line["from"] != "spike server"
    ]


def servers_datagrams() -> list[bytes]:
    return [bytes.fromhex(line["hex"]) for line in recorded("dtls-clienthello.jsonl") if line["from"] == "spike server"]


def feed_a_server_before_and_after_the_hello(datagram: bytes) -> None:
    server = end(DtlsRole.SERVER)
    server.receive(datagram, 0.0)
    server.receive(only(end(DtlsRole.CLIENT).start(0.0)), 0.0)
    server.receive(datagram, 0.0)


def feed_a_client(datagram: bytes) -> None:
    client = end(DtlsRole.CLIENT)
    client.start(0.0)
    client.receive(datagram, 0.0)


def feed_a_connected_server(datagram: bytes) -> None:
    client, server = end(DtlsRole.CLIENT), end(DtlsRole.SERVER)
    server.receive(only(client.receive(only(server.receive(only(client.start(0.0)), 0.0)), 0.0)), 0.0)
    server.receive(datagram, 0.0)


@cache
def sessions() -> dict[str, tuple[SrtpKeys, list[bytes]]]:
    """Chromium's packets, with the keys to read them."""
    found: dict[str, tuple[SrtpKeys, list[bytes]]] = {}
    for line in recorded("srtp.jsonl"):
        if line["what"] == "keys" and line["profile"] in PROFILES:
            local, remote = (bytes.fromhex(line[f"{side}_key"] + line[f"{side}_salt"]) for side in ("server", "client"))
            found[line["session"]] = SrtpKeys(PROFILES[line["profile"]], local, remote), []
        elif line["what"] != "keys" and line["session"] in found:
            found[line["session"]][1].append(bytes.fromhex(line["protected"]))
    return found


def protected_packets() -> list[bytes]:
    return [packet for _, packets in sessions().values() for packet in packets]


def unprotect(packet: bytes) -> None:
    for keys, _ in sessions().values():
        with suppress(SrtpError):
            SrtpSession(keys).unprotect(packet)


def unprotect_rtcp(packet: bytes) -> None:
    for keys, _ in sessions().values():
        with suppress(SrtpError):
            SrtpSession(keys).unprotect_rtcp(packet)


def read_fingerprint(data: bytes) -> None:
    fingerprint = parse_fingerprint(data.decode("utf-8", "replace"))
    if parse_fingerprint(fingerprint.serialize()) != fingerprint:
        raise AssertionError("a fingerprint does not survive its own text")


def fingerprint_texts() -> list[bytes]:
    return [b"sha-256 " + b":".join([b"C5"] * 32), b"sha-1 " + b":".join([b"0a"] * 20), b"md5 00"]


TARGETS = [
    Target("dtls-server", clients_datagrams, feed_a_server_before_and_after_the_hello),
    Target("dtls-client", servers_datagrams, feed_a_client),
    Target("dtls-connected", clients_datagrams, feed_a_connected_server),
    Target("srtp", protected_packets, unprotect),
    Target("srtcp", protected_packets, unprotect_rtcp),
    Target("fingerprint", fingerprint_texts, read_fingerprint),
]
