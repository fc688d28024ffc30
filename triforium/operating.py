"""What an operator asks of a server that runs, answered in text for a terminal."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from livekit.protocol.models import ParticipantInfo, TrackInfo

from sfu.room.track_info import source_name
from triforium.server_api import ServerApi, ServerApiError


async def list_rooms(api: ServerApi) -> str:
    """Return a table of the rooms that are open. Raises ServerApiError."""
    rows = [
        (room.name, room.sid, str(room.num_participants), str(room.num_publishers), _moment(room.creation_time))
        for room in sorted(await api.rooms(), key=lambda room: room.name)
    ]
    return table(("ROOM", "SID", "PEOPLE", "PUBLISHERS", "OPEN SINCE"), rows) if rows else "no room is open"


async def show_room(api: ServerApi, name: str) -> str:
    """Return what is known of a room, and of those in it. Raises ServerApiError."""
    room = await api.room(name)
    facts = [
        ("room", room.name),
        ("sid", room.sid),
        ("open since", _moment(room.creation_time)),
        ("empty timeout", f"{room.empty_timeout} s"),
        ("departure timeout", f"{room.departure_timeout} s"),
        ("max participants", str(room.max_participants or "any number")),
        ("metadata", room.metadata or "none"),
    ]
    return f"{table((), facts)}\n\n{_people(await api.participants(name))}"


async def close_room(api: ServerApi, name: str) -> str:
    """End a room. Raises ServerApiError."""
    room = await api.room(name)
    await api.close_room(name)
    return printable(f"closed {name}; {room.num_participants} in it")


async def list_participants(api: ServerApi, name: str) -> str:
    """Return a table of those who are in a room. Raises ServerApiError."""
    await api.room(name)  # of a room that is not there, the server lists nobody
    return _people(await api.participants(name))


async def remove_participant(api: ServerApi, name: str, identity: str) -> str:
    """End somebody's session. Raises ServerApiError."""
    await api.room(name)
    await api.remove_participant(name, identity)
    return printable(f"removed {identity} from {name}")


async def mute_participant(api: ServerApi, name: str, identity: str, track: str | None) -> str:
    """Mute one track of somebody's, by its sid or its source, or all of them. Raises ServerApiError."""
    await api.room(name)
    published = (await api.participant(name, identity)).tracks
    tracks = [each for each in published if track is None or track in (each.sid, _source(each))]
    if not tracks:
        kinds = ", ".join(_describe(each) for each in published) or "nothing"
        raise ServerApiError(f"nothing to mute: {identity} publishes {kinds}")
    for each in tracks:
        await api.mute(name, identity, each.sid)
    return "\n".join(printable(f"muted {each.sid} ({_source(each)}) of {identity}") for each in tracks)


async def list_agents(api: ServerApi) -> str:
    """Return a table of the agents' workers, and one of the jobs that are not over. Raises ServerApiError."""
    census = await api.agents()
    workers = [
        (
            each.id,
            each.agent_name or "any room's",
            each.job_type.removeprefix("JT_").lower(),
            each.namespace,
            each.deployment,
            f"{each.load:.2f}" if each.takes_jobs else f"{each.load:.2f}, takes none",
            str(each.jobs),
        )
        for each in sorted(census.workers, key=lambda each: (each.agent_name, each.id))
    ]
    jobs = [
        (
            each.id or each.dispatch,
            each.agent_name or "any room's",
            each.room,
            each.participant,
            f"{each.status.removeprefix('JS_').lower()}{f': {each.error}' if each.error else ''}",
            each.worker,
            each.agent,
        )
        for each in sorted(census.jobs, key=lambda each: (each.room, each.agent_name, each.id))
    ]
    return "\n\n".join(
        (
            table(("WORKER", "AGENT", "JOBS FOR", "NAMESPACE", "DEPLOYMENT", "LOAD", "JOBS"), workers)
            if workers
            else "no worker is registered",
            table(("JOB", "AGENT", "ROOM", "FOR", "STATE", "WORKER", "JOINS AS"), jobs) if jobs else "no job is open",
        )
    )


def _people(people: Iterable[ParticipantInfo]) -> str:
    rows = [
        (
            each.identity,
            each.name,
            ParticipantInfo.State.Name(each.state).lower(),
            _moment(each.joined_at),
            ", ".join(_describe(track) for track in each.tracks),
        )
        for each in sorted(people, key=lambda each: each.identity)
    ]
    return table(("IDENTITY", "NAME", "STATE", "JOINED", "PUBLISHES"), rows) if rows else "nobody is in it"


def _describe(track: TrackInfo) -> str:
    return f"{track.sid} ({_source(track)}{', muted' if track.muted else ''})"


def _source(track: TrackInfo) -> str:
    return source_name(track.source)


def _moment(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Set rows in columns, under a head if there is one."""
    lines = [[printable(cell) for cell in row] for row in (head, *rows) if row]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def printable(text: str) -> str:
    """Spell out what could steer a terminal, or start a line: names are what participants made them."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)
