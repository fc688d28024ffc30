"""Certificates: a local authority's, made when needed and kept; and files of the operator's, read anew."""

import http.client
import os
import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trio
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from trio.testing import MockClock, memory_stream_pair

import triforium
from triforium import Config, ConfigError, HttpsConfig, RtcConfig, StartError
from triforium.https import (
    RELOAD_SECONDS,
    CertificateFiles,
    HttpsError,
    ReloadingContext,
    TlsListener,
    local_certificate,
    local_names,
)
from triforium.loading import load

NOW = datetime(2026, 11, 22, tzinfo=UTC)
NAMES = ("localhost", "192.0.2.7", "::1")


def serial(file: Path) -> int:
    return x509.load_pem_x509_certificate(file.read_bytes()).serial_number


def test_a_certificate_is_for_all_names_and_its_authority_vouches_for_it(tmp_path: Path) -> None:
    files, authority = local_certificate(tmp_path, NAMES, NOW)
    leaf, issuer = x509.load_pem_x509_certificates(files.certificate.read_bytes())
    leaf.verify_directly_issued_by(issuer)
    assert issuer == x509.load_pem_x509_certificate(authority.file.read_bytes())
    held = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert held.get_values_for_type(x509.DNSName) == ["localhost"]
    assert [str(each) for each in held.get_values_for_type(x509.IPAddress)] == ["192.0.2.7", "::1"]
    assert leaf.not_valid_after_utc - leaf.not_valid_before_utc <= timedelta(days=397), "browsers refuse longer ones"
    assert authority.fingerprint.count(":") == 31


def test_keys_are_for_their_owner_alone(tmp_path: Path) -> None:
    files, authority = local_certificate(tmp_path, NAMES, NOW)
    for key in (files.key, authority.file.with_suffix(".key")):
        assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_what_was_made_is_kept(tmp_path: Path) -> None:
    files, authority = local_certificate(tmp_path, NAMES, NOW)
    before = serial(files.certificate)
    again, same_authority = local_certificate(tmp_path, NAMES[:2], NOW + timedelta(days=300))
    assert (serial(again.certificate), same_authority) == (before, authority)


@pytest.mark.parametrize(
    ("names", "later"), [((*NAMES, "192.0.2.8"), timedelta()), (NAMES, timedelta(days=380))], ids=["moved", "ending"]
)
def test_a_certificate_is_made_anew_by_the_same_authority(
    tmp_path: Path, names: tuple[str, ...], later: timedelta
) -> None:
    files, authority = local_certificate(tmp_path, NAMES, NOW)
    before = serial(files.certificate)
    again, same_authority = local_certificate(tmp_path, names, NOW + later)
    assert serial(again.certificate) != before
    assert same_authority == authority, "phones that trust it go on trusting it"


def test_an_authority_that_lost_its_key_is_made_anew_with_all_that_hangs_on_it(tmp_path: Path) -> None:
    files, authority = local_certificate(tmp_path, NAMES, NOW)
    before = serial(files.certificate)
    authority.file.with_suffix(".key").unlink()
    again, other = local_certificate(tmp_path, NAMES, NOW + timedelta(seconds=1))
    assert other.fingerprint != authority.fingerprint
    assert serial(again.certificate) != before


def test_a_folder_that_holds_something_else_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "authority.crt").write_text("no certificate")
    with pytest.raises(HttpsError, match=f"cannot keep a local authority in {tmp_path}: "):
        local_certificate(tmp_path, NAMES, NOW)


async def test_changed_files_are_read_anew_and_broken_ones_are_not(
    tmp_path: Path, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    now = datetime.now(UTC)
    files, authority = local_certificate(tmp_path, NAMES, now)
    tls = ReloadingContext(files)
    trusting = ssl.create_default_context(cafile=str(authority.file))

    def served() -> int:
        """Return the serial number of the certificate that a client is shown."""
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        server = tls.context.wrap_bio(incoming, outgoing, server_side=True)
        client = trusting.wrap_bio(outgoing, incoming, server_hostname="localhost")
        for _ in range(3):
            for side in (client, server):
                try:
                    side.do_handshake()
                except ssl.SSLWantReadError:
                    continue
        shown = client.getpeercert(binary_form=True)
        assert shown is not None
        return x509.load_der_x509_certificate(shown).serial_number

    first = served()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(tls.run)
        local_certificate(tmp_path, (*NAMES, "more"), now)
        os.utime(files.certificate, ns=(1, 1))  # the file system's clock may be coarse
        await trio.sleep(RELOAD_SECONDS + 1)
        second = served()
        assert second == serial(files.certificate) != first
        files.key.write_text("half a k")
        await trio.sleep(RELOAD_SECONDS + 1)
        assert served() == second
        other, _ = local_certificate(tmp_path / "other", NAMES, now)
        files.certificate.write_bytes(other.certificate.read_bytes())
        os.utime(files.certificate, ns=(2, 2))
        files.key.write_bytes((tmp_path / "authority.key").read_bytes())  # a key, of something else
        await trio.sleep(RELOAD_SECONDS + 1)
        assert served() == second
        assert "stays in use" in caplog.text
        nursery.cancel_scope.cancel()


def test_files_that_cannot_be_read_are_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(HttpsError, match=r"cannot use .*no.crt with .*no.key: No such file"):
        ReloadingContext(CertificateFiles(tmp_path / "no.crt", tmp_path / "no.key"))


def test_an_encrypted_key_is_one_clear_line_and_no_question(tmp_path: Path) -> None:
    files, _ = local_certificate(tmp_path, NAMES, NOW)
    key = serialization.load_pem_private_key(files.key.read_bytes(), None)
    lock = serialization.BestAvailableEncryption(b"passphrase")
    files.key.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock))
    with pytest.raises(HttpsError, match=r"cannot use .*server.key: the key is encrypted"):
        ReloadingContext(files)


class MemoryListener(trio.abc.Listener[trio.abc.Stream]):
    """Accepts `stream`."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream

    async def accept(self) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        return self.stream

    async def aclose(self) -> None:
        await self.stream.aclose()


async def test_a_new_certificate_is_for_the_next_connection(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    files, authority = local_certificate(tmp_path, NAMES, now)
    tls = ReloadingContext(files)
    trusting = ssl.create_default_context(cafile=str(authority.file))
    for names in (NAMES, (*NAMES, "more")):
        local_certificate(tmp_path, names, now)
        os.utime(files.certificate, ns=(len(names), len(names)))  # the file system's clock may be coarse
        tls.reload()
        near, far = memory_stream_pair()
        client = trio.SSLStream(near, trusting, server_hostname="localhost", https_compatible=True)
        server = await TlsListener(MemoryListener(far), tls).accept()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.do_handshake)
            nursery.start_soon(server.do_handshake)
        shown = client.getpeercert(binary_form=True)
        assert x509.load_der_x509_certificate(shown).serial_number == serial(files.certificate)


async def test_a_server_speaks_tls_by_its_own_authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    config = Config(
        port=0,
        bind_addresses=("127.0.0.1",),
        keys={"key": "a secret of more than thirty-two letters"},
        rtc=RtcConfig(udp_port=0, enable_loopback_candidate=True),
        https=HttpsConfig(enabled=True),
    )

    def ask(path: str) -> bytes:
        context = ssl.create_default_context(cafile=str(tmp_path / "triforium" / "authority.crt"))
        connection = http.client.HTTPSConnection("127.0.0.1", server.port, timeout=5, context=context)
        try:
            connection.request("GET", path)
            return connection.getresponse().read()
        finally:
            connection.close()

    async with triforium.serve(config) as server:
        assert server.url == f"wss://127.0.0.1:{server.port}"
        assert await trio.to_thread.run_sync(ask, "/") == b"OK"
        authority = await trio.to_thread.run_sync(ask, "/authority.crt")
        assert authority == (tmp_path / "triforium" / "authority.crt").read_bytes()


async def test_a_server_whose_certificate_cannot_be_used_does_not_start(tmp_path: Path) -> None:
    config = Config(
        port=0,
        bind_addresses=("127.0.0.1",),
        keys={"key": "secret"},
        rtc=RtcConfig(udp_port=0, enable_loopback_candidate=True),
        https=HttpsConfig(cert_file=str(tmp_path / "a"), key_file=str(tmp_path / "b")),
    )
    with pytest.raises(StartError, match="cannot use"):
        async with triforium.serve(config):
            pass


def test_asking_for_https_opens_a_development_server_to_the_network() -> None:
    config, _ = load(is_development=True, is_https=True)
    assert (config.bind_addresses, config.https.is_on) == ((), True)
    config, _ = load(is_development=True)
    assert (config.bind_addresses, config.https.is_on) == (("127.0.0.1",), False)


def test_a_certificate_without_its_key_is_refused() -> None:
    with pytest.raises(ConfigError, match="belong together"):
        load(environment={"LIVEKIT_CONFIG": "{keys: {a: b}, https: {cert_file: x}}"})


def test_this_machine_is_known_by_its_names_and_addresses() -> None:
    names = local_names(["192.0.2.7", "127.0.0.1"])
    assert names[0] == "localhost"
    assert "192.0.2.7" in names
    assert len(set(names)) == len(names)
