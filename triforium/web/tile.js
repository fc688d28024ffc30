// One tile: a person's picture or their initials, their name, and whether they can be heard.

import { element, icon } from "./dom.js";
import { Track } from "./livekit.js";
import { agentState, initials } from "./words.js";

const COLOURS = 8;

export class Tile {
  /** `pin()` is called to pin the tile or let it go, `tell(button)` to tell more about it. */
  constructor(participant, source, { pin, tell }) {
    this.participant = participant;
    this.source = source;
    this.track = null;
    this.video = element("video", { autoplay: true, playsinline: true, hidden: true });
    this.video.muted = true; // sound is played elsewhere
    this.avatar = element("div", { class: `avatar colour-${colourOf(participant.identity)}`, "aria-hidden": "true" });
    this.name = element("span", { class: "name" });
    this.muted = element("span", { class: "muted" }, icon("microphone-off"), hint("microphone off"));
    this.speaking = hint("");
    this.agent = element("span", { class: "agent", hidden: true }, icon("agent"), hint("agent"));
    this.state = element("span", { class: "agent-state" });
    this.pinButton = element("button", { class: "plain pin", type: "button" }, icon("pin"));
    this.moreButton = element("button", { class: "plain", type: "button" }, icon("more"));
    this.pin = pin;
    this.isPinned = false;
    this.pinButton.onclick = pin;
    this.moreButton.onclick = () => tell(this.moreButton);
    this.item = element(
      "li",
      { class: this.isScreen ? "tile screen" : "tile" },
      this.avatar,
      this.video,
      element("div", { class: "caption" }, this.agent, this.muted, this.name, this.speaking, this.state),
      element("div", { class: "actions" }, this.pinButton, this.moreButton),
    );
    this.item.ondblclick = pin;
  }

  get isScreen() {
    return this.source === Track.Source.ScreenShare;
  }

  get publication() {
    return this.participant.getTrackPublication(this.source);
  }

  /** What the tile is called. */
  get title() {
    const { name, identity, isLocal } = this.participant;
    const person = name || identity;
    if (this.isScreen) return isLocal ? "Your screen" : `${person}'s screen`;
    return isLocal ? `${person} (you)` : person;
  }

  /** Show what holds now. */
  update(isPinned) {
    this.#attach(this.publication?.isMuted ? null : this.publication?.videoTrack);
    const isAgent = !this.isScreen && this.participant.isAgent;
    const isMuted = !this.isScreen && !isAgent && !this.participant.isMicrophoneEnabled; // of an agent its state tells
    const isSpeaking = !this.isScreen && this.participant.isSpeaking;
    const state = isAgent ? agentState(this.participant.attributes["lk.agent.state"]) : "";
    write(this.name, this.title);
    write(this.avatar, initials(this.participant.name || this.participant.identity));
    write(this.speaking, isSpeaking && !state ? "speaking" : "");
    write(this.state, state);
    this.agent.hidden = !isAgent;
    this.muted.hidden = !isMuted;
    this.item.classList.toggle("speaking", isSpeaking);
    this.isPinned = isPinned;
    this.item.classList.toggle("pinned", isPinned);
    this.pinButton.setAttribute("aria-pressed", isPinned);
    this.pinButton.setAttribute("aria-label", `Pin ${this.title}`);
    this.pinButton.title = isPinned ? "Unpin" : "Pin";
    this.moreButton.setAttribute("aria-label", `Connection of ${this.title}`);
    this.moreButton.title = "Connection";
  }

  /** Stand there. */
  place({ left, top, width, height }) {
    const { style } = this.item;
    style.translate = `${left}px ${top}px`;
    style.width = `${width}px`;
    style.height = `${height}px`;
    this.item.classList.toggle("small", width < 200 || height < 120);
    this.item.classList.toggle("tiny", width < 110);
  }

  close() {
    this.#attach(null);
    this.item.remove();
  }

  #attach(track) {
    if ((track ?? null) === this.track) return;
    this.track?.detach(this.video);
    this.track = track ?? null;
    this.track?.attach(this.video);
    this.video.muted = true;
    this.video.hidden = !this.track;
    this.video.classList.toggle("mirrored", this.participant.isLocal && !this.isScreen);
  }
}

/** Text for screen readers only. */
function hint(text) {
  return element("span", { class: "unseen" }, text);
}

/** Change a text only if it is another: screen readers may say it again. */
function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function colourOf(identity) {
  return [...identity].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 9973, 7) % COLOURS;
}
