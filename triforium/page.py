"""The page: `OK` for probes, the built-in page for people, the files it is made of, and tokens while developing."""

import gzip
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from string import Template
from typing import Annotated, Final, TypeAlias

import msgspec

from signaling.http.errors import HttpError
from signaling.http.exchange import Exchange
from signaling.http.routes import Handler, not_found

WEB: Final = Path(__file__).with_name("web")
HTML: Final = "text/html; charset=utf-8"
_TYPES: Final = {
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
    "LICENSE": "text/plain; charset=utf-8",
}
CLIENT_LIBRARY: Final = "livekit-client.umd.js"
"""Comes from npm when the package is built, and is not there in a tree that nobody has installed."""

PAGE_HEADERS: Final = {
    # In some browsers 'self' leaves out the WebSockets of the same host.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "media-src 'self' blob: mediastream:; connect-src 'self' ws: wss:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Permissions-Policy": "camera=(self), microphone=(self), display-capture=(self)",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}
FILE_HEADERS: Final = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-cache"}
"""Browsers keep files, and ask each time whether they still hold."""

MAX_VISIT_BYTES: Final = 4096

Name: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
"""64 characters are 256 bytes at most, which is what a join may have."""


class Visit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who asks the development server for a token, and for which room."""

    room: Name
    identity: Name
    name: Name


def page_handlers(mint: Callable[[Visit], str] | None, web: Path = WEB) -> Mapping[str, Handler]:
    """Everything that the page is: `/`, `/watch/ROOM`, and the paths below it that both use.

    Args:
        mint: Makes a token for whoever asks, in development. Without it people bring their own.
        web: Where the page's files are, if not in the package. They are read, and compressed, now.
    """
    assets = _load_assets(web)
    if CLIENT_LIBRARY in assets:
        front = _front_page(200, _fill_in(web / "index.html", mint))
    else:
        front = _front_page(503, web.joinpath("missing.html").read_text(encoding="utf-8"))
    watch = _page_giver(_fill_in(web / "watch.html", mint))
    handlers: dict[str, Handler] = {"/": front, "/watch/": watch, "/web/": _file_giver(assets)}
    return handlers | ({"/dev/token": _token_giver(mint)} if mint else {})


def _fill_in(file: Path, mint: Callable[[Visit], str] | None) -> str:
    return Template(file.read_text(encoding="utf-8")).substitute(tokens="given" if mint else "brought")


def _front_page(status: int, page: str) -> Handler:
    async def answer(exchange: Exchange) -> None:
        if "text/html" in exchange.request.header("Accept"):
            await exchange.respond(status, page.encode(), content_type=HTML, headers=PAGE_HEADERS)
        else:
            await exchange.respond(200, b"OK")

    return answer


def _page_giver(page: str) -> Handler:
    async def answer(exchange: Exchange) -> None:
        await exchange.respond(200, page.encode(), content_type=HTML, headers=PAGE_HEADERS)

    return answer


@dataclass(frozen=True, slots=True)
class _Asset:
    """A file that browsers may have, as it is and compressed."""

    content_type: str
    body: bytes
    compressed: bytes
    tag: str


def _file_giver(assets: Mapping[str, _Asset]) -> Handler:
    async def answer(exchange: Exchange) -> None:
        request = exchange.request
        asset = assets.get(request.path.removeprefix("/web/"))
        if asset is None:
            await not_found(exchange)
            return
        is_compressed = "gzip" in request.header("Accept-Encoding")
        body = asset.compressed if is_compressed else asset.body
        headers = {"ETag": asset.tag, "Vary": "Origin, Accept-Encoding"} | FILE_HEADERS
        if asset.tag in request.header("If-None-Match"):
            # RFC 9110 §8.6: the length that a 200 would have had, or none
            await exchange.respond(304, headers=headers | {"Content-Length": str(len(body))})
            return
        if is_compressed:
            headers["Content-Encoding"] = "gzip"
        await exchange.respond(200, body, content_type=asset.content_type, headers=headers)

    return answer


@cache
def _load_assets(web: Path) -> Mapping[str, _Asset]:
    return {file.name: _load(file) for file in web.iterdir() if _kind(file.name) in _TYPES}


def _load(file: Path) -> _Asset:
    body = file.read_bytes()
    tag = f'W/"{hashlib.sha256(body).hexdigest()[:20]}"'
    return _Asset(_TYPES[_kind(file.name)], body, gzip.compress(body, mtime=0), tag)


def _token_giver(mint: Callable[[Visit], str]) -> Handler:
    async def answer(exchange: Exchange) -> None:
        request = exchange.request
        if request.method != "POST":
            raise HttpError(405, "POST a visit", {"Allow": "POST"})
        # Other sites' scripts may read all our answers. A browser says with each POST whose script it is for.
        if request.header("Origin").partition("://")[2] != request.header("Host"):
            raise HttpError(403, "tokens are for this server's own page")
        body = await exchange.body()
        if len(body) > MAX_VISIT_BYTES:
            raise HttpError(413, "a visit is shorter")
        try:
            visit = msgspec.json.decode(body, type=Visit)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise HttpError(400, f"not a visit: {error}") from error
        token = msgspec.json.encode({"token": mint(visit)})
        await exchange.respond(200, token, content_type="application/json", headers={"Cache-Control": "no-store"})

    return answer


def _kind(name: str) -> str:
    return name.rpartition(".")[2]
