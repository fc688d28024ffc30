"""How a handler refuses a request."""


class HttpError(Exception):
    """A request that cannot be granted; the listener answers it with this status and this plain text.

    An empty body is answered without a content type.
    """

    def __init__(self, status: int, body: str = "") -> None:
        super().__init__(f"{status} {body}")
        self.status = status
        self.body = body
