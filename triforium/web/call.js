// The call: what happens in livekit-client's room becomes what the page shows.

import { byId, showView } from "./dom.js";
import { offerInvitation } from "./invite.js";
import { DisconnectReason, RoomEvent, Track } from "./livekit.js";
import { notify } from "./notices.js";
import { Tiles } from "./tiles.js";
import { Toolbar } from "./toolbar.js";
import { connectionState, people } from "./words.js";

/** Anything of these may change what is on the tiles; they look for themselves what did. */
const CHANGES = [
  RoomEvent.ParticipantConnected,
  RoomEvent.ParticipantDisconnected,
  RoomEvent.ParticipantNameChanged,
  RoomEvent.ParticipantAttributesChanged,
  RoomEvent.TrackPublished,
  RoomEvent.TrackUnpublished,
  RoomEvent.TrackSubscribed,
  RoomEvent.TrackUnsubscribed,
  RoomEvent.TrackSubscriptionFailed,
  RoomEvent.TrackMuted,
  RoomEvent.TrackUnmuted,
  RoomEvent.LocalTrackPublished,
  RoomEvent.LocalTrackUnpublished,
  RoomEvent.ActiveSpeakersChanged,
  RoomEvent.ConnectionQualityChanged,
  RoomEvent.ParticipantPermissionsChanged,
  RoomEvent.Reconnected,
];

/** Show a connected room until it is over. Returns LiveKit's name of the reason. */
export async function holdCall({ room, token, chat, captions, name, link, tracks }) {
  const tiles = new Tiles(room, token);
  const toolbar = new Toolbar(room);
  const update = () => {
    tiles.update();
    toolbar.update();
    chat.update();
    playSound(room);
    byId("call-people").textContent = people(room.remoteParticipants.size + 1);
  };
  for (const change of CHANGES) room.on(change, update);
  room.on(RoomEvent.ParticipantConnected, (participant) => notify(`${participant.name || participant.identity} joined`));
  room.on(RoomEvent.ParticipantDisconnected, (participant) => notify(`${participant.name || participant.identity} left`));
  room.on(RoomEvent.ConnectionStateChanged, (state) => say(connectionState(state)));
  room.on(RoomEvent.Reconnected, () => notify("You are connected again"));
  room.on(RoomEvent.TrackUnsubscribed, (track) => track.detach().forEach((element) => element.remove()));
  room.on(RoomEvent.AudioPlaybackStatusChanged, () => (byId("play-button").hidden = room.canPlaybackAudio));
  byId("play-button").onclick = () => room.startAudio();
  byId("play-button").hidden = room.canPlaybackAudio;
  const over = new Promise((resolve) => room.once(RoomEvent.Disconnected, resolve));
  byId("call-room").textContent = document.title = name;
  say("");
  offerInvitation(link);
  showView("call");
  update();
  await publish(room, tracks);
  const reason = await over;
  tracks.forEach((track) => track.stop());
  byId("sound").replaceChildren();
  tiles.close();
  toolbar.close();
  chat.close();
  captions.close();
  document.title = "Triforium";
  return DisconnectReason[reason];
}

async function publish(room, tracks) {
  const failures = (await Promise.allSettled(tracks.map((track) => room.localParticipant.publishTrack(track)))).filter(
    ({ status }) => status === "rejected",
  );
  if (failures.length > 0 && room.state === "connected") {
    notify(`The others cannot see or hear all of you: ${failures[0].reason.message}`);
  }
}

/** Attach every sound that is not heard yet; pictures are the tiles' business. */
function playSound(room) {
  for (const participant of room.remoteParticipants.values()) {
    for (const { track } of participant.audioTrackPublications.values()) {
      if (track?.kind === Track.Kind.Audio && track.attachedElements.length === 0) byId("sound").append(track.attach());
    }
  }
}

function say(state) {
  byId("call-state").textContent = state;
  byId("call").classList.toggle("interrupted", Boolean(state));
}
