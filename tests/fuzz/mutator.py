"""Makes inputs that are nearly right out of inputs that are: what a parser has not thought of lies beside what it has."""

from collections.abc import Sequence
from random import Random
from typing import Final

MAX_BYTES: Final = 2_048
"""No input is longer, seeds apart: more than a datagram holds, and not so much that bulk hides what matters."""

MAX_NOISE_BYTES: Final = 64
NOISE_SHARE: Final = 0.05
"""How many of the inputs have no seed at all."""

MAX_CHANGES: Final = 4

# Lengths, counts and offsets go wrong at their ends, and where they turn negative for who reads them as signed.
_INTERESTING: Final = tuple(
    value.to_bytes(size, "big")
    for size in (1, 2, 4)
    for bits in (8 * size,)
    for value in (0, 1, 2, (1 << bits - 1) - 1, 1 << bits - 1, (1 << bits) - 2, (1 << bits) - 1)
)


class Mutator:
    """Makes inputs from `seeds`, each from its own number, so that any one can be made again without the others."""

    def __init__(self, seeds: Sequence[bytes], seed: int) -> None:
        self._seeds = list(seeds)
        self._seed = seed

    def make(self, number: int) -> bytes:
        """Return input `number`. The first are the seeds themselves."""
        if number < len(self._seeds):
            return self._seeds[number]
        random = Random(f"{self._seed}/{number}")
        if not self._seeds or random.random() < NOISE_SHARE:
            return random.randbytes(random.randrange(MAX_NOISE_BYTES))
        data = bytearray(random.choice(self._seeds))
        for _ in range(random.randint(1, MAX_CHANGES)):
            self._change(data, random)
        return bytes(data[:MAX_BYTES])

    def _change(self, data: bytearray, random: Random) -> None:
        change = random.choice(
            (_flip, _flip, _truncate, _repeat, _remove, _insert, _overwrite, _overwrite, self._splice)
        )
        change(data, random)

    def _splice(self, data: bytearray, random: Random) -> None:
        """Go on as another seed does."""
        other = random.choice(self._seeds)
        data[random.randint(0, len(data)) :] = other[random.randint(0, len(other)) :]


def _flip(data: bytearray, random: Random) -> None:
    if data:
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)


def _truncate(data: bytearray, random: Random) -> None:
    del data[random.randint(0, len(data)) :]


def _repeat(data: bytearray, random: Random) -> None:
    start, end = _span(data, random)
    times = random.choice((1, 1, 1, 2, 8, 64))
    data[end:end] = data[start:end] * times


def _remove(data: bytearray, random: Random) -> None:
    start, end = _span(data, random)
    del data[start:end]


def _insert(data: bytearray, random: Random) -> None:
    place = random.randint(0, len(data))
    data[place:place] = random.choice((random.randbytes(random.randint(1, 8)), random.choice(_INTERESTING)))


def _overwrite(data: bytearray, random: Random) -> None:
    value = random.choice(_INTERESTING)
    place = random.randint(0, max(0, len(data) - len(value)))
    data[place : place + len(value)] = value


def _span(data: bytearray, random: Random) -> tuple[int, int]:
    start = random.randint(0, len(data))
    return start, random.randint(start, min(len(data), start + 64))
