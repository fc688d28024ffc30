// One's own microphone, camera, screen and devices during the call, and the way out.

import { DeviceFields } from "./devices.js";
import { byId, dress } from "./dom.js";
import { notify } from "./notices.js";
import { deviceProblem, screenProblem } from "./words.js";

export class Toolbar {
  constructor(room) {
    this.room = room;
    this.me = room.localParticipant;
    this.fields = new DeviceFields(byId("call-devices"), {
      current: (kind) => room.getActiveDevice(kind),
      choose: (kind, id) => this.#choose(kind, id),
    });
    byId("microphone-button").onclick = () => this.#toggleMicrophone();
    byId("camera-button").onclick = () => this.#toggleCamera();
    byId("screen-button").onclick = () => this.#toggleScreen();
    byId("screen-button").hidden = !navigator.mediaDevices?.getDisplayMedia; // phones have none
    byId("leave-button").onclick = () => room.disconnect();
    byId("devices-button").onclick = async () => {
      await this.fields.update();
      byId("devices-dialog").showModal();
    };
  }

  /** Show what is on and what is off. */
  update() {
    const { isMicrophoneEnabled, isCameraEnabled, isScreenShareEnabled } = this.me;
    const dressed = [
      ["microphone-button", isMicrophoneEnabled, "microphone", "Mute microphone", "Unmute microphone"],
      ["camera-button", isCameraEnabled, "camera", "Turn camera off", "Turn camera on"],
    ];
    for (const [id, isOn, name, on, off] of dressed) {
      dress(byId(id), isOn ? name : `${name}-off`, isOn ? on : off);
      byId(id).classList.toggle("off", !isOn);
    }
    const screen = isScreenShareEnabled ? ["screen-off", "Stop sharing your screen"] : ["screen", "Share your screen"];
    dress(byId("screen-button"), ...screen);
    byId("screen-button").classList.toggle("on", isScreenShareEnabled);
  }

  /** Put away what would stay open after the call. */
  close() {
    byId("devices-dialog").close();
    byId("invite-dialog").close();
    this.fields.close();
  }

  async #toggleMicrophone() {
    await this.#change("microphone-button", () => this.me.setMicrophoneEnabled(!this.me.isMicrophoneEnabled), (error) =>
      deviceProblem(error, "audioinput"),
    );
  }

  async #toggleCamera() {
    await this.#change("camera-button", () => this.me.setCameraEnabled(!this.me.isCameraEnabled), (error) =>
      deviceProblem(error, "videoinput"),
    );
  }

  async #toggleScreen() {
    await this.#change(
      "screen-button",
      () => this.me.setScreenShareEnabled(!this.me.isScreenShareEnabled, { audio: true }),
      screenProblem,
    );
  }

  async #choose(kind, id) {
    try {
      await this.room.switchActiveDevice(kind, id);
    } catch (error) {
      notify(deviceProblem(error, kind));
    }
  }

  /** Take one step at a time with each button. It keeps the focus, so it is not disabled but marked as busy. */
  async #change(id, step, problem) {
    const button = byId(id);
    if (button.getAttribute("aria-busy") === "true") return;
    button.setAttribute("aria-busy", "true");
    try {
      await step();
    } catch (error) {
      notify(problem(error));
    } finally {
      button.removeAttribute("aria-busy");
      this.update();
    }
  }
}
