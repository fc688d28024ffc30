# Made from proto/triforium/routing.proto by `make proto`.
# What the compiler writes is not in our style:
# ruff: noqa: PGH004
# ruff: noqa
# mypy: disable-error-code=type-arg
# fmt: off
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SessionStart(_message.Message):
    __slots__ = ("room", "claims", "join_request", "single_connection")
    ROOM_FIELD_NUMBER: _ClassVar[int]
    CLAIMS_FIELD_NUMBER: _ClassVar[int]
    JOIN_REQUEST_FIELD_NUMBER: _ClassVar[int]
    SINGLE_CONNECTION_FIELD_NUMBER: _ClassVar[int]
    room: str
    claims: bytes
    join_request: bytes
    single_connection: bool
    def __init__(self, room: _Optional[str] = ..., claims: _Optional[bytes] = ..., join_request: _Optional[bytes] = ..., single_connection: bool = ...) -> None: ...

class SessionStarted(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class SessionRefused(_message.Message):
    __slots__ = ("status", "text")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    status: int
    text: str
    def __init__(self, status: _Optional[int] = ..., text: _Optional[str] = ...) -> None: ...

class Frame(_message.Message):
    __slots__ = ("binary", "text")
    BINARY_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    binary: bytes
    text: str
    def __init__(self, binary: _Optional[bytes] = ..., text: _Optional[str] = ...) -> None: ...

class ToSession(_message.Message):
    __slots__ = ("start", "frame")
    START_FIELD_NUMBER: _ClassVar[int]
    FRAME_FIELD_NUMBER: _ClassVar[int]
    start: SessionStart
    frame: Frame
    def __init__(self, start: _Optional[_Union[SessionStart, _Mapping]] = ..., frame: _Optional[_Union[Frame, _Mapping]] = ...) -> None: ...

class FromSession(_message.Message):
    __slots__ = ("started", "refused", "frame")
    STARTED_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    FRAME_FIELD_NUMBER: _ClassVar[int]
    started: SessionStarted
    refused: SessionRefused
    frame: Frame
    def __init__(self, started: _Optional[_Union[SessionStarted, _Mapping]] = ..., refused: _Optional[_Union[SessionRefused, _Mapping]] = ..., frame: _Optional[_Union[Frame, _Mapping]] = ...) -> None: ...
