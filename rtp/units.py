"""The small types that every part of the stack speaks: ids, addresses, paths."""

from typing import NamedTuple, NewType, TypeAlias

Ssrc = NewType("Ssrc", int)
"""A synchronisation source (RFC 3550 §5.1): 32 bits."""

Mid = NewType("Mid", str)
"""The name of a media section (RFC 9143)."""

Rid = NewType("Rid", str)
"""The name of one simulcast encoding (RFC 8851)."""

Address: TypeAlias = tuple[str, int]
"""(IP literal, port). A plain pair, because the packet path makes one for each datagram."""


class Path(NamedTuple):
    """A pair of transport addresses that datagrams travel between: RFC 8445's candidate pair.

    A peer may reach two of our addresses from one of its own, so the remote address alone does not say by which
    socket to answer.
    """

    local: Address
    remote: Address
