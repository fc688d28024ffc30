"""Triforium: a WebRTC media server (SFU) in Python, to run beside your program or inside it (`serve`)."""

from triforium.app import Server, StartError, serve
from triforium.config import Config, ConfigError, HttpsConfig, RoomConfig, RtcConfig

__all__ = ["Config", "ConfigError", "HttpsConfig", "RoomConfig", "RtcConfig", "Server", "StartError", "serve"]
