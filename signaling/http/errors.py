"""How a handler refuses a request."""

from collections.abc import Mapping


class HttpError(Exception):
    """A request that cannot be granted: answered with this status, this plain text and these headers.

    An empty body is answered without a content type.
    """

    def __init__(self, status: int, body: str = "", headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{status} {body}")
        self.status = status
        self.body = body
        self.headers = headers or {}
