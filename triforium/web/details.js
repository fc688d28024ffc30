// What a tile's menu tells: how that person's picture and sound come through, once a second while it is open.

import { byId, element } from "./dom.js";
import { Track } from "./livekit.js";
import { describe, totals } from "./stats.js";

const INTERVAL_MS = 1000;
const MARGIN = 8;

export class Details {
  constructor() {
    this.panel = byId("details");
    this.tile = null;
    this.before = new Map(); // the last totals, by track
    this.timer = null;
    byId("details-close").onclick = () => this.close();
    byId("details-pin").onclick = () => {
      const { tile } = this;
      this.close();
      tile.pin();
    };
    this.panel.ontoggle = ({ newState }) => newState === "closed" && this.#stop();
  }

  /** Open beside the button of a tile, or close if it is open there. */
  async open(tile, button) {
    const isSame = this.tile === tile;
    this.close();
    if (isSame) return;
    this.tile = tile;
    byId("details-title").textContent = tile.title;
    byId("details-pin").textContent = tile.isPinned ? "Unpin" : "Pin";
    await this.#refresh();
    if (this.tile !== tile) return; // gone meanwhile
    this.panel.showPopover();
    this.#place(button.getBoundingClientRect());
    byId("details-close").focus();
    this.timer = setInterval(() => this.#refresh(), INTERVAL_MS);
  }

  close() {
    if (this.panel.matches(":popover-open")) this.panel.hidePopover();
    this.#stop();
  }

  /** Close if it is about a tile that goes. */
  forget(tile) {
    if (this.tile === tile) this.close();
  }

  #stop() {
    clearInterval(this.timer);
    this.tile = null;
    this.before.clear();
  }

  async #refresh() {
    const tile = this.tile;
    const { participant, isScreen, publication } = tile;
    const sound = participant.getTrackPublication(isScreen ? Track.Source.ScreenShareAudio : Track.Source.Microphone);
    const sections = [
      await this.#section(isScreen ? "Screen" : "Camera", publication),
      await this.#section(isScreen ? "Its sound" : "Microphone", sound),
    ];
    if (this.tile === tile) byId("details-body").replaceChildren(...sections.flat());
  }

  async #section(title, publication) {
    const heading = element("h3", {}, title);
    if (!publication?.track) return [heading, element("p", { class: "hint" }, publication ? "Not received" : "Off")];
    if (publication.isMuted) return [heading, element("p", { class: "hint" }, "Off")];
    const now = totals((await publication.track.getRTCStatsReport()) ?? new Map());
    const rows = describe(now, this.before.get(publication.track), publication.trackInfo?.layers ?? []);
    this.before.set(publication.track, now);
    const cells = rows.flatMap(([label, value]) => [element("dt", {}, label), element("dd", {}, value)]);
    return [heading, element("dl", {}, ...cells)];
  }

  /** Beside the button, but within the window; narrow windows have it at their foot (call.css). */
  #place(anchor) {
    const { width, height } = this.panel.getBoundingClientRect();
    const left = Math.min(Math.max(MARGIN, anchor.right - width), innerWidth - width - MARGIN);
    const top = Math.min(anchor.bottom + MARGIN, innerHeight - height - MARGIN);
    this.panel.style.setProperty("--left", `${left}px`);
    this.panel.style.setProperty("--top", `${Math.max(MARGIN, top)}px`);
  }
}
