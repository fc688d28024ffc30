"""What waits to be sent: turns between streams, resets, limits, and what may be dropped."""

from collections import Counter
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from rtp.sctp.drops import Drop
from rtp.sctp.queue import OutgoingMessage, SendQueue


def queue() -> SendQueue:
    return SendQueue(Counter[Drop]())


def message(stream: int, text: bytes, **limits: float) -> OutgoingMessage:
    return OutgoingMessage(stream, 51, text, ordered=True, **limits)


def take_all(queue: SendQueue, *, now: float = 0.0, size: int = 100) -> list[tuple[int, bytes]]:
    """Return what leaves, in fragments of `size`."""
    left = []
    while (item := queue.next(now, may_expire=True)) is not None:
        left.append((item.stream, queue.take(item, min(size, len(item.data) - item.offset))))
    return left


def test_streams_take_turns_and_each_keeps_its_order() -> None:
    waiting = queue()
    for text in (b"a1", b"a2", b"a3"):
        assert waiting.add(message(1, text))
    assert waiting.add(message(2, b"b1"))
    assert waiting.add(message(2, b"b2"))
    assert waiting.bytes == 10
    assert [text for _, text in take_all(waiting)] == [b"a1", b"b1", b"a2", b"b2", b"a3"]
    assert waiting.bytes == 0


def test_a_message_that_has_begun_goes_out_before_any_other_begins() -> None:
    waiting = queue()
    waiting.add(message(1, b"long one"))
    waiting.add(message(2, b"short"))
    assert [text for _, text in take_all(waiting, size=4)] == [b"long", b" one", b"shor", b"t"]


def test_the_rest_of_a_message_given_up_does_not_leave() -> None:
    waiting = queue()
    begun = message(1, b"long one")
    waiting.add(begun)
    waiting.add(message(1, b"next"))
    assert waiting.next(0.0, may_expire=True) is begun
    waiting.take(begun, 4)
    assert waiting.bytes_of(1) == 8
    begun.is_abandoned = True
    assert waiting.bytes_of(1) == 4
    assert take_all(waiting) == [(1, b"next")]
    assert waiting.bytes == 0


def test_a_message_too_late_does_not_leave_unless_the_peer_could_not_be_told() -> None:
    for may_expire in (True, False):
        waiting = queue()
        waiting.add(message(1, b"late", expires_at=1.0))
        item = waiting.next(1.0, may_expire=may_expire)
        assert (item is None) == may_expire
        assert waiting.expired_messages == may_expire


def test_a_reset_holds_its_own_stream_up_and_no_other() -> None:
    waiting = queue()
    waiting.add(message(1, b"before"))
    assert waiting.add_reset(1)
    waiting.add(message(1, b"after"))
    waiting.add(message(2, b"elsewhere"))
    assert waiting.resets_due == []
    assert take_all(waiting, size=3) == [(1, b"bef"), (1, b"ore"), (2, b"els"), (2, b"ewh"), (2, b"ere")]
    assert waiting.resets_due == [1]
    waiting.resume(1)
    waiting.resume(1)
    waiting.resume(7)
    assert take_all(waiting) == [(1, b"after")]


def test_only_the_oldest_that_may_be_lost_and_have_not_begun_are_dropped() -> None:
    waiting = queue()
    begun = message(1, b"0" * 10, max_retransmits=0)
    for item in (begun, message(1, b"DCEP"), *(message(1, b"%d" % n * 10, expires_at=9.0) for n in range(1, 6))):
        waiting.add(item)
    assert waiting.next(0.0, may_expire=True) is begun
    waiting.take(begun, 4)
    assert waiting.drop(1, 54) == 0
    assert waiting.drop(1, 30) == 3
    assert waiting.bytes == 6 + 4 + 20
    assert waiting.bytes_of(1) == 30
    assert [text[:1] for _, text in take_all(waiting)] == [b"0", b"D", b"4", b"5"]


def test_a_stream_of_which_all_is_dropped_can_be_used_again() -> None:
    waiting = queue()
    waiting.add(message(1, b"gone", max_retransmits=0))
    waiting.add(message(2, b"stays"))
    assert waiting.drop(1, 0) == 1
    assert waiting.drop(1, 0) == 0
    waiting.add_reset(1)
    assert take_all(waiting) == [(2, b"stays")]
    waiting.add(message(1, b"gone", max_retransmits=0))
    assert waiting.drop(1, 0) == 1  # while it stands still
    waiting.resume(1)
    waiting.add(message(1, b"again"))
    assert take_all(waiting) == [(1, b"again")]


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("add"), st.integers(0, 3), st.integers(1, 9)),
            st.tuples(st.just("reset"), st.integers(0, 3), st.just(0)),
            st.tuples(st.just("resume"), st.integers(0, 3), st.just(0)),
            st.tuples(st.just("drop"), st.integers(0, 3), st.integers(0, 20)),
            st.tuples(st.just("take"), st.just(0), st.integers(1, 4)),
        ),
        max_size=60,
    )
)
def test_bytes_are_counted_right_whatever_is_asked(steps: list[tuple[str, int, int]]) -> None:
    waiting = queue()
    template = message(0, b"", max_retransmits=0)
    for verb, stream, number in steps:
        match verb:
            case "add":
                waiting.add(replace(template, stream=stream, data=bytes(number)))
            case "reset":
                waiting.add_reset(stream)
            case "resume":
                waiting.resume(stream)
            case "drop":
                waiting.drop(stream, number)
                assert waiting.bytes_of(stream) <= number + 9
            case _:
                if (item := waiting.next(0.0, may_expire=True)) is not None:
                    waiting.take(item, min(number, len(item.data) - item.offset))
        assert waiting.bytes == sum(waiting.bytes_of(stream) for stream in range(4))
    for _ in range(60):
        for stream in range(4):
            waiting.resume(stream)
        take_all(waiting)
    assert waiting.bytes == 0
    assert waiting.add(replace(template, data=b"x"))
