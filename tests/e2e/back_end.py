"""An operator's back end on LiveKit's published Python SDK, in a process of its own, told what to do by JSON lines.

The lines are as in `python_client.py`. It calls RoomService, and takes webhooks, which it verifies as the SDK does.
"""

import asyncio
import json
import logging
import sys

import aiohttp
from aiohttp import web
from google.protobuf.json_format import MessageToDict, ParseDict
from livekit import api

logger = logging.getLogger(__name__)


class BackEnd:
    def __init__(self, key, secret):
        self._key, self._secret = key, secret
        self._receiver = api.WebhookReceiver(api.TokenVerifier(key, secret))
        self._events = []
        self._api = None

    async def do_listen(self):
        """Take webhooks; return where."""
        application = web.Application()
        application.router.add_post("/webhook", self._take)
        runner = web.AppRunner(application)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}/webhook"

    async def do_events(self):
        """Return the webhooks that have come, each verified."""
        return self._events

    async def do_connect(self, url):
        self._url = url.replace("ws", "http", 1)
        self._api = api.LiveKitAPI(self._url, self._key, self._secret)

    async def do_call(self, method, request, fields):
        """Call a method of RoomService with a request of the type named; return the response, or the error."""
        message = ParseDict(fields, getattr(api, request)())
        try:
            response = await getattr(self._api.room, method)(message)
        except api.TwirpError as error:
            return {"error": error.code, "status": error.status, "message": error.message}
        if response is None:  # the SDK has no use for some that are empty
            return {}
        return MessageToDict(response, preserving_proto_field_name=True)

    async def do_post(self, method, fields):
        """Call a method that the SDK lacks, by hand; return the status, and the answer."""
        grants = api.VideoGrants(room_admin=True, room=fields["room"])
        token = api.AccessToken(self._key, self._secret).with_grants(grants).to_jwt()
        url = f"{self._url}/twirp/livekit.RoomService/{method}"
        async with (
            aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session,
            session.post(url, json=fields) as response,
        ):
            return [response.status, await response.json()]

    async def do_close(self):
        await self._api.aclose()

    async def _take(self, request):
        event = self._receiver.receive(await request.text(), request.headers["Authorization"])
        self._events.append(MessageToDict(event, preserving_proto_field_name=True))
        return web.Response()


async def answer(back_end, request):
    try:
        result = await getattr(back_end, f"do_{request['call']}")(**request["with"])
    except Exception as error:  # the fence of a call: whoever asked is told
        logger.exception("%s", request["call"])
        return {"id": request["id"], "error": f"{type(error).__name__}: {error}"}
    return {"id": request["id"], "result": result}


async def main():
    back_end = BackEnd(*sys.argv[1:])
    requests = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(requests), sys.stdin)
    async for line in requests:
        sys.stdout.write(json.dumps(await answer(back_end, json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    logging.basicConfig(level=logging.DEBUG, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    asyncio.run(main())
