// Before the call: one's own picture and level, with the devices that the call will begin with.

import { DeviceFields, LevelMeter } from "./devices.js";
import { byId, dress } from "./dom.js";
import { VideoPresets, createLocalAudioTrack, createLocalTracks, createLocalVideoTrack } from "./livekit.js";
import { deviceProblem } from "./words.js";

export const RESOLUTION = VideoPresets.h720.resolution;

/** Owns the tracks until the call takes them. */
export class Preview {
  constructor() {
    this.camera = null;
    this.microphone = null;
    this.chosen = {}; // device ids by kind
    this.meter = new LevelMeter(byId("preview-level"));
    this.fields = new DeviceFields(byId("preview-devices"), {
      current: (kind) => this.#trackOf(kind)?.mediaStreamTrack.getSettings().deviceId ?? this.chosen[kind],
      choose: (kind, id) => this.#choose(kind, id),
    });
    byId("preview-camera").addEventListener("click", () => this.#toggle("videoinput"));
    byId("preview-microphone").addEventListener("click", () => this.#toggle("audioinput"));
    for (const touch of ["pointerdown", "keydown"]) {
      document.addEventListener(touch, () => this.meter.context?.resume());
    }
  }

  /** Open camera and microphone. What cannot be opened is told in words, and does without. */
  async open() {
    this.#say("Your browser may ask whether this page may use your camera and microphone.");
    try {
      const tracks = await createLocalTracks({ audio: this.#options("audioinput"), video: this.#options("videoinput") });
      this.camera = tracks.find((track) => track.kind === "video");
      this.microphone = tracks.find((track) => track.kind === "audio");
      this.#say("");
    } catch (error) {
      await this.#openApart(error);
    }
    await this.#show();
  }

  /** Hand the tracks over: from now on they are the caller's. */
  release() {
    const tracks = [this.camera, this.microphone].filter(Boolean);
    this.camera = this.microphone = null;
    this.meter.listen(null);
    byId("preview-video").srcObject = null;
    return tracks;
  }

  async #openApart(together) {
    const problems = [];
    for (const kind of ["videoinput", "audioinput"]) {
      const problem = await this.#openOne(kind);
      if (problem) problems.push(problem);
    }
    this.#say(problems.length === 2 ? deviceProblem(together, "both") : problems.join(" "));
  }

  async #openOne(kind) {
    try {
      if (kind === "videoinput") this.camera = await createLocalVideoTrack(this.#options(kind));
      else this.microphone = await createLocalAudioTrack(this.#options(kind));
      return "";
    } catch (error) {
      return deviceProblem(error, kind);
    }
  }

  async #toggle(kind) {
    const track = this.#trackOf(kind);
    if (track) {
      track.stop();
      if (kind === "videoinput") this.camera = null;
      else this.microphone = null;
      this.#say("");
    } else {
      this.#say(await this.#openOne(kind));
    }
    await this.#show();
  }

  async #choose(kind, id) {
    this.chosen[kind] = id;
    try {
      await this.#trackOf(kind)?.setDeviceId(id);
    } catch (error) {
      this.#say(deviceProblem(error, kind));
    }
    await this.#show();
  }

  #options(kind) {
    const deviceId = this.chosen[kind];
    return kind === "videoinput" ? { deviceId, resolution: RESOLUTION } : { deviceId };
  }

  #trackOf(kind) {
    return { videoinput: this.camera, audioinput: this.microphone }[kind];
  }

  #say(text) {
    byId("preview-text").textContent = text;
  }

  async #show() {
    const video = byId("preview-video");
    video.hidden = !this.camera;
    if (this.camera) this.camera.attach(video);
    this.meter.listen(this.microphone?.mediaStreamTrack);
    if (!this.camera && !byId("preview-text").textContent) this.#say("Your camera is off.");
    dress(byId("preview-camera"), ...(this.camera ? ["camera", "Turn camera off"] : ["camera-off", "Turn camera on"]));
    dress(
      byId("preview-microphone"),
      ...(this.microphone ? ["microphone", "Mute microphone"] : ["microphone-off", "Unmute microphone"]),
    );
    for (const [id, track] of [["preview-camera", this.camera], ["preview-microphone", this.microphone]]) {
      byId(id).classList.toggle("off", !track);
      byId(id).disabled = false; // they were until the browser had asked for both
    }
    await this.fields.update();
  }
}
