"""Feedback is put aside by the kernel, for a socket of its own on the same port."""

import pytest

from rtp.rtcp.reports import ReceiverReport
from rtp.rtcp.transport_cc import TransportCcFeedback
from rtp.units import Ssrc
from sfu.transport.feedback_socket import feedback_is_put_aside
from sfu.transport.socket import UdpSocket, open_udp_socket

FEEDBACK = TransportCcFeedback(Ssrc(1), Ssrc(2), 3, 4, 5, (6, None, 700)).serialize()
REPORT = ReceiverReport(Ssrc(1)).serialize()
MEDIA = b"\x8f\x60" + bytes(40)
STUN = b"\0\1" + bytes(40)


@pytest.fixture(params=["127.0.0.1", "::1"])
def pair(request):
    main = open_udp_socket(request.param, 0, quiet=True)
    aside = main.open_feedback_socket()
    assert aside is not None
    yield main, aside
    aside.close()
    main.close()


async def received(udp: UdpSocket) -> list[bytes]:
    await udp.wait_readable()
    return [data for data, _, _ in udp.receive_batch(99)]


async def test_feedback_alone_is_put_aside_and_all_else_is_not(pair) -> None:
    main, aside = pair
    assert aside.address == main.address
    peer = open_udp_socket(main.address[0], 0, quiet=True)
    for data in (MEDIA, FEEDBACK, REPORT + FEEDBACK, STUN, b"", b"\x8f", FEEDBACK):
        peer.send_batch([(data, main.address)])
    assert await received(main) == [MEDIA, REPORT + FEEDBACK, STUN, b"", b"\x8f"]
    assert await received(aside) == [FEEDBACK, FEEDBACK]
    peer.close()


async def test_a_port_that_is_shared_with_oneself_is_taken_for_others(pair) -> None:
    main, _ = pair
    with pytest.raises(OSError, match="in use"):
        open_udp_socket(main.address[0], main.address[1], quiet=True)


async def test_feedback_comes_to_the_first_socket_again_when_the_second_is_closed(pair) -> None:
    main, aside = pair
    aside.close()
    peer = open_udp_socket(main.address[0], 0, quiet=True)
    peer.send_batch([(FEEDBACK, main.address)])
    assert await received(main) == [FEEDBACK]
    peer.close()


def test_where_the_kernel_cannot_do_so_all_comes_to_one_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    feedback_is_put_aside.cache_clear()
    main = open_udp_socket("127.0.0.1", 0, quiet=True)
    assert main.open_feedback_socket() is None
    feedback_is_put_aside.cache_clear()
    main.close()
