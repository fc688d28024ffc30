"""The recorded packets of tests/vectors/wire, as parsers see them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from rtp import extensions

WIRE = Path(__file__).parent.parent / "vectors" / "wire"

URIS = {
    "mid": extensions.MID,
    "rid": extensions.RID,
    "rrid": extensions.REPAIRED_RID,
    "level": extensions.AUDIO_LEVEL,
    "abs": extensions.ABS_SEND_TIME,
    "twcc": extensions.TRANSPORT_CC,
    "capture": extensions.ABS_CAPTURE_TIME,
    "dd": extensions.DEPENDENCY_DESCRIPTOR,
    "playout": extensions.PLAYOUT_DELAY,
}
_TEXT = ("mid", "rid", "rrid")


@dataclass(frozen=True)
class RecordedPacket:
    """One line of an rtp-*.jsonl: the packet in clear, and what a second reader found in it."""

    where: str
    packet: bytes
    line: dict
    session: dict

    @property
    def what(self) -> str:
        return self.line["what"]

    @property
    def extensions(self) -> dict[int, bytes]:
        ids = {name: int(number) for number, name in self.session["extensions"].items()}
        return {
            ids[name]: value.encode() if name in _TEXT else bytes.fromhex(value)
            for name, value in self.line["ext"].items()
        }


@cache
def recorded_rtp() -> tuple[RecordedPacket, ...]:
    return tuple(packet for path in sorted(WIRE.glob("rtp-*.jsonl")) for packet in _packets(path))


@cache
def recorded_rtcp() -> tuple[dict, ...]:
    """The compounds of rtcp.jsonl; the summaries of whole sessions left out."""
    return tuple(line for line in _lines(WIRE / "rtcp.jsonl") if "hex" in line)


def recorded_session(name: str) -> dict:
    return next(_lines(WIRE / f"rtp-{name}.jsonl"))


def _packets(path: Path) -> Iterator[RecordedPacket]:
    lines = _lines(path)
    session = next(lines)
    for number, line in enumerate(lines, start=2):
        yield RecordedPacket(f"{path.name}:{number}", bytes.fromhex(line["hex"]), line, session)


def _lines(path: Path) -> Iterator[dict]:
    with path.open() as file:
        for line in file:
            yield json.loads(line)
