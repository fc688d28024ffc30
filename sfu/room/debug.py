"""One room as it is, for people who look for a reason: plain data, made only when somebody asks."""

from collections.abc import Iterable
from typing import Any

from livekit.protocol import models

from sfu.media.ladder import Level
from sfu.media.layers import TrackLayers
from sfu.room.participant import Participant
from sfu.room.room import Room


def describe_room(room: Room) -> dict[str, Any]:
    """Return what a room is, without the people in it: `describe_participant` has each of them."""
    return {
        "name": room.name,
        "sid": room.sid,
        "created_at": room.created_at,
        "metadata": room.metadata,
        "settings": room.settings,
        "data_drops": room.data.statistics(),
    }


def describe_participant(participant: Participant) -> dict[str, Any]:
    """Return what somebody publishes and is sent, and why that is as it is."""
    peers = {"publisher": participant.publisher.peer, "subscriber": participant.subscriber.peer}
    if participant.is_single:
        peers = {"single": participant.publisher.peer}
    return {
        "identity": participant.identity,
        "sid": participant.sid,
        "state": models.ParticipantInfo.State.Name(participant.state),
        "client": {
            "sdk": _name(models.ClientInfo.SDK.items(), participant.client_info.sdk),
            "version": participant.client_info.version,
            "browser": participant.client_info.browser,
        },
        "joined_at": participant.joined_at,
        "hidden": participant.is_hidden,
        "connections": {
            name: {
                "connected": peer.connection.connected,
                "path": peer.connection.selected,
                "ice": peer.connection.transport.ice.statistics(),
                "transport": peer.connection.transport.statistics(),
                "media": peer.media.statistics(),
            }
            for name, peer in peers.items()
        },
        "publishes": {
            sid: {
                "source": _name(models.TrackSource.items(), publication.info.source),
                "codec": publication.media.codec.mime,
                "muted": publication.media.muted,
                "wanted": publication.media.wanted_qualities(),
                "received": {mime: each.statistics() for mime, each in publication.media.receivers.items()},
            }
            for sid, publication in participant.publisher.publications.items()
        },
        "is_sent": {
            sid: {
                "publisher": subscription.track.publisher,
                "bound": subscription.down_track.bound,
                "sent": subscription.down_track.statistics(),
            }
            for sid, subscription in participant.subscriber.subscriptions.items()
        },
    }


def describe_decisions(participant: Participant) -> dict[str, Any]:
    """Return of each track that somebody is sent why it gets that: what it wants, what there is, what its link is worth.

    Layers go by the names that their publisher gave them.
    """
    decisions: dict[str, Any] = {}
    for sid, subscription in participant.subscriber.subscriptions.items():
        down_track, layers = subscription.down_track, subscription.down_track.source.layers
        statistics = down_track.statistics()
        allowance = statistics.allowance
        decisions[sid] = {
            "wanted": layers.name(statistics.wished),
            "available": [layers.name(layer) for layer in sorted(layers.live)],
            "within": {"spatial": max(1, len(layers.within)), "temporal": layers.temporal_layers},
            "sent": _describe_level(layers, down_track.level),
            "paused": statistics.paused,
            "budget_bps": None if allowance is None else allowance.budget_bps,
        }
    return decisions


def _describe_level(layers: TrackLayers, level: Level | None) -> dict[str, Any] | None:
    return None if level is None else {"layer": layers.name(level.layer), **level.within}


def _name(names: Iterable[tuple[str, int]], number: int) -> str:
    """Return what a number is called that a client said, or the number: clients may be newer than we are."""
    return next((name for name, each in names if each == number), str(number))
