"""The addresses of this machine's network interfaces, which Python's own modules do not list."""

import socket
import sys
from dataclasses import dataclass
from typing import Final

import cffi

_LISTING: Final = """
struct ifaddrs {
    struct ifaddrs *ifa_next;
    char *ifa_name;
    unsigned int ifa_flags;
    unsigned char *ifa_addr;
};
int getifaddrs(struct ifaddrs **first);
void freeifaddrs(struct ifaddrs *first);
"""
"""As far as we read it: the list is laid out by the C library, so what comes after does not matter."""

_FAMILY_AT: Final = 1 if sys.platform == "darwin" else 0
"""Where a sockaddr has its family, of which all that we read fit one byte (the numbers are little-endian)."""

_ADDRESS: Final = {socket.AF_INET: (4, 4), socket.AF_INET6: (8, 16)}
"""Where a sockaddr of each family has its address, and how long that is (netinet/in.h)."""


@dataclass(frozen=True, slots=True)
class InterfaceAddress:
    """An address of ours, and the name of the interface that has it."""

    interface: str
    address: str


def list_addresses() -> tuple[InterfaceAddress, ...]:
    """Return the addresses of all interfaces, of both families. Raises OSError."""
    ffi = cffi.FFI()
    ffi.cdef(_LISTING)
    library = ffi.dlopen(None)
    first = ffi.new("struct ifaddrs **")
    if library.getifaddrs(first) != 0:
        raise OSError(ffi.errno, "the interfaces cannot be listed")
    found = []
    try:
        entry = first[0]
        while entry != ffi.NULL:
            if entry.ifa_addr != ffi.NULL and (where := _ADDRESS.get(entry.ifa_addr[_FAMILY_AT])):
                start, length = where
                packed = bytes(ffi.buffer(entry.ifa_addr + start, length))
                family = socket.AF_INET if length == 4 else socket.AF_INET6
                found.append(InterfaceAddress(ffi.string(entry.ifa_name).decode(), socket.inet_ntop(family, packed)))
            entry = entry.ifa_next
    finally:
        library.freeifaddrs(first[0])
    return tuple(found)
