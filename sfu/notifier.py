"""Change notices for state that may be looked at late."""

import trio


class Notifier:
    """Tells any number of tasks that something changed; they look for themselves what did.

    A version number, not a queue: a slow watcher can miss repeats, never the last change.
    """

    def __init__(self) -> None:
        self.version = 0
        self._changed = trio.Event()

    def notify(self) -> None:
        """Count one more change and wake those who wait."""
        self.version += 1
        self._changed.set()
        self._changed = trio.Event()

    async def wait_changed(self, seen: int) -> None:
        """Return as soon as the version is not `seen`. Always a checkpoint."""
        if self.version == seen:
            await self._changed.wait()
        else:
            await trio.lowlevel.checkpoint()
