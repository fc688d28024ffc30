"""Who may call what: the rules of LiveKit's server, of which each remote call has one."""

from collections.abc import Callable
from typing import Final, Protocol, TypeAlias

from google.protobuf.message import Message

from sfu.model import Claims, SipGrant, VideoGrant

Rule: TypeAlias = Callable[[Claims, Message], bool]


class OfRoom(Protocol):
    """A request about one room."""

    room: str


class FromRoomToRoom(OfRoom, Protocol):
    """A request about two rooms."""

    destination_room: str


class OfCall(Protocol):
    """A request about a call that is in a room."""

    room_name: str


def _video(allows: Callable[[VideoGrant], bool]) -> Rule:
    return lambda claims, _: allows(claims.video or VideoGrant())


def _sip(allows: Callable[[SipGrant], bool]) -> Rule:
    return lambda claims, _: allows(claims.sip or SipGrant())


may_create_rooms: Final = _video(lambda grant: grant.room_create)
may_list_rooms: Final = _video(lambda grant: grant.room_list)
may_record: Final = _video(lambda grant: grant.room_record)
may_administer_ingress: Final = _video(lambda grant: grant.ingress_admin)
may_administer_sip: Final = _sip(lambda grant: grant.admin)
may_call_by_sip: Final = _sip(lambda grant: grant.call)


def may_administer_room(claims: Claims, request: OfRoom) -> bool:
    """Whether the bearer may moderate the room that the request is about: it, and no other."""
    return _administers(claims, request.room)


def may_send_to_room(claims: Claims, request: FromRoomToRoom) -> bool:
    """Whether the bearer may moderate the one room, and let people into the other."""
    grant = claims.video or VideoGrant()
    return _administers(claims, request.room) and grant.destination_room == request.destination_room


def may_transfer_calls(claims: Claims, request: OfCall) -> bool:
    """Whether the bearer may pass on a call that is in the room."""
    return (claims.sip or SipGrant()).call and _administers(claims, request.room_name)


def _administers(claims: Claims, room: str) -> bool:
    grant = claims.video or VideoGrant()
    return grant.room_admin and grant.room == room
