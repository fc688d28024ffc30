"""The way in: join, be in the room for a block, and leave."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from urllib.parse import urlsplit

import trio

from rtp.units import Address
from triforium.visitor.connections import Habits
from triforium.visitor.feedback import BandwidthFeedback
from triforium.visitor.plan import MediaPlan
from triforium.visitor.receiving import Watch
from triforium.visitor.signal import SignalConnection
from triforium.visitor.visitor import GOODBYE_SECONDS, Visitor
from triforium.visitor.world import VisitorWorld


@asynccontextmanager
async def open_visitor(
    world: VisitorWorld,
    server: Address | str,
    token: str,
    *,
    single_connection: bool,
    habits: Habits = Habits.JAVASCRIPT,
    plan: MediaPlan | None = None,
    auto_subscribe: bool = True,
    use_json: bool = False,
    resumes: bool = False,
    dynacast: bool = False,
    watch: Watch | None = None,
    feedback: BandwidthFeedback = BandwidthFeedback.PLENTY,
) -> AsyncIterator[Visitor]:
    """Join a room, be in it inside the block, and leave it with the block.

    Args:
        world: network, time and chance.
        server: its HTTP address, or a URL with one ("ws://127.0.0.1:7880"); no TLS.
        token: an access token.
        single_connection: whether to use the layout with one peer connection (`/rtc/v1`), else that with two.
        habits: whose manners to have.
        plan: how much media to send, and what to expect of others.
        auto_subscribe: whether to get every track that anybody publishes.
        use_json: whether to send JSON text frames.
        resumes: whether to come back and go on with the session when the signal connection dies.
        dynacast: whether to send only those layers of video that the server says are wanted.
        feedback: how to let the server know what can be received.
        watch: called with each packet of a track that comes, once; it neither raises nor waits.

    Raises:
        JoinRefusedError: the server said no.
        LeftError: it let us in and sent us away at once.
        SignalLostError: it closed the connection instead.
        OSError: nobody is there.
    """
    visitor = Visitor(
        world,
        single_connection=single_connection,
        habits=habits,
        plan=plan,
        auto_subscribe=auto_subscribe,
        resumes=resumes,
        dynacast=dynacast,
        watch=watch,
        feedback=feedback,
        knock=partial(_knock, world, parse_server(server), use_json),
    )
    try:
        await visitor.enter(token)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(visitor.run)
            try:
                yield visitor
            finally:
                with trio.move_on_after(2 * GOODBYE_SECONDS, shield=True):
                    await visitor.leave()
    finally:
        await visitor.aclose()


async def _knock(world: VisitorWorld, server: Address, use_json: bool, path: str, token: str) -> SignalConnection:  # noqa: FBT001 - bound by name above
    """Open a signal connection. Raises JoinRefusedError, SignalLostError or OSError."""
    async with AsyncExitStack() as stack:
        signal = SignalConnection(await stack.enter_async_context(await world.connect(server)), use_json=use_json)
        await signal.open(server, path, token)
        stack.pop_all()  # it is the visitor's now
        return signal


def parse_server(server: Address | str) -> Address:
    """Return the address of a server, which may be given as a URL. Raises ValueError if it is none."""
    if not isinstance(server, str):
        return server
    parts = urlsplit(server)
    if parts.scheme not in {"ws", "http"} or parts.hostname is None:
        raise ValueError(f"a server is ws://HOST:PORT, not {server}")
    return parts.hostname, parts.port or 80
