"""A participant of our own, for tests, simulations and benchmarks: it speaks as LiveKit's clients do."""

from triforium.visitor.connections import Habits
from triforium.visitor.errors import (
    JoinRefusedError,
    LeftError,
    PublishRefusedError,
    SignalLostError,
    VisitorError,
)
from triforium.visitor.feedback import BandwidthFeedback
from triforium.visitor.opening import open_visitor
from triforium.visitor.plain import PlainPeer, open_whep, open_whip
from triforium.visitor.plan import CALL_PLAN, MediaPlan
from triforium.visitor.publication import Publication
from triforium.visitor.receiving import ReceivedPacket, ReceivedTrack, TrackStatistics
from triforium.visitor.roster import Roster
from triforium.visitor.signal import SignalMessage
from triforium.visitor.simulcast import Layer
from triforium.visitor.sources import Source
from triforium.visitor.visitor import Visitor
from triforium.visitor.world import VisitorWorld, memory_world, real_world

__all__ = [
    "CALL_PLAN",
    "BandwidthFeedback",
    "Habits",
    "JoinRefusedError",
    "Layer",
    "LeftError",
    "MediaPlan",
    "PlainPeer",
    "Publication",
    "PublishRefusedError",
    "ReceivedPacket",
    "ReceivedTrack",
    "Roster",
    "SignalLostError",
    "SignalMessage",
    "Source",
    "TrackStatistics",
    "Visitor",
    "VisitorError",
    "VisitorWorld",
    "memory_world",
    "open_visitor",
    "open_whep",
    "open_whip",
    "real_world",
]
