"""`/`: `OK` for whoever checks our health, a page of words for people."""

import html
from collections.abc import Callable
from importlib.resources import files
from string import Template
from typing import Final

from signaling.http.exchange import Exchange
from signaling.http.routes import Handler

_PAGE: Final = Template(files("triforium").joinpath("web", "index.html").read_text(encoding="utf-8"))
_DEVELOPMENT: Final = Template(
    "<h2>To try it</h2>"
    "<p>Give a client this address and this token for the room <code>$room</code>. Each visit makes a new visitor."
    " LiveKit's own page at <a href='https://meet.livekit.io/?tab=custom'>meet.livekit.io</a> is such a client.</p>"
    "<p><code>$token</code></p>"
    "<p>The server was started with <code>--dev</code>: its key and secret are known to everybody.</p>"
)

ROOM: Final = "lobby"


def front_page(visitor_token: Callable[[str], str] | None) -> Handler:
    """Answer `/`. With `visitor_token`, which makes a token for a room, the page offers one to try."""

    async def answer(exchange: Exchange) -> None:
        request = exchange.request
        if "text/html" not in request.header("Accept"):
            await exchange.respond(200, b"OK")
            return
        scheme = "wss" if request.header("X-Forwarded-Proto") == "https" else "ws"
        development = ""
        if visitor_token is not None and not request.header("Origin"):  # a person's visit, not another site's script
            development = _DEVELOPMENT.substitute(room=ROOM, token=visitor_token(ROOM))
        page = _PAGE.substitute(url=html.escape(f"{scheme}://{request.header('Host')}"), development=development)
        await exchange.respond(200, page.encode(), content_type="text/html; charset=utf-8")

    return answer
