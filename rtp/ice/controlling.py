"""The asking half of ICE, for a client with one local address (RFC 8445, controlling role)."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from rtp.errors import DecodeError
from rtp.ice.candidates import (
    MAX_LOCAL_PREFERENCE,
    PEER_REFLEXIVE_PREFERENCE,
    IceCredentials,
    candidate_priority,
)
from rtp.ice.outputs import ConsentLost, Drop, IceOutput, IceStatistics, Nominated, Send, Validated
from rtp.stun import (
    BINDING,
    ROLE_CONFLICT,
    UNKNOWN_ATTRIBUTE,
    MessageClass,
    StunMessage,
    binding_request,
    error_response,
    parse_message,
    success_response,
)
from rtp.timers import earliest, is_due
from rtp.units import Address, Path

PACING_SECONDS: Final = 0.02
"""Least time between two checks, whatever they are for (Ta; RFC 8445 §14.2 asks for 5 ms or more)."""

FIRST_RTO_SECONDS: Final = 0.05
CONNECTING_RTO_LIMIT_SECONDS: Final = 0.2
CONNECTED_RTO_LIMIT_SECONDS: Final = 1.6
"""A check is repeated after the first time, which doubles up to one of the limits.

Until a path is nominated a user is waiting, and five to eight checks a second are what browsers send; with the
doubling left free, two lost checks in a row at 40 % loss would already take seconds.
"""

NOMINATION_DELAY_SECONDS: Final = 0.05
"""From the first valid path to USE-CANDIDATE, as Chromium does it: a better path may come in meanwhile."""

CONSENT_CHECK_SECONDS: Final = 2.5
"""Between checks of the nominated path (RFC 7675 §5.1 says at most 5; Chromium 156 was recorded at 2.5)."""

BACKUP_CHECK_SECONDS: Final = 25.0
"""Between checks of a valid path that is not nominated, as recorded from Chromium 156: it keeps a NAT's mapping."""

CONSENT_SECONDS: Final = 15.0
"""Silence after which the peer is given up."""

MAX_PAIRS: Final = 32
"""Remote addresses that are checked; further ones are ignored."""

_PRIORITY: Final = candidate_priority(PEER_REFLEXIVE_PREFERENCE, MAX_LOCAL_PREFERENCE)  # RFC 8445 §7.1.1


@dataclass(slots=True)
class _Transaction:
    id: bytes
    request: bytes
    nominates: bool
    rto: float = FIRST_RTO_SECONDS


@dataclass(slots=True)
class _Pair:
    path: Path
    due: float  # when to send: the transaction's request again, or a new one
    transaction: _Transaction | None = None
    is_valid: bool = False
    is_nominated: bool = False  # the peer has answered a check with USE-CANDIDATE


# Theory of operation
#
# Each pair has at most one transaction. It is repeated, byte for byte, until it is answered: a silent peer is asked on
# and on, and one that comes back is found at once. Only the whole agent gives up, after CONSENT_SECONDS of silence.
#
#   first check answered ── NOMINATION_DELAY (none after migrate) ──> the first valid pair becomes the nominee
#   nominee:  check with USE-CANDIDATE, answered ──> selected; the same again every CONSENT_CHECK_SECONDS
#   others:   check without it every BACKUP_CHECK_SECONDS
#
# restart and migrate begin with new pairs and no nominee; `selected` stays, and counts as validated, until the new
# nominee's check is answered: the new path is made before the old one is broken.


class IceControllingAgent:
    """Checks one peer's addresses from one of ours, and nominates a path. Does no I/O.

    Each call returns all it wants done, in order; `next_timeout` may have changed after any call. `now` is in seconds,
    on one monotonic clock. `selected` is where DTLS and media go: the nominated path once its nomination has been
    answered, before any the first validated path, None before any and after `ConsentLost`.

    `new_transaction_id` returns 12 bytes that nobody can guess; `tie_breaker` is a random number of 64 bits.
    """

    def __init__(
        self, credentials: IceCredentials, *, tie_breaker: int, new_transaction_id: Callable[[], bytes]
    ) -> None:
        self.local = credentials
        self.remote: IceCredentials | None = None
        self.selected: Path | None = None
        self._tie_breaker = tie_breaker
        self._new_transaction_id = new_transaction_id
        self._pairs: dict[Path, _Pair] = {}  # best first
        self._nominee: _Pair | None = None
        self._nominate_at: float | None = None
        self._nomination_delay = NOMINATION_DELAY_SECONDS
        self._pace_at = 0.0
        self._heard_at: float | None = None  # or when the first check went out
        self._consent_lost = False
        self._requests_sent = 0
        self._requests_answered = 0
        self._responses_received = 0
        self._nominations = 0
        self._dropped: Counter[Drop] = Counter()

    def set_remote(self, credentials: IceCredentials) -> None:
        """Learn the peer's credentials from its description: checks may begin, at the next timeout."""
        self.remote = credentials

    def add_remote_candidate(self, path: Path, now: float) -> list[IceOutput]:
        """Check this path too; the peer's best candidate should come first. More than MAX_PAIRS are ignored."""
        if self._consent_lost or path in self._pairs or len(self._pairs) >= MAX_PAIRS:
            return []
        self._pairs[path] = _Pair(path, due=now)
        return self.handle_timeout(now)

    def restart(self, credentials: IceCredentials, now: float) -> None:
        """Begin a new generation (RFC 8445 §9): the peer's credentials and candidates have to be given again."""
        self.local = credentials
        self.remote = None
        self._begin_again()
        self._consent_lost = False
        if self._heard_at is not None:
            self._heard_at = now  # leave the exchange of descriptions its time

    def migrate(self, local: Address, now: float) -> list[IceOutput]:
        """Leave the old local address for `local`: check every remote candidate from there, nominate without delay."""
        remotes = dict.fromkeys(path.remote for path in self._pairs)
        self._begin_again()
        self._nomination_delay = 0.0
        self._pairs = {path: _Pair(path, due=now) for path in (Path(local, remote) for remote in remotes)}
        return self.handle_timeout(now)

    def receive(self, data: bytes, path: Path, now: float) -> list[IceOutput]:
        """Take one STUN datagram. What is neither an answer to a check nor a valid check is dropped and counted."""
        if self._consent_lost:
            return self._drop(Drop.CONSENT_LOST)
        try:
            message = parse_message(data)
        except DecodeError:
            return self._drop(Drop.MALFORMED)
        if message.method != BINDING or message.message_class is MessageClass.INDICATION:
            return self._drop(Drop.UNEXPECTED)
        if message.message_class is MessageClass.REQUEST:
            return self._receive_request(message, path, now)
        return self._receive_response(message, path, now)

    def answer_repeat(self, data: bytes, path: Path, now: float) -> None:
        """Answer nothing unread: few peers check back (RFC 8445 §2.5)."""

    def heard(self, now: float) -> None:
        """Count an authenticated packet as a sign of life. For each packet."""
        self._heard_at = now

    def next_timeout(self) -> float | None:
        """Return when `handle_timeout` is wanted, if at all; it may be in the past."""
        if self._consent_lost:
            return None
        check_at = None
        if self.remote is not None and self._pairs:
            check_at = max(self._pace_at, min(pair.due for pair in self._pairs.values()))
        return earliest(self._consent_until, self._nominate_at, check_at)

    def handle_timeout(self, now: float) -> list[IceOutput]:
        """Do what is due, at most one check at a time; harmless if early."""
        if self._consent_lost:
            return []
        if is_due(self._consent_until, now):
            self._begin_again()
            self.selected = self._heard_at = None
            self._consent_lost = True
            return [ConsentLost()]
        if is_due(self._nominate_at, now):
            self._nominate(now)
        return self._send_due(now)

    def is_validated(self, path: Path) -> bool:
        """Whether the peer has proved itself on this path."""
        pair = self._pairs.get(path)
        return path == self.selected or (pair is not None and pair.is_valid)

    def statistics(self) -> IceStatistics:
        """Return a snapshot of the counters."""
        return IceStatistics(
            requests_sent=self._requests_sent,
            requests_answered=self._requests_answered,
            responses_received=self._responses_received,
            nominations=self._nominations,
            validated_paths=sum(pair.is_valid for pair in self._pairs.values()),
            selected=self.selected,
            dropped=Counter(self._dropped),
        )

    @property
    def _consent_until(self) -> float | None:
        return None if self._heard_at is None else self._heard_at + CONSENT_SECONDS

    def _begin_again(self) -> None:
        self._pairs = {}
        self._nominee = self._nominate_at = None
        self._nomination_delay = NOMINATION_DELAY_SECONDS

    def _send_due(self, now: float) -> list[IceOutput]:
        if self.remote is None or not self._pairs or now < self._pace_at:
            return []
        pair = min(self._pairs.values(), key=lambda pair: pair.due)
        if now < pair.due:
            return []
        if pair.transaction is None:
            pair.transaction = self._new_transaction(self.remote, nominates=pair is self._nominee)
        transaction = pair.transaction
        pair.due = now + transaction.rto
        is_connected = self._nominee is not None and self._nominee.is_nominated
        limit = CONNECTED_RTO_LIMIT_SECONDS if is_connected else CONNECTING_RTO_LIMIT_SECONDS
        transaction.rto = min(2 * transaction.rto, limit)
        self._pace_at = now + PACING_SECONDS
        self._requests_sent += 1
        if self._heard_at is None:
            self._heard_at = now
        return [Send(transaction.request, pair.path)]

    def _new_transaction(self, remote: IceCredentials, *, nominates: bool) -> _Transaction:
        transaction_id = self._new_transaction_id()
        request = binding_request(
            transaction_id,
            username=f"{remote.ufrag}:{self.local.ufrag}",
            password=remote.password,
            priority=_PRIORITY,
            tie_breaker=self._tie_breaker,
            use_candidate=nominates,
        )
        return _Transaction(transaction_id, request, nominates)

    def _nominate(self, now: float) -> None:
        self._nominate_at = None
        self._nominee = next(pair for pair in self._pairs.values() if pair.is_valid)
        self._nominee.due = now

    def _receive_response(self, response: StunMessage, path: Path, now: float) -> list[IceOutput]:
        # The answer must come by the path of the question (RFC 8445 §7.2.5.2.1).
        pair = self._pairs.get(path)
        if pair is None or pair.transaction is None or pair.transaction.id != response.transaction_id:
            return self._drop(Drop.UNEXPECTED)
        assert self.remote is not None, "checks are sent only with the peer's password"
        if not response.verify(self.remote.password):
            return self._drop(Drop.BAD_INTEGRITY)
        nominates = pair.transaction.nominates
        pair.transaction = None
        pair.due = now + (CONSENT_CHECK_SECONDS if pair is self._nominee else BACKUP_CHECK_SECONDS)
        self._heard_at = now
        self._responses_received += 1
        if response.message_class is MessageClass.ERROR or response.unknown_required:
            # Refused: this role is all we have, so ask again, slowly.
            pair.due = now + CONNECTED_RTO_LIMIT_SECONDS
            return []
        outputs: list[IceOutput] = []
        if not pair.is_valid:
            pair.is_valid = True
            outputs.append(Validated(path))
        if self._nominee is None and self._nominate_at is None:
            self._nominate_at = now + self._nomination_delay
        pair.is_nominated |= nominates
        if nominates or self.selected is None:
            outputs += self._select(path)
        return outputs + self.handle_timeout(now)

    def _select(self, path: Path) -> list[IceOutput]:
        if path == self.selected:
            return []
        self.selected = path
        self._nominations += 1
        return [Nominated(path)]

    def _receive_request(self, request: StunMessage, path: Path, now: float) -> list[IceOutput]:
        if self.remote is None or request.username != f"{self.local.ufrag}:{self.remote.ufrag}":
            return self._drop(Drop.UNKNOWN_USERNAME)
        password = self.local.password
        if not request.verify(password):
            return self._drop(Drop.BAD_INTEGRITY)
        self._heard_at = now
        self._requests_answered += 1
        if request.unknown_required:
            refusal = error_response(
                request.transaction_id, UNKNOWN_ATTRIBUTE, password, unknown=request.unknown_required
            )
            return [Send(refusal, path)]
        if request.ice_controlling is not None:  # controlling is all we can be, whatever the tie-breakers say
            return [Send(error_response(request.transaction_id, ROLE_CONFLICT, password), path)]
        return [Send(success_response(request.transaction_id, path.remote, password), path)]

    def _drop(self, cause: Drop) -> list[IceOutput]:
        self._dropped[cause] += 1
        return []
