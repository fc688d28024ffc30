"""What a request, or a token, asks of the room that it may make."""

from google.protobuf.json_format import ParseDict, ParseError
from livekit.protocol.agent_dispatch import CreateAgentDispatchRequest, RoomAgentDispatch
from livekit.protocol.room import CreateRoomRequest, RoomConfiguration

from sfu.agents.worker import DeploymentError, check_deployment
from sfu.settings import AgentWish, PlayoutDelay, RoomWishes
from signaling.http.errors import HttpError


def room_wishes(asked: CreateRoomRequest | RoomConfiguration) -> RoomWishes:
    """Return what of a request rooms know to do. Raises DeploymentError."""
    return RoomWishes(
        asked.empty_timeout,
        asked.departure_timeout,
        asked.max_participants,
        asked.metadata,
        tuple(map(agent_wish, asked.agents)),
        asked.sync_streams,
        PlayoutDelay(asked.min_playout_delay, asked.max_playout_delay),
    )


def agent_wish(asked: RoomAgentDispatch | CreateAgentDispatchRequest) -> AgentWish:
    """Return which agents are asked for. Raises DeploymentError."""
    check_deployment(asked.deployment)
    return AgentWish(asked.agent_name, asked.metadata, dict(asked.attributes), asked.deployment)


def configured_wishes(configuration: dict[str, object] | None) -> RoomWishes:
    """Read a RoomConfiguration in proto3 JSON, as a token has it. Raises HttpError (400) if it is none."""
    if not configuration:
        return RoomWishes()
    try:
        return room_wishes(ParseDict(configuration, RoomConfiguration(), ignore_unknown_fields=True))
    except (ParseError, DeploymentError) as error:
        raise HttpError(400, "the token's room configuration cannot be read") from error
