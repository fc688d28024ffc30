// A participant of the published JavaScript SDK: `participant.<call>({...})`, the calls and the state of python_client.py
// and more.

const { ConnectionState, DisconnectReason, LogLevel, Room, RoomEvent, Track, VideoQuality, setLogLevel } = LivekitClient;
setLogLevel(LogLevel.debug);

const CAMERA = { width: 640, height: 360, frameRate: 15 }; // small, because all pages share a few cores
const SPECTRUM_SIZE = 8192;
const LOUD = 0.25;
const audio = new AudioContext();
const data = Data(LivekitClient);

let room = null;
let reason = null;
let joinedAt = 0;
let reconnections = 0;
let speakers = []; // what each event of active speakers named
let qualities = {}; // what was last told of each participant's connection
let voice = null; // the gain of the tone that is published
const received = new Map(); // by track sid: what state() needs of a subscribed track

function watch(track) {
  const element = track.attach();
  document.querySelector("main").append(element);
  const seen = { track, element, width: 0, height: 0, framesOfSize: 0 };
  Object.assign(seen, { firstFrameSeconds: null, lastFrameAt: null, longestGap: 0 });
  const note = (now, { width, height }) => {
    const framesOfSize = width === seen.width && height === seen.height ? seen.framesOfSize + 1 : 1;
    Object.assign(seen, { width, height, framesOfSize, longestGap: gapUntil(now, seen), lastFrameAt: now });
    seen.firstFrameSeconds ??= (now - joinedAt) / 1000;
    element.requestVideoFrameCallback(note);
  };
  element.requestVideoFrameCallback(note);
  return seen;
}

/** The longest between two frames, in milliseconds; what has passed since the last one counts too. */
function gapUntil(now, { longestGap, lastFrameAt }) {
  return Math.max(longestGap, now - (lastFrameAt ?? now));
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
      codec: report?.get(inbound?.codecId)?.mimeType ?? null,
      packets: inbound?.packetsReceived ?? 0,
      redundant: inbound?.packetsDiscarded ?? 0, // what came a second time, and was not needed
      energy: inbound?.totalAudioEnergy ?? 0,
      frequency: loudestFrequency(known.analyser),
    };
  }
  return {
    muted: publication.isMuted,
    packets: inbound?.packetsReceived ?? 0,
    frames: inbound?.framesDecoded ?? 0,
    codec: report?.get(inbound?.codecId)?.mimeType ?? null,
    width: known.width,
    height: known.height,
    frames_of_size: known.framesOfSize,
    longest_gap_seconds: gapUntil(performance.now(), known) / 1000,
    first_frame_seconds: known.firstFrameSeconds,
    held_back_seconds: (inbound?.jitterBufferDelay ?? 0) / (inbound?.jitterBufferEmittedCount || 1),
    colour: meanColour(known.element),
  };
}

/** What is known of somebody, oneself or another. */
function profileOf({ name, metadata, attributes, permissions }) {
  return { name, metadata, attributes, can_publish: permissions?.canPublish };
}

function publicationOf(identity, source) {
  return room.remoteParticipants.get(identity).getTrackPublication(source);
}

/** Publish a tone in place of a microphone, silent at first. */
async function openVoice() {
  const [tone, gain, destination] = [audio.createOscillator(), audio.createGain(), audio.createMediaStreamDestination()];
  gain.gain.value = 0;
  tone.connect(gain).connect(destination);
  tone.start();
  await room.localParticipant.publishTrack(destination.stream.getAudioTracks()[0], { source: Track.Source.Microphone });
  return gain.gain;
}

/** Offer to receive video in all codecs but one. */
function refuse(mime) {
  const { addTransceiver } = RTCPeerConnection.prototype;
  const { codecs } = RTCRtpReceiver.getCapabilities("video");
  RTCPeerConnection.prototype.addTransceiver = function (...args) {
    const transceiver = addTransceiver.apply(this, args);
    const [kind, init] = args;
    if (kind === "video" && init?.direction === "recvonly") {
      transceiver.setCodecPreferences(codecs.filter(({ mimeType }) => mimeType !== mime));
    }
    return transceiver;
  };
}

/** What a room needs to encrypt frames with a key that is made of a passphrase. */
async function encryptionBy(passphrase) {
  const keyProvider = new LivekitClient.ExternalE2EEKeyProvider();
  await keyProvider.setKey(passphrase);
  return { keyProvider, worker: new Worker("/e2ee-worker.js") };
}

globalThis.participant = {
  ...data.calls,

  async join({ url, token, layout, adaptive, dynacast, without, passphrase }) {
    if (without) refuse(without);
    room = new Room({
      adaptiveStream: adaptive,
      dynacast,
      ...(layout === "dual" && { singlePeerConnection: false }),
      ...(passphrase && { encryption: await encryptionBy(passphrase) }),
    });
    if (passphrase) await room.setE2EEEnabled(true);
    reason = null;
    reconnections = 0;
    speakers = [];
    qualities = {};
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
    room.on(RoomEvent.ActiveSpeakersChanged, (active) => speakers.push(active.map(({ identity }) => identity)));
    room.on(RoomEvent.ConnectionQualityChanged, (quality, { identity }) => {
      qualities[identity] = quality;
    });
    data.attach(room);
    await room.connect(url, token);
  },

  async publish({ codec }) {
    await room.localParticipant.setCameraEnabled(true, { resolution: CAMERA }, { videoCodec: codec });
    await room.localParticipant.setMicrophoneEnabled(true);
  },

  async share() {
    await room.localParticipant.setScreenShareEnabled(true);
  },

  async unshare() {
    await room.localParticipant.setScreenShareEnabled(false);
  },

  async speak() {
    voice ??= await openVoice();
    voice.value = LOUD;
  },

  async hush() {
    voice ??= await openVoice();
    voice.value = 0;
  },

  /** Ask the server for one of a simulcast publisher's layers. */
  choose({ of, quality }) {
    publicationOf(of, Track.Source.Camera).setVideoQuality(VideoQuality[quality]);
  },

  /** Show a camera in another size. */
  resize({ of, width, height }) {
    const { style } = received.get(publicationOf(of, Track.Source.Camera).trackSid).element;
    Object.assign(style, { width: `${width}px`, height: `${height}px` });
  },

  /** Show a camera, or take it off the page. */
  show({ of, shown }) {
    received.get(publicationOf(of, Track.Source.Camera).trackSid).element.hidden = !shown;
  },

  /** How many frames of each layer of the own camera were sent. */
  async framesSent() {
    const { track } = room.localParticipant.getTrackPublication(Track.Source.Camera);
    const report = [...(await track.sender.getStats()).values()].filter(({ type }) => type === "outbound-rtp");
    return Object.fromEntries(report.map(({ rid, framesSent }) => [rid, framesSent ?? 0]));
  },

  /** Ask for trouble, as developers of clients do. */
  async simulate({ scenario, argument }) {
    await room.simulateScenario(scenario, argument);
  },

  /** Measure gaps between frames afresh. */
  forgetGaps() {
    for (const seen of received.values()) seen.longestGap = 0;
  },

  /** Change what is known of oneself. */
  async describe({ name, metadata, attributes }) {
    await room.localParticipant.setName(name);
    await room.localParticipant.setMetadata(metadata);
    await room.localParticipant.setAttributes(attributes);
  },

  /** Say who may have one's tracks: everybody, or those who are named. */
  permit({ identities }) {
    const named = (identities ?? []).map((participantIdentity) => ({ participantIdentity, allowAll: true }));
    room.localParticipant.setTrackSubscriptionPermissions(!identities, named);
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
    const people = room ? [room.localParticipant, ...room.remoteParticipants.values()] : [];
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
      speakers,
      qualities,
      profiles: Object.fromEntries(people.map((each) => [each.identity, profileOf(each)])),
      room_metadata: room?.metadata ?? "",
    };
  },
};
