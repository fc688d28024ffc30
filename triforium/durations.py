"""Durations as LiveKit's configuration files spell them."""

import re
from typing import Final

_UNITS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|us|µs|ns|h|m|s)")


def parse_duration(text: str, name: str = "") -> float:
    """Read a duration like 100ms or 1m30s, or 0; return seconds.

    Raises:
        ValueError: if it is none; the text has `name` in it, for the operator.
    """
    parts = _PART.findall(text)
    if text != "0" and (not parts or "".join(number + unit for number, unit in parts) != text):
        raise ValueError(f"{name}: expected a duration like 100ms, not {text!r}")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)
