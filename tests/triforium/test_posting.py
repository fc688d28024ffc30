"""Posting to hosts that there cannot be: told like a host that is not there. No packet leaves for any of them."""

import pytest

from signaling.webhooks import UnreachableError
from triforium.posting import open_ask, open_post
from triforium.server_api import ServerApiError

hosts = pytest.mark.parametrize("host", ["a..test", "a" * 64 + ".test", "\xfc" * 64, "\udcff"])


@hosts
async def test_a_webhook_to_a_host_that_cannot_be_is_unreachable(host: str) -> None:
    with pytest.raises(UnreachableError):
        await open_post()(f"http://{host}/", b"", {})


@hosts
async def test_a_server_that_cannot_be_is_one_that_does_not_answer(host: str) -> None:
    with pytest.raises(ServerApiError, match="no server answers at"):
        await open_ask(f"http://{host}")("/", b"", {})
