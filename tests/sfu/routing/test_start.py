"""What a session begins with can be written and read again, and nothing else is taken for it."""

from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st
from livekit.protocol.models import ClientInfo
from livekit.protocol.rtc import AddTrackRequest, JoinRequest, SessionDescription

from rtp.errors import DecodeError
from sfu.model import Claims, Identity, RoomName, SipGrant, VideoGrant
from sfu.routing.start import SessionStart, parse_session_start

words = st.text(max_size=20)
maybe = st.one_of(st.none(), st.booleans())
grants = st.builds(
    VideoGrant,
    room_join=st.booleans(),
    room=words,
    can_publish=maybe,
    can_subscribe=maybe,
    can_publish_data=maybe,
    can_publish_sources=st.lists(words, max_size=3).map(tuple),
    hidden=st.booleans(),
)
claims = st.builds(
    Claims,
    identity=words.map(Identity),
    name=words,
    kind=st.sampled_from(["standard", "agent", "martian"]),
    kind_details=st.lists(words, max_size=2).map(tuple),
    video=st.one_of(st.none(), grants),
    sip=st.one_of(st.none(), st.builds(SipGrant, admin=st.booleans())),
    metadata=words,
    attributes=st.dictionaries(words, words, max_size=3),
    room_config=st.one_of(st.none(), st.dictionaries(words, words, max_size=2)),
    expires_at=st.floats(0, 2e9),
    issued_at=st.one_of(st.none(), st.floats(0, 2e9)),
)
joins = st.builds(
    JoinRequest,
    client_info=st.builds(ClientInfo, sdk=st.integers(0, 5), protocol=st.integers(0, 99), browser=words),
    participant_sid=words,
    reconnect=st.booleans(),
    publisher_offer=st.one_of(st.none(), st.builds(SessionDescription, type=st.just("offer"), sdp=words)),
    add_track_requests=st.lists(st.builds(AddTrackRequest, cid=words), max_size=2),
)


@given(st.builds(SessionStart, room=words.map(RoomName), claims=claims, join=joins, single_connection=st.booleans()))
def test_what_is_written_is_read_again(start: SessionStart) -> None:
    assert parse_session_start(start.serialize()) == start


@given(st.binary(max_size=200))
def test_noise_raises_nothing_but_decode_error(noise: bytes) -> None:
    with suppress(DecodeError):
        parse_session_start(noise)
