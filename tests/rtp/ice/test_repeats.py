"""Consent checks that are answered unread: exactly those whose reading would change nothing, and with the same bytes."""

import json
from pathlib import Path as FilePath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtp.ice.candidates import IceCredentials
from rtp.ice.lite import BURST_SECONDS, CONSENT_SECONDS, RETIREMENT_SECONDS, SILENCE_SECONDS, IceLiteAgent
from rtp.ice.outputs import IceOutput, Send
from rtp.stun import binding_request
from rtp.units import Path
from tests.rtp.ice.checks import CLIENT, CLIENT_AGAIN, MOBILE, SERVER, SERVER_AGAIN, WIFI, check
from tests.rtp.ice.forge import seal

IPV6 = Path(("2001:db8::1", 7882), ("2001:db8::7", 40000))
RECORDED = FilePath(__file__).parents[2] / "vectors" / "wire" / "stun.jsonl"

STEPS = st.one_of(
    st.tuples(st.just("check"), st.sampled_from([WIFI, MOBILE, IPV6]), st.booleans(), st.booleans()),
    st.tuples(st.just("restart"), st.just(WIFI), st.booleans(), st.booleans()),
)
PAUSES = st.sampled_from([0.0, 0.1, BURST_SECONDS, RETIREMENT_SECONDS, SILENCE_SECONDS, CONSENT_SECONDS])


def known_agent(path: Path = WIFI) -> IceLiteAgent:
    """An agent that has taken a check on `path`."""
    agent = IceLiteAgent(SERVER)
    agent.set_remote(CLIENT)
    agent.receive(check(), path, 1.0)
    return agent


@given(st.lists(st.tuples(PAUSES, STEPS), max_size=30))
def test_an_agent_that_answers_repeats_unread_behaves_as_one_that_reads_all(steps):
    quick, slow = IceLiteAgent(SERVER), IceLiteAgent(SERVER)
    generations = [(SERVER, CLIENT), (SERVER_AGAIN, CLIENT_AGAIN)]
    newest, now = 0, 1.0
    for pause, (what, path, one, two) in steps:
        now += pause
        assert quick.handle_timeout(now) == slow.handle_timeout(now)
        if what == "restart":
            newest = 1
            for agent in (quick, slow):
                agent.restart(SERVER_AGAIN, now)
                if one:
                    agent.set_remote(CLIENT_AGAIN)
        else:
            ours, theirs = generations[newest if two else 0]
            datagram = check(ours, theirs, nominate=one)
            answer = quick.answer_repeat(datagram, path, now)
            outputs: list[IceOutput] = [Send(answer, path)] if answer else quick.receive(datagram, path, now)
            assert outputs == slow.receive(datagram, path, now)
        assert quick.statistics() == slow.statistics()
        assert quick.next_timeout() == slow.next_timeout()


@pytest.mark.parametrize("path", [WIFI, IPV6])
def test_a_check_that_says_the_same_is_answered_unread(path):
    agent, reader = known_agent(path), known_agent(path)
    again = check()
    answer = agent.answer_repeat(again, path, 3.5)
    assert [Send(answer, path)] == reader.receive(again, path, 3.5)
    assert agent.next_timeout() == 3.5 + CONSENT_SECONDS
    assert agent.statistics() == reader.statistics()


def test_what_clients_were_recorded_to_send_is_answered_unread_when_it_comes_again():
    recorded = [json.loads(line) for line in RECORDED.read_text().splitlines() if line]
    checks = [
        line for line in recorded if line["what"].startswith(("nomination", "first-check")) and "attributes" in line
    ]
    assert len({line["from"] for line in checks}) > 1
    for line in checks:
        ours, _, theirs = dict(line["attributes"])["USERNAME"].partition(":")
        agent, reader = (IceLiteAgent(IceCredentials(ours, line["password"])) for _ in range(2))
        first, second, third = anew(line)
        for each in (agent, reader):
            each.set_remote(IceCredentials(theirs, "which says nothing here"))
            each.receive(first, WIFI, 1.0)
            each.receive(second, WIFI, 1.0 + BURST_SECONDS)  # of nominations, only one after the first burst is idle
        assert [Send(agent.answer_repeat(third, WIFI, 9.0), WIFI)] == reader.receive(third, WIFI, 9.0)


def anew(line: dict) -> list[bytes]:
    """Return a recorded check, and what its sender would have sent after it."""
    recorded = bytes.fromhex(line["hex"])
    return [
        recorded,
        *(seal(recorded[:8] + bytes([number]) * 12 + recorded[20:], line["password"]) for number in (1, 2)),
    ]


def test_the_very_check_that_was_answered_has_to_be_read_again():
    agent, request = known_agent(), check()
    assert agent.answer_repeat(request, WIFI, 2.0) is not None
    assert agent.answer_repeat(request, WIFI, 2.1) is None


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        check()[:-1],
        check(password="what-somebody-else-made-up"),
        check()[:-4] + bytes(4),  # a wrong fingerprint
        check(nominate=True),
        check(by=CLIENT_AGAIN),
        binding_request(
            bytes(12),
            username="SERVERUFRAG00001:cLnT",
            password=SERVER.password,
            priority=1,
            tie_breaker=7,
            use_candidate=False,
        ),
    ],
)
def test_all_else_has_to_be_read(datagram):
    agent = known_agent()
    assert agent.answer_repeat(datagram, WIFI, 2.0) is None
    assert agent.next_timeout() == 1.0 + CONSENT_SECONDS
    assert agent.statistics().requests_answered == 1


def test_only_the_selected_path_has_repeats():
    agent = known_agent()
    agent.receive(check(), MOBILE, 1.0)
    assert agent.answer_repeat(check(), MOBILE, 2.0) is None


def test_a_check_without_a_fingerprint_is_read_each_time():
    sealed = check()
    bare = sealed[:2] + (len(sealed) - 28).to_bytes(2, "big") + sealed[4:-8]
    agent = IceLiteAgent(SERVER)
    for _ in range(2):
        assert agent.answer_repeat(bare, WIFI, 1.0) is None
        assert agent.receive(bare, WIFI, 1.0)
    assert agent.statistics().requests_answered == 2
