"""Chromium's streams of several spatial and temporal layers, as recorded, to be sent again and to be judged.

A recording is a row of groups, each of which begins with a key picture and hangs on nothing before it, as those of
`encodings` do. A picture has one right outcome for each spatial layer: what a decoder gives that is fed its group from the key
picture on, without the layers above that one. Temporal layers that are left out change nothing in it.
"""

import gzip
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path
from random import Random
from typing import Final

from rtp.extensions import find_extension
from rtp.packet import parse_header, payload_end
from rtp.payload.dependency_descriptor import DependencyDescriptor, Structure, parse_dependency_descriptor
from rtp.payload.vp9 import parse_vp9
from tests.support.encodings import AV1, VP9, Decoder, Mark
from tests.support.packetizing import FRAMES_PER_SECOND, assemble

FOLDER: Final = Path(__file__).parents[1] / "vectors" / "layers"
_FILES: Final = {VP9: "vp9-l3t3_key.jsonl.gz", AV1: "av1-l3t3_key.jsonl.gz"}

SPATIAL_LAYERS: Final = 3
_LONG: Final = 0x8000  # of a picture id: it has 15 bits
SIZES: Final = ((256, 144), (512, 288), (1024, 576))


@dataclass(frozen=True, slots=True)
class RecordedPacket:
    """A packet's payload, and what its dependency descriptor says."""

    payload: bytes
    descriptor: DependencyDescriptor


@dataclass(frozen=True, slots=True)
class RecordedPicture:
    """A picture in all its spatial layers. `starts` a group: it is a key picture."""

    packets: tuple[RecordedPacket, ...]
    starts: bool
    temporal: int

    def payloads(self, spatial: int) -> list[bytes]:
        """Return the payloads of the layers up to this one."""
        return [each.payload for each in self.packets if each.descriptor.spatial_id <= spatial]


@cache
def recording(mime: str) -> tuple[RecordedPicture, ...]:
    """Return what was recorded of a codec."""
    with gzip.open(FOLDER / _FILES[mime], "rt") as file:
        session, *lines = map(json.loads, file)
    pictures = groupby(_packets(lines, session["dd"]), lambda stamped: stamped[0])
    return tuple(_picture([packet for _, packet in stamped]) for _, stamped in pictures)


class RecordedSource:
    """Sends a recording, round and round, its numbers going on; when a key frame is wanted, it begins the next group."""

    clock_rate = 90_000
    interval_seconds = 1 / FRAMES_PER_SECOND

    def __init__(self, mime: str, random: Random) -> None:
        self.mime = mime
        self._pictures = recording(mime)
        starts = [at for at, picture in enumerate(self._pictures) if picture.starts]
        self._at = random.choice(starts)
        # Close below the wraps: a run is to see them.
        self._picture_id = 0x8000 - random.randrange(1, 60)
        self._frame_number = 0x10000 - random.randrange(1, 180)
        self._descriptors: list[bytes] = []

    def next_burst(self) -> list[bytes]:
        """Return the payloads of the next picture."""
        picture = self._pictures[self._at]
        self._at = (self._at + 1) % len(self._pictures)
        first = picture.packets[0]
        if picture.starts:  # what was recorded before is not what was sent before
            self._frame_offset = self._frame_number - first.descriptor.frame_number
            self._picture_offset = self._picture_id - (_picture_id(first.payload) if self.mime == VP9 else 0)
        self._descriptors = [each.descriptor.renumbered(self._frame_offset, None) for each in picture.packets]
        self._frame_number = picture.packets[-1].descriptor.frame_number + self._frame_offset + 1
        payloads = [each.payload for each in picture.packets]
        if self.mime != VP9:
            return payloads
        picture_id = _picture_id(first.payload) + self._picture_offset
        self._picture_id = picture_id + 1
        return [payload[:1] + (_LONG | picture_id & 0x7FFF).to_bytes(2) + payload[3:] for payload in payloads]

    def request_key_frame(self) -> None:
        """Go to the beginning of the next group, unless we are at one."""
        while not self._pictures[self._at].starts:
            self._at = (self._at + 1) % len(self._pictures)


class DescribedSource(RecordedSource):
    """The same with the dependency descriptor, which tells what VP9's payloads tell, and AV1's do not."""

    def last_descriptors(self) -> list[bytes]:
        """Return those of the last picture's packets."""
        return self._descriptors


class RecordedReference:
    """Tells what a picture is by all right outcomes of a recording."""

    def __init__(self, mime: str) -> None:
        self._mime = mime

    def mark(self, picture: bytes) -> Mark | None:
        """Return its spatial layer and its number in the recording, if it is right."""
        return _right_pictures(self._mime).get(_digest(picture))

    def temporal(self, mark: Mark) -> int:
        """Return the temporal layer of a picture."""
        return recording(self._mime)[mark.number].temporal


@cache
def _right_pictures(mime: str) -> dict[bytes, Mark]:
    right: dict[bytes, Mark] = {}
    for spatial in range(SPATIAL_LAYERS):
        decoder = Decoder(mime)
        for number, picture in enumerate(recording(mime)):
            if picture.starts:
                decoder = Decoder(mime)
            (outcome,) = decoder.decode(assemble(mime, picture.payloads(spatial)))
            right[_digest(outcome)] = Mark(spatial, number)
    assert len(right) == SPATIAL_LAYERS * len(recording(mime)), "no two are alike"
    return right


def _digest(picture: bytes) -> bytes:
    return hashlib.blake2b(picture, digest_size=16).digest()


def _packets(lines: list[dict[str, str]], descriptor_id: int) -> Iterator[tuple[int, RecordedPacket]]:
    """Yield the packets of a recording, each with its timestamp."""
    structure: Structure | None = None
    for line in lines:
        packet = bytes.fromhex(line["hex"])
        header = parse_header(packet)
        data = find_extension(packet, header, descriptor_id)
        assert data is not None, "every packet has been described"
        descriptor = parse_dependency_descriptor(data, structure)
        structure = descriptor.structure
        yield header.timestamp, RecordedPacket(packet[header.size : payload_end(packet, header)], descriptor)


def _picture(packets: list[RecordedPacket]) -> RecordedPicture:
    first = packets[0].descriptor
    assert {each.descriptor.spatial_id for each in packets} == set(range(SPATIAL_LAYERS)), "all layers are there"
    return RecordedPicture(tuple(packets), not first.frame_diffs, first.temporal_id)


def _picture_id(payload: bytes) -> int:
    picture_id = parse_vp9(payload).picture_id
    assert picture_id is not None, "libwebrtc numbers pictures"
    return picture_id
