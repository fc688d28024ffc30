"""The asking agent: step by step, and against the lite agent over a bad link."""

from itertools import count, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtp.ice.controlling import (
    BACKUP_CHECK_SECONDS,
    CONNECTED_RTO_LIMIT_SECONDS,
    CONSENT_CHECK_SECONDS,
    CONSENT_SECONDS,
    MAX_PAIRS,
    PACING_SECONDS,
    IceControllingAgent,
)
from rtp.ice.lite import IceLiteAgent
from rtp.ice.outputs import ConsentLost, Drop, Nominated, Send, Validated
from rtp.stun import MessageClass, error_response, parse_message, success_response
from rtp.units import Path
from tests.rtp.ice.checks import CLIENT, CLIENT_AGAIN, HERE, SERVER, SERVER_AGAIN, answer
from tests.rtp.ice.forge import seal
from tests.rtp.ice.link import World
from tests.rtp.test_stun import attribute, stun

HOME = ("198.51.100.7", 40000)
AWAY = ("203.0.113.9", 50000)
OTHER = ("192.0.2.2", 7882)
PATH = Path(HOME, HERE)
MOVED = Path(AWAY, HERE)


def agent() -> IceControllingAgent:
    numbers = count(1)
    ice = IceControllingAgent(CLIENT, tie_breaker=7, new_transaction_id=lambda: next(numbers).to_bytes(12, "big"))
    ice.set_remote(SERVER)
    return ice


def world(*, seed: int = 0, loss: float = 0.0, delay: float = 0.02) -> World:
    """A client that was just given the server's one candidate."""
    server = IceLiteAgent(SERVER)
    server.set_remote(CLIENT)
    made = World(agent(), server, seed=seed, loss=loss, delay=delay)
    made.of_client(made.client.add_remote_candidate(PATH, 0.0))
    return made


def success(sent: Send, password: str = SERVER.password) -> bytes:
    return success_response(parse_message(sent.data).transaction_id, sent.path.local, password)


def wait(ice: IceControllingAgent) -> tuple[float, list]:
    """Let time pass to the next timeout."""
    due = ice.next_timeout()
    return due, ice.handle_timeout(due)


def test_the_first_check_goes_out_at_once_without_use_candidate():
    (send,) = agent().add_remote_candidate(PATH, 0.0)
    assert send.path == PATH
    check = parse_message(send.data)
    assert check.message_class is MessageClass.REQUEST
    assert check.username == "SERVERUFRAG00001:cLnT"
    assert check.ice_controlling == 7
    assert check.priority == (110 << 24) + (65535 << 8) + 255  # peer-reflexive (RFC 8445 §7.1.1)
    assert not check.use_candidate
    assert check.verify(SERVER.password)


def test_checks_wait_for_the_peers_credentials():
    ice = IceControllingAgent(CLIENT, tie_breaker=7, new_transaction_id=lambda: bytes(12))
    assert ice.add_remote_candidate(PATH, 0.0) == []
    assert ice.next_timeout() is None
    ice.set_remote(SERVER)
    assert ice.next_timeout() == 0.0
    assert [type(output) for output in ice.handle_timeout(3.0)] == [Send]


def test_an_unanswered_check_is_repeated_with_growing_pauses():
    ice = agent()
    (first,) = ice.add_remote_candidate(PATH, 0.0)
    times = []
    while len(times) < 6:
        due, outputs = wait(ice)
        times.append(due)
        assert outputs == [first]
    assert times == pytest.approx([0.05, 0.15, 0.35, 0.55, 0.75, 0.95])


def test_connecting_goes_as_browsers_do_it():
    ice = agent()
    (first,) = ice.add_remote_candidate(PATH, 0.0)
    assert ice.receive(success(first), PATH, 0.04) == [Validated(PATH), Nominated(PATH)]
    due, (second,) = wait(ice)
    assert due == pytest.approx(0.09)
    assert parse_message(second.data).use_candidate
    assert ice.receive(success(second), PATH, 0.13) == []
    due, (third,) = wait(ice)
    assert due == pytest.approx(0.13 + CONSENT_CHECK_SECONDS)
    assert parse_message(third.data).use_candidate
    assert len({parse_message(send.data).transaction_id for send in (first, second, third)}) == 3


def test_a_silent_peer_is_asked_on_and_on_until_consent_is_lost():
    ice = agent()
    (first,) = ice.add_remote_candidate(PATH, 0.0)
    ice.receive(success(first), PATH, 0.0)
    _, (second,) = wait(ice)
    ice.receive(success(second), PATH, 0.1)
    times = []
    while True:
        due, outputs = wait(ice)
        if outputs == [ConsentLost()]:
            break
        times.append(due)
    pauses = [after - before for before, after in pairwise(times)]
    assert pauses[:5] == pytest.approx([0.05, 0.1, 0.2, 0.4, 0.8])
    assert pauses[5:] == pytest.approx([CONNECTED_RTO_LIMIT_SECONDS] * len(pauses[5:]))
    assert due == pytest.approx(0.1 + CONSENT_SECONDS)
    assert ice.selected is None
    assert ice.next_timeout() is None
    assert ice.handle_timeout(100.0) == []
    assert ice.receive(success(second), PATH, 100.0) == []
    assert ice.add_remote_candidate(PATH, 100.0) == []
    assert ice.migrate(AWAY, 100.0) == []


def test_a_peer_that_never_answers_is_given_up():
    made = world(loss=1.0)
    made.run(60.0)
    assert made.client_news == [(CONSENT_SECONDS, ConsentLost())]


def test_media_alone_keeps_consent():
    ice = agent()
    ice.add_remote_candidate(PATH, 0.0)
    for now in range(60):
        ice.heard(float(now))
        assert ConsentLost() not in ice.handle_timeout(float(now))


@pytest.mark.parametrize(
    ("forge", "via", "cause"),
    [
        (lambda sent: success(sent, "not the server's password"), PATH, Drop.BAD_INTEGRITY),
        (lambda sent: stun(b"", 0x0101)[:8] + sent.data[8:20], PATH, Drop.BAD_INTEGRITY),
        (success, Path(HOME, OTHER), Drop.UNEXPECTED),
        (success, MOVED, Drop.UNEXPECTED),
        (lambda _: success_response(bytes(12), HOME, SERVER.password), PATH, Drop.UNEXPECTED),
        (lambda _: stun(b"", 0x0011), PATH, Drop.UNEXPECTED),
        (lambda sent: success(sent)[:-1], PATH, Drop.MALFORMED),
    ],
)
def test_what_does_not_answer_our_check_is_dropped_and_counted(forge, via, cause):
    ice = agent()
    (sent,) = ice.add_remote_candidate(PATH, 0.0)
    assert ice.receive(forge(sent), via, 0.01) == []
    assert ice.selected is None
    assert ice.statistics().dropped == {cause: 1}
    assert ice.receive(success(sent), PATH, 0.02) == [Validated(PATH), Nominated(PATH)]


def test_a_response_counts_once():
    ice = agent()
    (sent,) = ice.add_remote_candidate(PATH, 0.0)
    ice.receive(success(sent), PATH, 0.01)
    assert ice.receive(success(sent), PATH, 0.02) == []
    assert ice.statistics().responses_received == 1
    assert ice.statistics().dropped == {Drop.UNEXPECTED: 1}


@pytest.mark.parametrize("refusal", ["error", "unknown attribute"])
def test_a_refused_check_is_made_again_later(refusal):
    ice = agent()
    (sent,) = ice.add_remote_candidate(PATH, 0.0)
    transaction = parse_message(sent.data).transaction_id
    if refusal == "error":
        response = error_response(transaction, 487, SERVER.password)
    else:
        success_with_more = bytearray(stun(attribute(0x7777, b""), 0x0101))
        success_with_more[8:20] = transaction
        response = seal(bytes(success_with_more), SERVER.password)
    assert ice.receive(response, PATH, 0.01) == []
    assert not ice.is_validated(PATH)
    due, (again,) = wait(ice)
    assert due == pytest.approx(0.01 + CONNECTED_RTO_LIMIT_SECONDS)
    assert parse_message(again.data).transaction_id != transaction


def test_checks_of_many_candidates_are_paced_and_bounded():
    ice = agent()
    times = []
    for port in range(MAX_PAIRS + 5):
        times += [0.0 for _ in ice.add_remote_candidate(Path(HOME, ("192.0.2.1", 1000 + port)), 0.0)]
    remotes = set()
    while (due := ice.next_timeout()) < 5.0:
        for send in ice.handle_timeout(due):
            times.append(due)
            remotes.add(send.path.remote)
    assert len(remotes) == MAX_PAIRS
    assert min(after - before for before, after in pairwise(times)) >= PACING_SECONDS - 1e-9


def test_the_best_of_the_valid_paths_is_nominated_and_the_other_kept_alive():
    ice = agent()
    second_best = Path(HOME, OTHER)
    (first,) = ice.add_remote_candidate(PATH, 0.0)
    ice.add_remote_candidate(second_best, 0.0)
    _, (second,) = wait(ice)
    assert second.path == second_best
    assert ice.receive(success(second), second_best, 0.03) == [Validated(second_best), Nominated(second_best)]
    assert ice.receive(success(first), PATH, 0.04) == [Validated(PATH)]
    due, (nomination,) = wait(ice)
    assert due == pytest.approx(0.08)
    assert nomination.path == PATH
    assert parse_message(nomination.data).use_candidate
    assert ice.receive(success(nomination), PATH, 0.1) == [Nominated(PATH)]
    assert ice.is_validated(second_best)
    backup = []
    while (due := ice.next_timeout()) < 30.0:
        for send in ice.handle_timeout(due):
            ice.receive(success(send), send.path, due)
            if send.path == second_best:
                backup.append((due, parse_message(send.data).use_candidate))
    assert backup == [(pytest.approx(0.03 + BACKUP_CHECK_SECONDS), False)]


def check_from_server(*, controlling: bool, unknown: bool = False, username: str = "cLnT:SERVERUFRAG00001") -> bytes:
    role = attribute(0x802A if controlling else 0x8029, bytes(8))
    more = attribute(0x7777, b"") if unknown else b""
    return seal(stun(attribute(6, username.encode()) + role + more), CLIENT.password)


@pytest.mark.parametrize(
    ("request_", "error_code"),
    [
        (check_from_server(controlling=False), None),
        (check_from_server(controlling=True), 487),
        (check_from_server(controlling=False, unknown=True), 420),
    ],
)
def test_the_checks_of_a_full_peer_are_answered(request_, error_code):
    ice = agent()
    (send,) = ice.receive(request_, PATH, 0.0)
    assert send.path == PATH
    response = answer(send.data, CLIENT.password)
    assert response.error_code == error_code
    assert response.xor_mapped_address == (None if error_code else HERE)


@pytest.mark.parametrize(
    ("request_", "cause"),
    [
        (check_from_server(controlling=False, username="cLnT:other"), Drop.UNKNOWN_USERNAME),
        (check_from_server(controlling=False)[:-28], Drop.MALFORMED),
        (seal(stun(attribute(6, b"cLnT:SERVERUFRAG00001")), SERVER.password), Drop.BAD_INTEGRITY),
    ],
)
def test_a_strangers_checks_are_not_answered(request_, cause):
    ice = agent()
    assert ice.receive(request_, PATH, 0.0) == []
    assert ice.statistics().dropped == {cause: 1}


def connected(*, loss: float = 0.0, seed: int = 0) -> World:
    made = world(seed=seed)
    made.run(1.0)
    assert made.client.selected == PATH
    made.loss = loss
    made.client_news.clear()
    made.server_news.clear()
    return made


def test_over_a_good_link_both_ends_connect_in_one_round_trip_and_stay_so():
    made = world(delay=0.01)
    made.run(120.0)
    here, there = PATH, Path(HERE, HOME)
    assert [output for _, output in made.client_news] == [Validated(here), Nominated(here)]
    assert [output for _, output in made.server_news] == [Validated(there), Nominated(there)]
    assert made.client_news[-1][0] < 0.03
    # The first check, the nomination, and then one in 2.5 s; none is repeated.
    assert len({send.data for _, send in made.sent}) == len(made.sent) == 2 + 47


@pytest.mark.parametrize("seed", range(60))
def test_at_forty_per_cent_loss_each_way_both_ends_connect_within_five_seconds(seed):
    made = world(seed=seed, loss=0.4)
    made.run(5.0)
    assert made.client.selected == PATH
    assert made.server.selected == Path(HERE, HOME)
    assert ConsentLost() not in [output for _, output in made.client_news + made.server_news]


@given(st.integers(0, 2**32), st.floats(0.0, 0.1))
def test_a_bad_link_does_not_cost_consent(seed, loss):
    # At a loss of 0.4 each way, three checks in five fail, and all in a row of ten do once in a few hundred runs.
    made = connected(seed=seed, loss=loss)
    made.run(30.0)
    assert made.client_news == []
    assert made.server_news == []


def test_after_a_silence_shorter_than_consent_the_connection_is_as_before():
    made = connected(loss=1.0)
    made.run(10.0)
    made.loss = 0.0
    made.run(60.0)
    assert made.client_news == []
    assert made.server_news == []


def test_both_ends_of_a_dead_link_lose_consent():
    made = connected(loss=1.0)
    made.run(60.0)
    assert [output for _, output in made.client_news] == [ConsentLost()]
    assert ConsentLost() in [output for _, output in made.server_news]
    assert made.client.next_timeout() is None
    assert made.server.next_timeout() is None


@pytest.mark.parametrize("loss", [0.0, 0.3])
def test_a_phone_that_changes_networks_is_followed(loss):
    made = connected(loss=loss, seed=3)
    made.dead.add(HOME)
    made.of_client(made.client.migrate(AWAY, 1.0))
    assert made.client.is_validated(PATH)
    assert made.client.selected == PATH
    made.run(4.0)
    assert [output for _, output in made.client_news] == [Validated(MOVED), Nominated(MOVED)]
    assert [output for _, output in made.server_news] == [Validated(Path(HERE, AWAY)), Nominated(Path(HERE, AWAY))]
    assert not made.client.is_validated(PATH)


def test_a_new_local_address_is_nominated_without_delay():
    made = connected()
    (first,) = made.client.migrate(AWAY, 1.0)
    assert first.path == MOVED
    validated, nomination = made.client.receive(success(first), MOVED, 1.04)
    assert validated == Validated(MOVED)
    assert nomination.path == MOVED
    assert parse_message(nomination.data).use_candidate
    assert made.client.receive(success(nomination), MOVED, 1.08) == [Nominated(MOVED)]


def test_a_restart_gives_a_silent_peer_time_to_come_through():
    ice = agent()
    (first,) = ice.add_remote_candidate(PATH, 0.0)
    ice.receive(success(first), PATH, 0.0)
    ice.restart(CLIENT_AGAIN, 14.0)
    assert ice.next_timeout() == 14.0 + CONSENT_SECONDS
    assert ice.handle_timeout(14.0 + CONSENT_SECONDS) == [ConsentLost()]


@pytest.mark.parametrize("loss", [0.0, 0.3])
def test_a_restart_changes_the_credentials_without_breaking_the_path(loss):
    made = connected(loss=loss, seed=5)
    made.client.restart(CLIENT_AGAIN, made.now)
    made.server.restart(SERVER_AGAIN, made.now)
    assert made.client.selected == PATH
    assert made.client.is_validated(PATH)
    made.server.set_remote(CLIENT_AGAIN)
    made.client.set_remote(SERVER_AGAIN)
    made.of_client(made.client.add_remote_candidate(PATH, made.now))
    made.run(12.0)
    assert made.server.ufrags() == (SERVER_AGAIN.ufrag,)
    assert [output for _, output in made.client_news] == [Validated(PATH)]
    assert made.server_news == []
    assert made.server.selected == Path(HERE, HOME)


def test_a_restart_brings_back_a_connection_that_was_given_up():
    made = connected(loss=1.0)
    made.run(40.0)
    made.loss = 0.0
    made.client_news.clear()
    made.server_news.clear()
    made.client.restart(CLIENT_AGAIN, made.now)
    made.server.restart(SERVER_AGAIN, made.now)
    made.server.set_remote(CLIENT_AGAIN)
    made.client.set_remote(SERVER_AGAIN)
    made.of_client(made.client.add_remote_candidate(MOVED, made.now))
    made.run(60.0)
    assert [output for _, output in made.client_news] == [Validated(MOVED), Nominated(MOVED)]
    assert [output for _, output in made.server_news] == [Validated(Path(HERE, AWAY)), Nominated(Path(HERE, AWAY))]


def test_statistics_add_up():
    made = connected()
    statistics = made.client.statistics()
    assert statistics.requests_sent == len(made.sent)
    assert statistics.responses_received == made.server.statistics().requests_answered
    assert (statistics.selected, statistics.nominations, statistics.validated_paths) == (PATH, 1, 1)
    assert statistics.dropped == {}
