from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtp.binding import MAX_SSRCS_PER_SECTION, Binding, Section, SsrcBinder, Unbound
from rtp.packet import RtpHeader, build_packet, parse_header
from rtp.units import Mid, Rid, Ssrc
from tests.rtp.wire import WIRE, RecordedPacket, recorded_rtp

MID_ID, RID_ID, RRID_ID = 9, 10, 11
AUDIO, VP8, RTX = 111, 96, 97


def header(ssrc: int, payload_type: int) -> RtpHeader:
    return parse_header(build_packet(payload_type=payload_type, sequence=1, timestamp=1, ssrc=ssrc, payload=b"x"))


def unnamed(ssrcs: tuple[int, ...]) -> dict[Ssrc, Rid | None]:
    return dict.fromkeys(map(Ssrc, ssrcs))


def audio(mid: str, *ssrcs: int) -> Section:
    return Section(Mid(mid), frozenset({AUDIO}), ssrcs=unnamed(ssrcs), mid_extension=MID_ID)


def video(mid: str, *, ssrcs: tuple[int, ...] = (), rtx_ssrcs: tuple[int, ...] = ()) -> Section:
    return Section(
        Mid(mid),
        frozenset({VP8}),
        frozenset({RTX}),
        ssrcs=unnamed(ssrcs),
        rtx_ssrcs=unnamed(rtx_ssrcs),
        mid_extension=MID_ID,
    )


def simulcast(mid: str, rids: str = "q h f", *, ssrcs: tuple[int, ...] = ()) -> Section:
    return Section(
        Mid(mid),
        frozenset({VP8}),
        frozenset({RTX}),
        rids=tuple(map(Rid, rids.split())),
        ssrcs=unnamed(ssrcs),
        mid_extension=MID_ID,
        rid_extension=RID_ID,
        repaired_rid_extension=RRID_ID,
    )


def binder(*sections: Section) -> SsrcBinder:
    result = SsrcBinder()
    for section in sections:
        result.declare(section)
    return result


def media(mid: str, rid: str | None = None) -> Binding:
    return Binding(Mid(mid), None if rid is None else Rid(rid), is_rtx=False)


def repair(mid: str, rid: str | None = None) -> Binding:
    return Binding(Mid(mid), None if rid is None else Rid(rid), is_rtx=True)


@pytest.mark.parametrize(
    ("sections", "payload_type", "extensions", "binding"),
    [
        # named by MID
        ([audio("0"), audio("1")], AUDIO, {MID_ID: b"1"}, media("1")),
        ([video("0"), video("1")], RTX, {MID_ID: b"1"}, repair("1")),
        ([video("0", ssrcs=(8,))], VP8, {MID_ID: b"0"}, media("0")),
        ([Section(Mid("0"), frozenset({AUDIO}))], AUDIO, {MID_ID: b"1"}, media("0")),  # that id was not negotiated
        # and by RID
        ([simulcast("0")], VP8, {MID_ID: b"0", RID_ID: b"h"}, media("0", "h")),
        ([simulcast("0"), simulcast("1")], RTX, {MID_ID: b"1", RRID_ID: b"q"}, repair("1", "q")),
        # signalled
        ([video("0", ssrcs=(7,)), video("1", ssrcs=(8,))], VP8, {}, media("0")),
        ([video("0", ssrcs=(8,), rtx_ssrcs=(7,)), video("1")], RTX, {}, repair("0")),
        ([audio("0", 7), audio("1")], AUDIO, {MID_ID: b"1"}, media("0")),
        # known by payload type
        ([audio("0"), video("1")], AUDIO, {}, media("0")),
        ([audio("0"), video("1")], RTX, {}, repair("1")),
        ([audio("0", 8), audio("1")], AUDIO, {}, media("1")),  # the other section has its SSRC
        ([audio("0", 8), video("1")], AUDIO, {}, media("0")),  # a second SSRC, but nowhere else to go
        ([audio("0"), simulcast("1")], VP8, {RID_ID: b"f"}, media("1", "f")),
    ],
)
def test_an_ssrc_is_bound_by_what_names_it(
    sections: list[Section], payload_type: int, extensions: Mapping[int, bytes], binding: Binding
) -> None:
    assert binder(*sections).bind(header(7, payload_type), extensions) == binding


@pytest.mark.parametrize(
    ("sections", "payload_type", "extensions", "cause"),
    [
        ([audio("0")], AUDIO, {MID_ID: b"1"}, Unbound.UNKNOWN_MID),
        ([audio("0")], AUDIO, {MID_ID: b"\xff"}, Unbound.UNKNOWN_MID),
        ([simulcast("0")], VP8, {MID_ID: b"0", RID_ID: b"x"}, Unbound.UNKNOWN_RID),
        ([simulcast("0")], VP8, {MID_ID: b"0"}, Unbound.NO_RID),
        ([simulcast("0", ssrcs=(7,))], VP8, {}, Unbound.NO_RID),  # signalled, but of which encoding?
        ([audio("0"), audio("1")], AUDIO, {}, Unbound.AMBIGUOUS),
        ([audio("0", 8), audio("1", 9)], AUDIO, {}, Unbound.AMBIGUOUS),
        ([audio("0")], VP8, {}, Unbound.AMBIGUOUS),
        ([], AUDIO, {}, Unbound.AMBIGUOUS),
    ],
)
def test_an_ssrc_that_nothing_names_is_counted(
    sections: list[Section], payload_type: int, extensions: Mapping[int, bytes], cause: Unbound
) -> None:
    ssrcs = binder(*sections)
    assert ssrcs.bind(header(7, payload_type), extensions) is None
    assert ssrcs.bound(Ssrc(7)) is None
    assert ssrcs.unbound == {cause: 1}


def test_ssrc_zero_is_a_probe_and_never_bound() -> None:
    ssrcs = binder(audio("0"))
    assert ssrcs.bind(header(0, AUDIO), {MID_ID: b"0"}) is None
    assert ssrcs.unbound == {Unbound.PROBE: 1}


def test_a_binding_outlives_the_names() -> None:
    ssrcs = binder(simulcast("0"), simulcast("1"))
    named = {MID_ID: b"1", RID_ID: b"q"}
    assert ssrcs.bind(header(7, VP8), named) == media("1", "q")
    assert ssrcs.bind(header(7, VP8), {}) == media("1", "q")
    assert ssrcs.bound(Ssrc(7)) == media("1", "q")


def test_signalled_ssrcs_are_bound_before_any_packet() -> None:
    ssrcs = binder(video("0", ssrcs=(7,), rtx_ssrcs=(8,)))
    assert (ssrcs.bound(Ssrc(7)), ssrcs.bound(Ssrc(8))) == (media("0"), repair("0"))


def test_another_negotiation_keeps_the_encodings_that_remain() -> None:
    ssrcs = binder(simulcast("0"), audio("1"))
    for ssrc, rid in enumerate((b"q", b"h", b"f"), start=1):
        ssrcs.bind(header(ssrc, VP8), {MID_ID: b"0", RID_ID: rid})
    ssrcs.bind(header(9, AUDIO), {MID_ID: b"1"})
    ssrcs.declare(simulcast("0", "q h"))
    assert [ssrcs.bound(Ssrc(ssrc)) for ssrc in (1, 2, 3, 9)] == [media("0", "q"), media("0", "h"), None, media("1")]


def test_signalling_takes_an_ssrc_from_another_section() -> None:
    ssrcs = binder(audio("0"))
    assert ssrcs.bind(header(7, AUDIO), {}) == media("0")
    ssrcs.declare(audio("1", 7))
    assert ssrcs.bound(Ssrc(7)) == media("1")


def test_a_withdrawn_section_loses_its_bindings() -> None:
    ssrcs = binder(audio("0", 7), audio("1", 8))
    ssrcs.withdraw(Mid("0"))
    assert (ssrcs.bound(Ssrc(7)), ssrcs.bound(Ssrc(8))) == (None, media("1"))
    assert ssrcs.bind(header(7, AUDIO), {MID_ID: b"0"}) is None
    ssrcs.withdraw(Mid("0"))  # again: nothing to do


def test_a_section_has_room_for_so_many_ssrcs_until_it_is_withdrawn() -> None:
    ssrcs = binder(audio("0"), audio("1"))
    packets = [header(ssrc, AUDIO) for ssrc in range(1, MAX_SSRCS_PER_SECTION + 4)]
    bound = [packet for packet in packets if ssrcs.bind(packet, {MID_ID: b"0"})]
    assert len(bound) == MAX_SSRCS_PER_SECTION
    assert ssrcs.unbound == {Unbound.TOO_MANY: 3}
    assert ssrcs.bind(packets[-1], {MID_ID: b"1"}) == media("1")
    ssrcs.withdraw(Mid("0"))
    ssrcs.declare(audio("0"))
    assert ssrcs.bind(packets[-2], {MID_ID: b"0"}) == media("0")


def sections_of(session: dict) -> list[Section]:
    """Return the sections of a recorded session, without the SSRCs that its description may have named."""
    ids = {name: int(number) for number, name in session["extensions"].items()}
    types = session["payload_types"].items()
    return [
        Section(
            Mid(mid),
            payload_types=frozenset(int(number) for number, codec in types if codec in codecs - {"rtx"}),
            rtx_payload_types=frozenset(int(number) for number, codec in types if codec in codecs & {"rtx"}),
            rids=tuple(sorted({Rid(ssrc["rid"]) for ssrc in ssrcs if "rid" in ssrc})),
            mid_extension=ids["mid"],
            rid_extension=ids.get("rid"),
            repaired_rid_extension=ids.get("rrid"),
        )
        for mid in sorted({ssrc["mid"] for ssrc in session["ssrcs"].values()})
        for ssrcs in [[ssrc for ssrc in session["ssrcs"].values() if ssrc["mid"] == mid]]
        for codecs in [{ssrc["payload"] for ssrc in ssrcs}]
    ]


@pytest.mark.parametrize("file", sorted(path.name for path in WIRE.glob("rtp-*.jsonl")))
def test_recorded_packets_are_bound_from_the_first_that_can_be(file: str) -> None:
    packets: list[RecordedPacket] = [each for each in recorded_rtp() if each.where.startswith(file)]
    session = packets[0].session
    ssrcs = binder(*sections_of(session))
    named = set()
    for recorded in packets:
        ssrc = recorded.line["ssrc"]
        owner = session["ssrcs"][str(ssrc)]
        rid = owner.get("rid") or owner.get("rrid")
        if "mid" in recorded.line["ext"] or rid is None:
            named.add(ssrc)  # of the others, the first packets are not in the file
        expected = Binding(Mid(owner["mid"]), None if rid is None else Rid(rid), is_rtx=owner["payload"] == "rtx")
        binding = ssrcs.bind(parse_header(recorded.packet), recorded.extensions)
        assert binding == (expected if ssrc in named else None), recorded.where
    assert set(ssrcs.unbound) <= {Unbound.NO_RID}


def test_layers_that_are_told_apart_by_ssrc_alone_are_bound_at_once_with_their_retransmissions() -> None:
    layers = Section(
        Mid("1"),
        frozenset({VP8}),
        frozenset({RTX}),
        ssrcs={Ssrc(10): Rid("q"), Ssrc(20): Rid("h")},
        rtx_ssrcs={Ssrc(11): Rid("q"), Ssrc(21): Rid("h")},
        mid_extension=MID_ID,
    )
    ssrcs = binder(layers)
    assert [ssrcs.bound(Ssrc(ssrc)) for ssrc in (10, 11, 20, 21)] == [
        media("1", "q"),
        repair("1", "q"),
        media("1", "h"),
        repair("1", "h"),
    ]
    assert ssrcs.bind(header(30, VP8), {MID_ID: b"1"}) is None
    assert ssrcs.unbound == {Unbound.NO_RID: 1}
    ssrcs.declare(layers)
    assert ssrcs.bound(Ssrc(20)) == media("1", "h")
    ssrcs.declare(video("1", ssrcs=(10,)))
    assert [ssrcs.bound(Ssrc(ssrc)) for ssrc in (10, 20)] == [media("1"), None]


@given(
    st.lists(
        st.tuples(
            st.integers(0, 200),
            st.sampled_from([AUDIO, VP8, RTX, 0]),
            st.dictionaries(st.sampled_from([MID_ID, RID_ID, RRID_ID]), st.sampled_from([b"0", b"1", b"q", b"\xff"])),
        )
    )
)
def test_a_binding_never_changes_by_itself_and_every_refusal_is_counted(
    packets: list[tuple[int, int, dict[int, bytes]]],
) -> None:
    ssrcs = binder(audio("0"), simulcast("1"))
    refused = 0
    for ssrc, payload_type, extensions in packets:
        before = ssrcs.bound(Ssrc(ssrc))
        binding = ssrcs.bind(header(ssrc, payload_type), extensions)
        assert before in (None, binding)
        assert ssrcs.bound(Ssrc(ssrc)) == binding
        refused += binding is None
    assert ssrcs.unbound.total() == refused
