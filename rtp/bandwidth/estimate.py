"""What a path can carry, as far as is known: what every estimator tells, however it came to know."""

from dataclasses import dataclass
from typing import Final

MIN_BITRATE_BPS: Final = 30_000
"""An estimate never is less: audio goes on, and where nothing is sent nothing is learnt."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What one path can carry.

    `bitrate_bps` counts the bytes of RTP packets; None says that nothing has shown a limit yet. `is_congested` says that
    queues grow or packets are lost now: nothing more may be sent than before, whatever the bitrate.
    """

    bitrate_bps: int | None = None
    is_congested: bool = False
