"""The recorded SCTP packets of `tests/vectors/wire/sctp.jsonl`."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from rtp.sctp.packet import Packet, parse_packet, serialize_packet


@dataclass(frozen=True)
class Recorded:
    """One packet, who sent it, and what it is."""

    session: str
    sender: str
    what: str
    chunks: list[list[object]]  # [name, flags, length]
    packet: bytes


@cache
def recorded() -> list[Recorded]:
    path = Path(__file__).parents[2] / "vectors" / "wire" / "sctp.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [Recorded(x["session"], x["from"], x["what"], x["chunks"], bytes.fromhex(x["hex"])) for x in lines]


def client_packets(session: str) -> list[Recorded]:
    return [line for line in recorded() if line.session == session and line.sender != "spike server"]


def retagged(packet: bytes, tag: int) -> bytes:
    """Return a recorded packet as if it had been sent to an association with that tag."""
    return serialize_packet(tag, [packet[12:]])


def parsed(outputs: list[bytes]) -> list[Packet]:
    return [parse_packet(packet) for packet in outputs]
