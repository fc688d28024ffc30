"""How much those may hold of us, together, who have not said who they are."""

from typing import Final

import trio

from signaling.http.errors import HttpError

MAX_GUESTS: Final = 1_000
"""Sockets at one time that nobody has vouched for."""

MAX_HELD_BYTES: Final = 32 * 1024 * 1024
"""What all of these sockets together may have us keep of their requests."""


class Admission:
    """Counts guests: sockets whose bearer has not been authenticated.

    When the house is full, the guest who has been longest at one request, or without one, makes room for the next: so
    nobody keeps others out by holding sockets, as those who have something to ask take moments.
    """

    def __init__(self, max_guests: int = MAX_GUESTS, max_held_bytes: int = MAX_HELD_BYTES) -> None:
        self.held_bytes = 0
        self.turned_away = 0
        self._max_guests = max_guests
        self._max_held_bytes = max_held_bytes
        self._guests: dict[Guest, None] = {}  # whose turn it is to go comes first

    @property
    def guests(self) -> int:
        """How many there are."""
        return len(self._guests)

    def enter(self, scope: trio.CancelScope) -> "Guest":
        """Let one more socket in; `scope` is cancelled if it has to make room."""
        if self.guests >= self._max_guests:
            self.turned_away += 1
            next(iter(self._guests)).make_room()
        guest = Guest(self, scope)
        self._guests[guest] = None
        return guest

    def wait_anew(self, guest: "Guest") -> None:
        """Count from now how long a guest has been at a request, or without one."""
        del self._guests[guest]
        self._guests[guest] = None

    def hold(self, size: int) -> None:
        """Count bytes that we keep for a guest. Raises HttpError (503) if they are too many in all."""
        if self.held_bytes + size > self._max_held_bytes:
            self.turned_away += 1
            raise HttpError(503, "too many requests at once")
        self.held_bytes += size

    def release(self, size: int) -> None:
        """Count bytes as no longer kept."""
        self.held_bytes -= size

    def leave(self, guest: "Guest") -> None:
        """Let one guest go, or become one that we know."""
        del self._guests[guest]


class Guest:
    """One socket in the count, until somebody vouches for it or it is gone."""

    def __init__(self, admission: Admission, scope: trio.CancelScope) -> None:
        self._admission: Admission | None = admission
        self._scope = scope
        self._held_bytes = 0

    def hold(self, size: int) -> None:
        """Count bytes of the request being read. Raises HttpError (503) if guests hold too many."""
        if self._admission is not None:
            self._admission.hold(size)
            self._held_bytes += size

    def release(self) -> None:
        """The request is over, and what was kept of it is gone."""
        if self._admission is not None:
            self._admission.release(self._held_bytes)
            self._admission.wait_anew(self)
            self._held_bytes = 0

    def make_room(self) -> None:
        """Go, without a word."""
        self._scope.cancel("the house is full")
        self.leave()

    def leave(self) -> None:
        """Count this socket no longer: it is authenticated, or closed. May be called again."""
        if self._admission is not None:
            self._admission.release(self._held_bytes)
            self._admission.leave(self)
            self._admission = None
