"""`/`, for probes and for people."""

import trio

from signaling.http.routes import Routes
from tests.signaling.client import Client
from triforium.page import front_page

HTML = {"Accept": "text/html,application/xhtml+xml", "Host": "sfu.example:7880"}


def visitor_token(room: str) -> str:
    return f"token-for-{room}"


async def test_a_probe_gets_two_letters(nursery: trio.Nursery) -> None:
    client = Client(nursery, Routes({"/": front_page(visitor_token)}))
    for headers in ({}, {"Accept": "*/*"}):
        assert (await client.get("/", headers)).body == b"OK"


async def test_a_person_is_told_where_clients_connect(nursery: trio.Nursery) -> None:
    answer = await Client(nursery, front_page(None)).get("/", HTML)
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "ws://sfu.example:7880" in answer.text
    assert "token" not in answer.text


async def test_behind_a_proxy_with_tls_the_address_says_so(nursery: trio.Nursery) -> None:
    answer = await Client(nursery, front_page(None)).get("/", HTML | {"X-Forwarded-Proto": "https"})
    assert "wss://sfu.example:7880" in answer.text


async def test_in_development_a_person_gets_a_token_and_a_script_none(nursery: trio.Nursery) -> None:
    client = Client(nursery, front_page(visitor_token))
    assert "token-for-lobby" in (await client.get("/", HTML)).text
    assert "token-for-lobby" not in (await client.get("/", HTML | {"Origin": "https://elsewhere"})).text


async def test_what_the_client_says_is_quoted(nursery: trio.Nursery) -> None:
    answer = await Client(nursery, front_page(None)).get("/", HTML | {"Host": "<script>"})
    assert "<script>" not in answer.text
