"""Triforium: a WebRTC media server (SFU) in Python.

`async with triforium.serve(config) as server:` runs a whole server inside a program of yours.
"""

from triforium.app import Server, StartError, serve
from triforium.config import Config, ConfigError, LoggingConfig, RoomConfig, RtcConfig

__all__ = [
    "Config",
    "ConfigError",
    "LoggingConfig",
    "RoomConfig",
    "RtcConfig",
    "Server",
    "StartError",
    "serve",
]
