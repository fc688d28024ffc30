"""How a call is told that it says too much."""

from typing import Final

from sfu.errors import Limited, LimitExceededError
from signaling.api.twirp import ArgumentError

_ARGUMENTS: Final = {
    Limited.NAME: "name length exceeds limits",
    Limited.METADATA: "metadata size exceeds limits",
    Limited.ATTRIBUTES: "attribute size exceeds limits",
}


def too_long(error: LimitExceededError) -> ArgumentError:
    """Return the answer to a text that is too long."""
    return ArgumentError(_ARGUMENTS[error.what], str(error.limit))
