"""The answering agent: tables of (step, outputs)."""

import json
from pathlib import Path as FilePath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtp.ice.candidates import IceCredentials
from rtp.ice.lite import (
    BURST_SECONDS,
    CONSENT_SECONDS,
    MAX_VALIDATED_PATHS,
    RETIREMENT_SECONDS,
    SILENCE_SECONDS,
    IceLiteAgent,
)
from rtp.ice.outputs import ConsentLost, Drop, Forgotten, Nominated, Send, Validated
from rtp.stun import MessageClass, error_response, parse_message, success_response
from rtp.units import Path
from tests.rtp.ice.checks import (
    CLIENT,
    CLIENT_AGAIN,
    HERE,
    MOBILE,
    SERVER,
    SERVER_AGAIN,
    SERVER_THIRD,
    WIFI,
    answer,
    check,
)
from tests.rtp.ice.forge import seal
from tests.rtp.test_stun import RFC_PASSWORD, RFC_REQUEST, attribute, stun


def path(port: int) -> Path:
    return Path(HERE, ("198.51.100.7", port))


def agent() -> IceLiteAgent:
    agent = IceLiteAgent(SERVER)
    agent.set_remote(CLIENT)
    return agent


def news(outputs):
    """The outputs that are not datagrams."""
    return [output for output in outputs if not isinstance(output, Send)]


def test_a_valid_check_is_answered_on_its_path_with_the_address_it_came_from():
    request = check()
    send, *_ = agent().receive(request, WIFI, 0.0)
    assert send.path == WIFI
    response = answer(send.data, SERVER.password)
    assert response.message_class is MessageClass.SUCCESS
    assert response.transaction_id == parse_message(request).transaction_id
    assert response.xor_mapped_address == WIFI.remote
    assert send.data[-8:-4] == b"\x80\x28\x00\x04"  # FINGERPRINT is last


def test_the_first_validated_path_is_selected_before_any_nomination():
    ice = agent()
    assert ice.selected is None
    assert news(ice.receive(check(), WIFI, 0.0)) == [Validated(WIFI), Nominated(WIFI)]
    assert news(ice.receive(check(), MOBILE, 0.1)) == [Validated(MOBILE)]
    assert ice.selected == WIFI
    assert ice.is_validated(WIFI)
    assert ice.is_validated(MOBILE)


def test_a_repeated_check_is_answered_and_changes_nothing():
    ice = agent()
    request = check(nominate=True)
    ice.receive(request, WIFI, 0.0)
    outputs = ice.receive(request, WIFI, 0.1)
    assert [type(output) for output in outputs] == [Send]


def test_media_moves_at_once_with_each_use_candidate():
    ice = agent()
    steps = [
        (check(), WIFI, [Validated(WIFI), Nominated(WIFI)]),
        (check(nominate=True), WIFI, []),
        (check(nominate=True), MOBILE, [Validated(MOBILE), Nominated(MOBILE)]),
        (check(nominate=True), MOBILE, []),
        (check(), WIFI, []),
        (check(nominate=True), WIFI, [Nominated(WIFI)]),
    ]
    for step, (request, via, expected) in enumerate(steps):
        assert news(ice.receive(request, via, float(step))) == expected, step
    assert ice.statistics().nominations == 3


def test_two_of_our_own_addresses_make_two_paths():
    ice = agent()
    other = Path(("192.0.2.2", 7882), WIFI.remote)
    ice.receive(check(), WIFI, 0.0)
    send, *rest = ice.receive(check(nominate=True), other, 0.1)
    assert send.path == other
    assert rest == [Validated(other), Nominated(other)]


def test_of_a_burst_that_nominates_every_path_the_first_stands():
    """The times of Firefox 153 and a server with two addresses, 80 ms away."""
    ice = agent()
    first, second = WIFI, Path(("192.0.2.2", 7882), WIFI.remote)
    nomination, other_nomination = check(nominate=True), check(nominate=True)
    steps = [
        (0.0, nomination, first, [Validated(first), Nominated(first)]),
        (0.001, other_nomination, second, [Validated(second)]),
        (0.08, nomination, first, []),  # the answer was not there yet: again
        (0.1, other_nomination, second, []),
        *((seconds, check(), first, []) for seconds in (6.0, 10.7, 16.6, 21.8)),
    ]
    for now, request, via, expected in steps:
        assert news(ice.receive(request, via, now)) == expected, now
    assert ice.selected == first


def test_after_a_burst_the_first_check_that_nominates_nothing_decides():
    """The first nomination to arrive was not the best: it was overtaken, or lost."""
    ice = agent()
    ice.receive(check(nominate=True), WIFI, 0.0)
    ice.receive(check(nominate=True), MOBILE, 0.1)
    assert ice.receive(check(), MOBILE, BURST_SECONDS - 0.1)[1:] == []  # not over yet
    assert news(ice.receive(check(), MOBILE, 4.1)) == [Nominated(MOBILE)]
    assert news(ice.receive(check(), MOBILE, 9.3)) == []


def test_who_goes_on_nominating_after_a_burst_is_followed_by_that_alone():
    ice = agent()
    ice.receive(check(nominate=True), WIFI, 0.0)
    assert news(ice.receive(check(nominate=True), MOBILE, BURST_SECONDS)) == [Validated(MOBILE), Nominated(MOBILE)]
    assert news(ice.receive(check(), WIFI, BURST_SECONDS + 0.1)) == []
    assert news(ice.receive(check(nominate=True), WIFI, BURST_SECONDS + 0.2)) == [Nominated(WIFI)]


def test_a_restart_may_begin_with_another_burst():
    ice = restarted()
    ice.receive(check(SERVER_AGAIN, CLIENT_AGAIN, nominate=True), MOBILE, 10.1)
    assert news(ice.receive(check(SERVER_AGAIN, CLIENT_AGAIN, nominate=True), WIFI, 10.2)) == []
    assert ice.selected == MOBILE


def test_a_recorded_check_that_is_sent_again_from_elsewhere_moves_nothing():
    """Whoever has listened to a call would else lead its media away, and do so again and again."""
    ice = agent()
    recorded = [check(nominate=number > 0) for number in range(3)]
    for number, each in enumerate(recorded):
        ice.receive(each, WIFI, 2.5 * number)
    repeated = check(nominate=True)
    assert ice.answer_repeat(repeated, WIFI, 7.5) is not None
    for each in (*recorded, repeated):
        (send,) = ice.receive(each, MOBILE, 8.0)
        assert answer(send.data, SERVER.password).message_class is MessageClass.SUCCESS
    assert ice.selected == WIFI
    assert not ice.is_validated(MOBILE)
    assert ice.next_timeout() == 7.5 + CONSENT_SECONDS  # nor is it a sign of life
    assert ice.statistics().dropped == {Drop.REPLAYED: 4}


def test_recorded_checks_lead_nothing_away_from_who_has_stopped_checking():
    ice = agent()
    recorded = check()
    ice.receive(recorded, WIFI, 0.0)
    ice.heard(SILENCE_SECONDS)
    ice.receive(recorded, MOBILE, SILENCE_SECONDS)
    assert ice.selected == WIFI


def test_recorded_checks_are_no_sign_of_life_of_who_has_gone():
    ice = agent()
    recorded = [check(nominate=True) for _ in range(3)]
    for number, each in enumerate(recorded):
        ice.receive(each, WIFI, float(number))
    for seconds in range(3, 17):
        for each in recorded:
            assert ice.answer_repeat(each, WIFI, float(seconds)) is None
            ice.receive(each, WIFI, float(seconds))
    assert ice.next_timeout() == 2.0 + CONSENT_SECONDS


def test_recorded_checks_lead_nobody_back_to_a_network_that_was_left():
    """There the recording is, and maybe its address still."""
    ice = agent()
    recorded = check(nominate=True)
    ice.receive(check(), WIFI, 0.0)
    ice.receive(recorded, WIFI, 2.5)
    for seconds in (5.0, 7.5, 10.0, 12.5):
        ice.receive(check(nominate=True), MOBILE, seconds)
    assert news(ice.receive(recorded, WIFI, 2.5 + SILENCE_SECONDS)) == []
    assert ice.selected == MOBILE


def test_a_check_that_was_overtaken_by_its_own_recording_brings_media_back():
    ice = agent()
    ice.receive(check(), WIFI, 0.0)
    request = check(nominate=True)
    assert news(ice.receive(request, MOBILE, 2.5)) == [Validated(MOBILE), Nominated(MOBILE)]
    assert news(ice.receive(request, WIFI, 2.6)) == [Nominated(WIFI)]


def test_who_asks_again_from_another_port_is_followed_with_its_next_check():
    ice = agent()
    lost = check(nominate=True)
    ice.receive(check(), WIFI, 0.0)
    ice.receive(lost, WIFI, 1.0)
    assert news(ice.receive(lost, MOBILE, 1.1)) == []
    assert news(ice.receive(check(nominate=True), MOBILE, 1.2)) == [Validated(MOBILE), Nominated(MOBILE)]


def test_media_follows_the_checks_once_the_selected_path_has_none():
    """A NAT has given the peer another port."""
    ice = agent()
    ice.receive(check(), WIFI, 0.0)
    ice.receive(check(nominate=True), WIFI, 0.1)
    ice.receive(check(), WIFI, 5.0)
    silent_from = 5.0 + SILENCE_SECONDS
    assert news(ice.receive(check(), MOBILE, silent_from - 0.1)) == [Validated(MOBILE)]
    assert news(ice.receive(check(), MOBILE, silent_from)) == [Nominated(MOBILE)]
    assert news(ice.receive(check(), WIFI, silent_from + 1)) == []  # a late one does not bring it back


@pytest.mark.parametrize(
    ("datagram", "cause"),
    [
        (b"", Drop.MALFORMED),
        (check()[:-1], Drop.MALFORMED),
        (check()[:-1] + b"\x00\x00", Drop.MALFORMED),
        (check(password="a password that is not the right"), Drop.BAD_INTEGRITY),
        (stun(attribute(6, b"SERVERUFRAG00001:cLnT")), Drop.BAD_INTEGRITY),  # no integrity at all
        (check(SERVER_AGAIN), Drop.UNKNOWN_USERNAME),
        (check(by=CLIENT_AGAIN), Drop.UNKNOWN_USERNAME),
        (check(username=SERVER.ufrag), Drop.UNKNOWN_USERNAME),
        (check(username=""), Drop.UNKNOWN_USERNAME),
        (stun(b""), Drop.UNKNOWN_USERNAME),
        (stun(b"", 0x0011), Drop.UNEXPECTED),  # a keepalive indication
        (stun(b"", 0x0003), Drop.UNEXPECTED),  # TURN's Allocate
        (success_response(bytes(12), WIFI.remote, SERVER.password), Drop.UNEXPECTED),
        (error_response(bytes(12), 487, SERVER.password), Drop.UNEXPECTED),
    ],
)
def test_what_is_no_valid_check_is_dropped_unanswered_and_counted(datagram, cause):
    ice = agent()
    assert ice.receive(datagram, WIFI, 0.0) == []
    assert ice.selected is None
    assert not ice.is_validated(WIFI)
    assert ice.statistics().dropped == {cause: 1}
    assert ice.next_timeout() is None


def test_before_the_peers_description_any_remote_ufrag_is_taken():
    ice = IceLiteAgent(SERVER)
    assert ice.remote is None
    assert news(ice.receive(check(by=CLIENT_AGAIN), WIFI, 0.0)) == [Validated(WIFI), Nominated(WIFI)]
    ice.set_remote(CLIENT)
    assert ice.receive(check(by=CLIENT_AGAIN), MOBILE, 0.1) == []


def test_a_controlled_peer_is_told_of_the_role_conflict_and_not_validated():
    ice = IceLiteAgent(IceCredentials("evtj", RFC_PASSWORD))
    (send,) = ice.receive(RFC_REQUEST, WIFI, 0.0)
    assert answer(send.data, RFC_PASSWORD).error_code == 487
    assert not ice.is_validated(WIFI)


def test_an_attribute_that_must_be_understood_is_refused_by_name():
    request = seal(stun(attribute(6, b"SERVERUFRAG00001:cLnT") + attribute(0x7777, b"")), SERVER.password)
    ice = agent()
    (send,) = ice.receive(request, WIFI, 0.0)
    assert answer(send.data, SERVER.password).error_code == 420
    assert attribute(0x000A, b"\x77\x77") in send.data
    assert not ice.is_validated(WIFI)


def test_consent_is_lost_once_after_silence():
    ice = agent()
    assert ice.next_timeout() is None
    ice.receive(check(nominate=True), WIFI, 100.0)
    ice.receive(check(), MOBILE, 101.0)
    assert ice.next_timeout() == 101.0 + CONSENT_SECONDS
    assert ice.handle_timeout(101.0 + CONSENT_SECONDS - 0.001) == []
    assert ice.handle_timeout(101.0 + CONSENT_SECONDS) == [Forgotten(WIFI), Forgotten(MOBILE), ConsentLost()]
    assert ice.selected is None
    assert not ice.is_validated(WIFI)
    assert ice.next_timeout() is None
    assert ice.handle_timeout(200.0) == []


def test_media_alone_keeps_consent():
    ice = agent()
    ice.receive(check(nominate=True), WIFI, 0.0)
    for now in range(1, 60):
        ice.heard(float(now))
        assert ice.handle_timeout(float(now)) == []
    assert ice.next_timeout() == 59.0 + CONSENT_SECONDS


def test_strangers_do_not_keep_consent():
    ice = agent()
    ice.receive(check(nominate=True), WIFI, 0.0)
    ice.receive(check(password="a password that is not the right"), WIFI, 10.0)
    assert ice.next_timeout() == CONSENT_SECONDS


def test_after_lost_consent_only_a_restart_brings_the_agent_back():
    ice = agent()
    ice.receive(check(nominate=True), WIFI, 0.0)
    ice.handle_timeout(CONSENT_SECONDS)
    ice.heard(16.0)
    assert ice.receive(check(nominate=True), WIFI, 16.0) == []
    assert ice.next_timeout() is None
    assert ice.statistics().dropped == {Drop.CONSENT_LOST: 1}
    ice.restart(SERVER_AGAIN, 17.0)
    assert ice.ufrags() == (SERVER_AGAIN.ufrag,)
    assert ice.receive(check(nominate=True), WIFI, 17.1) == []
    outputs = ice.receive(check(SERVER_AGAIN, CLIENT_AGAIN), WIFI, 17.2)
    assert news(outputs) == [Validated(WIFI), Nominated(WIFI)]
    assert ice.next_timeout() == 17.2 + CONSENT_SECONDS


def restarted() -> IceLiteAgent:
    """An agent with the old path nominated, restarted at 10 s."""
    ice = agent()
    ice.receive(check(nominate=True), WIFI, 7.0)
    ice.restart(SERVER_AGAIN, 10.0)
    return ice


def test_a_restart_keeps_the_old_path_until_the_new_generation_has_nominated():
    ice = restarted()
    assert ice.local == SERVER_AGAIN
    assert ice.remote is None
    assert ice.ufrags() == (SERVER_AGAIN.ufrag, SERVER.ufrag)
    assert ice.selected == WIFI
    ice.set_remote(CLIENT_AGAIN)
    steps = [
        (10.1, check(nominate=True), WIFI, []),  # the old generation lives
        (10.2, check(SERVER_AGAIN, CLIENT_AGAIN), MOBILE, [Validated(MOBILE)]),
        (10.3, check(nominate=True), WIFI, []),
        (10.4, check(SERVER_AGAIN, CLIENT_AGAIN, nominate=True), MOBILE, [Nominated(MOBILE)]),
        (10.5, check(nominate=True), WIFI, []),  # late: answered, but media does not go back
        (10.6, check(SERVER_AGAIN, CLIENT), MOBILE, []),  # a mixture of generations
    ]
    for now, request, via, expected in steps:
        assert news(ice.receive(request, via, now)) == expected, now
    assert ice.selected == MOBILE
    assert ice.is_validated(WIFI)
    assert ice.statistics().dropped == {Drop.UNKNOWN_USERNAME: 1}


def test_old_credentials_retire_some_time_after_the_new_nomination():
    ice = restarted()
    ice.receive(check(SERVER_AGAIN, CLIENT_AGAIN, nominate=True), WIFI, 11.0)
    ice.receive(check(SERVER_AGAIN, CLIENT_AGAIN, nominate=True), WIFI, 13.0)  # does not put it off
    assert ice.next_timeout() == 11.0 + RETIREMENT_SECONDS
    assert ice.handle_timeout(11.0 + RETIREMENT_SECONDS - 0.001) == []
    assert ice.receive(check(), WIFI, 15.9) != []
    assert ice.handle_timeout(11.0 + RETIREMENT_SECONDS) == []
    assert ice.ufrags() == (SERVER_AGAIN.ufrag,)
    assert ice.receive(check(), WIFI, 16.1) == []
    assert ice.is_validated(WIFI)
    assert ice.next_timeout() == 15.9 + CONSENT_SECONDS


def test_the_old_generation_may_still_move_before_the_new_one_nominates():
    ice = restarted()
    assert news(ice.receive(check(nominate=True), MOBILE, 10.1)) == [Validated(MOBILE), Nominated(MOBILE)]


def test_a_second_restart_keeps_the_generation_that_carries_media():
    ice = restarted()
    ice.restart(SERVER_THIRD, 10.5)
    assert ice.ufrags() == (SERVER_THIRD.ufrag, SERVER.ufrag)
    ice.receive(check(SERVER_THIRD, CLIENT_AGAIN, nominate=True), WIFI, 11.0)
    ice.restart(SERVER_AGAIN, 12.0)
    assert ice.ufrags() == (SERVER_AGAIN.ufrag, SERVER_THIRD.ufrag)
    assert ice.next_timeout() == 12.0 + CONSENT_SECONDS  # the retirement begins anew, with the next nomination


def test_a_restart_gives_a_silent_peer_time_to_come_through():
    ice = agent()
    ice.receive(check(nominate=True), WIFI, 0.0)
    ice.restart(SERVER_AGAIN, 14.0)
    assert ice.next_timeout() == 14.0 + CONSENT_SECONDS


def test_paths_are_forgotten_least_recently_checked_first_but_never_the_selected_one():
    ice = agent()
    ice.receive(check(nominate=True), path(1), 0.0)
    for port in range(2, MAX_VALIDATED_PATHS + 1):
        ice.receive(check(), path(port), 0.1)
    ice.receive(check(), path(2), 0.2)
    assert news(ice.receive(check(), path(100), 0.3)) == [Validated(path(100)), Forgotten(path(3))]
    assert ice.is_validated(path(1))
    assert ice.is_validated(path(2))
    assert not ice.is_validated(path(3))
    assert ice.statistics().validated_paths == MAX_VALIDATED_PATHS


@given(st.lists(st.tuples(st.integers(1, 40), st.booleans()), max_size=120))
def test_told_and_asked_agree_on_what_is_validated_and_selected(steps):
    ice = agent()
    validated, selected = set(), None
    for now, (port, nominate) in enumerate(steps):
        for output in ice.receive(check(nominate=nominate), path(port), now / 10):
            match output:
                case Validated(via):
                    validated.add(via)
                case Forgotten(via):
                    validated.remove(via)
                case Nominated(via):
                    assert via != selected
                    selected = via
        assert {via for via in map(path, range(1, 41)) if ice.is_validated(via)} == validated
        assert ice.selected == selected
        assert selected in validated
        assert len(validated) <= MAX_VALIDATED_PATHS


def test_a_recorded_connection_is_answered_byte_for_byte():
    lines = [json.loads(line) for line in FilePath("tests/vectors/wire/stun.jsonl").read_text().splitlines()]
    chromium = [line for line in lines if line.get("from") in {"Chromium 156", "spike server"} and "hex" in line]
    password = chromium[0]["password"]
    chromium = [line for line in chromium if line["password"] == password]
    ice = IceLiteAgent(IceCredentials("511b0c0cec163c07", password))
    ice.set_remote(IceCredentials("aLjN", "unknown"))
    nominated = []
    for request, response in zip(chromium[::2], chromium[1::2], strict=True):
        host = "127.0.0.1" if request["what"] == "backup-pair" else "192.0.2.2"
        via = Path(HERE, (host, request["source_port"]))
        outputs = ice.receive(bytes.fromhex(request["hex"]), via, request["t_ms"] / 1000)
        assert outputs[0] == Send(bytes.fromhex(response["hex"]), via)
        nominated += [output for output in outputs if isinstance(output, Nominated)]
    assert nominated == [Nominated(Path(HERE, ("192.0.2.2", chromium[0]["source_port"])))]
