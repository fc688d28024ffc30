"""`livekit.AgentDispatchService`: agents sent to rooms, looked at and called back by an operator's back end."""

from dataclasses import dataclass

from livekit.protocol.agent_dispatch import (
    DESCRIPTOR,
    AgentDispatch,
    CreateAgentDispatchRequest,
    DeleteAgentDispatchRequest,
    ListAgentDispatchRequest,
    ListAgentDispatchResponse,
)

from sfu.agents.agents import Agents
from sfu.agents.worker import DeploymentError
from sfu.errors import LimitExceededError, RoomClosedError
from sfu.model import RoomName
from sfu.room.room import Room
from sfu.room.rooms import Rooms
from signaling.api.grants import may_administer_room
from signaling.api.twirp import ErrorCode, InnerError, Method, TwirpService
from signaling.wishes import agent_wish


@dataclass(frozen=True, slots=True)
class AgentDispatchService:
    """Carries out what is asked of agents in the rooms of this process; with `auto_create` rooms are made for them."""

    agents: Agents
    rooms: Rooms
    auto_create: bool

    def service(self) -> TwirpService:
        """Return the calls that are served, with who may make them."""
        return TwirpService(
            DESCRIPTOR.services_by_name["AgentDispatchService"],
            {
                "CreateDispatch": Method(may_administer_room, self.create_dispatch),
                "DeleteDispatch": Method(may_administer_room, self.delete_dispatch),
                "ListDispatch": Method(may_administer_room, self.list_dispatch),
            },
        )

    async def create_dispatch(self, request: CreateAgentDispatchRequest) -> AgentDispatch:
        """Send agents to a room; they are asked after this returns. Raises TwirpError."""
        try:
            wish = agent_wish(request)
            self.rooms.environment.limits.check_profile("", wish.metadata, wish.attributes)
            if not (self.auto_create or self.rooms.is_open(RoomName(request.room))):
                raise _no_room()
            room = await self.rooms.open(RoomName(request.room))
        except DeploymentError as error:
            raise InnerError(ErrorCode.INVALID_ARGUMENT, str(error)) from error
        except LimitExceededError as error:
            raise InnerError(ErrorCode.INVALID_ARGUMENT, f"{error.what.value} exceeds limits") from error
        except RoomClosedError as error:
            raise InnerError(ErrorCode.UNAVAILABLE, str(error)) from error
        return self.agents.create_dispatch(room, wish)

    def delete_dispatch(self, request: DeleteAgentDispatchRequest) -> AgentDispatch:
        """Call agents back: their workers have been told when this returns. Raises TwirpError."""
        dispatch = self.agents.delete_dispatch(self._room(request.room), request.dispatch_id)
        if dispatch is None:
            raise InnerError(ErrorCode.NOT_FOUND, "dispatch ID not found")
        return dispatch

    def list_dispatch(self, request: ListAgentDispatchRequest) -> ListAgentDispatchResponse:
        """Return the dispatches of a room, or the one that is named. Raises TwirpError."""
        dispatches = self.agents.list_dispatches(self._room(request.room))
        wanted = request.dispatch_id
        return ListAgentDispatchResponse(agent_dispatches=[each for each in dispatches if wanted in ("", each.id)])

    def _room(self, name: str) -> Room:
        if (room := self.rooms.find(RoomName(name))) is None:
            raise _no_room()
        return room


def _no_room() -> InnerError:
    return InnerError(ErrorCode.UNAVAILABLE, "no response from servers")
