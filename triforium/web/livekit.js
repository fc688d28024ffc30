// The published client library, which the page loads before its own modules.

export const {
  ConnectionErrorReason,
  DisconnectReason,
  Room,
  RoomEvent,
  Track,
  VideoPresets,
  createLocalAudioTrack,
  createLocalTracks,
  createLocalVideoTrack,
  isBrowserSupported,
  supportsAudioOutputSelection,
} = globalThis.LivekitClient;
