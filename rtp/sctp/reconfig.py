"""Stream resets, by which data channels close (RFC 6525 §5.1.2, §5.2.2; RFC 8831 §6.7)."""

from typing import Final

from rtp.sctp.chunks import Reconfig
from rtp.sctp.parameters import OutgoingResetRequest, ReconfigResponse, ResetResult

MAX_STREAMS_A_REQUEST: Final = 512
"""So that a request fits into a packet of ours; what is left waits for the next one."""


class StreamResets:
    """Both sides of the outgoing reset: ours asked of the peer, and the peer's answered.

    Only one request of ours is under way at a time (RFC 6525 §5.1.1); it is repeated until answered.
    """

    def __init__(self, initial_tsn: int, peer_initial_tsn: int) -> None:
        """Count our requests from one initial TSN, and expect the peer's to be counted from its own."""
        self.next_retry_at: float | None = None
        self._waiting: dict[int, None] = {}  # an ordered set
        self._request: OutgoingResetRequest | None = None
        self._next_request = initial_tsn & 0xFFFF_FFFF
        self._expected = peer_initial_tsn  # the number of the peer's next request
        self._last_result = ResetResult.NOTHING_TO_DO

    def add(self, stream: int) -> None:
        """Ask for `stream` in the next request."""
        self._waiting[stream] = None

    @property
    def is_waiting(self) -> bool:
        """Whether there are streams to ask for."""
        return bool(self._waiting)

    def poll(self, last_tsn: int, retry_at: float) -> list[Reconfig]:
        """Return a new request, if one is due. `last_tsn` is the last that we assigned (§5.1.2)."""
        if self._request is not None or not self._waiting:
            return []
        streams = list(self._waiting)[:MAX_STREAMS_A_REQUEST]
        for stream in streams:
            del self._waiting[stream]
        answered = (self._expected - 1) & 0xFFFF_FFFF
        self._request = OutgoingResetRequest(self._next_request, answered, last_tsn & 0xFFFF_FFFF, streams)
        self._next_request = (self._next_request + 1) & 0xFFFF_FFFF
        self.next_retry_at = retry_at
        return [Reconfig([self._request])]

    def retry(self, retry_at: float) -> list[Reconfig]:
        """Return the unanswered request again, with its number."""
        self.next_retry_at = retry_at if self._request else None
        return [Reconfig([self._request])] if self._request else []

    def receive_response(self, response: ReconfigResponse) -> tuple[list[int], bool]:
        """Take the peer's answer; return the streams of ours that it settles, and whether they start anew."""
        request = self._request
        if request is None or response.request != request.request:
            return [], False
        if response.result in {ResetResult.IN_PROGRESS, ResetResult.REQUEST_IN_PROGRESS}:
            return [], False  # our data before the reset is still on its way: retry() asks again
        self._request = None
        self.next_retry_at = None
        return request.streams, response.result in {ResetResult.NOTHING_TO_DO, ResetResult.PERFORMED}

    def receive_request(self, request: OutgoingResetRequest, cumulative: int) -> tuple[ReconfigResponse, bool]:
        """Return the answer to a request of the peer, and whether its streams must be reset now.

        `cumulative` is the last TSN up to which all has come: data sent before the reset must be in first.
        """
        behind = (self._expected - request.request) & 0xFFFF_FFFF
        if behind == 0:
            self._expected = (self._expected + 1) & 0xFFFF_FFFF
        elif behind != 1:
            return ReconfigResponse(request.request, ResetResult.BAD_SEQUENCE_NUMBER), False
        elif self._last_result != ResetResult.IN_PROGRESS:  # our answer was lost: give it again, do it once
            return ReconfigResponse(request.request, self._last_result), False
        is_complete = (cumulative - request.last_tsn) & 0xFFFF_FFFF < 1 << 31
        self._last_result = ResetResult.PERFORMED if is_complete else ResetResult.IN_PROGRESS
        return ReconfigResponse(request.request, self._last_result), is_complete
