"""Signal messages on their way to a client: made once, serialised once for each form, however many get them."""

from typing import Protocol

from google.protobuf.json_format import MessageToJson
from livekit.protocol import rtc


class Outgoing:
    """One message, and its bytes once somebody has asked for them."""

    __slots__ = ("_binary", "_text", "message")

    def __init__(self, message: rtc.SignalResponse) -> None:
        self.message = message
        self._binary: bytes | None = None
        self._text: str | None = None

    @property
    def binary(self) -> bytes:
        """The message as a binary frame."""
        if self._binary is None:
            self._binary = self.message.SerializeToString()
        return self._binary

    @property
    def text(self) -> str:
        """The message as a frame of JSON: camel case, defaults left out."""
        if self._text is None:
            self._text = MessageToJson(self.message, indent=None)
        return self._text


class SignalSink(Protocol):
    """Where a participant's messages go: the near end of a relay to its socket. Never blocks."""

    def send(self, outgoing: Outgoing) -> None:
        """Queue one message, in order. A sink that is full or closed drops it, and ends the socket."""

    def close(self) -> None:
        """End the socket once what is queued has been sent. Idempotent."""
