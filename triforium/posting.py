"""Posts over the kernel's network: to those who are told, and to those who are asked."""

import ssl
from collections.abc import Mapping
from typing import Final

import httpx  # noqa: ASYNC127 - the client that the design names; changing to its successor is a decision of its own

from signaling.webhooks import Post, UnreachableError
from triforium.server_api import Ask, ServerApiError

_FAILURES: Final = (httpx.HTTPError, httpx.InvalidURL, UnicodeError)
"""UnicodeError comes of a host that cannot be spelled in IDNA (RFC 5890 §2.3.2.1): a label empty or too long."""


def open_post() -> Post:
    """Return what posts by HTTP, and by HTTPS to those whom the system's authorities vouch for."""
    context = ssl.create_default_context()  # once: it reads all the authorities

    async def post(url: str, body: bytes, headers: Mapping[str, str]) -> int:
        try:
            # The caller limits the time. What the receiver says beyond its status is not even read.
            async with (
                httpx.AsyncClient(verify=context, timeout=None) as client,  # noqa: S113 - see above
                client.stream("POST", url, content=body, headers=headers) as response,
            ):
                return response.status_code
        except _FAILURES as error:
            raise UnreachableError(str(error)) from error

    return post


def open_ask(server: str) -> Ask:
    """Return what posts to paths of a server, given by its HTTP address, or gets them, and reads the answers."""
    context = ssl.create_default_context()

    async def ask(path: str, body: bytes | None, headers: Mapping[str, str]) -> tuple[int, bytes]:
        try:
            async with httpx.AsyncClient(verify=context, timeout=None) as client:  # noqa: S113 - the caller limits it
                method = "GET" if body is None else "POST"
                response = await client.request(method, server + path, content=body, headers=headers)
                return response.status_code, response.content
        except _FAILURES as error:
            raise ServerApiError(f"no server answers at {server}: {_why(error)}") from error

    return ask


def _why(error: BaseException) -> str:
    """Return the first reason given: of a certificate that is not trusted, only what lies beneath speaks."""
    beneath = error.__cause__ or error.__context__
    return str(error) or (_why(beneath) if beneath else type(error).__name__)
