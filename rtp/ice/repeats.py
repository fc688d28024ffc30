"""Checks that say what the one before said: nearly all that a peer sends while nothing happens (RFC 7675 §5.1).

They differ from it in their transaction id, and in the integrity and fingerprint that follow from that. So the rest is
compared instead of read, and of the answer only what changes is made. It matters because these checks come one by one,
when caches have gone cold: then finding SHA-1 by its name, for one, costs more than all that is done here.
"""

import hmac
from typing import Final

from rtp.stun import TRANSACTION_ID, StunMessage, fingerprint

# A request or response, whole: type, length and cookie; transaction id; other attributes; integrity; fingerprint.
_HEAD: Final = slice(8)
_ATTRIBUTES_AT: Final = 20
_SEAL_BYTES: Final = 32
_INTEGRITY_HEAD: Final = slice(-32, -28)
_INTEGRITY: Final = slice(-28, -8)
_COVERED: Final = slice(-8)
_FINGERPRINT_HEAD: Final = slice(-8, -4)
_FINGERPRINT: Final = slice(-4, None)

_IPV4_BYTES: Final = 12
"""An attribute with a mapped address of IPv4; one of IPv6 ends in as many bytes that the transaction id is laid over
(RFC 8489 §14.2)."""


class Repeats:
    """Answers what repeats a known request. Made by `repeats_of`."""

    def __init__(self, request: bytes, response: bytes, password: str) -> None:
        self._size = len(request)
        self._head = request[_HEAD]
        self._signed_head = _signed(self._head)
        self._attributes = request[_ATTRIBUTES_AT : _INTEGRITY.start]
        self._key = hmac.new(password.encode(), digestmod="sha1")
        self._answer_head = response[_HEAD]
        self._signed_answer_head = _signed(self._answer_head)
        self._mapped, hidden = response[_ATTRIBUTES_AT:-_SEAL_BYTES], b""
        if len(self._mapped) > _IPV4_BYTES:
            self._mapped, hidden = self._mapped[:-_IPV4_BYTES], self._mapped[-_IPV4_BYTES:]
        self._hidden = int.from_bytes(hidden) ^ int.from_bytes(response[TRANSACTION_ID]) if hidden else None
        self._integrity_head = response[_INTEGRITY_HEAD]
        self._fingerprint_head = response[_FINGERPRINT_HEAD]

    def answer(self, data: bytes) -> bytes | None:
        """Return the answer to an authentic repetition; None to anything else, which has to be read."""
        if (
            len(data) != self._size
            or not data.startswith(self._head)
            or not data.startswith(self._attributes, _ATTRIBUTES_AT)
            or data[_FINGERPRINT] != fingerprint(data[_COVERED])
            or not hmac.compare_digest(data[_INTEGRITY], self._sign(self._signed_head, data[8:-_SEAL_BYTES]))
        ):
            return None
        transaction_id = data[TRANSACTION_ID]
        body = transaction_id + self._mapped
        if self._hidden is not None:
            body += (self._hidden ^ int.from_bytes(transaction_id)).to_bytes(_IPV4_BYTES)
        answer = self._answer_head + body + self._integrity_head + self._sign(self._signed_answer_head, body)
        return answer + self._fingerprint_head + fingerprint(answer)

    def _sign(self, head: bytes, body: bytes) -> bytes:
        code = self._key.copy()
        code.update(head)
        code.update(body)
        return code.digest()


def repeats_of(request: StunMessage, response: bytes, password: str) -> Repeats | None:
    """Return what answers the repetitions of `request`, which is authentic, as `success_response` answered it.

    None if the request does not end in an integrity and a fingerprint, as those of all known clients do.
    """
    raw = request.raw
    if request.integrity_at != len(raw) - _SEAL_BYTES or raw[_FINGERPRINT_HEAD] != response[_FINGERPRINT_HEAD]:
        return None
    return Repeats(raw, response, password)


def _signed(head: bytes) -> bytes:
    """Return a message's head as its integrity covers it: with a length that ends before the fingerprint."""
    length = int.from_bytes(head[2:4]) - 8
    return head[:2] + length.to_bytes(2) + head[4:]
