"""Triforium: a WebRTC media server (SFU) in Python."""
