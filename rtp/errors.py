"""What `rtp` raises on purpose: the peer's fault and ours are different classes."""


class StackError(Exception):
    """Base of all that `rtp` raises on purpose."""


class RemoteProtocolError(StackError):
    """The peer broke the protocol: drop the datagram or close the transport."""


class DecodeError(RemoteProtocolError):
    """Bytes that cannot be read: the one exception that a `parse_` function lets out."""


class LocalProtocolError(StackError):
    """A caller asked for what the current state forbids: a bug on our side."""


class SendQueueFullError(LocalProtocolError):
    """A message was refused: too much waits to be sent. The caller may try again once some of it has left."""
