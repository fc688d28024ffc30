"""Triforium: a WebRTC media server (SFU) in Python, to run beside your program or inside it (`serve`)."""

from triforium.app import Server, StartError, serve
from triforium.config import Config, ConfigError, RoomConfig, RtcConfig

__all__ = ["Config", "ConfigError", "RoomConfig", "RtcConfig", "Server", "StartError", "serve"]
