"""The answering half of ICE, for one peer (RFC 8445 §2.5)."""

from collections import Counter
from dataclasses import dataclass
from typing import Final

from rtp.errors import DecodeError
from rtp.ice.candidates import IceCredentials
from rtp.ice.outputs import ConsentLost, Drop, Forgotten, IceOutput, IceStatistics, Nominated, Send, Validated
from rtp.ice.repeats import Repeats, repeats_of
from rtp.ice.seen import SeenChecks
from rtp.stun import (
    BINDING,
    ROLE_CONFLICT,
    TRANSACTION_ID,
    UNKNOWN_ATTRIBUTE,
    MessageClass,
    StunMessage,
    error_response,
    parse_message,
    success_response,
)
from rtp.timers import earliest, is_due
from rtp.units import Path

CONSENT_SECONDS: Final = 15.0
"""Silence after which a peer is given up: as long as LiveKit's servers wait; RFC 7675 §5.1 allows 30."""

RETIREMENT_SECONDS: Final = 5.0
"""How long old credentials live on beside a new generation that has nominated a path."""

BURST_SECONDS: Final = 2.0
"""How long the first nominated path stands with a peer that nominates all of them (RFC 5245 §8.1.1.2)."""

SILENCE_SECONDS: Final = 10.0
"""Without a check on the selected path, media follows the checks: peers check every 5 s or so (RFC 7675 §5.1)."""

MAX_VALIDATED_PATHS: Final = 16
"""Remembered at once: more than any client's interfaces times our addresses, and a bound for a hostile one."""


# Theory of operation
#
# A generation is one pair of credentials on either side. There are at most two: the current one and, after a
# restart, the previous one, kept so that the peer can make the new path before it breaks the old one.
#
#   event                                  selected                        previous generation
#   first validated path                   that path                       -
#   USE-CANDIDATE, current generation      that path                       ends in RETIREMENT_SECONDS
#   … in a burst (see below)               stays                           -
#   no USE-CANDIDATE, after a burst        that path                       -
#   no USE-CANDIDATE, the selected path    that path                       -
#     not checked for SILENCE_SECONDS
#   restart                                stays                           the current one, if it ever nominated
#   silence of `consent_seconds`           None: ConsentLost               ends
#   restart after ConsentLost              None, until a path is validated none: RFC 7675 §5.1 bars its credentials
#
# A peer whose very first check nominates does so with the first check of every path, the best path first, and never
# again (recorded from Firefox 153). It settles on the best path that answers; later checks are of that path alone,
# without USE-CANDIDATE. We have to be there too: on another path the bindings of NATs run out. Hence the burst, in
# which the first nomination stands, and then the first check that nominates nothing decides.


@dataclass(slots=True)
class _Generation:
    local: IceCredentials
    remote: IceCredentials | None = None
    has_nominated: bool = False
    nominates_all: bool | None = None
    """Whether its nominations mean little, as the very first check had one; None before it."""
    stands_until: float = float("-inf")
    """When another nomination counts again."""

    def is_addressed_by(self, username: str) -> bool:
        ours, _, theirs = username.partition(":")
        return ours == self.local.ufrag and (self.remote is None or theirs == self.remote.ufrag)


class IceLiteAgent:
    """Answers one peer's connectivity checks, and so learns where it is. Does no I/O and sends no check.

    Each call returns all it wants done, in order. `now` is in seconds, on one monotonic clock. `selected` is where
    DTLS and media go: the newest path with a valid USE-CANDIDATE, before any the first validated path, None before
    any and after `ConsentLost`.
    """

    def __init__(self, credentials: IceCredentials, *, consent_seconds: float = CONSENT_SECONDS) -> None:
        self.selected: Path | None = None
        self._consent_seconds = consent_seconds
        self._current = _Generation(credentials)
        self._previous: _Generation | None = None
        self._retire_at: float | None = None
        self._validated: dict[Path, float] = {}  # when they were last checked, longest ago first
        self.heard_at = 0.0
        """When the peer proved last that it is there; means nothing until a path is validated."""
        self._consent_lost = False
        self._repeats: Repeats | None = (
            None  # of the last check on the selected path, if the same again changes nothing
        )
        self._seen = SeenChecks()
        self._requests_answered = 0
        self._nominations = 0
        self._dropped: Counter[Drop] = Counter()

    def set_remote(self, credentials: IceCredentials) -> None:
        """Learn the peer's credentials from its description; from now on a check's USERNAME must end in its ufrag."""
        self._current.remote = credentials
        self._repeats = None

    def restart(self, credentials: IceCredentials, now: float) -> None:
        """Begin a new generation (RFC 8445 §9); `remote` is unknown again, `selected` stays.

        The old credentials are answered until the new generation has nominated a path, and RETIREMENT_SECONDS more.
        """
        if self._consent_lost:
            self._previous = None
            self._consent_lost = False
        elif self._previous is None or self._current.has_nominated:
            self._previous = self._current
        # else: the current one never came to carry anything, and the peer still lives on the one before
        self._current = _Generation(credentials)
        self._retire_at = self._repeats = None
        self.heard_at = now  # whoever restarts is alive: leave it time to come through

    def receive(self, data: bytes, path: Path, now: float) -> list[IceOutput]:
        """Take one STUN datagram. What is not a valid check is dropped and counted: an answer would reflect."""
        if self._consent_lost:
            return self._drop(Drop.CONSENT_LOST)
        try:
            message = parse_message(data)
        except DecodeError:
            return self._drop(Drop.MALFORMED)
        if message.message_class is not MessageClass.REQUEST or message.method != BINDING:
            return self._drop(Drop.UNEXPECTED)
        generation = self._addressed_by(message.username or "")
        if generation is None:
            return self._drop(Drop.UNKNOWN_USERNAME)
        if not message.verify(generation.local.password):
            return self._drop(Drop.BAD_INTEGRITY)
        self._requests_answered += 1
        return self._answer(message, generation, path, now)

    def answer_repeat(self, data: bytes, path: Path, now: float) -> bytes | None:
        """Answer a check that says on the selected path what the last one said there; None to all else, unread."""
        if self._repeats is None or path != self.selected or (answer := self._repeats.answer(data)) is None:
            return None
        if self._seen.note(data[TRANSACTION_ID]):
            return None  # this very check has come before: that is worth a look
        self.heard_at = now
        self._requests_answered += 1
        self._validate(path, now)
        return answer

    def heard(self, now: float) -> None:
        """Count an authenticated packet as a sign of life. For each packet: clients that stop checking do exist."""
        self.heard_at = now

    def next_timeout(self) -> float | None:
        """Return when `handle_timeout` is wanted, if at all."""
        return earliest(self._consent_until, self._retire_at)

    def handle_timeout(self, now: float) -> list[IceOutput]:
        """Do what is due; harmless if early."""
        if is_due(self._retire_at, now):
            self._previous = self._retire_at = None
        if is_due(self._consent_until, now):
            return self._lose_consent()
        return []

    @property
    def local(self) -> IceCredentials:
        """Our credentials in the current generation."""
        return self._current.local

    @property
    def remote(self) -> IceCredentials | None:
        """The peer's credentials in the current generation; None until `set_remote`."""
        return self._current.remote

    def is_validated(self, path: Path) -> bool:
        """Whether the peer has proved itself on this path, in whichever generation."""
        return path in self._validated

    def ufrags(self) -> tuple[str, ...]:
        """Return the local ufrags that are answered: the current one first, then the one about to retire."""
        if self._previous is None:
            return (self._current.local.ufrag,)
        return self._current.local.ufrag, self._previous.local.ufrag

    def statistics(self) -> IceStatistics:
        """Return a snapshot of the counters."""
        return IceStatistics(
            requests_sent=0,
            requests_answered=self._requests_answered,
            responses_received=0,
            nominations=self._nominations,
            validated_paths=len(self._validated),
            selected=self.selected,
            dropped=Counter(self._dropped),
        )

    @property
    def _consent_until(self) -> float | None:
        return self.heard_at + self._consent_seconds if self._validated else None

    def _addressed_by(self, username: str) -> _Generation | None:
        if self._current.is_addressed_by(username):
            return self._current
        if self._previous is not None and self._previous.is_addressed_by(username):
            return self._previous
        return None

    def _answer(self, check: StunMessage, generation: _Generation, path: Path, now: float) -> list[IceOutput]:
        password = generation.local.password
        if check.unknown_required:
            refusal = error_response(check.transaction_id, UNKNOWN_ATTRIBUTE, password, unknown=check.unknown_required)
            return [Send(refusal, path)]
        if check.ice_controlled is not None:
            # A lite agent is always controlled (RFC 8445 §6.1.1): the peer has to change roles and check again.
            return [Send(error_response(check.transaction_id, ROLE_CONFLICT, password), path)]
        response = success_response(check.transaction_id, path.remote, password)
        outputs: list[IceOutput] = [Send(response, path)]
        is_repeated = self._seen.note(check.transaction_id)
        if is_repeated and now - self._validated.get(path, float("-inf")) >= SILENCE_SECONDS:
            # Answered, as it may be honest: asked again when a NAT has just given the peer another port.
            self._dropped[Drop.REPLAYED] += 1
            return outputs
        if generation.nominates_all is None:
            generation.nominates_all = check.use_candidate
        if not is_repeated:
            self.heard_at = now
            outputs += self._validate(path, now)
        if self._may_move(generation, now, is_nominated=check.use_candidate):
            outputs += self._select(path)
        if path == self.selected and generation is self._current:
            changes_more = check.use_candidate and generation.nominates_all  # see `_may_move`
            self._repeats = None if changes_more else repeats_of(check, response, password)
        return outputs

    def _validate(self, path: Path, now: float) -> list[IceOutput]:
        if path in self._validated:
            del self._validated[path]
            self._validated[path] = now  # the most recently checked comes last
            return []
        self._validated[path] = now
        if len(self._validated) <= MAX_VALIDATED_PATHS:
            return [Validated(path)]
        oldest = next(known for known in self._validated if known != self.selected)
        del self._validated[oldest]
        return [Validated(path), Forgotten(oldest)]

    def _may_move(self, generation: _Generation, now: float, *, is_nominated: bool) -> bool:
        if generation is not self._current and self._current.has_nominated:
            return False  # a late check of the old generation must not move media back
        if not is_nominated:
            # Browsers start DTLS some 50 ms before they nominate: without a path, any will do.
            if self.selected is None or now - self._validated[self.selected] >= SILENCE_SECONDS:
                return True
            return generation.nominates_all is True and now >= generation.stands_until
        if now < generation.stands_until:
            return False
        if generation is self._current and not generation.has_nominated:
            generation.has_nominated = True
            if generation.nominates_all:
                generation.stands_until = now + BURST_SECONDS
            if self._previous is not None:
                self._retire_at = now + RETIREMENT_SECONDS
        else:
            generation.nominates_all = False  # it goes on: libwebrtc, whose first check was lost
        return True

    def _select(self, path: Path) -> list[IceOutput]:
        if path == self.selected:
            return []
        self.selected = path
        self._repeats = None
        self._nominations += 1
        return [Nominated(path)]

    def _lose_consent(self) -> list[IceOutput]:
        forgotten: list[IceOutput] = [Forgotten(path) for path in self._validated]
        self._validated.clear()
        self.selected = self._previous = self._retire_at = self._repeats = None
        self._consent_lost = True
        return [*forgotten, ConsentLost()]

    def _drop(self, cause: Drop) -> list[IceOutput]:
        self._dropped[cause] += 1
        return []
