// What people write to each other, by livekit-client's text streams. Nobody keeps it: who comes later reads what is new.

import { byId, element } from "./dom.js";
import { splitLinks } from "./links.js";
import { notify } from "./notices.js";
import { dataProblem, shorten, unread } from "./words.js";

const TOPIC = "lk.chat"; // the one that LiveKit's components and agents use
const MOST_LETTERS = 4000;
const MOST_MESSAGES = 300;
const SAME_BREATH_MS = 120_000; // what somebody says within that time goes under one name

/** Listens from before `room` is connected, so that nothing of the first moments is missed. */
export class Chat {
  constructor(room) {
    this.room = room;
    this.panel = byId("chat");
    this.log = byId("chat-messages");
    this.field = byId("chat-text");
    this.button = byId("chat-button");
    this.last = null; // who wrote last, and when
    this.unread = 0;
    room.registerTextStreamHandler(TOPIC, (reader, { identity }) => this.#receive(reader, identity));
    this.button.onclick = () => this.#show(this.panel.hidden);
    byId("chat-close").onclick = () => this.#show(false);
    byId("chat-form").onsubmit = (event) => {
      event.preventDefault();
      this.#send();
    };
    this.panel.onkeydown = (event) => event.key === "Escape" && this.#show(false);
    this.field.onkeydown = (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.#send();
    };
    this.#count(0);
  }

  /** Show whether one may write. */
  update() {
    byId("chat-form").hidden = !this.#mayWrite;
    byId("chat-hint").textContent = this.#mayWrite
      ? "Only those who are in the room now can read this. Nobody keeps it."
      : "You may read what others write, but not write yourself.";
  }

  /** Forget what was written. */
  close() {
    this.room.unregisterTextStreamHandler(TOPIC);
    this.panel.hidden = true;
    this.log.replaceChildren();
    this.field.value = "";
  }

  get #mayWrite() {
    return this.room.localParticipant.permissions?.canPublishData ?? true;
  }

  #show(isShown) {
    this.panel.hidden = !isShown;
    this.button.setAttribute("aria-expanded", isShown);
    this.button.classList.toggle("on", isShown);
    if (!isShown) {
      this.button.focus();
      return;
    }
    this.#count(0);
    this.log.scrollTop = this.log.scrollHeight;
    // Where there is no keyboard, the field would bring up one that covers half of what was written.
    if (matchMedia("(hover: none)").matches || !this.#mayWrite) byId("chat-title").focus();
    else this.field.focus();
  }

  #count(unreadMessages) {
    this.unread = unreadMessages;
    byId("chat-badge").hidden = unreadMessages === 0;
    byId("chat-badge").textContent = unreadMessages > 9 ? "9+" : unreadMessages;
    this.button.setAttribute("aria-label", unread(unreadMessages));
  }

  async #receive(reader, identity) {
    let text = "";
    for await (const piece of reader) {
      text += piece;
      if (text.length > MOST_LETTERS) break; // the rest is not read
    }
    const name = this.room.remoteParticipants.get(identity)?.name || identity;
    this.#append(identity, name, text.slice(0, MOST_LETTERS));
    if (!this.panel.hidden) return;
    this.#count(this.unread + 1);
    notify(`${name}: ${shorten(text)}`);
  }

  async #send() {
    const text = this.field.value.trim();
    if (!text || this.panel.getAttribute("aria-busy") === "true") return;
    this.panel.setAttribute("aria-busy", "true");
    try {
      await this.room.localParticipant.sendText(text, { topic: TOPIC });
      this.field.value = "";
      this.#append(this.room.localParticipant.identity, "You", text);
    } catch (error) {
      notify(dataProblem(error));
    } finally {
      this.panel.removeAttribute("aria-busy");
    }
  }

  #append(identity, name, text) {
    const now = new Date();
    const isMine = identity === this.room.localParticipant.identity;
    const goesOn = this.last?.identity === identity && now - this.last.time < SAME_BREATH_MS;
    const wasAtEnd = this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight < 40;
    const time = now.toLocaleTimeString([], { hour: "numeric", minute: "2-digit" });
    this.log.append(
      element(
        "div",
        { class: `message${isMine ? " mine" : ""}${goesOn ? " goes-on" : ""}` },
        element("p", { class: "author" }, element("b", {}, name), ` ${time}`),
        element("p", { class: "said" }, ...splitLinks(text).map(linkOrText)),
      ),
    );
    while (this.log.children.length > MOST_MESSAGES) this.log.firstChild.remove();
    this.last = { identity, time: now };
    if (wasAtEnd || isMine) this.log.scrollTop = this.log.scrollHeight;
  }
}

function linkOrText({ text, isLink }) {
  return isLink ? element("a", { href: text, target: "_blank", rel: "noopener noreferrer" }, text) : text;
}
