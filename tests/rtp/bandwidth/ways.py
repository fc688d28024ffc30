"""The two ways to learn of a path: what the sender keeps, what the receiver notes, and what goes back from one to the other."""

from typing import Final, Protocol, TypeVar

from rtp.arrivals import ArrivalLog
from rtp.bandwidth.remote import RemoteEstimator
from rtp.bandwidth.send_side import SendSideEstimator
from rtp.rtcp.transport_cc import TransportCcFeedback
from rtp.units import Ssrc
from tests.rtp.bandwidth.remb_receiver import RembReceiver

News = TypeVar("News")


class Way(Protocol[News]):
    """Packets go by names, which count them."""

    estimator: SendSideEstimator | RemoteEstimator

    def send(self, size: int, now: float) -> int: ...

    def note(self, name: int, arrived_at: float) -> None: ...

    def take(self, now: float) -> list[News]: ...

    def tell(self, news: News, now: float) -> bool: ...


class TransportWide:
    def __init__(self) -> None:
        self.estimator: Final = SendSideEstimator()
        self._log = ArrivalLog(Ssrc(1))

    def send(self, size: int, now: float) -> int:
        return self.estimator.sent(size, now)

    def note(self, name: int, arrived_at: float) -> None:
        self._log.note(name & 0xFFFF, Ssrc(2), arrived_at)

    def take(self, now: float) -> list[TransportCcFeedback]:
        due = self._log.next_timeout()
        return self._log.take(now) if self._log.is_due(now) or (due is not None and now >= due) else []

    def tell(self, news: TransportCcFeedback, now: float) -> bool:
        return self.estimator.receive_feedback(news, now)


class Remb:
    def __init__(self) -> None:
        self.estimator: Final = RemoteEstimator()
        self._receiver = RembReceiver()
        self._sent: list[tuple[float, int]] = []

    def send(self, size: int, now: float) -> int:
        self.estimator.count_sent(size, now)
        self._sent.append((now, size))
        return len(self._sent) - 1

    def note(self, name: int, arrived_at: float) -> None:
        sent_at, size = self._sent[name]
        self._receiver.note(sent_at, arrived_at, size)

    def take(self, now: float) -> list[int]:
        remb = self._receiver.take(now)
        return [] if remb is None else [remb]

    def tell(self, news: int, now: float) -> bool:
        return self.estimator.receive_remb(news, now)
