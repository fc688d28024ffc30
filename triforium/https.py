"""HTTPS, because browsers give cameras and microphones only to secure pages.

With certificate files of the operator's, or by a local authority of our own, which phones on the same network can be
told to trust.
"""

import hashlib
import ipaddress
import logging
import os
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, NoReturn

import trio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

logger = logging.getLogger(__name__)

RELOAD_SECONDS: Final = 10.0
"""Between looks at the certificate files."""

AUTHORITY_LIFETIME: Final = timedelta(days=3650)
CERTIFICATE_LIFETIME: Final = timedelta(days=397)
"""The longest that all browsers accept."""

RENEWAL: Final = timedelta(days=30)
"""A certificate that ends sooner is made anew."""

CLOCK_SKEW: Final = timedelta(days=1)


class HttpsError(Exception):
    """Certificate files that cannot be used; the text is one line for the operator."""


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """A certificate, with those that it hangs on behind it, and its private key: PEM."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class LocalAuthority:
    """Whom phones are to trust: the file to install there, and its SHA-256 to compare."""

    file: Path
    fingerprint: str


class ReloadingContext:
    """A TLS context that is made anew whenever its certificate's files change: renewals need no restart.

    `context` is for the next connection.
    """

    def __init__(self, files: CertificateFiles) -> None:
        """Read the files. Raises HttpsError."""
        self._files = files
        self._stamp = self._look()
        self.context = self._load()

    async def run(self) -> NoReturn:
        """Look at the files now and then, until cancelled. What cannot be used is logged, and the old is kept."""
        while True:
            await trio.sleep(RELOAD_SECONDS)
            self.reload()

    def reload(self) -> None:
        """Read the files again if they have changed."""
        stamp = self._look()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self.context = self._load()
        except HttpsError as error:
            logger.warning("%s: the certificate of before stays in use", error)
        else:
            logger.info("the certificate was read anew from %s", self._files.certificate)

    def _look(self) -> tuple[int, int]:
        try:
            return self._files.certificate.stat().st_mtime_ns, self._files.key.stat().st_mtime_ns
        except OSError:
            return 0, 0  # reading them will say what is wrong

    def _load(self) -> ssl.SSLContext:
        """Make a context of its own: one that took a certificate and then no key for it would serve nobody."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        try:
            context.load_cert_chain(self._files.certificate, self._files.key, _refuse_passphrase)
        except (OSError, ssl.SSLError, _PassphraseError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise HttpsError(f"cannot use {self._files.certificate} with {self._files.key}: {reason}") from error
        return context


class _PassphraseError(Exception):
    """A private key that is encrypted."""


def _refuse_passphrase() -> str:
    """Stand where OpenSSL would ask at the terminal, and wait there."""
    raise _PassphraseError("the key is encrypted, and a server has nobody to ask for the passphrase")


class TlsListener(trio.abc.Listener[trio.SSLStream[trio.abc.Stream]]):
    """Accepts TLS connections, each by the certificate of its time."""

    def __init__(self, listener: trio.abc.Listener[trio.abc.Stream], tls: ReloadingContext) -> None:
        self._listener = listener
        self._tls = tls

    async def accept(self) -> trio.SSLStream[trio.abc.Stream]:
        """Wait for the next connection; the handshake is made with its first bytes."""
        stream = await self._listener.accept()
        return trio.SSLStream(stream, self._tls.context, server_side=True, https_compatible=True)

    async def aclose(self) -> None:
        """Accept no more."""
        await self._listener.aclose()


def default_folder(environment: Callable[[str], str | None] = os.environ.get) -> Path:
    """Return where the local authority is kept: the user's data folder (XDG Base Directory)."""
    base = environment("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "triforium"


def local_names(addresses: Sequence[str]) -> tuple[str, ...]:
    """Return under which names and addresses this machine is reached on its own network."""
    hostname = socket.gethostname().split(".")[0]
    return tuple(dict.fromkeys(["localhost", hostname, f"{hostname}.local", "127.0.0.1", "::1", *addresses]))


def local_certificate(folder: Path, names: Sequence[str], now: datetime) -> tuple[CertificateFiles, LocalAuthority]:
    """Return a certificate for `names` by a local authority; both are made if need be, and kept in `folder`.

    Raises:
        HttpsError: the folder cannot be written, or holds something else.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        authority_file, authority_key_file = folder / "authority.crt", folder / "authority.key"
        files = CertificateFiles(folder / "server.crt", folder / "server.key")
        authority = _read(authority_file)
        if authority is None or not authority_key_file.exists() or authority.not_valid_after_utc - now < RENEWAL:
            authority = _make_authority(authority_file, authority_key_file, now)
        if not _serves(_read(files.certificate), authority, names, now) or not files.key.exists():
            _make_certificate(files, names, authority, authority_key_file, now)
    except (OSError, ValueError) as error:
        raise HttpsError(f"cannot keep a local authority in {folder}: {error}") from error
    digest = hashlib.sha256(authority.public_bytes(serialization.Encoding.DER)).digest()
    return files, LocalAuthority(authority_file, digest.hex(":").upper())


def _read(file: Path) -> x509.Certificate | None:
    return x509.load_pem_x509_certificate(file.read_bytes()) if file.exists() else None


def _serves(
    certificate: x509.Certificate | None, authority: x509.Certificate, names: Sequence[str], now: datetime
) -> bool:
    """Whether a certificate is by this authority, is for all these names, and lasts for a while."""
    if certificate is None or certificate.issuer != authority.subject:
        return False
    held = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return certificate.not_valid_after_utc - now > RENEWAL and set(map(_general_name, names)) <= set(held)


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _make_authority(file: Path, key_file: Path, now: datetime) -> x509.Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    # A subject of its own each time: an authority made anew is another one, also for who has trusted the last.
    label = f"Triforium on {socket.gethostname()}, {now:%Y-%m-%d %H:%M:%S}"
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, label[:64])])
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        _builder(subject, subject, key, now, AUTHORITY_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    _write(file, key_file, [certificate], key)
    return certificate


def _make_certificate(
    files: CertificateFiles, names: Sequence[str], authority: x509.Certificate, authority_key_file: Path, now: datetime
) -> None:
    authority_key = serialization.load_pem_private_key(authority_key_file.read_bytes(), None)
    if not isinstance(authority_key, ec.EllipticCurvePrivateKey):
        raise ValueError(f"{authority_key_file} holds another kind of key")  # noqa: TRY004 - what the caller turns into its own error
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    certificate = (
        _builder(subject, authority.subject, key, now, CERTIFICATE_LIFETIME)
        .add_extension(x509.SubjectAlternativeName(map(_general_name, names)), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    _write(files.certificate, files.key, [certificate, authority], key)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, lifetime: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder(subject_name=subject, issuer_name=issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now - CLOCK_SKEW + lifetime)
    )


def _write(
    file: Path, key_file: Path, certificates: Sequence[x509.Certificate], key: ec.EllipticCurvePrivateKey
) -> None:
    """Write the key, for its owner alone, before what makes it of use."""
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    key_file.unlink(missing_ok=True)
    key_file.touch(mode=0o600, exist_ok=False)
    key_file.write_bytes(pem)
    file.write_bytes(b"".join(each.public_bytes(serialization.Encoding.PEM) for each in certificates))
