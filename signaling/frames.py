"""The frames of sockets on which clients and workers speak LiveKit's protocol, in the form that each prefers."""

from typing import Final, TypeVar

from google.protobuf.json_format import Parse, ParseError
from google.protobuf.message import DecodeError as ProtobufDecodeError
from google.protobuf.message import Message

from rtp.errors import DecodeError

MAX_JSON_PARTS: Final = 100_000
"""Of one message: objects, lists and what is in them. They are read slowly, a few microseconds each, and media waits."""

MessageT = TypeVar("MessageT", bound=Message)


def parse_frame(frame: bytes | str, message_type: type[MessageT]) -> MessageT:
    """Read the message in one frame: protobuf if it is binary, proto3 JSON if it is text. Raises DecodeError."""
    try:
        if isinstance(frame, str):
            check_json(frame)
            return Parse(frame, message_type(), ignore_unknown_fields=True)
        return message_type.FromString(frame)
    except (ParseError, ProtobufDecodeError, RecursionError) as error:
        raise DecodeError(f"no {message_type.DESCRIPTOR.name}, neither in protobuf nor in JSON") from error


def check_json(text: str) -> None:
    """Check, before it is read, that JSON has not too many parts. Raises DecodeError."""
    if sum(map(text.count, "{[,")) > MAX_JSON_PARTS:
        raise DecodeError(f"JSON of more than {MAX_JSON_PARTS} parts")
