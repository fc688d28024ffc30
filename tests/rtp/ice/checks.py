"""What the tests of both agents share: credentials, paths, and checks as a peer would send them."""

from itertools import count

from rtp.ice.candidates import IceCredentials
from rtp.stun import MessageClass, StunMessage, binding_request, parse_message
from rtp.units import Path

SERVER = IceCredentials("SERVERUFRAG00001", "server-password-of-32-characters")
SERVER_AGAIN = IceCredentials("SERVERUFRAG00002", "server-password-after-a-restart.")
SERVER_THIRD = IceCredentials("SERVERUFRAG00003", "server-password-after-one-more..")
CLIENT = IceCredentials("cLnT", "client-password-24-chars")
CLIENT_AGAIN = IceCredentials("cLn2", "client-password-after-it")

HERE = ("192.0.2.1", 7882)
WIFI = Path(HERE, ("198.51.100.7", 40000))
MOBILE = Path(HERE, ("203.0.113.9", 50000))

_numbers = count(1)


def check(
    to: IceCredentials = SERVER,
    by: IceCredentials = CLIENT,
    *,
    nominate: bool = False,
    username: str | None = None,
    password: str | None = None,
) -> bytes:
    """A check from a controlling client."""
    return binding_request(
        next(_numbers).to_bytes(12, "big"),
        username=f"{to.ufrag}:{by.ufrag}" if username is None else username,
        password=to.password if password is None else password,
        priority=0x6E7F1EFF,
        tie_breaker=7,
        use_candidate=nominate,
    )


def answer(datagram: bytes, password: str) -> StunMessage:
    """The message in `datagram`, known to be a response by someone with `password`."""
    message = parse_message(datagram)
    assert message.message_class in {MessageClass.SUCCESS, MessageClass.ERROR}
    assert message.verify(password)
    return message
