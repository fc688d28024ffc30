from sfu.media.keyframes import MAX_TRIES, RETRY_SECONDS, THROTTLE_SECONDS, KeyframeRequests


def test_nothing_is_due_until_somebody_asks() -> None:
    requests = KeyframeRequests()
    assert requests.next_timeout() is None
    assert not requests.take_due(100.0)


def test_requests_table() -> None:
    """(now, step, what it answers, what is due next)."""
    table = [
        (10.0, "request", True, 10.0),
        (10.0, "request", False, 10.0),  # merged
        (10.0, "take", True, 10.0 + RETRY_SECONDS),
        (10.1, "request", True, 10.0 + THROTTLE_SECONDS),  # sooner than the retry, not sooner than the throttle
        (10.4, "take", False, 10.5),
        (10.5, "take", True, 11.5),
        (11.5, "take", True, 12.5),  # repeated until one comes
        (11.6, "received", None, None),
        (11.7, "request", True, 12.0),  # throttled over a key frame too
        (11.8, "received", None, None),
        (12.5, "take", False, None),
        (20.0, "request", True, 20.0),
    ]
    requests = KeyframeRequests()
    for now, step, answer, due in table:
        match step:
            case "request":
                got = requests.request(now)
            case "take":
                got = requests.take_due(now)
            case _:
                got = requests.received()
        assert (got, requests.next_timeout()) == (answer, due), (now, step)


def test_a_publisher_that_never_answers_is_left_alone_until_the_next_wish() -> None:
    requests = KeyframeRequests()
    requests.request(0.0)
    asked = 0
    while (due := requests.next_timeout()) is not None:
        asked += requests.take_due(due)
    assert asked == MAX_TRIES
    assert requests.request(1000.0)
    assert requests.take_due(1000.0)
