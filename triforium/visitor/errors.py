"""What can go wrong for a visitor."""


class VisitorError(Exception):
    """Base of all that a visitor raises on purpose."""


class JoinRefusedError(VisitorError):
    """The server did not let us in; `status` and `body` are its HTTP answer."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(f"{status} {body}")
        self.status = status
        self.body = body


class SignalLostError(VisitorError):
    """The WebSocket is over; `code` is the server's close code, or 1006 if it left without one."""

    def __init__(self, code: int) -> None:
        super().__init__(f"the signal connection was closed with code {code}")
        self.code = code


class PublishRefusedError(VisitorError):
    """The server does not let us publish; `reason` is the name of its RequestResponse's."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(f"{reason} {message}")
        self.reason = reason


class LeftError(VisitorError):
    """The visitor is no longer in the room, so what was waited for cannot come."""
