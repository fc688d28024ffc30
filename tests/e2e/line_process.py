"""A process that is asked by JSON lines on its standard input, and answers on its standard output."""

import itertools
import json
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import trio

CALL_SECONDS: Final = 25
"""For one call: longer than any client waits for a connection."""

END_SECONDS: Final = 10


class CallError(Exception):
    """The other process could not do what it was asked, or is gone."""


class LineProcess:
    """Made by `open_line_process`. Several calls may be under way at once."""

    def __init__(self, name: str, process: trio.Process) -> None:
        self._name = name
        self._process = process
        self._numbers = itertools.count(1)
        self._sending = trio.Lock()
        self._answers: dict[int, dict[str, object]] = {}
        self._changed = trio.Condition()
        self._is_over = False

    async def call(self, call: str, *, page: str | None = None, **arguments: object) -> object:
        """Ask, and wait for the answer.

        Raises:
            CallError: if the call fails there, or the process is gone.
            trio.TooSlowError: after `CALL_SECONDS`.
        """
        number = next(self._numbers)
        request = {"id": number, "page": page, "call": call, "with": arguments}
        with trio.fail_after(CALL_SECONDS):
            async with self._sending:
                await self._process.stdin.send_all(json.dumps(request).encode() + b"\n")
            async with self._changed:
                while number not in self._answers:
                    if self._is_over:
                        raise CallError(f"{self._name} is gone")
                    await self._changed.wait()
        answer = self._answers.pop(number)
        if "error" in answer:
            raise CallError(f"{page or self._name}: {call}: {answer['error']}")
        return answer.get("result")

    async def run(self) -> None:
        """Read answers until the process ends its output."""
        try:
            lines = LineReader(self._process.stdout)
            while (line := await lines.read_line()) is not None:
                answer = json.loads(line)
                if "id" not in answer:
                    continue  # the Node SDK logs there, in JSON too
                async with self._changed:
                    self._answers[answer["id"]] = answer
                    self._changed.notify_all()
        finally:
            self._is_over = True
        async with self._changed:
            self._changed.notify_all()


@asynccontextmanager
async def open_line_process(name: str, command: Sequence[str | Path], log: Path) -> AsyncIterator[LineProcess]:
    """Run `command` for as long as the block lasts; what it writes to standard error goes to `log`."""
    with log.open("ab") as errors:
        process = await trio.lowlevel.open_process(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors
        )
    try:
        async with trio.open_nursery() as nursery:
            lines = LineProcess(name, process)
            nursery.start_soon(lines.run)
            yield lines
            await process.stdin.aclose()  # it ends by itself
            with trio.fail_after(END_SECONDS):
                await process.wait()
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()


class LineReader:
    """Splits what arrives on a stream into lines."""

    def __init__(self, stream: trio.abc.ReceiveStream) -> None:
        self._stream = stream
        self._rest = b""

    async def read_line(self) -> bytes | None:
        """Wait for the next line. None at the end of the stream."""
        while b"\n" not in self._rest:
            chunk = await self._stream.receive_some()
            if not chunk:
                return None
            self._rest += chunk
        line, _, self._rest = self._rest.partition(b"\n")
        return line
