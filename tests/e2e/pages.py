"""The built-in page in headless Chromium, used as a person does: by what it shows and by its controls."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final

from tests.e2e.line_process import LineProcess, open_line_process
from tests.e2e.meeting import NODE

HERE: Final = Path(__file__).parent

DEVICES: Final = ("--use-fake-device-for-media-stream=fps=5", "--use-fake-ui-for-media-stream")
NO_CAMERA: Final = ("--use-fake-device-for-media-stream=device-count=0", "--use-fake-ui-for-media-stream")
DENIED: Final = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream=deny")

WIDE: Final = {"width": 1280, "height": 800}
NARROW: Final = {"width": 360, "height": 740}

TILES: Final = "[...document.querySelectorAll('.tile')]"
PLAYING: Final = """[...document.querySelectorAll('.tile')].map((tile) => [
    tile.querySelector('.name').textContent,
    tile.querySelector('video').hidden ? 0 : tile.querySelector('video').videoWidth,
])"""


class Page:
    """One page of the browser. Made by `Browser.open`."""

    def __init__(self, browser: LineProcess, name: str) -> None:
        self.name = name
        self._call = partial(browser.call, page=name)

    async def click(self, selector: str) -> None:
        await self._call("click", selector=selector)

    async def fill(self, selector: str, text: str) -> None:
        await self._call("fill", selector=selector, text=text)

    async def press(self, key: str) -> None:
        await self._call("press", key=key)

    async def reload(self) -> None:
        await self._call("reload")

    async def evaluate(self, expression: str) -> object:
        return await self._call("evaluate", expression=expression)

    async def until(self, expression: str) -> None:
        """Wait until a JavaScript expression is true."""
        await self._call("until", expression=expression)

    async def says(self, *words: str) -> None:
        """Wait until the page shows these words to people."""
        for each in words:
            await self.until(f"document.body.innerText.includes({json.dumps(each)})")

    async def enter(self, name: str | None = None) -> None:
        """Fill in a name, and join; return once the call is shown."""
        if name is not None:
            await self.fill("#join-name", name)
        await self.click("#join-button")
        await self.until("!document.getElementById('call').hidden")

    async def identity(self) -> str:
        """Return who it is in the room, once it has joined with a token from the development server."""
        return await self.evaluate("`${document.getElementById('join-name').value}-${sessionStorage['triforium.tab']}`")

    async def sees(self, *people: str) -> None:
        """Wait until there are tiles of just these people, in any order, and the picture of each is playing."""
        wanted = json.dumps(sorted(people))
        await self.until(
            f"JSON.stringify({PLAYING}.filter(([, width]) => width > 0).map(([name]) => name).sort()) === "
            f"JSON.stringify({wanted}) && {TILES}.length === {len(people)}"
        )

    async def tiles(self) -> list[str]:
        return await self.evaluate(f"{TILES}.map((tile) => tile.querySelector('.name').textContent)")

    async def is_accessible(self, state: str) -> None:
        """Assert that axe-core finds nothing serious or critical, light and dark; keep pictures of both."""
        for scheme in ("dark", "light"):
            await self._call("scheme", scheme=scheme)
            await self._call("photograph", name=f"{state}-{scheme}")
            findings = await self._call("axe")
            assert not findings, f"{state}, {scheme}: {findings}"

    async def resize(self, width: int, height: int) -> None:
        await self._call("size", width=width, height=height)

    async def has_kept_its_policy(self) -> None:
        """Assert that nothing was refused by the Content-Security-Policy, and no exception was lost."""
        assert await self._call("violations") == []


class Browser:
    """Made by `open_browser`."""

    def __init__(self, process: LineProcess) -> None:
        self._process = process

    async def open(
        self, name: str, url: str, *, width: int = 1280, height: int = 800, without: str | None = None
    ) -> Page:
        """Open a page with a storage of its own, and `without` what has this address: a glob pattern."""
        size = {"width": width, "height": height}
        await self._process.call("open", page=name, url=url, **size, scheme="light", without=without)
        return Page(self._process, name)


@asynccontextmanager
async def open_browser(
    folder: Path, flags: Sequence[str] = DEVICES, *, before: Sequence[str | Path] = ()
) -> AsyncIterator[Browser]:
    """Run Chromium for as long as the block lasts, by a command that what is `before` may run elsewhere."""
    command = [*before, NODE, HERE / "pages.mjs", folder, *flags]
    async with open_line_process("browser", command, folder / "pages.log") as process:
        yield Browser(process)
