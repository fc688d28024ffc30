"""The key pair a transport proves itself with, and the fingerprints that descriptions carry (RFC 8122, 8827 §6.5)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from rtp.errors import DecodeError

HASHES: Final[Mapping[str, hashes.HashAlgorithm]] = {
    "sha-256": hashes.SHA256(),
    "sha-384": hashes.SHA384(),
    "sha-512": hashes.SHA512(),
}
"""The hash functions we vouch with, by their names in SDP (RFC 8122 §5). SHA-1 and older no longer prove anything."""

LIFETIME: Final = timedelta(days=365)
"""Peers compare fingerprints and ignore the dates (RFC 8827 §6.5), but browsers cap their own at a year."""

MAX_FINGERPRINT_CHARACTERS: Final = 512
"""Twice what SHA-512 takes: an unknown hash function is carried, not one of any length."""

CONSTANT_LENGTH_BIT: Final = 1 << 158
"""Set in every serial number, which has 159 bits: else one in 128 certificates would be a byte shorter."""

_FINGERPRINT: Final = re.compile(r"([a-z0-9-]+) +([0-9a-f]{2}(?::[0-9a-f]{2})*)", re.ASCII | re.IGNORECASE)

PrivateKey: TypeAlias = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """The digest of a certificate, as `a=fingerprint` carries it. `algorithm` is lower-case: "sha-256"."""

    algorithm: str
    digest: bytes

    def serialize(self) -> str:
        """Return the attribute's value: "sha-256 AB:CD:…" (RFC 8122 §5)."""
        return f"{self.algorithm} {self.digest.hex(':').upper()}"


def parse_fingerprint(text: str) -> Fingerprint:
    """Read the value of an `a=fingerprint` attribute (RFC 8122 §5).

    Hash functions that we do not vouch with are read too, because a description may carry them beside a better one;
    they never match a certificate. Upper and lower case are equal.

    Raises:
        DecodeError: if it is no hash function and hexadecimal octets, or the digest is not as long as its function's.
    """
    match = _FINGERPRINT.fullmatch(text.strip()) if len(text) <= MAX_FINGERPRINT_CHARACTERS else None
    if match is None:
        raise DecodeError("a fingerprint is a hash function and octets in hexadecimal, joined by colons")
    algorithm = match[1].lower()
    digest = bytes.fromhex(match[2].replace(":", ""))
    function = HASHES.get(algorithm)
    if function is not None and function.digest_size != len(digest):
        raise DecodeError(f"a {algorithm} fingerprint has {function.digest_size} octets, not {len(digest)}")
    return Fingerprint(algorithm, digest)


def fingerprint_of(der: bytes, algorithm: str) -> Fingerprint:
    """Return the fingerprint of a certificate in DER. `algorithm` is a key of `HASHES`; KeyError if not."""
    digest = hashes.Hash(HASHES[algorithm])
    digest.update(der)
    return Fingerprint(algorithm, digest.finalize())


class Certificate:
    """A private key with a self-signed certificate. Any number of transports may share one."""

    def __init__(self, private_key: PrivateKey, certificate: x509.Certificate) -> None:
        self.private_key = private_key
        self.x509 = certificate
        der = certificate.public_bytes(serialization.Encoding.DER)
        self.fingerprint = fingerprint_of(der, "sha-256")

    @classmethod
    def generate(cls, *, not_before: datetime, use_rsa: bool = False) -> "Certificate":
        """Make a key pair and sign it, valid for a year from `not_before`; ECDSA on P-256 (RFC 8827 §6.5).

        `use_rsa` makes an RSA-2048 pair instead: its signatures, and with them the whole handshake, always have the
        same lengths, so simulated runs can be compared. It costs a second datagram, and a thousand times the time.

        The key material and the serial number are random, drawn inside `cryptography`: the one source of chance
        in `rtp` that does not come in as an argument.
        """
        private_key: PrivateKey
        if use_rsa:
            private_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        else:
            private_key = ec.generate_private_key(ec.SECP256R1())
        # The usual name: it says nothing about us. Serial numbers must differ: NSS refuses two certificates of one
        # issuer and number.
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "WebRTC")])
        certificate = (
            x509.CertificateBuilder(subject_name=name, issuer_name=name)
            .public_key(private_key.public_key())
            .serial_number(x509.random_serial_number() | CONSTANT_LENGTH_BIT)
            .not_valid_before(not_before)
            .not_valid_after(not_before + LIFETIME)
            .sign(private_key, hashes.SHA256())
        )
        return cls(private_key, certificate)
