"""The command's words; the running server is in test_app.py."""

import time
from collections.abc import Sequence

import pytest
import yaml
from click.testing import CliRunner, Result

from sfu.model import VideoGrant
from signaling import tokens
from triforium.cli import main

PAIR = ("--api-key", "devkey", "--api-secret", "secret")


def run(*arguments: str, env: dict[str, str | None] | None = None) -> Result:
    return CliRunner().invoke(main, arguments, env=env)


def grant_of(arguments: Sequence[str]) -> VideoGrant | None:
    ended = run("create-token", "--room", "lobby", "--identity", "alice", *arguments)
    assert ended.exit_code == 0, ended.output
    return tokens.verify(ended.stdout.strip(), {"devkey": "secret"}, time.time()).video


def test_a_made_token_joins() -> None:
    assert grant_of(PAIR) == VideoGrant(room_join=True, room="lobby")


def test_grants_are_added_by_their_names_in_tokens() -> None:
    arguments = ("--grant", "roomAdmin", "--grant", "canPublish=false", "--grant", 'canPublishSources=["camera"]')
    assert grant_of((*PAIR, *arguments)) == VideoGrant(
        room_join=True, room="lobby", room_admin=True, can_publish=False, can_publish_sources=("camera",)
    )


def test_key_and_secret_may_come_from_where_serve_said_to_put_them() -> None:
    env = {"LIVEKIT_API_KEY": "devkey", "LIVEKIT_API_SECRET": "secret"}
    ended = run("create-token", "--room", "r", "--identity", "a", "--valid-for", "5m", env=env)
    expires_at = tokens.verify(ended.stdout.strip(), {"devkey": "secret"}, time.time()).expires_at
    assert 290 < expires_at - time.time() <= 300


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--grant", "roomAdmim"), "unknown grant roomAdmim; did you mean roomAdmin?"),
        (("--grant", "canPublish=perhaps"), "canPublish"),
        (("--valid-for", "long"), "such as 6h"),
        (("--valid-for", "9" * 5000 + "d"), "such as 6h"),
        (("--grant", "canPublishSources=" + "[" * 5000), "canPublishSources"),
        (("--api-key", ""), "'--api-key' (env var: 'LIVEKIT_API_KEY'): is empty"),
        (("--api-secret", " "), "(env var: 'LIVEKIT_API_SECRET'): is empty"),
    ],
)
def test_what_cannot_be_granted_ends_with_status_2(arguments: tuple[str, ...], reason: str) -> None:
    ended = run("create-token", "--room", "r", "--identity", "a", *PAIR, *arguments)
    assert ended.exit_code == 2
    assert reason in ended.output


def test_made_keys_are_a_configuration_with_a_long_secret() -> None:
    first, second = (yaml.safe_load(run("generate-keys").stdout)["keys"] for _ in range(2))
    assert first != second
    ((key, secret),) = first.items()
    assert key.startswith("API")
    assert len(secret) >= 32


def test_without_keys_nothing_starts() -> None:
    ended = run("serve", env={"LIVEKIT_CONFIG": None, "LIVEKIT_KEYS": None})
    assert ended.exit_code == 2
    assert ended.output.startswith("triforium: no keys: ")
    assert len(ended.output.splitlines()) == 1


def token_in(text: str) -> VideoGrant | None:
    word = next(word for word in text.split() if word.startswith("ey"))
    return tokens.verify(word, {"devkey": "secret"}, time.time()).video


def test_encoders_are_told_where_to_publish_and_with_what() -> None:
    ended = run("whip", "--room", "lobby", "--identity", "obs", "--url", "https://sfu.example/", *PAIR)
    assert ended.exit_code == 0, ended.output
    assert "https://sfu.example/whip/v1\n" in ended.stdout
    assert token_in(ended.stdout) == VideoGrant(room_join=True, room="lobby", can_subscribe=False)


def test_watchers_are_told_where_to_look_and_with_what() -> None:
    ended = run("whep", "--room", "a room", "--identity", "tv", "--participant", "obs", "--quality", "low", *PAIR)
    assert ended.exit_code == 0, ended.output
    assert "http://127.0.0.1:7880/whep/v1?participant=obs&quality=low" in ended.stdout
    page, _, token = next(word for word in ended.stdout.split() if "/watch/" in word).partition("#token=")
    assert page == "http://127.0.0.1:7880/watch/a%20room"
    assert token_in(token) == VideoGrant(room_join=True, room="a room", can_publish=False)


def test_a_secret_that_was_never_set_is_one_clear_line() -> None:
    ended = run("rooms", "list", "--api-key", "devkey", "--api-secret", "")
    assert (ended.exit_code, "(env var: 'LIVEKIT_API_SECRET'): is empty" in ended.output) == (2, True)
