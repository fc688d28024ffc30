// Cameras, microphones and loudspeakers: a choice among them, and how loud a microphone is.

import { element } from "./dom.js";
import { Room, supportsAudioOutputSelection } from "./livekit.js";

const KINDS = {
  videoinput: { label: "Camera", unnamed: "Camera" },
  audioinput: { label: "Microphone", unnamed: "Microphone" },
  audiooutput: { label: "Loudspeaker", unnamed: "Loudspeaker" },
};

/** Fields to choose a device of each kind, in `container`. They follow devices that come and go. */
export class DeviceFields {
  /**
   * `current(kind)` tells which device is in use, by id; `choose(kind, id)` takes another.
   */
  constructor(container, { current, choose }) {
    this.container = container;
    this.current = current;
    this.choose = choose;
    this.follow = () => this.update();
    navigator.mediaDevices?.addEventListener("devicechange", this.follow);
  }

  /** Follow no more. */
  close() {
    navigator.mediaDevices?.removeEventListener("devicechange", this.follow);
  }

  /** Look again at which devices there are, and which is in use. */
  async update() {
    const kinds = Object.keys(KINDS).filter((kind) => kind !== "audiooutput" || supportsAudioOutputSelection());
    const devices = await Promise.all(kinds.map((kind) => devicesOf(kind)));
    this.container.replaceChildren(...kinds.map((kind, index) => this.#field(kind, devices[index])));
  }

  #field(kind, devices) {
    const { label, unnamed } = KINDS[kind];
    const current = this.current(kind);
    const options = devices.map((device, index) =>
      element(
        "option",
        { value: device.deviceId, selected: device.deviceId === current },
        device.label || `${unnamed} ${index + 1}`,
      ),
    );
    const select = element("select", { disabled: options.length === 0 }, ...options);
    if (options.length === 0) select.append(element("option", {}, "none found"));
    select.addEventListener("change", () => this.choose(kind, select.value));
    return element("label", { class: "field" }, label, select);
  }
}

async function devicesOf(kind) {
  try {
    const devices = await Room.getLocalDevices(kind, false); // never asks: the preview has
    return devices.filter((device) => device.deviceId); // without permission they have no ids
  } catch {
    return []; // no devices for this page at all
  }
}

/** Shows the level of a microphone in an element with the role of a meter. */
export class LevelMeter {
  constructor(meter) {
    this.meter = meter;
    this.context = null;
    this.source = null;
  }

  /** Listen to a track, or to nothing. */
  listen(mediaStreamTrack) {
    this.source?.disconnect();
    this.source = null;
    this.#show(0);
    if (!mediaStreamTrack) return;
    this.context ??= new AudioContext(); // it stays silent until the page is touched, where browsers want that
    this.context.resume();
    this.source = this.context.createMediaStreamSource(new MediaStream([mediaStreamTrack]));
    const analyser = this.context.createAnalyser();
    analyser.fftSize = 1024;
    this.source.connect(analyser);
    this.#follow(this.source, analyser, new Float32Array(analyser.fftSize));
  }

  #follow(source, analyser, samples) {
    if (source !== this.source) return; // another track, or none, by now
    analyser.getFloatTimeDomainData(samples);
    const power = samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;
    this.#show(levelOf(power));
    requestAnimationFrame(() => this.#follow(source, analyser, samples));
  }

  #show(level) {
    this.meter.style.setProperty("--level", level);
    this.meter.setAttribute("aria-valuenow", Math.round(level * 100));
  }
}

/** From 0 to 1 over the 60 dB below full scale. */
function levelOf(power) {
  return power > 0 ? Math.min(1, Math.max(0, 1 + (10 * Math.log10(power)) / 60)) : 0;
}
