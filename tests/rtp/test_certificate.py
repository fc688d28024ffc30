from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from rtp.certificate import HASHES, Certificate, Fingerprint, fingerprint_of, parse_fingerprint
from rtp.errors import DecodeError

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)

# From the offer of Chromium 156 recorded in tests/vectors/sdp/opus.client-offer.sdp: the form that browsers use.
CHROMIUM = "sha-256 C5:6F:40:89:03:34:59:DC:BF:A8:1A:B4:44:5C:E8:E1:06:51:14:56:C1:77:BC:D9:ED:66:12:95:67:DF:FF:93"


def der(certificate: Certificate) -> bytes:
    return certificate.x509.public_bytes(serialization.Encoding.DER)


def test_a_certificate_is_ecdsa_on_p256_by_default():
    certificate = Certificate.generate(not_before=NEW_YEAR)
    assert isinstance(certificate.private_key, ec.EllipticCurvePrivateKey)
    assert certificate.private_key.curve.name == "secp256r1"


def test_a_certificate_is_valid_from_the_time_given():
    certificate = Certificate.generate(not_before=NEW_YEAR)
    assert certificate.x509.not_valid_before_utc == NEW_YEAR
    assert certificate.x509.not_valid_after_utc.year == 2027


def test_its_fingerprint_is_the_digest_of_the_der():
    certificate = Certificate.generate(not_before=NEW_YEAR)
    assert certificate.fingerprint == fingerprint_of(der(certificate), "sha-256")
    assert certificate.fingerprint.serialize().startswith("sha-256 ")


def test_no_two_certificates_share_a_serial_number_or_a_key():
    first, second = (Certificate.generate(not_before=NEW_YEAR) for _ in range(2))
    assert first.x509.serial_number != second.x509.serial_number
    assert first.fingerprint != second.fingerprint


def test_rsa_certificates_all_have_the_same_length():
    certificates = [Certificate.generate(not_before=NEW_YEAR, use_rsa=True) for _ in range(3)]
    assert all(isinstance(certificate.private_key, rsa.RSAPrivateKey) for certificate in certificates)
    assert len({len(der(certificate)) for certificate in certificates}) == 1


def test_a_certificate_signs_itself():
    certificate = Certificate.generate(not_before=NEW_YEAR)
    certificate.x509.verify_directly_issued_by(certificate.x509)


def test_chromiums_fingerprint_reads_back():
    fingerprint = parse_fingerprint(CHROMIUM)
    assert fingerprint.algorithm == "sha-256"
    assert fingerprint.digest[:2] == b"\xc5\x6f"
    assert fingerprint.serialize() == CHROMIUM


def test_upper_and_lower_case_are_equal():
    assert parse_fingerprint(CHROMIUM.lower()) == parse_fingerprint(CHROMIUM.upper()) == parse_fingerprint(CHROMIUM)


def test_a_hash_function_we_do_not_vouch_with_is_read_all_the_same():
    assert parse_fingerprint("sha-1 " + ":".join(["0a"] * 20)) == Fingerprint("sha-1", b"\x0a" * 20)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sha-256",
        "sha-256 ",
        " AB:CD",
        "sha-256 AB:CD",  # too short for its function
        CHROMIUM + ":00",
        CHROMIUM.replace(":", ""),
        CHROMIUM.replace("C5", "G5"),
        CHROMIUM.replace("C5", "\N{FULLWIDTH DIGIT ONE}5"),
        CHROMIUM.replace("sha", "\N{LATIN SMALL LETTER LONG S}ha"),
        CHROMIUM + ":",
        "sha-1 " + ":".join(["00"] * 1000),
        "x" * 1_000_000,
    ],
)
def test_what_is_no_fingerprint_is_refused(text: str):
    with pytest.raises(DecodeError):
        parse_fingerprint(text)


@given(st.binary(max_size=200), st.sampled_from(sorted(HASHES)))
def test_fingerprints_survive_their_text(der: bytes, algorithm: str):
    fingerprint = fingerprint_of(der, algorithm)
    assert parse_fingerprint(fingerprint.serialize()) == fingerprint


@given(st.text() | st.from_regex(r"[a-z0-9-]{0,9} ?([0-9a-fA-F]{2}:?){0,70}"))
def test_noise_raises_nothing_but_decode_error(noise: str):
    try:
        fingerprint = parse_fingerprint(noise)
    except DecodeError:
        return
    assert parse_fingerprint(fingerprint.serialize()) == fingerprint
