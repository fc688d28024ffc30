"""Services that need workers which this server has not: it says what LiveKit's server says where they are missing.

Where that server waits for an answer that cannot come, this one says so at once.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import Message
from livekit.protocol import egress, ingress, sip
from livekit.protocol.sip import TransferSIPParticipantRequest

from sfu.model import Claims, Identity, RoomName
from sfu.room.rooms import Rooms
from signaling.api import grants
from signaling.api.twirp import AnyMethod, ErrorCode, InnerError, Method, TwirpService

_SIP_RULES: Final[Mapping[str, Callable[[Claims, Any], bool]]] = {
    "CreateSIPParticipant": grants.may_call_by_sip,
    "TransferSIPParticipant": grants.may_transfer_calls,
}


def absent_services(rooms: Rooms) -> tuple[TwirpService, ...]:
    """Return Egress, Ingress and SIP."""

    def start_egress(request: Message) -> Message:
        room = getattr(request, "room_name", "")  # a page can be recorded without any room
        if room and not rooms.is_open(RoomName(room)):
            raise InnerError(ErrorCode.NOT_FOUND, "requested room does not exist")
        raise InnerError(ErrorCode.UNAVAILABLE, "no response from servers")

    def transfer(request: TransferSIPParticipantRequest) -> Message:
        room = rooms.find(RoomName(request.room_name))
        if room is None or Identity(request.participant_identity) not in room.participants:
            raise InnerError(ErrorCode.NOT_FOUND, "participant does not exist")
        return _refuse("sip")(request)

    def egress_method(name: str) -> AnyMethod:
        return Method(grants.may_record, start_egress if name.startswith("Start") else _refuse("egress"))

    def sip_method(name: str) -> AnyMethod:
        serve = transfer if name == "TransferSIPParticipant" else _refuse("sip")
        return Method(_SIP_RULES.get(name, grants.may_administer_sip), serve)

    return (
        _service(egress.DESCRIPTOR.services_by_name["Egress"], egress_method),
        _service(
            ingress.DESCRIPTOR.services_by_name["Ingress"],
            lambda _: Method(grants.may_administer_ingress, _refuse("ingress")),
        ),
        _service(sip.DESCRIPTOR.services_by_name["SIP"], sip_method),
    )


def _service(descriptor: ServiceDescriptor, method: Callable[[str], AnyMethod]) -> TwirpService:
    return TwirpService(descriptor, {name: method(name) for name in descriptor.methods_by_name})


def _refuse(what: str) -> Callable[[Message], Message]:
    def refuse(_request: Message) -> Message:
        raise InnerError(ErrorCode.INTERNAL, f"{what} not connected (redis required)")

    return refuse
