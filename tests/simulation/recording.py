"""Conversations, recorded and simulated, in one form in which they can be compared.

A conversation of one client, in one direction, is a list of labels: the kind of a message, and whose or what it is about.
Participant updates are taken apart into what they newly say: who is active, who has left, which track is there, muted
or gone; so it does not matter how many updates say it.

Two conversations agree if they have the same labels, and the same order wherever order matters (`_is_ordered`): what
races in the recorded server may come in either order. Negotiations are compared by their order with other things and by
their sections, not by their number, which hangs on how changes were gathered.
"""

import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import combinations, dropwhile, groupby, islice
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from google.protobuf.json_format import MessageToDict

from triforium.visitor import Visitor

T = TypeVar("T")

TRACES: Final = Path(__file__).parent.parent / "vectors" / "traces"

NOT_SERVED: Final = {
    "stream_state_update": "said of each video that begins there; here a stream is active until the client is told that it is paused",
}
"""What the recorded server sends and this release does not. (So are updates about layers, which say nothing new here.)"""

UNTIMELY: Final = {
    "ping": "on the client's clock; answers are checked apart",
    "ping_req": "the same",
    "pong": "the same",
    "pong_resp": "the same",
    "ws-open": "the socket is not the conversation",
    "ws-accepted": "the same",
    "ws-close": "the same, checked apart",
    "ws-ping": "the same",
    "ws-pong": "the same",
    "tcp-end": "the same",
    "http": "whether a token is good is asked beside the conversation",
    "trickle": "their number hangs on addresses and ports; their place is checked apart",
    "speakers_changed": "on a clock of 400 ms, while somebody speaks",
    "connection_quality": "on a clock of five seconds; what it says is checked apart",
    "room_update": "on a clock of five seconds; what it says is checked apart",
}
"""What is not compared in its place, and why."""

_FILLER: Final = re.compile(r"(.)\1{7}…\((\d+) times\)")

NEGOTIATION: Final = frozenset({"offer", "answer", "media_sections_requirement"})


class Label(NamedTuple):
    """A message, or one thing that an update says; `about` is a track by kind and source, or a participant."""

    kind: str
    about: str = ""


class Message(NamedTuple):
    """A message in the recordings' form: fields under their protobuf names, defaults left out."""

    kind: str
    fields: Mapping[str, Any]


def filled(value: T) -> T:
    """Put the text in the place of what says how long it was."""
    match value:
        case str():
            return _FILLER.sub(lambda match: match[1] * int(match[2]), value)
        case dict():
            return {name: filled(each) for name, each in value.items()}
        case list():
            return [filled(each) for each in value]
    return value


def recorded(name: str, client: str, direction: str, *, step: str | None = None) -> list[Message]:
    """Return one side of a recorded conversation, or what of it belongs to the first step that mentions `step`."""
    messages: list[Message] = []
    has_begun = step is None
    for line in _without_what_is_taken_back(_resolved(name)):
        if line["k"] == "step" and step is not None:
            if has_begun:
                break
            has_begun = step in line["text"]
        elif has_begun and line.get("c") == client and line.get("d") == direction:
            messages.append(Message(line["k"], _as_mapping(line)))
    return messages


def recorded_until_somebody_leaves(name: str, clients: Collection[str], leaving: str, since: str) -> list[Message]:
    """Return what the server said to `clients` from the step on that mentions `since`, until `leaving` said goodbye."""
    messages: list[Message] = []
    lines = dropwhile(lambda line: line["k"] != "step" or since not in line["text"], _resolved(name))
    for line in lines:
        who, direction = line.get("c"), line.get("d")
        if (who, direction, line["k"]) == (leaving, "c>s", "leave"):
            break
        if direction == "s>c" and who in clients:
            messages.append(Message(line["k"], _as_mapping(line)))
    return messages


def simulated(visitor: Visitor, direction: str, *, start: int = 0) -> list[Message]:
    """Return one side of a visitor's conversation from message `start` on, in the form of the recordings."""
    is_sent = direction == "c>s"
    messages = []
    has_left = False
    for each in islice(visitor.messages, start, None):
        has_left |= each.is_sent and each.kind == "leave"
        if has_left and each.kind in NEGOTIATION:
            continue  # it crossed the goodbye, and nobody heeds it
        if each.is_sent is is_sent:
            fields = MessageToDict(each.content, preserving_proto_field_name=True)[each.kind]
            messages.append(Message(each.kind, fields if isinstance(fields, dict) else {}))
    return messages


def labels(messages: Iterable[Message]) -> list[Label]:
    """Return what was said, without what this comparison leaves out."""
    told: dict[str, dict[str, bool]] = {}
    wanted: dict[str, str] = {}
    result: list[Label] = []
    for kind, fields in messages:
        if kind == "join":
            result.append(Label("join"))
            for info in fields.get("other_participants", []):
                _news(told, info)
        elif kind == "update":
            for info in fields["participants"]:
                result += _news(told, info)
        elif kind == "subscribed_quality_update" and wanted.get(fields["track_sid"]) == _about(kind, fields):
            continue  # the recorded server says again what it said last, when a change was taken back in time
        elif kind not in NOT_SERVED and kind not in UNTIMELY:
            if kind == "subscribed_quality_update":
                wanted[fields["track_sid"]] = _about(kind, fields)
            result.append(Label(kind, _about(kind, fields)))
    return result


def without_empty_offer(conversation: list[Label]) -> list[Label]:
    """Leave out the first of two offers to a joiner for whom there are tracks: data alone, and then all.

    The recorded server does not wait for the subscriptions. Here the first offer has the tracks, as on the single
    connection the first answer has them, on both servers.
    """
    kinds = [label.kind for label in conversation]
    if "offer" in kinds:
        first = kinds.index("offer")
        if kinds[first + 1 : first + 2] == ["subscription_permission_update"]:
            return conversation[:first] + conversation[first + 1 :]
    return conversation


def sections(messages: Iterable[Message], kind: str) -> list[tuple[str, ...]]:
    """Return the kinds and directions of the sections of each offer, or of each answer, where they change."""
    every = [_sections(message.fields) for message in messages if message.kind == kind]
    return [key for key, _ in groupby(each for each in every if each is not None)]


def disagreements(ours: list[Label], theirs: list[Label]) -> list[str]:
    """Say where two conversations differ more than races explain."""
    found = []
    counts, their_counts = _counts(ours), _counts(theirs)
    if counts != their_counts:
        found.append(f"only here: {counts - their_counts}; only there: {their_counts - counts}")
    for first, second in combinations(sorted(counts | their_counts), 2):
        if _is_ordered(first, second):
            here, there = _projected(ours, first, second), _projected(theirs, first, second)
            if here != there:
                found.append(f"order: here {here}, there {there}")
    return found


def _counts(conversation: list[Label]) -> Counter[Label]:
    """Count labels; any number of negotiations counts once."""
    counts = Counter(conversation)
    return Counter({label: 1 if label.kind in NEGOTIATION else count for label, count in counts.items()})


def _projected(conversation: list[Label], first: Label, second: Label) -> list[str]:
    """Return how two labels alternate."""
    return [label.kind for label, _ in groupby(each for each in conversation if each in (first, second))]


def _is_ordered(first: Label, second: Label) -> bool:
    """Say whether it matters which of two messages comes first."""
    kinds = {first.kind, second.kind}
    if kinds & {"join", "leave"}:
        return True  # the first and the last of all
    if "refresh_token" in kinds:
        return False  # another task's
    if first.about and second.about:
        return first.about == second.about  # one track's story, or one participant's
    if kinds & {"active", "left"}:
        return False  # at the next three seconds, if they publish nothing
    if kinds == {"offer", "answer"}:
        return False  # two connections
    if "subscription_permission" in kinds:
        return False  # JavaScript sends it when its connection is up
    if "answer" in kinds and any(kind.startswith(("track ", "track_subscribed", "subscribed")) for kind in kinds):
        return False  # recorded both ways: the answer may be about the next track
    if kinds == {"answer", "media_sections_requirement"}:
        return False  # a client that offers again by itself crosses the request to do so
    return bool(kinds & NEGOTIATION)


def _about(kind: str, fields: Mapping[str, Any]) -> str:
    """Return which track a message is about: as its id begins, which tells kind and source."""
    match kind:
        case "track_published":
            return _track(fields["track"]["sid"])
        case "track_subscribed" | "subscription_permission_update":
            return _track(fields["track_sid"])
        case "subscribed_quality_update":
            enabled = sum(bool(each.get("enabled")) for each in fields["subscribed_qualities"])
            return f"{_track(fields['track_sid'])} {enabled} of {len(fields['subscribed_qualities'])}"
        case "mute":
            return _track(fields["sid"]) + (" muted" if fields.get("muted") else " unmuted")
        case "add_track":
            return ("V" if fields.get("type") == "VIDEO" else "A") + {"CAMERA": "C", "MICROPHONE": "M"}.get(
                fields.get("source", ""), "S"
            )
        case "leave":
            return str(fields.get("reason"))
        case _:
            return ""


def _track(sid: str) -> str:
    return sid.removeprefix("TR_")[:2]


def _news(told: dict[str, dict[str, bool]], info: Mapping[str, Any]) -> list[Label]:
    """Return what is new about somebody, and remember it. `told` has the tracks, muted or not, of whoever is active."""
    identity = info["identity"]
    if info.get("state") == "DISCONNECTED":
        told.pop(identity, None)
        return [Label("left", identity)]
    if info.get("state") != "ACTIVE":
        return []
    news = [] if identity in told else [Label("active", identity)]
    before = told.get(identity, {})
    now = told[identity] = {_track(each["sid"]): bool(each.get("muted")) for each in info.get("tracks", [])}
    for track in sorted(before.keys() | now.keys()):
        if track not in before:
            news.append(Label("track there", track))
        elif track not in now:
            news.append(Label("track gone", track))
        elif before[track] != now[track]:
            news.append(Label("track muted" if now[track] else "track unmuted", track))
    return news


def _sections(fields: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return the sections of a description, sorted: which track takes which place is a race. None if as before."""
    if "sections" in fields:
        return tuple(sorted(section.partition(":")[2] for section in fields["sections"].split()))
    if (sdp := fields.get("sdp")) is None:
        return None
    found = []
    for section in sdp.split("\r\nm=")[1:]:
        direction = re.search(r"^a=(sendrecv|sendonly|recvonly|inactive)\r?$", section, re.MULTILINE)
        found.append(f"{section.split(' ', 1)[0]}/{direction[1] if direction else 'sendrecv'}")  # RFC 8866 §6.7
    return tuple(sorted(found))


def _without_what_is_taken_back(lines: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Leave out what a publisher is told to send, where the recorded server says otherwise in the same millisecond."""
    last: dict[str, Any] = {}
    for line in lines:
        is_taken_back = line["k"] == "subscribed_quality_update" and all(
            last.get(key) == line.get(key) for key in "tck"
        )
        if last and not is_taken_back:
            yield last
        last = line
    yield last


def _as_mapping(line: Mapping[str, Any]) -> Mapping[str, Any]:
    fields = line.get("m")
    return fields if isinstance(fields, dict) else {}


def _resolved(name: str) -> Iterator[dict[str, Any]]:
    """Read a recording; participants get back the tracks that it leaves out as told before."""
    by_version: dict[tuple[str, int], list[Any]] = {}
    by_client: dict[tuple[str, str], list[Any]] = {}
    for text in (TRACES / f"{name}.jsonl").read_text().splitlines():
        line = json.loads(text)
        fields = _as_mapping(line)
        for info in (*fields.get("participants", []), *fields.get("other_participants", [])):
            client, version = (line["c"], info["sid"]), (info["sid"], info.get("version", 0))
            if "tracks" not in info and "tracks" not in info.get("_now_absent", []):
                elsewhere = info.get("_rest", "").startswith("as told to")
                info["tracks"] = by_version.get(version, []) if elsewhere else by_client.get(client, [])
            by_version[version] = by_client[client] = info.get("tracks", [])
        yield line
