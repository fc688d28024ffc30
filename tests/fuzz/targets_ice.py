"""Fuzz targets of STUN and ICE.

The first byte of an input to an agent chooses the scene, the rest is the datagram. In half the scenes the datagram
is sealed anew after its mutation, because a mutated one hardly ever has a right MESSAGE-INTEGRITY, and what lies
behind that check would never be reached.
"""

import json
from itertools import count
from pathlib import Path as FilePath
from typing import Final

from rtp.ice.candidates import IceCredentials, parse_candidate
from rtp.ice.controlling import IceControllingAgent
from rtp.ice.lite import MAX_VALIDATED_PATHS, IceLiteAgent
from rtp.ice.outputs import ConsentLost, IceOutput, Send
from rtp.stun import (
    binding_request,
    error_response,
    is_stun,
    parse_message,
    success_response,
    ufrag_of_request,
)
from rtp.units import Path
from tests.fuzz.target import Target
from tests.rtp.ice.checks import CLIENT, CLIENT_AGAIN, HERE, MOBILE, SERVER, SERVER_AGAIN, WIFI, check
from tests.rtp.ice.forge import seal
from tests.rtp.test_stun import RFC_REQUEST, RFC_RESPONSE_IPV4, RFC_RESPONSE_IPV6, attribute, stun

VECTORS: Final = FilePath(__file__).parent.parent / "vectors"

# Bits of the first byte.
SEALED: Final = 1
RESTARTED: Final = 2
ELSEWHERE: Final = 4
UNDESCRIBED: Final = 8
CONNECTED: Final = 16


def _messages() -> list[bytes]:
    lines = map(json.loads, (VECTORS / "wire" / "stun.jsonl").read_text().splitlines())
    recorded = [bytes.fromhex(line["hex"]) for line in lines if "hex" in line]
    return [
        *recorded,
        RFC_REQUEST,
        RFC_RESPONSE_IPV4,
        RFC_RESPONSE_IPV6,
        error_response(bytes(12), 420, "password", unknown=(0x7777, 0x0014)),
    ]


def _run_parse_message(data: bytes) -> None:
    # Sealed first: a mutated message hardly ever has a right FINGERPRINT, and is refused for that.
    assert parse_message(seal(data, SERVER.password)).verify(SERVER.password)
    message = parse_message(data)
    assert is_stun(data)
    assert not message.verify("a password that nobody signed with")


def _run_ufrag_of_request(data: bytes) -> None:
    ufrag = ufrag_of_request(data)
    assert ufrag is None or len(ufrag) <= 513


def _candidates() -> list[bytes]:
    lines = {
        line.encode()
        for path in (VECTORS / "sdp").glob("*.sdp")
        for line in path.read_text().splitlines()
        if line.startswith("a=candidate:")
    }
    return [*sorted(lines)[::20], b"1 1 udp 1 5a1c7d1e.local 5000 typ srflx raddr 0.0.0.0 rport 0 tcptype so"]


def _run_parse_candidate(data: bytes) -> None:
    candidate = parse_candidate(data.decode("utf-8", "surrogateescape"))
    assert parse_candidate(candidate.serialize()) == candidate


def _checks(to: IceCredentials, by: IceCredentials) -> list[bytes]:
    user = attribute(0x0006, f"{to.ufrag}:{by.ufrag}".encode())
    return [
        check(to, by),
        check(to, by, nominate=True),
        seal(stun(user + attribute(0x8029, bytes(8))), to.password),  # a role conflict
        seal(stun(user + attribute(0x7777, b"\x01") + attribute(0x0014, b"realm")), to.password),
        seal(stun(user + attribute(0xC057, bytes(4)) + attribute(0xC070, bytes(216))), to.password),
    ]


def _scenes(messages: list[bytes], *scenes: int) -> list[bytes]:
    return [bytes([scene]) + message for scene in scenes for message in messages]


def _lite_seeds() -> list[bytes]:
    return [
        *_scenes(_checks(SERVER, CLIENT), 0, SEALED, SEALED | ELSEWHERE | CONNECTED, SEALED | RESTARTED | CONNECTED),
        *_scenes(_checks(SERVER_AGAIN, CLIENT_AGAIN), SEALED | RESTARTED | CONNECTED | ELSEWHERE),
        *_scenes(_messages()[:2], 0, UNDESCRIBED),
    ]


def _run_lite(data: bytes) -> None:
    scene, datagram = data[0] if data else 0, data[1:]
    agent = IceLiteAgent(SERVER)
    if not scene & UNDESCRIBED:
        agent.set_remote(CLIENT)
    if scene & CONNECTED:
        agent.receive(check(nominate=True), WIFI, 1.0)
    password = SERVER.password
    if scene & RESTARTED:
        agent.restart(SERVER_AGAIN, 2.0)
        agent.set_remote(CLIENT_AGAIN)
        if SERVER_AGAIN.ufrag.encode() in datagram:
            password = SERVER_AGAIN.password
    if scene & SEALED:
        datagram = seal(datagram, password)
    path = MOBILE if scene & ELSEWHERE else WIFI
    unread = agent.answer_repeat(datagram, path, 3.0)
    outputs = agent.receive(datagram, path, 3.0)
    assert unread is None or outputs == [Send(unread, path)]
    _hold(agent, outputs, path)
    _end(agent, connected=agent.selected is not None)
    assert agent.statistics().validated_paths == 0


def _controlling_seeds() -> list[bytes]:
    first = (1).to_bytes(12, "big")
    answers = [
        success_response(first, HERE, SERVER.password),
        success_response(first, ("2001:db8::1", 5000), SERVER.password),
        error_response(first, 487, SERVER.password),
        error_response(first, 420, SERVER.password, unknown=(0x0024,)),
        seal(stun(attribute(0x7777, b""), 0x0101), SERVER.password),
    ]
    nomination = (2).to_bytes(12, "big")
    return [
        *_scenes(answers, 0, SEALED, SEALED | ELSEWHERE),
        *_scenes([success_response(nomination, HERE, SERVER.password)], CONNECTED, SEALED | CONNECTED),
        *_scenes(_checks(CLIENT, SERVER), SEALED, SEALED | CONNECTED, SEALED | RESTARTED),
        bytes([SEALED])
        + binding_request(
            first,
            username=f"{CLIENT.ufrag}:{SERVER.ufrag}",
            password=CLIENT.password,
            priority=1,
            tie_breaker=9,
            use_candidate=True,
        ),
    ]


def _run_controlling(data: bytes) -> None:
    scene, datagram = data[0] if data else 0, data[1:]
    here, elsewhere = Path(WIFI.remote, HERE), Path(MOBILE.remote, HERE)
    numbers = count(1)
    agent = IceControllingAgent(CLIENT, tie_breaker=7, new_transaction_id=lambda: next(numbers).to_bytes(12, "big"))
    if not scene & UNDESCRIBED:
        agent.set_remote(SERVER)
    agent.add_remote_candidate(here, 1.0)
    if scene & CONNECTED:
        agent.receive(success_response((1).to_bytes(12, "big"), here.local, SERVER.password), here, 1.01)
        agent.handle_timeout(1.1)  # the nominating check, number 2
    if scene & RESTARTED:
        agent.restart(CLIENT_AGAIN, 2.0)
        agent.set_remote(SERVER_AGAIN)
        agent.add_remote_candidate(here, 2.0)
    if scene & SEALED:
        is_request = datagram[:1] == b"\x00" and datagram[1:2] == b"\x01"
        datagram = seal(datagram, agent.local.password if is_request else (agent.remote or SERVER).password)
    path = elsewhere if scene & ELSEWHERE else here
    _hold(agent, agent.receive(datagram, path, 3.0), path)
    _end(agent, connected=agent.statistics().requests_sent > 0)


def _hold(agent: IceLiteAgent | IceControllingAgent, outputs: list[IceOutput], path: Path) -> None:
    """Hold an agent to what must be so after any datagram."""
    assert all(output.path == path for output in outputs if not isinstance(output, ConsentLost))
    assert sum(isinstance(output, Send) for output in outputs) <= 1
    assert agent.selected is None or agent.is_validated(agent.selected)
    assert agent.statistics().validated_paths <= MAX_VALIDATED_PATHS


def _end(agent: IceLiteAgent | IceControllingAgent, *, connected: bool) -> None:
    """Let time pass until the agent wants no more of it."""
    lost = 0
    for _ in range(200):
        if (due := agent.next_timeout()) is None:
            break
        lost += agent.handle_timeout(max(due, 3.0)).count(ConsentLost())
    assert agent.next_timeout() is None or not connected
    assert lost == connected
    assert agent.selected is None


TARGETS: Final[list[Target]] = [
    Target("stun.parse_message", _messages, _run_parse_message),
    Target("stun.ufrag_of_request", _messages, _run_ufrag_of_request),
    Target("ice.parse_candidate", _candidates, _run_parse_candidate),
    Target("ice.lite.receive", _lite_seeds, _run_lite),
    Target("ice.controlling.receive", _controlling_seeds, _run_controlling),
]
