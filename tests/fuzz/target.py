"""What a module `tests/fuzz/targets_*.py` lists for the fuzzer, under the name `TARGETS`."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """Something that network bytes reach: a `parse_` function, or a core's `receive_`.

    `seeds` are well-formed inputs, from which the mutator makes its own. `run` takes one input in a fresh state
    (nothing may be left from the input before, or a failure could not be repeated), and returns, or raises
    `rtp.errors.RemoteProtocolError`; anything else that it raises is a bug, and so is taking longer than a second.
    """

    name: str
    seeds: Callable[[], list[bytes]]
    run: Callable[[bytes], object]
