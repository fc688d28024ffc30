// A tile's menu: how that person's picture and sound come through, and why so, once a second while it is open.

import { byId, element } from "./dom.js";
import { Track } from "./livekit.js";
import { describe, totals } from "./stats.js";
import { decisions } from "./token.js";
import { choices, decisionRows, whyThisLayer } from "./why.js";

const INTERVAL_MS = 1000;
const MARGIN = 8;

export class Details {
  /** `token` is what its bearer came into the room with. */
  constructor(token) {
    this.token = token;
    this.panel = byId("details");
    this.tile = null;
    this.offered = null; // the publication whose qualities can be chosen
    this.before = new Map(); // the last totals, by track
    this.timer = null;
    byId("details-close").onclick = () => this.close();
    byId("details-pin").onclick = () => {
      const { tile } = this;
      this.close();
      tile.pin();
    };
    byId("details-quality").onchange = ({ target }) => {
      this.offered.setVideoQuality(Number(target.value));
      this.#refresh();
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
    this.tile = this.offered = null;
    this.before.clear();
  }

  async #refresh() {
    const tile = this.tile;
    const { participant, isScreen, publication } = tile;
    const sound = participant.getTrackPublication(isScreen ? Track.Source.ScreenShareAudio : Track.Source.Microphone);
    const decided = participant.isLocal ? {} : await decisions(this.token);
    const sections = [
      await this.#section(isScreen ? "Screen" : "Camera", publication, decisionRows(decided[publication?.trackSid])),
      await this.#section(isScreen ? "Its sound" : "Microphone", sound, []),
    ];
    if (this.tile !== tile) return;
    byId("details-body").replaceChildren(...sections.flat());
    this.#offer(publication);
  }

  /** Let people choose the quality of what is received, if there are several. Left alone if it is offered already. */
  #offer(publication) {
    const offered = publication?.track && !publication.isLocal ? publication : null;
    if (offered === this.offered) return;
    this.offered = offered;
    const offers = offered ? choices(offered.trackInfo?.layers ?? []) : [];
    const options = offers.map(({ quality, label }) => element("option", { value: quality }, label));
    byId("details-quality").replaceChildren(...options);
    byId("details-quality").selectedIndex = Math.max(0, offers.findIndex(({ quality }) => quality === offered.videoQuality));
    byId("details-quality-field").hidden = offers.length === 0;
  }

  async #section(title, publication, decision) {
    const heading = element("h3", {}, title);
    if (!publication?.track) return [heading, element("p", { class: "hint" }, publication ? "Not received" : "Off")];
    if (publication.isMuted) return [heading, element("p", { class: "hint" }, "Off")];
    const now = totals((await publication.track.getRTCStatsReport()) ?? new Map());
    const layers = publication.trackInfo?.layers ?? [];
    const rows = [...describe(now, this.before.get(publication.track), layers), ...decision];
    this.before.set(publication.track, now);
    const cells = rows.flatMap(([label, value]) => [element("dt", {}, label), element("dd", {}, value)]);
    const why = publication.isLocal ? "" : reason(publication, layers, now);
    return [heading, element("dl", {}, ...cells), ...(why ? [element("p", { class: "hint" }, why)] : [])];
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

/** Why its picture has the size that it has. */
function reason(publication, layers, now) {
  return whyThisLayer({
    isPaused: publication.track.streamState === Track.StreamState.Paused,
    layers,
    quality: publication.videoQuality,
    wanted: publication.videoDimensionsAdaptiveStream, // undefined until the tile was measured: then all is wanted
    received: now.find(({ width }) => width),
  });
}
