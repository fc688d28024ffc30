"""The times at which cores want to be woken: seconds on the one monotonic clock, or None for not at all."""


def earliest(*times: float | None) -> float | None:
    """Return the first of these times. A loop, since `min` takes five times as long, and this is asked at each datagram."""
    first: float | None = None
    for time in times:
        if time is not None and (first is None or time < first):
            first = time
    return first


def is_due(time: float | None, now: float) -> bool:
    """Say whether a timer has run out; None: it is not running."""
    return time is not None and time <= now
