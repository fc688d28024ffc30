"""Remote procedure calls that the server makes to participants, by data packets: LiveKit's RPC, version 1."""

from collections.abc import Callable
from typing import Final

import trio
from livekit.protocol import models

from sfu.data.packets import Person
from sfu.model import Identity

MAX_PAYLOAD_BYTES: Final = 15_360
ACKNOWLEDGE_SECONDS: Final = 2.0
"""For the participant to say that it has the call."""

RESPONSE_SECONDS: Final = 10.0
"""For the participant to answer, if the caller does not say."""

_VERSION: Final = 1


class RpcError(Exception):
    """A call that failed: `code` and `message` are the participant's, or one of the protocol's own."""

    REQUEST_TOO_LARGE: Final = 1402
    CONNECTION_TIMEOUT: Final = 1501
    RESPONSE_TIMEOUT: Final = 1502
    RECIPIENT_DISCONNECTED: Final = 1503

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"RpcError {code}: {message}")
        self.code = code
        self.message = message


class _Call:
    """One call under way."""

    def __init__(self, destination: Identity) -> None:
        self.destination = destination
        self.acknowledged = trio.Event()
        self.answered = trio.Event()
        self.response = models.RpcResponse()

    def answer(self, response: models.RpcResponse) -> None:
        self.response = response
        self.acknowledged.set()  # whoever answers at once may not have said before that it has the call
        self.answered.set()


class ServerCalls:
    """The calls of one room that wait for their answers. The caller is no participant: each call has a name of its own."""

    def __init__(self, send: Callable[[models.DataPacket, models.DataPacket.Kind], None]) -> None:
        self._send = send
        self._calls: dict[str, _Call] = {}

    async def perform(
        self, call_id: str, destination: Identity, method: str, payload: str, response_seconds: float
    ) -> str:
        """Call a method of somebody's, and return the answer.

        Args:
            call_id: What nobody else is called: it names the call, and its caller.
            destination: Who is called.
            method: What is called.
            payload: What is given to it.
            response_seconds: For the answer.

        Raises:
            RpcError: the payload is too long, the method fails, or no answer came.
        """
        if len(payload.encode()) > MAX_PAYLOAD_BYTES:
            raise RpcError(RpcError.REQUEST_TOO_LARGE, "Request payload too large")
        call = self._calls[call_id] = _Call(destination)
        request = models.RpcRequest(
            id=call_id,
            method=method,
            payload=payload,
            response_timeout_ms=round(response_seconds * 1000),
            version=_VERSION,
        )
        packet = models.DataPacket(
            participant_identity=call_id, destination_identities=[destination], rpc_request=request
        )
        try:
            self._send(packet, models.DataPacket.RELIABLE)
            return await _response(call, trio.current_time() + response_seconds)
        finally:
            del self._calls[call_id]

    def take(self, packet: models.DataPacket, sender: Person) -> bool:
        """Take what answers a call of ours, and say so; it goes no further."""
        if packet.HasField("rpc_ack"):
            request_id = packet.rpc_ack.request_id
        elif packet.HasField("rpc_response"):
            request_id = packet.rpc_response.request_id
        else:
            return False
        call = self._calls.get(request_id)
        if call is None or call.destination != sender.identity:
            return False
        if packet.HasField("rpc_ack"):
            call.acknowledged.set()
        else:
            call.answer(packet.rpc_response)
        return True

    def lost(self, identity: Identity) -> None:
        """End the calls to somebody who has gone."""
        error = models.RpcError(code=RpcError.RECIPIENT_DISCONNECTED, message="Recipient disconnected")
        for call in self._calls.values():
            if call.destination == identity:
                call.answer(models.RpcResponse(error=error))


async def _response(call: _Call, deadline: float) -> str:
    with trio.move_on_at(min(deadline, trio.current_time() + ACKNOWLEDGE_SECONDS)):
        await call.acknowledged.wait()
    if not call.acknowledged.is_set():
        raise RpcError(RpcError.CONNECTION_TIMEOUT, "Connection timeout")
    with trio.move_on_at(deadline):
        await call.answered.wait()
    if not call.answered.is_set():
        raise RpcError(RpcError.RESPONSE_TIMEOUT, "Response timeout")
    if call.response.HasField("error"):
        raise RpcError(call.response.error.code, call.response.error.message)
    return call.response.payload
