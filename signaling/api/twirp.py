"""Twirp, version 7: remote calls by HTTP POST, of protobuf messages or of their JSON form.

One dispatcher for all services: what methods there are, and what they take and give, is read from the services'
descriptors. A service says of each method who may call it and what to do.
"""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, Generic, TypeAlias, TypeVar

import trio
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor, ServiceDescriptor
from google.protobuf.json_format import MessageToDict, Parse, ParseError
from google.protobuf.message import DecodeError as ProtobufDecodeError
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from rtp.errors import DecodeError
from sfu.model import Claims
from signaling import tokens
from signaling.frames import check_json
from signaling.http.errors import HttpError
from signaling.http.exchange import Exchange
from signaling.http.routes import Handler

PREFIX: Final = "/twirp/"

_JSON: Final = "application/json"
"""Without a charset: the JavaScript SDK reads the body of an error under exactly this type."""

_PROTOBUF: Final = "application/protobuf"

_INNER: Final = "twirp error unknown: "
"""LiveKit's server puts this before what its inner layers say; those who match on messages know them so."""


class ErrorCode(Enum):
    """What went wrong, with the HTTP status that goes with it (the error codes of Twirp's specification)."""

    CANCELED = ("canceled", 408)
    UNKNOWN = ("unknown", 500)
    INVALID_ARGUMENT = ("invalid_argument", 400)
    MALFORMED = ("malformed", 400)
    DEADLINE_EXCEEDED = ("deadline_exceeded", 408)
    NOT_FOUND = ("not_found", 404)
    BAD_ROUTE = ("bad_route", 404)
    ALREADY_EXISTS = ("already_exists", 409)
    PERMISSION_DENIED = ("permission_denied", 403)
    UNAUTHENTICATED = ("unauthenticated", 401)
    RESOURCE_EXHAUSTED = ("resource_exhausted", 429)
    FAILED_PRECONDITION = ("failed_precondition", 412)
    ABORTED = ("aborted", 409)
    OUT_OF_RANGE = ("out_of_range", 400)
    UNIMPLEMENTED = ("unimplemented", 501)
    INTERNAL = ("internal", 500)
    UNAVAILABLE = ("unavailable", 503)
    DATALOSS = ("dataloss", 500)


class TwirpError(HttpError):
    """A call that fails. `meta` is for programs, `message` for people."""

    def __init__(self, code: ErrorCode, message: str, meta: Mapping[str, str] | None = None) -> None:
        name, status = code.value
        body = {"code": name, "msg": message} | ({"meta": dict(meta)} if meta else {})
        super().__init__(status, _dump(body), {"Content-Type": _JSON})
        self.code = code
        self.message = message


class InnerError(TwirpError):
    """A call that fails in the room, or on the way to it."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(code, _INNER + message)


class ArgumentError(TwirpError):
    """A call that asks for what cannot be. `argument` says what, and is given to programs too."""

    def __init__(self, argument: str, detail: str = "") -> None:
        super().__init__(ErrorCode.INVALID_ARGUMENT, f"{argument} {detail}", {"argument": argument})


RequestT = TypeVar("RequestT", bound=Message)


@dataclass(frozen=True, slots=True)
class Method(Generic[RequestT]):
    """Who may call, and what then happens.

    What `serve` did is visible to others when it returns, or when what it returned has been awaited. It raises
    TwirpError.
    """

    allow: Callable[[Claims, RequestT], bool]
    serve: Callable[[RequestT], Message | Awaitable[Message]]


AnyMethod: TypeAlias = Method[Any]
"""Each takes a message of its own, of the type that its descriptor names."""


@dataclass(frozen=True, slots=True)
class TwirpService:
    """All methods of one service, by name. Those of the descriptor that are not there are served as unknown."""

    descriptor: ServiceDescriptor
    methods: Mapping[str, AnyMethod]

    def __post_init__(self) -> None:
        assert self.methods.keys() <= set(self.descriptor.methods_by_name), "a method has its name from the protocol"


@dataclass(frozen=True, slots=True)
class TwirpServer:
    """Answers calls for those who have a token. `keys` are secrets by API key, `wall` gives Unix seconds."""

    keys: Mapping[str, str]
    wall: Callable[[], float]

    def handlers(self, *services: TwirpService) -> dict[str, Handler]:
        """What to answer under which path."""
        return {f"{PREFIX}{service.descriptor.full_name}/": self._handler(service) for service in services}

    def _handler(self, service: TwirpService) -> Handler:
        async def answer(exchange: Exchange) -> None:
            await self._answer(service, exchange)

        return answer

    async def _answer(self, service: TwirpService, exchange: Exchange) -> None:
        claims = tokens.authenticate(exchange.request, self.keys, self.wall())
        descriptor, method, is_json = _route(service, exchange)
        if claims is None:  # of those whom nobody knows not even the body is read
            raise _denied()
        exchange.vouch()
        request = parse_message(await exchange.body(), descriptor, is_json=is_json)
        if not method.allow(claims, request):
            raise _denied()
        response = method.serve(request)
        if not isinstance(response, Message):
            response = await response
        if is_json:
            await exchange.respond(200, await _to_json(response), content_type=_JSON)
        else:  # named even where there is no body: an empty message is one
            body = response.SerializeToString()
            await exchange.respond(200, body, headers={"Content-Type": _PROTOBUF})


def parse_message(body: bytes, method: MethodDescriptor, *, is_json: bool) -> Message:
    """Read the request of a method. Raises TwirpError (malformed)."""
    request: Message = GetMessageClass(method.input_type)()
    try:
        if is_json:
            text = body.decode()
            check_json(text)
            return Parse(text, request, ignore_unknown_fields=True)
        request.ParseFromString(body)
    except (ParseError, ProtobufDecodeError, DecodeError, UnicodeDecodeError, RecursionError) as error:
        form = "json" if is_json else "protobuf"
        raise TwirpError(ErrorCode.MALFORMED, f"the {form} request could not be decoded") from error
    return request


def _route(service: TwirpService, exchange: Exchange) -> tuple[MethodDescriptor, AnyMethod, bool]:
    """Find the method, and whether the request is JSON. Raises TwirpError (bad_route)."""
    request = exchange.request
    if request.method != "POST":
        raise _bad_route(exchange, f'unsupported method "{request.method}" (only POST is allowed)')
    name = request.path.rpartition("/")[2]
    method = service.methods.get(name)
    if method is None or request.path != f"{PREFIX}{service.descriptor.full_name}/{name}":
        raise _bad_route(exchange, f'no handler for path "{request.path}"')
    content_type = request.header("Content-Type")
    form = content_type.partition(";")[0].strip().lower()
    if form not in (_JSON, _PROTOBUF):
        raise _bad_route(exchange, f'unexpected Content-Type: "{content_type}"')
    return service.descriptor.methods_by_name[name], method, form == _JSON


def _bad_route(exchange: Exchange, message: str) -> TwirpError:
    route = f"{exchange.request.method} {exchange.request.path}"
    return TwirpError(ErrorCode.BAD_ROUTE, message, {"twirp_invalid_route": route})


def _denied() -> TwirpError:
    return TwirpError(ErrorCode.UNAUTHENTICATED, "permissions denied")


async def _to_json(message: Message) -> bytes:
    """Write a message as LiveKit's server does: every field, by its name in the protocol, absent messages as null.

    Lists of messages, which may be as long as a room has people, are written one at a time: media goes first.
    """
    rest = type(message)()
    rest.CopyFrom(message)
    lists: dict[str, list[dict[str, object]]] = {}
    for field, value in message.ListFields():
        if field.type == FieldDescriptor.TYPE_MESSAGE and isinstance(value, Sequence):
            rest.ClearField(field.name)
            lists[field.name] = written = []
            for each in value:
                written.append(_to_dict(each))
                await trio.lowlevel.checkpoint()
    return _dump(_to_dict(rest) | lists).encode()


def _to_dict(message: Message) -> dict[str, object]:
    fields = MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
    return _with_nulls(message, fields)


def _with_nulls(message: Message, fields: dict[str, object]) -> dict[str, object]:
    for field in message.DESCRIPTOR.fields:
        inner, written = getattr(message, field.name), fields.get(field.name)
        if field.type != FieldDescriptor.TYPE_MESSAGE or isinstance(inner, Mapping):
            continue
        if isinstance(written, list):
            for each, each_written in zip(inner, written, strict=True):
                _with_nulls(each, each_written)
        elif isinstance(written, dict):
            _with_nulls(inner, written)
        elif field.containing_oneof is None:
            fields[field.name] = None
    return fields


def _dump(fields: Mapping[str, object]) -> str:
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
