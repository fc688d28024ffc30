"""How requests of a signal connection are refused."""

from livekit.protocol import rtc


class RefusedError(Exception):
    """A request that gets a `RequestResponse` with this reason."""

    def __init__(self, reason: rtc.RequestResponse.Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason

    def response(self, request: rtc.SignalRequest) -> rtc.SignalResponse:
        """Return the answer, with the request that it answers: of a kind that LiveKit's schema has a place for there."""
        kind = request.WhichOneof("message")
        assert kind is not None, "nothing was refused"
        request_id = request.update_metadata.request_id  # 0 for all else
        response = rtc.RequestResponse(request_id=request_id, reason=self.reason, message=str(self))
        getattr(response, kind).CopyFrom(getattr(request, kind))
        return rtc.SignalResponse(request_response=response)
