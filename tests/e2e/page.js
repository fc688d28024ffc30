// A participant of the published JavaScript SDK: `participant.<call>({...})`, the same calls and the same state as in
// python_client.py.

const { ConnectionState, DisconnectReason, LogLevel, Room, RoomEvent, Track, VideoPresets, setLogLevel } = LivekitClient;
setLogLevel(LogLevel.debug);

const SPECTRUM_SIZE = 8192;
const audio = new AudioContext();

let room = null;
let reason = null;
let joinedAt = 0;
let reconnections = 0;
const received = new Map(); // by track sid: what state() needs of a subscribed track

function watch(track) {
  const element = track.attach();
  document.querySelector("main").append(element);
  const seen = { track, element, firstFrameSeconds: null };
  element.requestVideoFrameCallback(() => {
    seen.firstFrameSeconds = (performance.now() - joinedAt) / 1000;
  });
  return seen;
}

function listen(track) {
  const element = track.attach();
  document.querySelector("main").append(element);
  const analyser = audio.createAnalyser();
  analyser.fftSize = SPECTRUM_SIZE;
  audio.createMediaStreamSource(new MediaStream([track.mediaStreamTrack])).connect(analyser);
  return { track, element, analyser };
}

function meanColour(element) {
  if (!element.videoWidth) return [0, 0, 0];
  const canvas = new OffscreenCanvas(1, 1);
  const context = canvas.getContext("2d");
  context.drawImage(element, 0, 0, 1, 1);
  return [...context.getImageData(0, 0, 1, 1).data.slice(0, 3)];
}

function loudestFrequency(analyser) {
  const levels = new Float32Array(analyser.frequencyBinCount);
  analyser.getFloatFrequencyData(levels);
  return (levels.indexOf(Math.max(...levels)) * audio.sampleRate) / SPECTRUM_SIZE;
}

async function stateOf(publication) {
  const known = received.get(publication.trackSid);
  if (!known) return { muted: publication.isMuted };
  const report = await known.track.getRTCStatsReport();
  const inbound = [...(report?.values() ?? [])].find((entry) => entry.type === "inbound-rtp");
  if (publication.kind === Track.Kind.Audio) {
    return {
      muted: publication.isMuted,
      energy: inbound?.totalAudioEnergy ?? 0,
      frequency: loudestFrequency(known.analyser),
    };
  }
  return {
    muted: publication.isMuted,
    frames: inbound?.framesDecoded ?? 0,
    first_frame_seconds: known.firstFrameSeconds,
    colour: meanColour(known.element),
  };
}

globalThis.participant = {
  async join({ url, token, layout }) {
    room = new Room(layout === "single" ? {} : { singlePeerConnection: false });
    reason = null;
    reconnections = 0;
    joinedAt = performance.now();
    room.on(RoomEvent.TrackSubscribed, (track, publication) => {
      received.set(publication.trackSid, track.kind === Track.Kind.Video ? watch(track) : listen(track));
    });
    room.on(RoomEvent.TrackUnsubscribed, (track, publication) => {
      received.delete(publication.trackSid);
      for (const element of track.detach()) element.remove();
    });
    room.on(RoomEvent.Reconnected, () => {
      reconnections += 1;
    });
    room.on(RoomEvent.Disconnected, (why) => {
      reason = DisconnectReason[why];
    });
    await room.connect(url, token);
  },

  async publish() {
    await room.localParticipant.setCameraEnabled(true, { resolution: VideoPresets.h360.resolution });
    await room.localParticipant.setMicrophoneEnabled(true);
  },

  async mute() {
    for (const publication of room.localParticipant.trackPublications.values()) await publication.mute();
  },

  async unmute() {
    for (const publication of room.localParticipant.trackPublications.values()) await publication.unmute();
  },

  async unpublish() {
    for (const publication of [...room.localParticipant.trackPublications.values()]) {
      await room.localParticipant.unpublishTrack(publication.track);
    }
  },

  async leave() {
    await room.disconnect();
    received.clear();
  },

  async state() {
    const participants = {};
    for (const remote of room?.remoteParticipants.values() ?? []) {
      const publications = [...remote.trackPublications.values()];
      const tracks = await Promise.all(publications.map(async (each) => [each.source, await stateOf(each)]));
      participants[remote.identity] = Object.fromEntries(tracks);
    }
    return {
      connected: room?.state === ConnectionState.Connected,
      reason,
      sid: room?.localParticipant.sid ?? "",
      reconnections,
      participants,
    };
  },
};
