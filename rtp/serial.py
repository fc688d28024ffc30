"""Serial-number arithmetic (RFC 1982) and NTP time (RFC 5905): numbers that wrap, made into numbers that do not."""

from typing import Final

NTP_EPOCH_OFFSET_SECONDS: Final = 2_208_988_800
"""From 1900-01-01, where NTP time starts, to 1970-01-01, where Unix time does."""


def unwrap(number: int, near: int, bits: int = 16) -> int:
    """Return the value congruent to `number` modulo 2**bits that is closest to `near`."""
    half = 1 << (bits - 1)
    return near - half + ((number - near + half) & ((1 << bits) - 1))


def ntp_time(wall: float) -> int:
    """Return Unix seconds as a 64-bit NTP timestamp: 32 bits of seconds, 32 of fraction."""
    return int((wall + NTP_EPOCH_OFFSET_SECONDS) * (1 << 32)) & 0xFFFF_FFFF_FFFF_FFFF


def compact_ntp(ntp: int) -> int:
    """Return the middle 32 bits of a 64-bit NTP timestamp: units of 1/65536 s, as in LSR (RFC 3550 §6.4.1)."""
    return (ntp >> 16) & 0xFFFF_FFFF
