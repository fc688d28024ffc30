"""`/` for probes and for people, the files of the page, and tokens for it while developing."""

import gzip
import json
from pathlib import Path

import pytest
import trio

from signaling.http.routes import Routes
from tests.signaling.client import Answer, Client
from triforium.page import MAX_VISIT_BYTES, WEB, Visit, page_handlers

HTML = {"Accept": "text/html,application/xhtml+xml", "Host": "sfu.example:7880"}
OWN_ORIGIN = {"Host": "sfu.example:7880", "Origin": "https://sfu.example:7880"}
VISIT = {"room": "lobby", "identity": "alice-1", "name": "Alice"}


def mint(visit: Visit) -> str:
    return f"{visit.room}/{visit.identity}/{visit.name}"


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The page's files, as if npm had brought the library."""
    for file in WEB.iterdir():
        if file.is_file():
            (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "livekit-client.umd.js").write_text("// the library")
    return tmp_path


@pytest.fixture
def page(nursery: trio.Nursery, installed: Path) -> Client:
    return Client(nursery, Routes(page_handlers(None, installed)))


@pytest.fixture
def development_page(nursery: trio.Nursery, installed: Path) -> Client:
    return Client(nursery, Routes(page_handlers(mint, installed)))


async def test_a_probe_gets_two_letters(development_page: Client) -> None:
    for headers in ({}, {"Accept": "*/*"}):
        answer = await development_page.get("/", headers)
        assert (answer.status, answer.body) == (200, b"OK")


async def test_a_person_gets_the_page_under_a_strict_policy(page: Client) -> None:
    answer = await page.get("/", HTML)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert '<script src="/web/main.js" type="module">' in answer.text
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "unsafe" not in policy
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Permissions-Policy"] == "camera=(self), microphone=(self), display-capture=(self)"


async def test_a_head_has_all_but_the_page(page: Client) -> None:
    full = await page.get("/", HTML)
    await page.stream.send_all(b"HEAD / HTTP/1.1\r\nHost: sfu.example:7880\r\nAccept: text/html\r\n\r\n")
    head = await page.stream.receive_some(65536)
    assert f"Content-Length: {len(full.body)}".encode() in head
    assert head.endswith(b"\r\n\r\n")


async def test_other_origins_may_read_the_page_as_all_answers(page: Client) -> None:
    answer = await page.get("/", HTML | {"Origin": "https://elsewhere.example"})
    assert answer.headers["Access-Control-Allow-Origin"] == "https://elsewhere.example"


async def test_the_page_knows_whether_the_server_gives_tokens(page: Client, development_page: Client) -> None:
    assert 'name="triforium-tokens" content="brought"' in (await page.get("/", HTML)).text
    assert 'name="triforium-tokens" content="given"' in (await development_page.get("/", HTML)).text


async def test_a_room_is_watched_on_a_page_under_the_same_policy(page: Client, development_page: Client) -> None:
    front, watch = await page.get("/", HTML), await page.get("/watch/lobby", HTML)
    assert (watch.status, watch.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert watch.headers["Content-Security-Policy"] == front.headers["Content-Security-Policy"]
    assert 'content="brought"' in watch.text
    assert 'content="given"' in (await development_page.get("/watch/a%20room", HTML)).text


async def test_a_page_without_its_library_says_how_to_install_it(nursery: trio.Nursery, installed: Path) -> None:
    (installed / "livekit-client.umd.js").unlink()
    client = Client(nursery, Routes(page_handlers(None, installed)))
    answer = await client.get("/", HTML)
    assert answer.status == 503
    assert "<code>make install</code>" in answer.text
    assert "<script" not in answer.text
    assert (await client.get("/")).body == b"OK"


async def test_every_file_that_the_page_names_is_there(page: Client) -> None:
    names = [file.name for file in WEB.iterdir() if file.suffix in {".js", ".css", ".svg"}]
    assert {"main.js", "base.css", "icon.svg"} < set(names)
    for name in names:
        answer = await page.get(f"/web/{name}")
        assert answer.status == 200
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    for reference in ("src", "href"):
        html = (await page.get("/", HTML)).text
        for path in [part.partition('"')[0] for part in html.split(f'{reference}="/')[1:]]:
            assert (await page.get(f"/{path}")).status == 200, path


async def test_files_come_compressed_to_who_can_read_it(page: Client) -> None:
    plain = await page.get("/web/main.js")
    compressed = await page.get("/web/main.js", {"Accept-Encoding": "gzip, br"})
    assert plain.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert compressed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(compressed.body) == plain.body == (WEB / "main.js").read_bytes()


async def test_a_file_that_still_holds_is_not_sent_again(page: Client) -> None:
    tag = (await page.get("/web/main.js")).headers["ETag"]
    answer = await page.get("/web/main.js", {"If-None-Match": tag})
    assert (answer.status, answer.body) == (304, b"")


@pytest.mark.parametrize("name", ["", "nothing.js", "../page.py", "%2e%2e/page.py", "package.json", "index.html"])
async def test_nothing_else_is_served(page: Client, name: str) -> None:
    assert (await page.get(f"/web/{name}")).status == 404


async def visit(client: Client, body: bytes, headers: dict[str, str] = OWN_ORIGIN) -> Answer:
    return await client.ask("POST", "/dev/token", headers, body)


async def test_the_development_page_gets_a_token(development_page: Client) -> None:
    answer = await visit(development_page, json.dumps(VISIT).encode())
    assert json.loads(answer.body) == {"token": "lobby/alice-1/Alice"}
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "origin", [{}, {"Origin": "https://elsewhere.example"}, {"Origin": "null"}, {"Origin": "https://sfu.example"}]
)
async def test_other_pages_get_none(development_page: Client, origin: dict[str, str]) -> None:
    answer = await visit(development_page, json.dumps(VISIT).encode(), {"Host": "sfu.example:7880"} | origin)
    assert answer.status == 403
    assert b"alice" not in answer.body


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        json.dumps(VISIT | {"room": ""}).encode(),
        json.dumps(VISIT | {"identity": "a" * 65}).encode(),
        json.dumps(VISIT | {"roomAdmin": True}).encode(),
        json.dumps({"room": "lobby"}).encode(),
    ],
)
async def test_what_is_no_visit_is_refused(development_page: Client, body: bytes) -> None:
    assert (await visit(development_page, body)).status == 400


async def test_visits_are_bounded(development_page: Client) -> None:
    assert (await visit(development_page, b" " * (MAX_VISIT_BYTES + 1))).status == 413


async def test_a_visit_is_posted(development_page: Client) -> None:
    answer = await development_page.get("/dev/token", OWN_ORIGIN)
    assert (answer.status, answer.headers["Allow"]) == (405, "POST")


async def test_only_development_gives_tokens(page: Client) -> None:
    assert (await visit(page, json.dumps(VISIT).encode())).status == 404
