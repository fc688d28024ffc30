"""Descriptions and candidates as signal messages: what a participant's connections say to the client."""

import json
from collections.abc import Callable, Sequence
from typing import TypeAlias

from livekit.protocol import rtc

from rtp.ice.candidates import Candidate
from sfu.room.peer import Peer

Tell: TypeAlias = Callable[[rtc.SignalResponse], None]


class Descriptions:
    """Sends offers and answers, and after each the candidates that belong to it."""

    def __init__(self, tell: Tell, candidates: Sequence[Candidate]) -> None:
        self._tell = tell
        self._candidates = candidates
        self._told: dict[rtc.SignalTarget, str] = {}  # the fragments of the credentials that candidates were told for

    def send_answer(self, peer: Peer, sdp: str, offer_id: int, *, is_single: bool) -> None:
        """Answer the client's offer; on a single connection that says which track is in which section, too."""
        ids = track_ids(peer) if is_single else {}
        answer = rtc.SessionDescription(type="answer", sdp=sdp, id=offer_id, mid_to_track_id=ids)
        self._tell(rtc.SignalResponse(answer=answer))
        self._tell_candidates(peer, rtc.PUBLISHER)

    def send_offer(self, peer: Peer, sdp: str, offer_id: int) -> None:
        """Offer the connection on which the client only subscribes."""
        offer = rtc.SessionDescription(type="offer", sdp=sdp, id=offer_id, mid_to_track_id=track_ids(peer))
        self._tell(rtc.SignalResponse(offer=offer))
        self._tell_candidates(peer, rtc.SUBSCRIBER)

    def _tell_candidates(self, peer: Peer, target: rtc.SignalTarget) -> None:
        """Trickle our candidates, once for each set of credentials, the last one marked."""
        ufrag = peer.negotiation.local.credentials.ufrag
        if self._told.get(target) == ufrag:
            return
        self._told[target] = ufrag
        mid = peer.negotiation.tagged_mid or "0"
        for candidate in self._candidates:
            # Clients want every field.
            init = {"candidate": candidate.serialize(), "sdpMid": mid, "sdpMLineIndex": 0, "usernameFragment": ufrag}
            is_last = candidate is self._candidates[-1]
            trickle = rtc.TrickleRequest(candidateInit=json.dumps(init), target=target, final=is_last)
            self._tell(rtc.SignalResponse(trickle=trickle))


def track_ids(peer: Peer) -> dict[str, str]:
    """Return the sid of the track in each section in which we send, by mid."""
    return {str(mid): sid for mid, sid in peer.negotiation.track_ids_by_mid().items()}
