"""Programs that the kernel runs on each datagram of a socket: classic BPF (linux/filter.h)."""

import ctypes
import socket
import struct
from collections.abc import Sequence
from typing import Final, TypeAlias

Instruction: TypeAlias = tuple[int, int, int, int]
"""The code, how many instructions to leave out if it is true and if it is false, and the operand."""

LOAD_BYTE, AND, IF_EQUAL, RETURN = 0x30, 0x54, 0x15, 0x06

_INSTRUCTION: Final = struct.Struct("=HBBI")  # sock_filter
_PROGRAM: Final = struct.Struct("@HP")  # sock_fprog: how many instructions, and where they are


def attach(kernel_socket: socket.socket, option: int, instructions: Sequence[Instruction]) -> None:
    """Run a program from now on, for what the socket option says. Raises OSError. Does not checkpoint."""
    code = b"".join(_INSTRUCTION.pack(*each) for each in instructions)
    buffer = ctypes.create_string_buffer(code, len(code))
    program = _PROGRAM.pack(len(instructions), ctypes.addressof(buffer))
    kernel_socket.setsockopt(socket.SOL_SOCKET, option, program)
