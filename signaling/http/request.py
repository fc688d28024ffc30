"""What a client asked for: the head of a request, read."""

from dataclasses import dataclass
from urllib.parse import parse_qs

import h11

from signaling.http.errors import HttpError

_MAX_PARAMETERS = 1_000


@dataclass(frozen=True, slots=True)
class Request:
    """The head of one request.

    `path` begins with exactly one slash. `query` has every value of each parameter, `headers` one value under each
    lower-case name (RFC 9110 §5.2 joins repeated ones). `peer` is the address of the socket's other end.
    """

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    peer: str

    def header(self, name: str) -> str:
        """The header's value, or an empty string."""
        return self.headers.get(name.lower(), "")

    def parameter(self, name: str) -> str:
        """The first value of a query parameter, or an empty string."""
        return self.query.get(name, [""])[0]

    @property
    def client_address(self) -> str:
        """Where the client is, as the proxy before us says, or else the socket."""
        proxied = (self.header(name) for name in ("CF-Connecting-IP", "X-Forwarded-For", "X-Real-IP"))
        return next(filter(None, proxied), self.peer)

    @property
    def wants_websocket(self) -> bool:
        """Whether this is a WebSocket's opening handshake (RFC 6455 §4.1)."""
        tokens = (token.strip().lower() for token in self.header("Connection").split(","))
        return self.method == "GET" and "upgrade" in tokens and self.header("Upgrade").lower() == "websocket"


def parse_request(head: h11.Request, peer: str) -> Request:
    """Read a request's head.

    Raises:
        HttpError: 400, if there are too many parameters.
    """
    path, _, query = head.target.decode("latin-1").partition("?")
    if "://" in path and not path.startswith("/"):  # RFC 9112 §3.2.2: the absolute form, as proxies send it
        path = path.partition("://")[2].partition("/")[2]
    headers: dict[str, str] = {}
    for raw_name, raw_value in head.headers:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    try:
        parameters = parse_qs(query, keep_blank_values=True, max_num_fields=_MAX_PARAMETERS)
    except ValueError as error:
        raise HttpError(400, "too many parameters") from error
    # Clients that were given an address with a slash at its end ask for `//rtc`.
    return Request(head.method.decode("latin-1"), "/" + path.lstrip("/"), parameters, headers, peer)
