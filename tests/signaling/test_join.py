"""How wishes to join are read."""

import base64
import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st
from livekit.protocol.models import ClientInfo
from livekit.protocol.rtc import ConnectionSettings, JoinRequest, SessionDescription, WrappedJoinRequest

from signaling import join
from signaling.http.errors import HttpError
from signaling.http.request import Request
from signaling.join import parse_attributes, parse_join_request, parse_query
from tests.signaling.client import packed

REQUEST = JoinRequest(
    client_info=ClientInfo(sdk="GO", version="2.9.0", protocol=17),
    connection_settings=ConnectionSettings(auto_subscribe=True),
    publisher_offer=SessionDescription(type="offer", sdp="v=0\r\n" * 500, id=1),
    participant_attributes={"a": "b"},
)


def request(**parameters: str) -> Request:
    return Request("GET", "/rtc", {name: [value] for name, value in parameters.items()}, {}, "127.0.0.1")


def refusal(text: str) -> str:
    with pytest.raises(HttpError) as refused:
        parse_join_request(text)
    assert refused.value.status == 400
    return refused.value.body


@pytest.mark.parametrize("compress", [False, True])
def test_a_packed_request_reads_as_it_was(compress: bool) -> None:
    assert parse_join_request(packed(REQUEST, compress=compress)) == REQUEST


def test_both_alphabets_with_and_without_padding() -> None:
    request = JoinRequest(metadata="ÿþ" * 7 + "??")
    url_safe = packed(request, compress=False)
    standard = url_safe.replace("-", "+").replace("_", "/")
    assert set(url_safe) & set("-_")
    assert url_safe.endswith("=")
    for spelled in (url_safe, url_safe.rstrip("="), standard, standard.rstrip("="), standard.replace("+", " ")):
        assert parse_join_request(spelled) == request


@pytest.mark.parametrize(
    ("text", "body"),
    [
        ("!!!", "cannot base64 decode wrapped join request"),
        ("AAAAA", "cannot base64 decode wrapped join request"),
        ("ää", "cannot base64 decode wrapped join request"),
        ("____", "cannot unmarshal wrapped join request"),
        ("CAESBm5vZ3ppcA==", "cannot read decompressed join request"),
        ("EgL__w==", "cannot unmarshal join request"),
    ],
)
def test_what_cannot_be_read_is_named_as_the_reference_does(text: str, body: str) -> None:
    assert refusal(text) == body


def test_inflation_is_bounded() -> None:
    bomb = WrappedJoinRequest(compression="GZIP", join_request=gzip.compress(bytes(join.MAX_JOIN_REQUEST_BYTES + 1)))
    assert refusal(base64.urlsafe_b64encode(bomb.SerializeToString()).decode()) == "join request too large"


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: data + b"x", lambda data: b""])
def test_a_cut_or_continued_compression_is_refused(damage: object) -> None:
    assert callable(damage)
    wrapped = WrappedJoinRequest(compression="GZIP", join_request=damage(gzip.compress(REQUEST.SerializeToString())))
    text = base64.urlsafe_b64encode(wrapped.SerializeToString()).decode()
    assert refusal(text) == "cannot read decompressed join request"


@given(st.one_of(st.text(max_size=100), st.binary(max_size=100).map(lambda data: base64.b64encode(data).decode())))
def test_noise_raises_nothing_but_http_errors(noise: str) -> None:
    for parse in (parse_join_request, parse_attributes):
        try:
            parse(noise)
        except HttpError as error:
            assert error.status == 400  # noqa: PT017  # noise may also be readable


def test_the_old_layouts_parameters() -> None:
    # As the Python SDK 1.2.1 sends them.
    read = parse_query(
        request(
            sdk="python",
            os="Debian",
            os_version="-",
            device_model="-",
            protocol="18",
            client_protocol="2",
            auto_subscribe="0",
            adaptive_stream="1",
            version="1.2.1",
            capabilities="CAP_PACKET_TRAILER,CAP_COMPRESSION_DEFLATE_RAW,CAP_OF_TOMORROW",
            reconnect="1",
            reconnect_reason="3",
            sid="PA_x",
        )
    )
    assert read.client_info == ClientInfo(
        sdk="PYTHON",
        os="Debian",
        os_version="-",
        device_model="-",
        protocol=18,
        client_protocol=2,
        version="1.2.1",
        capabilities=["CAP_PACKET_TRAILER", "CAP_COMPRESSION_DEFLATE_RAW"],
    )
    assert (read.connection_settings.auto_subscribe, read.connection_settings.adaptive_stream) == (False, True)
    assert (read.reconnect, read.reconnect_reason, read.participant_sid) == (True, 3, "PA_x")


def test_parameters_that_are_absent_or_nonsense() -> None:
    assert parse_query(request()).connection_settings == ConnectionSettings(
        auto_subscribe=True, auto_subscribe_data_track=False
    )
    read = parse_query(request(protocol="99999999999", client_protocol="-1", sdk="martian", auto_subscribe="yes"))
    assert read.client_info == ClientInfo()
    assert not read.connection_settings.auto_subscribe


@pytest.mark.parametrize(
    ("name", "sdk"), [("ios", "SWIFT"), ("swift", "SWIFT"), ("reactnative", "REACT_NATIVE"), ("unityweb", "UNITY_WEB")]
)
def test_sdks_by_the_names_they_give_themselves(name: str, sdk: str) -> None:
    assert ClientInfo.SDK.Name(parse_query(request(sdk=name)).client_info.sdk) == sdk


def test_whether_videos_may_be_paused_is_said_or_not() -> None:
    assert not parse_query(request()).connection_settings.HasField("subscriber_allow_pause")
    said = [parse_query(request(subscriber_allow_pause=value)).connection_settings for value in ("1", "0")]
    assert [(each.HasField("subscriber_allow_pause"), each.subscriber_allow_pause) for each in said] == [
        (True, True),
        (True, False),
    ]
